/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Time that costs little to read: ticks of the processor's time-stamp counter
 * where it runs evenly, else nanoseconds.  What a tick is shows afterwards,
 * from two moments that were read in both.
 */
#ifndef HOST_DRIVER_PERF_CLOCK_H
#define HOST_DRIVER_PERF_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "firmware/rt/clock.h"

/* Once, before the first perf_ticks(). */
void perf_clock_init(void);

extern bool perf_clock_has_counter;

static inline uint64_t perf_ticks(void)
{
	static const struct rt_clock host;

#ifdef __x86_64__
	if (perf_clock_has_counter)
		return __builtin_ia32_rdtsc();
#endif
	return rt_clock_now_ns(&host);
}

struct perf_moment {
	uint64_t ticks, ns;
};

struct perf_moment perf_clock_now(void);

/* Nanoseconds in a tick, seen from a moment some time ago. */
double perf_clock_scale(const struct perf_moment *since);

#endif
