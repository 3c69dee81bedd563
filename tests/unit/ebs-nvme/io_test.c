/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "tests/unit/ebs-nvme/rig.h"

#define BLOCKS (RIG_VOLUME / 512)

static const struct {
	const char *name;
	uint8_t opcode, flags;
	uint32_t nsid;
	uint64_t lba, blocks;
	int status;
} refused[] = {
	{ "unknown opcode", 0x7f, 0, 1, 0, 1, 0x001 },
	{ "Dataset Management on EBS", 0x09, 0, 1, 0, 1, 0x001 },
	{ "Write Zeroes", 0x08, 0, 1, 0, 1, 0x001 },
	{ "fused", 0x02, 0x01, 1, 0, 1, 0x002 },
	{ "SGL", 0x02, 0x40, 1, 0, 1, 0x002 },
	{ "namespace 0", 0x02, 0, 0, 0, 1, 0x00b },
	{ "all namespaces", 0x02, 0, NVME_NSID_ALL, 0, 1, 0x00b },
	{ "larger than MDTS", 0x02, 0, 1, 0, 513, 0x002 },
	{ "behind the end", 0x02, 0, 1, BLOCKS, 1, 0x080 },
	{ "across the end", 0x01, 0, 1, BLOCKS - 1, 2, 0x080 },
	{ "wraps around", 0x01, 0, 1, UINT64_MAX, 2, 0x080 },
	{ "wraps around in bytes", 0x01, 0, 1, UINT64_MAX >> 9, 2, 0x080 },
};

Test(ebs_io, each_mistake_has_its_status, .fini = rig_stop)
{
	rig_start_ready();
	for (size_t i = 0; i < RT_COUNT(refused); i++) {
		struct nvme_cmd cmd = rig_rw(refused[i].opcode, refused[i].lba,
					     (uint32_t)refused[i].blocks);

		cmd.flags = refused[i].flags;
		cmd.nsid = le32_put(refused[i].nsid);
		cr_expect_eq(rig_run(1, cmd), refused[i].status, "row %s",
			     refused[i].name);
		cr_expect(rig_is_final(), "row %s", refused[i].name);
	}
	cr_expect_eq(rig_log(NVME_LID_SMART, 512, 0), 0);
	cr_expect_eq(le_load(rig_at(RIG_DATA) + 176, 8), RT_COUNT(refused),
		     "entries of the error log");
}

Test(ebs_io, the_last_block_can_be_reached, .fini = rig_stop)
{
	rig_start_ready();
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_READ, BLOCKS - 1, 1)), 0);
}

static const struct {
	uint8_t opcode;
	int error, status;
} failures[] = {
	{ NVME_NVM_READ, -EIO, 0x281 },
	{ NVME_NVM_WRITE, -EIO, 0x280 },
	{ NVME_NVM_WRITE, -ENOSPC, 0x081 },
	{ NVME_NVM_FLUSH, -EIO, 0x280 },
};

Test(ebs_io, failures_of_the_storage_are_told, .fini = rig_stop)
{
	rig_start_ready();
	for (size_t i = 0; i < RT_COUNT(failures); i++) {
		rig.io_error = failures[i].error;
		cr_expect_eq(rig_run(1, rig_rw(failures[i].opcode, 0, 1)),
			     failures[i].status, "row %zu", i);
	}
}

Test(ebs_io, what_the_storage_does_at_once_is_told, .fini = rig_stop)
{
	rig_start_ready();
	rig.ends_at_once = true;
	memset(rig_at(RIG_DATA), 7, 512);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_WRITE, 1, 1)), 0);
	cr_expect_eq(rig.bytes[512], 7);
	memset(rig_at(RIG_DATA), 0, 512);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_READ, 1, 1)), 0);
	cr_expect_eq(*rig_at(RIG_DATA), 7);
	for (size_t i = 0; i < RT_COUNT(failures); i++) {
		rig.io_error = failures[i].error;
		cr_expect_eq(rig_run(1, rig_rw(failures[i].opcode, 0, 1)),
			     failures[i].status, "row %zu", i);
	}
}

Test(ebs_io, data_out_of_reach_is_a_transfer_error, .fini = rig_stop)
{
	struct nvme_cmd cmd = rig_rw(NVME_NVM_READ, 0, 1);

	rig_start_ready();
	cmd.prp1 = le64_put(0x70000000);
	cr_expect_eq(rig_run(1, cmd), 0x004);
	cmd.prp1 = le64_put(RIG_DATA + 1);
	cr_expect_eq(rig_run(1, cmd), 0x013);
}

