#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# libnitro-host as the author of a driver meets it: installed, and with nothing
# but pkg-config.  $NITRO_SANITIZE: what the library was built with.

load cli.bash

setup_file()
{
	local build
	build=$(realpath "${NITRO_BUILD:-build/dev}")
	export prefix=$BATS_FILE_TMPDIR/usr
	cmake --install "$build" --component host --prefix "$prefix" >/dev/null
	PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name nitro-host.pc)")
	export PKG_CONFIG_PATH
	LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
	export LD_LIBRARY_PATH
}

compile()
{
	local flags="-std=c17 -Wall -Wextra -Werror"

	[ -z "${NITRO_SANITIZE:-}" ] || flags+=" -fsanitize=$NITRO_SANITIZE"
	# shellcheck disable=SC2086 # a list of words
	cc $flags "$@"
}

flags()
{
	pkg-config "$@"
}

@test "the example is built with pkg-config's words alone, and drives a card" {
	start_card
	cp "$repo/host-driver/examples/nvme_identify.c" .
	# shellcheck disable=SC2046 # a list of words
	compile -o identify nvme_identify.c $(flags --cflags --libs nitro-host)
	run -0 ldd identify
	says "$LD_LIBRARY_PATH/libnitro-host.so.0"
	run -0 ./identify "$dir/ebs0.sock"
	says "bus         vfio-user" "Amazon Elastic Block Store" \
		"2097152 blocks of 512 bytes" "block 0     00 00"
}

@test "the static library does the same" {
	start_card
	cp "$repo/host-driver/examples/nvme_identify.c" .
	# shellcheck disable=SC2046
	compile -o identify nvme_identify.c $(flags --cflags nitro-host) \
		"$LD_LIBRARY_PATH/libnitro-host.a" \
		$(flags --libs jansson)
	run -0 ./identify "vfio-user:$dir/ebs0.sock"
	says "Amazon Elastic Block Store"
}

@test "the network example sends frames" {
	cat >card.yaml <<-'EOF'
		card: { name: net }
		functions:
		  - ena: { name: eth0 }
	EOF
	start_card card.yaml
	cp "$repo/host-driver/examples/ena_send.c" .
	# shellcheck disable=SC2046
	compile -o send ena_send.c $(flags --cflags --libs nitro-host)
	run -0 ./send "$dir/eth0.sock"
	says "bus         vfio-user" "LLQ         128 bytes" "sent        10"
}

@test "the other example lists what lspci lists" {
	cp "$repo/host-driver/examples/list_functions.c" .
	# shellcheck disable=SC2046
	compile -o list list_functions.c $(flags --cflags --libs nitro-host-scan)
	run -0 ./list
	diff <(printf '%s\n' "$output" | cut -d ' ' -f 1,2) \
		<(lspci -D -n | sed 's/^\([^ ]*\) [^ ]* \(....:....\).*/\1 \2/')
}

@test "the example says what is wrong with an address" {
	# shellcheck disable=SC2046
	compile -o identify "$repo/host-driver/examples/nvme_identify.c" \
		$(flags --cflags --libs nitro-host)
	run -2 ./identify
	says "nvme_identify ADDRESS"
	run -2 ./identify ebs0
	says "neither a socket nor a PCI function" "vfio:0000:00:04.0"
	run -2 ./identify ./ebs0.sock
	says "cannot connect to ./ebs0.sock (ENOENT)" "is the server running?"
	run -2 ./identify 0000:1f:1f.7
	says "no PCI function 0000:1f:1f.7" "lspci -D"
}

@test "every public header can be included alone" {
	local header found=0

	while read -r header; do
		found=$((found + 1))
		echo "#include \"$header\"" >alone.c
		# shellcheck disable=SC2046
		compile -pedantic -c -o /dev/null alone.c \
			$(flags --cflags nitro-host)
	done < <(cd "$prefix/include/nitro-card" && find . -name '*.h')
	[ "$found" -ge 7 ]
}

@test "the libraries offer the functions of their headers, and no others" {
	local name lib

	for lib in host host-scan; do
		while read -r name; do
			grep -rqw "$name" "$prefix/include/nitro-card" || {
				echo "libnitro-$lib offers $name"
				return 1
			}
		done < <(nm -D --defined-only "$LD_LIBRARY_PATH/libnitro-$lib.so" |
			sed -n 's/.* [TDBR] \([^@]*\).*/\1/p' | grep -v NITRO_)
	done
	for name in host_open host_nvme_rw host_ena_tx_put rt_errno_name; do
		nm -D --defined-only "$LD_LIBRARY_PATH/libnitro-host.so" |
			grep -qw "$name"
	done
}

@test "a driver hears that the card has ended" {
	start_card
	"$(dirname "$card")/host_tour" "$dir/ebs0.sock" lost >tour.log 3>&- &
	tour_pid=$!
	until grep -q waiting tour.log; do
		kill -0 "$tour_pid"
		sleep 0.1
	done
	kill -KILL "$card_pid"
	wait "$tour_pid"
	grep "lost: ECONNRESET" tour.log
}

@test "nitro-host(3) has every function but those of its drivers" {
	local name

	while read -r name; do
		grep -qF "$name" "$repo/firmware/man/nitro-host.3.scd" ||
			{ echo "missing: $name"; return 1; }
	done < <(for lib in host host-scan; do
		nm -D --defined-only "$LD_LIBRARY_PATH/libnitro-$lib.so"
	done | sed -n 's/.* T \([^@]*\).*/\1/p' | grep -v 'host_nvme\|host_ena\|host_nsm')
}

@test "what a driver needs of a bus, it has on a card's" {
	start_card
	for pages in huge small; do
		run -0 "$(dirname "$card")/host_tour" "$dir/ebs0.sock" $pages
		says "ok: an interrupt" "ok: an address that is taken" \
			"ok: data after a reset" "the tour is over"
	done
}
