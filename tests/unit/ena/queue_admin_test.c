/* SPDX-License-Identifier: BSD-3-Clause */
/* Making and ending I/O queues, and refusing to. */
#include <criterion/criterion.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "tests/unit/ena/rig.h"

#define TX   ENA_ADMIN_SQ_DIRECTION_TX
#define RX   ENA_ADMIN_SQ_DIRECTION_RX
#define HOST ENA_ADMIN_PLACEMENT_HOST
#define LLQ  ENA_ADMIN_PLACEMENT_DEVICE

TestSuite(ena_queue_admin, .init = rig_start_ready, .fini = rig_stop);

Test(ena_queue_admin, a_pair_has_one_index_and_registers_of_its_own)
{
	const struct ena_admin_create_cq_resp *cq = (void *)rig.last.body;
	const struct ena_admin_create_sq_resp *sq = (void *)rig.last.body;

	cr_assert_eq(rig_create_cq(0, 2, 1024, 1), 0);
	cr_expect_eq(le16_get(cq->actual_depth), 1024);
	cr_expect_eq(le32_get(cq->head_db_register_offset), 0);
	cr_expect_eq(le32_get(cq->interrupt_unmask_register_offset), 0x3000);
	cr_assert_eq(rig_create_cq(1, 4, 1024, 1), 1);
	cr_expect_eq(le32_get(cq->interrupt_unmask_register_offset), 0x3004);
	cr_assert_eq(rig_create_sq(1, RX, HOST, 1024), 1);
	cr_expect_eq(le32_get(sq->doorbell_offset), 0x2004);
	cr_assert_eq(rig_create_sq(0, TX, HOST, 1024), 0);
	cr_expect_eq(le32_get(sq->doorbell_offset), 0x2000);
	cr_expect_eq(rig.nic->state->sq[0].ordinal, 0);
	cr_expect_eq(rig.nic->state->sq[1].ordinal, 0, "first of its kind");
}

Test(ena_queue_admin, queues_end_in_order_and_their_numbers_return)
{
	uint16_t tx = rig_make_queue(TX), rx = rig_make_queue(RX);

	cr_expect_eq(rig_destroy_cq(tx), 5, "its SQ lives");
	cr_expect_eq(rig_destroy_sq(tx, RX), 5, "it sends");
	cr_expect_eq(rig_destroy_sq(tx, TX), 0);
	cr_expect_eq(rig_destroy_sq(tx, TX), 5, "it is gone");
	cr_expect_eq(rig_destroy_cq(tx), 0);
	cr_expect_eq(rig_destroy_cq(tx), 5);
	cr_expect_eq(rig_destroy_sq(999, TX), 5);
	cr_expect_eq(rig_destroy_cq(999), 5);
	cr_expect_eq(rig_make_queue(TX), tx);
	cr_expect_eq(rig_destroy_sq(rx, RX), 0);
	cr_expect_eq(rig_destroy_cq(rx), 0);
}

Test(ena_queue_admin, completion_queues_that_cannot_be_are_refused)
{
	const struct {
		uint8_t words;
		uint16_t depth;
		uint32_t vector;
		enum ena_rule rule;
	} bad[] = {
		{ 3, 32, 1, ENA_RULE_CQ_ENTRY_SIZE },
		{ 0, 32, 1, ENA_RULE_CQ_ENTRY_SIZE },
		{ 2, 0, 1, ENA_RULE_QUEUE_DEPTH },
		{ 2, 1, 1, ENA_RULE_QUEUE_DEPTH },
		{ 2, 33, 1, ENA_RULE_QUEUE_DEPTH },
		{ 4, 16384, 1, ENA_RULE_QUEUE_DEPTH },
		{ 2, 32, 5, ENA_RULE_CQ_VECTOR },
		{ 2, 32, 0x10001, ENA_RULE_CQ_VECTOR },
	};

	for (size_t i = 0; i < RT_COUNT(bad); i++) {
		uint64_t before = rig_broken(bad[i].rule);

		cr_expect_eq(rig_create_cq(0, bad[i].words, bad[i].depth,
					   bad[i].vector),
			     -ENA_ADMIN_ILLEGAL_PARAMETER, "%zu", i);
		cr_expect_eq(rig_broken(bad[i].rule), before + 1, "%zu", i);
	}
	cr_expect_eq(rig.nic->state->cq[0].depth, 0);
}

