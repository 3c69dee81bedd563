/* SPDX-License-Identifier: BSD-3-Clause */
#include "ena/frame.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

#include "ena/abi.h"
#include "firmware/rt/scope.h"

#define MAX 70000u

/* A frame as the tests write it, and how it is cut into header and parts. */
static struct {
	uint8_t bytes[MAX];
	uint32_t length;
	uint32_t l3, l4, payload;
	struct iovec parts[ENA_FRAME_MAX_PARTS];
	struct ena_frame frame;
	struct ena_frame_info info;
} t;

static uint8_t out[MAX];

static void put16(uint32_t at, uint32_t value)
{
	t.bytes[at] = (uint8_t)(value >> 8);
	t.bytes[at + 1] = (uint8_t)value;
}

static uint32_t get16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t get32(const uint8_t *at)
{
	return get16(at) << 16 | get16(at + 2);
}

/* The plainest sum there is. */
static uint32_t sum_of(const uint8_t *bytes, size_t size, uint32_t sum)
{
	for (size_t i = 0; i < size; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum >> 16) + (sum & 0xffff);
	return sum;
}

static uint32_t pseudo_of(const uint8_t *ip, uint8_t protocol, uint32_t length)
{
	uint32_t sum = protocol + length;

	return ip[0] >> 4 == 4 ? sum_of(ip + 12, 8, sum)
			       : sum_of(ip + 8, 32, sum);
}

/* 0xffff: what stands there is right. */
static uint32_t l4_check(const uint8_t *frame, uint32_t l3, uint32_t l4,
			 uint32_t end, uint8_t protocol)
{
	return sum_of(frame + l4, end - l4,
		      pseudo_of(frame + l3, protocol, end - l4));
}

/* ---- making frames ---- */

static void ethernet(uint16_t type, unsigned int tags)
{
	memset(&t, 0, sizeof t);
	for (uint32_t i = 0; i < 12; i++)
		t.bytes[i] = (uint8_t)(2 * i);
	t.length = 12;
	for (unsigned int i = 0; i < tags; i++, t.length += 4)
		put16(t.length, i + 1 < tags ? 0x88a8 : 0x8100);
	put16(t.length, type);
	t.length += 2;
	t.l3 = t.length;
}

static void ipv4(unsigned int tags, unsigned int options, uint8_t protocol)
{
	ethernet(0x0800, tags);
	t.bytes[t.l3] = (uint8_t)(0x45 + options);
	t.bytes[t.l3 + 8] = 64;
	t.bytes[t.l3 + 9] = protocol;
	memcpy(t.bytes + t.l3 + 12, "\x0a\x00\x00\x01\x0a\x00\x00\x02", 8);
	t.length += 20 + 4 * options;
	t.l4 = t.length;
}

static void ipv6(unsigned int tags, uint8_t next)
{
	ethernet(0x86dd, tags);
	t.bytes[t.l3] = 0x60;
	t.bytes[t.l3 + 6] = next;
	for (uint32_t i = 0; i < 32; i++)
		t.bytes[t.l3 + 8 + i] = (uint8_t)(0xfe - i);
	t.length += 40;
	t.l4 = t.length;
}

static void extension(uint8_t next, uint32_t units)
{
	t.bytes[t.l4] = next;
	t.bytes[t.l4 + 1] = (uint8_t)(units - 1);
	t.length += units * 8;
	t.l4 = t.length;
}

static void tcp(uint32_t words, uint8_t flags)
{
	put16(t.l4, 1234);
	put16(t.l4 + 2, 80);
	put16(t.l4 + 4, 0xffff); /* the sequence number wraps soon */
	put16(t.l4 + 6, 0xfff0);
	t.bytes[t.l4 + 12] = (uint8_t)(words << 4);
	t.bytes[t.l4 + 13] = flags;
	t.length += words * 4;
	t.payload = t.length;
	t.frame.l4_proto = IPPROTO_TCP;
	t.frame.l4_length = (uint16_t)(words * 4);
}

