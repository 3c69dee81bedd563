/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who the five generations of controllers say they are, compared with dumps of
 * EC2 instances rather than with the device's own table.
 */
#include <criterion/criterion.h>
#include <ctype.h>

#include "tests/function/bench.h"

#define VOLUME_ID "vol-0123456789abcdef0"
#define LOCAL_ID  "AWS-0123456789abcdef0"

struct identity_row {
	const char *profile, *volume_id;
	uint16_t device;
	const char *serial, *model, *firmware, *subnqn;
	uint8_t ieee[3];
	uint32_t ver;
	uint16_t ssvid;
	uint8_t rab, mdts, acl, aerl, npss, vwc;
	uint16_t oncs;
	uint8_t elpe;
	uint64_t oaes;
	uint16_t entries; /* CAP.MQES + 1; 0: differs between instances */
};

#define EBS_NAME   "Amazon Elastic Block Store"
#define LOCAL_NAME "Amazon EC2 NVMe Instance Storage"
#define LOCAL_NQN  "nqn.2008-08.com.amazon.aws:ec2-nvme-instance:"
#define EBS_NQN    "nqn:2008-08.com.amazon.aws:ebs:"
#define VERSION_14 0x10400

static const struct identity_row rows[] = {
	{ "ebs-1",  VOLUME_ID, 0x8061, "vol0123456789abcdef0",
	  EBS_NAME, "1.0",     "",     { 0xa0, 0x02, 0xdc },
	  0,        0x1d0f,    32,     6,
	  4,        0,         1,      1,
	  0,        0,         0x100,  0 },
	{ "ebs-2",
	  VOLUME_ID,
	  0x8061,
	  "vol0123456789abcdef0",
	  EBS_NAME,
	  "2.0",
	  EBS_NQN "vol0123456789abcdef0",
	  { 0xa0, 0x02, 0xdc },
	  VERSION_14,
	  0x1d0f,
	  32,
	  6,
	  4,
	  0,
	  1,
	  1,
	  0,
	  0,
	  0x100,
	  0 },
	{ "is-1",     LOCAL_ID, 0xcd01, "AWS0123456789abcdef0",
	  LOCAL_NAME, "0",      "",     { 0xcd, 0xb4, 0x40 },
	  0,          0,        0,      5,
	  3,          4,        0,      0,
	  4,          63,       0,      128 },
	{ "is-2",
	  LOCAL_ID,
	  0xcd01,
	  "AWS0123456789abcdef0",
	  LOCAL_NAME,
	  "0",
	  LOCAL_NQN "AWS0123456789abcdef0",
	  { 0xcd, 0xb4, 0x40 },
	  VERSION_14,
	  0,
	  0,
	  5,
	  3,
	  4,
	  0,
	  0,
	  4,
	  63,
	  0,
	  128 },
	{ "is-3",
	  LOCAL_ID,
	  0xcd01,
	  "AWS0123456789abcdef0",
	  LOCAL_NAME,
	  "0",
	  LOCAL_NQN "AWS0123456789abcdef0",
	  { 0xcd, 0xb4, 0x40 },
	  VERSION_14,
	  0,
	  0,
	  5,
	  3,
	  4,
	  0,
	  0,
	  4,
	  63,
	  0,
	  128 },
};

/* A field of size bytes that is padded with blanks. */
static void expect_text(const char *field, size_t size, const char *text,
			const char *what)
{
	char padded[257];

	memset(padded, ' ', sizeof padded);
	memcpy(padded, text, strlen(text));
	cr_expect_arr_eq(field, padded, size, "%s: \"%.*s\"", what, (int)size,
			 field);
}

static void check_numbers(const struct nvme_id_ctrl *id,
			  const struct identity_row *row)
{
	cr_expect_eq(le16_get(id->vid), 0x1d0f, "%s", row->profile);
	cr_expect_eq(le16_get(id->ssvid), row->ssvid, "%s", row->profile);
	cr_expect_arr_eq(id->ieee, row->ieee, 3, "%s", row->profile);
	cr_expect_eq(le32_get(id->ver), row->ver, "%s", row->profile);
	cr_expect_eq(id->rab, row->rab, "%s", row->profile);
	cr_expect_eq(id->cmic, 0, "%s", row->profile);
	cr_expect_eq(id->mdts, row->mdts, "%s", row->profile);
	cr_expect_eq(id->acl, row->acl, "%s", row->profile);
	cr_expect_eq(id->aerl, row->aerl, "%s", row->profile);
	cr_expect_eq(id->frmw, 3, "%s", row->profile);
	cr_expect_eq(id->elpe, row->elpe, "%s", row->profile);
	cr_expect_eq(id->npss, row->npss, "%s", row->profile);
	cr_expect_eq(le16_get(id->oacs), 0, "%s", row->profile);
	cr_expect_eq(le32_get(id->oaes), row->oaes, "%s", row->profile);
	cr_expect_eq(id->sqes, 0x66, "%s", row->profile);
	cr_expect_eq(id->cqes, 0x44, "%s", row->profile);
	cr_expect_eq(le32_get(id->nn), 1, "%s", row->profile);
	cr_expect_eq(le16_get(id->oncs), row->oncs, "%s", row->profile);
	cr_expect_eq(le16_get(id->fuses), 0, "%s", row->profile);
	cr_expect_eq(id->vwc & 1, row->vwc, "%s", row->profile);
	cr_expect_eq(le32_get(id->sgls), 0, "%s", row->profile);
}

