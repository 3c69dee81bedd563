#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# run.sh SECONDS [target…]: fuzz each target for so long under ASan and UBSan.
#
# Starts from the committed corpus and what earlier runs found
# (build/fuzz/found/TARGET).  What breaks is left in build/fuzz/broken.  With
# MERGE=1 the committed corpus is made anew from both: as few files as reach
# every edge, and those called broken-*, which once broke something.
set -eu

cd "$(dirname "$0")/../.."
seconds=${1:?usage: tests/fuzz/run.sh SECONDS [target…]}
shift
targets=${*:-$(cd tests/fuzz && ls -- *_fuzz.c | sed 's/\.c$//')}
build=${FUZZ_BUILD:-build/fuzz}

cmake --preset fuzz -B "$build" >/dev/null
# shellcheck disable=SC2086 # a list of words
ninja -C "$build" $targets
mkdir -p "$build/broken"

# The largest input of the corpus and a quarter more, for some are documents;
# none is cut.
longest() {
	largest=$(find "tests/fuzz/corpus/$1" -type f -printf '%s\n' |
		sort -n | tail -n 1)
	largest=$((${largest:-0} * 5 / 4))
	echo $((largest > $2 ? largest : $2))
}

merge() {
	corpus=tests/fuzz/corpus/$1
	rm -rf "$build/merged"
	mkdir "$build/merged"
	"$build/$1" -set_cover_merge=1 -use_counters=0 -max_len="$(longest "$1" 2048)" \
		-artifact_prefix="$build/broken/$1-" \
		"$build/merged" "$corpus" "$build/found/$1" \
		>"$build/$1.merge.log" 2>&1
	find "$corpus" -name 'broken-*' -exec cp {} "$build/merged" \;
	rm -rf "$corpus"
	mv "$build/merged" "$corpus"
}

status=0
for target in $targets; do
	echo "== $target for $seconds seconds"
	mkdir -p "$build/found/$target" "tests/fuzz/corpus/$target"
	"$build/$target" -max_total_time="$seconds" -timeout=10 \
		-rss_limit_mb=2048 -max_len="$(longest "$target" 4096)" \
		-len_control=10 \
		-print_final_stats=1 -artifact_prefix="$build/broken/$target-" \
		"$build/found/$target" "tests/fuzz/corpus/$target" \
		>"$build/$target.log" 2>&1 || status=1
	grep -E 'SUMMARY|ERROR|^Done|number_of_executed' \
		"$build/$target.log" || true
	if [ "${MERGE:-}" = 1 ]; then
		merge "$target"
	fi
done
exit $status
