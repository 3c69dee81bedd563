/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The UNIX stream socket under vfio-user.  Any thread; owns nothing.
 *
 * syscalls: sendmsg recvmsg recvfrom[4=0] getsockopt
 */
#include "pcie-model/vfio-user/socket.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "firmware/rt/scope.h"

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
