/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an adapter does to packets.  Their checksums are computed once more by
 * host-driver/packet.c, which shares nothing with the device.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "tests/function/nic_bench.h"

#define IP_OF(p)   ((p)->is_ipv6 ? HOST_ENA_IPV6 : HOST_ENA_IPV4)
#define L4_OF(p)   ((p)->proto == HOST_PACKET_TCP ? HOST_ENA_TCP : HOST_ENA_UDP)
#define KINDS      16u
#define FLAGS_GOOD ((uint32_t)ENA_ETH_IO_RX_CDESC_L4_CSUM_CHECKED)
#define FLAGS_BAD  ((uint32_t)ENA_ETH_IO_RX_CDESC_L4_CSUM_ERR)

static struct nic_bench b;
static uint8_t frame[HOST_PACKET_MAX_BYTES], want[HOST_PACKET_MAX_BYTES];

TestSuite(function_ena_offload, .timeout = 100);

/* IPv4 or 6, TCP or UDP, tagged or not, short or long. */
static struct host_packet kind(unsigned int i)
{
	struct host_packet p = nic_packet(
		&b, i & 1 ? HOST_PACKET_TCP : HOST_PACKET_UDP, false);

	p.is_ipv6 = i & 2;
	p.vlan = i & 4 ? 99 : 0;
	p.payload = i & 8 ? 1001 : 1;
	p.seed = i * 77;
	return p;
}

static void expect_right(uint32_t length, const char *what, unsigned int i)
{
	char text[100] = "";

	cr_assert(host_packet_is_right(frame, length, text, sizeof text),
		  "%s, kind %u: %s", what, i, text);
}

static void try_csum(enum host_ena_placement placement, uint16_t how)
{
	struct host_packet_layout layout;

	nic_start(&b, NULL);
	nic_make_queues(&b.nics[0], placement);
	nic_make_queues(&b.nics[1], placement);
	for (unsigned int i = 0; i < KINDS * 4; i++) {
		struct host_packet p = kind(i % KINDS);
		uint16_t offload = IP_OF(&p) | L4_OF(&p) | how;

		host_packet_write(&p, b.nics[0].frame, &layout);
		memcpy(want, b.nics[0].frame, layout.length);
		if (how & HOST_ENA_L4_PARTIAL)
			host_packet_prepare_l4(b.nics[0].frame, &layout);
		else
			host_packet_spoil_l4(b.nics[0].frame, &layout);
		if (p.is_ipv6)
			offload &= (uint16_t)~HOST_ENA_L3_CSUM;
		else if (how & HOST_ENA_L3_CSUM)
			host_packet_spoil_l3(b.nics[0].frame, &layout);
		nic_send(&b.nics[0], layout.length, offload, &layout, 0);
		cr_assert_eq(nic_receive(&b.nics[1], frame, NULL),
			     layout.length);
		expect_right(layout.length, "checksum", i);
		cr_assert_arr_eq(frame, want, layout.length);
	}
	nic_stop(&b);
}

Test(function_ena_offload, partial_checksums_are_finished)
{
	try_csum(HOST_ENA_PLACE_HOST, HOST_ENA_L4_PARTIAL);
	try_csum(HOST_ENA_PLACE_LLQ, HOST_ENA_L4_PARTIAL);
}

Test(function_ena_offload, full_checksums_are_made)
{
	try_csum(HOST_ENA_PLACE_HOST, HOST_ENA_L4_CSUM | HOST_ENA_L3_CSUM);
	try_csum(HOST_ENA_PLACE_LLQ, HOST_ENA_L4_CSUM | HOST_ENA_L3_CSUM);
}

Test(function_ena_offload, nothing_is_done_that_was_not_asked_for)
{
	struct host_packet_layout layout;

	nic_start_queues(&b, NULL);
	for (unsigned int i = 0; i < KINDS; i++) {
		struct host_packet p = kind(i);

		host_packet_write(&p, b.nics[0].frame, &layout);
		host_packet_spoil_l4(b.nics[0].frame, &layout);
		nic_send(&b.nics[0], layout.length, 0, NULL, 0);
		cr_assert_eq(nic_receive(&b.nics[1], frame, NULL),
			     layout.length);
		cr_assert_arr_eq(frame, b.nics[0].frame, layout.length);
	}
	nic_stop(&b);
}

static uint32_t read32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
	       (uint32_t)at[2] << 8 | at[3];
}

/* Send one large packet; every segment is right and all of it arrives. */
static void try_tso(const struct host_packet *p, uint16_t mss, uint16_t extra)
{
	struct host_packet_layout l;
	uint32_t done = 0, length, count = 0, part;
	uint16_t offload = IP_OF(p) | HOST_ENA_TSO | extra;

	host_packet_write(p, b.nics[0].frame, &l);
	host_packet_spoil_l4(b.nics[0].frame, &l);
	nic_send(&b.nics[0], l.length, offload, &l, mss);
	for (; done < p->payload; count++) {
		uint32_t id, sequence;

		length = nic_receive(&b.nics[1], frame, NULL);
		cr_assert_gt(length, l.payload_offset, "after %u bytes", done);
		expect_right(length, "segment", count);
		part = length - l.payload_offset;
		cr_assert_eq(part,
			     p->payload - done < mss ? p->payload - done : mss);
		sequence = read32(frame + l.l4_offset + 4);
		cr_assert_eq(sequence, p->sequence + done);
		id = read32(frame + l.l3_offset + 2) & 0xffff;
		if (!p->is_ipv6)
			cr_assert_eq(id, (p->seed + count) & 0xffff);
		for (uint32_t i = 0; i < part; i++)
			cr_assert_eq(frame[l.payload_offset + i],
				     host_packet_byte(p->seed, done + i));
		done += part;
		/* FIN and PSH at the end, CWR at the start. */
		cr_assert_eq(frame[l.l4_offset + 13] & 0x89,
			     (done == p->payload ? 0x09 : 0) |
				     (count == 0 ? 0x80 : 0));
	}
}

