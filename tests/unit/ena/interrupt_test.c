/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>

#include "tests/unit/ena/path_rig.h"

#define UNMASK (uint32_t) ENA_ETH_IO_INTR_UNMASK
#define KEEP   (uint32_t) ENA_ETH_IO_INTR_KEEP

static uint8_t bytes[256];

static void make_queues(void)
{
	rig_make_tx(0, (struct rig_queue){ .depth = 64, .vector = 1 });
	rig_make_rx(1, (struct rig_queue){ .depth = 64, .vector = 1 });
	rig_make_rx(2, (struct rig_queue){ .depth = 64 });
	rig_udp(bytes, 20, 1);
	for (uint16_t i = 0; i < 64; i++)
		rig_buffer(1, i, RIG_DATA + 2048u * i, 2048);
	rig_ring(1);
}

static void start(void)
{
	rig_start();
	make_queues();
}

static void start_trapped(void)
{
	rig_start_trapped();
	make_queues();
}

TestSuite(ena_interrupt_trapped, .init = start_trapped, .fini = rig_stop);
TestSuite(ena_interrupt, .init = start, .fini = rig_stop);

static uint32_t delays(uint32_t rx, uint32_t tx)
{
	return (uint32_t)bits_put(ENA_ETH_IO_INTR_TX_DELAY, rx, tx);
}

static void receive(void)
{
	rig_deliver(bytes, 62);
	rig_turn();
}

static void transmit(void)
{
	rig_put_bytes(0, 1, bytes, 62);
	rig_ring(0);
	rig_turn();
}

static void unmask(uint16_t n, uint32_t value)
{
	rig_unmask(n, value);
	rig_turn();
}

static void expect_model(void)
{
	receive();
	cr_expect_eq(rig_interrupts(1), 0, "a new vector is masked");
	unmask(0, UNMASK);
	cr_expect_eq(rig_interrupts(1), 1, "what is pending is told now");
	receive();
	transmit();
	cr_expect_eq(rig_interrupts(1), 0, "a message masks");
	unmask(1, UNMASK);
	cr_expect_eq(rig_interrupts(1), 1, "any queue's register does");
	unmask(0, UNMASK);
	unmask(0, UNMASK);
	cr_expect_eq(rig_interrupts(1), 0, "nothing is pending");
	transmit();
	cr_expect_eq(rig_interrupts(1), 1);
	unmask(0, UNMASK);
	unmask(0, KEEP);
	transmit();
	cr_expect_eq(rig_interrupts(1), 0, "it was masked by its driver");
	unmask(0, KEEP | UNMASK);
	cr_expect_eq(rig_interrupts(1), 1);
}

Test(ena_interrupt, tells_once_and_masks_itself)
{
	expect_model();
}

Test(ena_interrupt_trapped, does_the_same_by_message)
{
	cr_expect_null(rig.nic->path->unmasks);
	expect_model();
}

Test(ena_interrupt, waits_as_long_as_its_direction_does)
{
	unmask(0, UNMASK | delays(20, 64));
	transmit();
	rig_wait_ns(63000);
	cr_expect_eq(rig_interrupts(1), 0);
	rig_wait_ns(1000);
	cr_expect_eq(rig_interrupts(1), 1);
	unmask(0, UNMASK | KEEP);
	receive();
	rig_wait_ns(19000);
	cr_expect_eq(rig_interrupts(1), 0);
	rig_wait_ns(1000);
	cr_expect_eq(rig_interrupts(1), 1);
}

Test(ena_interrupt, tells_at_the_earliest_of_its_queues_delays)
{
	unmask(0, UNMASK | delays(20, 64));
	transmit();
	rig_wait_ns(10000);
	receive();
	rig_wait_ns(19999);
	cr_expect_eq(rig_interrupts(1), 0);
	rig_wait_ns(1);
	cr_expect_eq(rig_interrupts(1), 1);
	rig_wait_ns(1000000);
	cr_expect_eq(rig_interrupts(1), 0);
}

