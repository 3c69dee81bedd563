/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "tests/unit/ena/path_rig.h"

static uint8_t bytes[RIG_FRAME];
static struct ena_eth_io_rx_cdesc_ext got;

TestSuite(ena_rx, .init = rig_start, .fini = rig_stop);

static uint64_t buffer_at(unsigned int i)
{
	return RIG_DATA + UINT64_C(16384) * (i % 128) + 77 * (i % 3);
}

/* Buffers with ids from first on. */
static void give(uint16_t n, unsigned int first, unsigned int count,
		 uint32_t size)
{
	for (unsigned int i = first; i < first + count; i++)
		rig_buffer(n, (uint16_t)i, buffer_at(i), size);
	rig_ring(n);
}

static uint32_t status(void)
{
	return le32_get(got.base.status);
}

static uint64_t field(uint64_t mask)
{
	return bits_get(mask, status());
}

/* One frame in buffers of such a size, from id `first` on. */
static unsigned int expect_frame(uint16_t n, unsigned int first,
				 const uint8_t *expected, uint32_t size,
				 uint32_t buffer)
{
	unsigned int count = 0;

	for (uint32_t at = 0; at < size; at += buffer, count++) {
		uint32_t part = size - at < buffer ? size - at : buffer;

		cr_assert(rig_received(n, &got), "%u of %u", at, size);
		cr_expect_eq(le16_get(got.base.length), part & 0xffff);
		cr_expect_eq(le16_get(got.base.req_id), first + count);
		cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_FIRST), !at);
		cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_LAST),
			     at + part == size);
		cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_BUFFER), 1);
		cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_MBZ7), 0);
		cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_MBZ17), 0);
		cr_expect_eq(got.base.offset, 0);
		cr_expect_arr_eq(rig_at(buffer_at(first + count)),
				 expected + at, part);
	}
	return count;
}

Test(ena_rx, writes_a_frame_and_says_what_it_is)
{
	uint32_t size = rig_tcp(bytes, 500, 3);

	rig_make_rx(1, (struct rig_queue){ .depth = 64 });
	give(1, 0, 64, 2048);
	rig_deliver(bytes, size);
	expect_frame(1, 0, bytes, size, 2048);
	cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_L3_PROTO_IDX),
		     ENA_ETH_IO_L3_PROTO_IPV4);
	cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_L4_PROTO_IDX),
		     ENA_ETH_IO_L4_PROTO_TCP);
	cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_L4_CSUM_CHECKED), 1);
	cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_L4_CSUM_ERR), 0);
	cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_L3_CSUM_ERR), 0);
	cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_IPV4_FRAG), 0);
	cr_expect_not(rig_received(1, &got));
}

Test(ena_rx, goes_through_a_full_ring_and_16_bit_indexes)
{
	unsigned int id = 0;

	rig_make_rx(1, (struct rig_queue){ .depth = 32 });
	for (unsigned int round = 0; round < 2100; round++) {
		give(1, id, 32, 256);
		for (unsigned int i = 0; i < 32; i++)
			rig_deliver(bytes,
				    rig_udp(bytes, 4, (uint8_t)(id + i)));
		for (unsigned int i = 0; i < 32; i++, id++) {
			cr_assert(rig_received(1, &got));
			cr_expect_eq(le16_get(got.base.req_id), (uint16_t)id);
			cr_expect_eq(rig_at(buffer_at(id))[42], id & 0xff);
		}
		cr_expect_not(rig_received(1, &got));
	}
	cr_expect_eq(rt_counter_read(&rig.nic->counters.rx_drops), 0);
}

Test(ena_rx, fills_as_many_buffers_as_a_frame_needs)
{
	static const uint32_t sizes[] = { 60, 61, 700, 1514, 4096, 9230 };
	unsigned int id = 0;

	rig_make_rx(1, (struct rig_queue){ .depth = 1024 });
	give(1, 0, 1024, 1000);
	for (unsigned int i = 0; i < RT_COUNT(sizes); i++) {
		uint32_t size = rig_udp(bytes, sizes[i] - 42, (uint8_t)i);

		rig_deliver(bytes, size);
		id += expect_frame(1, id, bytes, size, 1000);
	}
	rig_close(1);
	rig_make_rx(1, (struct rig_queue){ .depth = 32 });
	give(1, 0, 32, 0);
	rig_deliver(bytes, 9230);
	expect_frame(1, 0, bytes, 9230, 65536);
}

