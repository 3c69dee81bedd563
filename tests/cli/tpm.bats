#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# What a user at a shell can ask of the card's TPM.

load cli.bash

volume='functions: [ { ebs: { volume: { memory: 1MiB } } } ]'

start_tpm()
{
	printf 'card: { name: demo }\ntpm: {%s}\n%s\n' "$1" "$volume" >tpm.yaml
	start_card tpm.yaml
}

stop_tpm()
{
	kill "$card_pid"
	wait "$card_pid"
}

@test "a TPM is in the status and in QEMU's arguments" {
	start_tpm
	run -0 "$ctl" status
	says "tpm0: TPM 2.0 of demo" "tpm0.tpm"
	run -0 "$ctl" qemu-args
	says "socket,id=nitro-tpm,path=$dir/tpm0.tpm" "emulator,id=tpm0" \
		"tpm-crb,tpmdev=tpm0"
	run -0 "$ctl" tpm
	says "waiting" "boots 0"
	run -0 "$ctl" --json tpm status
	says '"started": false' '"pcrs_sha384": null'
}

@test "endorsement keys are public keys, and the same for ever" {
	start_tpm ' instance: i-0123456789abcdef0 '
	run -0 "$ctl" tpm ek
	rsa=$output
	base64 -d <<<"$rsa" | openssl pkey -pubin -inform der -noout -text |
		grep -q '(2048 bit)'
	run -0 "$ctl" tpm ek --key ecc-sec-p384
	base64 -d <<<"$output" | openssl pkey -pubin -inform der -noout -text |
		grep -q 'NIST CURVE: P-384'
	# TPMT_PUBLIC: TPM_ALG_RSA, TPM_ALG_SHA256.
	run -0 "$ctl" tpm ek --format tpmt
	[ "$(base64 -d <<<"$output" | od -An -tx1 -N4 | tr -d ' ')" = 0001000b ]
	stop_tpm
	start_tpm ' instance: i-0123456789abcdef0 '
	run -0 "$ctl" tpm ek
	[ "$output" = "$rsa" ]
	stop_tpm
	start_tpm ' instance: i-00000000000000001 '
	run -0 "$ctl" tpm ek
	[ "$output" != "$rsa" ]
}

@test "mistakes about a TPM are told with place and remedy" {
	printf 'tpm: []\n%s' "$volume" >list.yaml
	run -2 "$card" --check list.yaml
	says "list.yaml:1:6" "a card has one TPM"
	printf 'tpm: {}\ntpm: {}\n%s' "$volume" >two.yaml
	run -2 "$card" --check two.yaml
	says "two.yaml:2:1" "already on line 1"
	printf 'tpm: { instance: a/b }\n%s' "$volume" >name.yaml
	run -2 "$card" --check name.yaml
	says "name.yaml:1:" "letters, digits"
	start_card
	run -1 "$ctl" tpm
	says "this card has no TPM" "tpm: {}"
}

@test "an altered state keeps the card from starting" {
	start_tpm
	"$ctl" tpm ek
	stop_tpm
	state=$STATE_DIRECTORY/security-chip/tpm/demo.permall
	printf x | dd of="$state" bs=1 seek=100 conv=notrunc status=none
	run -2 "$card" --check tpm.yaml
	says "demo.permall was altered, or is of another installation" \
		"moved away"
	run -2 "$card" --socket-dir "$dir" tpm.yaml
	says "was altered"
}

@test "two cards cannot have the TPM of one instance" {
	start_tpm
	run -2 "$card" --socket-dir "$BATS_TEST_TMPDIR/other" tpm.yaml
	says "another card has the TPM of demo" "tpm.instance"
	run -0 "$card" --check tpm.yaml
}

@test "what a VMM does to the TPM is counted, and its mistakes are told" {
	start_tpm
	run -0 "$ctl" bugs tpm0
	says "no rule has been broken"
	# An unknown request, and GET_CAPABILITY.
	python3 - "$dir/tpm0.tpm" <<-'END'
		import socket, sys
		vmm = socket.socket(socket.AF_UNIX)
		vmm.connect(sys.argv[1])
		vmm.sendall(bytes([0, 0, 0, 0x77]))
		assert vmm.recv(4) == bytes([0, 0, 0, 0x0a])
		vmm.sendall(bytes([0, 0, 0, 1]))
		assert vmm.recv(8)[-1] == 0xff
	END
	run -0 "$ctl" bugs
	says "tpm0: tpm.REQUEST_UNKNOWN, 1 times, last with 0x77" "swtpm_ioctls"
	run -0 "$ctl" metrics
	says "# TYPE nitro_tpm_requests counter" \
		'nitro_tpm_requests_total{function="tpm0"} 2' \
		'nitro_tpm_refused_requests_total{function="tpm0"} 1' \
		'nitro_tpm_command_us_total{function="tpm0"} 0' \
		'nitro_tpm_boots_total{function="tpm0"} 0'
	run -1 "$ctl" bugs tpm1
	says "there is no function 'tpm1'"
}
