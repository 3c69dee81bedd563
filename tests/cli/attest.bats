#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Attestation as a user at a shell meets it: nitroctl attest, libnitro-attest.

load cli.bash

@test "attest root is the certificate that documents are under" {
	start_card
	run -0 "$ctl" attest root
	says "-----BEGIN CERTIFICATE-----"
	[ "$output" = "$("$ctl" attest root)" ]
	"$ctl" attest root >root.pem
	run -0 openssl x509 -in root.pem -noout -subject
	says "simulated.nitro-enclaves" "Simulated" "nitro-card"
	"$ctl" attest root --json | jq_pem | diff - root.pem
}

jq_pem() { /usr/bin/python3 -c 'import json, sys; print(end=json.load(sys.stdin)["pem"])'; }

@test "attest verify takes the running card's root, and - for a file" {
	start_card
	state=$("$ctl" config --json | /usr/bin/python3 -c \
		'import json, sys; print(json.load(sys.stdin)["card"]["state-dir"])')
	"$(dirname "$card")/attest-document" "$state" --nonce 0a0b |
		"$ctl" attest verify - --nonce 0a0b
}

@test "attest verify prints a line for each check, and its status says it all" {
	"$(dirname "$card")/attest-document" state --nonce 01 >good
	"$(dirname "$card")/attest-document" state --root >root.pem
	"$(dirname "$card")/attest-document" state -f expired_leaf >bad
	run -0 "$ctl" attest verify good --root root.pem --nonce 01
	[ "${#lines[@]}" -eq 9 ]
	says "ok          form" "ok          signature" "ok          nonce" \
		"not checked pcrs"
	run -1 "$ctl" attest verify bad --root root.pem
	says "FAILED      validity: a certificate has expired [the leaf ended" \
		"(RFC 5280 6.1.3 (a)(2))" "ok          signature"
	run -1 "$ctl" attest verify good --root root.pem --nonce 02
	says "FAILED      nonce: the nonce is not the one expected"
	"$ctl" --json attest verify good --root root.pem >whole
	run -1 sh -c '"$0" --json attest verify good --root root.pem >/dev/full' "$ctl"
}

@test "attest show decodes a document, believed or not" {
	"$(dirname "$card")/attest-document" state --nonce 01 -f bad_signature \
		>document
	"$ctl" attest show document >shown
	/usr/bin/python3 - <<-'EOF'
		import json
		shown = json.load(open("shown"))
		assert list(shown)[:4] == ["module_id", "digest", "timestamp", "pcrs"]
		assert shown["nonce"] == "01" and shown["user_data"] is None
		assert shown["pcrs"]["15"] == "00" * 48
		assert shown["signature"] == "00" * 96
		assert len(shown["cabundle"]) == 4
		open("leaf.pem", "w").write(shown["certificate"])
	EOF
	run -0 openssl x509 -in leaf.pem -noout -subject
	says ".simulated"
	head -c 100 document >short
	run -1 "$ctl" attest show short
	says "short is no document: the document ends before its last item"
}

@test "a user's mistake gets a sentence" {
	run -2 "$ctl" attest
	says "say root, verify or show"
	run -2 "$ctl" attest verify
	says "the FILE of a document is missing"
	run -2 "$ctl" attest sign
	says "'sign' is none of root, verify FILE and show FILE"
	run -2 "$ctl" attest verify x --nonce 0
	says "--nonce is hexadecimal"
	run -2 "$ctl" attest verify x --pcr 32=00
	says "--pcr is N=HEX with N from 0 to 31"
	run -2 "$ctl" attest verify x --pcr 0=00
	says "PCR 0 is 96 hexadecimal digits"
	run -2 "$ctl" attest verify x --pcr "0=$(printf '%096d' 0)" \
		--pcr "0=$(printf '%096d' 1)"
	says "PCR 0 has two values, and can have one"
	run -2 "$ctl" attest verify x --at tomorrow
	says "--at is like 2026-05-04T03:02:01Z"
	run -1 "$ctl" attest verify nothing --root nothing
	says "nothing: No such file or directory"
	: >empty
	run -1 "$ctl" attest show empty
	says "empty is empty"
	echo nonsense >root.pem
	"$(dirname "$card")/attest-document" state >document
	run -1 "$ctl" attest verify document --root root.pem
	says "root.pem is no certificate in PEM or DER"
	run -3 "$ctl" --socket-dir "$dir" attest verify document
	says "no card answers" "--root FILE names a root without a card"
}

@test "nitro-kms(1) has every option, and no other" {
	diff <("$(dirname "$card")/nitro-kms" --help |
		grep -oE -- '--[a-z-]+' | grep -vE 'help|usage|version' | sort -u) \
		<(grep -oE -- '\*--[a-z-]+\*' "$repo/firmware/man/nitro-kms.1.scd" |
			tr -d '*' | sort -u)
}

install_library()
{
	cmake --install "$(dirname "$card")" --component attest \
		--prefix "$PWD/usr" >/dev/null
	PKG_CONFIG_PATH=$(dirname "$(find "$PWD/usr" -name nitro-attest.pc)")
	export PKG_CONFIG_PATH LD_LIBRARY_PATH=${PKG_CONFIG_PATH%/*}
}

compile()
{
	local words="-std=c17 -Wall -Wextra -Werror -pedantic"

	[ -z "${NITRO_SANITIZE:-}" ] || words+=" -fsanitize=$NITRO_SANITIZE"
	# shellcheck disable=SC2086 # a list of words
	cc $words "$@"
}

@test "libnitro-attest is installed, and pkg-config is all that its example needs" {
	install_library
	# shellcheck disable=SC2046 # a list of words
	compile -o check "$repo/security-chip/verify/examples/attest_check.c" \
		$(pkg-config --cflags --libs nitro-attest)
	run -0 ldd check
	says "$LD_LIBRARY_PATH/libnitro-attest.so.0"
	"$(dirname "$card")/attest-document" state >good
	"$(dirname "$card")/attest-document" state --root >root.pem
	"$(dirname "$card")/attest-document" state -f leaf_key >bad
	run -0 ./check root.pem good
	says "good: i-"
	run -1 ./check root.pem bad
	says "refused: the document is signed with the key of another"
}

@test "libnitro-attest offers what its header and manual have, and no more" {
	local name found=0

	install_library
	while read -r name; do
		found=$((found + 1))
		grep -qw "$name" usr/include/nitro-attest.h
		grep -qF "$name" "$repo/firmware/man/nitro-attest.3.scd" ||
			{ echo "missing: $name"; return 1; }
	done < <(nm -D --defined-only "$LD_LIBRARY_PATH/libnitro-attest.so" |
		sed -n 's/.* [TDBR] \([^@]*\).*/\1/p' | grep -v NITRO_)
	[ "$found" -eq 5 ]
}
