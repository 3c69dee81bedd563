#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# find.sh BUILD-DIR CARD [MISTAKE RULE]: start that card, with that mistake if
# there is one, and hold it to the rules.  A good card keeps all; a wrong one
# breaks the rule that is about its mistake.
set -euo pipefail
build=$(realpath "$1") program=$2 mistake=${3:-} rule=${4:-}

dir=$(mktemp -d)
trap 'kill "${card:-}" 2>/dev/null || true; wait; rm -rf "$dir"' EXIT

cat >"$dir/card.yaml" <<-END
	card: { socket-dir: $dir, state-dir: $dir/state }
	functions:
	  - ebs: { name: ebs0, volume: { memory: 8MiB } }
	  - ebs: { name: is0, profile: is-3, pm: true, aer: true, metal: true,
	           volume: { memory: 8MiB } }
	  - ebs: { name: nvme0, profile: nvme-1, volume: { memory: 8MiB } }
	  - ena: { name: eth0, switch: lan }
	  - ena: { name: eth1, switch: lan }
	  - nsm: { name: nsm0 }
END

export NITRO_MISTAKE=$mistake
"$build/$program" "$dir/card.yaml" >"$dir/log" 2>&1 &
card=$!
until grep -q 'control on' "$dir/log"; do
	kill -0 "$card" || { cat "$dir/log"; exit 1; }
	sleep 0.05
done

if [ -z "$mistake" ]; then
	for function in ebs0 is0 nvme0 nsm0; do
		"$build/nitro-probe" --write "$dir/$function.sock"
	done
	"$build/nitro-probe" --peer "$dir/eth1.sock" "$dir/eth0.sock"
	exit
fi

# What EBS does not offer cannot go wrong there.
function=ebs0
words=()
case $rule in
shadow.*) function=nvme0 ;;
virtio-* | nsm-*) function=nsm0 ;;
ena-*) function=eth0 words=(--peer "$dir/eth1.sock") ;;
esac

status=0
"$build/nitro-probe" --write --timeout 1000 --only "$rule" "${words[@]}" \
	"$dir/$function.sock" >"$dir/report" || status=$?
cat "$dir/report"
[ "$status" = 1 ] && grep -q "^BROKEN $rule " "$dir/report"
