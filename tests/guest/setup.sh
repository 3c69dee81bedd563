#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Everything ./run and ./test need on a bare Debian 12 machine: packages, QEMU
# 11.1, and the guest's disk image.  What is there already is not made again.
#
#   usage: setup.sh [--no-guest]       --no-guest: the packages only
set -euo pipefail
. "$(dirname "$0")/common.sh"

install_packages()
{
	local missing
	missing=$(grep -v '^#' "$here/packages.txt" | while read -r package; do
		dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null |
			grep -q '^ii' || echo "$package"
	done)
	[ -n "$missing" ] || return 0
	say "Debian packages missing here:" $missing
	step "apt-get update" as_root apt-get update
	# shellcheck disable=SC2086 # a list of words
	step "apt-get install" as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends $missing
}

install_packages
[ "${1:-}" = --no-guest ] && exit 0

mkdir -p "$cache"
exec 9>"$cache/lock"
flock -n 9 || { say "another set-up is at work; waiting for it"; flock 9; }
"$here/qemu.sh"
"$here/volume.sh"
