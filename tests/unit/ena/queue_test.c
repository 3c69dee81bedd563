/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "pcie-model/function.h"
#include "tests/unit/ena/path_rig.h"

static uint8_t bytes[2048];
static struct ena_eth_io_tx_cdesc_ext done;
static struct ena_eth_io_rx_cdesc_ext got;

TestSuite(ena_queue_trapped, .init = rig_start_trapped, .fini = rig_stop);
TestSuite(ena_queue, .init = rig_start, .fini = rig_stop);

static void put(uint16_t n, unsigned int count)
{
	uint32_t size = rig_udp(bytes, 20, 1);

	for (unsigned int i = 0; i < count; i++)
		rig_put_bytes(n, (uint16_t)i, bytes, size);
	rig_ring(n);
}

static unsigned int count_done(uint16_t n)
{
	unsigned int count = 0;

	while (rig_sent(n, &done))
		count++;
	return count;
}

Test(ena_queue, finds_mapped_doorbells_without_a_word)
{
	rig_make_tx(0, (struct rig_queue){ .depth = 64 });
	rt_loop_step(rig.loop, 0);
	put(0, 10);
	rt_loop_step(rig.loop, 0);
	cr_expect_eq(count_done(0), 10);
	rt_clock_advance(&rig.clock, RT_NS_PER_S);
	rt_loop_step(rig.loop, 0);
	put(0, 10);
	rt_clock_advance(&rig.clock, 200 * RT_NS_PER_MS);
	rt_loop_step(rig.loop, 0);
	rt_loop_step(rig.loop, 0);
	cr_expect_eq(count_done(0), 10, "after a rest");
}

Test(ena_queue_trapped, takes_doorbells_by_message)
{
	rig_make_tx(0, (struct rig_queue){ .depth = 64 });
	cr_expect_null(rig.nic->path->doors);
	put(0, 64);
	rig_turn();
	cr_expect_eq(count_done(0), 64);
	put(0, 64);
	rig_turn();
	cr_expect_eq(count_done(0), 64);
}

Test(ena_queue, stops_where_a_doorbell_runs_ahead)
{
	rig_make_tx(0, (struct rig_queue){ .depth = 32 });
	put(0, 2);
	rig.tails[0] += 31;
	rig_ring(0);
	rig_turn();
	cr_expect_eq(rig_broken(ENA_RULE_SQ_DOORBELL), 1);
	cr_expect_eq(count_done(0), 0);
	rig.tails[0] -= 31;
	rig_ring(0);
	rig_turn();
	cr_expect_eq(count_done(0), 0, "until it is made anew");
	rig_close(0);
	rig_make_tx(0, (struct rig_queue){ .depth = 32 });
	put(0, 2);
	rig_turn();
	cr_expect_eq(count_done(0), 2);
}

Test(ena_queue, knows_doors_of_queues_that_are_not_there)
{
	rig_write32(ENA_DOORBELLS + 4 * 5, 1);
	rig_write32(ENA_DOORBELLS + 4 * 500, 1);
	rig_write32(ENA_UNMASKS + 4 * 5, 1);
	cr_expect_eq(rig_broken(ENA_RULE_SQ_DOORBELL_QUEUE), 2);
	cr_expect_eq(rig_broken(ENA_RULE_CQ_UNMASK_QUEUE), 1);
	rig_make_tx(0, (struct rig_queue){ .depth = 32 });
	rig.nic->path->doors[7] = 9;
	rig_wait_ns(RT_NS_PER_MS);
	cr_expect_eq(rig.nic->path->doors[7], 0);
	cr_expect_geq(rig_broken(ENA_RULE_SQ_DOORBELL_QUEUE), 3);
}

Test(ena_queue, touches_nothing_after_it_was_closed)
{
	static uint8_t before[RIG_BYTES];

	rig_make_tx(0, (struct rig_queue){ .depth = 32, .vector = 1 });
	rig_make_rx(1, (struct rig_queue){ .depth = 32, .vector = 1 });
	for (unsigned int i = 0; i < 8; i++)
		rig_buffer(1, 0, RIG_DATA + 4096 * i, 2048);
	rig_ring(1);
	put(0, 4);
	rig_close(0);
	rig_close(1);
	memcpy(before, rig.memory, RIG_BYTES);
	rig_ring(0);
	rig_unmask(0, (uint32_t)ENA_ETH_IO_INTR_UNMASK);
	rig_deliver(bytes, 100);
	rig_wait_ns(RT_NS_PER_S);
	cr_expect_arr_eq(before, rig.memory, RIG_BYTES);
	cr_expect_eq(rig_interrupts(1), 0);
	cr_expect_eq(rig.wire_count, 0);
}

static void make_both(void)
{
	rig_make_tx(0, (struct rig_queue){ .depth = 32, .vector = 1 });
	rig_make_rx(1, (struct rig_queue){ .depth = 32, .vector = 1 });
	rig_buffer(1, 0, RIG_DATA, 2048);
	rig_ring(1);
	put(0, 4);
}

static void expect_silence(void)
{
	static uint8_t before[RIG_BYTES];

	memcpy(before, rig.memory, RIG_BYTES);
	rig_deliver(bytes, 60);
	rig_wait_ns(RT_NS_PER_S);
	cr_expect_arr_eq(before, rig.memory, RIG_BYTES);
	cr_expect_eq(rig_interrupts(1), 0);
	cr_expect_eq(rig.wire_count, 0);
}

Test(ena_queue, is_silent_after_a_device_reset)
{
	make_both();
	rig_write32(ENA_REGS_DEV_CTL, 1);
	expect_silence();
}

