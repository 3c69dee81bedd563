#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# nitro-probe, as a user meets it; what it finds is tested in tests/wrong.

load cli.bash

man=$BATS_TEST_DIRNAME/../../firmware/man/nitro-probe.1.scd

setup_file()
{
	export probe=$(realpath "${NITRO_BUILD:-build/dev}/nitro-probe")
}

# write_card YAML...: a configuration with these functions.
write_card()
{
	printf 'functions:\n' >card.yaml
	printf '  - ebs: { %s }\n' "$@" >>card.yaml
}

@test "a good volume keeps all rules" {
	write_card 'name: ebs0, volume: { memory: 8MiB }'
	start_card card.yaml
	run -0 "$probe" "$dir/ebs0.sock"
	says "1d0f:8061" "PCI Express" "MSI-X: 3" "NVMe 1.4: Amazon Elastic" \
		"16384 blocks of 512 bytes" "ok    pci.flr" " 0 broken, "
}

@test "it says what it skips, and why" {
	write_card 'name: ebs0, volume: { memory: 8MiB }'
	start_card card.yaml
	run -0 "$probe" --only 'write.*' "$dir/ebs0.sock"
	says "skip  write.plain" "it changes data: --write" "0 hold, 0 broken"
}

@test "without --write it changes nothing, with it it puts back what was there" {
	head -c 1M /dev/urandom >volume.img
	cp volume.img before.img
	write_card 'name: ebs0, volume: { file: volume.img }'
	start_card card.yaml
	run -0 "$probe" "$dir/ebs0.sock"
	cmp volume.img before.img
	run -0 "$probe" --write "$dir/ebs0.sock"
	says "ok    write.survives-reset"
	cmp volume.img before.img
}

@test "a write-protected volume is held to that" {
	truncate -s 1M volume.img
	write_card 'name: ebs0, volume: { file: volume.img, read-only: true }'
	start_card card.yaml
	run -0 "$probe" --write --only 'write.*' "$dir/ebs0.sock"
	says "ok    write.protected" "the namespace is write-protected"
}

@test "a volume of one block is enough" {
	write_card 'name: ebs0, volume: { memory: 512 }'
	start_card card.yaml
	run -0 "$probe" --write "$dir/ebs0.sock"
	says "1 blocks of 512 bytes"
}

