#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# The root of trust as an operator meets it: signing, the write gate, what starts
# and what stays in reset, and why.

load cli.bash

# start_rom [ARGUMENT...]: nitro-rom in the background, once it listens.
start_rom()
{
	rm -f rom.log
	"$rom" --flash flash --socket-dir "$dir" "$@" >rom.log 2>&1 3>&- &
	card_pid=$!
	for _ in $(seq 200); do
		grep -q 'control on' rom.log && return
		kill -0 "$card_pid" 2>/dev/null || break
		sleep 0.1
	done
	cat rom.log
	return 1
}

# released: once the first stage has taken note that the card is ready.
released()
{
	for _ in $(seq 100); do
		grep -q 'boot.released' rom.log && return
		sleep 0.05
	done
	cat rom.log
	return 1
}

stop_rom()
{
	kill "$card_pid"
	wait "$card_pid" || true
	card_pid=
}

# image NAME SVN [ARGUMENT...]: a signed image.
image()
{
	local name=$1 svn=$2
	shift 2
	"$ctl" firmware sign --key owner.pem --config card.yaml \
		--security-version "$svn" --output "$name" "$@"
}

install_image() { "$ctl" firmware install --flash flash "$@"; }

# a_flash: a flash with an image of security version 3 that has run from slot a.
a_flash()
{
	cat >card.yaml <<-END
		functions:
		  - ebs: { name: ebs0, volume: { memory: 16MiB } }
	END
	"$ctl" firmware init --flash flash --key owner.pem
	image good 3
	install_image good
}

a_used_flash()
{
	a_flash
	start_rom
	released
	stop_rom
}

# a_quiet_trial: on trial is a program that never says that it is ready.
a_quiet_trial()
{
	cat >silent.c <<-'EOF'
		#include <unistd.h>
		int main(void) { sleep(1000); }
	EOF
	cc -o silent silent.c
	image quiet 4 --program silent
	install_image quiet
}

# flip FILE BYTE [MASK]: one bit of it, or those of the mask.
flip()
{
	/usr/bin/python3 - "$@" <<-'EOF'
		import os, sys
		path, at = sys.argv[1], int(sys.argv[2])
		mask = int(sys.argv[3], 0) if len(sys.argv) > 3 else 1
		os.chmod(path, 0o600)
		with open(path, "r+b") as file:
		    file.seek(at, os.SEEK_END if at < 0 else os.SEEK_SET)
		    byte = file.read(1)[0]
		    file.seek(-1, os.SEEK_CUR)
		    file.write(bytes([byte ^ mask]))
	EOF
}

# held REASON: the card stays in reset for it, and nobody can attach.
held()
{
	run -1 "$ctl" -s "$dir" boot-status
	says "state: HELD" "reason: $1:" "not verified"
	[ -S "$dir/control.sock" ]
	[ "$(find "$dir" -name '*.sock' | wc -l)" = 1 ]
	[ -z "$(pgrep -P "$card_pid")" ]
	[ ! -e flash ] || grep -q "boot.held $1\$" flash/security-chip/audit.log
	run -1 "$ctl" -s "$dir" status
	says "held in reset"
}

# The program, beside the card.
rom()
{
	rom=$(dirname "$card")/nitro-rom
}

@test "a signed firmware is verified, measured and released" {
	rom
	a_flash
	start_rom
	released
	# No function was there before it was verified and measured.
	/usr/bin/python3 - <<-'EOF'
		log = open("rom.log").read()
		steps = ["VERIFY slot a", "MEASURE slot a", "RELEASED slot a",
		         "ebs0: ready on", "boot.released"]
		places = [log.index(step) for step in steps]
		assert places == sorted(places), log
	EOF
	run -0 "$ctl" -s "$dir" boot-status
	says "state: RELEASED, life-cycle production, verified" \
		"slot: a, version 0.1.0, security version 3" "device: 04" "identity: 04"
	"$ctl" -s "$dir" boot-status --json >status.json
	/usr/bin/python3 - <<-'EOF'
		import hashlib, json
		status = json.load(open("status.json"))
		registers = {name: bytes(48) for name in status["registers"]}
		for event in status["events"]:
		    name = event["register"]
		    registers[name] = hashlib.sha384(
		        registers[name] + bytes.fromhex(event["digest"])).digest()
		for name, value in registers.items():
		    assert value.hex() == status["registers"][name], name
		digests = {e["what"]: e["digest"] for e in status["events"]}
		for part in "nitro-card", "card.yaml", "nitro-user-net":
		    with open(f"flash/a/{part}", "rb") as file:
		        assert hashlib.sha384(file.read()).hexdigest() == digests[part]
		assert status["history"] == ["HELD", "VERIFY", "MEASURE", "RELEASED"]
		order = [e["register"] for e in status["events"]]
		assert order == sorted(order, key=["rom", "firmware", "config"].index)
	EOF
	run -0 "$ctl" -s "$dir" status
	says "ebs0"
	stop_rom
	run -0 "$ctl" firmware status --flash flash
	says "floor 3" "slot a: good" "active"
}

