/* SPDX-License-Identifier: BSD-3-Clause */
/* Text that grows in a buffer. */
#include <criterion/criterion.h>

#include "firmware/rt/text.h"

Test(rt_text, what_is_put_comes_after_what_was_there)
{
	char bytes[16];
	struct rt_text text = { bytes, sizeof bytes, 0 };

	rt_text_put(&text, "%s", "one");
	rt_text_put(&text, " and %d", 2);
	cr_expect_str_eq(bytes, "one and 2");
	cr_expect_eq(text.length, 9);
}

Test(rt_text, what_does_not_fit_is_cut_off_and_counted)
{
	char bytes[8] = "1234567";
	struct rt_text text = { bytes, 4, 0 };

	rt_text_put(&text, "ab");
	rt_text_put(&text, "cdef");
	rt_text_put(&text, "gh");
	cr_expect_str_eq(bytes, "abc");
	cr_expect_str_eq(bytes + 4, "567", "nothing behind the end is touched");
	cr_expect_eq(text.length, 8);
}

Test(rt_text, without_a_buffer_it_is_measured)
{
	struct rt_text text = { NULL, 0, 0 };

	rt_text_put(&text, "%04x", 1u);
	cr_expect_eq(text.length, 4);
}