Test(ena_rx, leaves_frames_with_the_sender_until_there_are_buffers)
{
	uint32_t size = rig_udp(bytes, 1500 - 42, 1);
	unsigned int resumed;

	rig_make_rx(1, (struct rig_queue){ .depth = 64 });
	cr_expect_not(rig_offer(bytes, size));
	give(1, 0, 3, 1000);
	rig_deliver(bytes, size);
	cr_expect_eq(expect_frame(1, 0, bytes, size, 1000), 2);
	cr_expect_not(rig_offer(bytes, size));
	resumed = rig.resumed;
	rig_wait_ns(RT_NS_PER_MS);
	cr_expect_eq(rig.resumed, resumed);
	/* Not for one frame, but for an eighth of the ring. */
	give(1, 3, 6, 1000);
	rig_wait_ns(RT_NS_PER_MS);
	cr_expect_eq(rig.resumed, resumed);
	give(1, 9, 1, 1000);
	rig_wait_ns(RT_NS_PER_MS);
	cr_expect_eq(rig.resumed, resumed + 1);
	rig_deliver(bytes, size);
	cr_expect_eq(expect_frame(1, 2, bytes, size, 1000), 2);
	cr_expect_eq(rt_counter_read(&rig.nic->state->counters.rx_drops), 0);
}

Test(ena_rx, goes_on_when_there_is_room_for_the_next_frame_or_for_a_burst)
{
	uint32_t size = rig_udp(bytes, 9000, 1);
	unsigned int resumed;

	rig_make_rx(1, (struct rig_queue){ .depth = 64 });
	cr_expect_not(rig_offer(bytes, size));
	give(1, 0, 9, 1000);
	cr_expect_not(rig_offer(bytes, size));
	resumed = rig.resumed;
	rig_wait_ns(RT_NS_PER_MS);
	cr_expect_eq(rig.resumed, resumed, "it needs ten");
	give(1, 9, 1, 1000);
	rig_wait_ns(RT_NS_PER_MS);
	cr_expect_eq(rig.resumed, resumed + 1);
	rig_deliver(bytes, size);
	rig_make_rx(2, (struct rig_queue){ .depth = 1024 });
	rig_close(1);
	cr_expect_not(rig_offer(bytes, 60));
	resumed = rig.resumed;
	give(2, 0, 31, 1000);
	rig_wait_ns(RT_NS_PER_MS);
	cr_expect_eq(rig.resumed, resumed);
	give(2, 31, 1, 1000);
	rig_wait_ns(RT_NS_PER_MS);
	cr_expect_eq(rig.resumed, resumed + 1);
}

static bool is_deaf(void)
{
	return rig.nic->port.type->is_deaf(&rig.nic->port);
}

Test(ena_rx, is_deaf_while_all_would_be_dropped)
{
	cr_expect(is_deaf(), "there is no queue");
	rig_make_rx(1, (struct rig_queue){ .depth = 64 });
	cr_expect_not(is_deaf(), "it waits for buffers");
	cr_expect_not(rig_offer(bytes, 60));
	rig_wait_ns(10 * RT_NS_PER_MS);
	cr_expect(is_deaf(), "they did not come");
	give(1, 0, 16, 1000);
	cr_expect_not(is_deaf());
	rig.nic->state->is_link_down = true;
	cr_expect(is_deaf());
}

