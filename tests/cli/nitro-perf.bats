#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# nitro-perf as a user at a shell meets it.

load cli.bash

perf=$(realpath "${NITRO_BUILD:-build/dev}/nitro-perf")
man=$BATS_TEST_DIRNAME/../../firmware/man

# A card of small volumes: m0 in memory, s0 whose doorbells are not mapped, n0.
start_volumes()
{
	cat >card.yaml <<-'EOF'
		card: { name: perf, log-level: warn }
		functions:
		  - ebs: { name: m0, volume: { memory: 64MiB } }
		  - ebs:
		      name: s0
		      profile: nvme-1
		      doorbells: trapped
		      volume: { memory: 64MiB }
		  - ebs: { name: n0, volume: { "null": 1GiB } }
	EOF
	"$card" --config card.yaml --socket-dir "$dir" >card.log 2>&1 3>&- &
	card_pid=$!
	export NITRO_SOCKET_DIR=$dir
	for _ in $(seq 100); do
		"$ctl" status >/dev/null 2>&1 && return
		kill -0 "$card_pid" || break
		sleep 0.1
	done
	cat card.log
	return 1
}

# wait_for_io FUNCTION: it has completed commands.
wait_for_io()
{
	until "$ctl" metrics |
		grep -qE "(read|write)_ops_total\{function=\"$1\"\} [1-9]"; do
		sleep 0.05
	done
}

# of EXPRESSION: what it says of the report r in $output.
of()
{
	/usr/bin/python3 -c 'import json, sys
r = json.loads(sys.argv[1]); print(eval(sys.argv[2]))' "$output" "$1"
}

@test "nitro-perf --help fits on a screen, and its manual has every option" {
	run -0 "$perf" --help
	[ "${#lines[@]}" -le 60 ]
	says "--rw=WORD" "--iodepth=N" "ADDRESS is a socket"
	for option in $(grep -oE -- '--[a-z_-]+' <<<"$output" | sort -u); do
		case $option in --help | --usage | --version) continue ;; esac
		grep -qF -- "*$option*" "$man/nitro-perf.1.scd" ||
			{ echo "missing: $option"; return 1; }
	done
}

@test "mistakes in the command line are status 2" {
	while read -r said words; do
		# shellcheck disable=SC2086 # the words of a command
		run -2 "$perf" $words
		says "${said//_/ }"
	done <<-'EOF'
		address_of_a_device_is_missing --rw=read
		not_'y'_as_well x y
		'trim'_is_none_of x --rw=trim
		'100k%'_is_not_a_percentage x --rw=rw --rwmixread=100k%
		goes_with_rw_and_randrw x --rw=read --rwmixread=50
		'511'_does_not_do x --bs=511
		'4x'_does_not_do x --bs=4x
		'0'_does_not_do x --iodepth=0
		'65'_does_not_do x --numjobs=65
		'1y'_does_not_do x --runtime=1y
		'md5'_is_neither x --verify=md5
		'1-'_is_not_a_list x --cpus=1-
		'2-1'_is_not_a_list x --cpus=2-1
		'none'_is_none_of_auto x --doorbells=none
		must_be_more_than_--iodepth x --iodepth=8 --queue-entries=8
		less_than_one_block x --bs=8k --io_size=4k
	EOF
}

@test "a device that is not there is status 3" {
	run -3 "$perf" "$dir/none.sock"
	says "none.sock"
	start_volumes
	run -3 "$perf" "$dir/m0.sock" --control "$dir/none.sock"
	says "no card at $dir/none.sock"
	run -3 "$perf" "$dir/control.sock"
}

@test "what a device cannot do is status 3, and said" {
	start_volumes
	while read -r said words; do
		# shellcheck disable=SC2086 # the words of a command
		run -3 "$perf" "$dir/m0.sock" $words
		says "${said//_/ }"
	done <<-'EOF'
		transfers_up_to --bs=512m
		entries_here --queue-entries=65536
		which_has_67108864_bytes --size=65m
		which_has_67108864_bytes --offset=65m
		multiples_of_the_block_size --offset=100
		not_a_block_of_--bs_for_each_job --size=4k --numjobs=2
		more_blocks_than_--iodepth --verify=crc32c --size=16k --iodepth=4
		there_is_no_namespace_2 --namespace=2
		not_offer_shadow --doorbells=shadow
	EOF
	run -3 "$perf" "$dir/s0.sock" --doorbells mapped
	says "does not offer mapped doorbells"
}

