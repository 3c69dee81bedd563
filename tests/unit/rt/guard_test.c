/* SPDX-License-Identifier: BSD-3-Clause */
/* Guarded memory survives a client that cuts its file. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/rt/guard.h"
#include "tests/unit/vm_flags.h"

#define PAGE ((size_t)4096)

struct shared {
	int fd;
	volatile uint8_t *bytes;
	size_t size;
};

static struct shared share(size_t pages)
{
	struct shared s = { .size = pages * PAGE };

	cr_assert_eq(rt_guard_install(), 0);
	s.fd = memfd_create("client", MFD_CLOEXEC);
	cr_assert_geq(s.fd, 0);
	cr_assert_eq(ftruncate(s.fd, (off_t)s.size), 0);
	s.bytes =
		mmap(NULL, s.size, PROT_READ | PROT_WRITE, MAP_SHARED, s.fd, 0);
	cr_assert_neq((void *)s.bytes, MAP_FAILED);
	return s;
}

Test(rt_guard, a_whole_range_is_not_damaged)
{
	struct shared s = share(4);
	struct rt_guard *guard = rt_guard_add((void *)s.bytes, s.size);

	s.bytes[3 * PAGE] = 7;
	cr_expect_eq(s.bytes[3 * PAGE], 7);
	cr_expect_not(rt_guard_is_damaged(guard));
	rt_guard_remove(&guard);
	cr_expect_null(guard);
	rt_guard_remove(&guard);
}

Test(rt_guard, touching_a_lost_page_reads_zeros_and_marks_the_range)
{
	struct shared s = share(4);
	struct rt_guard *guard = rt_guard_add((void *)s.bytes, s.size);

	s.bytes[2 * PAGE] = 7;
	cr_assert_eq(ftruncate(s.fd, PAGE), 0);
	cr_expect_eq(s.bytes[2 * PAGE], 0);
	cr_expect(rt_guard_is_damaged(guard));
	s.bytes[3 * PAGE] = 1;
	s.bytes[0] = 2;
	cr_expect_eq(s.bytes[3 * PAGE], 1);
}

Test(rt_guard, a_write_survives_too)
{
	struct shared s = share(2);
	struct rt_guard *guard = rt_guard_add((void *)s.bytes, s.size);

	cr_assert_eq(ftruncate(s.fd, 0), 0);
	s.bytes[2 * PAGE - 1] = 9;
	cr_expect_eq(s.bytes[2 * PAGE - 1], 9);
	cr_expect(rt_guard_is_damaged(guard));
}

Test(rt_guard, what_stands_in_for_it_is_in_no_core_file_either)
{
	struct shared s = share(2);

	rt_guard_add((void *)s.bytes, s.size);
	cr_assert_eq(ftruncate(s.fd, 0), 0);
	s.bytes[PAGE] = 9;
	cr_expect(has_vm_flag(s.bytes, " dd"));
}

Test(rt_guard, only_the_range_that_lost_a_page_is_marked)
{
	struct shared one = share(2), two = share(2);
	struct rt_guard *first = rt_guard_add((void *)one.bytes, one.size);
	struct rt_guard *second = rt_guard_add((void *)two.bytes, two.size);

	cr_assert_eq(ftruncate(two.fd, 0), 0);
	cr_expect_eq(two.bytes[0], 0);
	cr_expect_not(rt_guard_is_damaged(first));
	cr_expect(rt_guard_is_damaged(second));
}

Test(rt_guard, a_place_is_used_again_and_starts_whole)
{
	struct shared s = share(1);
	struct rt_guard *guard;

	for (int i = 0; i < 3 * RT_GUARDS; i++) {
		guard = rt_guard_add((void *)s.bytes, s.size);
		cr_assert_not_null(guard);
		rt_guard_remove(&guard);
	}
	guard = rt_guard_add((void *)s.bytes, s.size);
	cr_assert_eq(ftruncate(s.fd, 0), 0);
	cr_expect_eq(s.bytes[0], 0);
	rt_guard_remove(&guard);
	guard = rt_guard_add((void *)s.bytes, s.size);
	cr_expect_not(rt_guard_is_damaged(guard));
}

Test(rt_guard, there_is_an_end_to_the_places)
{
	struct shared s = share(1);

	for (int i = 0; i < RT_GUARDS; i++)
		cr_assert_not_null(rt_guard_add((void *)s.bytes, s.size));
	cr_expect_null(rt_guard_add((void *)s.bytes, s.size));
}

Test(rt_guard, a_lost_page_elsewhere_ends_the_process, .signal = SIGBUS)
{
	struct shared s = share(2);

	rt_guard_add((void *)s.bytes, PAGE);
	cr_assert_eq(ftruncate(s.fd, 0), 0);
	s.bytes[PAGE] = 1;
}

Test(rt_guard, a_removed_guard_guards_no_more, .signal = SIGBUS)
{
	struct shared s = share(1);
	struct rt_guard *guard = rt_guard_add((void *)s.bytes, s.size);

	rt_guard_remove(&guard);
	cr_assert_eq(ftruncate(s.fd, 0), 0);
	s.bytes[0] = 1;
}

Test(rt_guard, a_signal_that_was_sent_ends_the_process, .signal = SIGBUS)
{
	struct shared s = share(1);

	rt_guard_add((void *)s.bytes, s.size);
	kill(getpid(), SIGBUS);
	for (;;)
		pause();
}