Test(ebs_io, forced_unit_access_is_durable, .fini = rig_stop)
{
	struct nvme_cmd cmd = rig_rw(NVME_NVM_WRITE, 0, 1);

	rig_start_ready();
	cr_expect_eq(rig_run(1, cmd), 0);
	cr_expect_eq(rig.durable_writes, 0);
	cmd.cdw12 = le32_put(1u << 30);
	cr_expect_eq(rig_run(1, cmd), 0);
	cr_expect_eq(rig.durable_writes, 1);
}

Test(ebs_io, without_a_cache_every_write_is_durable, .fini = rig_stop)
{
	rig_start(EBS_PROFILE_IS_3);
	rig_enable(16);
	rig_make_pair(1);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_WRITE, 0, 1)), 0);
	cr_expect_eq(rig.durable_writes, 1);
}

Test(ebs_io, a_read_only_volume_is_not_written, .fini = rig_stop)
{
	struct ebs_config config = { .profile = EBS_PROFILE_EBS_2,
				     .vcpus = 2,
				     .volume.is_read_only = true };

	rig_start_config(&config);
	rig_enable(16);
	rig_make_pair(1);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_WRITE, 0, 1)), 0x182);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_READ, 0, 1)), 0);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_FLUSH, 0, 1)), 0);
}

static struct nvme_cmd discard(uint64_t start, uint32_t blocks)
{
	struct nvme_dsm_range ranges[2] = {
		{ .start = le64_put(2), .blocks = le32_put(0) },
		{ .start = le64_put(start), .blocks = le32_put(blocks) },
	};
	struct nvme_cmd cmd = rig_rw(NVME_NVM_DSM, 1, 1);

	memcpy(rig_at(RIG_DATA), ranges, sizeof ranges);
	cmd.cdw11 = le32_put(1 << 2);
	return cmd;
}

Test(ebs_io, local_disks_deallocate_ranges, .fini = rig_stop)
{
	rig_start(EBS_PROFILE_IS_1);
	rig_enable(16);
	rig_make_pair(1);
	memset(rig.bytes, 1, RIG_VOLUME);
	cr_expect_eq(rig_run(1, discard(8, 4)), 0);
	cr_expect_eq(rig.bytes[8 * 512 - 1], 1);
	cr_expect_eq(rig.bytes[8 * 512], 0);
	cr_expect_eq(rig.bytes[12 * 512 - 1], 0);
	cr_expect_eq(rig.bytes[12 * 512], 1);
	cr_expect_eq(rig_run(1, discard(BLOCKS - 1, 2)), 0x080);
	cr_expect_eq(rig_run(1, discard(UINT64_MAX, 2)), 0x080);
	rig.ends_at_once = true;
	cr_expect_eq(rig_run(1, discard(12, 1)), 0);
	cr_expect_eq(rig.bytes[12 * 512], 0);
	rig.io_error = -EIO;
	cr_expect_eq(rig_run(1, discard(13, 1)), 0x280);
	cr_expect_eq(rig.bytes[13 * 512], 1);
}

static void set_fault(const char *name, uint64_t value, uint64_t limit)
{
	struct rt_fault_rule rule = { .is_set = true,
				      .probability_ppm = 1000000,
				      .limit = limit,
				      .value = value };

	cr_assert_eq(rt_fault_set_rule(&rig.fn->faults, name, &rule), 0);
}

Test(ebs_io, a_fault_gives_a_command_its_status, .fini = rig_stop)
{
	rig_start_ready();
	set_fault("io_status", 0x281, 1);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_READ, 0, 1)), 0x281);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_READ, 0, 1)), 0);
}

Test(ebs_io, a_fault_delays_a_command, .fini = rig_stop)
{
	rig_start_ready();
	set_fault("io_delay", 500, 1);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_READ, 0, 1)), -1);
	rig_wait_ns(499999);
	cr_expect_not(rig_completion(1, NULL));
	rig_wait_ns(1);
	cr_expect(rig_completion(1, NULL));
	cr_expect_eq(rt_counter_read(&rig.c->home.counters.read_ns), 500000);
}

static struct nvme_cmd abort_of(uint16_t sqid, uint16_t cid)
{
	return (struct nvme_cmd){ .opcode = NVME_ADMIN_ABORT,
				  .cdw10 = le32_put((uint32_t)cid << 16 |
						    sqid) };
}

static unsigned int fences;

/* Nothing of the queue's first lap was completed unfenced. */
static void look_for_early_completions(void)
{
	unsigned int posted = 0;
	struct nvme_cqe cqe;

	for (unsigned int i = 0; i < rig.queues[1].entries; i++) {
		memcpy(&cqe, rig_at(RIG_CQ(1) + i * sizeof cqe), sizeof cqe);
		posted += bits_get(NVME_CQE_PHASE, le16_get(cqe.status)) != 0;
	}
	cr_expect_eq(posted, fences * EBS_BURST_COMMANDS);
	fences++;
}