Test(ena_queue_admin, a_completion_queue_may_be_without_interrupt)
{
	int n = rig_create_cq(0, 2, 32, ENA_ADMIN_NO_VECTOR);

	cr_assert_eq(n, 0);
	cr_expect_not(rig.nic->state->cq[0].has_interrupt);
}

Test(ena_queue_admin, memory_that_is_not_there_is_refused)
{
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_CREATE_CQ };
	struct ena_admin_create_cq *cmd = (void *)entry.body;
	const uint64_t bad[] = { 0, RIG_IOVA + RIG_BYTES - 64,
				 UINT64_C(0xffffffffff00), RIG_BUFFER + 4 };

	for (size_t i = 0; i < RT_COUNT(bad); i++) {
		*cmd = (struct ena_admin_create_cq){
			.caps_2 = 4,
			.depth = le16_put(32),
			.base_lo = le32_put((uint32_t)bad[i]),
			.base_hi = le16_put((uint16_t)(bad[i] >> 32)),
		};
		cr_expect_eq(rig_run(entry), ENA_ADMIN_ILLEGAL_PARAMETER);
	}
	cr_expect_eq(rig_broken(ENA_RULE_QUEUE_MEMORY), RT_COUNT(bad));
}

Test(ena_queue_admin, submission_queues_that_cannot_be_are_refused)
{
	cr_assert_eq(rig_create_cq(0, 2, 32, 1), 0);
	cr_assert_eq(rig_create_cq(1, 8, 32, 1), 1);
	cr_expect_eq(rig_create_sq(0, 3, HOST, 32), -5, "no direction");
	cr_expect_eq(rig_create_sq(0, TX, 2, 32), -5, "no placement");
	cr_expect_eq(rig_create_sq(0, RX, LLQ, 32), -5, "only to send");
	cr_expect_eq(rig_create_sq(0, TX, LLQ, 32), -5, "LLQ was not set");
	cr_expect_eq(rig_create_sq(0, TX, HOST, 64), -5, "deeper than its CQ");
	cr_expect_eq(rig_create_sq(0, TX, HOST, 24), -5);
	cr_expect_eq(rig_create_sq(0, TX, HOST, 2048), -5);
	cr_expect_eq(rig_create_sq(0, RX, HOST, 32), -5, "entries too small");
	cr_expect_eq(rig_create_sq(1, TX, HOST, 32), -5, "entries too large");
	cr_expect_eq(rig_create_sq(2, TX, HOST, 32), -5, "no such CQ");
	cr_expect_eq(rig_create_sq(700, TX, HOST, 32), -5);
	cr_expect_eq(rig_create_sq(0, TX, HOST, 32), 0);
	cr_expect_eq(rig_create_sq(0, TX, HOST, 32), -5, "it is taken");
}

Test(ena_queue_admin, no_more_queues_are_made_than_were_offered)
{
	for (unsigned int i = 0; i < 4; i++)
		rig_make_queue(TX);
	cr_assert_eq(rig_create_cq(0, 2, 32, 1), 4);
	cr_expect_eq(rig_create_sq(4, TX, HOST, 32),
		     -ENA_ADMIN_RESOURCE_ALLOCATION_FAILURE);
	for (unsigned int i = 5; i < 8; i++)
		cr_expect_eq(rig_create_cq(0, 2, 32, 1), i);
	cr_expect_eq(rig_create_cq(0, 2, 32, 1),
		     -ENA_ADMIN_RESOURCE_ALLOCATION_FAILURE);
	cr_expect_eq(rig_broken(ENA_RULE_QUEUE_COUNT), 2);
}

