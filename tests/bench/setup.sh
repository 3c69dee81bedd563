#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The rivals that need no guest: Debian forky's qemu-storage-daemon, and fio
# with its libblkio engine to drive it.  Debian's fio is built without that
# engine, so Debian's source of fio is built with it.
set -euo pipefail
. "$(dirname "$0")/../guest/common.sh"
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../guest/forky.sh"

fetch_rivals()
{
	local work=$1

	forky_apt "$work"
	(cd "$work/apt/archives" && apt-get download libblkio-dev)
	forky_unpack "$work" qemu-utils libblkio1
	mkdir "$work/fio"
	(cd "$work/fio" && apt-get source --tar-only --download-only fio)
	forky_done "$work"
	forky_program "$work" qemu-storage-daemon
	"$work/bin/qemu-storage-daemon" --version
}

# Compiled by this machine's compiler, and run with forky's libraries.
build_fio()
{
	local work=$1 tree=$1/tree lib=$1/tree/usr/lib/x86_64-linux-gnu

	cd "$work/fio"
	tar --extract --strip-components=1 --file fio_*.orig.tar.*
	export LIBRARY_PATH=$lib
	PKG_CONFIG_LIBDIR=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$tree ./configure \
		--disable-native --extra-cflags="-I$tree/usr/include" \
		--disable-{dfs,gfapi,http,isal,libnfs,libzbc,numa,pmem} \
		--disable-{rados,rbd,rdma,tcmalloc,xnvme}
	# libblkio itself wants a newer C library than this machine's.
	make -j2 LDFLAGS=-Wl,--allow-shlib-undefined fio
	cp fio "$tree/usr/bin/"
	cd /
	rm -rf "$work/fio"
	forky_program "$work" fio
	"$work/bin/fio" --enghelp=libblkio
}

mkdir -p "$cache"
exec 9>"$cache/lock"
flock -n 9 || { say "another set-up is at work; waiting for it"; flock 9; }
hash=$(fingerprint "$0" "$here/../guest/forky.sh")
made bench "$hash" && exit 0

begin bench
step "fetching qemu-storage-daemon and libblkio from Debian forky" \
	fetch_rivals "$work"
step "building fio with libblkio" build_fio "$work"
publish bench "$hash" "$work"
