/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The process of a user-mode network is started, heard and buried here.  It may
 * be turned against us: what it prints is cleaned.  When it dies there is one
 * line in the log, and a second later there is another; the guest sees its
 * connections reset.
 *
 * syscalls: socketpair[0=AF_UNIX,1=SOCK_SEQPACKET|SOCK_CLOEXEC] pipe2
 * syscalls: setsockopt close read pidfd_open waitid shutdown poll
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ena/vpc/port_user.h"
#include "ena/vpc/user.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"

#define SOCKET_BYTES (2 << 20)
#define AGAIN_NS     RT_NS_PER_S
#define BURIAL_MS    500

/* ---- Its words ---- */

static void say_line(struct ena_user *user)
{
	user->line[user->line_length] = 0;
	for (size_t i = 0; i < user->line_length; i++) {
		if (user->line[i] < ' ' || user->line[i] > '~')
			user->line[i] = '?';
	}
	if (user->line_length)
		rt_log_warn(user->port.name, "%s", user->line);
	user->line_length = 0;
}

static void user_has_printed(struct rt_watch *watch, uint32_t events)
{
	struct ena_user *user =
		rt_container_of(watch, struct ena_user, printed);
	char bytes[512];
	ssize_t n = read(user->log_fd, bytes, sizeof bytes);

	(void)events;
	for (ssize_t i = 0; i < n; i++) {
		if (bytes[i] == '\n' ||
		    user->line_length == sizeof user->line - 1)
			say_line(user);
		if (bytes[i] != '\n')
			user->line[user->line_length++] = bytes[i];
	}
	if (!n)
		rt_watch_stop(user->loop, watch);
}

/* ---- Its life ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Frames that it has sent and nobody has taken go with it. */
static void forget(struct ena_user *user)
{
	rt_watch_stop(user->loop, &user->readable);
	rt_watch_stop(user->loop, &user->printed);
	rt_watch_stop(user->loop, &user->ended);
	say_line(user);
	close_fd(&user->sock);
	close_fd(&user->log_fd);
	close_fd(&user->pid_fd);
	user->is_full = false;
}

static void describe_end(const siginfo_t *info, char *text, size_t size)
{
	if (info->si_code == CLD_EXITED)
		snprintf(text, size, "exited with status %d", info->si_status);
	else
		snprintf(text, size, "was ended by SIG%s",
			 sigabbrev_np(info->si_status));
}

static void user_has_ended(struct rt_watch *watch, uint32_t events)
{
	struct ena_user *user = rt_container_of(watch, struct ena_user, ended);
	siginfo_t info = { 0 };
	char how[64] = "is gone";

	(void)events;
	if (!waitid(P_PIDFD, (id_t)user->pid_fd, &info, WEXITED | WNOHANG)) {
		if (!info.si_pid)
			return;
		describe_end(&info, how, sizeof how);
	}
	if (user->log_fd >= 0)
		user_has_printed(&user->printed, 0);
	forget(user);
	rt_log_error(user->port.name,
		     "the user-mode network's process %s; it is started again",
		     how);
	rt_timer_start(user->loop, &user->again,
		       rt_loop_now_ns(user->loop) + AGAIN_NS);
	ena_port_resume(&user->port);
}

/* ---- Starting it ---- */

static int given_program = -1;

void ena_user_program(int fd)
{
	given_program = fd;
}

/* Beside this program, as built and as installed. */
static bool look_beside(char *path, size_t size)
{
	static const char *const places[] = { "", "../libexec/nitro-card/" };
	ssize_t n = readlink("/proc/self/exe", path, size - 1);
	char *slash;
	size_t room;

	if (n < 0)
		return false;
	path[n] = 0;
	slash = strrchr(path, '/') + 1;
	room = size - (size_t)(slash - path);
	for (size_t i = 0; i < RT_COUNT(places); i++) {
		int length = snprintf(slash, room, "%s%s", places[i],
				      ENA_USER_PROGRAM);

		if ((size_t)length < room && !access(path, X_OK))
			return true;
	}
	return false;
}

bool ena_user_find(struct rt_program *out)
{
	*out = (struct rt_program){ ENA_USER_PROGRAM, given_program };
	return given_program >= 0 || look_beside(out->path, sizeof out->path);
}

