/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server's output: replies and our own messages in the order they were
 * made.  On the function's loop thread; owns the buffer.
 *
 * QEMU takes a message whose first 16 bytes do not arrive at once for the end
 * of the world.  So one sendmsg() takes either one message, or several that fit
 * into one kernel buffer together (SHARED_BYTES), which AF_UNIX sends whole or
 * not at all; a longer message may be cut, but never in its header.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "pcie-model/vfio-user/server_private.h"

#define SHARED_BYTES (16u * 1024)

static size_t message_size(const uint8_t *message)
{
	struct vfio_user_header header;

	memcpy(&header, message, sizeof header);
	return header.size;
}

/* Not while a descriptor waits: fd_at stays. */
static void compact(struct pcie_server_output *output)
{
	if (!output->start)
		return;
	memmove(output->bytes, output->bytes + output->start,
		output->end - output->start);
	output->end -= output->start;
	output->start = 0;
}

bool pcie_server_output_has_room(struct pcie_server *server)
{
	struct pcie_server_output *output = &server->output;

	/* One descriptor can wait to be sent. */
	if (output->fd >= 0)
		return false;
	if (PCIE_SERVER_OUTPUT_BYTES - output->end < PCIE_SERVER_MESSAGE_BYTES)
		compact(output);
	return PCIE_SERVER_OUTPUT_BYTES - output->end >=
	       PCIE_SERVER_MESSAGE_BYTES;
}

uint8_t *pcie_server_output_tail(struct pcie_server *server)
{
	return server->output.bytes + server->output.end;
}

void pcie_server_output_add(struct pcie_server *server, int fd)
{
	struct pcie_server_output *output = &server->output;
	size_t size = message_size(output->bytes + output->end);

	assert(size <= PCIE_SERVER_OUTPUT_BYTES - output->end);
	if (fd >= 0) {
		assert(output->fd < 0);
		output->fd = fd;
		output->fd_at = output->end;
	}
	output->end += size;
}

/* How much to hand to one sendmsg(). */
static size_t next_chunk(const struct pcie_server_output *output)
{
	size_t at = output->start;
	size_t size;

	if (output->message_left)
		return output->message_left;
	do {
		size = message_size(output->bytes + at);
		if (at > output->start &&
		    (at + size - output->start > SHARED_BYTES ||
		     (output->fd >= 0 && output->fd_at == at)))
			break;
		at += size;
	} while (at < output->end);
	return at - output->start;
}

/* After sent bytes of it: how much of the message at the cut is left. */
static void consume(struct pcie_server_output *output, size_t sent)
{
	size_t end = output->start + output->message_left;

	if (output->fd >= 0 && output->fd_at == output->start)
		output->fd = -1;
	while (end < output->start + sent)
		end += message_size(output->bytes + end);
	output->start += sent;
	output->message_left = end - output->start;
	if (output->start == output->end) {
		output->start = 0;
		output->end = 0;
	}
}

static void watch_output(struct pcie_server *server, bool is_watched)
{
	struct pcie_server_output *output = &server->output;

	if (output->is_watched == is_watched)
		return;
	output->is_watched = is_watched;
	if (!is_watched)
		rt_watch_stop(server->fn->loop, &server->out_watch);
	else if (rt_watch_start(server->fn->loop, &server->out_watch,
				server->fd, POLLOUT))
		pcie_server_break(server, "its socket cannot be watched");
}

void pcie_server_flush(struct pcie_server *server)
{
	struct pcie_server_output *output = &server->output;
	ssize_t sent = 0;

	while (server->state == PCIE_SERVER_ATTACHED &&
	       output->start < output->end) {
		bool has_fd = output->fd >= 0 && output->fd_at == output->start;

		sent = vfio_user_send(server->fd, output->bytes + output->start,
				      next_chunk(output),
				      has_fd ? output->fd : -1);
		if (sent <= 0 && sent != -EINTR)
			break;
		if (sent > 0)
			consume(output, (size_t)sent);
	}
	if (sent < 0 && sent != -EAGAIN)
		pcie_server_break(server, "it does not take our messages");
	if (server->state == PCIE_SERVER_ATTACHED && !server->broken)
		watch_output(server, sent == -EAGAIN);
}

void pcie_server_output_ready(struct rt_watch *watch, uint32_t events)
{
	struct pcie_server *server =
		rt_container_of(watch, struct pcie_server, out_watch);

	(void)events;
	pcie_server_flush(server);
	pcie_server_turn(server);
}
