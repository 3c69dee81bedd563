#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# What a user at a shell can ask of a NIC.

load cli.bash

start_nics()
{
	cat >nics.yaml <<-EOF
		card: { capture-dir: . }
		functions:
		  - ena: { name: eth0, switch: lan }
		  - ebs: { volume: { memory: 1MiB } }
		  - ena: { name: eth1, switch: lan, mac: "02:00:00:00:00:07" }
	EOF
	start_card nics.yaml
}

@test "NICs are in the status, with their addresses in JSON" {
	start_nics
	run -0 "$ctl" status
	says "eth0" "eth1" "1d0f:ec20"
	run -0 "$ctl" metrics
	says 'nitro_ena_tx_packets_total{function="eth1"} 0'
	grep -q '02:00:00:00:00:07, nitro-v4, 8 queue pairs, LLQ, switch lan' \
		card.log
}

@test "an address that no NIC can have is shown where it stands" {
	printf 'functions: [ { ena: { mac: "03:00:00:00:00:01" } } ]' >bad.yaml
	run -2 "$card" --check bad.yaml
	says "bad.yaml:1:" "is no MAC address" "the first byte is even"
	printf 'functions: [ { ena: { switch: ":x" } } ]' >bad.yaml
	run -2 "$card" --check bad.yaml
	says "begins with no colon"
}

@test "an uplink is of one kind, and generates frames that can be" {
	words='functions: [ { ena: { uplink: { %s } } } ]'
	# shellcheck disable=SC2059
	{
		printf "$words" 'generate: 9214' >good.yaml
		printf "$words" 'generate: 59' >small.yaml
		printf "$words" 'generate: 9215' >large.yaml
	}
	run -0 "$card" --check good.yaml
	run -2 "$card" --check small.yaml
	says "small.yaml:1:" "60"
	run -2 "$card" --check large.yaml
	says "9214"
}

@test "a link is shown, pulled and put in again" {
	start_nics
	run -0 "$ctl" link eth0
	[ "$output" = "eth0: up, 25000 Mb/s" ]
	run -0 "$ctl" link eth0 down
	[ "$output" = "eth0: down, 25000 Mb/s" ]
	run -0 "$ctl" link eth1
	says "eth1: up"
	run -0 "$ctl" link eth0 up
	says "eth0: up"
	run -1 "$ctl" link eth0 sideways
	says "up or down, not 'sideways'"
}

@test "statistics and queues are for people and for programs" {
	start_nics
	run -0 "$ctl" statistics eth0
	says "tx_packets" "rx_overruns" "port:" "in_frames"
	run -0 "$ctl" queues eth0
	says "device: idle" "admin: base 0x0" "llq: none" "rss: function toeplitz"
	for command in 'link eth0' 'statistics eth0' 'queues eth0' \
		'capture eth0'; do
		# shellcheck disable=SC2086 # a command and its words
		"$ctl" --json $command |
			/usr/bin/python3 -c 'import json, sys; json.load(sys.stdin)'
	done
}

@test "a capture begins in the folder of the user and stops" {
	start_nics
	run -0 "$ctl" capture eth0
	says "not capturing"
	run -0 "$ctl" capture eth0 packets.pcapng
	says "eth0: capturing"
	[ -e packets.pcapng ]
	run -1 "$ctl" capture eth0 more.pcapng
	says "already"
	run -0 "$ctl" capture eth0 stop
	says "not capturing"
	run -1 "$ctl" capture eth0 missing/packets.pcapng
	says "missing/packets.pcapng"
}

@test "what is no NIC knows none of that" {
	start_nics
	for command in 'link ebs0' 'statistics ebs0' 'queues ebs0' \
		'capture ebs0'; do
		# shellcheck disable=SC2086 # a command and its words
		run -1 "$ctl" $command
		says "ebs0 knows no" "of type ebs"
	done
	run -1 "$ctl" link eth7
	says "there is no function 'eth7'"
}

@test "wrong words are usage errors" {
	for command in link capture statistics queues; do
		run -2 "$ctl" "$command"
		says "the name of a function is missing"
	done
	run -2 "$ctl" queues eth0 now
	run -2 "$ctl" link eth0 up up
}

@test "faults of NICs are set by name" {
	start_nics
	"$ctl" faults set eth0 hints --value 30000
	run -0 "$ctl" faults list eth0
	says "hints" "value=30000" "keep_alive" "rx_corrupt"
}
