/* SPDX-License-Identifier: BSD-3-Clause */
/* Counters and histograms. */
#include <criterion/criterion.h>

#include "firmware/rt/counter.h"

Test(rt_counter, counts)
{
	struct rt_counter counter = { 0 };

	rt_counter_add(&counter, 1);
	rt_counter_add(&counter, 41);
	cr_expect_eq(rt_counter_read(&counter), 42);
}

Test(rt_histogram, a_latency_falls_into_the_bin_that_holds_it)
{
	static const struct {
		uint64_t latency_ns;
		unsigned int bin;
	} rows[] = {
		{ 0, 0 },
		{ 999, 0 },
		{ 1000, 1 },
		{ 1999, 1 },
		{ 2000, 2 },
		{ 3999, 2 },
		{ 4000, 3 },
		{ 7999, 3 },
		{ 8000, 4 },
		{ 67108863999, 26 },
		{ 67108864000, 27 },
		{ UINT64_MAX, 27 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rt_histogram histogram = { 0 };

		rt_histogram_add(&histogram, rows[i].latency_ns);
		cr_expect_eq(rt_counter_read(&histogram.bins[rows[i].bin]), 1,
			     "row %zu", i);
	}
}

Test(rt_histogram, bins_join_without_gap_or_overlap)
{
	cr_expect_eq(rt_histogram_lower_us(0), 0);
	for (unsigned int bin = 0; bin + 1 < RT_HISTOGRAM_BINS; bin++)
		cr_expect_eq(rt_histogram_upper_us(bin),
			     rt_histogram_lower_us(bin + 1), "bin %u", bin);
	cr_expect_eq(rt_histogram_upper_us(RT_HISTOGRAM_BINS - 1), UINT64_MAX);
}
