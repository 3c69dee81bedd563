/* SPDX-License-Identifier: BSD-3-Clause */
#include "firmware/rt/rest.h"

#include <criterion/criterion.h>

Test(rt_rest, grows_with_the_time_that_nothing_came)
{
	uint64_t before = 0;

	for (uint64_t idle = 1; idle < UINT64_C(1) << 40; idle *= 2) {
		uint64_t rest = rt_rest_ns(0, idle);

		cr_expect(rest >= before);
		cr_expect(rest >= 32768 && rest <= UINT64_C(1) << 27);
		before = rest;
	}
	cr_expect_eq(before, UINT64_C(1) << 27);
}

Test(rt_rest, ends_where_others_end)
{
	for (uint64_t now = 1; now < 1000000000; now = now * 3 + 7)
		cr_expect_eq((now + rt_rest_ns(now, 500000)) % 65536, 0);
}
