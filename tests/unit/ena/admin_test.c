/* SPDX-License-Identifier: BSD-3-Clause */
/* The admin queue: rings, ids, phases, interrupts, mistakes. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/ena/rig.h"

TestSuite(ena_admin, .init = rig_start_ready, .fini = rig_stop);

Test(ena_admin, completions_carry_the_id_and_the_consumer_index)
{
	rig.next_id = 0x7f3; /* more than there are entries, as of iPXE */
	cr_expect_eq(rig_get(ENA_ADMIN_DEVICE_ATTRIBUTES, 0), 0);
	cr_expect_eq(le16_get(rig.last.command_id), 0x7f3);
	cr_expect_eq(le16_get(rig.last.sq_head_indx), 1);
	cr_expect_eq(le16_get(rig.last.extended_status), 0);
}

Test(ena_admin, rings_of_two_entries_wrap_with_their_phase)
{
	rig_reset(0);
	rig_set_up(2);
	for (unsigned int i = 0; i < 70000; i++)
		cr_assert_eq(rig_get(ENA_ADMIN_DEVICE_ATTRIBUTES, 0), 0, "%u",
			     i);
	cr_expect_eq(rig_broken(ENA_RULE_ADMIN_PHASE), 0);
}

Test(ena_admin, many_commands_at_one_ring_are_all_run_in_order)
{
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_GET_STATS,
					    .flags = 1 };

	rig_reset(0);
	rig_set_up(64);
	for (uint16_t i = 0; i < 64; i++) {
		entry.command_id = le16_put(i);
		memcpy(rig_at(RIG_AQ + i * 64u), &entry, 64);
	}
	rig_write32(ENA_REGS_AQ_DB, 64);
	rig_turn();
	for (uint16_t i = 0; i < 64; i++) {
		cr_assert(rig_completion());
		cr_expect_eq(le16_get(rig.last.command_id), i);
	}
	cr_expect_not(rig_completion());
}

Test(ena_admin, an_interrupt_comes_with_each_completion_unless_masked)
{
	rig_interrupts(0);
	rig_get(ENA_ADMIN_DEVICE_ATTRIBUTES, 0);
	cr_expect_eq(rig_interrupts(0), 1);
	rig_write32(ENA_REGS_INTR_MASK, 1);
	rig_get(ENA_ADMIN_DEVICE_ATTRIBUTES, 0);
	rig_get(ENA_ADMIN_DEVICE_ATTRIBUTES, 0);
	cr_expect_eq(rig_interrupts(0), 0);
	rig_write32(ENA_REGS_INTR_MASK, 0);
	cr_expect_eq(rig_interrupts(0), 1, "what was missed");
	rig_write32(ENA_REGS_INTR_MASK, 0);
	cr_expect_eq(rig_interrupts(0), 0);
}

Test(ena_admin, unknown_opcodes_and_features_have_their_statuses)
{
	cr_expect_eq(rig_run((struct ena_admin_aq_entry){ .opcode = 77 }),
		     ENA_ADMIN_BAD_OPCODE);
	cr_expect_eq(le16_get(rig.last.extended_status),
		     ENA_RULE_ADMIN_OPCODE + 1);
	cr_expect_eq(rig_get(5, 0), ENA_ADMIN_UNSUPPORTED_OPCODE);
	cr_expect_eq(rig_get(200, 0), ENA_ADMIN_UNSUPPORTED_OPCODE);
	cr_expect_eq(rig_set(ENA_ADMIN_DEVICE_ATTRIBUTES, "", 0, 0),
		     ENA_ADMIN_UNSUPPORTED_OPCODE);
	cr_expect_eq(rt_counter_read(&rig.nic->counters.failed_commands), 4);
}

Test(ena_admin, a_doorbell_too_far_runs_nothing)
{
	rig_write32(ENA_REGS_AQ_DB, 33);
	rig_turn();
	cr_expect_eq(rig_broken(ENA_RULE_ADMIN_DOORBELL), 1);
	cr_expect_eq(rig.nic->state->aq_consumed, 0);
	/* The same value as before asks for nothing. */
	rig_write32(ENA_REGS_AQ_DB, 0);
	cr_expect_eq(rig_broken(ENA_RULE_ADMIN_DOORBELL), 1);
}