Test(ebs_io, writes_of_a_long_row_share_a_fence_that_comes_first,
     .fini = rig_stop)
{
	uint16_t first = 0;

	rig_start_ready();
	rig.ends_at_once = true;
	rig.fencing = look_for_early_completions;
	for (unsigned int i = 0; i < 15; i++) {
		uint16_t cid = rig_submit(1, rig_rw(NVME_NVM_WRITE, i, 1));

		first = i ? first : cid;
	}
	rig_turn();
	cr_expect_eq(rig.unfenced, 0);
	cr_expect_eq(fences, 1); /* the rest is no long row */
	for (unsigned int i = 0; i < 15; i++) {
		cr_assert(rig_completion(1, NULL));
		cr_expect_eq(rig_cid(), first + i);
	}
}

Test(ebs_abort, a_command_that_waits_for_us_ends_at_once, .fini = rig_stop)
{
	struct nvme_cqe cqe;
	uint16_t cid;

	rig_start_ready();
	set_fault("io_stall", 0, 1);
	cid = rig_submit(1, rig_rw(NVME_NVM_READ, 0, 1));
	rig_turn();
	cr_expect_eq(rig_run(0, abort_of(1, cid)), 0);
	cr_expect_eq(rig_dw0(), 0, "it was aborted");
	cr_assert(rig_completion(1, &cqe));
	cr_expect_eq(le16_get(cqe.cid), cid);
	cr_expect_eq(le16_get(cqe.status) >> 1, 0x007);
	cr_expect_not(rig_completion(1, NULL), "it ends once");
}

Test(ebs_abort, a_command_in_the_storage_ends_when_that_lets_go,
     .fini = rig_stop)
{
	struct nvme_cqe cqe;
	uint16_t cid;

	rig_start_ready();
	rig.holds_io = true;
	cid = rig_submit(1, rig_rw(NVME_NVM_READ, 0, 1));
	rig_turn();
	cr_expect_eq(rig_run(0, abort_of(1, cid)), -1);
	cr_expect_not(rig_completion(1, NULL));
	rig_end_io(0);
	cr_assert(rig_completion(1, &cqe));
	cr_expect_eq(le16_get(cqe.status) >> 1, 0x007);
	cr_assert(rig_completion(0, &cqe));
	cr_expect_eq(le32_get(cqe.dw0), 0);
}

Test(ebs_abort, what_is_not_there_is_not_aborted, .fini = rig_stop)
{
	rig_start_ready();
	cr_expect_eq(rig_run(0, abort_of(1, 77)), 0);
	cr_expect_eq(rig_dw0(), 1);
	cr_expect_eq(rig_run(0, abort_of(9, 77)), 0);
	cr_expect_eq(rig_dw0(), 1);
	cr_expect_eq(rig_run(0, abort_of(0, (uint16_t)(rig.next_cid + 1))), 0);
	cr_expect_eq(rig_dw0(), 1, "not even itself");
}

Test(ebs_abort, no_more_at_a_time_than_the_limit, .fini = rig_stop)
{
	uint16_t cids[6];

	rig_start_ready();
	rig.holds_io = true;
	for (int i = 0; i < 6; i++)
		cids[i] = rig_submit(1, rig_rw(NVME_NVM_READ, 0, 1));
	rig_turn();
	for (int i = 0; i < 5; i++)
		cr_expect_eq(rig_run(0, abort_of(1, cids[i])), -1);
	cr_expect_eq(rig_run(0, abort_of(1, cids[5])), 0x103);
	rig_end_io(0);
	for (int i = 0; i < 5; i++)
		cr_expect(rig_completion(0, NULL));
	cr_expect_eq(rig_run(0, abort_of(1, cids[5])), 0);
	cr_expect_eq(rig.c->aborts, 0);
}

Test(ebs_abort, ebs_1_accepts_it_and_does_nothing, .fini = rig_stop)
{
	uint16_t cid;

	rig_start(EBS_PROFILE_EBS_1);
	rig_enable(16);
	rig_make_pair(1);
	set_fault("io_stall", 0, 1);
	cid = rig_submit(1, rig_rw(NVME_NVM_READ, 0, 1));
	rig_turn();
	cr_expect_eq(rig_run(0, abort_of(1, cid)), 0);
	cr_expect_eq(rig_dw0(), 1);
	cr_expect_not(rig_completion(1, NULL));
}
