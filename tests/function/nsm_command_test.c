/* SPDX-License-Identifier: BSD-3-Clause */
/* The module's commands, byte for byte, and its registers' lives. */
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "pcie-model/function.h"
#include "security-chip/measure.h"
#include "tests/function/nsm_bench.h"

static struct nsm_bench bench;

static void close_bench(void)
{
	nsm_stop(&bench);
}

static void open_bench(void)
{
	nsm_start(&bench, NULL);
}

TestSuite(nsm_command, .init = open_bench, .fini = close_bench);
TestSuite(nsm_own_card, .fini = close_bench);

static bool is_zero(const uint8_t *value)
{
	static const uint8_t zero[NSM_PCR_BYTES];

	return memcmp(value, zero, sizeof zero) == 0;
}

static void sha384(const void *a, size_t a_size, const void *b, size_t b_size,
		   uint8_t out[NSM_PCR_BYTES])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	cr_assert(EVP_DigestInit_ex(context, EVP_sha384(), NULL));
	cr_assert(EVP_DigestUpdate(context, a, a_size));
	cr_assert(EVP_DigestUpdate(context, b, b_size));
	cr_assert(EVP_DigestFinal_ex(context, out, NULL));
	EVP_MD_CTX_free(context);
}

Test(nsm_command, get_random_is_canonical_and_differs)
{
	/* {"GetRandom": {"random": 256 bytes, length as 0x59 0x0100}} */
	static const char head[] =
		"\xa1\x69GetRandom\xa1\x66random\x59\x01\x00";
	uint8_t first[256];

	cr_assert_eq(NSM_CALL(&bench, "\x69GetRandom"), 0);
	cr_assert(NSM_BEGINS(&bench, head));
	cr_assert_eq(bench.size, sizeof head - 1 + sizeof first);
	memcpy(first, bench.answer + sizeof head - 1, sizeof first);
	cr_assert_eq(NSM_CALL(&bench, "\x69GetRandom"), 0);
	cr_expect(memcmp(first, bench.answer + sizeof head - 1, sizeof first) !=
		  0);
}

Test(nsm_command, describe_nsm_tells_what_it_is)
{
	cr_assert_eq(NSM_CALL(&bench, "\x6b"
				      "DescribeNSM"),
		     0);
	cr_expect(NSM_BEGINS(&bench, "\xa1\x6b"
				     "DescribeNSM\xa7"
				     "\x6dversion_major\x01"
				     "\x6dversion_minor\x00"
				     "\x6dversion_patch\x00"
				     "\x69module_id\x78\x27i-"));
	cr_expect(memmem(bench.answer, bench.size,
			 "\x68max_pcrs\x18\x20\x6blocked_pcrs\x90\x00\x01",
			 25));
	cr_expect_eq(memcmp(bench.answer + bench.size - 14,
			    "\x66"
			    "digest\x66SHA384",
			    14),
		     0);
}

Test(nsm_command, pcrs_of_the_boot_are_locked_and_others_free)
{
	for (unsigned int i = 0; i < NSM_PCRS; i++) {
		cr_assert_eq(nsm_describe_pcr(&bench, i), 0);
		cr_expect_eq(nsm_pcr_lock(&bench), i < 16, "PCR %u", i);
		if (i >= 5 || i == 3)
			cr_expect(is_zero(nsm_pcr_value(&bench)), "PCR %u", i);
	}
	cr_assert_eq(nsm_describe_pcr(&bench, 4), 0);
	cr_expect(!is_zero(nsm_pcr_value(&bench)));
	cr_assert_eq(nsm_describe_pcr(&bench, 32), 0);
	cr_expect(nsm_failed(&bench, "InvalidIndex"));
}

Test(nsm_command, extend_hashes_the_old_value_and_the_data)
{
	static const uint8_t zero[NSM_PCR_BYTES];
	uint8_t expected[NSM_PCR_BYTES];

	sha384(zero, sizeof zero, "hello", 5, expected);
	cr_assert_eq(nsm_extend_pcr(&bench, 16, "hello"), 0);
	cr_assert(NSM_BEGINS(&bench, "\xa1\x69"
				     "ExtendPCR\xa1\x64"
				     "data\x58\x30"));
	cr_expect_arr_eq(bench.answer + bench.size - 48, expected, 48);
	sha384(expected, sizeof expected, "again", 5, expected);
	cr_assert_eq(nsm_extend_pcr(&bench, 16, "again"), 0);
	cr_assert_eq(nsm_describe_pcr(&bench, 16), 0);
	cr_expect_arr_eq(nsm_pcr_value(&bench), expected, 48);
}

