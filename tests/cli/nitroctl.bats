#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# nitroctl as a user at a shell meets it.

load cli.bash

is_json() { /usr/bin/python3 -c 'import json, sys; json.load(sys.stdin)'; }

@test "nitroctl --help lists the commands on one screen" {
	run -0 "$ctl" --help
	[ "${#lines[@]}" -le 40 ]
	says "status" "qemu-args" "regs" "trace" "boot" "--socket-dir=DIR"
}

@test "nitroctl help COMMAND is COMMAND --help" {
	for command in attest boot bugs capture config faults link metrics qemu-args \
		queues regs reset statistics status stop trace; do
		run -0 "$ctl" help "$command"
		says "Usage: nitroctl $command" "--json"
		[ "$output" = "$("$ctl" "$command" --help)" ]
	done
}

@test "no command, and an unknown one, are usage errors" {
	run -2 "$ctl"
	run -2 "$ctl" stauts
	says "there is no command 'stauts'"
	run -2 "$ctl" help stauts
}

@test "wrong words are usage errors" {
	run -2 "$ctl" status extra
	run -2 "$ctl" regs
	says "the name of a function is missing"
	run -2 "$ctl" regs a b
	run -2 "$ctl" trace sing
	says "is none of list, enable, disable, read and follow"
	run -2 "$ctl" trace enable
	run -2 "$ctl" faults set ebs0
	run -2 "$ctl" faults set ebs0 io_delay --probability 2
	run -2 "$ctl" qemu-args --memory lots
	says "'lots' is not a size"
	run -2 "$ctl" boot --cpus 0
	run -2 "$ctl" boot --accel warp
	run -2 "$ctl" boot --console printer
	run -2 "$ctl" boot --nic printer
}

@test "without a card every command says so, with status 3" {
	for command in status config metrics bugs faults qemu-args stop \
		'regs ebs0' 'reset ebs0' 'trace list'; do
		# shellcheck disable=SC2086 # a command and its words
		run -3 "$ctl" --socket-dir "$dir" $command
		says "no card answers at $dir/control.sock" "--socket-dir DIR"
	done
}

@test "status is a table" {
	start_card
	run -0 "$ctl" status
	says "FUNCTION" "ebs0" "1d0f:8061" "waiting" "$dir/ebs0.sock"
}

@test "the card is found by option, environment and default" {
	start_card
	unset NITRO_SOCKET_DIR
	run -0 "$ctl" --socket-dir "$dir" status
	run -0 "$ctl" status --socket-dir "$dir"
	NITRO_SOCKET_DIR=$dir run -0 "$ctl" status
}

@test "every command prints JSON when asked" {
	start_card
	for command in status config metrics bugs faults qemu-args 'regs ebs0' \
		'regs -c ebs0' 'trace list' 'reset ebs0'; do
		# shellcheck disable=SC2086 # a command and its words
		"$ctl" --json $command | is_json
		# shellcheck disable=SC2086
		"$ctl" $command --json | is_json
	done
}

@test "registers are shown by name" {
	start_card
	run -0 "$ctl" regs ebs0
	says "CAP" "CSTS" "0x00010400"
	run -0 "$ctl" regs --config ebs0
	says "Vendor ID" "0x1d0f" "[11] MSI-X" "[10] PCI Express"
}

@test "what the card refuses is status 1, with a hint" {
	start_card
	run -1 "$ctl" reset ebs7
	says "there is no function 'ebs7'"
	run -1 "$ctl" faults set ebs0 nonsense
	says "no fault point 'nonsense'" "names the points"
	run -1 "$ctl" trace enable 'zzz*'
	says "no event matches"
}

@test "faults are set, shown and cleared" {
	start_card
	"$ctl" faults set ebs0 io_delay --value 1000 --probability 0.5
	run -0 "$ctl" faults
	says "p=0.5 value=1000"
	"$ctl" faults clear ebs0 io_delay
	run -0 "$ctl" faults list ebs0
	[[ $output != *value=1000* ]]
}

@test "events are recorded once they are enabled" {
	start_card
	"$ctl" trace enable 'pcie_*'
	run -0 "$ctl" trace list
	[[ $output =~ on\ +pcie_ ]]
	"$ctl" reset ebs0
	run -0 "$ctl" trace read
	says "ebs0 pcie_"
}

@test "the configuration of a running card starts another" {
	start_card
	"$ctl" config >running.json
	run -0 "$card" --check running.json
}

@test "metrics are OpenMetrics" {
	start_card
	run -0 "$ctl" metrics
	says '# TYPE nitro_vfio_user_messages counter' \
		'nitro_vfio_user_messages_total{function="ebs0"}'
	[ "${lines[-1]}" = "# EOF" ]
}

