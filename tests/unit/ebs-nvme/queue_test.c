/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "tests/unit/ebs-nvme/rig.h"

static void set_stall(void)
{
	struct rt_fault_rule rule = { .is_set = true,
				      .probability_ppm = 1000000,
				      .limit = 1 };

	cr_assert_eq(rt_fault_set_rule(&rig.fn->faults, "io_stall", &rule), 0);
}

Test(ebs_queue, a_full_completion_queue_stops_fetching, .fini = rig_stop)
{
	struct rig_queue *q = &rig.queues[1];

	rig_start_ready();
	/* 15 completions fit; take none of them, and ring for 30 commands. */
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 15; i++)
			rig_submit(1, rig_rw(NVME_NVM_READ, 0, 1));
		rig_turn();
	}
	cr_expect_eq(rig.c->state->cq[1].tail, 15);
	cr_expect_eq(ebs_active_count(rig.c), 0);
	for (int i = 0; i < 15; i++)
		cr_expect(rig_completion(1, NULL));
	rig_turn();
	for (int i = 0; i < 15; i++)
		cr_expect(rig_completion(1, NULL));
	cr_expect_eq(q->head, 14);
}

Test(ebs_queue, deleting_a_submission_queue_ends_its_commands, .fini = rig_stop)
{
	struct nvme_cmd cmd = { .opcode = NVME_ADMIN_DELETE_SQ,
				.cdw10 = le32_put(1) };
	struct nvme_cqe cqe;

	rig_start_ready();
	set_stall();
	rig_submit(1, rig_rw(NVME_NVM_READ, 0, 1));
	rig.holds_io = true;
	rig_submit(1, rig_rw(NVME_NVM_READ, 0, 1));
	rig_turn();
	cr_expect_eq(rig_run(0, cmd), -1, "it waits for the storage");
	cr_assert(rig_completion(1, &cqe));
	cr_expect_eq(le16_get(cqe.status) >> 1, 0x008);
	rig_end_io(0);
	cr_expect(rig_completion(1, &cqe));
	cr_expect(rig_completion(0, &cqe));
	cr_expect_eq(le16_get(cqe.status) >> 1, 0);
	cr_expect_eq(rig_run(0, cmd), 0x101, "it is gone");
}

static const struct {
	const char *name;
	uint8_t opcode;
	uint32_t cdw10, cdw11;
	uint64_t prp1;
	int status;
} refused[] = {
	{ "CQ 0", 5, 0x000f0000, 3, RIG_CQ(3), 0x101 },
	{ "CQ in use", 5, 0x000f0001, 3, RIG_CQ(3), 0x101 },
	{ "CQ not granted", 5, 0x000f0003, 3, RIG_CQ(3), 0x101 },
	{ "CQ of one entry", 5, 0x00000002, 3, RIG_CQ(3), 0x102 },
	{ "CQ of 65 entries", 5, 0x00400002, 3, RIG_CQ(3), 0x102 },
	{ "CQ in pieces", 5, 0x000f0002, 2, RIG_CQ(3), 0x002 },
	{ "CQ with an offset", 5, 0x000f0002, 3, RIG_CQ(3) + 8, 0x013 },
	{ "CQ with vector 3", 5, 0x000f0002, 3 << 16 | 3, RIG_CQ(3), 0x108 },
	{ "SQ 0", 1, 0x000f0000, 1 << 16 | 1, RIG_SQ(3), 0x101 },
	{ "SQ in use", 1, 0x000f0001, 1 << 16 | 1, RIG_SQ(3), 0x101 },
	{ "SQ of one entry", 1, 0x00000002, 1 << 16 | 1, RIG_SQ(3), 0x102 },
	{ "SQ on no CQ", 1, 0x000f0002, 2 << 16 | 1, RIG_SQ(3), 0x100 },
	{ "SQ on CQ 0", 1, 0x000f0002, 1, RIG_SQ(3), 0x101 },
	{ "SQ on CQ 65535", 1, 0x000f0002, 0xffff0001, RIG_SQ(3), 0x101 },
	{ "SQ in pieces", 1, 0x000f0002, 1 << 16, RIG_SQ(3), 0x002 },
	{ "deleting CQ 0", 4, 0, 0, 0, 0x101 },
	{ "deleting CQ 9", 4, 9, 0, 0, 0x101 },
	{ "deleting CQ 65535", 4, 65535, 0, 0, 0x101 },
	{ "deleting a CQ in use", 4, 1, 0, 0, 0x10c },
	{ "deleting SQ 0", 0, 0, 0, 0, 0x101 },
	{ "deleting SQ 65535", 0, 65535, 0, 0, 0x101 },
};

