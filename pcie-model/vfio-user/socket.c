/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The UNIX stream socket under vfio-user.  Any thread; owns nothing.
 */
#include "pcie-model/vfio-user/socket.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"

#define BACKLOG 16

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Nobody listens at this socket file any more. */
static bool is_dead(const struct sockaddr_un *address)
{
	RT_FD int probe = new_socket();

	return probe >= 0 &&
	       connect(probe, (const struct sockaddr *)address,
		       sizeof *address) &&
	       errno == ECONNREFUSED;
}

/* Make room for a new socket file. */
static int clear_path(const struct sockaddr_un *address, struct rt_error *error)
{
	struct stat st;

	if (lstat(address->sun_path, &st))
		return errno == ENOENT ? 0
				       : rt_error_set(error, -errno, "%s: %s",
						      address->sun_path,
						      strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return rt_error_set(error, -EEXIST,
				    "%s exists and is not a socket",
				    address->sun_path);
	if (!is_dead(address)) {
		rt_error_set(error, -EADDRINUSE, "another server listens at %s",
			     address->sun_path);
		rt_error_hint(error, "stop it, or choose another socket");
		return -EADDRINUSE;
	}
	if (unlink(address->sun_path) && errno != ENOENT)
		return rt_error_set(error, -errno, "cannot replace %s: %s",
				    address->sun_path, strerror(errno));
	return 0;
}

int vfio_user_listen(const char *path, int *out, struct rt_error *error)
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

static void take_fds(struct msghdr *message, struct vfio_user_fds *fds)
{
	struct cmsghdr *c;
	size_t size;

	for (c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size = c->cmsg_len - CMSG_LEN(0);
		fds->count = (unsigned int)(size / sizeof(int));
		memcpy(fds->fds, CMSG_DATA(c), size);
	}
}

ssize_t vfio_user_receive(int socket, void *bytes, size_t size,
			  struct vfio_user_fds *fds)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof fds->fds)];
	} control;
	struct iovec iov = { bytes, size };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof control };
	ssize_t received =
		recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	fds->count = 0;
	fds->is_cut = false;
	if (received < 0)
		return -errno;
	take_fds(&message, fds);
	fds->is_cut = message.msg_flags & MSG_CTRUNC;
	return received;
}

void vfio_user_close_fds(struct vfio_user_fds *fds)
{
	while (fds->count)
		close(fds->fds[--fds->count]);
	fds->is_cut = false;
}

static void attach_fd(struct msghdr *message, void *control, size_t size,
		      int fd)
{
	struct cmsghdr *c;

	message->msg_control = control;
	message->msg_controllen = size;
	c = CMSG_FIRSTHDR(message);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
}

ssize_t vfio_user_send(int socket, const void *bytes, size_t size, int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)bytes, size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	if (fd >= 0)
		attach_fd(&message, &control, sizeof control, fd);
	sent = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	return sent < 0 ? -errno : sent;
}

pid_t vfio_user_peer(int socket)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof peer;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return 0;
	return peer.pid;
}

bool vfio_user_has_hung_up(int socket)
{
	struct pollfd state = { .fd = socket, .events = POLLRDHUP };

	return poll(&state, 1, 0) > 0;
}