static void check_config(struct bench *b, const struct identity_row *row)
{
	uint8_t config[64];

	cr_assert_eq(host_read(b->host, HOST_CONFIG, 0, config, 64), 0);
	cr_expect_eq(le_load(config, 2), 0x1d0f);
	cr_expect_eq(le_load(config + 2, 2), row->device, "%s", row->profile);
	cr_expect_eq(le_load(config + 8, 4), 0x01080200, "%s", row->profile);
	cr_expect_eq(le_load(config + 0x2c, 4), 0x00001d0f, "%s", row->profile);
	cr_expect_eq(config[0x3d], 1, "INTA");
	cr_expect_neq(host_capability(b->host, 0x10), 0, "PCI Express");
	cr_expect_neq(host_capability(b->host, 0x11), 0, "MSI-X");
	cr_expect_eq(host_capability(b->host, 0x05), 0, "no MSI");
}

static void check_row(const struct identity_row *row)
{
	const struct nvme_id_ctrl *id;
	const void *page;
	struct bench b;

	bench_enable(&b,
		     &(struct bench_options){ .profile = row->profile,
					      .volume_id = row->volume_id });
	check_config(&b, row);
	cr_assert_eq(host_nvme_identify(b.nvme, 1, 0, &page), 0);
	id = page;
	check_numbers(id, row);
	expect_text(id->sn, sizeof id->sn, row->serial, row->profile);
	expect_text(id->mn, sizeof id->mn, row->model, row->profile);
	expect_text(id->fr, sizeof id->fr, row->firmware, row->profile);
	cr_expect_str_eq(id->subnqn, row->subnqn, "%s", row->profile);
	if (row->entries)
		cr_expect_eq(bits_get(NVME_CAP_MQES, b.nvme->cap) + 1,
			     row->entries, "%s", row->profile);
	bench_stop(&b);
}

Test(function_identity, each_generation_says_what_ec2_says)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		check_row(&rows[i]);
}

/* --- The namespace -------------------------------------------------------- */

static const struct nvme_id_ns *identify_namespace(struct bench *b)
{
	const void *page;

	cr_assert_eq(host_nvme_identify(b->nvme, 0, 1, &page), 0);
	return page;
}

Test(function_identity, a_namespace_has_blocks_of_512_bytes)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct nvme_id_ns *ns;
		struct bench b;

		bench_enable(&b, &(struct bench_options){
					 .profile = rows[i].profile });
		ns = identify_namespace(&b);
		cr_expect_eq(le64_get(ns->nsze), BENCH_BLOCKS);
		cr_expect_eq(le64_get(ns->ncap), BENCH_BLOCKS);
		cr_expect_eq(ns->nlbaf, 0);
		cr_expect_eq(ns->flbas & 0xf, 0);
		cr_expect_eq(ns->lbaf[0].data_shift, 9);
		cr_expect_eq(le16_get(ns->lbaf[0].metadata_bytes), 0);
		cr_expect_eq(ns->dps, 0);
		cr_expect_eq(ns->nmic, 0);
		cr_expect_eq(ns->rescap, 0);
		bench_stop(&b);
	}
}

Test(function_identity, ebs_tells_its_optimal_sizes)
{
	const struct nvme_id_ns *ns;
	struct bench b;

	bench_enable(&b, NULL);
	ns = identify_namespace(&b);
	cr_expect_neq(ns->nsfeat & 1u << 4, 0);
	cr_expect_eq(le16_get(ns->npwg), 7);
	cr_expect_eq(le16_get(ns->nows), 7);
	cr_expect_geq(le16_get(ns->nawupf), 7, "a physical block of 4096");
	bench_stop(&b);
}

Test(function_identity, the_vendor_areas_name_device_and_volume)
{
	const struct nvme_id_ctrl *id;
	const struct nvme_id_ns *ns;
	const void *page;
	struct bench b;

	bench_enable(&b, &(struct bench_options){ .volume_id = VOLUME_ID });
	cr_assert_eq(host_nvme_identify(b.nvme, 1, 0, &page), 0);
	id = page;
	cr_expect(isprint((unsigned char)id->device_name[0]));
	cr_expect_eq(id->device_name[31], ' ');
	ns = identify_namespace(&b);
	cr_expect_arr_eq(ns->volume_id, "vol", 3);
	cr_expect_neq(ns->device_name[0], 0);
	bench_stop(&b);
}

