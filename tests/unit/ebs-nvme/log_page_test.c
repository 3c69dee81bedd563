/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "tests/unit/ebs-nvme/rig.h"

static uint64_t at(unsigned int offset, unsigned int size)
{
	return le_load(rig_at(RIG_DATA) + offset, size);
}

Test(ebs_log_page, amazons_page_counts_commands, .fini = rig_stop)
{
	rig_start_ready();
	rig.holds_io = true;
	rig_submit(1, rig_rw(NVME_NVM_READ, 0, 8));
	rig_turn();
	rig_wait_ns(3000);
	rig_end_io(0);
	rig_submit(1, rig_rw(NVME_NVM_WRITE, 0, 16));
	rig_turn();
	cr_expect_eq(rig_log(NVME_LID_AMAZON_STATS, 4096, 0), 0);
	cr_expect_eq(at(0, 8), 0x3c23b510, "magic, and version 0");
	cr_expect_eq(at(8, 8), 1, "reads");
	cr_expect_eq(at(16, 8), 0, "writes that ended");
	cr_expect_eq(at(24, 8), 4096);
	cr_expect_eq(at(40, 8), 3, "microseconds");
	cr_expect_eq(at(88, 8), 1, "queue length");
	cr_expect_eq(at(512, 8), 28, "bins");
	cr_expect_eq(at(520, 8), 0);
	cr_expect_eq(at(528, 8), 1);
	cr_expect_eq(at(520 + 2 * 24, 8), 2, "lower bound");
	cr_expect_eq(at(528 + 2 * 24, 8), 4, "upper bound");
	cr_expect_eq(at(536 + 2 * 24, 4), 1, "one read of 2 to 4 us");
	cr_expect_eq(at(2056, 8), 28);
	cr_expect_eq(at(3600, 8), 0, "no size classes");
}

Test(ebs_log_page, a_reader_that_asks_for_too_much_gets_the_page,
     .fini = rig_stop)
{
	struct nvme_cmd cmd = {
		.opcode = NVME_ADMIN_GET_LOG_PAGE,
		.nsid = le32_put(1),
		.prp1 = le64_put(RIG_DATA),
		.prp2 = le64_put(0x70000001), /* must not be looked at */
		.cdw10 = le32_put(1024u << 16 | NVME_LID_AMAZON_STATS),
	};

	rig_start_ready();
	cr_expect_eq(rig_run(0, cmd), 0);
	cr_expect_eq(at(0, 4), 0x3c23b510);
}

Test(ebs_log_page, a_failed_command_is_not_in_a_histogram, .fini = rig_stop)
{
	rig_start_ready();
	rig.io_error = -5;
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_READ, 0, 8)), 0x281);
	cr_expect_eq(rig_log(NVME_LID_AMAZON_STATS, 4096, 0), 0);
	cr_expect_eq(at(8, 8), 0);
}

Test(ebs_log_page, local_disks_have_size_classes_behind_an_offset,
     .fini = rig_stop)
{
	rig_start(EBS_PROFILE_IS_3);
	rig_enable(16);
	rig_make_pair(1);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_READ, 0, 8)), 0);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_WRITE, 0, 9)), 0);
	cr_expect_eq(rig_log(NVME_LID_AMAZON_STATS, 4096, 0), 0);
	cr_expect_eq(at(0, 8), UINT64_C(1) << 32 | 0xec2c0d7e);
	cr_expect_eq(at(3600, 4), 5);
	cr_expect_eq(at(3604, 4), 512);
	cr_expect_eq(at(3604 + 16, 4), 0xffffffff);
	cr_expect_eq(rig_log(NVME_LID_AMAZON_STATS, 4096, 4096), 0);
	cr_expect_eq(at(512, 8), 1, "a read of 4 KiB");
	cr_expect_eq(at(1024 + 256, 8), 1, "a write of 4.5 KiB");
	cr_expect_eq(rig_log(NVME_LID_AMAZON_STATS, 8192, 0), 0);
	cr_expect_eq(at(4096 + 512, 8), 1);
}

static const struct {
	const char *name;
	uint32_t nsid, cdw10, cdw11;
	uint64_t offset;
	int status;
} refused[] = {
	{ "page 0", 0, 0, 0, 0, 0x109 },
	{ "effects, which LPA does not offer", 0, 5, 0, 0, 0x109 },
	{ "unknown vendor page", 0, 0xc0, 0, 0, 0x109 },
	{ "SMART of a namespace", 1, 2, 0, 0, 0x00b },
	{ "statistics of namespace 2", 2, 0xd0, 0, 0, 0x00b },
	{ "offset of 2 bytes", 0, 2, 0, 2, 0x002 },
	{ "offset behind the page", 0, 2, 0, 516, 0x002 },
	{ "offset of 2^63", 0, 2, 0, UINT64_C(1) << 63, 0x002 },
	{ "one dword more than MDTS", 0, 2, 1, 0, 0x002 },
	{ "2^32 dwords", 0, 0xffff0002, 0xffff, 0, 0x002 },
};

Test(ebs_log_page, what_is_not_there_is_refused, .fini = rig_stop)
{
	rig_start_ready();
	for (size_t i = 0; i < RT_COUNT(refused); i++) {
		struct nvme_cmd cmd = {
			.opcode = NVME_ADMIN_GET_LOG_PAGE,
			.nsid = le32_put(refused[i].nsid),
			.prp1 = le64_put(RIG_DATA),
			.cdw10 = le32_put(refused[i].cdw10),
			.cdw11 = le32_put(refused[i].cdw11),
			.cdw12 = le32_put((uint32_t)refused[i].offset),
			.cdw13 = le32_put((uint32_t)(refused[i].offset >> 32)),
		};

		cr_expect_eq(rig_run(0, cmd), refused[i].status, "row %s",
			     refused[i].name);
	}
}

Test(ebs_log_page, the_error_log_tells_newest_first_where_the_error_is,
     .fini = rig_stop)
{
	rig_start(EBS_PROFILE_IS_3);
	rig_enable(16);
	rig_make_pair(1);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_READ, 7, 999)), 0x002);
	cr_expect_eq(rig_run(1, rig_rw(0x77, 0, 1)), 0x001);
	cr_expect_eq(rig_log(NVME_LID_ERROR, 128, 0), 0);
	cr_expect_eq(at(0, 8), 2);
	cr_expect_eq(at(8, 2), 1, "queue");
	cr_expect_eq(at(12, 2) >> 1 & 0x7ff, 0x001);
	cr_expect_eq(at(14, 2), 0);
	cr_expect_eq(at(64, 8), 1);
	cr_expect_eq(at(64 + 14, 2), 48, "byte 48 of the command");
	cr_expect_eq(at(64 + 16, 8), 7, "block");
	cr_expect_eq(at(64 + 24, 4), 1, "namespace");
}

Test(ebs_log_page, firmware_is_in_slot_one, .fini = rig_stop)
{
	rig_start_ready();
	cr_expect_eq(rig_log(NVME_LID_FIRMWARE, 512, 0), 0);
	cr_expect_eq(at(0, 1), 1);
	cr_expect_arr_eq(rig_at(RIG_DATA) + 8, "2.0     ", 8);
}
