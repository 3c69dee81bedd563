#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# ./bench as a user at a shell meets it.  $NITRO_BUILD: the programs it measures.

bats_require_minimum_version 1.5.0

setup()
{
	cd "$BATS_TEST_DIRNAME/../.." || return
	export NITRO_CACHE=$BATS_TEST_TMPDIR/cache
	bench=(/usr/bin/python3 tests/bench/bench.py)
}

@test "./bench --help says what it does, on one screen" {
	run -0 ./bench --help
	[ "${#lines[@]}" -le 40 ]
	for word in --quick --json --only --list; do
		[[ $output == *"$word"* ]]
	done
}

@test "./bench --list names each case once, and quick ones are some of them" {
	./bench --list | cut -d' ' -f1 | sort >"$BATS_TEST_TMPDIR/all"
	./bench --list --quick | cut -d' ' -f1 | sort >"$BATS_TEST_TMPDIR/quick"
	[ -z "$(uniq -d "$BATS_TEST_TMPDIR/all")" ]
	[ -s "$BATS_TEST_TMPDIR/quick" ]
	[ -z "$(comm -13 "$BATS_TEST_TMPDIR/all" "$BATS_TEST_TMPDIR/quick")" ]
}

@test "./bench --only takes a name, the start of one, and a pattern" {
	run -0 ./bench --list --only host/null
	[ "${#lines[@]}" -gt 1 ]
	for line in "${lines[@]}"; do [[ $line == host/null/* ]]; done
	run -0 ./bench --list --only 'host/*/4k-randread-qd1'
	for line in "${lines[@]}"; do [[ $line == host/*/4k-randread-qd1\ * ]]; done
}

@test "words that make no sense are told before anything is set up" {
	run -2 ./bench --only host/nothing
	[[ $output == *"no case matches host/nothing"* ]]
	run -2 ./bench --rounds 0
	run -2 ./bench --frobnicate
	[ ! -e "$NITRO_CACHE" ]
}

# As ./bench runs it when all is set up.
measure() { "${bench[@]}" --quick --rounds 1 --json "$@"; }

@test "--json is a row on each line, with the ratio of its two figures" {
	measure --only host/memory/4k-randread-qd32 >"$BATS_TEST_TMPDIR/rows"
	/usr/bin/python3 - "$BATS_TEST_TMPDIR/rows" <<-'END'
		import json, sys
		rows = [json.loads(line) for line in open(sys.argv[1])]
		assert rows
		for row in rows:
		    assert list(row) == ["case", "unit", "ours", "peer", "theirs",
		                         "ratio", "spread", "instructions"], row
		    assert row["case"] == "host/memory/4k-randread-qd32"
		    assert row["peer"] == "best copy"
		    ours, theirs = row["ours"], row["theirs"]
		    assert ours > 0 and theirs > 0
		    better = ours / theirs if row["unit"] == "IOPS" else theirs / ours
		    assert abs(row["ratio"] - better) <= 0.01 * better, row
		    low, high = row["spread"]
		    assert low <= row["ratio"] <= high
		assert {row["unit"] for row in rows} >= {"IOPS"}
	END
}

@test "a rival that is not there is told in a line, and leaves nothing behind" {
	run -1 --separate-stderr measure --only host/null/4k-randread-qd32
	[ -z "$output" ]
	[[ $stderr == *"host/null: no qsd vhost: "* ]]
	[ -z "$(ls "$NITRO_CACHE")" ]
}
