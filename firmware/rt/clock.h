/* SPDX-License-Identifier: BSD-3-Clause */
/* Monotonic time in nanoseconds: the host's, or one that a test drives. */
#ifndef FIRMWARE_RT_CLOCK_H
#define FIRMWARE_RT_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define RT_NS_PER_US UINT64_C(1000)
#define RT_NS_PER_MS UINT64_C(1000000)
#define RT_NS_PER_S  UINT64_C(1000000000)

struct rt_clock {
	bool is_virtual;
	uint64_t virtual_ns; /* read and moved on one thread only */
};

/* A zeroed struct rt_clock is the host's CLOCK_MONOTONIC. */
uint64_t rt_clock_now_ns(const struct rt_clock *clock);

/* Stop following the host: time stands at start_ns until it is advanced. */
void rt_clock_make_virtual(struct rt_clock *clock, uint64_t start_ns);
void rt_clock_advance(struct rt_clock *clock, uint64_t ns);

/* Wall-clock time in milliseconds since 1970, for logs and time stamps. */
uint64_t rt_wall_clock_ms(void);

#endif
