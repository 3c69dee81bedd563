/* SPDX-License-Identifier: BSD-3-Clause */
/* Clocks of the host and of a test. */
#include <criterion/criterion.h>
#include <time.h>

#include "firmware/rt/clock.h"

Test(rt_clock, the_host_clock_goes_on)
{
	struct rt_clock clock = { 0 };
	uint64_t before = rt_clock_now_ns(&clock);
	struct timespec pause = { .tv_nsec = 1000 };

	nanosleep(&pause, NULL);
	cr_expect_gt(rt_clock_now_ns(&clock), before);
}

Test(rt_clock, a_virtual_clock_stands_until_it_is_advanced)
{
	struct rt_clock clock = { 0 };

	rt_clock_make_virtual(&clock, 5);
	cr_expect_eq(rt_clock_now_ns(&clock), 5);
	cr_expect_eq(rt_clock_now_ns(&clock), 5);
	rt_clock_advance(&clock, RT_NS_PER_S);
	cr_expect_eq(rt_clock_now_ns(&clock), 5 + RT_NS_PER_S);
}

Test(rt_clock, the_wall_clock_agrees_with_time)
{
	uint64_t now_ms = rt_wall_clock_ms();

	cr_expect_leq(now_ms / 1000, (uint64_t)time(NULL));
	cr_expect_geq(now_ms / 1000 + 2, (uint64_t)time(NULL));
}
