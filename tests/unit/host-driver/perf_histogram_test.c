/* SPDX-License-Identifier: BSD-3-Clause */
/* Percentiles of nitro-perf. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "host-driver/perf/histogram.h"

static struct perf_histogram h;

static void set_up(void)
{
	perf_histogram_clear(&h);
}

TestSuite(perf_histogram, .init = set_up);

Test(perf_histogram, a_value_is_kept_to_a_hundredth)
{
	for (unsigned int bit = 0; bit < 63; bit++) {
		for (unsigned int step = 0; step < 100; step++) {
			uint64_t base = UINT64_C(1) << bit;
			uint64_t value =
				base + (uint64_t)((double)base * step / 100);
			uint64_t got, off;

			perf_histogram_clear(&h);
			perf_histogram_add(&h, 0);
			perf_histogram_add(&h, value);
			perf_histogram_add(&h, UINT64_MAX);
			got = perf_histogram_at(&h, 0.5);
			off = got > value ? got - value : value - got;
			cr_assert_leq(off, value / 100, "%lu is %lu", value,
				      got);
		}
	}
}

Test(perf_histogram, percentiles_are_ranks)
{
	for (uint64_t i = 0; i < 60; i++)
		perf_histogram_add(&h, i);
	cr_expect_eq(perf_histogram_at(&h, 0), 0);
	cr_expect_eq(perf_histogram_at(&h, 0.5), 30);
	cr_expect_eq(perf_histogram_at(&h, 0.9), 54);
	cr_expect_eq(perf_histogram_at(&h, 1), 59);
	cr_expect_eq(h.sum, 60 * 59 / 2);
}

Test(perf_histogram, no_percentile_is_outside_what_was_seen)
{
	perf_histogram_add(&h, 1000001);
	cr_expect_eq(perf_histogram_at(&h, 0.5), 1000001);
	perf_histogram_add(&h, UINT64_MAX);
	cr_expect_eq(perf_histogram_at(&h, 1), UINT64_MAX);
}

Test(perf_histogram, nothing_has_no_percentiles)
{
	cr_expect_eq(perf_histogram_at(&h, 0.5), 0);
}

Test(perf_histogram, merging_is_adding)
{
	struct perf_histogram *other = malloc(sizeof *other);

	perf_histogram_clear(other);
	perf_histogram_add(other, 5);
	perf_histogram_add(other, 50);
	perf_histogram_add(&h, 7);
	perf_histogram_merge(&h, other);
	cr_expect_eq(h.count, 3);
	cr_expect_eq(h.sum, 62);
	cr_expect_eq(h.least, 5);
	cr_expect_eq(h.most, 50);
	cr_expect_eq(perf_histogram_at(&h, 0.4), 7);
	free(other);
}
