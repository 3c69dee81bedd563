/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "tests/unit/ena/path_rig.h"

static uint8_t bytes[RIG_FRAME];
static struct ena_eth_io_tx_cdesc_ext done;

#define TSO_CTRL (uint32_t)(ENA_ETH_IO_TX_DESC_TSO_EN)
#define CSUM_CTRL                                                              \
	(uint32_t)(ENA_ETH_IO_TX_DESC_L4_CSUM_EN | ENA_ETH_IO_L4_PROTO_UDP << 8)

TestSuite(ena_tx, .init = rig_start, .fini = rig_stop);

static void expect_wire(unsigned int i, const uint8_t *expected, uint32_t size)
{
	cr_assert_lt(i, rig.wire_count);
	cr_expect_eq(rig.wires[i % RIG_WIRE].length, size);
	cr_expect_arr_eq(rig.wires[i % RIG_WIRE].bytes, expected, size);
}

static void expect_done(uint16_t n, uint16_t req_id)
{
	cr_assert(rig_sent(n, &done), "packet %u", req_id);
	cr_expect_eq(le16_get(done.base.req_id), req_id);
	cr_expect_eq(done.base.status, 0);
	cr_expect_eq(done.base.flags & ~1, 0);
}

Test(ena_tx, sends_a_packet_and_completes_it_once)
{
	uint32_t size = rig_udp(bytes, 100, 1);

	rig_make_tx(0, (struct rig_queue){ .depth = 32 });
	rig_put_bytes(0, 0x7abc, bytes, size);
	rig_turn();
	cr_expect_eq(rig.wire_count, 0, "nobody has rung");
	rig_ring(0);
	rig_turn();
	cr_assert_eq(rig.wire_count, 1);
	expect_wire(0, bytes, size);
	expect_done(0, 0x7abc);
	cr_expect_eq(le16_get(done.base.sq_head_idx), 1);
	cr_expect_eq(rig.wires[0].flags, 0);
	cr_expect_not(rig_sent(0, &done));
}

Test(ena_tx, goes_through_a_full_ring_and_16_bit_indexes)
{
	uint32_t sent = 0;

	rig_make_tx(3, (struct rig_queue){ .depth = 64 });
	while (sent < 70000) {
		for (unsigned int i = 0; i < 64; i++) {
			uint32_t size = rig_udp(bytes, 4, (uint8_t)(sent + i));

			rig_put_bytes(3, (uint16_t)(sent + i), bytes, size);
		}
		rig_ring(3);
		rig_turn();
		for (unsigned int i = 0; i < 64; i++, sent++)
			expect_done(3, (uint16_t)sent);
	}
	cr_expect_eq(rig.wire_count, sent);
	cr_expect_eq(rig_broken(ENA_RULE_TX_PHASE), 0);
	cr_expect_eq(rt_counter_read(&rig.nic->counters.tx_packets), sent);
}

Test(ena_tx, joins_the_buffers_of_a_packet)
{
	struct rig_tx tx = { .req_id = 5, .count = 17 };
	uint32_t size = rig_udp(bytes, 1400, 9), at = 0;

	for (unsigned int i = 0; i < tx.count; i++) {
		uint32_t part = i + 1 < tx.count ? 1 + i * 5 : size - at;

		tx.buffers[i].iova = RIG_DATA + 4096 * i + 4096 - part;
		tx.buffers[i].size = part;
		memcpy(rig_at(tx.buffers[i].iova), bytes + at, part);
		at += part;
	}
	rig_make_tx(0, (struct rig_queue){ .depth = 32 });
	rig_put(0, &tx);
	rig_ring(0);
	rig_turn();
	expect_wire(0, bytes, size);
	expect_done(0, 5);
}

