/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks that say what they are. */
#include <criterion/criterion.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "host-driver/perf/verify.h"

#define SIZE 4096u

static const struct perf_stamp stamp = {
	.seed = 1, .offset = 8192, .size = SIZE, .generation = 3
};
static uint8_t block[SIZE];
static char text[128];

static void set_up(void)
{
	perf_verify_fill(block, &stamp);
}

static bool is_right(const struct perf_stamp *expected)
{
	return perf_verify_check(block, expected, text, sizeof text);
}

TestSuite(perf_verify, .init = set_up);

Test(perf_verify, what_was_written_is_right)
{
	struct perf_stamp any = stamp;

	cr_expect(is_right(&stamp), "%s", text);
	any.generation = 0;
	cr_expect(is_right(&any), "%s", text);
}

Test(perf_verify, any_changed_bit_is_seen)
{
	for (size_t i = 0; i < SIZE * 8; i++) {
		block[i / 8] ^= (uint8_t)(1 << i % 8);
		cr_expect_not(is_right(&stamp), "bit %zu", i);
		block[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}

Test(perf_verify, other_data_is_told_by_what_it_is)
{
	const struct {
		struct perf_stamp stamp;
		const char *text;
	} rows[] = {
		{ { 2, 8192, SIZE, 3 }, "data of seed 1, not 2" },
		{ { 1, 4096, SIZE, 3 }, "data of offset 8192" },
		{ { 1, 8192, SIZE, 4 }, "generation 3, not 4" },
	};

	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		cr_expect_not(is_right(&rows[i].stamp));
		cr_expect_str_eq(text, rows[i].text);
	}
	memset(block, 0, sizeof block);
	cr_expect_not(is_right(&stamp));
	cr_expect_str_eq(text, "no data of this program: it starts with "
			       "0000000000000000");
}

Test(perf_verify, a_torn_block_is_seen)
{
	struct perf_stamp later = stamp;
	uint8_t newer[SIZE];

	later.generation = 4;
	perf_verify_fill(newer, &later);
	memcpy(block, newer, SIZE / 2);
	cr_expect_not(is_right(&later));
	cr_expect_str_eq(text, "its CRC-32C is wrong");
}