@test "qemu-args are what a shell reads back" {
	dir=$BATS_TEST_TMPDIR/"with 'quotes' \$and spaces"
	start_card
	run -0 "$ctl" qemu-args --memory 2GiB
	says "share=on" "vfio-user-pci"
	eval "set -- $("$ctl" qemu-args --one-line --memory 2GiB)"
	[ "$*" = "$("$ctl" --json qemu-args --memory 2GiB |
		/usr/bin/python3 -c 'import json, sys
print(*json.load(sys.stdin))')" ]
	[ "$2" = 2048M ]
}

@test "stop ends the card" {
	start_card
	"$ctl" stop
	wait "$card_pid"
}

# A QEMU that only says what it was given.
fake_qemu()
{
	cat >qemu <<-EOF
		#!/bin/sh
		if [ "\$1" = --version ]; then
			echo "QEMU emulator version $1 (a fake)"
		else
			printf '%s\n' "\$@" >qemu.args
			$2
		fi
	EOF
	chmod +x qemu
}

@test "boot refuses a QEMU that is too old" {
	fake_qemu 7.2.22
	truncate -s 1M root.img
	run -1 "$ctl" boot --qemu ./qemu root.img
	says "QEMU 7.2.22" "10.1 or newer"
	run -1 "$ctl" boot --qemu ./none root.img
	says "is not a QEMU that runs here"
}

@test "boot serves an image to a thin machine and cleans up after it" {
	fake_qemu 11.1.0 'ls nitroctl-*/*.sock >sockets.list'
	truncate -s 1M root.img
	run -0 "$ctl" boot --qemu ./qemu --accel tcg --memory 512MiB --cpus 3 \
		--console unix:console --qmp monitor root.img -- -extra words
	says "QEMU 11.1.0" "TCG" "3 CPUs" "512 MiB"
	grep -q ebs0.sock sockets.list
	args=$(cat qemu.args)
	output=$args
	says -nodefaults -no-user-config "q35,accel=tcg" "size=512M,share=on" \
		'"addr":"4.0"' '"bootindex":1' "manufacturer=Amazon EC2" \
		"path=console" "unix:monitor,server=on,wait=off"
	[ "$(tail -n 2 qemu.args | paste -sd' ')" = "-extra words" ]
	[ -z "$(ls -d nitroctl-* 2>/dev/null)" ]
}

@test "boot starts from the first volume, whatever is named before it" {
	cat >card.yaml <<-END
		functions:
		  - nsm: { name: nsm0 }
		  - ena: { name: eth0, switch: lan }
		  - ebs: { name: ebs0, volume: { memory: 1MiB } }
	END
	start_card card.yaml
	fake_qemu 10.1.0 true
	run -0 "$ctl" boot --qemu ./qemu --accel tcg
	output=$(grep -F "$dir/ebs0.sock" qemu.args)
	says '"addr":"4.0"' '"bootindex":1'
	output=$(grep -F "$dir/nsm0.sock" qemu.args)
	says '"addr":"1e.0"'
	[ "$(grep -c bootindex qemu.args)" = 1 ]
}

@test "boot without an image attaches to the running card" {
	start_card
	fake_qemu 10.1.0 true
	run -0 "$ctl" boot --qemu ./qemu --accel tcg
	grep -qF "$dir/ebs0.sock" qemu.args
	"$ctl" status >/dev/null
}

@test "boot attaches the functions that it is told to, in that order" {
	start_card
	fake_qemu 10.1.0 true
	run -0 "$ctl" boot --qemu ./qemu --accel tcg --function ebs0
	[ "$(grep -c vfio-user-pci qemu.args)" = 1 ]
	rm qemu.args
	run -1 "$ctl" boot --qemu ./qemu --accel tcg --function ebs0 \
		--function ebs7
	says "the card has no function ebs7"
	[ ! -e qemu.args ]
}

@test "boot gives the guest of an image a NIC where EC2 has it, or none" {
	fake_qemu 11.1.0 true
	truncate -s 1M root.img
	run -0 "$ctl" boot --qemu ./qemu --accel tcg root.img
	grep -F '"id":"eth0"' qemu.args | grep -qF '"addr":"5.0"'
	run -0 "$ctl" boot --qemu ./qemu --accel tcg --nic none root.img
	run -1 grep -F '"id":"eth0"' qemu.args
	grep -qF '"id":"nsm0"' qemu.args
	[ "$(grep -c vfio-user-pci qemu.args)" = 2 ]
}

@test "boot tells what went wrong with the image" {
	fake_qemu 11.1.0 true
	run -1 "$ctl" boot --qemu ./qemu --accel tcg none.img
	says "none.img: No such file"
	truncate -s 1 odd.img
	run -1 "$ctl" boot --qemu ./qemu --accel tcg odd.img
	says "odd.img"
	printf 'QFI\xfb%04096d' 0 >packed.img
	run -1 "$ctl" boot --qemu ./qemu --accel tcg packed.img
	says "qcow2" "qemu-img convert -O raw packed.img"
	[ ! -e qemu.args ]
	[ -z "$(ls -d nitroctl-* 2>/dev/null)" ]
}

@test "boot passes on that QEMU failed" {
	fake_qemu 11.1.0 'exit 7'
	truncate -s 1M root.img
	run -1 "$ctl" boot --qemu ./qemu --accel tcg root.img
	says "QEMU ended with status 7"
}

@test "boot ends QEMU and card when it is told to end" {
	fake_qemu 11.1.0 'exec sleep 60'
	truncate -s 1M root.img
	"$ctl" boot --qemu ./qemu --accel tcg root.img 3>&- &
	pid=$!
	for _ in $(seq 100); do [ -e qemu.args ] && break; sleep 0.1; done
	kill "$pid"
	if wait "$pid"; then false; fi
	[ -z "$(ls -d nitroctl-* 2>/dev/null)" ]
}

@test "boot ends QEMU when the card has died" {
	fake_qemu 11.1.0 "kill -9 \$($ctl --socket-dir nitroctl-* --json status |
		sed -n 's/.*\"pid\": \([0-9]*\),.*/\1/p'); exec sleep 60"
	truncate -s 1M root.img
	run -1 "$ctl" boot --qemu ./qemu --accel tcg root.img
	says "nitro-card has ended before the guest"
	[ -z "$(ls -d nitroctl-* 2>/dev/null)" ]
}