@test "every word of --rw does what it says, as often as it is told" {
	start_volumes
	while read -r word reads writes; do
		run -0 --separate-stderr "$perf" "$dir/m0.sock" --json \
			--rw=$word --number_ios=500 --numjobs=2 --iodepth=7
		[ "$(of 'r["all"]["total_ios"]')" = 1000 ]
		[ "$(of "$reads <= r['read']['total_ios']")" = True ]
		[ "$(of "$writes <= r['write']['total_ios']")" = True ]
		[ "$(of 'r["error"]')" = None ]
	done <<-'EOF'
		read 1000 0
		write 0 1000
		randread 1000 0
		randwrite 0 1000
		rw 400 400
		randrw 400 400
	EOF
	run -0 --separate-stderr "$perf" "$dir/m0.sock" --json --rw=rw \
		--rwmixread=80 --number_ios=1000
	[ "$(of '750 < r["read"]["total_ios"] < 850')" = True ]
	run -0 --separate-stderr "$perf" "$dir/m0.sock" --json --bs=16k \
		--io_size=1m
	[ "$(of 'r["all"]["total_ios"]')" = 64 ]
}

@test "the report is for people, or one JSON object" {
	start_volumes
	run -0 "$perf" "$dir/m0.sock" --rw=randrw --number_ios=64
	says "randrw, bs 4096, iodepth 1, 1 job" "IOPS" "99.99 %" "read " \
		"write " "all " "ns per I/O here" "in the device's process"
	run -0 --separate-stderr "$perf" "$dir/m0.sock" --json --runtime=100ms \
		--control "$dir/control.sock"
	[ "$(of 'r["read"]["lat_ns"]["min"] <= r["read"]["lat_ns"]["mean"]')" = \
		True ]
	[ "$(of 'list(r["read"]["lat_ns"]["percentile"])[0]')" = 50.000000 ]
	[ "$(of 'r["cpu"]["client_ns_per_io"] > 0')" = True ]
	[ "$(of 'r["cpu"]["device_ns_per_io"] > 0')" = True ]
	[ "$(of 'r["cpu"]["device_busy_ns_per_io"] > 0')" = True ]
	[ "$(of 'r["device_pid"]')" = "$card_pid" ]
}

@test "what is written is found again, through every kind of doorbell" {
	start_volumes
	while read -r function doors; do
		for waiting in "" --interrupts; do
			# shellcheck disable=SC2086 # none, or an option
			run -0 --separate-stderr "$perf" "$dir/$function.sock" \
				--json --rw=randrw --verify=crc32c \
				--doorbells=$doors --numjobs=2 --iodepth=9 \
				--number_ios=3000 --bs=12k $waiting
			[ "$(of 'r["doorbells"]')" = "$doors" ]
			[ "$(of 'r["checked"] > r["write"]["total_ios"] / 2')" \
				= True ]
			[ "$(of 'r["wakeups"] > 0')" = \
				"$([ "$waiting" ] && echo True || echo False)" ]
		done
	done <<-'EOF'
		m0 mapped
		m0 trapped
		s0 shadow
		s0 trapped
	EOF
}

@test "a later run checks what an earlier one has written" {
	start_volumes
	area="--size 4m --verify crc32c --iodepth 4 --number_ios 1024"
	# shellcheck disable=SC2086 # options
	run -0 "$perf" "$dir/m0.sock" --rw=write --seed=5 $area
	says "checked: 1024 blocks, all right"
	# shellcheck disable=SC2086
	run -0 "$perf" "$dir/m0.sock" --rw=read --seed=5 $area
	says "checked: 1024 blocks, all right"
	# shellcheck disable=SC2086
	run -1 "$perf" "$dir/m0.sock" --rw=read --seed=6 $area
	says "read of 8 blocks at LBA" "data of seed 5, not 6"
	run -0 "$perf" "$dir/m0.sock" --rw=write --size=4m --number_ios=1024
	# shellcheck disable=SC2086
	run -1 "$perf" "$dir/m0.sock" --rw=read --seed=5 $area
	says "data of"
}

@test "an error of the device ends the load, and is told" {
	start_volumes
	# 2/81 is Unrecovered Read Error.
	"$ctl" faults set m0 io_status --value 641 --skip 100
	run -1 "$perf" "$dir/m0.sock" --iodepth=4 --runtime=0
	says "read of 8 blocks at LBA" "status 2/81" "IOPS"
	"$ctl" faults set n0 io_stall --skip 100
	run -1 --separate-stderr "$perf" "$dir/n0.sock" --json --timeout=200ms
	[[ $stderr == *"nothing is completed any more"* ]]
	[ "$(of 'r["read"]["total_ios"]')" = 100 ]
}

@test "the end of the card is told" {
	start_volumes
	"$perf" "$dir/m0.sock" --runtime=0 >out 2>&1 3>&- &
	perf_pid=$!
	wait_for_io m0
	kill -9 "$card_pid"
	status=0
	wait $perf_pid || status=$?
	[ $status = 1 ]
	run cat out
	says "the device is gone" "IOPS"
}

@test "an interrupt from the keyboard brings the report" {
	start_volumes
	"$perf" "$dir/m0.sock" --rw=randwrite --verify=crc32c --size=4m \
		--runtime=0 >out 2>&1 3>&- &
	perf_pid=$!
	wait_for_io m0
	kill -INT $perf_pid
	wait $perf_pid
	run cat out
	says "IOPS" "all right"
}