Test(nsm_command, locked_pcrs_do_not_change)
{
	cr_assert_eq(nsm_extend_pcr(&bench, 0, "x"), 0);
	cr_expect(nsm_failed(&bench, "ReadOnlyIndex"));
	cr_assert_eq(nsm_lock_pcr(&bench, 15), 0);
	cr_expect(nsm_failed(&bench, "ReadOnlyIndex"));
	cr_assert_eq(nsm_lock_pcr(&bench, 20), 0);
	cr_expect(NSM_IS(&bench, "\x67LockPCR"));
	cr_assert_eq(nsm_lock_pcr(&bench, 20), 0);
	cr_expect(nsm_failed(&bench, "ReadOnlyIndex"));
	cr_assert_eq(nsm_extend_pcr(&bench, 20, "x"), 0);
	cr_expect(nsm_failed(&bench, "ReadOnlyIndex"));
	cr_assert_eq(nsm_lock_pcr(&bench, 32), 0);
	cr_expect(nsm_failed(&bench, "InvalidIndex"));
}

Test(nsm_command, lock_pcrs_locks_all_below_its_range)
{
	cr_assert_eq(NSM_CALL(&bench, "\xa1\x68LockPCRs\xa1\x65range\x18\x12"),
		     0);
	cr_expect(NSM_IS(&bench, "\x68LockPCRs"));
	for (unsigned int i = 16; i < 20; i++) {
		cr_assert_eq(nsm_describe_pcr(&bench, i), 0);
		cr_expect_eq(nsm_pcr_lock(&bench), i < 18, "PCR %u", i);
	}
	cr_assert_eq(NSM_CALL(&bench, "\xa1\x68LockPCRs\xa1\x65range\x18\x21"),
		     0);
	cr_expect(nsm_failed(&bench, "InvalidIndex"));
	cr_assert_eq(NSM_CALL(&bench, "\xa1\x68LockPCRs\xa1\x65range\x18\x20"),
		     0);
	cr_expect(NSM_IS(&bench, "\x68LockPCRs"));
}

Test(nsm_command, wrong_requests_are_told_what_they_are)
{
	static const struct {
		const char *request;
		size_t size;
		const char *error, *rule;
	} rows[] = {
#define ROW(bytes, error, rule) { bytes, sizeof bytes - 1, error, rule }
		ROW("\x64Nope", "InvalidOperation", "REQUEST_COMMAND"),
		ROW("\xff", "InvalidOperation", "REQUEST_SYNTAX"),
		ROW("\x69GetRando", "InvalidOperation", "REQUEST_SYNTAX"),
		ROW("\x69GetRandom\x00", "InvalidOperation", "REQUEST_SYNTAX"),
		ROW("\x81\x69GetRandom", "InvalidOperation", "REQUEST_SYNTAX"),
		/* What is inside of another argument is no argument. */
		ROW("\xa1\x6b"
		    "DescribePCR\xbf\x61x\x82\x65index\x04\xff",
		    "InvalidOperation", "REQUEST_SYNTAX"),
		ROW("\x6b"
		    "DescribePCR",
		    "InvalidArgument", "REQUEST_ARGUMENT"),
		ROW("\xa1\x6b"
		    "DescribePCR\xa1\x65index\x41\x01",
		    "InvalidArgument", "REQUEST_ARGUMENT"),
		ROW("\xa1\x6b"
		    "DescribePCR\xa1\x65index\x20",
		    "InvalidArgument", "REQUEST_ARGUMENT"),
		ROW("\xa1\x69"
		    "ExtendPCR\xa1\x65index\x10",
		    "InvalidArgument", "REQUEST_ARGUMENT"),
#undef ROW
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t before = nsm_broken(&bench, rows[i].rule);

		cr_assert_eq(nsm_call(&bench, rows[i].request, rows[i].size),
			     0);
		cr_expect(nsm_failed(&bench, rows[i].error), "row %zu", i);
		cr_expect_eq(nsm_broken(&bench, rows[i].rule), before + 1,
			     "row %zu", i);
	}
}