Test(ena_tx, waits_for_the_rest_of_a_packet)
{
	struct rig_tx tx = { .req_id = 1, .count = 2 };
	uint32_t size = rig_udp(bytes, 50, 9);

	memcpy(rig_at(RIG_DATA), bytes, size);
	tx.buffers[0].iova = RIG_DATA;
	tx.buffers[0].size = 40;
	tx.buffers[1].iova = RIG_DATA + 40;
	tx.buffers[1].size = size - 40;
	rig_make_tx(0, (struct rig_queue){ .depth = 32 });
	rig_put(0, &tx);
	rig.tails[0]--;
	rig_ring(0);
	rig_turn();
	cr_expect_eq(rig.wire_count, 0);
	rig.tails[0]++;
	rig_ring(0);
	rig_turn();
	expect_wire(0, bytes, size);
	expect_done(0, 1);
}

/* ---- device memory ---- */

static const struct rig_queue llqs[] = {
	{ .depth = 32, .llq_entry = 128, .llq_before = 2 },
	{ .depth = 32, .llq_entry = 128, .llq_before = 1 },
	{ .depth = 32, .llq_entry = 128, .llq_before = 4 },
	{ .depth = 32, .llq_entry = 192, .llq_before = 2 },
	{ .depth = 32, .llq_entry = 256, .llq_before = 8 },
	{ .depth = 32, .llq_entry = 256, .llq_before = 2 },
	{ .depth = 32, .llq_entry = 128, .llq_before = 2, .llq_single = true },
	{ .depth = 32, .llq_entry = 256, .llq_before = 1, .llq_single = true },
};

static void llq_packets(const struct rig_queue *queue, unsigned int buffers)
{
	uint8_t room = (uint8_t)(queue->llq_entry - queue->llq_before * 16);

	for (uint32_t payload = 0; payload < 700; payload += 59) {
		struct rig_tx tx = { .has_meta = payload % 2,
				     .meta_is_invalid = payload % 3 == 0,
				     .req_id = (uint16_t)payload,
				     .inline_bytes = bytes };
		uint32_t size = rig_udp(bytes, payload, (uint8_t)payload), at;

		tx.inline_length = size < room ? (uint8_t)size : room;
		at = tx.inline_length;
		while (at < size) {
			uint32_t part = size - at;

			if (tx.count + 1 < buffers && part > 60)
				part = 60;
			tx.buffers[tx.count].iova = RIG_DATA + at;
			tx.buffers[tx.count++].size = part;
			memcpy(rig_at(RIG_DATA + at), bytes + at, part);
			at += part;
		}
		rig_put(2, &tx);
		rig_ring(2);
		rig.wire_count = 0;
		rig_turn();
		cr_assert_eq(rig.wire_count, 1, "%u bytes in %u", size,
			     queue->llq_entry);
		expect_wire(0, bytes, size);
		expect_done(2, tx.req_id);
		cr_expect_eq(le16_get(done.base.sq_head_idx), rig.tails[2]);
	}
}

Test(ena_tx, takes_packets_out_of_device_memory_of_all_layouts)
{
	for (unsigned int i = 0; i < RT_COUNT(llqs); i++) {
		rig_make_tx(2, llqs[i]);
		for (unsigned int buffers = 1; buffers < 17; buffers += 3)
			llq_packets(&llqs[i], buffers);
		rig_close(2);
	}
	cr_expect_eq(rig_broken(ENA_RULE_TX_PHASE), 0);
}

Test(ena_tx, refuses_a_pushed_header_that_is_longer_than_its_entry)
{
	struct rig_tx tx = { .req_id = 8, .inline_bytes = bytes };

	rig_make_tx(0, llqs[0]);
	tx.inline_length = 96;
	rig_put(0, &tx);
	tx.inline_length = 97;
	rig_put(0, &tx);
	rig_ring(0);
	rig_turn();
	cr_expect_eq(rig.wire_count, 1);
	cr_expect_eq(rig_broken(ENA_RULE_TX_HEADER), 1);
	expect_done(0, 8);
	expect_done(0, 8);
}

/* ---- offloads ---- */