static void udp(void)
{
	put16(t.l4, 53);
	put16(t.l4 + 2, 53);
	t.length += 8;
	t.payload = t.length;
	t.frame.l4_proto = IPPROTO_UDP;
}

static void fill(uint32_t payload)
{
	for (uint32_t i = 0; i < payload; i++)
		t.bytes[t.length + i] = (uint8_t)(i * 7 + i / 256 + 1);
	t.length += payload;
	if (t.bytes[t.l3] >> 4 == 4)
		put16(t.l3 + 2, t.length - t.l3);
	else
		put16(t.l3 + 4, t.length - t.l3 - 40);
	if (t.frame.l4_proto == IPPROTO_UDP)
		put16(t.l4 + 4, t.length - t.l4);
}

/* The first bytes are the header, the others in parts of such a size. */
static void cut(uint32_t header, uint32_t part)
{
	uint32_t at, n = 0;

	if (header > t.length)
		header = t.length;
	for (at = header; at < t.length; at += part, n++) {
		bool is_last = n + 1 == ENA_FRAME_MAX_PARTS;
		uint32_t left = t.length - at;

		if (is_last || left < part)
			part = left;
		t.parts[n] = (struct iovec){ t.bytes + at, part };
	}
	t.frame.header = t.bytes;
	t.frame.header_length = (uint16_t)header;
	t.frame.parts = t.parts;
	t.frame.part_count = (uint8_t)n;
	t.frame.length = t.length;
	t.frame.l3_offset = (uint8_t)t.l3;
	t.frame.l4_offset = (uint16_t)t.l4;
}

static void parse(void)
{
	cut(ENA_FRAME_HEADER_BYTES, 1000);
	ena_frame_parse(&t.frame, &t.info);
}

/* Write wire frame n in pieces of such a size; returns its length. */
static uint32_t wire_in(unsigned int n, uint32_t piece)
{
	uint32_t length = ena_frame_wire_length(&t.frame, n);
	struct iovec pieces[4096];
	struct ena_frame_room room = { pieces, 0 };

	memset(out, 0xee, sizeof out);
	for (uint32_t at = 0; at < length; at += piece)
		pieces[room.count++] = (struct iovec){
			out + at, length - at < piece ? length - at : piece
		};
	ena_frame_put_wire(&t.frame, n, &room);
	cr_assert_eq(out[length], 0xee);
	return length;
}

static uint32_t wire(unsigned int n)
{
	return wire_in(n, MAX);
}

/* ---- sums ---- */

Test(ena_frame, sums_any_size_at_any_alignment)
{
	static uint8_t bytes[600];

	for (uint32_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 31 + 200);
	for (uint32_t at = 0; at < 17; at++)
		for (uint32_t size = 0; size < 520; size++)
			cr_assert_eq(ena_sum_fold(ena_sum(bytes + at, size, 5)),
				     sum_of(bytes + at, size, 5),
				     "%u bytes at %u", size, at);
}

Test(ena_frame, sums_the_largest_values_without_losing_a_carry)
{
	static uint8_t bytes[MAX];

	memset(bytes, 0xff, sizeof bytes);
	cr_expect_eq(ena_sum_fold(ena_sum(bytes, sizeof bytes, 0xffff)),
		     sum_of(bytes, sizeof bytes, 0xffff));
	memset(bytes, 0xfe, sizeof bytes);
	cr_expect_eq(ena_sum_fold(ena_sum(bytes, sizeof bytes, 1)),
		     sum_of(bytes, sizeof bytes, 1));
}

