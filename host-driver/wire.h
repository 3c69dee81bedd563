/* SPDX-License-Identifier: BSD-3-Clause */
/* vfio-user messages on a stream socket: framing and descriptors. */
#ifndef HOST_DRIVER_WIRE_H
#define HOST_DRIVER_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "pcie-model/vfio-user/abi.h"

#define HOST_WIRE_FDS 16

/* The message that is being received, or was received last. */
struct host_wire {
	int fd; /* -1: closed */
	struct vfio_user_header header;
	uint8_t *payload;
	size_t room, have; /* have counts the header's bytes too */
	int fds[HOST_WIRE_FDS];
	unsigned int fd_count;
};

/* room: the largest payload to accept.  Takes fd also when it fails. */
int host_wire_open(struct host_wire *wire, int fd, size_t room);
void host_wire_close(struct host_wire *wire);

/*
 * Receive without waiting.  1: the message is whole, with the size of its
 * payload in *size; 0: not yet; -ECONNRESET; -EPROTO: not a message.
 */
int host_wire_receive(struct host_wire *wire, size_t *size);

/*
 * Send without waiting.  *sent counts over calls.  1: all of it; 0: not yet;
 * or a negative errno.  The descriptors go with the first byte.
 */
struct host_wire_out {
	struct vfio_user_header header;
	const void *head; /* the payload, in two parts */
	size_t head_size;
	const void *data;
	size_t data_size;
	const int *fds;
	unsigned int fd_count;
	size_t sent;
};
int host_wire_send(struct host_wire *wire, struct host_wire_out *out);

/* Close the descriptors that came with the last message. */
void host_wire_drop_fds(struct host_wire *wire);

#endif
