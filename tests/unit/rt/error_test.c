/* SPDX-License-Identifier: BSD-3-Clause */
/* Errors as users read them. */
#include <criterion/criterion.h>
#include <errno.h>

#include "firmware/rt/error.h"

Test(rt_error, setting_returns_the_code_and_starts_anew)
{
	struct rt_error error = { .place = "old", .hint = "old" };

	cr_expect_eq(rt_error_set(&error, -ENOENT, "no %s", "file"), -ENOENT);
	cr_expect_eq(error.code, -ENOENT);
	cr_expect_str_eq(error.text, "no file");
	cr_expect_str_eq(error.place, "");
	cr_expect_str_eq(error.hint, "");
}

Test(rt_error, place_and_hint_are_added)
{
	struct rt_error error = { 0 };

	rt_error_set(&error, -EINVAL, "bad");
	rt_error_place(&error, "%s:%d", "card.yaml", 8);
	rt_error_hint(&error, "write %u", 3u);
	cr_expect_str_eq(error.text, "bad");
	cr_expect_str_eq(error.place, "card.yaml:8");
	cr_expect_str_eq(error.hint, "write 3");
}

Test(rt_error, nobody_needs_to_listen)
{
	cr_expect_eq(rt_error_set(NULL, -EIO, "x"), -EIO);
	rt_error_place(NULL, "x");
	rt_error_hint(NULL, "x");
}

Test(rt_error, what_is_too_long_is_cut)
{
	struct rt_error error = { 0 };

	rt_error_set(&error, -EIO, "%2000d", 1);
	cr_expect_eq(strlen(error.text), sizeof error.text - 1);
}

Test(rt_error, errors_have_names)
{
	cr_expect_str_eq(rt_errno_name(-EINVAL), "EINVAL");
	cr_expect_str_eq(rt_errno_name(ENOSPC), "ENOSPC");
	cr_expect_str_eq(rt_errno_name(-99999), "unknown error");
}
