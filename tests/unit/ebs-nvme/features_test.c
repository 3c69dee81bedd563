/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>

#include "firmware/rt/scope.h"
#include "tests/unit/ebs-nvme/rig.h"

static void start(void)
{
	rig_start(EBS_PROFILE_EBS_2);
	rig_enable(16);
}

TestSuite(ebs_features, .init = start, .fini = rig_stop);

static const struct {
	uint8_t id;
	uint32_t value, fallback, capabilities;
} features[] = {
	{ 0x01, 0x01020304, 3, 4 }, { 0x02, 1, 0, 4 },
	{ 0x04, 400, 0xffff, 4 },   { 0x05, 100, 0, 6 },
	{ 0x06, 0, 1, 4 },          { 0x08, 0x0a07, 0, 4 },
	{ 0x0a, 1, 0, 4 },          { 0x0b, 0x102, 0, 4 },
};

static int set(uint8_t id, uint32_t value)
{
	struct nvme_cmd cmd = {
		.opcode = NVME_ADMIN_SET_FEATURES,
		.nsid = le32_put(id == 5 ? 1 : 0),
		.cdw10 = le32_put(id),
		.cdw11 = le32_put(value),
	};

	return rig_run(0, cmd);
}

Test(ebs_features, each_keeps_its_value_until_a_reset)
{
	for (size_t i = 0; i < RT_COUNT(features); i++) {
		cr_expect_eq(set(features[i].id, features[i].value), 0,
			     "feature %#x", features[i].id);
		cr_expect_eq(rig_get_feature(features[i].id, 0, 0), 0);
		cr_expect_eq(rig_dw0(), features[i].value, "feature %#x",
			     features[i].id);
	}
	rig_write32(NVME_REG_CC, 0);
	rig_turn();
	rig_enable(16);
	for (size_t i = 0; i < RT_COUNT(features); i++) {
		cr_expect_eq(rig_get_feature(features[i].id, 0, 0), 0);
		cr_expect_eq(rig_dw0(), features[i].fallback, "feature %#x",
			     features[i].id);
	}
}

Test(ebs_features, defaults_saved_values_and_capabilities_are_told)
{
	for (size_t i = 0; i < RT_COUNT(features); i++) {
		set(features[i].id, features[i].value);
		for (uint32_t select = 1; select <= 2; select++) {
			cr_expect_eq(rig_get_feature(features[i].id, select, 0),
				     0);
			cr_expect_eq(rig_dw0(), features[i].fallback,
				     "feature %#x", features[i].id);
		}
		cr_expect_eq(rig_get_feature(features[i].id, 3, 0), 0);
		cr_expect_eq(rig_dw0(), features[i].capabilities, "feature %#x",
			     features[i].id);
		cr_expect_eq(rig_get_feature(features[i].id, 4, 0), 0x002);
	}
}

static const struct {
	const char *name;
	uint32_t nsid, cdw10, cdw11;
	int status;
} refused[] = {
	{ "unknown feature", 0, 0x0c, 0, 0x002 },
	{ "feature 0", 0, 0x00, 0, 0x002 },
	{ "saved", 0, 0x80000001, 0, 0x10d },
	{ "power state 2", 0, 0x02, 2, 0x002 },
	{ "sensor 1", 0, 0x04, 1 << 16, 0x002 },
	{ "threshold type 2", 0, 0x04, 2 << 20, 0x002 },
	{ "error for deallocated blocks", 1, 0x05, 1 << 16, 0x002 },
	{ "per namespace, without one", 0, 0x05, 0, 0x00b },
	{ "per namespace, of another", 2, 0x05, 0, 0x00b },
	{ "not per namespace", 1, 0x01, 0, 0x10f },
	{ "65536 submission queues", 0, 0x07, 0xffff, 0x002 },
	{ "65536 completion queues", 0, 0x07, 0xffff0000, 0x002 },
	{ "vector 3", 0, 0x09, 3, 0x002 },
};

Test(ebs_features, what_cannot_be_set_is_refused)
{
	for (size_t i = 0; i < RT_COUNT(refused); i++) {
		struct nvme_cmd cmd = {
			.opcode = NVME_ADMIN_SET_FEATURES,
			.nsid = le32_put(refused[i].nsid),
			.cdw10 = le32_put(refused[i].cdw10),
			.cdw11 = le32_put(refused[i].cdw11),
		};

		cr_expect_eq(rig_run(0, cmd), refused[i].status, "row %s",
			     refused[i].name);
		cr_expect(rig_is_final());
	}
}

Test(ebs_features, two_queue_pairs_are_granted_before_the_first_is_made)
{
	cr_expect_eq(rig_set_feature(0x07, 0x00070007), 0);
	cr_expect_eq(rig_dw0(), 0x00010001);
	rig_make_pair(1);
	cr_expect_eq(rig_set_feature(0x07, 0x00070007), 0x00c);
	cr_expect_eq(rig_get_feature(0x07, 0, 0), 0);
	cr_expect_eq(rig_dw0(), 0x00010001);
}

Test(ebs_features, vectors_have_their_own_switch)
{
	cr_expect_eq(rig_set_feature(0x09, 1 << 16 | 2), 0);
	cr_expect_eq(rig_get_feature(0x09, 0, 2), 0);
	cr_expect_eq(rig_dw0(), 1 << 16 | 2);
	cr_expect_eq(rig_get_feature(0x09, 0, 1), 0);
	cr_expect_eq(rig_dw0(), 1);
	cr_expect_eq(rig_get_feature(0x09, 0, 3), 0x002);
}

Test(ebs_features, notices_that_never_come_are_accepted_and_not_kept)
{
	cr_expect_eq(rig_set_feature(0x0b, 0x300), 0);
	cr_expect_eq(rig_get_feature(0x0b, 0, 0), 0);
	cr_expect_eq(rig_dw0(), 0x100);
}

Test(ebs_features, switching_the_cache_off_flushes_and_makes_writes_durable)
{
	rig_make_pair(1);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_WRITE, 0, 1)), 0);
	cr_expect_eq(rig.durable_writes, 0);
	cr_expect_eq(rig_set_feature(0x06, 0), 0);
	cr_expect_eq(rig.flushes, 1);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_WRITE, 0, 1)), 0);
	cr_expect_eq(rig.durable_writes, 1);
}
