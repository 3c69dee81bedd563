/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupts of queues and of the admin queue, masked, delayed and lost. */
#include <criterion/criterion.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/loop.h"
#include "tests/function/nic_bench.h"

#define VECTORS 3u

static struct nic_bench b;
static int fds[NICS][VECTORS];

TestSuite(function_ena_interrupt, .timeout = 60);

/* Both queues of each adapter on vector 1, as Linux has them. */
static void start(bool is_trapped)
{
	nic_start(&b,
		  &(struct nic_options){ .has_trapped_doorbells = is_trapped });
	for (unsigned int i = 0; i < NICS; i++) {
		struct nic *nic = &b.nics[i];

		for (unsigned int v = 0; v < VECTORS; v++)
			fds[i][v] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		cr_assert_eq(host_msix_enable(nic->host, fds[i], VECTORS), 0);
		cr_assert_eq(host_ena_tx_open(&nic->doors,
					      &(struct host_ena_tx_options){
						      .depth = NIC_DEPTH,
						      .has_interrupt = true,
						      .vector = 1 },
					      &nic->tx),
			     0);
		cr_assert_eq(
			host_ena_rx_open(&nic->doors,
					 &(struct host_ena_rx_options){
						 .depth = NIC_DEPTH,
						 .buffer_bytes = NIC_BUFFER,
						 .has_interrupt = true,
						 .vector = 1 },
					 &nic->rx),
			0);
	}
}

static void stop(void)
{
	nic_stop(&b);
	for (unsigned int i = 0; i < NICS; i++)
		for (unsigned int v = 0; v < VECTORS; v++)
			close(fds[i][v]);
}

static uint64_t rung(unsigned int nic, unsigned int vector)
{
	uint64_t count = 0;

	return read(fds[nic][vector], &count, sizeof count) == sizeof count
		       ? count
		       : 0;
}

static void send_one(void)
{
	struct host_packet packet = nic_packet(&b, 0, false);
	struct host_packet_layout layout;

	nic_send_packet(&b.nics[0], &packet, &layout);
	nic_settle(&b);
}

static void unmask(unsigned int nic, uint32_t rx, uint32_t tx)
{
	/* Through the transmit queue's register, for both. */
	cr_assert_eq(host_ena_unmask(b.nics[nic].ena,
				     host_ena_tx_cq(b.nics[nic].tx), rx, tx),
		     0);
	nic_settle(&b);
}

static void try_all(bool is_trapped)
{
	start(is_trapped);
	send_one();
	cr_expect_eq(rung(0, 1) + rung(1, 1), 0, "masked at first");
	unmask(0, 0, 0);
	unmask(1, 0, 0);
	cr_expect_eq(rung(0, 1), 1, "what was sent before");
	cr_expect_eq(rung(1, 1), 1, "what came before");
	for (int i = 0; i < 5; i++)
		send_one();
	cr_expect_eq(rung(0, 1) + rung(1, 1), 0, "it masks itself");
	unmask(1, 0, 0);
	cr_expect_eq(rung(1, 1), 1, "and is unmasked");
	unmask(1, 0, 0);
	cr_expect_eq(rung(1, 1), 0, "nothing new");
	send_one();
	cr_expect_eq(rung(1, 1), 1);
	cr_expect_eq(rung(0, 2) + rung(1, 2), 0, "nobody's vector");
	stop();
}

Test(function_ena_interrupt, one_for_each_time_it_is_unmasked)
{
	try_all(false);
	try_all(true);
}

/* A store to the mapped register is as good as a message. */
Test(function_ena_interrupt, the_mapped_register_unmasks)
{
	start(false);
	send_one();
	for (int i = 0; i < 200; i++) {
		cr_assert_eq(host_ena_doors_unmask(&b.nics[1].doors,
						   host_ena_rx_cq(b.nics[1].rx),
						   0, 0),
			     0);
		for (int k = 0; k < 200; k++) {
			uint64_t n = rung(1, 1);

			if (n) {
				cr_assert_eq(n, 1);
				break;
			}
			cr_assert_lt(k, 199, "round %d", i);
			(void)rt_loop_step(b.loop, 2 * RT_NS_PER_MS);
		}
		send_one();
	}
	cr_expect_not_null((void *)(uintptr_t)b.nics[1].doors.unmasks);
	stop();
}

