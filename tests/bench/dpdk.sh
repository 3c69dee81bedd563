#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# dpdk-testpmd, the rival of packets per second, if it is not installed: of this
# machine's own Debian, with its drivers.  Without it there are fewer figures.
set -euo pipefail
. "$(dirname "$0")/../guest/common.sh"

install_testpmd()
{
	as_root apt-get update
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes dpdk
}

command -v dpdk-testpmd >/dev/null ||
	step "installing dpdk" install_testpmd ||
	say "there is no dpdk-testpmd, and nothing beside which to put packets"
