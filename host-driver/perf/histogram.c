/* SPDX-License-Identifier: BSD-3-Clause */
/* Percentiles: see histogram.h. */
#include "host-driver/perf/histogram.h"

#include <string.h>

void perf_histogram_clear(struct perf_histogram *h)
{
	memset(h, 0, sizeof *h);
	h->least = UINT64_MAX;
}

void perf_histogram_merge(struct perf_histogram *into,
			  const struct perf_histogram *h)
{
	into->count += h->count;
	into->sum += h->sum;
	into->least = h->least < into->least ? h->least : into->least;
	into->most = h->most > into->most ? h->most : into->most;
	for (unsigned int i = 0; i < PERF_HISTOGRAM_BINS; i++)
		into->bins[i] += h->bins[i];
}

/* The middle of a bin. */
static uint64_t value_of(unsigned int bin)
{
	unsigned int shift = bin >> PERF_HISTOGRAM_BITS;
	uint64_t lower;

	if (shift < 2)
		return bin;
	shift--;
	lower = (uint64_t)(bin - (shift << PERF_HISTOGRAM_BITS)) << shift;
	return lower + (UINT64_C(1) << shift) / 2;
}

uint64_t perf_histogram_at(const struct perf_histogram *h, double part)
{
	uint64_t left = (uint64_t)((double)h->count * part);
	uint64_t value;

	for (unsigned int i = 0; i < PERF_HISTOGRAM_BINS; i++) {
		if (left < h->bins[i]) {
			value = value_of(i);
			if (value < h->least)
				return h->least;
			return value > h->most ? h->most : value;
		}
		left -= h->bins[i];
	}
	return h->most;
}
