/* SPDX-License-Identifier: BSD-3-Clause */
/* Ends in the middle of work: resets, queues, memory, bus mastering, clients.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"
#include "tests/function/nic_bench.h"

#define BATCH 64u

static struct nic_bench b;
static uint8_t frame[4096];

TestSuite(function_ena_reset, .timeout = 100);

/* Fill the queue, and let the device begin with it. */
static void put_batch(struct nic *nic, bool is_back)
{
	struct host_packet packet = nic_packet(&b, 0, is_back);
	struct host_ena_packet out[BATCH];
	struct host_packet_layout layout;

	host_packet_write(&packet, nic->frame, &layout);
	for (unsigned int i = 0; i < BATCH; i++)
		out[i] = (struct host_ena_packet){ .bytes = nic->frame,
						   .iova = nic->iova,
						   .length = layout.length };
	(void)host_ena_tx_put(nic->tx, out, BATCH);
	cr_assert_eq(host_ena_tx_ring(nic->tx), 0);
}

static void restart(struct nic *nic)
{
	host_ena_tx_forget(&nic->tx);
	host_ena_rx_forget(&nic->rx);
	cr_assert_eq(host_ena_start(nic->ena), 0);
	nic_make_queues(nic, HOST_ENA_PLACE_AUTO);
}

static void drain(struct nic *nic)
{
	struct host_ena_received in[64];
	int n;

	nic_settle(&b);
	while ((n = host_ena_rx_poll(nic->rx, in, 64)) > 0)
		cr_assert_eq(host_ena_rx_give(nic->rx, in, (unsigned int)n), 0);
	cr_assert_eq(n, 0, "%s", host_ena_why(nic->ena));
	cr_assert_eq(host_ena_rx_ring(nic->rx), 0);
}

/* Both ways. */
static void expect_traffic(void)
{
	struct host_packet_layout layout;

	for (int is_back = 0; is_back < 2; is_back++) {
		struct host_packet packet = nic_packet(&b, 0, is_back);

		drain(&b.nics[!is_back]);
		nic_send_packet(&b.nics[is_back], &packet, &layout);
		cr_assert_eq(nic_receive(&b.nics[!is_back], frame, NULL),
			     layout.length);
	}
}

Test(function_ena_reset, in_the_middle_of_traffic)
{
	nic_start_queues(&b, NULL);
	for (int i = 0; i < 30; i++) {
		put_batch(&b.nics[0], false);
		put_batch(&b.nics[1], true);
		for (int k = 0; k < i % 4; k++)
			(void)rt_loop_step(b.loop, 0);
		restart(&b.nics[i & 1]);
		restart(&b.nics[!(i & 1)]);
		expect_traffic();
	}
	nic_stop(&b);
}

Test(function_ena_reset, no_memory_is_written_after_it)
{
	struct nic *nic = &b.nics[1];
	uint8_t *copy;

	nic_start_queues(&b, NULL);
	put_batch(&b.nics[0], false);
	cr_assert_eq(host_ena_reset(nic->ena, ENA_REGS_RESET_SHUTDOWN), 0);
	copy = malloc(nic->ena->memory.size);
	memcpy(copy, nic->ena->memory.bytes, nic->ena->memory.size);
	nic_settle(&b);
	nic_pass_time(&b, 3 * RT_NS_PER_S);
	cr_expect(memcmp(copy, nic->ena->memory.bytes, nic->ena->memory.size) ==
		  0);
	free(copy);
	nic_stop(&b);
}

Test(function_ena_reset, of_the_function)
{
	nic_start_queues(&b, NULL);
	for (int i = 0; i < 10; i++) {
		put_batch(&b.nics[0], false);
		(void)rt_loop_step(b.loop, 0);
		cr_assert_eq(host_reset(b.nics[0].host), 0);
		cr_assert_eq(host_turn_on(b.nics[0].host), 0);
		cr_assert_eq(host_ena_set_answer(b.nics[0].ena,
						 b.nics[0].ena->answer),
			     0);
		restart(&b.nics[0]);
		expect_traffic();
	}
	nic_stop(&b);
}

Test(function_ena_reset, reasons_are_counted_as_they_are_given)
{
	nic_start(&b, NULL);
	for (unsigned int i = 0; i < ENA_REGS_RESET_REASONS; i++)
		cr_assert_eq(host_ena_reset(b.nics[0].ena, i), 0);
	nic_stop(&b);
}

