/* SPDX-License-Identifier: BSD-3-Clause */
#include "firmware/rt/rest.h"

#define MIN_NS (UINT64_C(1) << 15) /* 33 us */
#define NAP_NS (UINT64_C(1) << 23) /* 8.4 ms */
#define MAX_NS (UINT64_C(1) << 27) /* 134 ms */

static uint64_t floor_power_of_two(uint64_t value)
{
	return UINT64_C(1) << (63 - __builtin_clzll(value));
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
	if (value < least)
		return least;
	return value < most ? value : most;
}

uint64_t rt_rest_ns(uint64_t now_ns, uint64_t idle_ns)
{
	uint64_t nap = clamp(idle_ns / 4, MIN_NS, NAP_NS);
	uint64_t rest = floor_power_of_two(clamp(idle_ns / 128, nap, MAX_NS));

	return rest - now_ns % rest;
}
