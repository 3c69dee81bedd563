/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets from one adapter to another: every placement, size and number. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"
#include "tests/function/nic_bench.h"

#define MANY  70000u
#define BATCH 32u

static struct nic_bench b;
static uint8_t frame[HOST_PACKET_MAX_BYTES];

TestSuite(function_ena_traffic, .timeout = 110);

/* Lengths around all that is special somewhere. */
static void expect_all_lengths(void)
{
	static const uint32_t lengths[] = {
		60,  61,  95,   96,   97,   159,  160,  161,  223,
		224, 225, 1514, 2047, 2048, 2049, 4096, 4097, 9230,
	};
	struct host_packet packet = nic_packet(&b, 0, false);
	struct host_packet_layout layout;

	for (size_t i = 0; i < RT_COUNT(lengths); i++) {
		packet.payload = lengths[i] - 14;
		packet.seed = i;
		nic_send_packet(&b.nics[0], &packet, &layout);
		cr_assert_eq(nic_receive(&b.nics[1], frame, NULL), lengths[i]);
		cr_assert_arr_eq(frame, b.nics[0].frame, lengths[i]);
	}
}

static void try_placement(uint16_t entry_bytes, bool is_trapped)
{
	nic_start(&b,
		  &(struct nic_options){ .has_trapped_doorbells = is_trapped });
	if (entry_bytes)
		cr_assert_eq(host_ena_set_llq(b.nics[0].ena, entry_bytes), 0);
	nic_make_queues(&b.nics[0],
			entry_bytes ? HOST_ENA_PLACE_LLQ : HOST_ENA_PLACE_HOST);
	nic_make_queues(&b.nics[1], HOST_ENA_PLACE_HOST);
	expect_all_lengths();
	cr_expect_eq(host_ena_tx_trapped(b.nics[0].tx) > 0, is_trapped);
	nic_stop(&b);
}

Test(function_ena_traffic, from_host_memory)
{
	try_placement(0, false);
	try_placement(0, true);
}

Test(function_ena_traffic, from_llq_entries_of_128_bytes)
{
	try_placement(128, false);
	try_placement(128, true);
}

Test(function_ena_traffic, from_llq_entries_of_256_bytes)
{
	try_placement(256, false);
}

/* Of single descriptors in each further entry, and other numbers before. */
Test(function_ena_traffic, from_llq_entries_of_every_shape)
{
	for (unsigned int i = 0; i < 6; i++) {
		struct host_ena_part parts[8];
		struct host_ena_packet packet;
		struct host_ena *e;

		nic_start(&b, NULL);
		e = b.nics[0].ena;
		e->facts.llq.descs_before_header_supported =
			le16_put((uint16_t)(1u << i / 2));
		e->facts.llq.stride_supported = le16_put(1u + i % 2);
		cr_assert_eq(host_ena_set_llq(e, 128), 0);
		nic_make_queues(&b.nics[0], HOST_ENA_PLACE_LLQ);
		nic_make_queues(&b.nics[1], HOST_ENA_PLACE_HOST);
		expect_all_lengths();
		/* Nine parts of a packet. */
		packet = (struct host_ena_packet){
			.bytes = b.nics[0].frame,
			.iova = b.nics[0].iova,
			.length = 150,
			.parts = parts,
			.part_count = 8,
		};
		for (unsigned int k = 0; k < 8; k++)
			parts[k] = (struct host_ena_part){
				.iova = b.nics[0].iova + 150 + 50 * k,
				.length = 50,
			};
		for (int k = 0; k < 200; k++) {
			struct host_ena_sent sent[8];

			cr_assert_eq(host_ena_tx_put(b.nics[0].tx, &packet, 1),
				     1);
			cr_assert_eq(host_ena_tx_ring(b.nics[0].tx), 0);
			cr_assert_eq(nic_receive(&b.nics[1], frame, NULL), 550);
			cr_assert_arr_eq(frame, b.nics[0].frame, 550);
			(void)host_ena_tx_poll(b.nics[0].tx, sent, 8);
		}
		nic_stop(&b);
	}
}

