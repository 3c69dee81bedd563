/* SPDX-License-Identifier: BSD-3-Clause */
/* The attester over time: renewal, the tester's clock, faults that change. */
#include "security-chip/attest/attest.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "firmware/rt/clock.h"
#include "firmware/rt/error.h"
#include "security-chip/chip.h"
#include "security-chip/verify/nitro-attest.h"
#include "tests/unit/security-chip/rig.h"

#define HOUR INT64_C(3600)
#define DAY  (24 * HOUR)

enum { ROOT, REGIONAL, ZONAL, INSTANCE, LEAF, LEVELS };

static struct rig rig;
static struct rt_error error;
static struct sec_attester *attester;
static struct sec_pcrs pcrs = { .locked = 0xffff };

/* A document, and its certificates where they can be compared later. */
struct made {
	uint8_t bytes[SEC_DOCUMENT_BYTES];
	size_t size;
	struct nitro_attest_document said;
	struct nitro_attest_bytes level[LEVELS];
};

static struct made first, second;

static void set_up(void)
{
	rig_create(&rig);
	cr_assert_eq(sec_chip_open(rig.dir, &error), 0, "%s", error.text);
	cr_assert_eq(sec_attester_create(&(struct sec_attester_config){ 0 },
					 &attester, &error),
		     0, "%s", error.text);
}

static void tear_down(void)
{
	sec_attester_destroy(&attester);
	sec_chip_close();
	rig_destroy(&rig);
}

TestSuite(sec_attest, .init = set_up, .fini = tear_down);

static void make(struct made *made)
{
	const struct sec_attest_request nothing = { 0 };

	cr_assert_eq(sec_attest(attester, &nothing, &pcrs, made->bytes,
				sizeof made->bytes, &made->size),
		     0);
	cr_assert_eq(nitro_attest_read(made->bytes, made->size, &made->said,
				       NULL, 0),
		     NITRO_ATTEST_GOOD);
	for (size_t i = 0; i < made->said.cabundle_count; i++)
		made->level[i] = made->said.cabundle[i];
	made->level[LEAF] = made->said.certificate;
}

static enum nitro_attest_result judge(const struct made *made, int64_t offset_s)
{
	const struct nitro_attest_expectation wanted = {
		.root = first.level[ROOT],
		.time_s = (int64_t)(rt_wall_clock_ms() / 1000) + offset_s,
	};

	return nitro_attest_verify(made->bytes, made->size, &wanted, NULL,
				   NULL);
}

/* Which levels are other ones: bit n is level n. */
static unsigned int changed(void)
{
	unsigned int bits = 0;

	for (unsigned int i = 0; i < LEVELS; i++)
		if (first.level[i].size != second.level[i].size ||
		    memcmp(first.level[i].data, second.level[i].data,
			   first.level[i].size) != 0)
			bits |= 1u << i;
	return bits;
}

Test(sec_attest, certificates_are_renewed_before_they_end)
{
	static const struct {
		int64_t offset_s;
		unsigned int changed;
	} rows[] = {
		{ 0, 0 },
		{ 2 * HOUR, 0 },
		{ 3 * HOUR - 200, 1u << LEAF },
		{ 20 * HOUR, 1u << LEAF },
		{ 21 * HOUR, 1u << LEAF | 1u << INSTANCE },
		{ 5 * DAY + HOUR, 1u << LEAF | 1u << INSTANCE | 1u << ZONAL },
		{ 14 * DAY + HOUR, 0x1e },
		{ 3650 * DAY, 0x1e },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		sec_attester_destroy(&attester);
		cr_assert_eq(
			sec_attester_create(&(struct sec_attester_config){ 0 },
					    &attester, &error),
			0);
		make(&first);
		sec_attester_set_clock(attester, rows[i].offset_s);
		make(&second);
		cr_expect_eq(changed(), rows[i].changed, "row %zu: %#x", i,
			     changed());
		cr_expect_eq(judge(&second, rows[i].offset_s),
			     NITRO_ATTEST_GOOD, "row %zu", i);
	}
}