Test(ebs_queue, each_mistake_has_its_status, .fini = rig_stop)
{
	rig_start_ready();
	for (size_t i = 0; i < RT_COUNT(refused); i++) {
		struct nvme_cmd cmd = {
			.opcode = refused[i].opcode,
			.prp1 = le64_put(refused[i].prp1),
			.cdw10 = le32_put(refused[i].cdw10),
			.cdw11 = le32_put(refused[i].cdw11),
		};

		cr_expect_eq(rig_run(0, cmd), refused[i].status, "row %s",
			     refused[i].name);
	}
}

static uint16_t submit_aer(void)
{
	uint16_t cid = rig_submit(
		0, (struct nvme_cmd){ .opcode = NVME_ADMIN_ASYNC_EVENT });

	rig_turn();
	return cid;
}

static const struct {
	const char *name;
	uint64_t offset;
	uint32_t value, event;
} bad_doorbells[] = {
	{ "tail at the size", NVME_SQ_DOORBELL(1), 16, 0x010100 },
	{ "head past the tail", NVME_CQ_DOORBELL(1), 1, 0x010100 },
	{ "head at the size", NVME_CQ_DOORBELL(1), 16, 0x010100 },
	{ "unknown submission queue", NVME_SQ_DOORBELL(2), 0, 0x010000 },
	{ "last doorbell of the page", 0x1ffc, 0, 0x010000 },
};

Test(ebs_events, bad_doorbells_are_ignored_and_told, .fini = rig_stop)
{
	struct nvme_cqe cqe;

	rig_start_ready();
	for (size_t i = 0; i < RT_COUNT(bad_doorbells); i++) {
		uint16_t cid = submit_aer();

		rig_write32(bad_doorbells[i].offset, bad_doorbells[i].value);
		rig_turn();
		cr_assert(rig_completion(0, &cqe), "row %s",
			  bad_doorbells[i].name);
		cr_expect_eq(le16_get(cqe.cid), cid);
		cr_expect_eq(le32_get(cqe.dw0), bad_doorbells[i].event,
			     "row %s", bad_doorbells[i].name);
		cr_expect_eq(rig_log(NVME_LID_ERROR, 64, 0), 0);
	}
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_READ, 0, 1)), 0);
}

Test(ebs_events, a_type_is_masked_until_its_log_is_read, .fini = rig_stop)
{
	struct nvme_cmd retain = {
		.opcode = NVME_ADMIN_GET_LOG_PAGE,
		.prp1 = le64_put(RIG_DATA),
		.cdw10 = le32_put(15u << 16 | 1 << 15 | NVME_LID_ERROR),
	};

	rig_start_ready();
	submit_aer();
	rig_write32(NVME_SQ_DOORBELL(1), 99);
	rig_turn();
	cr_expect(rig_completion(0, NULL));
	submit_aer();
	rig_write32(NVME_SQ_DOORBELL(1), 99);
	rig_turn();
	cr_expect_not(rig_completion(0, NULL));
	cr_expect_eq(rig_run(0, retain), 0);
	cr_expect_not(rig_completion(0, NULL), "RAE keeps the mask");
	cr_expect_eq(rig_log(NVME_LID_ERROR, 64, 0), 0);
	cr_expect(rig_completion(0, NULL));
}

Test(ebs_events, no_more_requests_than_the_limit, .fini = rig_stop)
{
	uint16_t cid;

	rig_start_ready();
	cid = submit_aer();
	cr_expect_eq(
		rig_run(0,
			(struct nvme_cmd){ .opcode = NVME_ADMIN_ASYNC_EVENT }),
		0x105);
	cr_expect_eq(rig_run(0,
			     (struct nvme_cmd){
				     .opcode = NVME_ADMIN_ABORT,
				     .cdw10 = le32_put((uint32_t)cid << 16) }),
		     0x007, "the request ends first");
	cr_expect(rig_completion(0, NULL));
	cr_expect_eq(rig_dw0(), 0);
}

Test(ebs_events, a_request_takes_no_place_in_a_queue_of_two, .fini = rig_stop)
{
	rig_start(EBS_PROFILE_EBS_2);
	rig_enable(2);
	submit_aer();
	cr_expect_eq(rig_identify(NVME_CNS_CONTROLLER, 0), 0);
	cr_expect_eq(rig_identify(NVME_CNS_CONTROLLER, 0), 0);
}