Test(function_ena_traffic, an_adapter_without_llq_has_queues_all_the_same)
{
	nic_start_queues(&b, &(struct nic_options){ .has_no_llq = true });
	cr_expect_not(host_ena_tx_is_llq(b.nics[0].tx));
	expect_all_lengths();
	nic_stop(&b);
}

/* Both directions at once, in batches, until every 16-bit counter has wrapped
 * twice; in order, each once, intact. */
static void stream(enum host_ena_placement placement)
{
	struct host_ena_packet packets[BATCH] = { 0 };
	struct host_ena_received in[BATCH];
	struct host_ena_sent sent[BATCH];
	uint32_t put[NICS] = { 0 }, got[NICS] = { 0 };

	nic_start(&b, NULL);
	for (unsigned int i = 0; i < NICS; i++)
		nic_make_queues(&b.nics[i], placement);
	while (got[0] < 2 * MANY || got[1] < 2 * MANY) {
		for (unsigned int i = 0; i < NICS; i++) {
			struct nic *nic = &b.nics[i];
			unsigned int n = 0;
			int rc;

			while (n < BATCH && put[i] + n < 2 * MANY &&
			       put[i] + n < got[!i] + NIC_DEPTH / 2) {
				uint32_t at = (put[i] + n) % NIC_DEPTH * 64;

				memcpy(nic->frame + at,
				       b.nics[!i].ena->facts.attr.mac_addr, 6);
				memcpy(nic->frame + at + 6,
				       nic->ena->facts.attr.mac_addr, 6);
				le_store(nic->frame + at + 12, 2, 0xb588);
				le_store(nic->frame + at + 14, 4, put[i] + n);
				packets[n++] = (struct host_ena_packet){
					.bytes = nic->frame + at,
					.iova = nic->iova + at,
					.length = 60,
				};
			}
			put[i] += host_ena_tx_put(nic->tx, packets, n);
			cr_assert_eq(host_ena_tx_ring(nic->tx), 0);
			(void)rt_loop_step(b.loop, 0);
			rc = host_ena_tx_poll(nic->tx, sent, BATCH);
			cr_assert_geq(rc, 0, "%s", host_ena_why(nic->ena));
			rc = host_ena_rx_poll(nic->rx, in, BATCH);
			cr_assert_geq(rc, 0, "%s", host_ena_why(nic->ena));
			for (int k = 0; k < rc; k++)
				cr_assert_eq(
					le_load((const uint8_t *)in[k].bytes +
							14,
						4),
					got[i]++);
			cr_assert_eq(
				host_ena_rx_give(nic->rx, in, (unsigned int)rc),
				0);
		}
	}
	nic_stop(&b);
}

Test(function_ena_traffic, more_packets_than_16_bits_count_from_host_memory)
{
	stream(HOST_ENA_PLACE_HOST);
}

Test(function_ena_traffic, more_packets_than_16_bits_count_from_llq)
{
	stream(HOST_ENA_PLACE_LLQ);
}

Test(function_ena_traffic, an_answer_is_noticed_at_once)
{
	struct host_packet_layout layout;
	struct host_packet packet;
	uint64_t start, ns = 0;

	/* A NIC that was idle for long, and is handed a frame, rests no more:
	 * what it is told then is seen in a moment. */
	nic_start_queues(&b, NULL);
	for (int i = 0; i < 3; i++) {
		packet = nic_packet(&b, 0, i & 1);
		nic_send_packet(&b.nics[i & 1], &packet, &layout);
		start = rt_clock_now_ns(&b.clock);
		cr_assert_neq(nic_receive(&b.nics[!(i & 1)], frame, NULL), 0);
		packet = nic_packet(&b, 0, !(i & 1));
		nic_send_packet(&b.nics[!(i & 1)], &packet, &layout);
		cr_assert_neq(nic_receive(&b.nics[i & 1], frame, NULL), 0);
		ns = rt_clock_now_ns(&b.clock) - start;
	}
	cr_expect_lt(ns, 80 * RT_NS_PER_MS);
	nic_stop(&b);
}