struct ends {
	int ours, theirs, log_read, log_write;
};

static void close_ends(struct ends *ends)
{
	close_fd(&ends->ours);
	close_fd(&ends->theirs);
	close_fd(&ends->log_read);
	close_fd(&ends->log_write);
}

static int make_ends(struct ends *ends)
{
	int bytes = SOCKET_BYTES, pair[2], log[2];

	*ends = (struct ends){ -1, -1, -1, -1 };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	ends->ours = pair[0];
	ends->theirs = pair[1];
	if (pipe2(log, O_CLOEXEC | O_NONBLOCK)) {
		close_ends(ends);
		return -errno;
	}
	ends->log_read = log[0];
	ends->log_write = log[1];
	/* Less will do. */
	setsockopt(ends->ours, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
	setsockopt(ends->theirs, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
	return 0;
}

static int spawn(struct ena_user *user, const struct ends *ends)
{
	char *arguments[8] = { ENA_USER_PROGRAM, "--mtu", user->mtu };
	const struct rt_spawn what = { user->program, arguments,
				       ends->log_write, ends->theirs };
	unsigned int n = 3;

	if (user->tftp) {
		arguments[n++] = "--tftp";
		arguments[n++] = user->tftp;
	}
	if (user->bootfile) {
		arguments[n++] = "--bootfile";
		arguments[n++] = user->bootfile;
	}
	return rt_spawn(&what, &user->pid);
}

/*
 * It ends with its socket, or else with the card: user_net.c.  Nobody here may
 * kill, so there is no waiting without an end.
 */
static void bury(int pid_fd)
{
	struct pollfd ended = { .fd = pid_fd, .events = POLLIN };
	siginfo_t info;

	poll(&ended, 1, BURIAL_MS);
	waitid(P_PIDFD, (id_t)pid_fd, &info, WEXITED | WNOHANG);
}

static int adopt(struct ena_user *user, struct ends *ends)
{
	user->pid_fd = pidfd_open(user->pid, 0);
	if (user->pid_fd < 0)
		return -errno; /* it ends with its socket */
	user->sock = rt_take_fd(&ends->ours);
	user->log_fd = rt_take_fd(&ends->log_read);
	rt_watch_start(user->loop, &user->ended, user->pid_fd, POLLIN);
	rt_watch_start(user->loop, &user->printed, user->log_fd, POLLIN);
	ena_user_watch(user);
	return 0;
}

static int start_process(struct ena_user *user, struct rt_error *error)
{
	struct ends ends;
	int err = make_ends(&ends);

	if (!err) {
		err = spawn(user, &ends);
		if (!err)
			err = adopt(user, &ends);
		close_ends(&ends);
	}
	if (err)
		rt_error_set(error, err, "cannot start %s: %s",
			     user->program.path, strerror(-err));
	return err;
}

static void start_again(struct rt_timer *timer)
{
	struct ena_user *user = rt_container_of(timer, struct ena_user, again);
	struct rt_error error;

	if (!start_process(user, &error))
		return;
	rt_log_error(user->port.name, "%s", error.text);
	rt_timer_start(user->loop, timer,
		       rt_loop_now_ns(user->loop) + AGAIN_NS);
}

int ena_user_start(struct ena_user *user, struct rt_error *error)
{
	user->ended.ready = user_has_ended;
	user->printed.ready = user_has_printed;
	user->again.fired = start_again;
	if (ena_user_find(&user->program))
		return start_process(user, error);
	rt_error_set(error, -ENOENT, "%s is not beside this program",
		     ENA_USER_PROGRAM);
	rt_error_hint(error, "build it, or install it with the card");
	return -ENOENT;
}

void ena_user_end(struct ena_user *user)
{
	int pid_fd = rt_take_fd(&user->pid_fd);

	rt_timer_stop(user->loop, &user->again);
	/* The loop may still hold it. */
	if (user->sock >= 0)
		shutdown(user->sock, SHUT_RDWR);
	forget(user);
	if (pid_fd >= 0) {
		bury(pid_fd);
		close(pid_fd);
	}
}