/* 5.15.2.4: identifiers that are there are told in both places. */
Test(function_identity, descriptors_hold_the_uuid_or_the_nguid)
{
	static const struct {
		const char *profile;
		uint8_t type, length;
	} kinds[] = { { "ebs-1", 0, 0 },
		      { "ebs-2", 3, 16 },
		      { "is-1", 0, 0 },
		      { "is-2", 0, 0 },
		      { "is-3", 2, 16 } };

	for (size_t i = 0; i < 5; i++) {
		const struct nvme_ns_descriptor *d;
		const void *page;
		struct bench b;
		int rc;

		bench_enable(&b, &(struct bench_options){
					 .profile = kinds[i].profile });
		rc = host_nvme_identify(b.nvme, 3, 1, &page);
		/* Before 1.3 there was no such structure. */
		if (kinds[i].type || rc == 0) {
			d = page;
			cr_expect_eq(rc, 0, "%s", kinds[i].profile);
			cr_expect_eq(d->type, kinds[i].type, "%s",
				     kinds[i].profile);
			cr_expect_eq(d->length, kinds[i].length);
		}
		bench_stop(&b);
	}
}

Test(function_identity, the_uuid_is_a_name_made_by_sha1)
{
	const uint8_t *uuid;
	uint8_t first[16];
	const void *page;
	struct bench b;

	bench_enable(&b, &(struct bench_options){ .volume_id = VOLUME_ID });
	cr_assert_eq(host_nvme_identify(b.nvme, 3, 1, &page), 0);
	uuid = (const uint8_t *)page + 4;
	cr_expect_eq(uuid[6] >> 4, 5, "version");
	cr_expect_eq(uuid[8] >> 6, 2, "variant");
	memcpy(first, uuid, 16);
	bench_stop(&b);
	/* Another volume has another one; the same keeps its own. */
	bench_enable(&b, &(struct bench_options){
				 .volume_id = "vol-0123456789abcdef1" });
	cr_assert_eq(host_nvme_identify(b.nvme, 3, 1, &page), 0);
	cr_expect_arr_neq((const uint8_t *)page + 4, first, 16);
	bench_stop(&b);
	bench_enable(&b, &(struct bench_options){ .volume_id = VOLUME_ID });
	cr_assert_eq(host_nvme_identify(b.nvme, 3, 1, &page), 0);
	cr_expect_arr_eq((const uint8_t *)page + 4, first, 16);
	bench_stop(&b);
}

Test(function_identity, the_nguid_follows_from_the_serial_number)
{
	static const uint8_t expected[16] = { 0x12, 0x34, 0x56, 0x78,
					      0x9a, 0xbc, 0xde, 0xf0,
					      0x40, 0xb4, 0xcd, 0x00,
					      0x00, 0x00, 0x00, 0x01 };
	const struct nvme_id_ns *ns;
	struct bench b;

	bench_enable(&b, &(struct bench_options){ .profile = "is-3",
						  .volume_id = LOCAL_ID });
	ns = identify_namespace(&b);
	cr_expect_arr_eq(ns->nguid, expected, 16);
	bench_stop(&b);
}

Test(function_identity, the_list_of_namespaces_has_one)
{
	const void *page;
	const le32 *list;
	struct bench b;

	bench_enable(&b, NULL);
	cr_assert_eq(host_nvme_identify(b.nvme, 2, 0, &page), 0);
	list = page;
	cr_expect_eq(le32_get(list[0]), 1);
	for (int i = 1; i < 1024; i++)
		cr_assert_eq(le32_get(list[i]), 0);
	cr_assert_eq(host_nvme_identify(b.nvme, 2, 1, &page), 0);
	list = page;
	cr_expect_eq(le32_get(list[0]), 0, "none after the first");
	bench_stop(&b);
}

/* 6.1.2 of the data pointer: identify may straddle two pages. */
Test(function_identity, identify_may_end_in_a_second_page)
{
	struct host_nvme_data data;
	struct nvme_cmd cmd = { .opcode = NVME_ADMIN_IDENTIFY,
				.cdw10 = le32_put(1) };
	uint8_t plain[4096], bytes[4096];
	const void *page;
	struct bench b;

	bench_enable(&b, NULL);
	cr_assert_eq(host_nvme_identify(b.nvme, 1, 0, &page), 0);
	memcpy(plain, page, 4096);
	for (uint32_t offset = 4; offset < 4096; offset += 1364) {
		struct host_nvme_shape shape = { .offset = offset,
						 .is_scattered = true };

		cr_assert_eq(host_nvme_data_make(b.nvme, 4096, shape, &data),
			     0);
		cmd.prp1 = le64_put(data.prp1);
		cmd.prp2 = le64_put(data.prp2);
		cr_assert_eq(host_nvme_call(b.nvme, 0, &cmd, NULL), 0);
		host_nvme_data_get(b.nvme, &data, bytes);
		cr_expect_arr_eq(bytes, plain, 4096, "offset %u", offset);
	}
	bench_stop(&b);
}
