#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The guest: Debian 12 with three kernels, as a disk that both SeaBIOS and OVMF
# start through GRUB.  The image is written with mke2fs, mtools and dd alone,
# so no loop device and no mount is needed.  The root tree needs root (chroot).
#
#   GPT   1  BIOS boot   1 MiB   GRUB's core for SeaBIOS
#         2  ESP        16 MiB   \EFI\BOOT\BOOTX64.EFI for OVMF
#         3  root       the rest of 3 GiB, ext4
set -euo pipefail
. "$(dirname "$0")/common.sh"

root_uuid=6e697472-6f2d-4361-8264-000000000001
disk_uuid=6e697472-6f2d-4361-8264-000000000000
disk_mib=3072 root_mib=18 esp_mib=2 bios_mib=1

packages="
	systemd-sysv udev dbus kmod procps iproute2 less vim-tiny
	initramfs-tools lz4 linux-image-cloud-amd64 grub2-common grub-pc-bin
	grub-efi-amd64-bin amazon-ec2-utils nvme-cli pciutils ethtool fio
	stress-ng e2fsprogs fdisk python3-minimal
	iperf3 iputils-ping tcpdump wget
	tpm2-tools cryptsetup-bin"

bootstrap()
{
	local tree=$1

	eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
	[ -z "${http_proxy:-}" ] || export http_proxy
	debootstrap --variant=minbase --include=ca-certificates bookworm \
		"$tree" "$(debian_mirror)"
	cat >"$tree/etc/apt/sources.list" <<-EOF
		deb $(debian_mirror) bookworm main
		deb $(debian_mirror) bookworm-backports main
	EOF
	if [ -n "$(apt_site bookworm-security)" ]; then
		echo "deb $(apt_site bookworm-security) bookworm-security main" \
			>>"$tree/etc/apt/sources.list"
	fi
	cp -rL "$here/overlay/." "$tree/"
	# Before the initramfs is made: it looks here for the fsck to take along.
	echo "UUID=$root_uuid / ext4 errors=remount-ro 0 1" >"$tree/etc/fstab"
	chmod +x "$tree/usr/sbin/policy-rc.d"
}

inside() { LC_ALL=C DEBIAN_FRONTEND=noninteractive chroot "$@"; }

