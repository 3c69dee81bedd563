#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Keys of encrypted volumes: where they are, and where they are not.

load cli.bash

perf=$(realpath "${NITRO_BUILD:-build/dev}/nitro-perf")
find_keys=$BATS_TEST_DIRNAME/find-keys.py

# One file volume, encrypted, and an instance-store disk on a file.
start_volumes()
{
	[ -e v.img ] || truncate -s 8M v.img is.img
	cat >card.yaml <<-'EOF'
		functions:
		  - ebs:
		      name: e0
		      volume-id: vol-0123456789abcdef0
		      volume: { file: v.img, encrypted: true }
		  - ebs: { name: i0, profile: is-3, volume: { file: is.img } }
	EOF
	start_card --config card.yaml
}

stop_card()
{
	kill "$card_pid"
	wait "$card_pid" || true
	card_pid=
}

details()
{
	"$ctl" status --json | python3 -c '
import json, sys
for fn in json.load(sys.stdin)["functions"]:
    if fn["name"] == sys.argv[1]:
        details = fn.get("details", fn)
        print(*(json.dumps(details[key]) for key in sys.argv[2:]))' "$@"
}

# has_no_key FILE...: and the search would have found one.
has_no_key()
{
	run /usr/bin/python3 "$find_keys" state "$@"
	[ "$status" = 0 ] || printf '%s\n' "$output"
	[ "$status" = 0 ]
}

wait_until_gone()
{
	for _ in $(seq 100); do
		grep -q "key was erased" card.log && return
		sleep 0.1
	done
	cat card.log
	return 1
}

@test "a key in memory like any other would be found" {
	[ -z "${NITRO_SANITIZE-}" ] || skip "it says nothing about the card"
	start_volumes
	/usr/bin/python3 -c '
import os, time
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
cipher = Cipher(algorithms.AES(os.urandom(64)), modes.XTS(bytes(16))).encryptor()
print(len(cipher.update(bytes(512))), flush=True)
time.sleep(60)' >out.log 3>&- &
	holder=$!
	for _ in $(seq 100); do
		[ -s out.log ] && break
		sleep 0.1
	done
	gcore -o holder "$holder" >gcore.log 2>&1
	kill "$holder"
	run /usr/bin/python3 "$find_keys" --any state "holder.$holder"
	[ "$status" = 1 ]
	says "a schedule of AES-256"
	# As the card has it.
	/usr/bin/python3 -c '
import os, runpy, sys
rounds = runpy.run_path(sys.argv[1])["schedule"](os.urandom(32))
rounds = [rounds[at:at + 16] for at in range(0, len(rounds), 16)]
wide = b"".join(4 * one for one in rounds)
open("wide", "wb").write(os.urandom(1001) + wide + bytes(5000))' "$find_keys"
	run /usr/bin/python3 "$find_keys" state wide
	[ "$status" = 1 ]
	says "wide: a schedule of AES-256 at byte 1001"
}

@test "a volume's key is in no core file, attached or not, no log and no answer" {
	[ -z "${NITRO_SANITIZE-}" ] || skip "a sanitizer's cores have terabytes"
	start_volumes
	"$perf" --rw=randwrite --verify=crc32c --number_ios=500 --runtime=20 \
		"$dir/e0.sock" >first.log 2>&1
	wait_until_gone
	"$perf" --rw=randrw --runtime=60 "$dir/e0.sock" >perf.log 2>&1 3>&- &
	perf_pid=$!
	"$perf" --rw=randrw --runtime=60 "$dir/i0.sock" >perf2.log 2>&1 3>&- &
	perf2_pid=$!
	for _ in $(seq 100); do
		[ "$(grep -c 'client attached' card.log)" -ge 3 ] && break
		sleep 0.1
	done
	"$ctl" status --json >answers.json
	"$ctl" metrics >>answers.json
	gcore -o attached "$card_pid" >gcore.log 2>&1
	gcore -o driver "$perf_pid" >>gcore.log 2>&1
	kill "$perf_pid" "$perf2_pid"
	wait "$perf_pid" "$perf2_pid" || true
	for _ in $(seq 100); do
		[ "$(grep -c 'key was erased' card.log)" -ge 3 ] && break
		sleep 0.1
	done
	gcore -o after "$card_pid" >>gcore.log 2>&1
	run /usr/bin/python3 "$find_keys" --control state "after.$card_pid"
	[ "$status" = 1 ] # what is wrapped is there, so this finds what is
	has_no_key "attached.$card_pid" "after.$card_pid" "driver.$perf_pid" \
		answers.json card.log v.img state/security-chip/audit.log
}

