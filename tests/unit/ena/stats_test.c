/* SPDX-License-Identifier: BSD-3-Clause */
/* GET_STATS of all types. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/ena/rig.h"

TestSuite(ena_stats, .init = rig_start_ready, .fini = rig_stop);

static int get(uint8_t type, uint64_t metrics, uint32_t buffer_bytes)
{
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_GET_STATS };
	struct ena_admin_get_stats *cmd = (void *)entry.body;

	cmd->type = type;
	cmd->requested_metrics = le64_put(metrics);
	cmd->buffer.length = le32_put(buffer_bytes);
	cmd->buffer.address_lo = le32_put((uint32_t)RIG_BUFFER);
	return rig_run(entry);
}

Test(ena_stats, basic_ones_are_of_the_whole_function_since_reset)
{
	struct ena_guest_counters *c = &rig.nic->state->counters;

	rt_counter_add(&c->tx_bytes, UINT64_C(0x123456789a));
	rt_counter_add(&c->rx_packets, 3);
	rt_counter_add(&c->rx_overruns, 9);
	cr_assert_eq(get(0, 0, 0), 0);
	cr_expect_eq(le_load(rig.last.body, 8), UINT64_C(0x123456789a));
	cr_expect_eq(le_load(rig.last.body + 24, 8), 3);
	cr_expect_eq(le_load(rig.last.body + 48, 8), 9);
	rig_reset(0);
	rig_set_up(32);
	cr_assert_eq(get(0, 0, 0), 0);
	cr_expect_eq(le_load(rig.last.body, 8), 0);
}

Test(ena_stats, allowances_and_srd_follow_the_capabilities)
{
	rt_counter_add(&rig.nic->state->counters.pps_exceeded, 4);
	cr_assert_eq(get(2, 0, 0), 0);
	cr_expect_eq(le_load(rig.last.body + 16, 8), 4);
	cr_expect_eq(get(3, 0, 0), 0);
	cr_expect_eq(get(1, 0, 0), 3);
	cr_expect_eq(get(5, 0, 0), 3);
	rig_stop();
	rig_start(ENA_PROFILE_XEN);
	rig_set_up(32);
	cr_expect_eq(get(2, 0, 0), 3);
	cr_expect_eq(get(4, 0x3f, 0), 3);
	cr_expect_eq(get(0, 0, 0), 0);
}

Test(ena_stats, metrics_are_named_without_a_buffer_and_packed_into_one)
{
	cr_assert_eq(get(4, 0x3f, 0), 0);
	cr_expect_eq(le_load(rig.last.body, 8), 0x3f);
	rt_counter_add(&rig.nic->state->counters.bw_out_exceeded, 11);
	rt_counter_add(&rig.nic->state->counters.linklocal_exceeded, 22);
	memset(rig_at(RIG_BUFFER), 0xee, 512);
	cr_assert_eq(get(4, ~UINT64_C(0) ^ 0x0d, 512), 0);
	cr_expect_eq(le_load(rig.last.body, 8), 0x32);
	cr_expect_eq(le_load(rig_at(RIG_BUFFER), 8), 11);
	cr_expect_eq(le_load(rig_at(RIG_BUFFER) + 8, 8), 22);
	cr_expect_gt(le_load(rig_at(RIG_BUFFER) + 16, 8), 0);
	cr_expect_eq(*rig_at(RIG_BUFFER + 24), 0xee);
	cr_expect_eq(get(4, 0x3f, 40), ENA_ADMIN_MALFORMED_REQUEST);
}
