/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A histogram of times with a relative error below 1 %: 64 bins for each power
 * of two.
 */
#ifndef HOST_DRIVER_PERF_HISTOGRAM_H
#define HOST_DRIVER_PERF_HISTOGRAM_H

#include <stdint.h>

#define PERF_HISTOGRAM_BITS 6u
#define PERF_HISTOGRAM_BINS ((65u - PERF_HISTOGRAM_BITS) << PERF_HISTOGRAM_BITS)

struct perf_histogram {
	uint64_t count, sum, least, most;
	uint64_t bins[PERF_HISTOGRAM_BINS];
};

static inline unsigned int perf_histogram_bin(uint64_t value)
{
	unsigned int shift;

	if (value < 1u << PERF_HISTOGRAM_BITS)
		return (unsigned int)value;
	shift = 63u - PERF_HISTOGRAM_BITS -
		(unsigned int)__builtin_clzll(value);
	return (shift << PERF_HISTOGRAM_BITS) + (unsigned int)(value >> shift);
}

static inline void perf_histogram_add(struct perf_histogram *h, uint64_t value)
{
	h->count++;
	h->sum += value;
	h->least = value < h->least ? value : h->least;
	h->most = value > h->most ? value : h->most;
	h->bins[perf_histogram_bin(value)]++;
}

void perf_histogram_clear(struct perf_histogram *h);
void perf_histogram_merge(struct perf_histogram *into,
			  const struct perf_histogram *h);

/* The value below which a part of all (0 to 1) lies; 0 if there is none. */
uint64_t perf_histogram_at(const struct perf_histogram *h, double part);

#endif