Test(ena_interrupt, counts_a_delay_from_what_was_posted)
{
	unmask(0, UNMASK | delays(20, 20));
	receive();
	rig_wait_ns(20000);
	cr_expect_eq(rig_interrupts(1), 1);
	receive();
	rig_wait_ns(15000);
	unmask(0, UNMASK | KEEP);
	cr_expect_eq(rig_interrupts(1), 0);
	rig_wait_ns(5000);
	cr_expect_eq(rig_interrupts(1), 1);
	receive();
	rig_wait_ns(30000);
	unmask(0, UNMASK | KEEP);
	cr_expect_eq(rig_interrupts(1), 1, "the delay is over");
}

/* Mapped, what is written last counts, as long as nothing is posted. */
Test(ena_interrupt_trapped, keeps_or_changes_delays_as_it_is_told)
{
	unmask(0, delays(100, 200));
	cr_expect_eq(rig_interrupts(1), 0);
	unmask(0, UNMASK | KEEP | delays(1, 1));
	receive();
	rig_wait_ns(99000);
	cr_expect_eq(rig_interrupts(1), 0);
	rig_wait_ns(1000);
	cr_expect_eq(rig_interrupts(1), 1);
	unmask(0, UNMASK);
	receive();
	cr_expect_eq(rig_interrupts(1), 1, "there is no delay any more");
}

static void expect_second_message(void)
{
	rig_fault("drop_interrupt", 1, 0);
	unmask(0, UNMASK);
	receive();
	cr_expect_eq(rig_interrupts(1), 0, "it was lost");
	rig_wait_ns(RT_NS_PER_S);
	unmask(0, delays(20, 64));
	cr_expect_eq(rig_interrupts(1), 1, "so the driver asks");
	unmask(0, UNMASK | delays(20, 64));
	unmask(0, delays(20, 64));
	cr_expect_eq(rig_interrupts(1), 0, "all is told");
}

Test(ena_interrupt, sends_another_message_to_who_misses_one)
{
	expect_second_message();
}

Test(ena_interrupt_trapped, sends_another_message_when_asked_by_message)
{
	expect_second_message();
}

Test(ena_interrupt, is_one_for_all_that_a_burst_brings)
{
	struct ena_frame frames[60];

	unmask(0, UNMASK);
	for (unsigned int i = 0; i < 60; i++)
		frames[i] = rig_frame(bytes, 62);
	cr_expect_eq(ena_nic_port.deliver(&rig.nic->port, frames, 60), 60);
	cr_expect_eq(rig_interrupts(1), 1);
}

Test(ena_interrupt, comes_from_no_queue_that_has_none)
{
	rig_close(1);
	rig_buffer(2, 0, RIG_DATA, 2048);
	rig_ring(2);
	unmask(2, UNMASK);
	receive();
	for (uint16_t v = 0; v < RIG_VECTORS; v++)
		cr_expect_eq(rig_interrupts(v), 0);
}

Test(ena_interrupt, ends_with_its_last_queue)
{
	unmask(0, UNMASK | delays(50, 50));
	receive();
	rig_close(1);
	cr_expect(rig.nic->state->vectors[1].is_unmasked);
	rig_close(0);
	rig_wait_ns(RT_NS_PER_S);
	cr_expect_eq(rig_interrupts(1), 0);
	cr_expect_not(rig.nic->state->vectors[1].is_pending);
	rig_make_rx(1, (struct rig_queue){ .depth = 64, .vector = 1 });
	rig_buffer(1, 0, RIG_DATA, 2048);
	rig_ring(1);
	receive();
	cr_expect_eq(rig_interrupts(1), 0, "it begins masked");
}

Test(ena_interrupt, holds_nothing_back_when_the_device_pauses)
{
	unmask(0, UNMASK | delays(5000, 5000));
	receive();
	ena_path_pause(rig.nic);
	cr_expect_eq(rig_interrupts(1), 1);
	ena_path_resume(rig.nic);
	rig_wait_ns(RT_NS_PER_S);
	cr_expect_eq(rig_interrupts(1), 0);
}
