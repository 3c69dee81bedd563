/* SPDX-License-Identifier: BSD-3-Clause */
/* Latency histograms.  A histogram is written by one thread, read by any. */
#include "firmware/rt/counter.h"

#include "firmware/rt/clock.h"

/* The number of bits of the latency in microseconds is its bin. */
static unsigned int find_bin(uint64_t latency_us)
{
	unsigned int bits =
		latency_us ? 64 - (unsigned int)__builtin_clzll(latency_us) : 0;

	return bits < RT_HISTOGRAM_BINS ? bits : RT_HISTOGRAM_BINS - 1;
}

void rt_histogram_add(struct rt_histogram *histogram, uint64_t latency_ns)
{
	rt_counter_add(&histogram->bins[find_bin(latency_ns / RT_NS_PER_US)],
		       1);
}

uint64_t rt_histogram_lower_us(unsigned int bin)
{
	return bin ? UINT64_C(1) << (bin - 1) : 0;
}

uint64_t rt_histogram_upper_us(unsigned int bin)
{
	return bin + 1 < RT_HISTOGRAM_BINS ? UINT64_C(1) << bin : UINT64_MAX;
}
