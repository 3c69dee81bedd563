#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A kernel with every way of VFIO and all network adapters that we compare, for
# tests/e2e/test_host.py, test_ena_dpdk.py and ./bench: Debian's kernels have
# neither the no-IOMMU mode nor iommufd.  Built from Debian's source package
# with little more than that (vfio.config), and busybox beside it.
#
#   vfio/bzImage   Linux 6.12
#   vfio/busybox   static
set -euo pipefail
. "$(dirname "$0")/common.sh"

# A private apt that knows bookworm with its backports; nothing is installed.
fetch()
{
	local work=$1

	mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial"
	: >"$work/apt/status"
	for suite in bookworm bookworm-backports; do
		printf '%s\n' "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
			"$(debian_mirror) $suite main" | paste -sd' '
	done >"$work/apt/sources.list"
	cat >"$work/apt/conf" <<-EOF
		Dir::State "$work/apt";
		Dir::State::status "$work/apt/status";
		Dir::Cache "$work/apt";
		Dir::Etc::sourcelist "$work/apt/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		APT::Sandbox::User "";
	EOF
	export APT_CONFIG=$work/apt/conf
	apt-get update
	(cd "$work/apt" &&
		apt-get download linux-source-6.12/bookworm-backports busybox-static)
	dpkg-deb --fsys-tarfile "$work"/apt/busybox-static*.deb |
		tar -xO ./bin/busybox >"$work/busybox"
	chmod +x "$work/busybox"
	mkdir "$work/tree"
	dpkg-deb --fsys-tarfile "$work"/apt/linux-source*.deb |
		tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
		tar -xJ -C "$work/tree" --strip-components=1 \
			--exclude='*/drivers/gpu/drm/amd/include' \
			--exclude='*/Documentation/devicetree' \
			--exclude='*/tools/testing'
}

# Every line of the fragment must have come through.
configure()
{
	make -s -C "$1/tree" KCONFIG_ALLCONFIG="$here/vfio.config" allnoconfig
	! grep '^CONFIG' "$here/vfio.config" | grep -vxFf "$1/tree/.config"
}

build_kernel()
{
	configure "$1"
	nice make -s -C "$1/tree" -j"$(nproc)" bzImage
	cp "$1/tree/arch/x86/boot/bzImage" "$1/bzImage"
	rm -rf "$1/apt" "$1/tree"
}

mkdir -p "$cache"
exec 9>"$cache/lock"
flock -n 9 || { say "another set-up is at work; waiting for it"; flock 9; }

hash=$(fingerprint "$0" "$here/vfio.config")
made vfio "$hash" && exit 0

begin vfio
step "fetching the source of Linux 6.12 from Debian's backports" fetch "$work"
step "building a kernel with all of VFIO" build_kernel "$work"
publish vfio "$hash" "$work"
