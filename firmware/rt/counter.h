/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters and latency histograms.  One thread writes a counter, any thread
 * reads it; a reader sees each value whole, not all values of one moment.
 */
#ifndef FIRMWARE_RT_COUNTER_H
#define FIRMWARE_RT_COUNTER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct rt_counter {
	_Atomic uint64_t value;
};

static inline void rt_counter_add(struct rt_counter *counter, uint64_t n)
{
	uint64_t now =
		atomic_load_explicit(&counter->value, memory_order_relaxed);

	atomic_store_explicit(&counter->value, now + n, memory_order_relaxed);
}

static inline uint64_t rt_counter_read(const struct rt_counter *counter)
{
	return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

/* How a room names the counters in one of its structs. */
struct rt_counter_name {
	const char *name;     /* "read_ops" */
	const char *sentence; /* "Read commands completed." */
	size_t offset;        /* of the struct rt_counter in the struct */
};

/*
 * Latencies in powers of two of a microsecond: bin 0 is [0,1) us, bin n is
 * [2^(n-1), 2^n) us, and the last has no upper bound.
 */
#define RT_HISTOGRAM_BINS 28

struct rt_histogram {
	struct rt_counter bins[RT_HISTOGRAM_BINS];
};

void rt_histogram_add(struct rt_histogram *histogram, uint64_t latency_ns);
/* Bounds of a bin in microseconds; the upper one of the last is UINT64_MAX. */
uint64_t rt_histogram_lower_us(unsigned int bin);
uint64_t rt_histogram_upper_us(unsigned int bin);

#endif
