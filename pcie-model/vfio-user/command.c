/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commands: a table, what all of them have in common, and how they are
 * answered.  On the function's loop thread.
 *
 * A command that is malformed gets an error reply of a header alone; the
 * connection goes on, because the length of the message was good.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "pcie-model/trace.h"
#include "pcie-model/vfio-user/server_private.h"

struct command {
	const char *name;
	size_t min_size, max_size;
	unsigned int max_fds;
	pcie_server_command_fn *run;
};

static const struct command commands[] = {
#define COMMAND(number, name, min, max, fds, run)                              \
	[number] = { #name, min, max, fds, run },
#include "pcie-model/vfio-user/commands.def"
#undef COMMAND
};

static const struct command *find_command(uint16_t number)
{
	if (number >= RT_COUNT(commands) || !commands[number].run)
		return NULL;
	return &commands[number];
}

static int check(const struct pcie_server *server,
		 const struct command *command,
		 struct pcie_server_request *request)
{
	if (!command)
		return -ENOSYS;
	if ((request->header.command == VFIO_USER_VERSION) ==
	    server->is_versioned)
		return -EINVAL;
	if (request->size < command->min_size ||
	    request->size > command->max_size)
		return -EINVAL;
	if (!command->max_fds)
		request->fd_count = 0;
	return request->fd_count > command->max_fds ? -EINVAL : 0;
}

static void put_reply(struct pcie_server *server,
		      const struct vfio_user_header *command, size_t size,
		      int error, int fd)
{
	struct vfio_user_header header = {
		.id = command->id,
		.command = command->command,
		.size = (uint32_t)(sizeof header + size),
		.flags = VFIO_USER_TYPE_REPLY | (error ? VFIO_USER_ERROR : 0),
		.error = (uint32_t)error,
	};

	trace_pcie_reply(header.command, header.id, header.size, header.error);
	if (command->flags & VFIO_USER_NO_REPLY)
		return;
	memcpy(pcie_server_output_tail(server), &header, sizeof header);
	pcie_server_output_add(server, fd);
}

void pcie_server_reply(struct pcie_server *server,
		       const struct vfio_user_header *command,
		       const void *payload, size_t size)
{
	if (size)
		memcpy(pcie_server_output_tail(server) +
			       sizeof(struct vfio_user_header),
		       payload, size);
	put_reply(server, command, size, 0, -1);
}

void pcie_server_refuse(struct pcie_server *server,
			const struct vfio_user_header *command, int error)
{
	rt_counter_add(&server->stats.protocol_errors, 1);
	put_reply(server, command, 0, error, -1);
}

int pcie_server_command(struct pcie_server *server,
			struct pcie_server_request *request)
{
	const struct command *command = find_command(request->header.command);
	int answer = check(server, command, request);

	trace_pcie_command(request->header.command, request->header.id,
			   request->header.size, request->header.flags,
			   request->fd_count);
	request->reply = pcie_server_output_tail(server) +
			 sizeof(struct vfio_user_header);
	if (!answer && server->fn->type->catch_up)
		server->fn->type->catch_up(server->fn);
	if (!answer)
		answer = command->run(server, request);
	if (answer < 0)
		pcie_server_refuse(server, &request->header, -answer);
	else if (!answer)
		put_reply(server, &request->header, request->reply_size, 0,
			  request->reply_fd);
	return answer;
}

void pcie_server_defer(struct pcie_server *server,
		       const struct pcie_server_request *request,
		       const void *payload, size_t size)
{
	struct pcie_server_deferred *deferred = &server->deferred;

	assert(!deferred->is_active && size <= sizeof deferred->payload);
	deferred->is_active = true;
	deferred->header = request->header;
	deferred->size = size;
	if (size)
		memcpy(deferred->payload, payload, size);
	rt_timer_start(server->fn->loop, &deferred->timer,
		       rt_loop_now_ns(server->fn->loop) +
			       PCIE_SERVER_REPLY_TIMEOUT_NS);
}

void pcie_server_answer(struct pcie_server *server)
{
	struct pcie_server_deferred *deferred = &server->deferred;

	if (!deferred->is_active)
		return;
	deferred->is_active = false;
	rt_timer_stop(server->fn->loop, &deferred->timer);
	pcie_server_reply(server, &deferred->header, deferred->payload,
			  deferred->size);
	pcie_server_wake(server);
}

/* The client gives up on us at 5 seconds, and then for good. */
void pcie_server_answer_late(struct rt_timer *timer)
{
	struct pcie_server *server =
		rt_container_of(timer, struct pcie_server, deferred.timer);

	rt_log_warn(server->fn->name,
		    "requests did not end in time for %s: the client is told "
		    "it was done",
		    commands[server->deferred.header.command].name);
	pcie_dma_unmap_abandon(server->fn);
	pcie_server_answer(server);
}
