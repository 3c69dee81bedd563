/* SPDX-License-Identifier: BSD-3-Clause */
#include "firmware/rt/listen.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/loop.h"

static char folder[] = "/tmp/rt_listen_XXXXXX";
static char path[64];

static void start(void)
{
	cr_assert(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/fn", folder);
}

static void stop(void)
{
	unlink(path);
	rmdir(folder);
}

TestSuite(rt_listen, .init = start, .fini = stop);

Test(rt_listen, is_for_its_owner_only)
{
	struct rt_error error;
	struct stat st;
	int fd;

	cr_assert_eq(rt_listen_unix(path, &fd, &error), 0);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode, S_IFSOCK | 0600);
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

Test(rt_listen, replaces_a_dead_one_but_not_a_living_one)
{
	struct rt_error error;
	int first, second;

	cr_assert_eq(rt_listen_unix(path, &first, &error), 0);
	cr_expect_eq(rt_listen_unix(path, &second, &error), -EADDRINUSE);
	cr_expect(strstr(error.text, path));
	close(first);
	cr_expect_eq(rt_listen_unix(path, &second, &error), 0);
	close(second);
}

Test(rt_listen, leaves_other_files_alone)
{
	struct rt_error error;
	struct stat st;
	int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0644);

	cr_expect_eq(rt_listen_unix(path, &fd, &error), -EEXIST);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect(S_ISREG(st.st_mode));
	close(fd);
}

Test(rt_listen, says_what_is_wrong_with_a_path)
{
	struct rt_error error;
	char longest[200];
	int fd;

	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	cr_expect_eq(rt_listen_unix(longest, &fd, &error), -ENAMETOOLONG);
	cr_expect_eq(rt_listen_unix("/nowhere/at/all", &fd, &error), -ENOENT);
}

static void ignore(struct rt_watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
}

/* Listens as a card does, says so, and waits for its end. */
static void serve(int ready)
{
	struct rt_watch watch = { .ready = ignore };
	struct rt_loop *loop;
	int fd;

	if (rt_listen_unix(path, &fd, NULL) || rt_loop_create(NULL, &loop) ||
	    rt_watch_start(loop, &watch, fd, POLLIN))
		_exit(1);
	rt_loop_step(loop, 0);
	if (write(ready, "", 1) == 1)
		rt_loop_run(loop);
	_exit(1);
}

/* Its ring holds the socket a little longer than the process lives. */
Test(rt_listen, replaces_one_that_was_killed_this_moment)
{
	struct rt_error error = { 0 };
	int ready[2], fd;
	char byte;
	pid_t child;

	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	child = fork();
	if (!child)
		serve(ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	kill(child, SIGKILL);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	cr_expect_eq(rt_listen_unix(path, &fd, &error), 0, "%s", error.text);
	close(fd);
}