@test "a card started by hand is not verified and has other registers" {
	rom
	a_flash
	start_rom
	"$ctl" -s "$dir" boot-status --json >verified.json
	stop_rom
	start_card --config card.yaml
	run -0 "$ctl" boot-status
	says "state: RELEASED, life-cycle unprovisioned, not verified" "slot: -"
	"$ctl" boot-status --json >direct.json
	/usr/bin/python3 - <<-'EOF'
		import json
		a, b = (json.load(open(f"{name}.json")) for name in ("verified", "direct"))
		for name in "rom", "firmware", "config":
		    assert a["registers"][name] != b["registers"][name], name
		    assert b["registers"][name] != "00" * 48
		digests = [{e["what"]: e["digest"] for e in x["events"]} for x in (a, b)]
		for part in "nitro-card", "card.yaml":
		    assert digests[0][part] == digests[1][part]
		for key in "device", "identity", "certificates":
		    assert key not in b and key in a, key
	EOF
}

@test "another configuration is another identity and another register" {
	rom
	a_flash
	start_rom
	released
	"$ctl" -s "$dir" boot-status --json >1.json
	stop_rom
	start_rom
	"$ctl" -s "$dir" boot-status --json >again.json
	stop_rom
	sed -i s/16MiB/17MiB/ card.yaml
	image other 3
	install_image other
	start_rom
	"$ctl" -s "$dir" boot-status --json >2.json
	/usr/bin/python3 - <<-'EOF'
		import json
		a, again, b = (json.load(open(f"{n}.json")) for n in ("1", "again", "2"))
		assert a["registers"] == again["registers"]
		assert a["identity"] == again["identity"] != b["identity"]
		assert a["registers"]["rom"] == b["registers"]["rom"]
		assert a["registers"]["config"] != b["registers"]["config"]
		assert (a["slot"], b["slot"]) == ("a", "b")
	EOF
}

# ask_for_document NAME: of the module of the card that runs, with all that it
# takes to judge it.
ask_for_document()
{
	/usr/bin/python3 - "$tests/nsm-call" "$dir/nsm0.sock" "$1" <<-'EOF'
		import subprocess, sys
		import cbor2
		program, socket, name = sys.argv[1:]
		request = {"Attestation": {"user_data": None, "nonce": b"once",
		                           "public_key": None}}
		answer = subprocess.run([program, socket], input=cbor2.dumps(request),
		                        capture_output=True, check=True).stdout
		with open(f"{name}.document", "wb") as file:
		    file.write(cbor2.loads(answer)["Attestation"]["document"])
	EOF
	"$ctl" -s "$dir" attest root >"$1.root"
	"$ctl" -s "$dir" boot-status --json >"$1.json"
}

# judge DOCUMENT STATUS [DEVICE]: by a relying party that is not ours.
judge()
{
	PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$repo/tests/attest/verify_boot.py" \
		"$1.document" --root "$1.root" --status "$2.json" \
		--device "${3:-device.pem}"
}

# device_of FLASH: its certificate, from whoever made the flash.
device_of()
{
	"$ctl" firmware status --flash "$1" --json |
		/usr/bin/python3 -c 'import json, sys
print(json.load(sys.stdin)["certificates"]["device"], end="")'
}

alias_of()
{
	/usr/bin/python3 -c 'import json, sys
print(json.load(open(sys.argv[1]))["identity"])' "$1.json"
}

# starts_as SLOT NAME: a card that starts so, and its document.
starts_as()
{
	start_rom
	released
	run -0 "$ctl" -s "$dir" boot-status
	says "slot: $1"
	ask_for_document "$2"
	stop_rom
}