Test(sec_attest, no_document_is_ever_of_a_certificate_that_has_ended)
{
	make(&first);
	for (int64_t at = 0; at < 22 * DAY; at += 97 * 60) {
		sec_attester_set_clock(attester, at);
		make(&second);
		cr_assert_eq(judge(&second, at), NITRO_ATTEST_GOOD, "%jd",
			     (intmax_t)at);
		/* Nor one that ends within the next minutes. */
		cr_assert_eq(judge(&second, at + 240), NITRO_ATTEST_GOOD, "%jd",
			     (intmax_t)at);
	}
}

Test(sec_attest, a_clock_that_is_turned_back_is_followed)
{
	make(&first);
	sec_attester_set_clock(attester, -100 * DAY);
	make(&second);
	cr_expect_eq(changed(), 0x1e);
	cr_expect_eq(judge(&second, -100 * DAY), NITRO_ATTEST_GOOD);
	cr_expect_eq(judge(&second, 0), NITRO_ATTEST_EXPIRED);
}

Test(sec_attest, a_clock_that_is_turned_too_far_is_not_followed)
{
	const struct sec_attester_config far = {
		.clock_offset_s = SEC_ATTEST_OFFSET_S + 1,
	};
	struct sec_attester *none = NULL;

	make(&first);
	sec_attester_set_clock(attester, INT64_MIN);
	sec_attester_set_clock(attester, INT64_MAX);
	make(&second);
	cr_expect_eq(changed(), 0);
	cr_expect_eq(sec_attester_create(&far, &none, &error), -ERANGE);
	cr_expect_null(none);
}

Test(sec_attest, faults_come_and_go_with_each_document)
{
	static const struct {
		unsigned int faults;
		enum nitro_attest_result result;
	} rows[] = {
		{ SEC_ATTEST_EXPIRED_LEAF, NITRO_ATTEST_EXPIRED },
		{ SEC_ATTEST_NOT_YET_VALID, NITRO_ATTEST_NOT_YET_VALID },
		{ SEC_ATTEST_PATH_LENGTH, NITRO_ATTEST_PATH_LENGTH },
		{ SEC_ATTEST_FOREIGN_ROOT, NITRO_ATTEST_ROOT },
		{ SEC_ATTEST_LEAF_KEY, NITRO_ATTEST_SIGNATURE_KEY },
		{ SEC_ATTEST_ALTERED_PAYLOAD, NITRO_ATTEST_SIGNATURE },
		{ SEC_ATTEST_EXPIRED_LEAF | SEC_ATTEST_PATH_LENGTH,
		  NITRO_ATTEST_PATH_LENGTH },
	};

	make(&first);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		sec_attester_set_faults(attester, rows[i].faults);
		make(&second);
		cr_expect_eq(judge(&second, 0), rows[i].result, "row %zu", i);
		sec_attester_set_faults(attester, 0);
		make(&second);
		cr_expect_eq(judge(&second, 0), NITRO_ATTEST_GOOD, "row %zu",
			     i);
		cr_expect_eq(changed() & 1, 0, "row %zu", i);
	}
}

Test(sec_attest, a_document_has_all_its_room_or_is_refused)
{
	const struct sec_attest_request nothing = { 0 };
	uint8_t *exact;
	size_t size;

	make(&first);
	/* The timestamp has the same size for some centuries. */
	for (size_t room = 0; room < first.size; room += 1 + room / 64) {
		exact = malloc(room ? room : 1);
		cr_assert_eq(sec_attest(attester, &nothing, &pcrs, exact, room,
					&size),
			     -EMSGSIZE, "%zu bytes", room);
		free(exact);
	}
	exact = malloc(first.size);
	cr_expect_eq(
		sec_attest(attester, &nothing, &pcrs, exact, first.size, &size),
		0);
	cr_expect_eq(size, first.size);
	free(exact);
}