Test(ena_frame, copies_and_sums_over_odd_parts)
{
	static const uint32_t parts[] = { 29, 33, 64, 127, 300 };

	ipv4(0, 0, IPPROTO_UDP);
	udp();
	fill(555);
	for (unsigned int i = 0; i < RT_COUNT(parts); i++) {
		cut(43, parts[i]);
		for (uint32_t at = 0; at < 100; at += 7) {
			uint32_t size = t.length - at - i;

			memset(out, 0, sizeof out);
			cr_expect_eq(ena_sum_fold(ena_frame_copy_sum(
					     &t.frame, at, out, size, 7)),
				     sum_of(t.bytes + at, size, 7));
			cr_expect_arr_eq(out, t.bytes + at, size);
			cr_expect_eq(out[size], 0);
			memset(out, 0, sizeof out);
			ena_frame_copy(&t.frame, at, out, size);
			cr_expect_arr_eq(out, t.bytes + at, size);
			cr_expect_eq(out[size], 0);
		}
	}
}

/* ---- parsing ---- */

Test(ena_frame, finds_ipv4_and_tcp_behind_tags_and_options)
{
	for (unsigned int tags = 0; tags <= 2; tags++)
		for (unsigned int options = 0; options <= 10; options++) {
			ipv4(tags, options, IPPROTO_TCP);
			tcp(8, 0);
			fill(100);
			parse();
			cr_expect_eq(t.info.vlan_count, tags);
			cr_expect_eq(t.info.l3_proto, ENA_ETH_IO_L3_PROTO_IPV4);
			cr_expect_eq(t.info.l4_proto, ENA_ETH_IO_L4_PROTO_TCP);
			cr_expect_eq(t.info.l3_offset, t.l3);
			cr_expect_eq(t.info.l4_offset, t.l4);
			cr_expect_eq(t.info.payload_offset, t.payload);
			cr_expect_eq(t.info.l3_length, t.length - t.l3);
			cr_expect(t.info.is_whole);
			cr_expect_not(t.info.is_fragment);
		}
}

Test(ena_frame, finds_udp_behind_ipv6_extensions)
{
	ipv6(1, IPPROTO_HOPOPTS);
	extension(IPPROTO_ROUTING, 1);
	extension(IPPROTO_DSTOPTS, 3);
	extension(IPPROTO_UDP, 2);
	udp();
	fill(9);
	parse();
	cr_expect_eq(t.info.l3_proto, ENA_ETH_IO_L3_PROTO_IPV6);
	cr_expect_eq(t.info.l4_proto, ENA_ETH_IO_L4_PROTO_UDP);
	cr_expect(t.info.has_extensions);
	cr_expect(t.info.is_whole);
	cr_expect_eq(t.info.l4_offset, t.l4);
	cr_expect_eq(t.info.payload_offset, t.payload);
}

Test(ena_frame, knows_plain_ipv6)
{
	ipv6(0, IPPROTO_TCP);
	tcp(5, 0);
	fill(0);
	parse();
	cr_expect_eq(t.info.l4_proto, ENA_ETH_IO_L4_PROTO_TCP);
	cr_expect_not(t.info.has_extensions);
	cr_expect_eq(t.info.l3_length, 60);
}

Test(ena_frame, has_no_ports_in_fragments)
{
	ipv4(0, 0, IPPROTO_UDP);
	udp();
	fill(100);
	for (uint32_t bits = 0; bits < 0x10000; bits += 0x1fff) {
		put16(t.l3 + 6, bits);
		parse();
		cr_expect_eq(t.info.is_fragment, (bits & 0x3fff) != 0);
		cr_expect_eq(t.info.l4_proto == 0, (bits & 0x3fff) != 0);
	}
	ipv6(0, IPPROTO_FRAGMENT);
	extension(IPPROTO_UDP, 1);
	udp();
	fill(100);
	parse();
	cr_expect(t.info.is_fragment);
	cr_expect_eq(t.info.l4_proto, 0);
	cr_expect_eq(t.info.l3_proto, ENA_ETH_IO_L3_PROTO_IPV6);
}