Test(nsm_command, arguments_come_in_any_width_and_order)
{
	cr_assert_eq(NSM_CALL(&bench, "\xa1\x6b"
				      "DescribePCR\xa1\x65index"
				      "\x19\x00\x04"),
		     0);
	cr_expect(NSM_BEGINS(&bench, "\xa1\x6b"
				     "DescribePCR\xa2\x64lock\xf5"));
	cr_assert_eq(NSM_CALL(&bench, "\xa1\x69"
				      "ExtendPCR\xa2\x64"
				      "data"
				      "\x65hello\x65index\x18\x10"),
		     0);
	cr_expect(NSM_BEGINS(&bench, "\xa1\x69"
				     "ExtendPCR\xa1\x64"
				     "data"));
	cr_assert_eq(NSM_CALL(&bench, "\xbf\x6b"
				      "DescribePCR\xbf\x65index"
				      "\x04\xff\xff"),
		     0);
	cr_expect(NSM_BEGINS(&bench, "\xa1\x6b"
				     "DescribePCR\xa2\x64lock\xf5"));
}

/* ---- attestation ---- */

Test(nsm_command, attestation_has_a_document_with_what_was_asked_for)
{
	cr_assert_eq(NSM_CALL(&bench, "\xa1\x6b"
				      "Attestation\xa3"
				      "\x69user_data\x46marker"
				      "\x65nonce\xf6\x6apublic_key\xf6"),
		     0);
	/* {"Attestation": {"document": bytes, 2 bytes of length … */
	cr_assert(NSM_BEGINS(&bench, "\xa1\x6b"
				     "Attestation\xa1"
				     "\x68"
				     "document\x59"));
	/* … of COSE_Sign1, not tagged, with ES384 */
	cr_expect_eq(
		memcmp(bench.answer + 26, "\x84\x44\xa1\x01\x38\x22\xa0", 7),
		0);
	cr_expect(memmem(bench.answer, bench.size, "\x69user_data\x46marker",
			 17));
	cr_expect(memmem(bench.answer, bench.size, "\x65nonce\xf6", 7));
}

Test(nsm_command, attestation_takes_no_arguments_at_all)
{
	cr_assert_eq(NSM_CALL(&bench, "\xa1\x6b"
				      "Attestation\xa0"),
		     0);
	cr_expect(NSM_BEGINS(&bench, "\xa1\x6b"
				     "Attestation\xa1"));
}

Test(nsm_command, fields_of_a_document_have_limits)
{
	static char request[2048] = "\xa1\x6b"
				    "Attestation\xa1"
				    "\x69user_data\x59\x04\x00";

	cr_assert_eq(nsm_call(&bench, request, 27 + 1024), 0);
	cr_expect(NSM_BEGINS(&bench, "\xa1\x6b"
				     "Attestation\xa1"));
	request[26] = 1;
	cr_assert_eq(nsm_call(&bench, request, 27 + 1025), 0);
	cr_expect(nsm_failed(&bench, "InputTooLarge"));
	cr_assert_eq(NSM_CALL(&bench, "\xa1\x6b"
				      "Attestation\xa1"
				      "\x6apublic_key\x40"),
		     0);
	cr_expect(nsm_failed(&bench, "InvalidArgument"));
}

/* The largest there is: all PCRs locked, and all fields as long as they may. */
Test(nsm_command, the_largest_document_has_room)
{
	static uint8_t request[4096];
	size_t size = 14;

	cr_assert_eq(NSM_CALL(&bench, "\xa1\x68LockPCRs\xa1\x65range\x18\x20"),
		     0);
	memcpy(request,
	       "\xa1\x6b"
	       "Attestation\xa3",
	       14);
	memcpy(request + size, "\x69user_data\x59\x04\x00", 13);
	size += 13 + 1024;
	memcpy(request + size, "\x65nonce\x59\x04\x00", 9);
	size += 9 + 1024;
	memcpy(request + size, "\x6apublic_key\x59\x04\x00", 14);
	size += 14 + 1024;
	cr_assert_eq(nsm_call(&bench, request, size), 0);
	cr_expect(NSM_BEGINS(&bench, "\xa1\x6b"
				     "Attestation\xa1"));
}