Test(sec_attest, the_largest_document_fits)
{
	static uint8_t field[SEC_NONCE_BYTES];
	const struct sec_attest_request largest = {
		field, field, field, sizeof field, sizeof field, sizeof field
	};
	struct sec_pcrs all = { .locked = UINT32_MAX };

	cr_expect_eq(sec_attest(attester, &largest, &all, first.bytes,
				sizeof first.bytes, &first.size),
		     0);
	cr_expect_eq(nitro_attest_read(first.bytes, first.size, &first.said,
				       NULL, 0),
		     NITRO_ATTEST_GOOD);
}

Test(sec_attest, what_a_document_may_not_have_is_refused)
{
	static uint8_t field[SEC_NONCE_BYTES + 1];
	const struct sec_attest_request nothing = { 0 };
	struct sec_attest_request long_nonce = { .nonce = field,
						 .nonce_size = sizeof field };
	struct sec_pcrs none = { 0 };

	cr_expect_eq(sec_attest(attester, &long_nonce, &pcrs, first.bytes,
				sizeof first.bytes, &first.size),
		     -E2BIG);
	cr_expect_eq(sec_attest(attester, &nothing, &none, first.bytes,
				sizeof first.bytes, &first.size),
		     -EINVAL);
}

Test(sec_attest, names_that_no_certificate_can_have_are_refused)
{
	static const struct sec_attester_config rows[] = {
		{ .region = "" },
		{ .region = "a-region-of-some-length" },
		{ .region = "US" },
		{ .region = "a,b" },
		{ .module_id = "" },
		{ .module_id =
			  "i-0123456789abcdef0-enc0123456789abcdef012345" },
		{ .module_id = "i-0,CN=aws" },
		{ .module_id = "i\n" },
	};
	struct sec_attester *none = NULL;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cr_expect_eq(sec_attester_create(&rows[i], &none, &error),
			     -EINVAL, "row %zu", i);
		cr_expect_null(none, "row %zu", i);
	}
}

Test(sec_attest, the_longest_names_of_real_ones_fit)
{
	const struct sec_attester_config wanted = {
		.module_id = "i-0123456789abcdef0-enc0123456789abcdef",
		.region = "ap-southeast-1",
	};

	sec_attester_destroy(&attester);
	cr_assert_eq(sec_attester_create(&wanted, &attester, &error), 0, "%s",
		     error.text);
	cr_expect_str_eq(sec_attester_module_id(attester), wanted.module_id);
	make(&first);
	cr_expect_eq(judge(&first, 0), NITRO_ATTEST_GOOD);
}

Test(sec_attest, without_a_chip_there_is_no_attester)
{
	const struct sec_attester_config named = { .module_id = "i-0" };
	struct sec_attester *none = NULL;
	char *pem = NULL;

	sec_chip_close();
	cr_expect_lt(sec_attester_create(&(struct sec_attester_config){ 0 },
					 &none, &error),
		     0);
	cr_expect_lt(sec_attester_create(&named, &none, &error), 0);
	cr_expect(strstr(error.text, "no security chip is open"));
	cr_expect_lt(sec_attest_root_pem(&pem, &error), 0);
	cr_expect_null(none);
	cr_expect_null(pem);
}

Test(sec_attest, a_root_file_that_is_not_ours_is_made_anew)
{
	static const char *const wrong[] = { "", "nonsense", "\x30\x82\x10" };
	struct sec_attester *again = NULL;

	for (size_t i = 0; i < 3; i++) {
		rig_write(&rig, "security-chip/attestation-root.der", wrong[i],
			  strlen(wrong[i]));
		cr_expect_eq(
			sec_attester_create(&(struct sec_attester_config){ 0 },
					    &again, &error),
			0, "%s", error.text);
		sec_attester_destroy(&again);
	}
}
