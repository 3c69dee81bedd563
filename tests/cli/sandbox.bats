#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# What a card in a sandbox cannot do, and who learns of it.

load cli.bash
may_refuse=yes

# A leak check needs ptrace(), which strace has.
export ASAN_OPTIONS=detect_leaks=0

# start MODE [KEY-OF-THE-VOLUME]: a card with a file, a NIC and a capture.
start()
{
	export XDG_STATE_HOME=$BATS_TEST_TMPDIR/state STATE_DIRECTORY=
	truncate -s 8M volume.img
	cat >card.yaml <<-EOF
		card: { sandbox: $1, state-dir: state, capture-dir: captures }
		functions:
		  - ebs: { name: ebs0, volume: { file: volume.img${2:+, $2} } }
		  - ena: { name: eth0, switch: lan, capture: eth0.pcapng }
		  - ena: { name: eth1, switch: lan }
	EOF
	start_card card.yaml
}

# in_force KEY: of the sandbox's status.
in_force()
{
	"$ctl" --json status | /usr/bin/python3 -c \
		"import json, sys; print(json.load(sys.stdin)['sandbox']['$1'])"
}

# escapes MODE MISTAKE [KEY-OF-THE-VOLUME]
escapes()
{
	card=$(dirname "$card")/nitro-card-wrong
	export NITRO_MISTAKE=$2
	start "$1" "${3:-}"
	run -0 "$ctl" status
	wait_for 'escape: ' card.log
	kill -0 "$card_pid"
}

# wait_for PATTERN FILE
wait_for()
{
	for _ in $(seq 50); do
		grep -q "$1" "$2" && return
		sleep 0.1
	done
	cat "$2"
	return 1
}

# has_no PATTERN FILE: bash does not mind a failing "! grep".
has_no()
{
	if grep -E "$1" "$2"; then
		return 1
	fi
}

stop_it()
{
	kill "$card_pid"
	wait "$card_pid" || true
	card=$(dirname "$card")/nitro-card
}

audit_log()
{
	cat state/security-chip/audit.log
}

@test "the status says what is in force" {
	start enforce
	[ "$(in_force mode)" = enforce ]
	[ "$(in_force system_calls)" = True ]
	[ "$(in_force no_capabilities)" = True ]
	[ "$(in_force refusals)" = 0 ]
	grep -q '^Seccomp:.2$' "/proc/$card_pid/status"
	grep -q '^NoNewPrivs:.1$' "/proc/$card_pid/status"
	run -0 "$ctl" status
	says "sandbox: enforce, " "system calls by seccomp" "; 0 refused"
	for task in "/proc/$card_pid/task/"*; do
		grep -q '^CapPrm:.0*$' "$task/status"
		grep -q '^Seccomp:.2$' "$task/status"
	done
}

@test "without a sandbox nothing is restricted" {
	start off
	[ "$(in_force mode)" = off ]
	[ "$(in_force system_calls)" = False ]
	grep -q '^Seccomp:.0$' "/proc/$card_pid/status"
}

@test "calls that nobody declared fail, the card lives, the audit log knows" {
	for call in connect:connect send:sendto execute:execve code:mprotect \
		ring:io_uring_setup; do
		rm -rf state
		escapes enforce "escape_${call%:*}"
		grep -q 'escape: EPERM' card.log
		wait_for "sandbox: refused ${call#*:}(.*'nitro-card" card.log
		run -0 "$ctl" metrics
		says "nitro_sandbox_refusals_total 1"
		audit_log | grep -q " sandbox refused ${call#*:}("
		stop_it
	done
}

@test "auditing, calls that nobody declared are told of and made" {
	escapes audit escape_connect
	wait_for "sandbox: would refuse connect(.*'nitro-card" card.log
	has_no 'escape: EPERM' card.log
	audit_log | grep -q ' sandbox would refuse connect('
}

# is_refused_file MISTAKE [KEY-OF-THE-VOLUME]: and without a sandbox is not.
is_refused_file()
{
	escapes off "$@"
	grep -q 'escape: done' card.log
	stop_it
	escapes enforce "$@"
	[ "$(in_force landlock)" -gt 0 ] || skip "this kernel has no Landlock"
	grep -q 'escape: EACCES' card.log
	has_no 'escape: done' card.log
	stop_it
}

@test "a file outside the configuration cannot be read" {
	is_refused_file escape_read
}

@test "the file of a read-only volume cannot be written" {
	is_refused_file escape_write "read-only: true"
	escapes enforce escape_write
	grep -q 'escape: done' card.log
}