@test "every profile keeps all rules" {
	names=$("$card" --print-schema | /usr/bin/python3 -c '
import json, sys
print(*json.load(sys.stdin)["properties"]["functions"]["items"]["oneOf"][0]
      ["properties"]["ebs"]["properties"]["profile"]["enum"])')
	functions=()
	for name in $names; do
		functions+=("name: $name, profile: $name, pm: true, aer: true, volume: { memory: 1MiB }")
	done
	write_card "${functions[@]}"
	start_card card.yaml
	for name in $names; do
		run -0 "$probe" --write "$dir/$name.sock"
		says " 0 broken, "
	done
}

@test "--json is one object, as the manual has it" {
	write_card 'name: ebs0, volume: { memory: 8MiB }'
	start_card card.yaml
	"$probe" --json --only 'identify.*' "$dir/ebs0.sock" >found.json
	/usr/bin/python3 - "$man" <<-'EOF'
		import json, sys
		manual = open(sys.argv[1]).read()
		found = json.load(open("found.json"))
		rules = found["rules"]
		assert found["holds"] == len(rules) and not found["broken"], found
		assert {r["verdict"] for r in rules} == {"holds"}
		assert found["function"]["vendor"] == 0x1d0f
		assert found["function"]["nvme"]["blocks"] == 16384
		def keys(value):
		    if isinstance(value, dict):
		        for key, inner in value.items():
		            yield key
		            yield from keys(inner)
		    elif isinstance(value, list):
		        for inner in value:
		            yield from keys(inner)
		kinds = {"INTx", "MSI", "MSI-X"}
		missing = [k for k in set(keys(found)) - kinds if f"*{k}*" not in manual]
		assert not missing, missing
	EOF
}

@test "a security module keeps all rules, and is told as the manual has it" {
	printf 'functions:\n  - nsm: { name: nsm0, module-id: i-1-enc2 }\n' \
		>card.yaml
	start_card card.yaml
	run -0 "$probe" --write "$dir/nsm0.sock"
	says "1af4:1061" "NSM: module i-1-enc2" "ok    pci.capability-ids" \
		"ok    virtio-queue.early" "ok    nsm-pcr.kept" " 0 broken, "
	grep -c "^skip  \(virtio\|nsm\)" <<<"$output" && return 1
	run -0 "$probe" --json --only 'nsm-document.*' "$dir/nsm0.sock"
	says '"module_id": "i-1-enc2"' '"queue_entries": 64' '"holds": 5'
	grep -qF '*module_id*' "$man"
}

@test "a broken rule is told apart, and ends it with 1" {
	export NITRO_MISTAKE=version_differs
	card=$(dirname "$card")/nitro-card-wrong
	write_card 'name: ebs0, volume: { memory: 8MiB }'
	start_card card.yaml
	run -1 "$probe" --only 'identify.*' "$dir/ebs0.sock"
	says "BROKEN identify.version" "VS is 00010400h, VER 00010200h" \
		"1 broken"
	run -1 --separate-stderr "$probe" -j --only identify.version \
		"$dir/ebs0.sock"
	says '"verdict": "broken"' '"detail": "VS is'
}

@test "a controller that does not answer breaks rules and does not hang" {
	export NITRO_MISTAKE=never_ready
	card=$(dirname "$card")/nitro-card-wrong
	write_card 'name: ebs0, volume: { memory: 8MiB }'
	start_card card.yaml
	run -1 "$probe" --timeout 100 --only 'register.enable' \
		--only 'queue.*' "$dir/ebs0.sock"
	says "CSTS.RDY stays 0" "the controller cannot be made ready any more"
}

@test "a card that dies meanwhile breaks rules and does not hang" {
	# It would wait a minute for CSTS.RDY.
	export NITRO_MISTAKE=never_ready
	card=$(dirname "$card")/nitro-card-wrong
	write_card 'name: ebs0, volume: { memory: 8MiB }'
	start_card card.yaml
	"$probe" --timeout 60000 "$dir/ebs0.sock" >found 3>&- &
	found=$!
	until grep -q 'attached' card.log || ! kill -0 "$found"; do
		sleep 0.1
	done
	kill -9 "$card_pid"
	status=0
	wait "$found" || status=$?
	cat found
	[ "$status" = 1 ] || [ "$status" = 2 ]
}

@test "nobody there: says so, and ends with 2" {
	run -2 "$probe" "$BATS_TEST_TMPDIR/nothing.sock"
	says "nitro-probe: " "nothing.sock"
}

@test "mistakes of the command line end with 2" {
	run -2 "$probe"
	says "an address is needed"
	run -2 "$probe" --timeout never /a/b
	says "not a number of milliseconds"
	run -2 "$probe" --only 'nothing.*' /a/b
	says "no rule is called that"
	run -2 "$probe" /a/b /c/d
	says "only one address"
}

@test "--list prints the rules that --only chooses, with their clauses" {
	run -0 "$probe" --list --only 'queue.delete*'
	says "queue.delete-cq-in-use" "NVMe 1.4, 5.5"
	[ "${#lines[@]}" -lt 10 ]
	run -0 "$probe" --list --json
	/usr/bin/python3 -c 'import json, sys
rules = json.load(sys.stdin)
names = [r["name"] for r in rules]
assert len(names) == len(set(names)) > 200
assert all(r["clause"] and r["sentence"].endswith(".") for r in rules)' \
		<<<"$output"
}

@test "nitro-probe(1) has every option and every class of rules" {
	for option in $("$probe" --help | grep -oE -- '--[a-z-]+' | sort -u); do
		case $option in --help | --usage | --version) continue ;; esac
		grep -qF -- "*$option*" "$man" || { echo "missing: $option"; return 1; }
	done
	for class in $("$probe" --list | cut -d. -f1 | sort -u); do
		grep -qF -- "*$class*" "$man" || { echo "missing: $class"; return 1; }
	done
}
