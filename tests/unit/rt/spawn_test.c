/* SPDX-License-Identifier: BSD-3-Clause */
/* A spawner starts its one program, with what it shall have and no more. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/rt/scope.h"
#include "firmware/rt/spawn.h"

static const struct rt_program shell = { "/bin/sh", -1 };

/* What a script says to its descriptor 3, and how it ends. */
static int run(const struct rt_program *program, const char *script, char *said,
	       size_t size)
{
	char *words[] = { (char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
			  (char *)(uintptr_t)script, NULL };
	struct rt_spawn what = { .program = *program, .arguments = words };
	int ends[2], status = -1;
	ssize_t n;
	pid_t pid;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends),
		     0);
	what.errors_fd = STDERR_FILENO;
	what.socket_fd = ends[1];
	status = rt_spawn(&what, &pid);
	close(ends[1]);
	if (!status) {
		n = recv(ends[0], said, size - 1, MSG_WAITALL);
		said[n > 0 ? n : 0] = '\0';
		cr_assert_eq(waitpid(pid, &status, 0), pid);
	}
	close(ends[0]);
	return status;
}

static void nothing(void *opaque)
{
	(void)opaque;
}

static void start_spawner(void *opaque)
{
	cr_assert_eq(rt_spawner_start(opaque, nothing, NULL), 0);
}

static void check_program(void)
{
	char said[512];

	cr_expect_eq(run(&shell,
			 "for n in 0 1 2 3 4 5 6 7 8 77; do "
			 "[ -e /proc/$$/fd/$n ] && printf '%s ' $n >&3; "
			 "done; exit 3",
			 said, sizeof said),
		     3 << 8);
	cr_expect_str_eq(said, "0 1 2 3 ", "it has %s", said);
	cr_expect_eq(run(&shell,
			 "in=$(readlink /proc/$$/fd/0) out=$(readlink "
			 "/proc/$$/fd/1); echo $in $out >&3",
			 said, sizeof said),
		     0);
	cr_expect_str_eq(said, "/dev/null /dev/null\n");
	cr_expect_eq(run(&shell,
			 "while read -r name bits; do case $name in "
			 "SigBlk:|SigIgn:) echo $bits >&3; esac; "
			 "done </proc/$$/status",
			 said, sizeof said),
		     0);
	cr_expect_str_eq(said, "0000000000000000\n0000000000000000\n");
}

Test(rt_spawn, a_program_finds_its_descriptors_and_no_others)
{
	int leak = dup2(STDERR_FILENO, 77);
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal(SIGPIPE, SIG_IGN);
	check_program();
	start_spawner((void *)(uintptr_t)&shell);
	check_program();
	close(leak);
}

Test(rt_spawn, what_cannot_be_started_says_why)
{
	static const struct rt_program missing = { "/nowhere/program", -1 };
	char said[64];

	cr_expect_eq(run(&missing, "", said, sizeof said), -ENOENT);
	start_spawner((void *)(uintptr_t)&missing);
	cr_expect_eq(run(&missing, "", said, sizeof said), -ENOENT);
	/* And goes on to be asked. */
	cr_expect_eq(run(&missing, "", said, sizeof said), -ENOENT);
}

Test(rt_spawn, a_spawner_starts_its_own_program_whatever_it_is_asked_for)
{
	static const struct rt_program other = { "/bin/false", -1 };
	struct rt_program given = { "/bin/false",
				    open("/bin/false", O_RDONLY) };
	char said[64];

	start_spawner((void *)(uintptr_t)&shell);
	cr_expect_eq(run(&other, "exit 4", said, sizeof said), 4 << 8);
	cr_expect_eq(run(&given, "exit 5", said, sizeof said), 5 << 8);
	close(given.fd);
}

Test(rt_spawn, a_program_may_be_a_descriptor)
{
	struct rt_program given = { "no path",
				    open("/bin/sh", O_RDONLY | O_CLOEXEC) };
	char said[64];

	cr_expect_eq(run(&given, "exit 6", said, sizeof said), 6 << 8);
	start_spawner(&given);
	close(given.fd);
	cr_expect_eq(run(&given, "exit 7", said, sizeof said), 7 << 8);
}

Test(rt_spawn, too_many_words_are_refused)
{
	static char long_word[5000];
	char said[64];

	memset(long_word, 'x', sizeof long_word - 1);
	start_spawner((void *)(uintptr_t)&shell);
	cr_expect_eq(run(&shell, long_word, said, sizeof said), -E2BIG);
	cr_expect_eq(run(&shell, "exit 8", said, sizeof said), 8 << 8);
}
