/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capabilities, core dumps and new privileges.  Linux keeps capabilities for
 * each thread, and only a thread can give its own away: each is told to by the
 * signal that also tells of refused system calls.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "firmware/rt/sandbox.h"
#include "firmware/rt/sandbox_private.h"
#include "firmware/rt/scope.h"

#define PATIENCE_S 1

/* Handlers find it here. */
static sem_t dropped;

static int drop_here(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	const struct __user_cap_data_struct none[2] = { 0 };

	return syscall(SYS_capset, &header, none) ? -errno : 0;
}

static void signalled(int number, siginfo_t *info, void *context)
{
	int saved_errno = errno;

	(void)number;
	if (info->si_code == RT_SIGSYS_BY_FILTER) {
		rt_sandbox_call_refused(info, context);
	} else if (info->si_code == SI_TKILL && info->si_pid == getpid()) {
		drop_here();
		sem_post(&dropped);
	}
	errno = saved_errno;
}

int rt_sandbox_catch(void)
{
	struct sigaction action = { .sa_sigaction = signalled,
				    .sa_flags = SA_SIGINFO | SA_RESTART };
	sigset_t own;

	sem_init(&dropped, 0, 0);
	sigemptyset(&action.sa_mask);
	if (sigaction(SIGSYS, &action, NULL))
		return -errno;
	/* Whoever started us may have blocked it. */
	sigemptyset(&own);
	sigaddset(&own, SIGSYS);
	return sigprocmask(SIG_UNBLOCK, &own, NULL) ? -errno : 0;
}

static int wait_for_one(void)
{
	struct timespec deadline;
	int status;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += PATIENCE_S;
	do
		status = sem_clockwait(&dropped, CLOCK_MONOTONIC, &deadline);
	while (status && errno == EINTR);
	return status ? -errno : 0;
}

/*
 * A helper of the kernel for io_uring: it takes no signals, runs nothing of
 * ours, and ends when it is idle.
 */
static bool is_kernels(pid_t thread)
{
	char path[64], name[16] = "";
	ssize_t n;
	RT_FD int fd = -1;

	snprintf(path, sizeof path, "/proc/self/task/%d/comm", (int)thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, name, sizeof name - 1);
	return n > 4 && !strncmp(name, "iou-", 4);
}

static int drop_in(pid_t thread)
{
	if (thread == (pid_t)syscall(SYS_gettid))
		return drop_here();
	if (is_kernels(thread))
		return 0;
	if (syscall(SYS_tgkill, getpid(), thread, SIGSYS))
		return errno == ESRCH ? 0 : -errno; /* it has ended */
	return wait_for_one();
}

int rt_sandbox_drop_capabilities(void)
{
	DIR *threads = opendir("/proc/self/task");
	struct dirent *entry;
	int code = 0;

	if (!threads)
		return -errno;
	while (!code && (entry = readdir(threads)))
		if (entry->d_name[0] != '.')
			code = drop_in((pid_t)atoi(entry->d_name));
	closedir(threads);
	return code;
}

int rt_sandbox_keep_secrets(void)
{
	const struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
#ifndef RT_SANITIZED
	/* The leak check attaches to its own process as a debugger does. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return -errno;
#endif
	return setrlimit(RLIMIT_CORE, &none) ? -errno : 0;
}
