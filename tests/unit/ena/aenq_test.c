/* SPDX-License-Identifier: BSD-3-Clause */
/* Events: credit, groups, the second's tick, and what is told when. */
#include <criterion/criterion.h>
#include <string.h>

#include "pcie-model/function.h"
#include "tests/unit/ena/rig.h"

#define LINK   BIT(ENA_ADMIN_AENQ_LINK_CHANGE)
#define ALIVE  BIT(ENA_ADMIN_AENQ_KEEP_ALIVE)
#define NOTICE BIT(ENA_ADMIN_AENQ_NOTIFICATION)

TestSuite(ena_aenq, .init = rig_start_ready, .fini = rig_stop);

static struct ena_admin_aenq_entry event;

static int next_group(void)
{
	return rig_event(&event) ? le16_get(event.group) : -1;
}

Test(ena_aenq, groups_are_taken_if_they_are_offered)
{
	cr_assert_eq(rig_get(ENA_ADMIN_AENQ_CONFIG, 0), 0);
	cr_expect_eq(le_load(rig.last.body, 4), 0xdf);
	cr_expect_eq(rig_enable_groups(0), 0);
	cr_expect_eq(rig_enable_groups(0x20), ENA_ADMIN_ILLEGAL_PARAMETER);
	cr_expect_eq(rig_enable_groups(0xdf), 0);
	cr_assert_eq(rig_get(ENA_ADMIN_AENQ_CONFIG, 0), 0);
	cr_expect_eq(le_load(rig.last.body + 4, 4), 0xdf);
}

Test(ena_aenq, the_link_is_told_when_group_and_credit_are_there)
{
	cr_expect_eq(next_group(), -1);
	rig_enable_groups(LINK);
	cr_expect_eq(next_group(), ENA_ADMIN_AENQ_LINK_CHANGE);
	cr_expect_eq(event.payload[0], 1);
	cr_expect_eq(next_group(), -1, "once");
}

Test(ena_aenq, the_link_is_told_with_the_credit_when_that_comes_last)
{
	rig_reset(0);
	rig_set_up(32);
	rig_enable_groups(LINK | ALIVE);
	rig_wait_ms(3000);
	cr_expect_eq(next_group(), -1, "nothing before there is credit");
	rig_give_credit(RIG_AENQ_DEPTH);
	cr_expect_eq(next_group(), ENA_ADMIN_AENQ_LINK_CHANGE);
	rig_wait_ms(1000);
	cr_expect_eq(next_group(), ENA_ADMIN_AENQ_KEEP_ALIVE);
}

Test(ena_aenq, a_sign_of_life_comes_each_second_with_the_drops)
{
	rig_enable_groups(ALIVE);
	rt_counter_add(&rig.nic->state->counters.rx_drops, 5);
	rt_counter_add(&rig.nic->state->counters.tx_drops, 6);
	rt_counter_add(&rig.nic->state->counters.rx_overruns, 7);
	rig_interrupts(0);
	for (int i = 0; i < 10; i++) {
		cr_expect_eq(next_group(), -1);
		rig_wait_ms(1000);
		cr_expect_eq(next_group(), ENA_ADMIN_AENQ_KEEP_ALIVE);
		cr_expect_eq(rig_interrupts(0), 1);
		rig_give_credit((uint16_t)(RIG_AENQ_DEPTH + rig.aenq_head));
	}
	cr_expect_eq(le_load(event.payload, 8), 5);
	cr_expect_eq(le_load(event.payload + 8, 8), 6);
	cr_expect_eq(le_load(event.payload + 16, 8), 7);
}

Test(ena_aenq, without_credit_nothing_is_written_but_the_interrupt_comes)
{
	rig_enable_groups(ALIVE);
	for (unsigned int i = 0; i < RIG_AENQ_DEPTH; i++)
		rig_wait_ms(1000);
	cr_expect_eq(ena_aenq_credit(rig.nic), 0);
	rig_interrupts(0);
	rig_wait_ms(1000);
	cr_expect_eq(rig_interrupts(0), 1, "it may have missed one");
	for (unsigned int i = 0; i < RIG_AENQ_DEPTH; i++)
		cr_expect_eq(next_group(), ENA_ADMIN_AENQ_KEEP_ALIVE);
	cr_expect_eq(next_group(), -1);
	rig_give_credit(2 * RIG_AENQ_DEPTH);
	rig_wait_ms(1000);
	cr_expect_eq(next_group(), ENA_ADMIN_AENQ_KEEP_ALIVE);
}

Test(ena_aenq, a_link_change_without_credit_is_told_later)
{
	rig_enable_groups(LINK | ALIVE);
	for (unsigned int i = 0; i < RIG_AENQ_DEPTH; i++)
		rig_wait_ms(1000);
	rig.nic->state->is_link_down = true;
	ena_link_changed(rig.nic);
	while (next_group() >= 0)
		;
	rig_give_credit(2 * RIG_AENQ_DEPTH);
	cr_expect_eq(next_group(), ENA_ADMIN_AENQ_LINK_CHANGE);
	cr_expect_eq(event.payload[0], 0);
}

