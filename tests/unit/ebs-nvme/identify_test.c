/* SPDX-License-Identifier: BSD-3-Clause */
/* The offsets here are literals on purpose: they check abi.h, too. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ebs-nvme/ebs.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "tests/unit/ebs-nvme/rig.h"

static char id[] = "vol-0123456789abcdef0";
static char device[] = "/dev/sdf";

static void start(unsigned int profile)
{
	struct ebs_config config = { .profile = profile,
				     .volume_id = id,
				     .device_name = device,
				     .vcpus = 2 };

	rig_start_config(&config);
	rig_enable(16);
}

static uint64_t at(unsigned int offset, unsigned int size)
{
	return le_load(rig_at(RIG_DATA) + offset, size);
}

static void expect_text(unsigned int offset, unsigned int size,
			const char *text)
{
	char padded[257];

	snprintf(padded, sizeof padded, "%-*s", (int)size, text);
	cr_expect_arr_eq(rig_at(RIG_DATA) + offset, padded, size,
			 "\"%.*s\" is not \"%s\"", (int)size,
			 (char *)rig_at(RIG_DATA) + offset, text);
}

static const struct {
	unsigned int profile;
	const char *serial, *model, *firmware, *subnqn;
	uint32_t ver, vs;
	uint64_t rab, ieee, mdts, oaes, acl, aerl, lpa, elpe, npss, oncs, vwc;
} controllers[] = {
	{ EBS_PROFILE_EBS_1, "vol0123456789abcdef0",
	  "Amazon Elastic Block Store", "1.0", "", 0, 0x10100, 32, 0xdc02a0, 6,
	  0x100, 4, 0, 0, 0, 1, 0, 1 },
	{ EBS_PROFILE_EBS_2, "vol0123456789abcdef0",
	  "Amazon Elastic Block Store", "2.0",
	  "nqn:2008-08.com.amazon.aws:ebs:vol0123456789abcdef0", 0x10400,
	  0x10400, 32, 0xdc02a0, 6, 0x100, 4, 0, 4, 0, 1, 0, 1 },
	{ EBS_PROFILE_IS_1, "AWS0123456789abcdef0",
	  "Amazon EC2 NVMe Instance Storage", "0", "", 0, 0x10100, 0, 0x40b4cd,
	  5, 0, 3, 4, 0, 63, 0, 4, 0 },
	{ EBS_PROFILE_IS_3, "AWS0123456789abcdef0",
	  "Amazon EC2 NVMe Instance Storage", "0",
	  "nqn.2008-08.com.amazon.aws:ec2-nvme-instance:AWS0123456789abcdef0",
	  0x10400, 0x10400, 0, 0x40b4cd, 5, 0, 3, 4, 4, 63, 0, 4, 0 },
};

Test(ebs_identify, controllers_have_the_bytes_of_their_generation)
{
	for (size_t i = 0; i < RT_COUNT(controllers); i++) {
		const char *name = ebs_profile_names[controllers[i].profile];

		start(controllers[i].profile);
		cr_expect_eq(rig_identify(1, 0), 0);
		cr_expect_eq(at(0, 2), 0x1d0f, "%s", name);
		expect_text(4, 20, controllers[i].serial);
		expect_text(24, 40, controllers[i].model);
		expect_text(64, 8, controllers[i].firmware);
		cr_expect_eq(at(72, 1), controllers[i].rab, "%s", name);
		cr_expect_eq(at(73, 3), controllers[i].ieee, "%s", name);
		cr_expect_eq(at(77, 1), controllers[i].mdts, "%s", name);
		cr_expect_eq(at(80, 4), controllers[i].ver, "%s", name);
		cr_expect_eq(rig_read32(8), controllers[i].vs, "%s", name);
		cr_expect_eq(at(92, 4), controllers[i].oaes, "%s", name);
		cr_expect_eq(at(256, 2), 0, "OACS of %s", name);
		cr_expect_eq(at(258, 1), controllers[i].acl, "%s", name);
		cr_expect_eq(at(259, 1), controllers[i].aerl, "%s", name);
		cr_expect_eq(at(260, 1), 3, "FRMW of %s", name);
		cr_expect_eq(at(261, 1), controllers[i].lpa, "%s", name);
		cr_expect_eq(at(262, 1), controllers[i].elpe, "%s", name);
		cr_expect_eq(at(263, 1), controllers[i].npss, "%s", name);
		cr_expect_eq(at(512, 1), 0x66, "%s", name);
		cr_expect_eq(at(513, 1), 0x44, "%s", name);
		cr_expect_eq(at(516, 4), 1, "NN of %s", name);
		cr_expect_eq(at(520, 2), controllers[i].oncs, "%s", name);
		cr_expect_eq(at(525, 1), controllers[i].vwc, "%s", name);
		cr_expect_eq(at(536, 4), 0, "SGLS of %s", name);
		cr_expect_str_eq((char *)rig_at(RIG_DATA) + 768,
				 controllers[i].subnqn);
		expect_text(3072, 32, device);
		rig_stop();
	}
}

Test(ebs_identify, an_ebs_namespace_has_the_vendor_area, .fini = rig_stop)
{
	start(EBS_PROFILE_EBS_2);
	cr_expect_eq(rig_identify(0, 1), 0);
	cr_expect_eq(at(0, 8), RIG_VOLUME / 512);
	cr_expect_eq(at(8, 8), RIG_VOLUME / 512);
	cr_expect_eq(at(16, 8), RIG_VOLUME / 512);
	cr_expect_eq(at(24, 1), 0x12, "NSFEAT");
	cr_expect_eq(at(36, 2), 31, "NAWUPF");
	cr_expect_eq(at(64, 2), 7, "NPWG");
	cr_expect_eq(at(72, 2), 7, "NOWS");
	cr_expect_eq(at(104, 8) | at(112, 8) | at(120, 8), 0,
		     "no NGUID, no EUI64");
	cr_expect_eq(at(128, 4), 9 << 16, "512 bytes");
	expect_text(384, 32, device);
	expect_text(416, 32, "vol0123456789abcdef0");
	cr_expect_eq(at(640, 2), 31, "NTWPU");
	cr_expect_eq(at(642, 2), 7, "NTWPG");
	cr_expect_eq(at(644, 4), 31, "NTWPB");
}

Test(ebs_identify, ebs_2_has_one_uuid_of_version_5, .fini = rig_stop)
{
	start(EBS_PROFILE_EBS_2);
	cr_expect_eq(rig_identify(3, 1), 0);
	cr_expect_eq(at(0, 2), 16 << 8 | 3);
	cr_expect_eq(rig_at(RIG_DATA)[4 + 6] >> 4, 5);
	cr_expect_eq(rig_at(RIG_DATA)[4 + 8] >> 6, 2);
	cr_expect_eq(at(20, 8), 0, "the list ends");
}

static void uuid_of(const char *volume_id, uint8_t uuid[16])
{
	struct ebs_identity identity;

	cr_assert_eq(ebs_identity_make(&ebs_profiles[EBS_PROFILE_EBS_2], "x",
				       volume_id, NULL, &identity, NULL),
		     0);
	memcpy(uuid, identity.uuid, 16);
}

Test(ebs_identify, a_uuid_belongs_to_its_volume)
{
	uint8_t one[16], same[16], other[16];

	uuid_of("vol-0123456789abcdef0", one);
	uuid_of("vol-0123456789abcdef0", same);
	uuid_of("vol-0123456789abcdef1", other);
	cr_expect_arr_eq(one, same, 16);
	cr_expect_arr_neq(one, other, 16);
}

Test(ebs_identify, is_3_has_an_nguid_made_of_its_serial, .fini = rig_stop)
{
	static const uint8_t nguid[16] = { 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc,
					   0xde, 0xf0, 0x40, 0xb4, 0xcd, 0,
					   0,    0,    0,    1 };

	start(EBS_PROFILE_IS_3);
	cr_expect_eq(rig_identify(0, 1), 0);
	cr_expect_arr_eq(rig_at(RIG_DATA) + 104, nguid, 16);
	cr_expect_eq(rig_identify(3, 1), 0);
	cr_expect_eq(at(0, 2), 16 << 8 | 2);
	cr_expect_arr_eq(rig_at(RIG_DATA) + 4, nguid, 16);
}

static const struct {
	const char *name;
	uint32_t cns, nsid;
	int status;
} invalid[] = {
	{ "namespace 0", 0, 0, 0x00b },
	{ "namespace 2", 0, 2, 0x00b },
	{ "all namespaces", 0, NVME_NSID_ALL, 0x00b },
	{ "list after FFFFFFFEh", 2, 0xfffffffe, 0x00b },
	{ "descriptors of namespace 2", 3, 2, 0x00b },
	{ "unknown CNS", 4, 1, 0x002 },
	{ "last CNS", 0xff, 1, 0x002 },
};

Test(ebs_identify, what_is_not_there_is_refused, .fini = rig_stop)
{
	start(EBS_PROFILE_EBS_2);
	for (size_t i = 0; i < RT_COUNT(invalid); i++)
		cr_expect_eq(rig_identify(invalid[i].cns, invalid[i].nsid),
			     invalid[i].status, "row %s", invalid[i].name);
}

Test(ebs_identify, the_list_of_namespaces_is_one_long, .fini = rig_stop)
{
	start(EBS_PROFILE_EBS_2);
	cr_expect_eq(rig_identify(2, 0), 0);
	cr_expect_eq(at(0, 8), 1);
	cr_expect_eq(rig_identify(2, 1), 0);
	cr_expect_eq(at(0, 8), 0);
}

Test(ebs_identify, before_1_3_there_are_no_descriptors, .fini = rig_stop)
{
	start(EBS_PROFILE_EBS_1);
	cr_expect_eq(rig_identify(3, 1), 0x002);
}

static const struct {
	const char *id, *device;
} bad_words[] = {
	{ "vol0123456789abcdef0", NULL },
	{ "vol-0123456789abcdef", NULL },
	{ "vol-0123456789abcdef01", NULL },
	{ "vol-0123456789ABCDEF0", NULL },
	{ "vol-0123456789abcdeg0", NULL },
	{ "AWS-0123456789abcdef0", NULL },
	{ "", NULL },
	{ NULL, "/dev/a-name-that-is-much-too-long" },
	{ NULL, "sda\n" },
};

Test(ebs_identify, the_user_is_told_what_is_wrong_with_a_word)
{
	struct ebs_identity identity;
	struct rt_error error;

	for (size_t i = 0; i < RT_COUNT(bad_words); i++) {
		memset(&error, 0, sizeof error);
		cr_expect_eq(ebs_identity_make(&ebs_profiles[EBS_PROFILE_EBS_2],
					       "ebs0", bad_words[i].id,
					       bad_words[i].device, &identity,
					       &error),
			     -EINVAL, "row %zu", i);
		cr_expect_eq(error.code, -EINVAL);
		cr_expect_neq(error.text[0], '\0');
	}
}

Test(ebs_identify, metal_has_its_own_pci_ids)
{
	rig_start_config(&(struct ebs_config){ .profile = EBS_PROFILE_IS_3,
					       .is_metal = true });
	cr_expect_eq(rig.fn->identity.device, 0xcd00);
	cr_expect_eq(rig.fn->identity.subsystem, 0xcd00);
	cr_expect(rig.fn->identity.has_pm);
	cr_expect(rig.fn->identity.bars[0].is_64bit);
	rig_stop();
}