Test(ena_frame, believes_no_length_that_does_not_fit)
{
	ipv4(0, 0, IPPROTO_TCP);
	tcp(5, 0);
	fill(10);
	put16(t.l3 + 2, t.length - t.l3 + 1);
	parse();
	cr_expect_not(t.info.is_whole);
	cr_expect_not(ena_frame_l4_csum_is_good(&t.frame, &t.info));
	put16(t.l3 + 2, 39); /* TCP is not in it */
	parse();
	cr_expect_eq(t.info.l4_proto, 0);
	put16(t.l3 + 2, 0);
	parse();
	cr_expect_not(t.info.is_whole);
	fill(0);
	t.bytes[t.l4 + 12] = 0x40; /* a TCP header of 16 bytes */
	parse();
	cr_expect_eq(t.info.l4_proto, 0);
	t.bytes[t.l4 + 12] = 0xf0; /* longer than the frame */
	parse();
	cr_expect_eq(t.info.l4_proto, 0);
	t.bytes[t.l3] = 0x44;
	parse();
	cr_expect_eq(t.info.l3_proto, 0);
	t.bytes[t.l3] = 0x65;
	parse();
	cr_expect_eq(t.info.l3_proto, 0);
}

Test(ena_frame, reads_nothing_behind_a_short_header)
{
	ipv6(2, IPPROTO_HOPOPTS);
	extension(IPPROTO_DSTOPTS, 1);
	extension(IPPROTO_TCP, 1);
	tcp(5, 0);
	fill(100);
	for (uint32_t size = 0; size <= t.payload; size++) {
		uint8_t *copy = malloc(size + 1);

		memcpy(copy, t.bytes, size);
		cut(size, 1000);
		t.frame.header = copy;
		ena_frame_parse(&t.frame, &t.info);
		cr_expect_eq(t.info.l4_proto != 0, size == t.payload,
			     "with %u bytes", size);
		free(copy);
	}
}

Test(ena_frame, walks_no_endless_row_of_extensions)
{
	ipv6(0, IPPROTO_DSTOPTS);
	for (unsigned int i = 0; i < 20; i++)
		extension(IPPROTO_DSTOPTS, 1);
	fill(64);
	parse();
	cr_expect_eq(t.info.l4_proto, 0);
}

Test(ena_frame, survives_any_bytes)
{
	uint32_t random = 1;

	for (unsigned int round = 0; round < 20000; round++) {
		ethernet(round % 2 ? 0x0800 : 0x86dd, round % 3);
		for (uint32_t i = t.length; i < 256; i++) {
			random = random * 1664525 + 1013904223;
			t.bytes[i] = (uint8_t)(random >> 24);
		}
		t.bytes[t.l3] = round % 2 ? (uint8_t)(0x45 + round % 7) : 0x60;
		t.bytes[t.l3 + (round % 2 ? 9 : 6)] =
			round % 5 ? IPPROTO_TCP : IPPROTO_HOPOPTS;
		t.length = random % 300 + 1;
		parse();
		ena_frame_l3_csum_is_good(&t.frame, &t.info);
		ena_frame_l4_csum_is_good(&t.frame, &t.info);
		t.frame.flags = (uint8_t)(random >> 8 & 15);
		t.frame.l3_offset = (uint8_t)(random >> 12);
		t.frame.l4_offset = (uint16_t)(random >> 7 & 511);
		t.frame.l4_length = (uint16_t)(random >> 3 & 252);
		t.frame.l4_proto = random % 2 ? IPPROTO_TCP : IPPROTO_UDP;
		t.frame.mss = (uint16_t)(random >> 5 & 127);
		for (unsigned int n = ena_frame_wire_count(&t.frame); n--;)
			wire(n);
	}
}

/* ---- checksums ---- */

/* What the driver leaves to do, and what stands in the field before. */
static void expect_l4(uint8_t flags, uint32_t field)
{
	uint32_t at = t.l4 + (t.frame.l4_proto == IPPROTO_TCP ? 16 : 6);
	static const uint32_t cuts[] = { 0, 1, 7, 22, 120 };

	put16(at, field);
	t.frame.flags = flags;
	for (unsigned int i = 0; i < RT_COUNT(cuts); i++) {
		cut(t.payload + cuts[i], 61);
		cr_assert_eq(ena_frame_wire_count(&t.frame), 1);
		for (uint32_t piece = 1; piece < 130; piece += 13) {
			cr_assert_eq(wire_in(0, piece), t.length);
			cr_expect_eq(l4_check(out, t.l3, t.l4, t.length,
					      t.frame.l4_proto),
				     0xffff);
			cr_expect_neq(get16(out + at), 0);
			put16(at, get16(out + at)); /* all else is as it was */
			cr_expect_arr_eq(out, t.bytes, t.length);
			put16(at, field);
		}
	}
}