Test(ena_aenq, more_credit_than_entries_is_none)
{
	rig_give_credit(RIG_AENQ_DEPTH + 1);
	cr_expect_eq(rig_broken(ENA_RULE_AENQ_HEAD), 1);
	cr_expect_eq(ena_aenq_credit(rig.nic), 0);
	rig_enable_groups(LINK);
	cr_expect_eq(next_group(), -1);
}

Test(ena_aenq, the_ring_wraps_at_65536)
{
	rig_enable_groups(LINK);
	cr_expect_eq(next_group(), 0);
	for (unsigned int i = 0; i < 70000; i++) {
		rig_give_credit((uint16_t)(RIG_AENQ_DEPTH + rig.aenq_head));
		rig.nic->state->is_link_down = i % 2;
		ena_link_changed(rig.nic);
		cr_assert_eq(next_group(), 0, "%u", i);
		cr_assert_neq(event.payload[0], i % 2);
	}
}

Test(ena_aenq, nothing_comes_while_it_is_masked_or_after_a_reset)
{
	rig_enable_groups(ALIVE);
	rig_interrupts(0);
	rig_write32(ENA_REGS_INTR_MASK, 1);
	rig_wait_ms(1000);
	cr_expect_eq(rig_interrupts(0), 0);
	cr_expect_eq(next_group(), ENA_ADMIN_AENQ_KEEP_ALIVE);
	rig_write32(ENA_REGS_INTR_MASK, 0);
	cr_expect_eq(rig_interrupts(0), 1);
	rig_reset(0);
	rig_wait_ms(3000);
	cr_expect_eq(next_group(), -1);
	cr_expect_eq(rig_interrupts(0), 0);
}

Test(ena_aenq, hints_are_told_again_after_each_reset)
{
	rig_stop();
	rig_start_config(&(struct ena_config){
		.profile = ENA_PROFILE_NITRO_V4,
		.pairs = 1,
		.mtu = 9216,
		.hints = { .keep_alive = 30000, .admin = 10000 } });
	for (int i = 0; i < 2; i++) {
		rig_set_up(32);
		rig_enable_groups(NOTICE);
		rig_give_credit(RIG_AENQ_DEPTH);
		cr_expect_eq(next_group(), ENA_ADMIN_AENQ_NOTIFICATION);
		cr_expect_eq(le16_get(event.syndrome), 2);
		cr_expect_eq(le_load(event.payload + 2, 2), 30000);
		cr_expect_eq(le_load(event.payload + 8, 2), 10000);
		cr_expect_eq(next_group(), -1);
		cr_assert_eq(rig_get(ENA_ADMIN_HW_HINTS, 0), 0);
		cr_expect_eq(le_load(rig.last.body + 2, 2), 30000);
		rig_reset(0);
	}
}

Test(ena_aenq, notifications_of_the_configuration_are_a_bit_each)
{
	rig_enable_groups(BIT(ENA_ADMIN_AENQ_CONF_NOTIFICATIONS));
	cr_expect(ena_aenq_notify(rig.nic, BIT(2)));
	cr_expect_eq(next_group(), ENA_ADMIN_AENQ_CONF_NOTIFICATIONS);
	cr_expect_eq(le_load(event.payload, 8), 4);
	rig_enable_groups(0);
	cr_expect_not(ena_aenq_notify(rig.nic, BIT(2)));
}

Test(ena_aenq, an_event_queue_out_of_reach_is_told)
{
	rig_write32(ENA_REGS_AENQ_BASE_LO, 0x20000000);
	rig_enable_groups(LINK);
	cr_expect_geq(rig_broken(ENA_RULE_AENQ_MEMORY), 1);
}

/* ---- faults ---- */

Test(ena_aenq, fault_keep_alive_leaves_it_out)
{
	rig_enable_groups(ALIVE);
	rig_interrupts(0);
	rig_fault("keep_alive", 0);
	rig_wait_ms(1000);
	cr_expect_eq(next_group(), -1);
	cr_expect_eq(rig_interrupts(0), 0);
}

Test(ena_aenq, fault_keep_alive_interrupt_is_silent)
{
	rig_enable_groups(ALIVE);
	rig_interrupts(0);
	rig_fault("keep_alive_interrupt", 0);
	rig_wait_ms(1000);
	cr_expect_eq(next_group(), ENA_ADMIN_AENQ_KEEP_ALIVE);
	cr_expect_eq(rig_interrupts(0), 0);
}

Test(ena_aenq, fault_request_reset_hints_and_link_flap_come_each_second)
{
	rig_enable_groups(0xcf);
	cr_expect_eq(next_group(), 0);
	rig_fault("request_reset", 0);
	rig_fault("hints", 1234);
	rig_fault("link_flap", 0);
	for (unsigned int i = 0; i < 3; i++) {
		rig_wait_ms(1000);
		cr_expect_eq(next_group(), ENA_ADMIN_AENQ_LINK_CHANGE);
		cr_expect_eq(event.payload[0], i % 2);
		cr_expect_eq(next_group(), ENA_ADMIN_AENQ_NOTIFICATION);
		cr_expect_eq(le_load(event.payload + 4, 2), 1234);
		cr_expect_eq(next_group(), ENA_ADMIN_AENQ_DEVICE_REQUEST_RESET);
		rig_give_credit((uint16_t)(RIG_AENQ_DEPTH + rig.aenq_head));
	}
}
