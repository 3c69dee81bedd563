/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The process of a user-mode network is started, heard and buried here.  It may
 * be turned against us: what it prints is cleaned.  When it dies there is one
 * line in the log, and a second later there is another; the guest sees its
 * connections reset.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
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

extern char **environ;

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

/* Where its program is in the new process, if it was given as a descriptor. */
#define PROGRAM_FD   (ENA_USER_SOCKET + 1)
#define PROGRAM_PATH "/proc/self/fd/4"
_Static_assert(PROGRAM_FD == 4, "as in PROGRAM_PATH");

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

static bool find_program(char *path, size_t size)
{
	if (given_program < 0)
		return look_beside(path, size);
	return snprintf(path, size, "%s", PROGRAM_PATH) < (int)size;
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

/* Nothing of ours but these two reaches it. */
static int set_actions(posix_spawn_file_actions_t *actions,
		       const struct ends *ends)
{
	int err = posix_spawn_file_actions_addopen(actions, 0, "/dev/null",
						   O_RDWR, 0);

	if (!err)
		err = posix_spawn_file_actions_adddup2(actions, 0, 1);
	if (!err)
		err = posix_spawn_file_actions_adddup2(actions, ends->log_write,
						       2);
	if (!err)
		err = posix_spawn_file_actions_adddup2(actions, ends->theirs,
						       ENA_USER_SOCKET);
	if (!err && given_program >= 0)
		err = posix_spawn_file_actions_adddup2(actions, given_program,
						       PROGRAM_FD);
	if (!err)
		err = posix_spawn_file_actions_addclosefrom_np(
			actions, given_program < 0 ? ENA_USER_SOCKET + 1
						   : PROGRAM_FD + 1);
	return err;
}

static int set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(attributes, &none);
	posix_spawnattr_setsigdefault(attributes, &all);
	/* A Ctrl-C at the card's terminal is the card's. */
	posix_spawnattr_setpgroup(attributes, 0);
	return posix_spawnattr_setflags(
		attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
				    POSIX_SPAWN_SETPGROUP);
}

static int spawn(struct ena_user *user, const char *program,
		 const struct ends *ends)
{
	char *arguments[8] = { ENA_USER_PROGRAM, "--mtu", user->mtu };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	unsigned int n = 3;
	int err;

	if (user->tftp) {
		arguments[n++] = "--tftp";
		arguments[n++] = user->tftp;
	}
	if (user->bootfile) {
		arguments[n++] = "--bootfile";
		arguments[n++] = user->bootfile;
	}
	if (posix_spawn_file_actions_init(&actions))
		return -ENOMEM;
	posix_spawnattr_init(&attributes);
	err = set_actions(&actions, ends);
	if (!err)
		err = set_attributes(&attributes);
	if (!err)
		err = posix_spawn(&user->pid, program, &actions, &attributes,
				  arguments, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -err;
}

static void bury(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int adopt(struct ena_user *user, struct ends *ends)
{
	user->pid_fd = pidfd_open(user->pid, 0);
	if (user->pid_fd < 0) {
		int code = -errno;

		bury(user->pid);
		return code;
	}
	user->sock = rt_take_fd(&ends->ours);
	user->log_fd = rt_take_fd(&ends->log_read);
	rt_watch_start(user->loop, &user->ended, user->pid_fd, POLLIN);
	rt_watch_start(user->loop, &user->printed, user->log_fd, POLLIN);
	ena_user_watch(user);
	return 0;
}

static int start_process(struct ena_user *user, struct rt_error *error)
{
	char program[512];
	struct ends ends;
	int err;

	if (!find_program(program, sizeof program)) {
		rt_error_set(error, -ENOENT, "%s is not beside this program",
			     ENA_USER_PROGRAM);
		rt_error_hint(error, "build it, or install it with the card");
		return -ENOENT;
	}
	err = make_ends(&ends);
	if (!err) {
		err = spawn(user, program, &ends);
		if (!err)
			err = adopt(user, &ends);
		close_ends(&ends);
	}
	if (err)
		rt_error_set(error, err, "cannot start %s: %s", program,
			     strerror(-err));
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
	return start_process(user, error);
}

void ena_user_end(struct ena_user *user)
{
	bool is_alive = user->pid_fd >= 0;

	rt_timer_stop(user->loop, &user->again);
	forget(user);
	if (is_alive)
		bury(user->pid);
}
