/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Children and signals.  All signals of interest are blocked and waited for, so
 * nothing here runs inside a handler.
 */
#include "firmware/ctl/child.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "firmware/ctl/ctl.h"

void ctl_find_program(const char *name, char *path, size_t size)
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	self[length > 0 ? length : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	snprintf(path, size, "%s/%s", self, name);
	if (!slash || access(path, X_OK))
		snprintf(path, size, "%s", name);
}

static void list_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

void ctl_take_signals(void)
{
	sigset_t set;

	list_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

int ctl_wait_signal(unsigned int timeout_ms)
{
	const struct timespec timeout = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = (long)(timeout_ms % 1000) * 1000000,
	};
	sigset_t set;
	int number;

	list_signals(&set);
	number = sigtimedwait(&set, NULL, &timeout);
	return number < 0 ? 0 : number;
}

static void become(char *const *words, int output, bool is_background,
		   pid_t parent)
{
	sigset_t set;

	/* A parent that has ended already would not be noticed. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) || getppid() != parent)
		_exit(127);
	if (is_background)
		setpgid(0, 0);
	if (output >= 0 && (dup2(output, STDOUT_FILENO) < 0 ||
			    dup2(output, STDERR_FILENO) < 0))
		_exit(127);
	list_signals(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	execvp(words[0], words);
	ctl_complain("cannot start %s: %s", words[0], strerror(errno));
	_exit(127);
}

bool ctl_child_start(struct ctl_child *child, char *const *words, int output,
		     bool is_background)
{
	pid_t parent = getpid();

	fflush(NULL);
	child->pid = fork();
	if (!child->pid)
		become(words, output, is_background, parent);
	if (child->pid > 0)
		return true;
	child->pid = 0;
	ctl_complain("cannot make a process: %s", strerror(errno));
	return false;
}

void ctl_child_look(struct ctl_child *child)
{
	if (child->pid &&
	    waitpid(child->pid, &child->status, WNOHANG) == child->pid)
		child->pid = 0;
}

void ctl_child_stop(struct ctl_child *child, unsigned int patience_ms)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	if (!child->pid)
		return;
	kill(child->pid, SIGTERM);
	for (unsigned int ms = 0; child->pid && ms < patience_ms; ms += 10) {
		nanosleep(&pause, NULL);
		ctl_child_look(child);
	}
	if (!child->pid)
		return;
	ctl_complain("%s does not end; killing it", child->name);
	kill(child->pid, SIGKILL);
	waitpid(child->pid, &child->status, 0);
	child->pid = 0;
}

bool ctl_child_succeeded(const struct ctl_child *child)
{
	if (WIFSIGNALED(child->status))
		ctl_complain("%s was ended by signal %d (%s)", child->name,
			     WTERMSIG(child->status),
			     strsignal(WTERMSIG(child->status)));
	else if (WEXITSTATUS(child->status))
		ctl_complain("%s ended with status %d", child->name,
			     WEXITSTATUS(child->status));
	return !child->status;
}
