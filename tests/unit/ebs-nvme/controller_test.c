/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <string.h>

#include "firmware/rt/loop.h"
#include "pcie-model/function.h"
#include "tests/unit/ebs-nvme/rig.h"

Test(ebs_controller, reset_values_follow_the_profile, .fini = rig_stop)
{
	rig_start(EBS_PROFILE_EBS_2);
	cr_expect_eq(rig_read32(NVME_REG_CAP), 0x2801003f);
	cr_expect_eq(rig_read32(NVME_REG_CAP + 4), 0x20);
	cr_expect_eq(rig_read32(NVME_REG_VS), 0x00010400);
	for (unsigned int i = NVME_REG_INTMS; i < 0x1000; i += 4)
		cr_expect_eq(rig_read32(i), 0, "offset %#x", i);
}

Test(ebs_controller, it_enables_makes_queues_and_moves_data, .fini = rig_stop)
{
	rig_start_ready();
	memset(rig_at(RIG_DATA), 0x5a, 8192);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_WRITE, 8, 16)), 0);
	memset(rig_at(RIG_DATA), 0, 8192);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_READ, 8, 16)), 0);
	cr_expect_eq(rig_at(RIG_DATA)[0], 0x5a);
	cr_expect_eq(rig_at(RIG_DATA)[8191], 0x5a);
	cr_expect_eq(rig_run(1, (struct nvme_cmd){ .opcode = NVME_NVM_FLUSH,
						   .nsid = le32_put(1) }),
		     0);
	cr_expect_eq(rig.flushes, 1);
}

Test(ebs_controller, it_does_the_same_by_message, .fini = rig_stop)
{
	rig_start_by_message(EBS_PROFILE_EBS_2);
	rig_enable(16);
	rig_make_pair(1);
	memset(rig_at(RIG_DATA), 0x5a, 8192);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_WRITE, 8, 16)), 0);
	memset(rig_at(RIG_DATA), 0, 8192);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_READ, 8, 16)), 0);
	cr_expect_eq(rig_at(RIG_DATA)[8191], 0x5a);
}

Test(ebs_controller, it_notices_that_memory_is_not_shared, .fini = rig_stop)
{
	rig.is_private = true;
	rig_start(EBS_PROFILE_EBS_2);
	rig_enable(16);
	rig_make_pair(1);
	memset(rig_at(RIG_DATA), 0x5a, 8192);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_WRITE, 8, 16)), 0);
	cr_expect_eq(rig.bytes[8 * 512], 0x5a);
	cr_expect_eq(rt_counter_read(&rig.c->home.counters.bounced), 1);
}

Test(ebs_controller, a_command_of_zeroes_may_be_meant, .fini = rig_stop)
{
	rig_start(EBS_PROFILE_EBS_2);
	rig_enable(16);
	rig.next_cid = UINT16_MAX; /* the next one is 0 */
	cr_expect_eq(rig_run(0, (struct nvme_cmd){ .opcode = 0 }), 0x101);
	cr_expect_eq(rig_identify(NVME_CNS_CONTROLLER, 0), 0);
}

static const struct {
	const char *name;
	uint32_t cc, aqa;
} bad_enables[] = {
	{ "page size", 0x00460081, 0x000f000f },
	{ "command set", 0x00460011, 0x000f000f },
	{ "arbitration", 0x00460801, 0x000f000f },
	{ "submission queue of one entry", 0x00460001, 0x000f0000 },
	{ "completion queue of one entry", 0x00460001, 0x0000000f },
};

Test(ebs_controller, a_bad_enable_is_fatal_until_a_reset, .fini = rig_stop)
{
	rig_start(EBS_PROFILE_EBS_2);
	for (size_t i = 0; i < sizeof bad_enables / sizeof *bad_enables; i++) {
		rig_write32(NVME_REG_AQA, bad_enables[i].aqa);
		rig_write32(NVME_REG_CC, bad_enables[i].cc);
		rig_turn();
		cr_expect_eq(rig_read32(NVME_REG_CSTS), 2, "row %s",
			     bad_enables[i].name);
		rig_write32(NVME_REG_CC, 0);
		rig_turn();
		cr_expect_eq(rig_read32(NVME_REG_CSTS), 0);
	}
}

Test(ebs_controller, queues_of_two_entries_work, .fini = rig_stop)
{
	rig_start(EBS_PROFILE_EBS_2);
	rig_enable(2);
	for (int i = 0; i < 5; i++)
		cr_expect_eq(rig_identify(NVME_CNS_CONTROLLER, 0), 0);
}

