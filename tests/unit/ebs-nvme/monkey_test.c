/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver, a client, a host and an operator without sense: whatever they do,
 * in whatever order, the function neither breaks nor loses count.  Each seed is
 * one life of a function; NITRO_MONKEYS says how many there are.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "tests/unit/ebs-nvme/rig.h"

#define STEPS 300

static uint64_t state, current_seed;

static uint32_t dice(uint32_t sides)
{
	state ^= state << 13; /* xorshift64 */
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 33) % sides;
}

static uint64_t some_address(void)
{
	uint64_t address = RIG_DATA + dice(64) * 4096;

	switch (dice(10)) {
	case 0:
		return address + dice(4096);
	case 1:
		return address + dice(512) * 8;
	case 2:
		return dice(2) ? UINT64_MAX - dice(8192) : 0x70000000;
	case 3:
		return RIG_IOVA + RIG_BYTES - dice(4096);
	default:
		return address;
	}
}

static uint32_t some_word(void)
{
	switch (dice(6)) {
	case 0:
		return UINT32_MAX;
	case 1:
		return dice(UINT32_MAX);
	default:
		return dice(16);
	}
}

static struct nvme_cmd some_command(uint16_t qid)
{
	static const uint8_t opcodes[] = { 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 99 };
	struct nvme_cmd cmd = {
		.opcode =
			qid ? (uint8_t)dice(4) : opcodes[dice(sizeof opcodes)],
		.flags = dice(20) ? 0 : (uint8_t)dice(256),
		.nsid = le32_put(dice(8) ? 1 : some_word()),
		.prp1 = le64_put(some_address()),
		.prp2 = le64_put(some_address()),
		.cdw10 = le32_put(some_word()),
		.cdw11 = le32_put(qid ? 0 : some_word()),
		.cdw12 = le32_put(qid ? dice(600) : 0),
	};

	if (qid && dice(8) == 0)
		cmd.opcode = NVME_NVM_DSM;
	if (!qid && cmd.opcode == NVME_ADMIN_GET_LOG_PAGE)
		cmd.cdw10 =
			le32_put(dice(2048) << 16 | (dice(2) ? 0xd0 : dice(6)));
	if (!qid && cmd.opcode == NVME_ADMIN_ABORT)
		cmd.cdw10 = le32_put(
			(uint32_t)(uint16_t)(rig.next_cid - dice(8)) << 16 |
			dice(3));
	if (!qid && (cmd.opcode == 1 || cmd.opcode == 5)) {
		cmd.prp1 = le64_put(RIG_IOVA + dice(8) * 4096);
		cmd.cdw10 = le32_put(dice(20) << 16 | dice(4));
		cmd.cdw11 = le32_put(dice(4) << 16 | 1 | dice(4));
	}
	return cmd;
}

static void fill_lists(void)
{
	for (int i = 0; i < 64; i++)
		le_store(rig_at(RIG_DATA + dice(0x40000 / 8) * 8), 8,
			 some_address());
}

static void submit_some(void)
{
	uint16_t qid = (uint16_t)dice(RIG_QUEUES);

	for (uint32_t i = dice(6); i < 6; i++)
		rig_submit(qid, some_command(qid));
}

/* Enough to make commands wait for buffers. */
static void submit_many(void)
{
	rig.holds_messages = true;
	rig.holds_io = dice(2);
	for (uint16_t qid = 0; qid < 3; qid++)
		for (uint32_t i = 0; i < 14; i++)
			rig_submit(qid, some_command(qid));
}

static void coalesce(void)
{
	rig_submit(0, (struct nvme_cmd){
			      .opcode = NVME_ADMIN_SET_FEATURES,
			      .cdw10 = le32_put(NVME_FID_COALESCING),
			      .cdw11 = le32_put(dice(20) << 8 | dice(4)),
		      });
}

/* Somewhere a Dataset Management may find it. */
static void fill_ranges(void)
{
	uint8_t *page = rig_at(RIG_DATA + dice(64) * 4096);
	struct nvme_dsm_range range;

	for (int i = 0; i < 16; i++) {
		range = (struct nvme_dsm_range){
			.start = le64_put(dice(RIG_VOLUME / 512)),
			.blocks = le32_put(dice(4)),
		};
		memcpy(page + i * sizeof range, &range, sizeof range);
	}
}

