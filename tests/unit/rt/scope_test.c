/* SPDX-License-Identifier: BSD-3-Clause */
/* Clean-up at the end of a scope. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>

#include "firmware/rt/scope.h"

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

Test(rt_scope, a_descriptor_is_closed_unless_it_was_taken)
{
	int closed, kept;

	{
		RT_FD int one = open("/dev/null", O_RDONLY | O_CLOEXEC);
		RT_FD int two = open("/dev/null", O_RDONLY | O_CLOEXEC);
		RT_FD int none = -1;

		(void)none;
		closed = one;
		kept = rt_take_fd(&two);
		cr_expect_eq(two, -1);
	}
	cr_expect_not(is_open(closed));
	cr_expect(is_open(kept));
	close(kept);
}

Test(rt_scope, a_container_is_found_from_its_member)
{
	struct outer {
		int before, member;
	} outer;

	cr_expect_eq(rt_container_of(&outer.member, struct outer, member),
		     &outer);
}
