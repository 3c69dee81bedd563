/* SPDX-License-Identifier: BSD-3-Clause */
/* The time-stamp counter, and what its ticks are worth. */
#include "host-driver/perf/clock.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

bool perf_clock_has_counter;

void perf_clock_init(void)
{
#ifdef __x86_64__
	unsigned int a, b, c, d;

	/* "Invariant TSC": the same rate in all states of all processors. */
	if (__get_cpuid(0x80000007, &a, &b, &c, &d))
		perf_clock_has_counter = d & 1u << 8;
#endif
}

struct perf_moment perf_clock_now(void)
{
	static const struct rt_clock host;
	struct perf_moment now, best = { 0 };
	uint64_t shortest = UINT64_MAX, before;

	/* The reading that nothing came into the middle of. */
	for (int i = 0; i < 5; i++) {
		before = perf_ticks();
		now.ns = rt_clock_now_ns(&host);
		now.ticks = perf_ticks();
		if (now.ticks - before >= shortest)
			continue;
		shortest = now.ticks - before;
		best = now;
	}
	return best;
}

double perf_clock_scale(const struct perf_moment *since)
{
	struct perf_moment now = perf_clock_now();

	if (now.ticks <= since->ticks)
		return 1;
	return (double)(now.ns - since->ns) /
	       (double)(now.ticks - since->ticks);
}