static void put_tso(uint16_t n, uint32_t size, bool has_meta, uint16_t mss)
{
	struct rig_tx tx = { .req_id = 3,
			     .ctrl = TSO_CTRL,
			     .has_meta = has_meta,
			     .meta = { mss, 20, 14, 5 },
			     .count = 4 };

	memcpy(rig_at(RIG_DATA), bytes, size);
	for (unsigned int i = 0; i < 4; i++) {
		tx.buffers[i].iova = RIG_DATA + i * (size / 4);
		tx.buffers[i].size = i < 3 ? size / 4 : size - 3 * (size / 4);
	}
	rig_put(n, &tx);
	rig_ring(n);
	rig_turn();
}

Test(ena_tx, cuts_super_packets_and_remembers_their_metadata)
{
	uint32_t size = rig_tcp(bytes, 20000, 1), sum = 0;

	rig_make_tx(0, (struct rig_queue){ .depth = 64 });
	put_tso(0, size, true, 1460);
	cr_expect_eq(rig.wire_count, 14);
	put_tso(0, size, false, 0);
	cr_expect_eq(rig.wire_count, 28);
	for (unsigned int i = 14; i < 28; i++)
		sum += rig.wires[i].length - 54;
	cr_expect_eq(sum, 20000);
	cr_expect_eq(rig.frame_count, 2);
	cr_expect_eq(rt_counter_read(&rig.nic->counters.tso_packets), 2);
	cr_expect_eq(rt_counter_read(&rig.nic->counters.tx_bytes),
		     2 * (20000 + 14 * 54));
	expect_done(0, 3);
	expect_done(0, 3);
}

Test(ena_tx, keeps_its_metadata_when_that_of_a_packet_is_not_valid)
{
	struct rig_tx nothing = { .req_id = 9,
				  .has_meta = true,
				  .meta_is_invalid = true,
				  .count = 1,
				  .buffers = { { RIG_DATA, 60 } } };
	uint32_t size = rig_tcp(bytes, 5000, 1);

	rig_make_tx(0, (struct rig_queue){ .depth = 64 });
	put_tso(0, size, true, 1000);
	rig_put(0, &nothing);
	rig.wire_count = 0;
	put_tso(0, size, false, 0);
	cr_expect_eq(rig.wire_count, 1 + 5);
	rig_close(0);
	rig_make_tx(0, (struct rig_queue){ .depth = 64 });
	rig.wire_count = 0;
	put_tso(0, size, false, 0);
	cr_expect_eq(rig.wire_count, 0, "a new queue has none");
	cr_expect_eq(rig_broken(ENA_RULE_TX_OFFLOAD), 1);
}

Test(ena_tx, fills_in_the_checksum_that_was_left_to_it)
{
	uint32_t size = rig_udp(bytes, 333, 1);
	struct rig_tx tx = { .ctrl = CSUM_CTRL,
			     .has_meta = true,
			     .meta = { 0, 20, 14, 0 },
			     .count = 1,
			     .buffers = { { RIG_DATA, size } } };

	memcpy(rig_at(RIG_DATA), bytes, size);
	memset(rig_at(RIG_DATA + 40), 0x77, 2);
	rig_make_tx(0, (struct rig_queue){ .depth = 64 });
	rig_put(0, &tx);
	rig_ring(0);
	rig_turn();
	expect_wire(0, bytes, size);
	cr_expect(rig.wires[0].flags & ENA_FRAME_L4_CSUM_GOOD);
	tx.ctrl |= (uint32_t)ENA_ETH_IO_TX_DESC_L4_CSUM_PARTIAL;
	tx.ctrl |= (uint32_t)ENA_ETH_IO_TX_DESC_L3_CSUM_EN;
	memset(rig_at(RIG_DATA + 24), 0x77, 2); /* of IP */
	/* The pseudo-header: 10.0.0.1, 10.0.0.2, 17, 341. */
	memcpy(rig_at(RIG_DATA + 40), "\x15\x69", 2);
	rig_put(0, &tx);
	rig_ring(0);
	rig_turn();
	expect_wire(1, bytes, size);
}