Test(ena_queue, is_silent_after_a_function_reset)
{
	make_both();
	pcie_function_reset(rig.fn, PCIE_RESET_FLR, NULL, NULL);
	expect_silence();
	cr_expect_eq(rig.nic->path->doors[0], 0);
}

Test(ena_queue, is_silent_while_it_may_not_master_the_bus)
{
	uint16_t command = PCI_COMMAND_MEMORY;

	make_both();
	pcie_region_write(rig.fn, PCIE_CONFIG_REGION, PCI_COMMAND, &command, 2);
	expect_silence();
	command |= PCI_COMMAND_MASTER;
	pcie_region_write(rig.fn, PCIE_CONFIG_REGION, PCI_COMMAND, &command, 2);
	rig_turn();
	cr_expect_eq(count_done(0), 4, "then it goes on");
}

Test(ena_queue, lives_with_memory_that_comes_and_goes)
{
	make_both();
	cr_assert_eq(pcie_dma_unmap(rig.fn, RIG_IOVA, RIG_BYTES, NULL, NULL),
		     0);
	rig_deliver(bytes, 60);
	rig_turn();
	cr_expect_eq(rig.wire_count, 0);
	cr_expect_eq(rt_counter_read(&rig.nic->counters.rx_drops), 1);
	cr_assert_eq(pcie_dma_map(rig.fn, RIG_IOVA, RIG_BYTES,
				  PCIE_DMA_READABLE | PCIE_DMA_WRITEABLE,
				  rig.memory_fd, 0),
		     0);
	rig_turn();
	cr_expect_eq(count_done(0), 4);
	rig_deliver(bytes, 60);
	cr_expect(rig_received(1, &got));
}

Test(ena_queue, refuses_rings_that_cannot_be)
{
	struct ena_cq_state *cq = &rig.nic->state->cq[0];
	struct ena_sq_state *sq = &rig.nic->state->sq[0];

	*cq = (struct ena_cq_state){ .base = RIG_IOVA + RIG_BYTES - 8,
				     .depth = 32,
				     .entry_words = 2 };
	cr_expect_not(ena_path_open_cq(rig.nic, 0));
	cq->base = RIG_CQ(0) + 4;
	cr_expect_not(ena_path_open_cq(rig.nic, 0));
	*sq = (struct ena_sq_state){ .base = RIG_SQ(0),
				     .depth = 48,
				     .direction = ENA_ADMIN_SQ_DIRECTION_TX };
	cr_expect_not(ena_path_open_sq(rig.nic, 0));
	sq->depth = 32;
	sq->is_llq = true;
	sq->llq_entry_bytes = 128;
	sq->llq_descs_before_header = 2;
	sq->base = rig.nic->llq_bytes - 32 * 128 + 128;
	cr_expect_not(ena_path_open_sq(rig.nic, 0));
	sq->base = 0;
	cr_expect(ena_path_open_sq(rig.nic, 0));
	sq->llq_descs_before_header = 8;
	cr_expect_not(ena_path_open_sq(rig.nic, 0));
	*sq = (struct ena_sq_state){ 0 };
	*cq = (struct ena_cq_state){ 0 };
}

Test(ena_queue, takes_no_frames_while_it_is_paused)
{
	struct ena_frame frame = rig_frame(bytes, 60);

	make_both();
	ena_path_pause(rig.nic);
	cr_expect_eq(ena_nic_port.deliver(&rig.nic->port, &frame, 1), 0);
	rig_turn();
	cr_expect_eq(rig.wire_count, 0);
	rig.resumed = 0;
	ena_path_resume(rig.nic);
	cr_expect_eq(rig.resumed, 1);
	rig_turn();
	cr_expect_eq(count_done(0), 4);
}

Test(ena_queue, goes_on_from_a_saved_state)
{
	static uint8_t saved[1 << 17];
	size_t size;

	make_both();
	rig_turn();
	cr_expect_eq(count_done(0), 4);
	rig_deliver(bytes, 60);
	put(0, 3);
	cr_assert_eq(pcie_function_pause(rig.fn, NULL, NULL), 0);
	size = pcie_function_save(rig.fn, saved, sizeof saved);
	cr_assert_leq(size, sizeof saved);
	rig.nic->path->doors[0] = 0; /* as in memory that is new */
	cr_assert_eq(pcie_function_restore(rig.fn, saved, size), 0);
	cr_assert_eq(pcie_function_unpause(rig.fn), 0);
	rig_turn();
	cr_expect_eq(count_done(0), 3, "what was rung before");
	cr_expect(rig_received(1, &got));
	cr_expect_eq(rig_interrupts(1), 0, "it was masked");
	rig_unmask(0, (uint32_t)ENA_ETH_IO_INTR_UNMASK);
	rig_turn();
	cr_expect_eq(rig_interrupts(1), 1);
	put(0, 2);
	rig_turn();
	cr_expect_eq(count_done(0), 2);
}

Test(ena_queue, serves_all_queues_alike)
{
	for (uint16_t n = 0; n < 8; n++)
		rig_make_tx(n, (struct rig_queue){ .depth = 256 });
	for (uint16_t n = 0; n < 8; n++)
		put(n, 200);
	rt_loop_step(rig.loop, 0);
	for (uint16_t n = 0; n < 8; n++)
		cr_expect_eq(count_done(n), 128);
	rig_turn();
	for (uint16_t n = 0; n < 8; n++)
		cr_expect_eq(count_done(n), 72);
}