@test "a capture is written where it may be, and refused elsewhere" {
	start enforce
	"$(dirname "$ctl")/nitro-probe" --peer "$dir/eth1.sock" \
		"$dir/eth0.sock" >probe.txt || true
	run -0 "$ctl" capture eth1 captures/eth1.pcapng
	run -0 "$ctl" capture eth1 stop
	[ -f captures/eth1.pcapng ]
	[ "$(in_force refusals)" = 0 ]
	if [ "$(in_force landlock)" -gt 0 ]; then
		run -1 "$ctl" capture eth1 elsewhere.pcapng
		says "cannot capture to" "card.capture-dir"
		[ ! -e elsewhere.pcapng ]
		wait_for 'sandbox: refused to open' card.log
		[ "$(in_force refusals)" = 1 ]
		audit_log | grep -q ' sandbox refused to open .*/elsewhere.pcapng'
	fi
	run -0 "$ctl" stop
	wait "$card_pid"
	[ -s eth0.pcapng ]
}

# From its first instruction to its last, with clients that are no guests.
@test "a card makes no connection and starts no program" {
	strace -o /dev/null true || skip "this machine lets nobody trace"
	cat >traced <<-EOF
		#!/bin/sh
		exec strace -f -o calls.txt -e trace=network,process,ptrace,seccomp \
			"$card" "\$@"
	EOF
	chmod +x traced
	card=$PWD/traced
	start enforce
	"$(dirname "$ctl")/nitro-probe" --write "$dir/ebs0.sock" >probe.txt
	run -0 "$ctl" status
	run -0 "$ctl" reset eth0
	run -0 "$ctl" stop
	wait "$card_pid"
	grep -q 'accept4(' calls.txt
	has_no 'AF_(INET|INET6|NETLINK|PACKET|VSOCK)' calls.txt
	[ "$(grep -cE '(execve|execveat)\(' calls.txt)" = 1 ]
	has_no '(ptrace|fork|vfork)\(' calls.txt
	# Once it is ready, which it says by its last chmod() of a socket.
	sed '1,/seccomp(SECCOMP_SET_MODE_FILTER/d' calls.txt >ready.txt
	grep -q 'accept4(' ready.txt
	has_no '(connect|socket|bind|listen)\(' ready.txt
	has_no 'send(to|msg|mmsg)\(.*sa_family' ready.txt
}

# The one that may is not the card, and only if it is configured.
@test "a user-mode network's process is another, and the card is not it" {
	strace -o /dev/null true || skip "this machine lets nobody trace"
	cat >traced <<-EOF
		#!/bin/sh
		exec strace -f -Y -o calls.txt -e trace=network,execve,execveat \
			"$card" "\$@"
	EOF
	chmod +x traced
	card=$PWD/traced
	cat >net.yaml <<-EOF
		functions:
		  - ena: { name: eth0, uplink: { user: true } }
	EOF
	start_card net.yaml
	run -0 "$ctl" status
	run -0 "$ctl" stop
	wait "$card_pid"
	[ "$(grep -cE '(execve|execveat)\(' calls.txt)" = 2 ]
	has_no '<(nitro-card|ebs0|eth0|main|worker)[^>]*> .*AF_INET' calls.txt
}

@test "another user is refused at the control socket" {
	[ "$(id -u)" = 0 ] || skip "only root can be another user"
	start enforce
	chmod 755 "$dir" && chmod 666 "$dir/control.sock"
	chmod o+x "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR" "$BATS_SUITE_TMPDIR" \
		"$BATS_FILE_TMPDIR" "$(dirname "$BATS_TEST_TMPDIR")"
	run /usr/bin/setpriv --reuid 65534 --regid 65534 --clear-groups \
		/usr/bin/python3 - "$dir/control.sock" <<-EOF
			import socket, sys
			s = socket.socket(socket.AF_UNIX)
			s.connect(sys.argv[1])
			s.settimeout(5)
			try:
			    print("heard", len(s.recv(100)))
			except ConnectionError:
			    print("heard 0")
		EOF
	says "heard 0"
	grep -q 'refused process .* of user 65534' card.log
	audit_log | grep -q 'sandbox refused process .* of user 65534'
	run -0 "$ctl" status
}

@test "no method gives away what is on a volume, or a key" {
	start enforce
	marker=$(printf 'MARK%.0s' $(seq 128))
	for _ in $(seq 2048); do printf '%s' "$marker"; done >volume.img
	truncate -s 8M volume.img
	run -0 "$ctl" trace enable '*' || true
	"$(dirname "$ctl")/nitro-probe" "$dir/ebs0.sock" >probe.txt
	run -0 /usr/bin/python3 "$BATS_TEST_DIRNAME/walk_methods.py" \
		"$dir/control.sock" MARKMARKMARKMARKMARK state/security-chip/secret
	says "methods" "nothing"
}