Test(ena_tx, drops_and_completes_what_cannot_be_done)
{
	uint32_t size = rig_udp(bytes, 100, 1);
	struct rig_tx tx = { .req_id = 7,
			     .ctrl = CSUM_CTRL,
			     .has_meta = true,
			     .meta = { 0, 20, 90, 0 },
			     .count = 1,
			     .buffers = { { RIG_DATA, size } } };

	rig_make_tx(0, (struct rig_queue){ .depth = 64 });
	rig_put(0, &tx); /* L4 begins behind the frame's end, nearly */
	tx.meta.l3_header_offset = 14;
	tx.ctrl = (uint32_t)ENA_ETH_IO_TX_DESC_L4_CSUM_EN; /* of what? */
	rig_put(0, &tx);
	rig_ring(0);
	rig_turn();
	cr_expect_eq(rig.wire_count, 0);
	expect_done(0, 7);
	expect_done(0, 7);
	cr_expect_eq(rig_broken(ENA_RULE_TX_OFFLOAD), 2);
	cr_expect_eq(rt_counter_read(&rig.nic->state->counters.tx_drops), 2);
}

/* ---- limits ---- */

static void put_one(uint64_t iova, uint32_t size)
{
	struct rig_tx tx = { .req_id = 4,
			     .count = 1,
			     .buffers = { { iova, size } } };

	rig_put(0, &tx);
	rig_ring(0);
	rig.wire_count = 0;
	rig_turn();
	expect_done(0, 4);
}

Test(ena_tx, drops_what_is_out_of_reach_or_of_no_length_for_a_wire)
{
	rig_make_tx(0, (struct rig_queue){ .depth = 64 });
	put_one(RIG_IOVA - 4096, 60);
	cr_expect_eq(rig.wire_count, 0);
	put_one(RIG_IOVA + RIG_BYTES - 59, 60);
	cr_expect_eq(rig.wire_count, 0);
	put_one(UINT64_C(0xffffffffffff), 60);
	cr_expect_eq(rig.wire_count, 0);
	cr_expect_eq(rig_broken(ENA_RULE_TX_MEMORY), 3);
	put_one(RIG_IOVA + RIG_BYTES - 60, 60);
	cr_expect_eq(rig.wire_count, 1);
	put_one(RIG_DATA, 13);
	cr_expect_eq(rig.wire_count, 0);
	put_one(RIG_DATA, 14);
	cr_expect_eq(rig.wire_count, 1);
	put_one(RIG_DATA, 9216 + 22);
	cr_expect_eq(rig.wire_count, 1);
	put_one(RIG_DATA, 9216 + 23);
	cr_expect_eq(rig.wire_count, 0);
	cr_expect_eq(rig_broken(ENA_RULE_TX_LENGTH), 2);
	cr_expect_eq(rt_counter_read(&rig.nic->counters.tx_drops), 5);
}

Test(ena_tx, drops_packets_of_too_many_descriptors)
{
	struct rig_tx tx = { .req_id = 6, .count = 18 };

	for (unsigned int i = 0; i < 19; i++) {
		tx.buffers[i].iova = RIG_DATA + 100 * i;
		tx.buffers[i].size = 10;
	}
	rig_make_tx(0, (struct rig_queue){ .depth = 64 });
	rig_put(0, &tx);
	tx.count = 19;
	rig_put(0, &tx);
	rig_ring(0);
	rig_turn();
	cr_expect_eq(rig.wire_count, 1);
	cr_expect_eq(rig_broken(ENA_RULE_TX_DESCS), 1);
	expect_done(0, 6);
	expect_done(0, 6);
}

Test(ena_tx, stops_a_queue_whose_packet_never_ends)
{
	struct rig_tx tx = { .req_id = 6, .count = 33 };

	rig_make_tx(0, (struct rig_queue){ .depth = 32 });
	rig_put(0, &tx);
	rig.tails[0]--;
	memset(rig_at(RIG_SQ(0)), 0, 16); /* the last is where the first was */
	rig_ring(0);
	rig_turn();
	cr_expect_eq(rig_broken(ENA_RULE_TX_ENDLESS), 1);
	cr_expect(rig.nic->state->sq[0].is_stopped);
	cr_expect_not(rig_sent(0, &done));
}