Test(function_ena_traffic, all_and_groups_are_reached_and_others_are_not)
{
	struct host_packet packet;
	struct host_packet_layout layout;

	nic_start_queues(&b, NULL);
	packet = nic_packet(&b, 0, false);
	memset(packet.to, 0xff, 6);
	nic_send_packet(&b.nics[0], &packet, &layout);
	cr_expect_eq(nic_receive(&b.nics[1], frame, NULL), layout.length);
	packet.to[0] = 0x33;
	nic_send_packet(&b.nics[0], &packet, &layout);
	cr_expect_eq(nic_receive(&b.nics[1], frame, NULL), layout.length);
	/* Nothing comes back to who sent it. */
	cr_expect_eq(nic_receive(&b.nics[0], frame, NULL), 0);
	nic_stop(&b);
}

Test(function_ena_traffic, what_finds_no_buffer_is_counted_and_told)
{
	struct ena_admin_basic_stats stats;
	struct host_packet packet;
	struct host_packet_layout layout;

	nic_start_queues(&b, NULL);
	packet = nic_packet(&b, 0, false);
	for (unsigned int i = 0; i < NIC_DEPTH + 9; i++)
		nic_send_packet(&b.nics[0], &packet, &layout);
	nic_settle(&b);
	cr_assert_eq(host_ena_get_stats(b.nics[1].ena, ENA_ADMIN_STATS_BASIC,
					&stats, sizeof stats),
		     0);
	cr_expect_eq(le64_get(stats.rx_pkts), NIC_DEPTH - 1);
	cr_expect_eq(le64_get(stats.rx_drops) + le64_get(stats.rx_overruns) >=
			     10,
		     1);
	cr_assert_eq(host_ena_await_event(b.nics[1].ena,
					  ENA_ADMIN_AENQ_KEEP_ALIVE, 3000,
					  NULL),
		     0);
	cr_expect_geq(le64_get(b.nics[1].ena->drops.rx_drops) +
			      le64_get(b.nics[1].ena->drops.rx_overruns),
		      10);
	nic_stop(&b);
}

Test(function_ena_traffic, statistics_are_of_packets_and_bytes)
{
	struct ena_admin_basic_stats out, in;
	struct host_packet packet;
	struct host_packet_layout layout;

	nic_start_queues(&b, NULL);
	packet = nic_packet(&b, 0, false);
	packet.payload = 500 - 14;
	for (int i = 0; i < 10; i++)
		nic_send_packet(&b.nics[0], &packet, &layout);
	nic_settle(&b);
	cr_assert_eq(host_ena_get_stats(b.nics[0].ena, ENA_ADMIN_STATS_BASIC,
					&out, sizeof out),
		     0);
	cr_assert_eq(host_ena_get_stats(b.nics[1].ena, ENA_ADMIN_STATS_BASIC,
					&in, sizeof in),
		     0);
	cr_expect_eq(le64_get(out.tx_pkts), 10);
	cr_expect_eq(le64_get(out.tx_bytes), 5000);
	cr_expect_eq(le64_get(in.rx_pkts), 10);
	cr_expect_eq(le64_get(in.rx_bytes), 5000);
	nic_stop(&b);
}