@test "a document is bound to what was measured, by the device's own key" {
	rom
	tests=$(dirname "$card")
	cat >card.yaml <<-END
		functions:
		  - ebs: { name: ebs0, volume: { memory: 16MiB } }
		  - nsm: { name: nsm0 }
	END
	"$ctl" firmware init --flash flash --key owner.pem
	device_of flash >device.pem
	image good 3
	install_image good
	starts_as a first
	run -0 judge first first
	says "good: i-" "0 rom" "1 firmware" "2 config"
	# Who started it in the same way again is the same.
	starts_as a again
	run -0 judge again first
	[ "$(alias_of first)" = "$(alias_of again)" ]
	# Another configuration, another firmware: another key each time.
	sed -i s/16MiB/17MiB/ card.yaml
	image other 3
	install_image other
	starts_as b other
	run -0 judge other other
	[ "$(alias_of first)" != "$(alias_of other)" ]
	run -1 judge first other
	says "refused: other-key"
	run -1 judge other first
	says "refused: other-key"
	sed -i s/17MiB/16MiB/ card.yaml
	image newer 3 --firmware-version 9.9.9
	install_image newer
	starts_as a newer
	run -0 judge newer newer
	[ "$(alias_of first)" != "$(alias_of newer)" ]
	# Back to what it was: the same key as then.
	install_image good
	starts_as b back
	run -0 judge back first
	[ "$(alias_of first)" = "$(alias_of back)" ]
	# Another device with the same owner, firmware and configuration is another.
	"$ctl" firmware init --flash theirs --key owner.pem
	device_of theirs >theirs.pem
	run -1 judge first first theirs.pem
	says "refused: alias"
	# Nor does the log lie for it.
	sed 's/"svn": 3/"svn": 4/' first.json >lie.json
	run -1 judge first lie
	says "refused: version"
}

@test "the document of a card that was started by hand is bound to nothing" {
	rom
	tests=$(dirname "$card")
	a_flash
	cat >>card.yaml <<-END
		  - nsm: { name: nsm0 }
	END
	device_of flash >device.pem
	image module 3
	install_image module
	starts_as a verified
	run -0 judge verified verified
	start_card --config card.yaml
	ask_for_document direct
	run -1 judge direct direct
	says "refused: not-verified"
	# Under the same root, and with what a verified card has said.
	run -0 cmp verified.root direct.root
	run -1 judge direct verified
	says "refused: other-key"
}

@test "an empty flash holds the card" {
	rom
	"$ctl" firmware init --flash flash --key owner.pem
	start_rom
	held slot-empty
}

@test "no flash at all holds the card" {
	rom
	start_rom
	held flash-missing
	says "held in reset"
}

# The negative matrix: WHAT is wrong, and the one reason for it.
refused_for()
{
	start_rom
	held "$1"
	stop_rom
}

@test "a bit in the program holds the card" {
	rom
	a_used_flash
	for byte in 0 1000 100000 -1; do
		flip flash/a/nitro-card "$byte"
		refused_for program-digest
		flip flash/a/nitro-card "$byte"
	done
	start_rom
	released
}

@test "bytes of the configuration count" {
	rom
	a_used_flash
	for byte in $(seq 0 3 $(($(stat -c %s flash/a/card.yaml) - 1))); do
		flip flash/a/card.yaml "$byte"
		run -0 "$rom" --flash flash --status
		says '"reason": "config-digest"'
		flip flash/a/card.yaml "$byte"
	done
	flip flash/a/card.yaml 5
	refused_for config-digest
}

@test "bytes of the manifest count" {
	rom
	a_used_flash
	for byte in $(seq 0 19 $(($(stat -c %s flash/a/manifest) - 1))); do
		flip flash/a/manifest "$byte"
		run -0 "$rom" --flash flash --status
		[[ $output =~ manifest-malformed|wrong-key|bad-signature ]]
		flip flash/a/manifest "$byte"
	done
	flip flash/a/manifest -1
	refused_for bad-signature
	flip flash/a/manifest -1
	flip flash/a/manifest 0
	refused_for manifest-malformed
}

@test "what is told of a manifest is text, whatever was done to it" {
	rom
	a_used_flash
	# The version's first letter: no UTF-8 any more.
	at=$(grep -obUaP '\x650\.1\.0' flash/a/manifest | cut -d: -f1)
	flip flash/a/manifest $((at + 1)) 0x80
	run -0 "$ctl" firmware status --flash flash
	says "slot a: manifest-malformed"
	refused_for manifest-malformed
}

