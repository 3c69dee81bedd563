#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What measuring needs besides the card, from Debian forky:
#   qemu-storage-daemon  a rival
#   fio                  to drive it.  Debian's is built without the libblkio
#                        engine, so Debian's source of fio is built with it.
#   callgrind            to count instructions.  Debian 12's lets no other
#                        thread run while one waits in io_uring.
set -euo pipefail
. "$(dirname "$0")/../guest/common.sh"
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../guest/forky.sh"

fetch_rivals()
{
	local work=$1

	forky_apt "$work"
	# These two without what they depend on: it is here or not needed.
	(cd "$work/apt/archives" && apt-get download libblkio-dev valgrind)
	forky_unpack "$work" qemu-utils libblkio1
	mkdir "$work/fio"
	(cd "$work/fio" && apt-get source --tar-only --download-only fio)
	forky_done "$work"
	forky_program "$work" qemu-storage-daemon
	"$work/bin/qemu-storage-daemon" --version
	write_callgrind "$work"
	"$work/bin/callgrind" --callgrind-out-file=/dev/null true
}

# Without valgrind's launcher, which is bound to forky's C library.
write_callgrind()
{
	cat >"$1/bin/callgrind" <<-'END'
		#!/bin/sh
		# Debian forky's callgrind, which is static, on any host.
		tree=$(dirname "$(dirname "$(readlink -f "$0")")")/tree/usr
		export VALGRIND_LIB="$tree/libexec/valgrind"
		export VALGRIND_LAUNCHER="$VALGRIND_LIB/callgrind-amd64-linux"
		exec "$VALGRIND_LAUNCHER" --tool=callgrind "$@"
	END
	chmod +x "$1/bin/callgrind"
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
step "fetching qemu-storage-daemon, libblkio, callgrind from Debian forky" \
	fetch_rivals "$work"
step "building fio with libblkio" build_fio "$work"
publish bench "$hash" "$work"