Test(ebs_events, a_changed_namespace_is_told_once, .fini = rig_stop)
{
	struct nvme_cqe cqe;

	rig_start_ready();
	cr_expect_eq(rig_set_feature(NVME_FID_ASYNC_EVENTS, 0x100), 0);
	submit_aer();
	ebs_function_resized(rig.fn);
	rig_turn();
	cr_assert(rig_completion(0, &cqe));
	cr_expect_eq(le32_get(cqe.dw0), 0x040002);
	cr_expect_eq(rig_log(NVME_LID_CHANGED_NS, 4096, 0), 0);
	cr_expect_eq(le_load(rig_at(RIG_DATA), 8), 1);
	cr_expect_eq(rig_log(NVME_LID_CHANGED_NS, 4096, 0), 0);
	cr_expect_eq(le_load(rig_at(RIG_DATA), 8), 0);
}

Test(ebs_events, a_crossed_temperature_is_told, .fini = rig_stop)
{
	struct nvme_cqe cqe;

	rig_start_ready();
	cr_expect_eq(rig_set_feature(NVME_FID_ASYNC_EVENTS, 2), 0);
	submit_aer();
	cr_expect_eq(rig_set_feature(NVME_FID_TEMPERATURE, 300), 0x000);
	cr_assert(rig_completion(0, &cqe));
	cr_expect_eq(rig_log(NVME_LID_SMART, 512, 0), 0);
	cr_expect_eq(rig_at(RIG_DATA)[0], 2);
}

static int messages_pending(unsigned int vector)
{
	return rig.fn->state.interrupts.msix_pending[0] >> vector & 1;
}

static void use_msix(void)
{
	uint16_t control = 0x8000;

	/* No eventfds: what is sent stays in the pending bits. */
	pcie_region_write(rig.fn, PCIE_CONFIG_REGION,
			  rig.fn->config_layout.msix + 2u, &control, 2);
	cr_assert_eq(pcie_interrupt_mode(rig.fn), PCIE_MSIX);
}

Test(ebs_interrupts, coalescing_waits_for_entries_or_time, .fini = rig_stop)
{
	rig_start(EBS_PROFILE_EBS_2);
	use_msix();
	rig_enable(16);
	rig_make_pair(1);
	cr_expect_eq(rig_set_feature(NVME_FID_COALESCING, 5 << 8 | 2), 0);
	memset(rig.fn->state.interrupts.msix_pending, 0, 8);
	for (int i = 0; i < 2; i++)
		cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_READ, 0, 1)), 0);
	cr_expect_not(messages_pending(0));
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_READ, 0, 1)), 0);
	cr_expect(messages_pending(0), "three entries");
	memset(rig.fn->state.interrupts.msix_pending, 0, 8);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_READ, 0, 1)), 0);
	rig_wait_ns(499999);
	cr_expect_not(messages_pending(0));
	rig_wait_ns(1);
	cr_expect(messages_pending(0), "500 us");
}

Test(ebs_interrupts, a_fault_drops_a_message, .fini = rig_stop)
{
	struct rt_fault_rule rule = { .is_set = true,
				      .probability_ppm = 1000000 };

	rig_start(EBS_PROFILE_EBS_2);
	use_msix();
	rig_enable(16);
	cr_assert_eq(
		rt_fault_set_rule(&rig.fn->faults, "drop_interrupt", &rule), 0);
	cr_expect_eq(rig_identify(1, 0), 0);
	cr_expect_not(messages_pending(0));
}

Test(ebs_interrupts, the_pin_follows_the_queue_and_its_mask, .fini = rig_stop)
{
	rig_start_ready();
	rig_submit(1, rig_rw(NVME_NVM_READ, 0, 1));
	rig_turn();
	cr_expect(rig.fn->state.interrupts.intx_level);
	rig_write32(NVME_REG_INTMS, 1);
	cr_expect_not(rig.fn->state.interrupts.intx_level);
	cr_expect_eq(rig_read32(NVME_REG_INTMC), 1);
	rig_write32(NVME_REG_INTMC, 1);
	cr_expect(rig.fn->state.interrupts.intx_level);
	cr_expect(rig_completion(1, NULL));
	cr_expect_not(rig.fn->state.interrupts.intx_level);
}