# sign_in_order IMAGE PART...: its manifest anew, by the owner's key, with its
# parts in that order; by other means than ours.
sign_in_order()
{
	/usr/bin/python3 - "$@" <<-'EOF'
		import hashlib, os, sys
		import cbor2
		from cryptography.hazmat.primitives import hashes, serialization
		from cryptography.hazmat.primitives.asymmetric import ec, utils
		image, *parts = sys.argv[1:]
		with open("owner.pem", "rb") as file:
		    key = serialization.load_pem_private_key(file.read(), None)
		point = key.public_key().public_bytes(
		    serialization.Encoding.X962,
		    serialization.PublicFormat.UncompressedPoint)
		listed = []
		for part in parts:
		    with open(f"{image}/{part}", "rb") as file:
		        data = file.read()
		    listed.append([part, len(data), hashlib.sha384(data).digest()])
		protected = cbor2.dumps({1: -35})
		payload = cbor2.dumps({1: 1, 2: "0.1.0", 3: 3, 4: point, 5: listed})
		r, s = utils.decode_dss_signature(key.sign(
		    cbor2.dumps(["Signature1", protected, b"", payload]),
		    ec.ECDSA(hashes.SHA384())))
		signature = r.to_bytes(48, "big") + s.to_bytes(48, "big")
		with open(f"{image}/manifest", "wb") as file:
		    file.write(cbor2.dumps(cbor2.CBORTag(
		        18, [protected, {}, payload, signature])))
	EOF
}

@test "stages that the owner signed in the wrong order hold the card" {
	rom
	a_used_flash
	chmod 0600 flash/a/manifest
	sign_in_order flash/a card.yaml nitro-card nitro-user-net
	refused_for wrong-order
	sign_in_order flash/a nitro-card nitro-user-net card.yaml
	refused_for wrong-order
	sign_in_order flash/a nitro-card nitro-card
	refused_for wrong-order
	# And the gate does not let it in.
	cp -r good unordered
	sign_in_order unordered card.yaml nitro-card
	denied wrong-order unordered
	# What others sign as the manual has it is as good as what we do.
	sign_in_order flash/a nitro-card card.yaml nitro-user-net
	start_rom
	released
}

@test "a bit in the user-mode network's program holds the card" {
	rom
	a_used_flash
	flip flash/a/nitro-user-net 1000
	refused_for network-digest
}

@test "files that are cut off hold the card" {
	rom
	a_used_flash
	cp -a flash whole
	for part in nitro-card:program-size card.yaml:config-size \
		manifest:manifest-malformed; do
		chmod 0600 "flash/a/${part%:*}"
		truncate -s -1 "flash/a/${part%:*}"
		refused_for "${part#*:}"
		rm -rf flash
		cp -a whole flash
	done
	rm -f flash/a/card.yaml
	refused_for config-missing
}