static void deallocate(void)
{
	struct nvme_cmd cmd = { .opcode = NVME_NVM_DSM,
				.nsid = le32_put(1),
				.prp1 = le64_put(RIG_DATA + dice(64) * 4096),
				.cdw10 = le32_put(dice(16)),
				.cdw11 = le32_put(4) };

	for (uint32_t i = dice(20); i; i--)
		fill_ranges();
	rig_submit((uint16_t)(1 + dice(2)), cmd);
}

static void take_completions(void)
{
	for (uint16_t qid = 0; qid < RIG_QUEUES; qid++)
		while (rig_completion(qid, NULL))
			;
}

static void write_register(void)
{
	static const uint32_t offsets[] = { 0x0c, 0x10, 0x14, 0x24,
					    0x28, 0x30, 0x00, 0x1c };

	if (dice(2))
		rig_write32(NVME_REG_DOORBELLS + dice(64) * 4, some_word());
	else if (dice(3))
		rig_write32(offsets[dice(8)], some_word());
	else
		rig_write32(NVME_REG_CC, dice(2) ? 0x00460001 : 0x00460000);
}

static void enable(void)
{
	rig_write32(NVME_REG_CC, 0);
	rig.holds_io = false;
	rig.holds_messages = false;
	rig_end_io(0);
	if (rig_read32(NVME_REG_CSTS) == 0)
		rig_enable(dice(2) ? 16 : 2);
}

static void make_pairs(void)
{
	for (uint16_t qid = 1; qid < 3; qid++) {
		struct nvme_cmd cq = {
			.opcode = NVME_ADMIN_CREATE_CQ,
			.prp1 = le64_put(RIG_CQ(qid)),
			.cdw10 = le32_put(15u << 16 | qid),
			.cdw11 = le32_put(3),
		};
		struct nvme_cmd sq = {
			.opcode = NVME_ADMIN_CREATE_SQ,
			.prp1 = le64_put(RIG_SQ(qid)),
			.cdw10 = le32_put(15u << 16 | qid),
			.cdw11 = le32_put((dice(2) ? 1u : qid) << 16 | 1),
		};

		rig_submit(0, cq);
		rig_turn();
		rig_submit(0, sq);
		rig_turn();
	}
}

static void resumed(struct pcie_function *fn, void *opaque)
{
	(void)opaque;
	if (!fn->is_paused)
		return; /* a reset came between */
}

/* What we saved ourselves must be good enough for us. */
static void pause_and_go_on(void)
{
	size_t size;
	bool is_good = true;

	pcie_function_pause(rig.fn, resumed, NULL);
	rig.holds_io = false;
	rig_end_io(dice(2) ? 0 : -5);
	if (!rig.fn->is_paused)
		return;
	if (dice(2)) {
		size = pcie_function_save(rig.fn, NULL, 0);
		RT_FREE uint8_t *bytes = malloc(size);

		pcie_function_save(rig.fn, bytes, size);
		is_good = dice(3);
		if (!is_good)
			bytes[dice((uint32_t)size)] ^= (uint8_t)BIT(dice(8));
		cr_assert(!pcie_function_restore(rig.fn, bytes, size) ||
			  !is_good);
	}
	cr_assert(!pcie_function_unpause(rig.fn) || !is_good, "seed %lu",
		  current_seed);
}

static void reset_function(void)
{
	static const enum pcie_reset_reason reasons[] = {
		PCIE_RESET_FLR,
		PCIE_RESET_BUS,
		PCIE_RESET_CONTROL,
		PCIE_RESET_DETACH,
	};
	uint16_t command = 6;

	pcie_function_reset(rig.fn, reasons[dice(4)], NULL, NULL);
	rig_turn();
	pcie_region_write(rig.fn, PCIE_CONFIG_REGION, 4, &command, 2);
}

static void set_fault(void)
{
	static const char *const names[] = { "io_status", "io_delay",
					     "io_stall", "drop_interrupt" };
	struct rt_fault_rule rule = { .is_set = true,
				      .probability_ppm = dice(300000),
				      .limit = 3,
				      .value = dice(2000),
				      .seed = dice(1000) };

	rt_fault_set_rule(&rig.fn->faults, names[dice(4)], &rule);
}

static void hold_or_let_go(void)
{
	rig.holds_io = dice(2);
	rig.holds_messages = dice(2);
	rig.ends_at_once = dice(2);
	rig.io_error = dice(4) ? 0 : -5;
}

static void end_some_io(void)
{
	rig_end_io(dice(3) ? 0 : -28);
}

static void let_time_pass(void)
{
	rig_wait_ns(dice(3000000));
}