Test(function_ena_reset, queues_are_destroyed_with_packets_in_them)
{
	nic_start_queues(&b, NULL);
	for (int i = 0; i < 50; i++) {
		put_batch(&b.nics[0], false);
		for (int k = 0; k < i % 3; k++)
			(void)rt_loop_step(b.loop, 0);
		cr_assert_eq(host_ena_tx_close(&b.nics[0].tx), 0);
		cr_assert_eq(host_ena_rx_close(&b.nics[0].rx), 0);
		b.nics[0].ena->memory_used = 0x200000;
		nic_make_queues(&b.nics[0], i & 1 ? HOST_ENA_PLACE_HOST
						  : HOST_ENA_PLACE_LLQ);
		drain(&b.nics[1]);
	}
	expect_traffic();
	nic_stop(&b);
}

Test(function_ena_reset, without_bus_mastering_nothing_moves)
{
	struct nic *nic = &b.nics[1];
	uint8_t *copy;

	nic_start_queues(&b, NULL);
	expect_traffic();
	cr_assert_eq(host_turn_off(nic->host), 0);
	copy = malloc(nic->ena->memory.size);
	memcpy(copy, nic->ena->memory.bytes, nic->ena->memory.size);
	put_batch(&b.nics[0], false);
	nic_settle(&b);
	nic_pass_time(&b, 3 * RT_NS_PER_S);
	cr_expect(memcmp(copy, nic->ena->memory.bytes, nic->ena->memory.size) ==
		  0);
	free(copy);
	cr_assert_eq(host_turn_on(nic->host), 0);
	restart(nic);
	nic_stop(&b);
}

Test(function_ena_reset, memory_goes_away_in_the_middle_of_traffic)
{
	nic_start_queues(&b, NULL);
	for (int i = 0; i < 10; i++) {
		struct nic *nic = &b.nics[i & 1];

		put_batch(&b.nics[0], false);
		put_batch(&b.nics[1], true);
		(void)rt_loop_step(b.loop, 0);
		host_ena_tx_forget(&nic->tx);
		host_ena_rx_forget(&nic->rx);
		host_ena_doors_close(&nic->doors);
		nic->ena->fn = NULL;
		{
			struct host_memory memory = nic->ena->memory;

			/* The driver's part stays ours to free. */
			cr_assert_eq(host_memory_unmap(nic->host, &memory), 0);
			nic->ena->memory = (struct host_memory){ .fd = -1 };
		}
		nic_settle(&b);
		host_ena_close(&nic->ena);
		nic_open_driver(nic);
		cr_assert_eq(host_ena_start(nic->ena), 0);
		nic_make_queues(nic, HOST_ENA_PLACE_AUTO);
		drain(&b.nics[0]);
		drain(&b.nics[1]);
	}
	expect_traffic();
	nic_stop(&b);
}

Test(function_ena_reset, a_client_leaves_in_the_middle_of_traffic)
{
	nic_start_queues(&b, NULL);
	for (int i = 0; i < 10; i++) {
		struct nic *nic = &b.nics[i & 1];

		put_batch(&b.nics[0], false);
		put_batch(&b.nics[1], true);
		(void)rt_loop_step(b.loop, 0);
		nic_hang_up(nic);
		nic_connect(nic);
		nic_open_driver(nic);
		cr_assert_eq(host_ena_start(nic->ena), 0);
		nic_make_queues(nic, HOST_ENA_PLACE_AUTO);
		drain(&b.nics[0]);
		drain(&b.nics[1]);
	}
	expect_traffic();
	nic_stop(&b);
}

Test(function_ena_reset, a_driver_that_restarts_without_a_word_starts_anew)
{
	nic_start_queues(&b, NULL);
	/* kexec: the new kernel's first word is a reset. */
	for (int i = 0; i < 5; i++) {
		put_batch(&b.nics[0], false);
		cr_assert_eq(host_write32(b.nics[0].host, ENA_REGS_BAR,
					  ENA_REGS_DEV_CTL, 1),
			     0);
		cr_assert_eq(host_write32(b.nics[0].host, ENA_REGS_BAR,
					  ENA_REGS_DEV_CTL, 1),
			     0);
		cr_assert_eq(host_ena_reset_end(b.nics[0].ena), 0);
		restart(&b.nics[0]);
		expect_traffic();
	}
	nic_stop(&b);
}
