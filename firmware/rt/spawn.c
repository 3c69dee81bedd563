/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An order is one message: arguments, each ended by a NUL, and two descriptors.
 * The answer is a process, or a negative errno.  The child is made with
 * CLONE_PARENT: it is the asker's, who waits for it, and not the spawner's, so
 * the spawner holds no state.  Whether a program was started is told by a pipe
 * that is closed when it is, and else has the reason in it.
 *
 * syscalls: sendmsg recvmsg recvfrom[4=0]
 */
#include "firmware/rt/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "firmware/rt/scope.h"

#define ORDER_BYTES 4096
#define MOST_WORDS  32
#define DESCRIPTORS 2

extern char **environ;

/* The process's, as its children are. */
static int spawner = -1;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* ---- In the child ---- */

/* What the program finds, and two that are gone once it runs. */
enum { NOTHING, NOWHERE, ERRORS, SOCKET, PROGRAM, FAILURE, MORE };

static void arrange_descriptors(const struct rt_spawn *what, int failure)
{
	/* Above those that they become. */
	int errors = fcntl(what->errors_fd, F_DUPFD_CLOEXEC, 10);
	int sock = fcntl(what->socket_fd, F_DUPFD_CLOEXEC, 10);
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	int reason = fcntl(failure, F_DUPFD_CLOEXEC, 10);
	int program = what->program.fd;

	if (program >= 0)
		program = fcntl(program, F_DUPFD_CLOEXEC, 10);
	dup2(nothing, NOTHING);
	dup2(nothing, NOWHERE);
	dup2(errors, ERRORS);
	dup2(sock, SOCKET);
	close(PROGRAM);
	if (program >= 0)
		dup3(program, PROGRAM, O_CLOEXEC);
	dup3(reason, FAILURE, O_CLOEXEC);
	syscall(SYS_close_range, MORE, ~0u, 0);
}

static void reset_signals(void)
{
	const struct sigaction by_default = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		sigaction(i, &by_default, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void become(const struct rt_spawn *what, int failure)
{
	int code;

	setpgid(0, 0);
	arrange_descriptors(what, failure);
	reset_signals();
	if (what->program.fd < 0)
		execve(what->program.path, what->arguments, environ);
	else
		fexecve(PROGRAM, what->arguments, environ);
	code = -errno;
	(void)!write(FAILURE, &code, sizeof code);
	_exit(127);
}

/* ---- Starting one ---- */

static pid_t make_child(unsigned long flags)
{
#if defined(__s390x__) || defined(__CRIS__)
#error "clone() has its arguments in another order"
#endif
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

static int start(const struct rt_spawn *what, unsigned long flags, pid_t *out)
{
	int failure[2], code = 0;
	pid_t pid;

	if (pipe2(failure, O_CLOEXEC))
		return -errno;
	pid = make_child(flags);
	if (!pid)
		become(what, failure[1]);
	if (pid < 0)
		code = -errno;
	close(failure[1]);
	if (pid > 0)
		(void)!read(failure[0], &code, sizeof code);
	close(failure[0]);
	if (!code)
		*out = pid;
	return code;
}

/* ---- The spawner ---- */

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(DESCRIPTORS * sizeof(int))];
};

static size_t cut_words(char *text, size_t size, char **words)
{
	size_t count = 0;

	for (size_t i = 0; i < size && count < MOST_WORDS;
	     i += strlen(text + i) + 1)
		words[count++] = text + i;
	words[count] = NULL;
	return count;
}

static int take_descriptors(struct msghdr *message, struct rt_spawn *what)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	int fds[DESCRIPTORS];

	if (!header || header->cmsg_type != SCM_RIGHTS ||
	    header->cmsg_len != CMSG_LEN(sizeof fds))
		return -EBADMSG;
	memcpy(fds, CMSG_DATA(header), sizeof fds);
	what->errors_fd = fds[0];
	what->socket_fd = fds[1];
	return 0;
}

