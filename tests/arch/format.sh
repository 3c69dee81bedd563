#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Every C file is as clang-format 14 would write it.
cd "$1" || exit 1
find firmware pcie-model ena ebs-nvme security-chip host-driver tests \
	-name '*.[ch]' -print0 2>/dev/null |
	xargs -0 clang-format-14 --dry-run -Werror && echo "format: clean"