Test(ena_rx, does_not_leave_them_there_for_long)
{
	uint32_t size = rig_udp(bytes, 1500 - 42, 1);
	unsigned int resumed = rig.resumed;

	rig_make_rx(1, (struct rig_queue){ .depth = 64 });
	cr_expect_not(rig_offer(bytes, size));
	rig_wait_ns(10 * RT_NS_PER_MS);
	cr_expect_eq(rig.resumed, resumed + 1);
	rig_deliver(bytes, size);
	rig_deliver(bytes, size);
	cr_expect_eq(rt_counter_read(&rig.nic->state->counters.rx_drops), 2);
	cr_expect_eq(rt_counter_read(&rig.nic->state->counters.rx_overruns), 2);
	/* A driver that gives a few at a time does not get the time again. */
	give(1, 0, 4, 2048);
	for (unsigned int i = 0; i < 5; i++)
		rig_deliver(bytes, size);
	cr_expect_eq(rt_counter_read(&rig.nic->state->counters.rx_drops), 3);
	give(1, 4, 16, 2048);
	for (unsigned int i = 0; i < 16; i++)
		rig_deliver(bytes, size);
	cr_expect_not(rig_offer(bytes, size));
}

Test(ena_rx, does_not_wait_for_what_a_ring_cannot_hold)
{
	uint32_t size = rig_udp(bytes, 1500 - 42, 1);

	rig_make_rx(1, (struct rig_queue){ .depth = 8 });
	give(1, 0, 8, 100);
	rig_deliver(bytes, size);
	cr_expect_eq(rt_counter_read(&rig.nic->state->counters.rx_drops), 1);
}

Test(ena_rx, takes_no_more_buffers_than_a_driver_can)
{
	uint32_t size = rig_udp(bytes, 1700 - 42, 1);

	rig_make_rx(1, (struct rig_queue){ .depth = 64 });
	give(1, 0, 64, 100);
	rig_deliver(bytes, size);
	cr_expect_eq(expect_frame(1, 0, bytes, size, 100), 17);
	rig_deliver(bytes, size + 1);
	cr_expect_not(rig_received(1, &got));
	cr_expect_eq(rt_counter_read(&rig.nic->counters.rx_drops), 1);
	cr_expect_eq(rt_counter_read(&rig.nic->counters.rx_overruns), 0);
	rig_deliver(bytes, size);
	cr_expect_eq(expect_frame(1, 17, bytes, size, 100), 17);
}

Test(ena_rx, passes_over_buffers_that_are_out_of_reach)
{
	uint32_t size = rig_udp(bytes, 100, 1);

	rig_make_rx(1, (struct rig_queue){ .depth = 64 });
	rig_buffer(1, 50, RIG_IOVA + RIG_BYTES - 100, 2048);
	rig_buffer(1, 51, 0, 2048);
	give(1, 0, 2, 2048);
	rig_deliver(bytes, size);
	rig_deliver(bytes, size);
	cr_expect_not(rig_received(1, &got));
	rig_deliver(bytes, size);
	expect_frame(1, 0, bytes, size, 2048);
	cr_expect_geq(rig_broken(ENA_RULE_RX_MEMORY), 2);
}

/* ---- what completions say ---- */

static void expect_bits(uint64_t checked, uint64_t l3_bad, uint64_t l4_bad)
{
	cr_assert(rig_received(1, &got));
	cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_L4_CSUM_CHECKED), checked);
	cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_L3_CSUM_ERR), l3_bad);
	cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_L4_CSUM_ERR), l4_bad);
}

Test(ena_rx, verifies_checksums_and_tells_the_truth)
{
	uint32_t size = rig_udp(bytes, 600, 1);

	rig_make_rx(1, (struct rig_queue){ .depth = 64 });
	give(1, 0, 64, 2048);
	rig_deliver(bytes, size);
	expect_bits(1, 0, 0);
	bytes[size - 1] ^= 1;
	rig_deliver(bytes, size);
	expect_bits(1, 0, 1);
	bytes[size - 1] ^= 1;
	bytes[24] ^= 1;
	rig_deliver(bytes, size);
	expect_bits(1, 1, 0);
	bytes[24] ^= 1;
	bytes[40] = bytes[41] = 0;
	rig_deliver(bytes, size);
	expect_bits(1, 0, 0);
	bytes[20] = 0x20; /* more fragments */
	rig_deliver(bytes, size);
	expect_bits(0, 1, 0);
	cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_IPV4_FRAG), 1);
	cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_L4_PROTO_IDX), 0);
	bytes[12] = 0x88;
	rig_deliver(bytes, size);
	expect_bits(0, 0, 0);
	cr_expect_eq(status() & 0x1fff, 0);
	cr_expect_eq(le32_get(got.base.hash), 0);
	cr_expect_eq(rt_counter_read(&rig.nic->counters.rx_csum_errors), 3);
}