static int obey(const struct rt_program *program, struct msghdr *message,
		char *text, size_t size, pid_t *out)
{
	char *words[MOST_WORDS + 1];
	struct rt_spawn what = { .program = *program, .arguments = words };
	int code = take_descriptors(message, &what);

	if (code)
		return code;
	text[size] = '\0';
	code = cut_words(text, size, words) ? start(&what, CLONE_PARENT, out)
					    : -EBADMSG;
	close(what.errors_fd);
	close(what.socket_fd);
	return code;
}

static void serve(const struct rt_program *program, int sock)
{
	static char text[ORDER_BYTES + 1];
	union control control;
	struct iovec piece = { text, ORDER_BYTES };
	struct msghdr message;
	ssize_t n;

	for (;;) {
		pid_t answer = 0;
		int code;

		message = (struct msghdr){ .msg_iov = &piece,
					   .msg_iovlen = 1,
					   .msg_control = &control,
					   .msg_controllen = sizeof control };
		n = recvmsg(sock, &message, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(0);
		code = obey(program, &message, text, (size_t)n, &answer);
		if (code)
			answer = code;
		if (send(sock, &answer, sizeof answer, MSG_NOSIGNAL) < 0)
			_exit(0);
	}
}

/* It has no other descriptors, and outlives nobody. */
static void be_spawner(const struct rt_program *program, int sock,
		       void (*prepare)(void *opaque), void *opaque)
{
	struct rt_program own = *program;
	int orders = fcntl(sock, F_DUPFD_CLOEXEC, 10);

	prctl(PR_SET_NAME, "spawner");
	setpgid(0, 0);
	if (own.fd >= 0)
		own.fd = fcntl(own.fd, F_DUPFD_CLOEXEC, 10);
	dup2(orders, SOCKET);
	close(PROGRAM);
	if (own.fd >= 0)
		own.fd = dup2(own.fd, PROGRAM);
	syscall(SYS_close_range, FAILURE, ~0u, 0);
	prepare(opaque);
	serve(&own, SOCKET);
}

int rt_spawner_start(const struct rt_program *program,
		     void (*prepare)(void *opaque), void *opaque)
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	pid = fork();
	if (!pid)
		be_spawner(program, ends[1], prepare, opaque);
	close(ends[1]);
	if (pid < 0) {
		int code = -errno;

		close(ends[0]);
		return code;
	}
	spawner = ends[0];
	return 0;
}

/* ---- Asking it ---- */

static size_t add_word(char *text, size_t used, const char *word)
{
	size_t length = strlen(word) + 1;

	if (used + length > ORDER_BYTES)
		return ORDER_BYTES + 1;
	memcpy(text + used, word, length);
	return used + length;
}

static int send_order(const struct rt_spawn *what)
{
	const int fds[DESCRIPTORS] = { what->errors_fd, what->socket_fd };
	char text[ORDER_BYTES];
	union control control = { 0 };
	struct iovec piece = { text, 0 };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof control };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	for (char *const *word = what->arguments; *word; word++)
		piece.iov_len = add_word(text, piece.iov_len, *word);
	if (piece.iov_len > ORDER_BYTES)
		return -E2BIG;
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof fds);
	memcpy(CMSG_DATA(header), fds, sizeof fds);
	return sendmsg(spawner, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int ask(const struct rt_spawn *what, pid_t *out)
{
	int code = send_order(what);
	pid_t answer;
	ssize_t n;

	if (code)
		return code;
	do
		n = recv(spawner, &answer, sizeof answer, 0);
	while (n < 0 && errno == EINTR);
	if (n != sizeof answer)
		return n < 0 ? -errno : -EPIPE;
	if (answer <= 0)
		return answer;
	*out = answer;
	return 0;
}

int rt_spawn(const struct rt_spawn *what, pid_t *out)
{
	int code;

	if (spawner < 0)
		return start(what, 0, out);
	pthread_mutex_lock(&one_at_a_time);
	code = ask(what, out);
	pthread_mutex_unlock(&one_at_a_time);
	return code;
}
