/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user messages on a stream socket (vfio-user specification, "Message").
 * Everything is without waiting: who waits also has a device to let run.
 * Owns the socket, one receive buffer and the descriptors that arrived.
 */
#include "host-driver/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_BYTES sizeof(struct vfio_user_header)

int host_wire_open(struct host_wire *wire, int fd, size_t room)
{
	memset(wire, 0, sizeof *wire);
	wire->fd = fd;
	wire->room = room;
	wire->payload = malloc(room);
	if (!wire->payload ||
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) {
		host_wire_close(wire);
		return -ENOMEM;
	}
	return 0;
}

void host_wire_drop_fds(struct host_wire *wire)
{
	while (wire->fd_count > 0)
		close(wire->fds[--wire->fd_count]);
}

void host_wire_close(struct host_wire *wire)
{
	host_wire_drop_fds(wire);
	free(wire->payload);
	wire->payload = NULL;
	if (wire->fd >= 0)
		close(wire->fd);
	wire->fd = -1;
}

static void keep_fds(struct host_wire *wire, struct msghdr *message)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(message);
	size_t count;
	int *fds;

	if (!control || control->cmsg_type != SCM_RIGHTS)
		return;
	fds = (int *)(void *)CMSG_DATA(control);
	count = (control->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
	for (size_t i = 0; i < count; i++) {
		if (wire->fd_count < HOST_WIRE_FDS)
			wire->fds[wire->fd_count++] = fds[i];
		else
			close(fds[i]);
	}
}

static ssize_t receive_some(struct host_wire *wire, void *data, size_t size)
{
	char control[CMSG_SPACE(HOST_WIRE_FDS * sizeof(int))];
	struct iovec iov = { data, size };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof control };
	ssize_t n = recvmsg(wire->fd, &message, MSG_CMSG_CLOEXEC);

	if (n > 0)
		keep_fds(wire, &message);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -ECONNRESET;
	return n == 0 ? -ECONNRESET : n;
}

/* How many bytes of the message to ask for next, and where they go. */
static size_t next_part(struct host_wire *wire, void **where)
{
	if (wire->have < HEADER_BYTES) {
		*where = (uint8_t *)&wire->header + wire->have;
		return HEADER_BYTES - wire->have;
	}
	*where = wire->payload + (wire->have - HEADER_BYTES);
	return wire->header.size - wire->have;
}

int host_wire_receive(struct host_wire *wire, size_t *size)
{
	void *where;
	size_t part;
	ssize_t n;

	if (wire->fd < 0)
		return -ECONNRESET;
	while ((part = next_part(wire, &where)) > 0) {
		n = receive_some(wire, where, part);
		if (n <= 0)
			return (int)n;
		wire->have += (size_t)n;
		if (wire->have == HEADER_BYTES &&
		    (wire->header.size < HEADER_BYTES ||
		     wire->header.size - HEADER_BYTES > wire->room))
			return -EPROTO;
	}
	*size = wire->have - HEADER_BYTES;
	wire->have = 0;
	return 1;
}

static void put_fds(struct msghdr *message, char *control,
		    const struct host_wire_out *out)
{
	size_t bytes = out->fd_count * sizeof(int);
	struct cmsghdr *head;

	message->msg_control = control;
	message->msg_controllen = CMSG_SPACE(bytes);
	head = CMSG_FIRSTHDR(message);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(bytes);
	memcpy(CMSG_DATA(head), out->fds, bytes);
}

static void skip(struct iovec *iov, size_t count, size_t bytes)
{
	for (size_t i = 0; i < count; i++) {
		size_t n = bytes < iov[i].iov_len ? bytes : iov[i].iov_len;

		iov[i].iov_base = (uint8_t *)iov[i].iov_base + n;
		iov[i].iov_len -= n;
		bytes -= n;
	}
}

int host_wire_send(struct host_wire *wire, struct host_wire_out *out)
{
	char control[CMSG_SPACE(HOST_WIRE_FDS * sizeof(int))] = { 0 };
	struct iovec iov[] = { { &out->header, HEADER_BYTES },
			       { (void *)(uintptr_t)out->head, out->head_size },
			       { (void *)(uintptr_t)out->data,
				 out->data_size } };
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = 3 };
	size_t whole = HEADER_BYTES + out->head_size + out->data_size;
	ssize_t n;

	if (wire->fd < 0)
		return -ECONNRESET;
	if (out->fd_count > HOST_WIRE_FDS)
		return -EINVAL;
	if (out->fd_count > 0 && out->sent == 0)
		put_fds(&message, control, out);
	skip(iov, 3, out->sent);
	n = sendmsg(wire->fd, &message, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -ECONNRESET;
	out->sent += (size_t)n;
	return out->sent == whole;
}
