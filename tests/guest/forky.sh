# SPDX-License-Identifier: BSD-3-Clause
# Programs from Debian forky, beside Debian 12: nothing is installed.  A private
# apt resolves and verifies the packages, and forky's own dynamic loader runs
# the programs, so neither root nor chroot is needed.
# shellcheck shell=bash

# forky_apt DIR: from now on apt-get here means forky's, with its state in
# DIR/apt.  It thinks that nothing is installed, so it brings every library.
forky_apt()
{
	local apt=$1/apt signed kind
	signed="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"

	mkdir -p "$apt/lists/partial" "$apt/archives/partial"
	: >"$apt/status"
	for kind in deb deb-src; do
		printf '%s\n' "$kind $signed $(debian_mirror) forky main"
	done >"$apt/sources.list.new"
	mv "$apt/sources.list.new" "$apt/sources.list"
	cat >"$apt/conf" <<-END
		Dir::State "$apt";
		Dir::State::status "$apt/status";
		Dir::Cache "$apt";
		Dir::Etc::sourcelist "$apt/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		APT::Install-Recommends "false";
		APT::Sandbox::User "";
	END
	export APT_CONFIG=$apt/conf
	apt-get update
}

# forky_unpack DIR PACKAGE...: these and what they need, into DIR/tree.
forky_unpack()
{
	local dir=$1 deb
	shift

	mkdir -p "$dir/tree"
	apt-get install -y --download-only "$@"
	for deb in "$dir"/apt/archives/*.deb; do
		dpkg-deb --extract "$deb" "$dir/tree"
	done
}

# forky_done DIR: forget what only the unpacking needed.
forky_done()
{
	rm -rf "$1/apt" "$1"/tree/usr/share/{doc,man,locale,icons}
}

# forky_program DIR NAME [ARGUMENT...]: DIR/bin/NAME starts it, on any host.
# An argument may speak of $tree, the packages' /usr.
forky_program()
{
	local dir=$1 name=$2
	shift 2

	mkdir -p "$dir/bin"
	cat >"$dir/bin/$name" <<-END
		#!/bin/sh
		# Debian forky's program with forky's libraries.
		tree=\$(dirname "\$(dirname "\$(readlink -f "\$0")")")/tree/usr
		export QEMU_MODULE_DIR="\$tree/lib/x86_64-linux-gnu/qemu"
		exec "\$tree/lib64/ld-linux-x86-64.so.2" \\
			--library-path "\$tree/lib/x86_64-linux-gnu" \\
			"\$tree/bin/$name" $* "\$@"
	END
	chmod +x "$dir/bin/$name"
}
