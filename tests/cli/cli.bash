# SPDX-License-Identifier: BSD-3-Clause
# What the tests of both programs share.  $NITRO_BUILD: where they are.
# shellcheck shell=bash disable=SC2034,SC2154

bats_require_minimum_version 1.5.0

card=${NITRO_BUILD:-build/dev}/nitro-card
ctl=${NITRO_BUILD:-build/dev}/nitroctl
repo=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)

setup()
{
	cd "$repo" || return
	card=$(realpath "$card") ctl=$(realpath "$ctl")
	cd "$BATS_TEST_TMPDIR" || return
	unset NITRO_SOCKET_DIR NITRO_QEMU NITRO_OVMF NOTIFY_SOCKET
	export XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR
	export STATE_DIRECTORY=$BATS_TEST_TMPDIR/state
	dir=$BATS_TEST_TMPDIR/sockets
}

teardown()
{
	[ -z "${card_pid:-}" ] || kill "$card_pid" 2>/dev/null || true
	# Nothing that a card does may be news to its sandbox.
	if [ -z "${may_refuse:-}" ] && grep -Hs 'sandbox: refused' ./*.log; then
		return 1
	fi
}

# start_card [ARGUMENT...]: a card in the background, ready when this returns.
start_card()
{
	"$card" --socket-dir "$dir" "$@" >card.log 2>&1 3>&- &
	card_pid=$!
	export NITRO_SOCKET_DIR=$dir
	for _ in $(seq 100); do
		grep -q 'control on' card.log && return
		kill -0 "$card_pid" 2>/dev/null || break
		sleep 0.1
	done
	cat card.log
	return 1
}

# says TEXT...: each is in the output.
says()
{
	for text; do
		case $output in
		*"$text"*) ;;
		*)
			printf 'not said: %s\nbut:\n%s\n' "$text" "$output"
			return 1
			;;
		esac
	done
}