static void expect_both(void)
{
	expect_l4(ENA_FRAME_L4_CSUM_FULL, 0xabcd);
	expect_l4(ENA_FRAME_L4_CSUM_PARTIAL,
		  pseudo_of(t.bytes + t.l3, t.frame.l4_proto, t.length - t.l4));
}

Test(ena_frame, fills_in_checksums_of_tcp_and_udp_over_both_ips)
{
	for (uint32_t size = 0; size < 260; size += 13) {
		ipv4(0, 0, IPPROTO_TCP);
		tcp(5, 0);
		fill(size);
		expect_both();
		ipv4(1, 3, IPPROTO_UDP);
		udp();
		fill(size);
		expect_both();
		ipv6(0, IPPROTO_TCP);
		tcp(8, 0);
		fill(size);
		expect_both();
		ipv6(2, IPPROTO_UDP);
		udp();
		fill(size + 1);
		expect_both();
	}
}

Test(ena_frame, sums_a_partial_one_from_where_the_sender_says)
{
	ipv6(0, IPPROTO_ROUTING);
	extension(IPPROTO_TCP, 3);
	tcp(5, 0);
	fill(77);
	expect_l4(ENA_FRAME_L4_CSUM_PARTIAL,
		  pseudo_of(t.bytes + t.l3, IPPROTO_TCP, t.length - t.l4));
}

Test(ena_frame, writes_no_udp_checksum_of_zero)
{
	uint32_t sum;

	ipv4(0, 0, IPPROTO_UDP);
	udp();
	fill(2);
	put16(t.payload, 0);
	put16(t.l4 + 6, 0);
	sum = l4_check(t.bytes, t.l3, t.l4, t.length, IPPROTO_UDP);
	put16(t.payload, 0xffff - sum);
	t.frame.flags = ENA_FRAME_L4_CSUM_FULL;
	cut(256, 100);
	wire(0);
	cr_expect_eq(get16(out + t.l4 + 6), 0xffff);
}

Test(ena_frame, leaves_padding_out_of_a_full_checksum)
{
	for (uint32_t pad = 1; pad < 30; pad++)
		for (uint32_t header = t.payload; header < 64; header += 9) {
			ipv4(0, 0, IPPROTO_TCP);
			tcp(5, 0);
			fill(3);
			memset(t.bytes + t.length, 0x5a, pad);
			t.length += pad;
			t.frame.flags = ENA_FRAME_L4_CSUM_FULL;
			cut(header < t.payload ? t.payload : header, 4);
			wire(0);
			cr_expect_eq(l4_check(out, t.l3, t.l4, t.length - pad,
					      IPPROTO_TCP),
				     0xffff);
			cr_expect_arr_eq(out + t.payload, t.bytes + t.payload,
					 t.length - t.payload);
		}
}

Test(ena_frame, fills_in_the_ipv4_header_checksum)
{
	for (unsigned int options = 0; options <= 10; options++) {
		ipv4(0, options, IPPROTO_ICMP);
		fill(64);
		put16(t.l3 + 10, 0x1234);
		t.frame.flags = ENA_FRAME_L3_CSUM;
		cut(256, 100);
		cr_assert_eq(ena_frame_wire_count(&t.frame), 1);
		wire(0);
		cr_expect_eq(sum_of(out + t.l3, t.l4 - t.l3, 0), 0xffff);
	}
}

