/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server's input: from bytes to messages.  On the function's loop thread;
 * owns the buffer and the descriptors in it.
 *
 * A read takes a batch of messages when nothing is left over from the last one,
 * and otherwise only the rest of the message that is incomplete.  So at any
 * time at most one message has descriptors: the last one, because the kernel
 * ends a read after the bytes that descriptors were sent with.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "pcie-model/trace.h"
#include "pcie-model/vfio-user/server_private.h"

#define HEADER sizeof(struct vfio_user_header)

static size_t size_limit(const struct pcie_server *server)
{
	return server->is_versioned ? PCIE_SERVER_MESSAGE_BYTES
				    : PCIE_SERVER_EARLY_BYTES;
}

/* The header at the offset, if all of it is there. */
static bool get_header(const struct pcie_server_input *input, size_t at,
		       struct vfio_user_header *out)
{
	if (input->end - at < HEADER)
		return false;
	memcpy(out, input->bytes + at, HEADER);
	return true;
}

static bool is_size_sane(const struct pcie_server *server,
			 const struct vfio_user_header *header)
{
	return header->size >= HEADER && header->size <= size_limit(server);
}

/* How much to read now: see above.  The buffer starts with the message. */
static size_t wanted(const struct pcie_server *server)
{
	const struct pcie_server_input *input = &server->input;
	struct vfio_user_header header;

	if (input->end == input->start)
		return PCIE_SERVER_TURN_BYTES;
	if (!get_header(input, input->start, &header))
		return HEADER - (input->end - input->start);
	return header.size - (input->end - input->start);
}

/* Where the last message starts of those that start in the buffer. */
static size_t last_start(const struct pcie_server *server)
{
	const struct pcie_server_input *input = &server->input;
	struct vfio_user_header header;
	size_t at = input->start;

	while (get_header(input, at, &header) &&
	       is_size_sane(server, &header) && header.size < input->end - at)
		at += header.size;
	return at;
}

static void take_fds(struct pcie_server *server, struct vfio_user_fds *fds)
{
	struct pcie_server_input *input = &server->input;

	if (!fds->count && !fds->is_cut)
		return;
	if (input->fds.count || input->fds.is_cut) {
		/* Again for the same message: it will be refused. */
		vfio_user_close_fds(fds);
		input->fds.is_cut = true;
		return;
	}
	input->fds = *fds;
	input->fds_at = last_start(server);
}

static void compact(struct pcie_server_input *input)
{
	if (input->start && input->end > input->start)
		memmove(input->bytes, input->bytes + input->start,
			input->end - input->start);
	input->fds_at -= input->start;
	input->end -= input->start;
	input->start = 0;
}

static void receive(struct pcie_server *server)
{
	struct pcie_server_input *input = &server->input;
	struct vfio_user_fds fds;
	ssize_t received;

	compact(input);
	received = vfio_user_receive(server->fd, input->bytes + input->end,
				     wanted(server), &fds);
	if (received == 0) {
		vfio_user_close_fds(&fds);
		pcie_server_break(server, "it hung up");
	} else if (received > 0) {
		input->end += (size_t)received;
		take_fds(server, &fds);
	} else if (received != -EAGAIN && received != -EINTR) {
		pcie_server_break(server, "its socket failed");
	}
}

/* Commands have to wait; replies to our own messages never do. */
static bool is_blocked(struct pcie_server *server)
{
	return server->deferred.is_active ||
	       !pcie_server_output_has_room(server);
}

static void drop_message(struct pcie_server *server, size_t size)
{
	struct pcie_server_input *input = &server->input;

	rt_counter_add(&server->stats.messages, 1);
	if (input->fds_at == input->start)
		vfio_user_close_fds(&input->fds);
	input->start += size;
	input->progress = 0;
}

/* A command that moves much data counts for many; see the budget. */
static unsigned int cost_of(const struct pcie_server_request *request)
{
	return 1 + (unsigned int)((request->size + request->reply_size) /
				  PCIE_SERVER_COST_BYTES);
}

