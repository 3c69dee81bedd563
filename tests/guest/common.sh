# SPDX-License-Identifier: BSD-3-Clause
# What the set-up scripts share: where the cache is, and how work is reported.
# shellcheck shell=bash

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
cache=${NITRO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/nitro-card}

say() { printf '%s\n' "-- $*"; }

as_root()
{
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo -- "$@"; fi
}

# step TEXT COMMAND...: run a command that may take long.  Its output goes to
# a log; the reader sees the time pass, and on failure the end of that log.
step()
{
	local text=$1 start=$SECONDS log pid status=0
	shift

	log=$(mktemp)
	set -m # its own process group, so that all of it can be stopped
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	set +m
	# shellcheck disable=SC2064 # the pid is meant to be expanded now
	trap "kill -- -$pid 2>/dev/null; exit 130" INT TERM
	printf '%s' "-- $text "
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		[ $(((SECONDS - start) / 10)) = "${ticks:-0}" ] && continue
		ticks=$(((SECONDS - start) / 10))
		printf '. %ss ' $((SECONDS - start))
	done
	unset ticks
	wait "$pid" || status=$?
	trap - INT TERM
	if [ "$status" = 0 ]; then
		printf '%s\n' "done in $((SECONDS - start)) s"
		rm -f "$log"
		return 0
	fi
	printf '%s\n' "FAILED after $((SECONDS - start)) s; the end of $log:"
	tail -n 40 "$log"
	return "$status"
}

# fingerprint FILE...: twelve digits that change when a recipe changes.
fingerprint() { cat "$@" | sha256sum | cut -c 1-12; }

# made NAME HASH: is there already what that recipe makes?
made()
{
	[ -d "$cache/$1-$2" ] || return 1
	point "$1" "$1-$2"
}

# begin NAME: $work, a folder to make NAME in; it goes when the script ends.
begin()
{
	mkdir -p "$cache"
	for left in "$cache/$1".??????; do discard "$left"; done
	work=$(mktemp -d "$cache/$1.XXXXXX")
	chmod 755 "$work"
	trap 'discard "$work"' EXIT
}

discard()
{
	umount -q "$1/tree/proc" "$1/tree/sys" 2>/dev/null || true
	rm -rf --one-file-system "$1"
}

# publish NAME HASH DIR: put a finished product in place, all at once, and
# forget the ones that no recipe has asked for of late.
publish()
{
	mv "$3" "$cache/$1-$2"
	point "$1" "$1-$2"
	find "$cache" -maxdepth 1 -name "$1-*" ! -name "$1-$2" -mtime +7 \
		-exec rm -rf {} +
}

# point NAME TARGET: the link that the tools follow.
point()
{
	touch "$cache/$2"
	[ "$(readlink "$cache/$1")" = "$2" ] && return
	ln -sfn "$2" "$cache/$1.new"
	mv -T "$cache/$1.new" "$cache/$1"
}

# The archive this machine already uses, or else debootstrap's own default.
debian_mirror()
{
	local site
	site=$(apt_site bookworm)
	printf '%s\n' "${site:-$(sed -n 's/^DEF_MIRROR="\(.*\)"/\1/p' /usr/sbin/debootstrap)}"
}

# apt_site SUITE: where apt on this machine gets that suite from.
apt_site()
{
	apt-get indextargets --format '$(SITE) $(ORIGIN) $(CODENAME)' |
		awk -v suite="$1" '$2 == "Debian" && $3 == suite { print $1; exit }'
}

# build PRESET [TARGET...]: into build/PRESET; everything when none is named.
build()
{
	local preset=$1
	shift
	step "configuring build/$preset" cmake --preset "$preset" &&
		step "building build/$preset" cmake --build --preset "$preset" \
			${1:+--target "$@"} -- --quiet
}