Test(function_ena_interrupt, delays_are_kept)
{
	uint64_t start_ns, ns;

	start(false);
	unmask(1, 30000, 0);
	start_ns = rt_clock_now_ns(&b.clock);
	send_one();
	while (rung(1, 1) == 0)
		(void)rt_loop_step(b.loop, RT_NS_PER_MS);
	ns = rt_clock_now_ns(&b.clock) - start_ns;
	cr_expect_geq(ns, 29 * RT_NS_PER_MS);
	cr_expect_lt(ns, 300 * RT_NS_PER_MS);
	stop();
}

/* DPDK's way to mask; and delays that stay as they are. */
Test(function_ena_interrupt, it_can_be_masked_again)
{
	const struct host_ena_cq *cq;

	start(false);
	cq = host_ena_rx_cq(b.nics[1].rx);
	unmask(1, 0, 0);
	cr_assert_eq(host_write32(b.nics[1].host, ENA_REGS_BAR,
				  cq->unmask_offset, 0x80000000),
		     0);
	nic_settle(&b);
	send_one();
	cr_expect_eq(rung(1, 1), 0);
	cr_assert_eq(host_write32(b.nics[1].host, ENA_REGS_BAR,
				  cq->unmask_offset, 0xc0000000),
		     0);
	nic_settle(&b);
	cr_expect_eq(rung(1, 1), 1);
	stop();
}

Test(function_ena_interrupt, intr_mask_is_of_the_management_vector_only)
{
	start(false);
	unmask(1, 0, 0);
	cr_assert_eq(host_ena_admin_interrupt(b.nics[1].ena, false), 0);
	(void)rung(1, 0);
	cr_assert_eq(host_ena_set_mtu(b.nics[1].ena, 1500), 0);
	nic_settle(&b);
	cr_expect_eq(rung(1, 0), 0);
	send_one();
	cr_expect_eq(rung(1, 1), 1);
	cr_assert_eq(host_ena_admin_interrupt(b.nics[1].ena, true), 0);
	(void)rung(1, 0);
	cr_assert_eq(host_ena_set_mtu(b.nics[1].ena, 1500), 0);
	nic_settle(&b);
	cr_expect_geq(rung(1, 0), 1);
	stop();
}

Test(function_ena_interrupt, there_are_none_after_a_reset)
{
	start(false);
	unmask(1, 20000, 0);
	send_one(); /* one is held back */
	host_ena_tx_forget(&b.nics[1].tx);
	host_ena_rx_forget(&b.nics[1].rx);
	cr_assert_eq(host_ena_reset(b.nics[1].ena, 0), 0);
	(void)rung(1, 1);
	for (int i = 0; i < 50; i++)
		(void)rt_loop_step(b.loop, RT_NS_PER_MS);
	cr_expect_eq(rung(1, 1), 0);
	stop();
}

Test(function_ena_interrupt, there_are_none_after_the_queues_are_destroyed)
{
	start(false);
	unmask(1, 20000, 0);
	send_one();
	cr_assert_eq(host_ena_rx_close(&b.nics[1].rx), 0);
	cr_assert_eq(host_ena_tx_close(&b.nics[1].tx), 0);
	(void)rung(1, 1);
	for (int i = 0; i < 50; i++)
		(void)rt_loop_step(b.loop, RT_NS_PER_MS);
	cr_expect_eq(rung(1, 1), 0);
	stop();
}

Test(function_ena_interrupt, a_lost_one_is_a_fault)
{
	start(false);
	nic_fault(&b.nics[1], "drop_interrupt", 0, true);
	unmask(1, 0, 0);
	send_one();
	cr_expect_eq(rung(1, 1), 0);
	stop();
}