Test(ena_frame, leaves_a_frame_alone_that_asks_for_nothing)
{
	ipv4(0, 0, IPPROTO_TCP);
	tcp(5, 0);
	fill(1000);
	put16(t.l4 + 16, 0x1111);
	put16(t.l3 + 10, 0x2222);
	for (uint32_t piece = 1; piece < 1100; piece += 99) {
		cut(100, 97);
		wire_in(0, piece);
		cr_expect_arr_eq(out, t.bytes, t.length);
	}
}

Test(ena_frame, tells_good_checksums_from_bad_ones)
{
	for (uint32_t size = 1; size < 1400; size += 111) {
		ipv4(1, 2, size % 2 ? IPPROTO_TCP : IPPROTO_UDP);
		if (size % 2)
			tcp(6, 0);
		else
			udp();
		fill(size);
		t.frame.flags = ENA_FRAME_L4_CSUM_FULL | ENA_FRAME_L3_CSUM;
		cut(256, 77);
		wire(0);
		memcpy(t.bytes, out, t.length);
		t.frame.flags = 0;
		ena_frame_parse(&t.frame, &t.info);
		cr_expect(ena_frame_l3_csum_is_good(&t.frame, &t.info));
		cr_expect(ena_frame_l4_csum_is_good(&t.frame, &t.info));
		t.bytes[t.length - 1] ^= 1;
		cr_expect_not(ena_frame_l4_csum_is_good(&t.frame, &t.info));
		t.bytes[t.l3 + 8] ^= 1;
		cr_expect_not(ena_frame_l3_csum_is_good(&t.frame, &t.info));
	}
}

Test(ena_frame, takes_udp_without_a_checksum_for_ipv4_only)
{
	ipv4(0, 0, IPPROTO_UDP);
	udp();
	fill(10);
	parse();
	cr_expect(ena_frame_l4_csum_is_good(&t.frame, &t.info));
	ipv6(0, IPPROTO_UDP);
	udp();
	fill(10);
	parse();
	cr_expect_not(ena_frame_l4_csum_is_good(&t.frame, &t.info));
}

Test(ena_frame, refuses_what_contradicts_the_frame)
{
	static const struct {
		const char *what;
		uint8_t flags, proto, l3;
		uint16_t l4, l4_length, mss;
	} rows[] = {
		{ "L4 outside", ENA_FRAME_L4_CSUM_PARTIAL, IPPROTO_TCP, 14, 250,
		  0, 0 },
		{ "no protocol", ENA_FRAME_L4_CSUM_PARTIAL, 0, 14, 34, 0, 0 },
		{ "L3 in L4", ENA_FRAME_L4_CSUM_FULL, IPPROTO_TCP, 34, 14, 0,
		  0 },
		{ "no IP", ENA_FRAME_L4_CSUM_FULL, IPPROTO_TCP, 0, 34, 0, 0 },
		{ "no IPv4", ENA_FRAME_L3_CSUM, 0, 0, 34, 0, 0 },
		{ "a long IPv4", ENA_FRAME_L3_CSUM, 0, 14, 100, 0, 0 },
		{ "no MSS", ENA_FRAME_TSO, IPPROTO_TCP, 14, 34, 20, 0 },
		{ "a short TCP", ENA_FRAME_TSO, IPPROTO_TCP, 14, 34, 16, 9 },
		{ "a long TCP", ENA_FRAME_TSO, IPPROTO_TCP, 14, 34, 252, 9 },
		{ "crumbs", ENA_FRAME_TSO, IPPROTO_TCP, 14, 34, 20, 1 },
	};

	ipv4(0, 0, IPPROTO_TCP);
	tcp(5, 0);
	fill(3000);
	for (unsigned int i = 0; i < RT_COUNT(rows); i++) {
		cut(256, 1000);
		t.frame.flags = rows[i].flags;
		t.frame.l4_proto = rows[i].proto;
		t.frame.l3_offset = rows[i].l3;
		t.frame.l4_offset = rows[i].l4;
		t.frame.l4_length = rows[i].l4_length;
		t.frame.mss = rows[i].mss;
		cr_expect_eq(ena_frame_wire_count(&t.frame), 0, "%s",
			     rows[i].what);
	}
}