Test(function_ena_traffic, stamps_are_of_the_clock_when_they_are_asked_for)
{
	struct host_ena_received last = { 0 };
	struct host_ena_sent sent = { 0 };
	struct host_packet packet;
	struct host_packet_layout layout;
	struct host_ena_packet out;
	uint64_t before = 0, after = 0;
	uint32_t error_ns;
	struct nic *tx = &b.nics[0], *rx = &b.nics[1];

	nic_start(&b, NULL);
	cr_assert_eq(host_ena_set_timestamps(tx->ena, true, true), 0);
	cr_assert_eq(host_ena_set_timestamps(rx->ena, true, true), 0);
	cr_assert_eq(host_ena_tx_open(&tx->doors,
				      &(struct host_ena_tx_options){
					      .depth = NIC_DEPTH,
					      .has_timestamps = true },
				      &tx->tx),
		     0);
	cr_assert_eq(host_ena_rx_open(&rx->doors,
				      &(struct host_ena_rx_options){
					      .depth = NIC_DEPTH,
					      .buffer_bytes = NIC_BUFFER,
					      .has_timestamps = true },
				      &rx->rx),
		     0);
	cr_assert_eq(host_ena_phc_start(tx->ena), 0);
	packet = nic_packet(&b, 0, false);
	host_packet_write(&packet, tx->frame, &layout);
	out = (struct host_ena_packet){ .bytes = tx->frame,
					.iova = tx->iova,
					.length = layout.length };
	cr_assert_eq(host_ena_phc_read(tx->ena, &before, &error_ns), 0);
	cr_assert_eq(host_ena_tx_put(tx->tx, &out, 1), 1);
	cr_assert_eq(host_ena_tx_ring(tx->tx), 0);
	cr_assert_eq(nic_receive(rx, frame, &last), layout.length);
	nic_settle(&b);
	cr_assert_eq(host_ena_tx_poll(tx->tx, &sent, 1), 1);
	cr_assert_eq(host_ena_phc_read(tx->ena, &after, &error_ns), 0);
	cr_expect(before <= sent.ns && sent.ns <= after);
	cr_expect(before <= last.ns && last.ns <= after);
	nic_stop(&b);
}

Test(function_ena_traffic, every_pair_of_queues_carries_packets)
{
	struct host_ena_tx *tx[8];
	struct host_packet packet;
	struct host_packet_layout layout;

	nic_start_queues(&b, NULL);
	cr_assert_eq(host_ena_tx_close(&b.nics[0].tx), 0);
	for (int i = 0; i < 8; i++)
		cr_assert_eq(host_ena_tx_open(&b.nics[0].doors,
					      &(struct host_ena_tx_options){
						      .depth = NIC_DEPTH },
					      &tx[i]),
			     0);
	packet = nic_packet(&b, 0, false);
	for (int i = 0; i < 8; i++) {
		packet.seed = (uint64_t)i;
		b.nics[0].tx = tx[i];
		nic_send_packet(&b.nics[0], &packet, &layout);
		cr_expect_eq(nic_receive(&b.nics[1], frame, NULL),
			     layout.length);
		cr_expect_arr_eq(frame, b.nics[0].frame, layout.length);
		cr_assert_eq(host_ena_tx_close(&b.nics[0].tx), 0);
	}
	nic_stop(&b);
}

Test(function_ena_traffic, faults_of_the_data_path_are_noticed_by_the_driver)
{
	static const char *const faults[] = { "rx_req_id", "rx_malformed",
					      "tx_req_id", "tx_malformed" };

	for (size_t i = 0; i < RT_COUNT(faults); i++) {
		struct host_ena_received in[4];
		struct host_ena_sent sent[4];
		struct host_ena_packet out = { 0 };
		struct host_packet packet;
		struct host_packet_layout layout;
		bool is_tx = i >= 2;
		int rc;

		nic_start_queues(&b, NULL);
		nic_fault(&b.nics[!is_tx], faults[i], 9999, true);
		packet = nic_packet(&b, 0, false);
		host_packet_write(&packet, b.nics[0].frame, &layout);
		out.bytes = b.nics[0].frame;
		out.iova = b.nics[0].iova;
		out.length = layout.length;
		cr_assert_eq(host_ena_tx_put(b.nics[0].tx, &out, 1), 1);
		cr_assert_eq(host_ena_tx_ring(b.nics[0].tx), 0);
		rc = 0;
		for (int k = 0; k < 500 && rc == 0; k++) {
			(void)rt_loop_step(b.loop, RT_NS_PER_MS);
			rc = is_tx ? host_ena_tx_poll(b.nics[0].tx, sent, 4)
				   : host_ena_rx_poll(b.nics[1].rx, in, 4);
		}
		cr_expect_eq(rc, -EPROTO, "%s", faults[i]);
		nic_stop(&b);
	}
}
