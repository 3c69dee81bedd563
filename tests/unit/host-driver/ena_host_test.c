/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver's control path, against a made-up device. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "tests/unit/host-driver/fake_ena.h"

static struct fake_ena fake;
static struct host_ena *e;

static void set_up(void)
{
	const struct host_ena_options options = { .timeout_ms = 50 };

	fake_ena_start(&fake);
	cr_assert_eq(host_ena_open(&fake.fn, &options, &e), 0);
}

static void tear_down(void)
{
	host_ena_close(&e);
	fake_ena_stop(&fake);
}

TestSuite(host_ena, .init = set_up, .fini = tear_down);

Test(host_ena, a_start_resets_and_learns)
{
	cr_assert_eq(host_ena_start(e), 0);
	cr_expect_eq(le32_get(e->facts.queues.max_tx_sq_num), 4);
	cr_expect_eq(e->llq.entry_bytes, 128);
	cr_expect(e->llq.keeps_no_meta);
	cr_expect_eq(*(uint32_t *)(fake.bar + ENA_REGS_AENQ_HEAD_DB), 16);
	cr_expect_eq(*(uint32_t *)(fake.bar + ENA_REGS_INTR_MASK), 1);
}

Test(host_ena, reads_by_dma_and_direct_ones_agree)
{
	uint32_t a = 0, b = 1;

	for (int i = 0; i < 70000; i++)
		cr_assert_eq(host_ena_read_dma(e, ENA_REGS_CAPS, &a), 0);
	cr_expect_eq(host_ena_read_direct(e, ENA_REGS_CAPS, &b), 0);
	cr_expect_eq(a, b);
}

Test(host_ena, a_read_without_an_answer_times_out)
{
	uint32_t value;

	fake.is_mute_to_reads = true;
	cr_expect_eq(host_ena_read_dma(e, ENA_REGS_CAPS, &value), -ETIMEDOUT);
}

Test(host_ena, an_answer_for_another_register_is_noticed)
{
	uint32_t value;

	fake.answers_other_register = true;
	cr_expect_eq(host_ena_read_dma(e, ENA_REGS_CAPS, &value), -EPROTO);
	cr_expect(strstr(host_ena_why(e), "register 0x8"));
}

Test(host_ena, a_reset_that_never_begins_or_ends_is_noticed)
{
	fake.is_stuck_out = true;
	cr_expect_eq(host_ena_reset(e, ENA_REGS_RESET_NORMAL), -ETIMEDOUT);
	fake.is_stuck_out = false;
	fake.is_stuck_in = true;
	cr_expect_eq(host_ena_reset(e, ENA_REGS_RESET_NORMAL), -ETIMEDOUT);
}

Test(host_ena, reasons_beyond_15_need_the_capability)
{
	uint32_t *ctl = (uint32_t *)(void *)(fake.bar + ENA_REGS_DEV_CTL);

	cr_assert_eq(
		host_ena_reset_begin(e, ENA_REGS_RESET_RX_DESCRIPTOR_MALFORMED),
		0);
	cr_expect_eq(*ctl, 0xd0000001);
	cr_assert_eq(host_ena_reset_end(e), 0);
	e->facts.attr.capabilities =
		le32_put((uint32_t)BIT(ENA_ADMIN_EXTENDED_RESET_REASONS));
	cr_assert_eq(host_ena_reset_begin(e, ENA_REGS_RESET_DEVICE_REQUEST), 0);
	cr_expect_eq(*ctl, 0x31000001);
}

Test(host_ena, statuses_are_returned)
{
	cr_assert_eq(host_ena_start(e), 0);
	fake.status = ENA_ADMIN_RESOURCE_BUSY;
	cr_expect_eq(host_ena_set_mtu(e, 1500), ENA_ADMIN_RESOURCE_BUSY);
	cr_expect_str_eq(host_ena_status_text(ENA_ADMIN_RESOURCE_BUSY),
			 "resource busy");
}

Test(host_ena, a_silent_admin_queue_times_out)
{
	cr_assert_eq(host_ena_start(e), 0);
	fake.is_mute_to_admin = true;
	cr_expect_eq(host_ena_set_mtu(e, 1500), -ETIMEDOUT);
}

Test(host_ena, a_completion_of_a_command_that_cannot_be_is_noticed)
{
	cr_assert_eq(host_ena_start(e), 0);
	fake.id_offset = 0x400;
	cr_expect_eq(host_ena_set_mtu(e, 1500), -EPROTO);
}

Test(host_ena, queue_commands_are_those_of_the_specification)
{
	static const uint8_t cq_bytes[] = {
		0x03, 0x01, 0x20, 0x04, 0x00, 0x04, 0x03, 0x00, 0x00,
		0x00, 0x00, 0x90, 0x78, 0x56, 0x34, 0x12, 0x00, 0x00
	};
	static const uint8_t sq_bytes[] = { 0x01, 0x01, 0x40, 0x00, 0x01, 0x01,
					    0x07, 0x00, 0x00, 0x04, 0x00, 0x90,
					    0x78, 0x56, 0x34, 0x12 };
	struct host_ena_cq cq = { .iova = UINT64_C(0x123456789000) };
	struct host_ena_sq sq = { .iova = UINT64_C(0x123456789000) };

	cr_assert_eq(host_ena_start(e), 0);
	fake.command_count = 0;
	/* The first two rounds have phase 1. */
	cr_assert_eq(host_ena_create_cq(e, 1024, 4, 3, &cq), 0);
	cr_expect_arr_eq((uint8_t *)&fake.commands[0] + 2, cq_bytes,
			 sizeof cq_bytes);
	cr_assert_eq(host_ena_create_sq(e, ENA_ADMIN_SQ_DIRECTION_RX, false,
					1024, 7, &sq),
		     0);
	cr_expect_arr_eq((uint8_t *)&fake.commands[1] + 2, sq_bytes,
			 sizeof sq_bytes);
	cr_expect_eq(sq.doorbell_offset, FAKE_ENA_DOORS + 28);
}

Test(host_ena, thousands_of_commands_wrap_every_counter)
{
	cr_assert_eq(host_ena_start(e), 0);
	for (int i = 0; i < 70000; i++)
		cr_assert_eq(host_ena_set_mtu(e, 1500), 0, "command %d", i);
}