/* ---- TSO ---- */

static void expect_ip(uint32_t length, unsigned int n, uint32_t first_id)
{
	const uint8_t *ip = out + t.l3;

	if (ip[0] >> 4 == 6) {
		cr_expect_eq(get16(ip + 4), length - t.l3 - 40);
		return;
	}
	cr_expect_eq(get16(ip + 2), length - t.l3);
	cr_expect_eq(get16(ip + 4), (first_id + n) & 0xffff);
	cr_expect_eq(sum_of(ip, t.l4 - t.l3, 0), 0xffff);
}

static void expect_segments(uint16_t mss, uint32_t header, uint32_t part)
{
	uint32_t payload = t.length - t.payload, at = t.payload;
	uint32_t count = payload ? (payload + mss - 1) / mss : 1;
	uint32_t first_id = get16(t.bytes + t.l3 + 4);

	cut(header, part);
	t.frame.mss = mss;
	t.frame.flags = ENA_FRAME_TSO;
	cr_assert_eq(ena_frame_wire_count(&t.frame), count);
	for (unsigned int n = 0; n < count; n++) {
		uint32_t length = wire_in(n, 700 + 13 * n);
		uint32_t size = length - t.payload;
		const uint8_t *l4 = out + t.l4;
		uint8_t flags = t.bytes[t.l4 + 13];

		cr_assert_eq(size, n + 1 < count ? mss : t.length - at);
		expect_ip(length, n, first_id);
		cr_expect_eq(get32(l4 + 4),
			     get32(t.bytes + t.l4 + 4) + n * mss);
		if (n)
			flags &= (uint8_t)~0x80;
		if (n + 1 < count)
			flags &= (uint8_t)~0x09;
		cr_expect_eq(l4[13], flags, "segment %u of %u", n, count);
		cr_expect_eq(l4_check(out, t.l3, t.l4, length, IPPROTO_TCP),
			     0xffff);
		cr_expect_arr_eq(out + t.payload, t.bytes + at, size);
		at += size;
	}
	cr_expect_eq(at, t.length);
}

Test(ena_frame, cuts_a_super_packet_over_ipv4)
{
	ipv4(0, 0, IPPROTO_TCP);
	tcp(8, 0xff);
	fill(60000);
	put16(t.l3 + 4, 0xfffe); /* the id wraps */
	put16(t.l3 + 2, 0);      /* it need not be told */
	expect_segments(1448, 66, 4096);
	ena_frame_parse(&t.frame, &t.info);
	cr_expect_eq(t.info.l4_proto, ENA_ETH_IO_L4_PROTO_TCP);
	cr_expect(t.info.is_whole);
	expect_segments(1447, 96, 4095);
	expect_segments(8960, 256, 16383);
	t.frame.l4_proto = 0; /* implied */
	expect_segments(536, 200, 2049);
}

Test(ena_frame, cuts_a_super_packet_over_ipv6)
{
	ipv6(1, IPPROTO_DSTOPTS);
	extension(IPPROTO_TCP, 1);
	tcp(5, 0x19);
	fill(20001);
	expect_segments(1440, 100, 1001);
	expect_segments(1441, 256, 4096);
}

Test(ena_frame, cuts_nothing_off_what_fits_one_segment)
{
	ipv4(2, 0, IPPROTO_TCP);
	tcp(5, 0x99);
	fill(100);
	expect_segments(100, 256, 10);
	expect_segments(101, 80, 3000);
	t.length = t.payload;
	expect_segments(100, 256, 10);
}

Test(ena_frame, cuts_the_largest_there_is)
{
	ipv4(2, 0, IPPROTO_TCP);
	tcp(5, 0);
	fill(ENA_FRAME_MAX_BYTES - t.length);
	expect_segments(1460, 256, 4096);
	expect_segments(16383, 256, 4096);
}