Test(ena_admin, queues_out_of_reach_are_told_and_harmless)
{
	rig_write32(ENA_REGS_AQ_BASE_LO, 0x10000000);
	rig_write32(ENA_REGS_AQ_DB, 1);
	rig_turn();
	cr_expect_eq(rig_broken(ENA_RULE_ADMIN_MEMORY), 1);
	rig_write32(ENA_REGS_AQ_BASE_LO, (uint32_t)RIG_AQ);
	rig_write32(ENA_REGS_ACQ_BASE_LO, 0x10000000);
	rig_write32(ENA_REGS_AQ_DB, 1);
	rig_turn();
	cr_expect_eq(rig_broken(ENA_RULE_ADMIN_MEMORY), 2);
	cr_expect_eq(rig.nic->state->aq_consumed, 1);
}

Test(ena_admin, queues_without_entries_are_not_used)
{
	rig_write32(ENA_REGS_AQ_CAPS, 0);
	rig_write32(ENA_REGS_AQ_DB, 1);
	cr_expect_eq(rig_broken(ENA_RULE_ADMIN_NOT_READY), 1);
	rig_write32(ENA_REGS_AQ_CAPS, 32u << 16 | 32);
	cr_expect_eq(rig_broken(ENA_RULE_ADMIN_SETUP), 1);
}

Test(ena_admin, a_phase_that_does_not_fit_is_told)
{
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_GET_STATS };

	memcpy(rig_at(RIG_AQ), &entry, sizeof entry);
	rig_write32(ENA_REGS_AQ_DB, ++rig.aq_tail);
	rig_turn();
	cr_expect_eq(rig_broken(ENA_RULE_ADMIN_PHASE), 1);
}

Test(ena_admin, buffers_are_as_long_as_needed_and_within_reach)
{
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_GET_FEATURE };
	struct ena_admin_feature_cmd *cmd = (void *)entry.body;

	cmd->feature_id = ENA_ADMIN_RSS_HASH_INPUT;
	cmd->buffer.length = le32_put(255);
	cmd->buffer.address_lo = le32_put((uint32_t)RIG_BUFFER);
	cr_expect_eq(rig_run(entry), ENA_ADMIN_MALFORMED_REQUEST);
	cmd->buffer.length = le32_put(256);
	cmd->buffer.address_hi = le16_put(0xffff);
	cr_expect_eq(rig_run(entry), ENA_ADMIN_ILLEGAL_PARAMETER);
	cr_expect_eq(rig_broken(ENA_RULE_ADMIN_BUFFER), 1);
	cr_expect_eq(rig_broken(ENA_RULE_ADMIN_BUFFER_MEMORY), 1);
}

/* ---- faults ---- */

Test(ena_admin, fault_admin_stall_completes_nothing)
{
	rig_fault("admin_stall", 0);
	cr_expect_eq(rig_get(ENA_ADMIN_DEVICE_ATTRIBUTES, 0), -1);
	rig_clear_fault("admin_stall");
	cr_expect_eq(rig_get(ENA_ADMIN_DEVICE_ATTRIBUTES, 0), 0);
}

Test(ena_admin, fault_admin_interrupt_completes_silently)
{
	rig_interrupts(0);
	rig_fault("admin_interrupt", 0);
	cr_expect_eq(rig_get(ENA_ADMIN_DEVICE_ATTRIBUTES, 0), 0);
	cr_expect_eq(rig_interrupts(0), 0);
}

Test(ena_admin, fault_admin_id_completes_another_command)
{
	rig_fault("admin_id", 99);
	rig_submit(
		(struct ena_admin_aq_entry){ .opcode = ENA_ADMIN_GET_STATS });
	rig_turn();
	cr_assert(rig_completion());
	cr_expect_eq(le16_get(rig.last.command_id), 99);
}

Test(ena_admin, fault_admin_status_refuses_undone)
{
	struct ena_admin_mtu mtu = { le32_put(1500) };

	rig_fault("admin_status", ENA_ADMIN_RESOURCE_BUSY);
	cr_expect_eq(rig_set(ENA_ADMIN_MTU, &mtu, sizeof mtu, 0),
		     ENA_ADMIN_RESOURCE_BUSY);
	cr_expect_eq(rig.nic->state->mtu, 9216);
}

Test(ena_admin, fault_create_memory_refuses_deep_queues_only)
{
	rig_fault("create_memory", 32);
	cr_expect_eq(rig_create_cq(0, 2, 64, 1),
		     -ENA_ADMIN_RESOURCE_ALLOCATION_FAILURE);
	rig_make_queue(ENA_ADMIN_SQ_DIRECTION_TX);
}