Test(ena_tx, throws_metadata_without_a_packet_away)
{
	rig_make_tx(0, (struct rig_queue){ .depth = 32 });
	put_one(RIG_DATA, 60);
	rig_at(RIG_SQ(0) + 16)[2] = 0x80; /* meta */
	rig_at(RIG_SQ(0) + 16)[3] = 0x0d; /* phase, first, last */
	rig.tails[0]++;
	rig.wire_count = 0;
	rig_ring(0);
	rig_turn();
	cr_expect_eq(rig_broken(ENA_RULE_TX_META), 1);
	cr_expect_not(rig_sent(0, &done));
	put_one(RIG_DATA, 60);
	cr_expect_eq(rig.wire_count, 1);
}

/* ---- a port that is slow ---- */

static void put_some(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		rig_put_bytes(0, (uint16_t)i, bytes, rig_udp(bytes, 60, 1));
	rig_ring(0);
	rig_turn();
}

static unsigned int count_done(uint16_t n)
{
	unsigned int count = 0;

	while (rig_sent(n, &done))
		count++;
	return count;
}

Test(ena_tx, offers_again_what_was_not_taken)
{
	rig_make_tx(0, (struct rig_queue){ .depth = 64 });
	rig.room = 10;
	put_some(40);
	cr_expect_eq(count_done(0), 10);
	rig_wait_ns(50 * RT_NS_PER_MS);
	cr_expect_eq(rig.frame_count, 10);
	rig.room = 5;
	ena_nic_port.resume(&rig.nic->port);
	rig_turn();
	cr_expect_eq(count_done(0), 5);
	rig.room = 1000;
	ena_nic_port.resume(&rig.nic->port);
	rig_turn();
	cr_expect_eq(count_done(0), 25);
	cr_expect_eq(rig.frame_count, 40);
	cr_expect_eq(rt_counter_read(&rig.nic->counters.tx_drops), 0);
}

Test(ena_tx, walks_again_with_the_metadata_that_was_before)
{
	uint32_t size = rig_tcp(bytes, 3000, 1);

	rig_make_tx(0, (struct rig_queue){ .depth = 64 });
	put_tso(0, size, true, 1000);
	rig.room = 0;
	put_tso(0, size, false, 0);
	put_tso(0, size, true, 500);
	rig.wire_count = 0;
	rig.room = 10;
	ena_nic_port.resume(&rig.nic->port);
	rig_turn();
	cr_expect_eq(rig.wire_count, 3 + 6);
}

/* ---- faults, time stamps, links ---- */

Test(ena_tx, goes_wrong_as_it_is_told)
{
	rig_make_tx(0, (struct rig_queue){ .depth = 64 });
	rig_fault("tx_stall", 1, 0);
	rig_fault("tx_req_id", 1, 999);
	rig_fault("tx_malformed", 1, 0);
	rig_fault("tx_drop", 1, 0);
	put_some(3);
	cr_expect_eq(rig.frame_count, 2);
	cr_assert(rig_sent(0, &done));
	cr_expect_eq(le16_get(done.base.req_id), 999);
	cr_expect_eq(done.base.flags & 0xc0, 0xc0);
	expect_done(0, 2);
	cr_expect_not(rig_sent(0, &done));
}

Test(ena_tx, writes_longer_completions)
{
	rig_make_tx(0, (struct rig_queue){ .depth = 32, .words = 4 });
	for (unsigned int i = 0; i < 5; i++) {
		put_some(20);
		for (unsigned int k = 0; k < 20; k++)
			expect_done(0, (uint16_t)k);
	}
}

Test(ena_tx, completes_but_does_not_send_without_a_link)
{
	rig.nic->state->is_link_down = true;
	rig_make_tx(0, (struct rig_queue){ .depth = 32 });
	put_some(5);
	cr_expect_eq(count_done(0), 5);
	cr_expect_eq(rig.wire_count, 0);
}