install_packages()
{
	local tree=$1

	cp -L /etc/resolv.conf "$tree/etc/resolv.conf"
	# The way to the archive is this machine's: proxies and the like.
	apt-config dump | grep '^Acquire::' >"$tree/etc/apt/apt.conf.d/99host"
	inside "$tree" apt-get update
	# shellcheck disable=SC2086 # a list of words
	inside "$tree" apt-get install -y --no-install-recommends $packages
	inside "$tree" apt-get install -y --no-install-recommends \
		-t bookworm-backports linux-image-cloud-amd64
	# Forky's kernel asks for forky's user space, so only its files are taken.
	for deb in "$cache"/qemu/kernel/*.deb; do
		dpkg-deb --extract "$deb" "$tree/"
	done
	newest=$(basename "$(printf '%s\n' "$tree"/usr/lib/modules/7.*)")
	for file in vmlinuz config; do
		cp "$tree/usr/lib/modules/$newest/$file" "$tree/boot/$file-$newest"
	done
	inside "$tree" depmod "$newest"
	inside "$tree" update-initramfs -c -k "$newest"
}

settle()
{
	local tree=$1

	inside "$tree" passwd -d root
	for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
		e2scrub_all.timer e2scrub_reap.service fstrim.timer \
		getty@tty1.service nvmefc-boot-connections.service \
		nvmf-autoconnect.service systemd-pstore.service; do
		ln -sf /dev/null "$tree/etc/systemd/system/$unit"
	done
	echo nitro-guest >"$tree/etc/hostname"
	echo "127.0.0.1 localhost nitro-guest" >"$tree/etc/hosts"
	echo "$disk_uuid" | tr -d - >"$tree/etc/machine-id"
	rm -rf "$tree"/var/cache/apt/* "$tree"/var/lib/apt/lists/* \
		"$tree/etc/apt/apt.conf.d/99host" "$tree/usr/sbin/policy-rc.d" \
		"$tree/etc/resolv.conf"
	ln -s /run/resolv.conf "$tree/etc/resolv.conf"
}

write_grub()
{
	local tree=$1 out=$2 version

	mkdir -p "$tree/boot/grub"

	{
		cat "$here/grub.cfg"
		for version in 6.1 6.12 7.2; do
			local kernel
			kernel=$(basename "$(printf '%s\n' "$tree/boot/vmlinuz-$version".* | tail -n 1)")
			kernel=${kernel#vmlinuz-}
			cat <<-EOF
				menuentry "Debian, Linux $kernel" --id linux-$version {
					linux\$stub /boot/vmlinuz-$kernel root=UUID=$root_uuid ro console=ttyS0
					initrd\$stub /boot/initrd.img-$kernel
				}
			EOF
		done
	} >"$tree/boot/grub/grub.cfg"
	inside "$tree" grub-editenv /boot/grub/grubenv create

	echo "search --fs-uuid --set=root $root_uuid
		set prefix=(\$root)/boot/grub
		configfile \$prefix/grub.cfg" >"$tree/early.cfg"
	local modules="part_gpt ext2 search search_fs_uuid configfile normal linux
		serial terminal loadenv test echo reboot minicmd"
	# shellcheck disable=SC2086 # a list of words
	inside "$tree" grub-mkimage -O i386-pc -p /boot/grub -c /early.cfg \
		-o /core.img $modules biosdisk
	# shellcheck disable=SC2086
	inside "$tree" grub-mkimage -O x86_64-efi -p /boot/grub -c /early.cfg \
		-o /bootx64.efi $modules linuxefi
	mv "$tree/core.img" "$tree/bootx64.efi" "$out/"
	cp "$tree/usr/lib/grub/i386-pc/boot.img" "$out/"
	rm "$tree/early.cfg"
}

write_disk()
{
	local tree=$1 out=$2 image=$2/root.img

	truncate -s "${disk_mib}M" "$image"
	sfdisk --quiet "$image" <<-EOF
		label: gpt
		label-id: $disk_uuid
		start=${bios_mib}MiB, size=1MiB, type=21686148-6449-6E6F-744E-656564454649
		start=${esp_mib}MiB, size=16MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
		start=${root_mib}MiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root
	EOF
	/usr/bin/python3 "$here/grub_bios.py" "$image" "$out/boot.img" \
		"$out/core.img" "$bios_mib"

	truncate -s 16M "$out/esp"
	mkfs.vfat -F 16 -n ESP "$out/esp"
	mmd -i "$out/esp" ::EFI ::EFI/BOOT
	mcopy -i "$out/esp" "$out/bootx64.efi" ::EFI/BOOT/BOOTX64.EFI
	dd if="$out/esp" of="$image" bs=1M seek="$esp_mib" conv=notrunc,sparse

	mke2fs -q -t ext4 -U "$root_uuid" -L root -d "$tree" \
		-O '^orphan_file,^metadata_csum_seed' \
		-E "offset=$((root_mib << 20))" "$image" "$((disk_mib - root_mib - 1))M"
	rm "$out/esp" "$out"/*.efi "$out/boot.img" "$out/core.img"
}

hash=$(fingerprint "$0" "$here"/{qemu.sh,grub.cfg,grub_bios.py} \
	$(find "$here/overlay" -type f | sort))
made volume "$hash" && exit 0

if [ "$(id -u)" != 0 ]; then
	say "making the guest's root file system needs root"
	exec sudo -- env NITRO_CACHE="$cache" "$0"
fi
export PATH=$PATH:/usr/sbin:/sbin
begin volume
mkdir "$work/volume"
step "guest: Debian 12 base system" bootstrap "$work/tree"
step "guest: packages and kernels 6.1, 6.12, 7.2" install_packages "$work/tree"
step "guest: settings" settle "$work/tree"
step "guest: GRUB for BIOS and EFI" write_grub "$work/tree" "$work/volume"
step "guest: disk image" write_disk "$work/tree" "$work/volume"
publish volume "$hash" "$work/volume"
[ -z "${SUDO_UID:-}" ] || chown -hR "$SUDO_UID:$SUDO_GID" "$cache"