@test "what is written to an encrypted volume is read after a restart" {
	start_volumes
	"$perf" --rw=write --verify=crc32c --bs=64k --io_size=8M --runtime=30 \
		"$dir/e0.sock"
	cp v.img before.img
	stop_card
	start_volumes
	"$perf" --rw=read --verify=crc32c --bs=64k --io_size=8M --runtime=30 \
		"$dir/e0.sock"
	cmp v.img before.img
	# Noise: no byte is much more frequent than another.
	run python3 -c '
import collections
data = open("v.img", "rb").read()
counts = collections.Counter(data)
print(max(counts.values()) / (len(data) / 256))
assert max(counts.values()) < 1.1 * len(data) / 256'
	[ "$status" = 0 ] || printf '%s\n' "$output"
	[ "$status" = 0 ]
}

@test "status says what is encrypted and whether the key is there" {
	start_volumes
	[ "$(details e0 encrypted kms_key_id key_loaded)" = \
		'true "alias/aws/ebs" false' ]
	[ "$(details i0 encrypted kms_key_id key_loaded)" = \
		'true null false' ]
}

@test "an instance-store disk is handed over with zeros at its ends" {
	truncate -s 8M v.img is.img
	python3 -c 'open("is.img", "r+b").write(b"old label" * 1000)'
	start_volumes
	"$perf" --rw=read --number_ios=1 --runtime=10 "$dir/i0.sock"
	run head -c 4096 is.img
	[ "$(head -c 4096 is.img | tr -d '\0' | wc -c)" = 0 ]
	[ "$(tail -c 4096 is.img | tr -d '\0' | wc -c)" = 0 ]
}

@test "what an instance-store disk held is noise once it was detached" {
	start_volumes
	"$perf" --rw=write --verify=crc32c --bs=64k --io_size=8M --runtime=30 \
		"$dir/i0.sock"
	run "$perf" --rw=read --verify=crc32c --bs=64k --offset=1M \
		--io_size=1M --runtime=30 "$dir/i0.sock"
	[ "$status" != 0 ]
	says "no data of this program"
	[[ $output != *"starts with 0000000000000000"* ]]
}

@test "a wrapped key that was damaged is told before anybody attaches" {
	start_volumes
	stop_card
	key=state/security-chip/keys/vol-0123456789abcdef0.key
	printf X | dd of=$key bs=1 seek=200 conv=notrunc status=none
	run -2 "$card" --socket-dir "$dir" --config card.yaml
	says "cannot be unwrapped" "put back the copy"
}

@test "a volume that holds data becomes encrypted by no key of this moment" {
	truncate -s 8M v.img is.img
	printf 'a file system' | dd of=v.img bs=1 seek=8380000 conv=notrunc \
		status=none
	cp v.img before.img
	run -1 start_volumes
	run -2 "$card" --socket-dir "$dir" --config card.yaml
	says "card.yaml:5:41:" "vol-0123456789abcdef0 holds data" \
		"begin with a blank volume"
	[ ! -e state/security-chip/keys/vol-0123456789abcdef0.key ]
	cmp v.img before.img
}

@test "an encrypted volume that is no file does not hold up the card" {
	mkfifo v.img
	truncate -s 8M is.img
	run -1 start_volumes
	run -2 timeout 60 "$card" --socket-dir "$dir" --config card.yaml
	says "card.yaml:2:" "v.img is no file and no block device"
}

@test "a volume whose key was taken away is not given another one" {
	start_volumes
	"$perf" --rw=write --bs=64k --io_size=1M --runtime=30 "$dir/e0.sock"
	stop_card
	mv state/security-chip/keys/vol-0123456789abcdef0.key kept
	run -2 "$card" --socket-dir "$dir" --config card.yaml
	says "keys/vol-0123456789abcdef0.key is not there" "put the key back"
	mv kept state/security-chip/keys/vol-0123456789abcdef0.key
	start_volumes
}

@test "words that do not go together are refused with their place" {
	echo 'functions: [{ebs: {volume: {memory: 1MiB, kms-key-id: a}}}]' \
		>bad.yaml
	run "$card" --check --config bad.yaml
	[ "$status" != 0 ]
	says "bad.yaml:1:" "not encrypted" "encrypted: true"
	echo 'functions: [{ebs: {profile: is-3, volume: {memory: 1MiB,' \
		'encrypted: true, key-file: k}}}]' >bad.yaml
	run "$card" --check --config bad.yaml
	[ "$status" != 0 ]
	says "bad.yaml:1:" "draws its key anew"
	truncate -s 1M v.img
	echo 'functions: [{ebs: {volume: {file: v.img, encrypted: true}}}]' \
		>bad.yaml
	run "$card" --check --config bad.yaml
	[ "$status" != 0 ]
	says "bad.yaml:1:" "needs an id of its own" "volume-id: vol-"
}