static uint32_t make_llq(uint16_t depth)
{
	const struct ena_admin_create_sq_resp *sq = (void *)rig.last.body;
	int n = rig_create_cq(0, 2, depth, 1);

	cr_assert_geq(n, 0);
	cr_assert_eq(rig_create_sq((uint16_t)n, TX, LLQ, depth), n);
	return le32_get(sq->llq_descriptors_offset);
}

Test(ena_queue_admin, queues_in_device_memory_do_not_overlap_and_begin_zeroed)
{
	uint8_t *memory = (uint8_t *)pcie_bar_bytes(rig.fn, ENA_MEM_BAR);

	memset(memory, 0xff, 4u << 20);
	cr_assert_eq(rig_set_llq(ENA_ADMIN_LLQ_ENTRY_128B), 0);
	cr_expect_eq(make_llq(1024), 0);
	cr_expect_eq(make_llq(32), 0x20000);
	cr_expect_eq(make_llq(1024), 0x21000);
	cr_expect_eq(memory[0], 0);
	cr_expect_eq(memory[0x21000 + 0x1ffff], 0);
	cr_expect_eq(memory[0x21000 + 0x20000], 0xff);
	cr_assert_eq(rig_destroy_sq(0, TX), 0);
	cr_assert_eq(rig_destroy_cq(0), 0);
	cr_expect_eq(make_llq(64), 0, "where there is room");
}

Test(ena_queue_admin, wide_entries_make_shallower_queues)
{
	cr_assert_eq(rig_set_llq(ENA_ADMIN_LLQ_ENTRY_256B), 0);
	cr_assert_eq(rig_create_cq(0, 2, 1024, 1), 0);
	cr_expect_eq(rig_create_sq(0, TX, LLQ, 1024), -5);
	cr_expect_eq(rig_create_sq(0, TX, LLQ, 512), 0);
	cr_expect_eq(rig.nic->state->sq[0].llq_entry_bytes, 256);
}

Test(ena_queue_admin, host_placement_stays_possible_after_llq_was_set)
{
	cr_assert_eq(rig_set_llq(ENA_ADMIN_LLQ_ENTRY_128B), 0);
	rig_make_queue(TX);
}

Test(ena_queue_admin, the_newest_generation_refuses_host_placement)
{
	rig_stop();
	rig_start(ENA_PROFILE_NITRO_V5);
	rig_set_up(32);
	cr_assert_eq(rig_create_cq(0, 2, 32, 1), 0);
	cr_expect_eq(rig_create_sq(0, TX, HOST, 32), -ENA_ADMIN_UNKNOWN_ERROR);
	cr_assert_eq(rig_set_llq(ENA_ADMIN_LLQ_ENTRY_256B), 0);
	cr_expect_eq(rig_create_sq(0, TX, LLQ, 32), 0);
	rig_make_queue(RX);
}

Test(ena_queue_admin, rings_are_counted_in_the_order_they_are_made)
{
	uint16_t a = rig_make_queue(RX), b = rig_make_queue(RX);

	cr_expect_eq(rig.nic->state->sq[a].ordinal, 0);
	cr_expect_eq(rig.nic->state->sq[b].ordinal, 1);
	rig_destroy_sq(a, RX);
	rig_destroy_cq(a);
	cr_expect_eq(rig_make_queue(RX), a);
	cr_expect_eq(rig.nic->state->sq[a].ordinal, 0);
}

Test(ena_queue_admin, a_vector_begins_masked_when_its_first_queue_is_made)
{
	uint16_t a = rig_make_queue(TX);

	rig.nic->state->vectors[1].is_unmasked = true;
	rig_make_queue(RX);
	cr_expect(rig.nic->state->vectors[1].is_unmasked, "it is shared");
	(void)a;
	rig_reset(0);
	cr_expect_not(rig.nic->state->vectors[1].is_unmasked);
}