/* ---- what PCRs outlive ---- */

static void expect_marked(bool is_marked, const char *when)
{
	cr_assert_eq(nsm_describe_pcr(&bench, 17), 0);
	cr_expect_eq(!is_zero(nsm_pcr_value(&bench)), is_marked, "%s", when);
	cr_expect_eq(nsm_pcr_lock(&bench), is_marked, "%s", when);
}

static void reset_and_start_again(enum pcie_reset_reason why)
{
	pcie_function_reset(bench.fn, why, NULL, NULL);
	nsm_settle(&bench);
	cr_assert_eq(host_turn_on(bench.host), 0);
	cr_assert_eq(host_msix_enable(bench.host, bench.nsm->events, 2), 0);
	cr_assert_eq(host_nsm_reset(bench.nsm), 0);
	cr_assert_eq(host_nsm_begin(bench.nsm), 0);
}

static void mark(void)
{
	cr_assert_eq(nsm_extend_pcr(&bench, 17, "mark"), 0);
	cr_assert_eq(nsm_lock_pcr(&bench, 17), 0);
	expect_marked(true, "at first");
}

Test(nsm_command, pcrs_outlive_what_a_guest_can_reset)
{
	mark();
	cr_assert_eq(host_nsm_reset(bench.nsm), 0);
	cr_assert_eq(host_nsm_begin(bench.nsm), 0);
	expect_marked(true, "after a virtio reset");
	reset_and_start_again(PCIE_RESET_FLR);
	expect_marked(true, "after an FLR");
	reset_and_start_again(PCIE_RESET_POWER);
	expect_marked(true, "after D3hot");
	reset_and_start_again(PCIE_RESET_CONTROL);
	expect_marked(true, "after the operator's reset");
}

Test(nsm_command, pcrs_end_with_the_instance)
{
	mark();
	reset_and_start_again(PCIE_RESET_BUS);
	expect_marked(false, "after the host's reset");
	mark();
	nsm_hang_up(&bench);
	nsm_connect(&bench);
	cr_assert_eq(host_nsm_open(bench.host, NULL, &bench.nsm), 0);
	expect_marked(false, "after its client left");
}

/* ---- what is measured ---- */

Test(nsm_own_card, pcrs_are_made_of_role_instance_and_card)
{
	static const uint8_t zero[NSM_PCR_BYTES], one[NSM_PCR_BYTES] = { 1 };
	static char role[] = "arn:aws:iam::123456789012:role/Webserver";
	static char id[] = "i-0123456789abcdef0";
	struct nsm_config config = { .role_arn = role, .instance_id = id };
	uint8_t expected[NSM_PCR_BYTES];

	cr_assert_eq(sec_measure(SEC_REGISTER_FIRMWARE, "program", one), 0);
	cr_assert_eq(sec_measure(SEC_REGISTER_POLICY, "policy", one), 0);
	nsm_make_card(&bench, &config);
	nsm_connect(&bench);
	cr_assert_eq(host_nsm_open(bench.host, NULL, &bench.nsm), 0);
	sha384(zero, 48, role, strlen(role), expected);
	cr_assert_eq(nsm_describe_pcr(&bench, 3), 0);
	cr_expect_arr_eq(nsm_pcr_value(&bench), expected, 48);
	sha384(zero, 48, id, strlen(id), expected);
	cr_assert_eq(nsm_describe_pcr(&bench, 4), 0);
	cr_expect_arr_eq(nsm_pcr_value(&bench), expected, 48);
	sec_register_read(SEC_REGISTER_FIRMWARE, expected);
	cr_assert_eq(nsm_describe_pcr(&bench, 0), 0);
	cr_expect_arr_eq(nsm_pcr_value(&bench), expected, 48);
	sec_register_read(SEC_REGISTER_POLICY, expected);
	sha384(zero, 48, expected, 48, expected);
	cr_assert_eq(nsm_describe_pcr(&bench, 2), 0);
	cr_expect_arr_eq(nsm_pcr_value(&bench), expected, 48);
	cr_assert_eq(NSM_CALL(&bench, "\x6b"
				      "DescribeNSM"),
		     0);
	cr_expect(memmem(bench.answer, bench.size, "i-0123456789abcdef0-enc",
			 23));
}
