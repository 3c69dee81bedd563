#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# QEMU 11.1, the first thing a vfio-user device needs: Debian 12's own is too
# old, so Debian forky's is unpacked beside it.  Nothing is installed; a private
# apt resolves and verifies the packages, and forky's own dynamic loader runs
# the program, so neither root nor chroot is needed.
set -euo pipefail
. "$(dirname "$0")/common.sh"

unpack_forky()
{
	local work=$1 tree=$1/tree

	mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial" "$tree"
	: >"$work/apt/status"
	printf '%s\n' "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
		"$(debian_mirror) forky main" | paste -sd' ' >"$work/apt/sources.list"
	cat >"$work/apt/conf" <<-EOF
		Dir::State "$work/apt";
		Dir::State::status "$work/apt/status";
		Dir::Cache "$work/apt";
		Dir::Etc::sourcelist "$work/apt/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		APT::Install-Recommends "false";
		APT::Sandbox::User "";
	EOF
	export APT_CONFIG=$work/apt/conf
	apt-get update
	apt-get install -y --download-only qemu-system-x86 seabios ovmf
	# The newest guest kernel rides along; volume.sh puts it into the image.
	mkdir "$work/kernel"
	(cd "$work/kernel" && apt-get download $(newest_kernel))
	for deb in "$work"/apt/archives/*.deb; do
		dpkg-deb --extract "$deb" "$tree"
	done
	rm -rf "$work/apt" "$tree"/usr/share/{doc,man,locale,icons}
}

newest_kernel()
{
	local image
	image=$(apt-cache depends --important linux-image-cloud-amd64 |
		sed -n 's/.*Depends: linux-image-//p')
	printf '%s\n' "linux-binary-$image" "linux-modules-$image" "linux-base-$image"
}

write_wrapper()
{
	mkdir -p "$1/bin" "$1/firmware"
	cat >"$1/bin/qemu-system-x86_64" <<-'EOF'
		#!/bin/sh
		# Debian forky's QEMU with forky's libraries, on any host.
		tree=$(dirname "$(dirname "$(readlink -f "$0")")")/tree/usr
		export QEMU_MODULE_DIR="$tree/lib/x86_64-linux-gnu/qemu"
		exec "$tree/lib64/ld-linux-x86-64.so.2" \
			--library-path "$tree/lib/x86_64-linux-gnu" \
			"$tree/bin/qemu-system-x86_64" \
			-L "$tree/share/qemu" -L "$tree/share/seabios" "$@"
	EOF
	chmod +x "$1/bin/qemu-system-x86_64"
	ln -s ../tree/usr/share/ovmf/OVMF.fd "$1/firmware/OVMF.fd"
	"$1/bin/qemu-system-x86_64" --version
	"$1/bin/qemu-system-x86_64" -device help | grep vfio-user-pci
}

hash=$(fingerprint "$0")
made qemu "$hash" && exit 0

begin qemu
step "fetching QEMU 11.1 from Debian forky" unpack_forky "$work"
step "checking that it runs here" write_wrapper "$work"
publish qemu "$hash" "$work"
