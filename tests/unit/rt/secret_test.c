/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory for keys is locked, in no core file, and empty when it is given back.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/secret.h"
#include "tests/unit/vm_flags.h"

Test(rt_secret, is_zeroed_aligned_and_writable)
{
	uint8_t *secret = rt_secret_alloc(5000, NULL);

	cr_assert(secret);
	cr_expect_eq((uintptr_t)secret % 64, 0);
	for (size_t i = 0; i < 5000; i++)
		cr_assert_eq(secret[i], 0);
	memset(secret, 0x5a, 5000);
	rt_secret_free(secret);
	rt_secret_free(NULL);
}

Test(rt_secret, is_locked_and_in_no_core_file_and_not_inherited)
{
	uint8_t *secret = rt_secret_alloc(64, NULL);

	cr_assert(secret);
	cr_expect(has_vm_flag(secret, " lo"), "not locked");
	cr_expect(has_vm_flag(secret, " dd"), "would be dumped");
	cr_expect(has_vm_flag(secret, " dc"), "a child has it");
	rt_secret_free(secret);
}

Test(rt_secret, a_hidden_one_cannot_be_read_as_a_debugger_does)
{
	uint8_t *secret = rt_secret_alloc(64, NULL);
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	char byte;

	cr_assert(secret && memory >= 0);
	memset(secret, 0x5a, 64);
	if (rt_secret_is_hidden(secret))
		cr_expect_lt(pread(memory, &byte, 1, (off_t)(uintptr_t)secret),
			     0);
	close(memory);
	rt_secret_free(secret);
}

/* How a child ends that touches one byte, so far from what it was given. */
static int touch(intptr_t distance)
{
	int status = 0;
	pid_t child = fork();
	uint8_t *secret;

	if (!child) {
		signal(SIGSEGV, SIG_DFL);
		secret = rt_secret_alloc(64, NULL);
		*(volatile uint8_t *)((uintptr_t)secret + distance) = 1;
		_exit(0);
	}
	waitpid(child, &status, 0);
	return status;
}

/* Sanitizers turn the signal into an exit. */
Test(rt_secret, lies_between_pages_that_fault)
{
	cr_expect_eq(touch(0), 0);
	cr_expect_neq(touch(-65), 0);
	cr_expect_neq(touch(4096), 0);
}

Test(rt_secret, too_small_a_limit_is_told_with_its_remedy)
{
	struct rlimit none = { 0, 0 };
	struct rt_error error = { 0 };

	/* Root locks as much as it likes. */
	cr_assert_eq(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	if (!geteuid())
		cr_assert_eq(setresuid(65534, 65534, 65534), 0);
	cr_expect_null(rt_secret_alloc(64, &error));
	cr_expect_neq(error.code, 0);
	cr_expect(strstr(error.text, "cannot lock 4096 bytes"), "%s",
		  error.text);
	cr_expect(strstr(error.hint, "may lock 0 KiB"), "%s", error.hint);
}

Test(rt_secret, sizes_that_no_memory_has_are_refused)
{
	cr_expect_null(rt_secret_alloc(SIZE_MAX, NULL));
	cr_expect_null(rt_secret_alloc(SIZE_MAX - 8192, NULL));
}

Test(rt_secret, erasing_is_not_left_out)
{
	uint8_t bytes[64];

	memset(bytes, 0x5a, sizeof bytes);
	rt_erase(bytes, sizeof bytes);
	for (size_t i = 0; i < sizeof bytes; i++)
		cr_expect_eq(bytes[i], 0);
}