Test(function_ena_offload, large_packets_are_cut)
{
	static const uint32_t sizes[] = { 1,    1447, 1448,  1449,
					  2896, 9999, 30000, 65000 };

	nic_start_queues(&b, NULL);
	for (size_t i = 0; i < RT_COUNT(sizes); i++)
		for (unsigned int k = 0; k < 4; k++) {
			struct host_packet p = kind(1 | k << 1);

			p.payload = sizes[i];
			p.tcp_flags = 0x89;
			p.sequence = UINT32_MAX - 2000;
			p.seed = 65534;
			try_tso(&p, 1448, HOST_ENA_TCP | HOST_ENA_L4_CSUM);
		}
	nic_stop(&b);
}

/* As DPDK asks for it: neither a protocol nor a checksum is named. */
Test(function_ena_offload, cutting_implies_everything)
{
	struct host_packet p;

	nic_start_queues(&b, NULL);
	p = kind(1);
	p.payload = 5000;
	p.tcp_flags = 0x89;
	try_tso(&p, 536, 0);
	p.is_ipv6 = true;
	try_tso(&p, 536, 0);
	nic_stop(&b);
}

Test(function_ena_offload, from_host_memory_packets_are_cut_as_well)
{
	struct host_packet p;

	nic_start(&b, NULL);
	nic_make_queues(&b.nics[0], HOST_ENA_PLACE_HOST);
	nic_make_queues(&b.nics[1], HOST_ENA_PLACE_HOST);
	for (unsigned int i = 0; i < 8; i++) {
		/* The metadata changes, and changes back. */
		p = kind(1 | (i & 1) << 1);
		p.payload = 20000;
		p.tcp_flags = 0x89;
		try_tso(&p, i & 2 ? 1448 : 1000,
			HOST_ENA_TCP | HOST_ENA_L4_CSUM);
		p = kind(1);
		p.tcp_flags = 0x89;
		try_tso(&p, 1448, HOST_ENA_TCP);
	}
	nic_stop(&b);
}

Test(function_ena_offload, what_arrives_is_judged)
{
	nic_start_queues(&b, NULL);
	for (unsigned int i = 0; i < KINDS * 2; i++) {
		struct host_packet p = kind(i % KINDS);
		struct host_ena_received last;
		struct host_packet_layout layout;
		bool is_bad = i >= KINDS;
		uint32_t l3, l4;

		host_packet_write(&p, b.nics[0].frame, &layout);
		if (is_bad)
			b.nics[0].frame[layout.payload_offset] ^= 0x10;
		nic_send(&b.nics[0], layout.length, 0, NULL, 0);
		cr_assert_eq(nic_receive(&b.nics[1], frame, &last),
			     layout.length);
		l3 = (uint32_t)bits_get(ENA_ETH_IO_RX_CDESC_L3_PROTO_IDX,
					last.status);
		l4 = (uint32_t)bits_get(ENA_ETH_IO_RX_CDESC_L4_PROTO_IDX,
					last.status);
		cr_expect_eq(l3, p.is_ipv6 ? ENA_ETH_IO_L3_PROTO_IPV6
					   : ENA_ETH_IO_L3_PROTO_IPV4);
		cr_expect_eq(l4, p.proto == HOST_PACKET_TCP
					 ? ENA_ETH_IO_L4_PROTO_TCP
					 : ENA_ETH_IO_L4_PROTO_UDP);
		cr_expect(last.status & FLAGS_GOOD, "kind %u", i);
		cr_expect_eq(!!(last.status & FLAGS_BAD), is_bad, "kind %u", i);
	}
	nic_stop(&b);
}

Test(function_ena_offload, a_wrong_ip_header_is_judged)
{
	struct host_ena_received last;
	struct host_packet_layout layout;
	struct host_packet p;

	nic_start_queues(&b, NULL);
	p = kind(1);
	host_packet_write(&p, b.nics[0].frame, &layout);
	host_packet_spoil_l3(b.nics[0].frame, &layout);
	nic_send(&b.nics[0], layout.length, 0, NULL, 0);
	cr_assert_eq(nic_receive(&b.nics[1], frame, &last), layout.length);
	cr_expect(last.status & ENA_ETH_IO_RX_CDESC_L3_CSUM_ERR);
	nic_stop(&b);
}

/* What is asked for contradicts the packet: it is completed, not more. */
Test(function_ena_offload, nonsense_is_completed_and_harms_nobody)
{
	struct host_packet_layout l;
	struct host_packet p;

	nic_start_queues(&b, NULL);
	p = kind(1);
	host_packet_write(&p, b.nics[0].frame, &l);
	for (unsigned int i = 0; i < 256; i++) {
		struct host_packet_layout bad = l;

		bad.l3_offset = (uint8_t)(i * 7);
		bad.l3_bytes = (uint8_t)(i * 13);
		bad.l4_words = (uint8_t)(i & 63);
		nic_send(&b.nics[0], i & 1 ? l.length : 20,
			 (uint16_t)(i & 0xff), &bad, (uint16_t)(i & 15));
		while (nic_receive(&b.nics[1], frame, NULL) > 0 && i % 16 == 0)
			;
	}
	nic_settle(&b);
	while (nic_receive(&b.nics[1], frame, NULL) > 0)
		;
	nic_send_packet(&b.nics[0], &p, &l);
	cr_expect_eq(nic_receive(&b.nics[1], frame, NULL), l.length);
	nic_stop(&b);
}