/* Returns what it cost; UINT_MAX: it wants another turn. */
static unsigned int work_on_command(struct pcie_server *server,
				    const struct vfio_user_header *header)
{
	struct pcie_server_input *input = &server->input;
	struct pcie_server_request request = {
		.header = *header,
		.payload = input->bytes + input->start + HEADER,
		.size = header->size - HEADER,
		.progress = input->progress,
		.reply_fd = -1,
	};
	int answer = -EMFILE;

	if (input->fds_at == input->start) {
		request.fds = input->fds.fds;
		request.fd_count = input->fds.count;
	}
	if (input->fds_at == input->start && input->fds.is_cut)
		pcie_server_refuse(server, header, EMFILE);
	else
		answer = pcie_server_command(server, &request);
	input->progress = request.progress;
	if (answer == PCIE_SERVER_AGAIN)
		return UINT_MAX;
	drop_message(server, header->size);
	return cost_of(&request);
}

static void work_on_reply(struct pcie_server *server,
			  const struct vfio_user_header *header)
{
	struct pcie_server_input *input = &server->input;
	const uint8_t *payload = input->bytes + input->start + HEADER;

	/* It may start operations, but none touches the input. */
	pcie_server_dma_reply(server, header, payload, header->size - HEADER);
	drop_message(server, header->size);
}

static bool is_reply(const struct vfio_user_header *header)
{
	return (header->flags & VFIO_USER_TYPE) == VFIO_USER_TYPE_REPLY;
}

/* A whole message is there.  One that cannot be framed ends the connection. */
static bool get_message(struct pcie_server *server,
			struct vfio_user_header *header)
{
	struct pcie_server_input *input = &server->input;

	if (!get_header(input, input->start, header))
		return false;
	if (!is_size_sane(server, header)) {
		pcie_server_break(server, "its message has a bad size");
		return false;
	}
	if ((header->flags & VFIO_USER_TYPE) > VFIO_USER_TYPE_REPLY) {
		pcie_server_break(server, "its message has a bad type");
		return false;
	}
	return input->end - input->start >= header->size;
}

/* Returns whether commands are left that could be worked on now. */
static bool work(struct pcie_server *server)
{
	struct vfio_user_header header;
	unsigned int budget = PCIE_SERVER_TURN_COMMANDS;
	unsigned int cost;

	while (!server->broken && get_message(server, &header)) {
		cost = 1;
		if (is_reply(&header))
			work_on_reply(server, &header);
		else if (is_blocked(server))
			return false;
		else
			cost = work_on_command(server, &header);
		if (cost >= budget)
			return true;
		budget -= cost;
	}
	return false;
}

/*
 * What to look for on the socket.  While a command waits for another to end we
 * take nothing in, but a client that leaves is let go: perhaps only its reset
 * ends what the command waits for.
 */
static uint32_t wanted_events(struct pcie_server *server)
{
	struct vfio_user_header header;

	if (!get_message(server, &header))
		return POLLIN;
	return server->deferred.is_active ? POLLRDHUP : 0;
}

static void watch_input(struct pcie_server *server, uint32_t events)
{
	struct rt_loop *loop = server->fn->loop;

	if (server->in_events == events)
		return;
	if (server->in_events)
		rt_watch_stop(loop, &server->in_watch);
	server->in_events = 0;
	if (!events)
		return;
	if (rt_watch_start(loop, &server->in_watch, server->fd, events))
		pcie_server_break(server, "its socket cannot be watched");
	else
		server->in_events = events;
}

void pcie_server_turn(struct pcie_server *server)
{
	bool is_more;

	if (server->state != PCIE_SERVER_ATTACHED || server->broken)
		return;
	assert(!server->is_running);
	server->is_running = true;
	is_more = work(server);
	server->is_running = false;
	pcie_server_flush(server);
	/* Operations that commands began: after the replies. */
	pcie_dma_kick(server->fn);
	if (server->broken)
		return;
	if (is_more)
		pcie_server_wake(server);
	watch_input(server, wanted_events(server));
}

void pcie_server_input_ready(struct rt_watch *watch, uint32_t events)
{
	struct pcie_server *server =
		rt_container_of(watch, struct pcie_server, in_watch);

	(void)events;
	if (server->broken)
		return;
	if (server->in_events != POLLIN) {
		pcie_server_break(server, "it hung up");
		return;
	}
	receive(server);
	pcie_server_turn(server);
}