@test "the controller is left as if nobody had been there" {
	start_volumes
	run -0 "$perf" "$dir/m0.sock" --number_ios=10
	run -0 "$perf" "$dir/m0.sock" --number_ios=10 --interrupts
	run -0 "$perf" "$dir/m0.sock" --number_ios=10
	run -0 "$ctl" bugs
	says "no rule"
}

# A card of two network adapters on a switch.
start_adapters()
{
	cat >card.yaml <<-'EOF'
		card: { name: perf }
		functions:
		  - ena: { name: eth0, switch: lan }
		  - ena: { name: eth1, switch: lan }
	EOF
	start_card card.yaml
}

@test "packets are sent, received and counted" {
	start_adapters
	run -0 "$perf" --rw=tx --number_ios=20000 --iodepth=32 \
		--peer="$dir/eth1.sock" --json "$dir/eth0.sock"
	[ "$(of 'r["out"]["sent"]')" = 20000 ]
	[ "$(of 'r["out"]["received"]')" = 20000 ]
	run -0 "$perf" --rw=rx --number_ios=20000 --iodepth=32 \
		--peer="$dir/eth1.sock" --json "$dir/eth0.sock"
	[ "$(of 'r["out"]["received"]')" = 20000 ]
	[ "$(of 'r["client_work_ns_per_packet"] > 0')" = True ]
}

@test "packets that nobody here has sent are received and counted" {
	cat >card.yaml <<-'EOF'
		card: { name: perf }
		functions:
		  - ena: { name: eth0, uplink: { generate: 1514 } }
		  - ena: { name: eth1 }
	EOF
	start_card card.yaml
	run -0 "$perf" --rw=rx --number_ios=20000 --iodepth=32 \
		--json "$dir/eth0.sock"
	[ "$(of 'r["out"]["received"] >= 20000')" = True ]
	[ "$(of 'r["out"]["sent"]')" = 0 ]
	run -0 "$perf" --rw=rx --runtime=1 --json "$dir/eth0.sock"
	[ "$(of '11.9 < 1e9 * r["out"]["received_gbits"] / r["out"]["received_pps"] / 1e3 < 12.2')" = True ]
	run -0 "$ctl" statistics eth0
	grep -Eq 'rx_csum_errors +0$' <<<"$output"
	run -0 "$ctl" bugs
	says "no rule"
	run -1 "$perf" --rw=rx --number_ios=1 --timeout=1 "$dir/eth1.sock"
	says "nothing is sent or comes back"
	run -2 "$perf" --rw=rx --verify=crc32c "$dir/eth0.sock"
	says "needs a --peer"
}

@test "packets are verified both ways, in every placement and many queues" {
	start_adapters
	for words in "--llq=off" "--llq=128" "--llq=256" "--numjobs=4" \
		"--doorbells=trapped" "--bs=1514" "--bs=9000"; do
		# shellcheck disable=SC2086 # words of a command
		run -0 "$perf" --rw=txrx --verify=crc32c --number_ios=2000 \
			--iodepth=16 $words --peer="$dir/eth1.sock" \
			--json "$dir/eth0.sock"
		[ "$(of 'r["error"]')" = None ]
		[ "$(of 'r["out"]["checked"] + r["out"]["lost"] == r["out"]["sent"]')" = True ] ||
			{ echo "$words"; return 1; }
		[ "$(of 'r["back"]["checked"] > 1000')" = True ]
	done
}

@test "a byte that goes wrong on the way is found" {
	start_adapters
	"$ctl" faults set eth1 rx_corrupt --value 60
	run -1 "$perf" --rw=tx --verify=crc32c --number_ios=100 \
		--peer="$dir/eth1.sock" "$dir/eth0.sock"
	says "packet"
}

@test "pingpong reports round trips, and tso segments" {
	start_adapters
	run -0 "$perf" --rw=pingpong --number_ios=200 --json \
		--peer="$dir/eth1.sock" "$dir/eth0.sock"
	[ "$(of 'r["rtt_ns"]["total"]')" = 200 ]
	run -0 "$perf" --rw=tx --offload=tso --bs=64k --number_ios=200 \
		--peer="$dir/eth1.sock" --json "$dir/eth0.sock"
	[ "$(of 'r["out"]["received"]')" -ge 9000 ]
}

@test "mistakes in words of packets are status 2" {
	while read -r said words; do
		# shellcheck disable=SC2086 # the words of a command
		run -2 "$perf" $words
		says "${said//_/ }"
	done <<-'EOF'
		needs_a_--peer x --rw=pingpong
		frames_have_60_bytes x --rw=tx --bs=59
		needs_frames_of_114 x --rw=tx --verify=crc32c --bs=64
		one_packet_in_flight x --rw=pingpong --peer=y --iodepth=2
		no_--interrupts x --rw=tx --interrupts
		'300'_is_none_of_auto x --rw=tx --llq=300
		go_with_tx x --rw=read --llq=off
		'ufo'_is_none_of x --rw=tx --offload=ufo
	EOF
}