Test(ena_rx, believes_who_says_that_a_checksum_is_good)
{
	uint32_t size = rig_udp(bytes, 600, 1);
	struct ena_frame frame = rig_frame(bytes, size);

	rig_make_rx(1, (struct rig_queue){ .depth = 64 });
	give(1, 0, 64, 2048);
	bytes[size - 1] ^= 1;
	frame.flags = ENA_FRAME_L4_CSUM_GOOD;
	ena_nic_port.deliver(&rig.nic->port, &frame, 1);
	expect_bits(1, 0, 0);
}

Test(ena_rx, cuts_a_super_packet_into_frames)
{
	uint32_t size = rig_tcp(bytes, 10000, 1), sum = 0;
	struct ena_frame frame = rig_frame(bytes, size);
	unsigned int count = 0;

	frame.flags = ENA_FRAME_TSO | ENA_FRAME_L4_CSUM_GOOD;
	frame.l4_proto = IPPROTO_TCP;
	frame.l3_offset = 14;
	frame.l4_offset = 34;
	frame.l4_length = 20;
	frame.mss = 1460;
	rig_make_rx(1, (struct rig_queue){ .depth = 64 });
	give(1, 0, 64, 2048);
	cr_expect_eq(ena_nic_port.deliver(&rig.nic->port, &frame, 1), 1);
	while (rig_received(1, &got)) {
		struct ena_frame segment;
		struct ena_frame_info info;

		segment = rig_frame(rig_at(buffer_at(count++)),
				    le16_get(got.base.length));
		ena_frame_parse(&segment, &info);
		cr_expect(ena_frame_l4_csum_is_good(&segment, &info));
		cr_expect(ena_frame_l3_csum_is_good(&segment, &info));
		cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_L4_PROTO_IDX),
			     ENA_ETH_IO_L4_PROTO_TCP);
		cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_L4_CSUM_CHECKED), 1);
		sum += segment.length - 54;
	}
	cr_expect_eq(count, 7);
	cr_expect_eq(sum, 10000);
	cr_expect_eq(rt_counter_read(&rig.nic->counters.rx_packets), 7);
}

Test(ena_rx, writes_longer_completions)
{
	uint32_t size = rig_udp(bytes, 200, 1);

	rig_make_rx(1, (struct rig_queue){ .depth = 32, .words = 8 });
	for (unsigned int i = 0; i < 100; i++) {
		give(1, i, 1, 2048);
		rig_deliver(bytes, size);
		expect_frame(1, i, bytes, size, 2048);
		cr_expect_eq(le32_get(got.buff_addr_lo), buffer_at(i));
	}
}

Test(ena_rx, shows_a_burst_all_at_once)
{
	struct ena_frame frames[40];
	uint32_t size = rig_udp(bytes, 20, 1);

	for (unsigned int i = 0; i < RT_COUNT(frames); i++)
		frames[i] = rig_frame(bytes, size);
	rig_make_rx(1, (struct rig_queue){ .depth = 64 });
	give(1, 0, 64, 2048);
	cr_expect_eq(ena_nic_port.deliver(&rig.nic->port, frames, 40), 40);
	for (unsigned int i = 0; i < 40; i++)
		expect_frame(1, i, bytes, size, 2048);
	cr_expect_not(rig_received(1, &got));
}