@test "a version that was lowered holds the card" {
	rom
	a_used_flash
	image old 2
	# Past the gate, as with a programmer clipped to the flash.
	cp -f old/* flash/a/
	refused_for svn-below-floor
}

@test "another owner's firmware holds the card" {
	rom
	a_used_flash
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 \
		-out theirs.pem
	image theirs 9 --key theirs.pem
	cp -f theirs/* flash/a/
	refused_for wrong-key
}

@test "parts of two good images do not make one" {
	rom
	a_used_flash
	sed -i s/16MiB/17MiB/ card.yaml
	image other 3
	cp -f other/card.yaml flash/a/
	refused_for config-digest
	cp -f other/manifest flash/a/
	start_rom
	released
}

@test "a floor that was set back by hand holds the card" {
	rom
	a_used_flash
	flip flash/state 8
	refused_for state-damaged
}

@test "fuses with a flipped bit hold the card, and nothing is written" {
	rom
	a_used_flash
	flip flash/fuses 60
	refused_for fuses-damaged
	run -1 install_image good
	says "fuses-damaged"
	grep -q 'gate.denied the flash: fuses-damaged$' flash/security-chip/audit.log
}

@test "a bad slot falls back to the other one, and the floor stays" {
	rom
	a_used_flash
	image newer 4
	install_image newer
	flip flash/b/nitro-card 5000
	start_rom
	released
	run -0 "$ctl" -s "$dir" boot-status
	says "RELEASED" "slot: a" "slot b: program-digest" "floor 3"
	stop_rom
	run -0 "$ctl" firmware status --flash flash
	says "floor 3" "its trial failed: program-digest"
}

@test "a program that does not come to life is taken back" {
	rom
	a_used_flash
	# Its volume is not there, so that its self-test fails.
	sed -i 's/memory: 16MiB/file: missing.img/' card.yaml
	image broken 4
	install_image broken
	start_rom
	released
	run -0 "$ctl" -s "$dir" boot-status
	says "RELEASED" "slot: a" "slot b: self-test-failed" "floor 3"
	stop_rom
	# Nor is it tried again.
	start_rom
	released
	[ "$(grep -c 'RELEASED slot b' rom.log)" = 0 ]
	stop_rom
	run -0 "$ctl" firmware status --flash flash
	says "floor 3" "slot a: good" "active" "its trial failed: self-test-failed"
}

@test "a program that does not come to life, with no other, holds the card" {
	rom
	a_flash
	sed -i 's/memory: 16MiB/file: missing.img/' card.yaml
	image broken 4
	install_image broken
	start_rom
	held self-test-failed
}

@test "a program that says nothing, with no other, holds the card" {
	rom
	a_flash
	a_quiet_trial
	start_rom --watchdog 2
	held self-test-silent
	# It stays so, and goes on answering.
	sleep 1
	held self-test-silent
}

@test "a program that is none is told from one that failed" {
	rom
	a_flash
	image text 4 --program card.yaml
	install_image text
	start_rom
	held start-failed
	grep -q 'cannot start the program: Exec format error' rom.log
}

@test "who is slow to ask a held card does not keep it from others" {
	rom
	start_rom
	/usr/bin/python3 - "$dir/control.sock" <<-'EOF'
		import socket, sys, time
		with socket.socket(socket.AF_UNIX) as client:
		    client.connect(sys.argv[1])
		    for _ in range(300):
		        try:
		            client.send(b"x")
		        except BrokenPipeError:
		            sys.exit()
		        time.sleep(0.1)
		sys.exit("it listens to this one only")
	EOF
	held flash-missing
}

@test "a program that says nothing is taken back" {
	rom
	a_used_flash
	a_quiet_trial
	start_rom --watchdog 2
	released
	run -0 "$ctl" -s "$dir" boot-status
	says "slot: a" "slot b: self-test-silent"
	stop_rom
	run ! pgrep -f "^nitro-card --handover .*$dir"
}

@test "a trial that a crash interrupted is not repeated" {
	rom
	a_used_flash
	a_quiet_trial
	"$rom" --flash flash --socket-dir "$dir" >rom.log 2>&1 3>&- &
	card_pid=$!
	until grep -q 'RELEASED slot b' rom.log; do sleep 0.05; done
	kill -9 "$card_pid"
	wait "$card_pid" || true
	start_rom
	released
	run -0 "$ctl" -s "$dir" boot-status
	says "slot: a" "slot b: trial-spent"
}

@test "a trial that was told to end has its trial still" {
	rom
	a_used_flash
	a_quiet_trial
	"$rom" --flash flash --socket-dir "$dir" >rom.log 2>&1 3>&- &
	card_pid=$!
	until grep -q 'RELEASED slot b' rom.log; do sleep 0.05; done
	stop_rom
	run -0 "$ctl" firmware status --flash flash
	says "slot b: good" "on trial" "floor 3"
	start_rom --watchdog 2
	released
	run -0 "$ctl" -s "$dir" boot-status
	says "slot: a" "slot b: self-test-silent"
}

@test "a newer firmware raises the floor once it runs, and not before" {
	rom
	a_used_flash
	image newer 7
	install_image newer
	run -0 "$ctl" firmware status --flash flash
	says "floor 3" "on trial"
	start_rom
	released
	stop_rom
	run -0 "$ctl" firmware status --flash flash
	says "floor 7" "slot a: svn-below-floor"
	# And so there is no way back.
	flip flash/b/nitro-card 77
	start_rom
	run -1 "$ctl" -s "$dir" boot-status
	says "HELD" "slot b: program-digest" "slot a: svn-below-floor"
}

# denied REASON ARGUMENT...: the gate keeps the flash as it is.
denied()
{
	local reason=$1 before
	shift
	before=$(cat flash/a/* flash/b/* 2>/dev/null | sha256sum)
	run -1 "$ctl" firmware install --flash flash "$@"
	says "denied" "$reason"
	[ "$before" = "$(cat flash/a/* flash/b/* 2>/dev/null | sha256sum)" ]
	grep -q "gate.denied slot .: $reason" flash/security-chip/audit.log
}

@test "the gate denies, counts and audits, and the flash stays as it is" {
	rom
	a_used_flash
	image old 2
	image newer 4
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 \
		-out theirs.pem
	image theirs 9 --key theirs.pem
	denied active-slot newer --slot a
	denied svn-below-floor old
	denied wrong-key theirs
	flip newer/nitro-card 4096
	denied program-digest newer
	rm newer/manifest
	denied manifest-missing newer
	run -0 "$ctl" firmware status --flash flash
	says "denied 5"
	start_rom
	run -0 "$ctl" -s "$dir" boot-status
	says "writes denied 5"
}

# The machine loses its power before the Nth time that something is made lasting.
a_power_cut()
{
	cat >cut.c <<-'EOF'
		#define _GNU_SOURCE
		#include <dlfcn.h>
		#include <signal.h>
		#include <stdlib.h>
		#include <unistd.h>
		static void step(void)
		{
			static int steps;
			if (++steps == atoi(getenv("CUT_BEFORE")))
				kill(getpid(), SIGKILL);
		}
		int fsync(int fd)
		{
			step();
			return fdatasync(fd);
		}
		int renameat(int from_dir, const char *from, int to_dir, const char *to)
		{
			int (*real)(int, const char *, int, const char *) =
				(int (*)(int, const char *, int, const char *))dlsym(
					RTLD_NEXT, "renameat");
			step();
			return real(from_dir, from, to_dir, to);
		}
	EOF
	cc -shared -fPIC -o cut.so cut.c -ldl
}

@test "a power cut at any step of a write leaves what ran before" {
	local steps=0 status
	rom
	a_used_flash
	a_power_cut
	image newer 4
	cp -a flash whole
	until [ "$steps" = 30 ]; do
		steps=$((steps + 1))
		rm -rf flash
		cp -a whole flash
		status=0
		CUT_BEFORE=$steps LD_PRELOAD=$PWD/cut.so \
			ASAN_OPTIONS=verify_asan_link_order=0 \
			"$rom" --flash flash --install newer || status=$?
		"$rom" --flash flash --status >status.json
		/usr/bin/python3 - "$status" <<-'EOF'
			import json, sys
			status = json.load(open("status.json"))
			a, b = status["slots"]
			assert status["floor"] == 3 and a["active"] and a["reason"] == "good"
			assert b["reason"] == "good" or not b["trial"], b
			assert b["trial"] or sys.argv[1] != "0"
		EOF
		[ "$status" = 137 ] || break
	done
	# It was cut at each step up to the last, and then it was not.
	[ "$status" = 0 ]
	[ "$steps" -gt 10 ]
	# Half of a slot, in the middle of its files.
	rm -rf flash
	cp -a whole flash
	run -137 env CUT_BEFORE=5 LD_PRELOAD="$PWD/cut.so" \
		ASAN_OPTIONS=verify_asan_link_order=0 "$rom" --flash flash --install newer
	[ -e flash/b/nitro-card ] && [ ! -e flash/b/manifest ]
	start_rom
	released
	run -0 "$ctl" -s "$dir" boot-status
	says "slot: a" "floor 3"
}

@test "keys are made on each installation, and none is shipped" {
	rom
	"$ctl" firmware init --flash one --key owner.pem
	"$ctl" firmware init --flash two --key owner.pem
	run -1 cmp one/fuses two/fuses
	run -1 cmp <("$ctl" firmware status --flash one | grep device) \
		<("$ctl" firmware status --flash two | grep device)
	"$ctl" firmware init --flash three --key another.pem
	run -1 cmp owner.pem another.pem
	# Neither in what we publish nor in what is built of it.
	run -1 grep -rlE --exclude-dir=.git --exclude-dir='build*' \
		'^-+BEGIN [A-Z ]*PRIVATE KEY' "$repo"
	run -1 grep -laE 'BEGIN [A-Z ]*PRIVATE KEY' "$card" "$ctl" "$rom"
}

@test "what was verified is what runs, whatever becomes of the files" {
	rom
	a_used_flash
	start_rom
	released
	rm -f flash/a/nitro-card
	run -0 "$ctl" -s "$dir" status
	child=$(pgrep -P "$card_pid")
	[[ $(readlink "/proc/$child/exe") == /memfd:nitro-card* ]]
	# It has no way to the flash, but for the rest of the state; the hand-over
	# is closed.
	[ -z "$(find "/proc/$child/fd" -lname "$PWD/flash*")" ]
	[ -z "$(find "/proc/$child/fd" -lname '*handover*')" ]
}

@test "a forged hand-over is refused, each for its own reason" {
	rom
	a_flash
	run -2 "$card" --handover 0
	says "nitro-rom alone"
	cat >forge.py <<-'EOF'
		import fcntl, os, sys
		how, card = sys.argv[1:]
		fd = os.memfd_create("handover", os.MFD_ALLOW_SEALING)
		os.set_inheritable(fd, True)
		os.write(fd, b"x" * 65536)
		if how == "sealed":
		    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 15)
		os.execv(card, [card, "--handover", str(fd)])
	EOF
	run -2 /usr/bin/python3 forge.py open "$card"
	says "the hand-over is refused: it is none" "only nitro-rom"
	run -2 /usr/bin/python3 forge.py sealed "$card"
	says "the hand-over is refused: it is none"
}

@test "what makes a loader load something else does not reach the card" {
	rom
	a_flash
	# Nor the first stage: no digest that it has would be good enough.
	printf '%s\n' 'openssl_conf = all' '[all]' 'alg_section = some' '[some]' \
		'default_properties = fips=yes' >openssl.cnf
	run -1 env OPENSSL_CONF="$PWD/openssl.cnf" openssl sha384 card.yaml
	run -0 env OPENSSL_CONF="$PWD/openssl.cnf" "$rom" --flash flash --status
	says '"reason": "good"'
	export OPENSSL_CONF=$PWD/openssl.cnf
	export OPENSSL_MODULES=/nowhere GCONV_PATH=/nowhere WHATEVER=else
	LD_LIBRARY_PATH=/nowhere start_rom
	released
	child=$(pgrep -P "$card_pid")
	tr '\0' '\n' <"/proc/$child/environ" | cut -d= -f1 | sort >names
	# What the card asks for itself, and nothing else.
	for name in $(cat names); do
		case $name in
		HOME | NOTIFY_SOCKET | STATE_DIRECTORY | XDG_*) ;;
		*) echo "$name"; return 1 ;;
		esac
	done
	grep -qx STATE_DIRECTORY names
}

@test "the device's secret is not in the card" {
	rom
	a_used_flash
	start_rom
	released
	child=$(pgrep -P "$card_pid")
	/usr/bin/python3 - "$child" <<-'EOF'
		import re, sys
		pid = sys.argv[1]
		uds = open("flash/fuses", "rb").read()[56:104]
		assert len(set(uds)) > 8
		seen = 0
		with open(f"/proc/{pid}/mem", "rb") as memory:
		    for line in open(f"/proc/{pid}/maps"):
		        start, end, mode = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
		        start, end = int(start, 16), int(end, 16)
		        if mode[:2] != "rw" or end - start > 1 << 28:
		            continue
		        try:
		            memory.seek(start)
		            data = memory.read(end - start)
		        except OSError:
		            continue
		        seen += len(data)
		        assert uds not in data, line
		assert seen > 1 << 20
	EOF
}

@test "fuses are burnt once, and usage errors are told" {
	rom
	a_flash
	run -1 "$ctl" firmware init --flash flash --key owner.pem
	says "its fuses are burnt" "--flash DIR"
	[ "$(stat -c %a owner.pem flash flash/fuses)" = "600
700
400" ]
	[ "$status" = 1 ]
	run -2 "$ctl" firmware
	says "say init, sign, install or status"
	run -2 "$ctl" firmware sign
	says "--config FILE"
	run -2 "$ctl" firmware install
	says "which image"
	run -2 "$rom" --slot c
	says "a or b"
	run -2 "$rom" --init abc
	says "96 digits"
	run -1 "$ctl" firmware sign --config card.yaml --output x --key card.yaml
	says "is not a private key on P-384"
	run -0 "$rom" --help
	says "--flash" "--install" "--watchdog"
}
