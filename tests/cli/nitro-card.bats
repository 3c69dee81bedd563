#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# nitro-card as a user at a shell meets it.

load cli.bash

@test "nitro-card --help fits on a screen and shows defaults" {
	run -0 "$card" --help
	[ "${#lines[@]}" -le 40 ]
	says "Usage: nitro-card [OPTION...] [FILE]" "--config=FILE" "(default:" \
		"--check" "--print-schema"
}

@test "nitro-card --version says what it is" {
	run -0 "$card" --version
	[[ $output =~ ^nitro-card\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
}

@test "an unknown option is a usage error" {
	run -2 "$card" --colour
	says "unrecognized option" "nitro-card --help"
}

@test "a wrong log level is a usage error that names the right ones" {
	run -2 "$card" --log-level loud
	says "'loud'" "notice"
}

@test "two configurations are a usage error" {
	run -2 "$card" a.yaml b.yaml
	says "only one configuration"
}

@test "too few open files for so many functions are said beforehand" {
	printf '%s\n' functions: >card.yaml
	for _ in 1 2 3 4 5 6 7 8; do
		echo "  - ebs: { volume: { null: 1MiB } }" >>card.yaml
	done
	ulimit -n 100
	run -0 "$card" --check card.yaml
	says "may open 100 files, but 8 functions" "ulimit -n"
	ulimit -Sn 90
	sed -i 4,9d card.yaml
	run -0 "$card" --check card.yaml
	[ "$output" = "card.yaml: good: ebs0 ebs1" ]
}

@test "the example is good, and says so in one line" {
	"$card" --example >card.yaml
	run -0 "$card" --check card.yaml
	[ "$output" = "card.yaml: good: ebs0 eth0" ]
	run -0 "$card" --check - <card.yaml
	[ "$output" = "<stdin>: good: ebs0 eth0" ]
}

@test "the built-in configuration is good" {
	run -0 "$card" --check
	says "good: ebs0"
}

@test "all mistakes are shown at once, with place, line and caret" {
	cat >card.yaml <<-'EOF'
		functions:
		  - ebs:
		      volume: { memory: 1QiB }
		      profil: ebs-2
		      profile: ebs-9
	EOF
	run -2 "$card" --check card.yaml
	says "card.yaml:3:25: error: 'memory' must be a size" \
		"      volume: { memory: 1QiB }" \
		"                        ^~~~" \
		"card.yaml:4:7: error: unknown key 'profil', did you mean 'profile'?" \
		"card.yaml:5:16: error: 'profile' must be one of ebs-1, ebs-2"
}

@test "a card with a mistake does not start" {
	echo 'functions: [ { ebs: { volume: { memory: 1GiB }, x: 1 } } ]' >card.yaml
	run -2 "$card" --socket-dir "$dir" card.yaml
	says "card.yaml:1:49: error: unknown key 'x'"
	[ ! -e "$dir/ebs0.sock" ]
}

@test "a volume that is not there is told with its place" {
	echo 'functions: [ { ebs: { volume: { file: none.img } } } ]' >card.yaml
	run -2 "$card" --check card.yaml
	says "card.yaml:1:" "none.img" "No such file"
	run -2 "$card" --socket-dir "$dir" --config card.yaml
	says "none.img"
}

@test "a volume's path is relative to the configuration" {
	mkdir conf
	truncate -s 1M conf/root.img
	echo 'functions: [ { ebs: { volume: { file: root.img } } } ]' >conf/card.yaml
	run -0 "$card" --check conf/card.yaml
}

@test "a configuration that is not there is told" {
	run -2 "$card" --check none.yaml
	says "none.yaml: No such file or directory"
}

@test "the schema is JSON and accepts the example and the effective configuration" {
	"$card" --print-schema >schema.json
	"$card" --example >card.yaml
	"$card" --print-config card.yaml >effective.json
	/usr/bin/python3 - <<-'EOF'
		import json
		schema = json.load(open("schema.json"))
		effective = json.load(open("effective.json"))
		assert schema["$schema"].endswith("2020-12/schema")
		try:
		    import jsonschema
		except ImportError:
		    raise SystemExit
		jsonschema.Draft202012Validator.check_schema(schema)
		judge = jsonschema.Draft202012Validator(schema)
		judge.validate(effective)
		effective["functions"][0]["ebs"]["profil"] = 1
		assert not judge.is_valid(effective)
	EOF
}

@test "the effective configuration can be fed back" {
	"$card" --example | "$card" --print-config - >effective.json
	"$card" --print-config effective.json >again.json
	diff effective.json again.json
}

@test "--print-capabilities is JSON" {
	"$card" --print-capabilities >capabilities.json
	/usr/bin/python3 -c '
import json
c = json.load(open("capabilities.json"))
assert c["type"] == "vfio-user" and "ebs" in c["functions"]
assert "fn-ebs" in c["features"]'
}

@test "a card says where it is ready, and ends at once with status 0" {
	start_card
	grep -q "ebs0: ready on $dir/ebs0.sock" card.log
	[ "$(stat -c %a "$dir")" = 700 ]
	[ "$(stat -c %a "$dir/control.sock")" = 600 ]
	start=$(date +%s%N)
	kill "$card_pid"
	wait "$card_pid"
	# A second is what it promises; the machine may be busy with others.
	[ $(($(date +%s%N) - start)) -lt 4000000000 ]
	[ ! -e "$dir/ebs0.sock" ]
	[ ! -e "$dir/control.sock" ]
}

@test "a second card in the same directory is refused" {
	start_card
	run -1 "$card" --socket-dir "$dir"
	says "another card is running" "--socket-dir"
	[ -S "$dir/control.sock" ]
	"$ctl" status >/dev/null
}

@test "the socket of a card that was killed is replaced" {
	start_card
	kill -9 "$card_pid"
	wait "$card_pid" || true
	start_card
}

@test "systemd is told when the card is ready" {
	/usr/bin/python3 - "$card" "$dir" <<-'EOF'
		import os, signal, socket, subprocess, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.bind("notify")
		s.settimeout(20)
		card = subprocess.Popen(
		    [sys.argv[1], "--socket-dir", sys.argv[2]],
		    env=os.environ | {"NOTIFY_SOCKET": os.path.abspath("notify")})
		try:
		    assert s.recv(100) == b"READY=1"
		    card.terminate()
		    assert s.recv(100) == b"STOPPING=1"
		finally:
		    card.kill()
	EOF
}