Test(ena_rx, hashes_each_frame_of_a_burst_for_itself)
{
	/* Of these bytes one is another, and what follows from that. */
	static const struct {
		unsigned int at;
		bool is_other;
	} rows[] = {
		{ 19, false }, /* IP's id */ { 29, true },     /* from */
		{ 33, true },  /* to */ { 35, true },          /* port */
		{ 37, true },  /* its */ { 23, true },         /* protocol */
		{ 20, true },  /* a fragment */ { 43, false }, /* data */
	};
	static uint8_t others[RT_COUNT(rows)][128];
	uint32_t size = rig_udp(bytes, 20, 1), hash;

	rig_make_rx(1, (struct rig_queue){ .depth = 64 });
	give(1, 0, 60, 2048);
	for (unsigned int i = 0; i < RT_COUNT(rows); i++) {
		struct ena_frame frames[3] = { rig_frame(bytes, size),
					       rig_frame(others[i], size),
					       rig_frame(bytes, size) };

		memcpy(others[i], bytes, size);
		others[i][rows[i].at] ^= rows[i].at == 23 ? 17 ^ 6 : 0x20;
		cr_expect_eq(ena_nic_port.deliver(&rig.nic->port, frames, 3),
			     3);
		cr_assert(rig_received(1, &got));
		hash = le32_get(got.base.hash);
		cr_expect_neq(hash, 0);
		cr_assert(rig_received(1, &got));
		cr_expect_eq(le32_get(got.base.hash) != hash, rows[i].is_other,
			     "byte %u", rows[i].at);
		cr_assert(rig_received(1, &got));
		cr_expect_eq(le32_get(got.base.hash), hash);
	}
}

Test(ena_rx, drops_frames_that_no_wire_has)
{
	rig_make_rx(1, (struct rig_queue){ .depth = 64 });
	give(1, 0, 64, 16000);
	rig_deliver(bytes, 9216 + 22);
	cr_expect(rig_received(1, &got));
	rig_deliver(bytes, 9216 + 23);
	cr_expect_not(rig_received(1, &got));
	cr_expect_eq(rt_counter_read(&rig.nic->counters.rx_drops), 1);
}

Test(ena_rx, takes_nothing_without_a_link_or_a_queue)
{
	uint32_t size = rig_udp(bytes, 20, 1);

	rig_deliver(bytes, size);
	rig_make_rx(1, (struct rig_queue){ .depth = 64 });
	give(1, 0, 64, 2048);
	rig.nic->state->is_link_down = true;
	rig_deliver(bytes, size);
	cr_expect_not(rig_received(1, &got));
}

/* ---- faults ---- */

Test(ena_rx, goes_wrong_as_it_is_told)
{
	uint32_t size = rig_udp(bytes, 100, 1);

	rig_make_rx(1, (struct rig_queue){ .depth = 64 });
	give(1, 0, 64, 2048);
	rig_fault("rx_req_id", 1, 999);
	rig_deliver(bytes, size);
	cr_assert(rig_received(1, &got));
	cr_expect_eq(le16_get(got.base.req_id), 999);
	rig_fault("rx_malformed", 1, 0);
	rig_deliver(bytes, size);
	cr_assert(rig_received(1, &got));
	cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_MBZ7), 1);
	cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_LAST), 0);
	rig_fault("rx_drop", 1, 0);
	rig_deliver(bytes, size);
	cr_expect_not(rig_received(1, &got));
	cr_expect_eq(rt_counter_read(&rig.nic->counters.rx_drops), 0);
	rig_fault("rx_starve", 1, 0);
	rig_deliver(bytes, size);
	cr_expect_not(rig_received(1, &got));
	cr_expect_eq(rt_counter_read(&rig.nic->counters.rx_overruns), 1);
	rig_fault("rx_corrupt", 1, 50);
	rig_deliver(bytes, size);
	cr_assert(rig_received(1, &got));
	cr_expect_eq(rig_at(buffer_at(2))[50], bytes[50] ^ 0xff);
	rig_fault("rx_descs", 1, 0);
	rig_deliver(bytes, size);
	for (unsigned int i = 0; i < 20; i++) {
		cr_assert(rig_received(1, &got));
		cr_expect_eq(field(ENA_ETH_IO_RX_CDESC_LAST), i == 19);
	}
}