static void use_msix(void)
{
	uint16_t control = dice(2) ? 0x8000 : 0;

	pcie_region_write(rig.fn, PCIE_CONFIG_REGION,
			  rig.fn->config_layout.msix + 2u, &control, 2);
}

static void step_once(void)
{
	rt_loop_step(rig.loop, 0);
	if (rig.message_count && dice(2))
		rig_answer_messages();
}

static void resize(void)
{
	ebs_function_resized(rig.fn);
}

/* How often, and what. */
static const struct {
	uint32_t weight;
	void (*act)(void);
} acts[] = {
	{ 60, submit_some },    { 25, step_once },
	{ 20, rig_turn },       { 20, take_completions },
	{ 8, fill_lists },      { 8, write_register },
	{ 3, enable },          { 4, make_pairs },
	{ 3, pause_and_go_on }, { 2, reset_function },
	{ 4, set_fault },       { 8, hold_or_let_go },
	{ 10, end_some_io },    { 10, let_time_pass },
	{ 2, use_msix },        { 2, resize },
	{ 4, submit_many },     { 2, coalesce },
	{ 6, deallocate },
};

static void act(void)
{
	uint32_t total = 0, pick;

	for (size_t i = 0; i < RT_COUNT(acts); i++)
		total += acts[i].weight;
	pick = dice(total);
	for (size_t i = 0; i < RT_COUNT(acts); i++) {
		if (pick < acts[i].weight) {
			acts[i].act();
			return;
		}
		pick -= acts[i].weight;
	}
}

/* After a reset nothing may be left of what was. */
static void expect_quiet(uint64_t seed)
{
	struct ebs_controller *c = rig.c;

	rig.holds_io = false;
	rig.holds_messages = false;
	rig_end_io(0);
	pcie_function_unpause(rig.fn);
	pcie_function_reset(rig.fn, PCIE_RESET_BUS, NULL, NULL);
	rig_turn();
	cr_assert_not(pcie_function_is_resetting(rig.fn), "seed %lu", seed);
	cr_assert_eq(ebs_active_count(c), 0, "seed %lu", seed);
	cr_assert_eq(c->home.free_count, c->request_count, "seed %lu", seed);
	cr_assert_eq(ebs_io_count(c), 0, "seed %lu", seed);
	cr_assert_eq(c->aborts, 0, "seed %lu", seed);
	cr_assert(!pcie_dma_is_held(rig.fn), "seed %lu", seed);
	for (unsigned int i = 0; i < EBS_QUEUES; i++)
		cr_assert_eq(c->cq[i].reserved + c->sq[i].in_flight, 0,
			     "seed %lu", seed);
	if (c->admin_buffers.memory)
		cr_assert_eq(c->admin_buffers.free_count, EBS_ADMIN_BUFFERS);
	if (c->bounce_buffers.memory)
		cr_assert_eq(c->bounce_buffers.free_count, EBS_BOUNCE_BUFFERS);
}

static void live(uint64_t seed)
{
	uint16_t command = 6;

	current_seed = seed;
	state = seed * 0x9e3779b97f4a7c15 + 1;
	rig.is_by_message = dice(2);
	rig.is_private = !rig.is_by_message && !dice(4);
	rig_start(dice(EBS_PROFILES));
	rig_enable(16);
	make_pairs();
	for (int i = 0; i < STEPS; i++)
		act();
	expect_quiet(seed);
	/* And it is as good as new. */
	pcie_region_write(rig.fn, PCIE_CONFIG_REGION, 4, &command, 2);
	for (unsigned int i = 0; i < EBS_FAULTS; i++)
		rig.c->fault_slots[i].rule.is_set = false;
	rig.io_error = 0;
	rig_enable(16);
	rig_make_pair(1);
	cr_assert_eq(rig_run(1, rig_rw(NVME_NVM_READ, 0, 1)), 0, "seed %lu",
		     seed);
	rig_stop();
}

Test(ebs_monkey, nothing_that_anybody_does_hurts, .timeout = 3000)
{
	const char *wish = getenv("NITRO_MONKEYS");
	uint64_t count = wish ? strtoull(wish, NULL, 10) : 60;
	const char *first = getenv("NITRO_FIRST_MONKEY");
	uint64_t seed = first ? strtoull(first, NULL, 10) : 0;

	rt_log_set_level(RT_LOG_ERROR);
	for (uint64_t i = 0; i < count; i++)
		live(seed + i);
}
