/* SPDX-License-Identifier: BSD-3-Clause */
/* The hardware clock. */
#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

#include "pcie-model/function.h"
#include "tests/unit/ena/rig.h"

static int set_up_clock(uint64_t at, uint32_t length)
{
	struct ena_admin_phc_config config = {
		.output_address = le64_put(at),
		.output_length = le32_put(length),
	};

	return rig_set(ENA_ADMIN_PHC_CONFIG, &config, sizeof config, 0);
}

static void start(void)
{
	rig_start_ready();
	cr_assert_eq(set_up_clock(RIG_PHC, 64), 0);
}

TestSuite(ena_phc, .init = start, .fini = rig_stop);

static const struct ena_admin_phc_resp *answer(void)
{
	return (void *)rig_at(RIG_PHC);
}

static bool ask(uint16_t id)
{
	((struct ena_admin_phc_resp *)(void *)rig_at(RIG_PHC))->req_id =
		le16_put((uint16_t)(id + 0xdead));
	rig_write32(ENA_REGS_PHC_DB, id);
	return le16_get(answer()->req_id) == id;
}

Test(ena_phc, it_tells_where_its_doorbell_is_and_how_long_to_wait)
{
	cr_assert_eq(rig_get(ENA_ADMIN_PHC_CONFIG, 0), 0);
	cr_expect_eq(rig.last.body[0], 0);
	cr_expect_eq(le_load(rig.last.body + 4, 4), 0x100);
	cr_expect_eq(le_load(rig.last.body + 8, 4), 1000);
	cr_expect_eq(le_load(rig.last.body + 12, 4), 2000);
}

Test(ena_phc, the_time_is_there_when_the_write_returns)
{
	uint64_t now = (uint64_t)time(NULL), told;

	cr_assert(ask(7));
	told = le64_get(answer()->timestamp) / RT_NS_PER_S;
	cr_expect(told >= now && told <= now + 5);
	cr_expect_eq(le32_get(answer()->error_flags), 0);
	for (unsigned int i = 0; i < 1000; i++)
		cr_expect(ask((uint16_t)i));
}

Test(ena_phc, a_bad_output_is_refused_and_none_is_written)
{
	cr_expect_eq(set_up_clock(0, 64), 5);
	cr_expect_eq(set_up_clock(RIG_PHC + 4, 64), 5);
	cr_expect_eq(set_up_clock(RIG_PHC, 63), 5);
	cr_expect_eq(set_up_clock(0x70000000, 64), 0);
	cr_expect_not(ask(1));
	cr_expect_eq(rig_broken(ENA_RULE_PHC_MEMORY), 1);
	rig_reset(0);
	cr_expect_not(ask(2));
}

Test(ena_phc, ec2s_limit_is_125_reads_a_second)
{
	unsigned int refused = 0;

	rig.nic->limits_phc = true;
	for (uint16_t i = 0; i < 200; i++) {
		cr_assert(ask(i));
		refused += le32_get(answer()->error_flags) == 1;
	}
	cr_expect_eq(refused, 75);
	rig_wait_ms(8);
	cr_assert(ask(1));
	cr_expect_eq(le32_get(answer()->error_flags), 0);
}

Test(ena_phc, fault_phc_error_flags_the_answer)
{
	rig_fault("phc_error", 2);
	cr_assert(ask(1));
	cr_expect_eq(le32_get(answer()->error_flags), 2);
}

Test(ena_phc, fault_phc_late_answers_later_and_never_after_a_reset)
{
	rig_fault("phc_late", 5000);
	cr_expect_not(ask(1));
	rig_wait_ms(5);
	cr_expect_eq(le16_get(answer()->req_id), 1);
	cr_expect_not(ask(2));
	rig_reset(0);
	rig_wait_ms(5);
	cr_expect_neq(le16_get(answer()->req_id), 2);
}
