/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Named UNIX sockets.  The file of a socket outlives its server, so whether
 * somebody still listens is found out by connecting.  A server that was killed
 * goes on listening for a moment: an io_uring that polls the socket holds it
 * until the kernel has taken the ring apart.  So a connection that is accepted
 * or hung up on proves nothing yet; one that stays does, as do bytes on it.
 */
#include "firmware/rt/listen.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "firmware/rt/clock.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"

#define BACKLOG     16
#define BURIAL_MS   1000
#define NEXT_TRY_MS 50

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

enum verdict { DEAD, ALIVE, HUNG_UP };

static enum verdict probe(const struct sockaddr_un *address, int wait_ms)
{
	RT_FD int fd = new_socket();
	struct pollfd connected = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		return ALIVE;
	if (connect(fd, (const struct sockaddr *)address, sizeof *address))
		return errno == ECONNREFUSED || errno == ENOENT ? DEAD : ALIVE;
	if (poll(&connected, 1, wait_ms) < 1)
		return ALIVE;
	return connected.revents & (POLLHUP | POLLERR) ? HUNG_UP : ALIVE;
}

static bool is_alive(const struct sockaddr_un *address)
{
	const struct rt_clock clock = { 0 };
	uint64_t end = rt_clock_now_ns(&clock) + BURIAL_MS * RT_NS_PER_MS;
	enum verdict verdict;

	while ((verdict = probe(address, BURIAL_MS)) == HUNG_UP &&
	       rt_clock_now_ns(&clock) < end)
		poll(NULL, 0, NEXT_TRY_MS);
	return verdict != DEAD;
}

/* Make room for a new socket file. */
static int clear_path(const struct sockaddr_un *address, struct rt_error *error)
{
	const char *path = address->sun_path;
	struct stat st;

	if (lstat(path, &st))
		return errno == ENOENT ? 0
				       : rt_error_set(error, -errno, "%s: %s",
						      path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return rt_error_set(error, -EEXIST,
				    "%s exists and is not a socket", path);
	if (is_alive(address)) {
		rt_error_set(error, -EADDRINUSE,
			     "another card is running at %s", path);
		rt_error_hint(error, "stop it, or give this one another "
				     "--socket-dir");
		return -EADDRINUSE;
	}
	if (unlink(path) && errno != ENOENT)
		return rt_error_set(error, -errno, "cannot replace %s: %s",
				    path, strerror(errno));
	return 0;
}

int rt_listen_unix(const char *path, int *out, struct rt_error *error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	RT_FD int fd = new_socket();
	int failed;

	if (fd < 0)
		return rt_error_set(error, -errno, "cannot make a socket: %s",
				    strerror(errno));
	if (strlen(path) >= sizeof address.sun_path)
		return rt_error_set(error, -ENAMETOOLONG,
				    "the socket's path is longer than %zu "
				    "bytes: %s",
				    sizeof address.sun_path - 1, path);
	strcpy(address.sun_path, path);
	failed = clear_path(&address, error);
	if (failed)
		return failed;
	/* The file takes its mode from the socket: it is never open to all. */
	if (fchmod(fd, 0600) ||
	    bind(fd, (struct sockaddr *)&address, sizeof address) ||
	    listen(fd, BACKLOG))
		return rt_error_set(error, -errno, "cannot listen at %s: %s",
				    path, strerror(errno));
	*out = rt_take_fd(&fd);
	return 0;
}