Test(ebs_controller, disabling_waits_for_storage, .fini = rig_stop)
{
	rig_start_ready();
	rig.holds_io = true;
	rig_submit(1, rig_rw(NVME_NVM_WRITE, 0, 1));
	rig_turn();
	cr_expect_eq(rig.held_count, 1);
	rig_write32(NVME_REG_CC, 0);
	rig_turn();
	cr_expect_eq(rig_read32(NVME_REG_CSTS), 1);
	rig_end_io(0);
	cr_expect_eq(rig_read32(NVME_REG_CSTS), 0);
	cr_expect_not(rig_completion(1, NULL));
	cr_expect_neq(rig_read32(NVME_REG_AQA), 0, "AQA is kept");
}

Test(ebs_controller, shutdown_may_be_flushed_at_once, .fini = rig_stop)
{
	rig_start_ready();
	rig.ends_at_once = true;
	rig_write32(NVME_REG_CC, 0x00464001);
	rig_turn();
	cr_expect_eq(rig.flushes, 1);
	cr_expect_eq(rig_read32(NVME_REG_CSTS), 1 | 2 << 2);
}

Test(ebs_controller, shutdown_ends_commands_then_flushes, .fini = rig_stop)
{
	rig_start_ready();
	rig.holds_io = true;
	rig_submit(1, rig_rw(NVME_NVM_WRITE, 0, 1));
	rig_turn();
	rig_write32(NVME_REG_CC, 0x00464001);
	rig_turn();
	cr_expect_eq(rig_read32(NVME_REG_CSTS), 1 | 1 << 2);
	cr_expect_eq(rig.held_count, 1);
	rig_end_io(0);
	cr_expect(rig_completion(1, NULL));
	cr_expect_eq(rig_read32(NVME_REG_CSTS), 1 | 1 << 2);
	rig_end_io(0);
	cr_expect_eq(rig.flushes, 1);
	cr_expect_eq(rig_read32(NVME_REG_CSTS), 1 | 2 << 2);
	rig.holds_io = false;
	rig_write32(NVME_REG_CC, 0);
	rig_turn();
	cr_expect_eq(rig_read32(NVME_REG_CSTS), 0);
	rig_enable(16);
}

Test(ebs_controller, enabling_again_while_disabling_happens_after_it,
     .fini = rig_stop)
{
	rig_start_ready();
	rig.holds_io = true;
	rig_submit(1, rig_rw(NVME_NVM_WRITE, 0, 1));
	rig_turn();
	rig_write32(NVME_REG_CC, 0x00460000);
	rig_write32(NVME_REG_CC, 0x00460001);
	rig_turn();
	rig.holds_io = false;
	rig_end_io(0);
	cr_expect_eq(rig_read32(NVME_REG_CSTS), 1);
	cr_expect_eq(rig.c->state->sq[1].size, 0);
}

Test(ebs_controller, a_queue_out_of_reach_is_fatal, .fini = rig_stop)
{
	rig_start(EBS_PROFILE_EBS_2);
	rig_write32(NVME_REG_AQA, 0x000f000f);
	rig_write32(NVME_REG_ASQ, 0x70000000);
	rig_write32(NVME_REG_ACQ, (uint32_t)RIG_ACQ);
	rig_write32(NVME_REG_CC, 0x00460001);
	rig_write32(NVME_SQ_DOORBELL(0), 1);
	rig_turn();
	cr_expect_eq(rig_read32(NVME_REG_CSTS), 3);
}

Test(ebs_controller, flr_forgets_registers_and_queues, .fini = rig_stop)
{
	rig_start_ready();
	pcie_function_reset(rig.fn, PCIE_RESET_FLR, NULL, NULL);
	rig_turn();
	cr_expect_eq(rig_read32(NVME_REG_CC), 0);
	cr_expect_eq(rig_read32(NVME_REG_CSTS), 0);
	cr_expect_eq(rig_read32(NVME_REG_AQA), 0);
	cr_expect_eq(rig_read32(NVME_REG_VS), 0x00010400);
}

Test(ebs_controller, it_may_go_while_the_loop_still_has_work_for_it)
{
	rig_start_ready();
	rig_write32(NVME_SQ_DOORBELL(1), 1);
	pcie_function_reset(rig.fn, PCIE_RESET_DETACH, NULL, NULL);
	pcie_dma_unmap_all(rig.fn);
	pcie_function_destroy(&rig.fn);
	rig_turn();
	rt_loop_destroy(&rig.loop);
}

Test(ebs_controller, one_processor_is_granted_one_pair_but_uefi_gets_two,
     .fini = rig_stop)
{
	struct ebs_config config = { .profile = EBS_PROFILE_EBS_2, .vcpus = 1 };

	rig_start_config(&config);
	rig_enable(16);
	cr_expect_eq(rig_set_feature(NVME_FID_QUEUES, 0x00010001), 0);
	cr_expect_eq(rig_dw0(), 0);
	rig_make_pair(1);
	rig_make_pair(2);
}
