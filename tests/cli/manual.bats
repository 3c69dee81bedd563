#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# The manuals name every option, command and key that there is, and no other.

load cli.bash

man=$BATS_TEST_DIRNAME/../../firmware/man

# The bold words that have a line to themselves: what entries are about.
entries()
{
	grep -E '^\s*\*[a-z-]+\*(, \*[a-z-]+\*)*$' "$man/$1.scd" |
		grep -oE '[a-z-]+'
}

# options_of HELP: the long options that a program has.
options_of() { grep -oE -- '--[a-z-]+' <<<"$1" | sort -u; }

@test "nitro-card(1) has every option" {
	for option in $(options_of "$("$card" --help)"); do
		grep -qF -- "*$option*" "$man/nitro-card.1.scd" ||
			{ echo "missing: $option"; return 1; }
	done
}

@test "nitro-rom(1) has every option" {
	for option in $(options_of "$("${card%card}rom" --help)"); do
		grep -qF -- "*$option*" "$man/nitro-rom.1.scd" ||
			{ echo "missing: $option"; return 1; }
	done
}

@test "nitro-rom(1) has every reason" {
	for reason in $(grep -oE '"[a-z-]+",' \
		"$man/../../security-chip/boot/reason.def" | tr -d '",'); do
		case $reason in
		good) continue ;;
		program-* | config-* | network-*) reason=${reason%%-*}- ;;
		esac
		grep -qF -- "$reason" "$man/nitro-rom.1.scd" ||
			{ echo "missing: $reason"; return 1; }
	done
}

@test "nitroctl(1) has every command and every option" {
	for command in $("$ctl" help | sed -n 's/^  \([a-z-]*\)  .*/\1/p'); do
		grep -qE "^\*$command" "$man/nitroctl.1.scd" ||
			{ echo "missing: $command"; return 1; }
		for option in $(options_of "$("$ctl" "$command" --help)"); do
			case $option in --help | --usage) continue ;; esac
			grep -qF -- "*$option*" "$man/nitroctl.1.scd" ||
				{ echo "missing: $command $option"; return 1; }
		done
	done
}

@test "nitro-card.yaml(5) has every key, and no other" {
	"$card" --print-schema >schema.json
	/usr/bin/python3 - >keys <<-'EOF'
		import json
		def keys(schema):
		    for key, value in schema.get("properties", {}).items():
		        yield key
		        yield from keys(value)
		    for item in schema.get("items", {}).get("oneOf", []):
		        for kind in item["properties"].values():
		            yield from keys(kind)
		    if "items" in schema:
		        yield from keys(schema["items"])
		schema = json.load(open("schema.json"))
		for value in schema["properties"].values():
		    print(*keys(value), sep="\n")
	EOF
	diff <(sort -u keys) <(entries nitro-card.yaml.5 | sort -u)
}

@test "the example of nitro-card.yaml(5) is good" {
	sed -n '/^```/,/^```/{/^```/!p}' "$man/nitro-card.yaml.5.scd" >card.yaml
	truncate -s 1M root.img
	run -0 "$card" --check card.yaml
	says "good: ebs0 ebs1"
}
