/* SPDX-License-Identifier: BSD-3-Clause */
/* Monotonic and wall-clock time.  A clock belongs to one thread. */
#include "firmware/rt/clock.h"

#include <assert.h>
#include <time.h>

static uint64_t read_host_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * RT_NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t rt_clock_now_ns(const struct rt_clock *clock)
{
	return clock->is_virtual ? clock->virtual_ns
				 : read_host_ns(CLOCK_MONOTONIC);
}

void rt_clock_make_virtual(struct rt_clock *clock, uint64_t start_ns)
{
	clock->is_virtual = true;
	clock->virtual_ns = start_ns;
}

void rt_clock_advance(struct rt_clock *clock, uint64_t ns)
{
	assert(clock->is_virtual);
	clock->virtual_ns += ns;
}

uint64_t rt_wall_clock_ms(void)
{
	return read_host_ns(CLOCK_REALTIME) / RT_NS_PER_MS;
}
