/* SPDX-License-Identifier: BSD-3-Clause */
#include "ebs-nvme/prp.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "tests/unit/ebs-nvme/rig.h"

#define PAGE UINT64_C(4096)
#define LIST (RIG_DATA + 0x10000)
#define DATA (RIG_DATA + 0x20000)

static enum ebs_prp_error result;
static unsigned int calls;
static struct ebs_prp prp;

static void walked(struct ebs_prp *p, enum ebs_prp_error error)
{
	cr_assert_eq(p, &prp);
	result = error;
	calls++;
}

static enum ebs_prp_error walk(uint64_t prp1, uint64_t prp2, uint64_t bytes)
{
	calls = 0;
	ebs_prp_walk(&prp, rig.fn, prp1, prp2, bytes, walked);
	rig_turn();
	cr_expect_eq(calls, 1);
	return result;
}

static void put(uint64_t iova, uint64_t entry)
{
	le_store(rig_at(iova), 8, entry);
}

static void start(void)
{
	rig_start(EBS_PROFILE_EBS_2);
}

TestSuite(ebs_prp, .init = start, .fini = rig_stop);

static const struct {
	const char *name;
	uint64_t prp1, prp2, bytes;
	enum ebs_prp_error error;
} alignments[] = {
	{ "dword offset", DATA + 4, 0, 512, EBS_PRP_OK },
	{ "odd offset", DATA + 2, 0, 512, EBS_PRP_OFFSET1 },
	{ "second page", DATA, DATA + PAGE, 2 * PAGE, EBS_PRP_OK },
	{ "second page with an offset", DATA, DATA + 4, 2 * PAGE,
	  EBS_PRP_OFFSET2 },
	{ "second page is not looked at", DATA, 0xfff, PAGE, EBS_PRP_OK },
	{ "list at an odd place", DATA, LIST + 4, 3 * PAGE, EBS_PRP_OFFSET2 },
	{ "list out of reach", DATA, 0x70000000, 3 * PAGE, EBS_PRP_MEMORY },
	{ "list at the end of everything", DATA, UINT64_MAX - 7, 3 * PAGE,
	  EBS_PRP_MEMORY },
};

Test(ebs_prp, pointers_are_aligned_as_their_place_demands)
{
	for (size_t i = 0; i < RT_COUNT(alignments); i++)
		cr_expect_eq(walk(alignments[i].prp1, alignments[i].prp2,
				  alignments[i].bytes),
			     alignments[i].error, "row %s", alignments[i].name);
}

Test(ebs_prp, two_pages_with_an_offset_need_no_list)
{
	cr_assert_eq(walk(DATA + 0x200, DATA + 8 * PAGE, PAGE), EBS_PRP_OK);
	cr_assert_eq(prp.range_count, 2);
	cr_expect_eq(prp.ranges[0].iova, DATA + 0x200);
	cr_expect_eq(prp.ranges[0].size, PAGE - 0x200);
	cr_expect_eq(prp.ranges[1].iova, DATA + 8 * PAGE);
	cr_expect_eq(prp.ranges[1].size, 0x200);
}

Test(ebs_prp, the_largest_transfer_with_an_offset_has_65_ranges)
{
	uint64_t total = 0;

	for (uint64_t i = 0; i < 64; i++)
		put(LIST + 8 * i, DATA + (2 * i + 2) * PAGE);
	cr_assert_eq(walk(DATA + 4, LIST, 64 * PAGE), EBS_PRP_OK);
	cr_assert_eq(prp.range_count, 65);
	for (unsigned int i = 0; i < 65; i++)
		total += prp.ranges[i].size;
	cr_expect_eq(total, 64 * PAGE);
	cr_expect_eq(prp.ranges[64].size, 4);
}

Test(ebs_prp, a_list_may_begin_in_the_middle_of_its_page)
{
	for (uint64_t i = 0; i < 3; i++)
		put(LIST + 0x800 + 8 * i, DATA + (2 * i + 2) * PAGE);
	cr_assert_eq(walk(DATA, LIST + 0x800, 4 * PAGE), EBS_PRP_OK);
	cr_assert_eq(prp.range_count, 4);
	cr_expect_eq(prp.ranges[3].iova, DATA + 6 * PAGE);
}

Test(ebs_prp, the_last_entry_of_a_full_page_is_data_when_no_more_is_needed)
{
	put(LIST + PAGE - 16, DATA + 2 * PAGE);
	put(LIST + PAGE - 8, DATA + 4 * PAGE);
	cr_assert_eq(walk(DATA, LIST + PAGE - 16, 3 * PAGE), EBS_PRP_OK);
	cr_assert_eq(prp.range_count, 3);
	cr_expect_eq(prp.ranges[2].iova, DATA + 4 * PAGE);
}

Test(ebs_prp, the_last_entry_of_a_full_page_leads_to_the_next_list)
{
	put(LIST + PAGE - 16, DATA + 2 * PAGE);
	put(LIST + PAGE - 8, LIST + PAGE);
	put(LIST + PAGE, DATA + 4 * PAGE);
	put(LIST + PAGE + 8, DATA + 6 * PAGE);
	cr_assert_eq(walk(DATA, LIST + PAGE - 16, 4 * PAGE), EBS_PRP_OK);
	cr_assert_eq(prp.range_count, 4);
	cr_expect_eq(prp.ranges[2].iova, DATA + 4 * PAGE);
	cr_expect_eq(prp.ranges[3].iova, DATA + 6 * PAGE);
}

Test(ebs_prp, pages_that_touch_are_one_range)
{
	put(LIST, DATA + PAGE);
	put(LIST + 8, DATA + 2 * PAGE);
	put(LIST + 16, DATA);
	cr_assert_eq(walk(DATA + 0x800, LIST, 0x800 + 3 * PAGE), EBS_PRP_OK);
	cr_assert_eq(prp.range_count, 2);
	cr_expect_eq(prp.ranges[0].iova, DATA + 0x800);
	cr_expect_eq(prp.ranges[0].size, 0x800 + 2 * PAGE);
	cr_expect_eq(prp.ranges[1].iova, DATA);
}

Test(ebs_prp, the_end_of_memory_does_not_touch_its_beginning)
{
	cr_assert_eq(walk(UINT64_MAX - 4095, 0, 2 * PAGE), EBS_PRP_OK);
	cr_assert_eq(prp.range_count, 2);
}

Test(ebs_prp, entries_of_a_list_have_no_offset)
{
	put(LIST, DATA + PAGE);
	put(LIST + 8, DATA + 2 * PAGE + 8);
	cr_expect_eq(walk(DATA, LIST, 3 * PAGE), EBS_PRP_OFFSET_LIST);
	put(LIST + PAGE - 8, LIST + PAGE + 8);
	cr_expect_eq(walk(DATA, LIST + PAGE - 8, 3 * PAGE),
		     EBS_PRP_OFFSET_LIST);
}

Test(ebs_prp, a_list_that_leads_to_itself_ends)
{
	for (uint64_t i = 0; i < 512; i++)
		put(LIST + 8 * i, LIST);
	cr_expect_eq(walk(DATA, LIST + PAGE - 8, 64 * PAGE), EBS_PRP_OK);
	cr_expect_eq(prp.range_count, 64);
}
