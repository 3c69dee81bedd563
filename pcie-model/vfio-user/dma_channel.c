/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server's own messages: DMA_READ and DMA_WRITE to the client, and its
 * replies.  On the function's loop thread.
 *
 * QEMU serves them under the lock that its virtual CPUs hold while they wait
 * for us, so nothing here ever waits: a message is put into the output behind
 * the replies that are there, and the client's commands go on being served.
 * None is made while a command is worked on; it would overtake the reply.
 *
 * A message's id is its slot and a round number.  A reply that finds no message
 * under its id (a late one, or QEMU's answer to what wanted none) is dropped.
 */
#include <errno.h>
#include <string.h>

#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "pcie-model/trace.h"
#include "pcie-model/vfio-user/server_private.h"

#define MAX_ERRNO 4095u

static_assert((PCIE_SERVER_DMA_SLOTS & (PCIE_SERVER_DMA_SLOTS - 1)) == 0,
	      "slots divide the ids");

static struct pcie_server_slot *find_free(struct pcie_server_channel *channel)
{
	for (size_t i = 0; i < PCIE_SERVER_DMA_SLOTS; i++)
		if (!channel->slots[i].message)
			return &channel->slots[i];
	return NULL;
}

static bool is_full(const struct pcie_server *server)
{
	return server->output.end - server->output.start >
		       PCIE_SERVER_DMA_BYTES ||
	       PCIE_SERVER_OUTPUT_BYTES - server->output.end <
		       PCIE_SERVER_MESSAGE_BYTES + PCIE_SERVER_DMA_BYTES / 2;
}

static void put_message(struct pcie_server *server, uint16_t id,
			const struct pcie_dma_message *message)
{
	uint8_t *tail = pcie_server_output_tail(server);
	struct vfio_user_dma_access access = { message->iova, message->size };
	struct vfio_user_header header = {
		.id = id,
		.command = message->is_write ? VFIO_USER_DMA_WRITE
					     : VFIO_USER_DMA_READ,
		.size = sizeof header + sizeof access,
	};

	if (message->is_write) {
		header.size += message->size;
		memcpy(tail + sizeof header + sizeof access, message->data,
		       message->size);
	}
	memcpy(tail, &header, sizeof header);
	memcpy(tail + sizeof header, &access, sizeof access);
	pcie_server_output_add(server, -1);
	trace_pcie_dma_message(header.command, id, message->iova,
			       message->size);
}

static void start_timer(struct pcie_server *server)
{
	struct pcie_server_channel *channel = &server->channel;
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < PCIE_SERVER_DMA_SLOTS; i++)
		if (channel->slots[i].message &&
		    channel->slots[i].deadline_ns < first)
			first = channel->slots[i].deadline_ns;
	if (first < UINT64_MAX)
		rt_timer_start(server->fn->loop, &channel->timer, first);
}

int pcie_server_dma_start(void *opaque, struct pcie_dma_message *message)
{
	struct pcie_server *server = opaque;
	struct pcie_server_channel *channel = &server->channel;
	struct pcie_server_slot *slot = find_free(channel);

	if (server->state != PCIE_SERVER_ATTACHED || server->broken)
		return -EFAULT;
	if (server->is_running || !slot || is_full(server))
		return -EAGAIN;
	slot->message = message;
	slot->id = (uint16_t)((size_t)(slot - channel->slots) |
			      (size_t)channel->round++ * PCIE_SERVER_DMA_SLOTS);
	slot->deadline_ns =
		rt_loop_now_ns(server->fn->loop) + PCIE_SERVER_DMA_TIMEOUT_NS;
	put_message(server, slot->id, message);
	if (!channel->timer.heap_slot)
		start_timer(server);
	pcie_server_flush(server);
	return 0;
}

void pcie_server_dma_cancel(void *opaque, struct pcie_dma_message *message)
{
	struct pcie_server *server = opaque;

	for (size_t i = 0; i < PCIE_SERVER_DMA_SLOTS; i++)
		if (server->channel.slots[i].message == message)
			server->channel.slots[i].message = NULL;
}

static struct pcie_server_slot *find_slot(struct pcie_server *server,
					  const struct vfio_user_header *header)
{
	struct pcie_server_slot *slot =
		&server->channel.slots[header->id % PCIE_SERVER_DMA_SLOTS];

	if (!slot->message || slot->id != header->id)
		return NULL;
	if (header->command != (slot->message->is_write ? VFIO_USER_DMA_WRITE
							: VFIO_USER_DMA_READ))
		return NULL;
	return slot;
}

/* Older QEMUs answer a write with a header alone. */
static int judge_write(size_t size)
{
	return !size || size == sizeof(struct vfio_user_dma_access) ? 0
								    : -EPROTO;
}

static int judge_read(const struct pcie_dma_message *message,
		      const uint8_t *payload, size_t size)
{
	struct vfio_user_dma_access access;

	if (size != sizeof access + message->size)
		return -EPROTO;
	memcpy(&access, payload, sizeof access);
	if (access.count != message->size)
		return -EPROTO;
	memcpy(message->data, payload + sizeof access, message->size);
	return 0;
}

static int judge(const struct vfio_user_header *header,
		 const struct pcie_dma_message *message, const uint8_t *payload,
		 size_t size)
{
	if (header->flags & VFIO_USER_ERROR)
		return header->error && header->error <= MAX_ERRNO
			       ? -(int)header->error
			       : -EIO;
	return message->is_write ? judge_write(size)
				 : judge_read(message, payload, size);
}

static void end_slot(struct pcie_server_slot *slot, int status)
{
	struct pcie_dma_message *message = slot->message;

	slot->message = NULL;
	message->done(message, status);
}

void pcie_server_dma_reply(struct pcie_server *server,
			   const struct vfio_user_header *header,
			   const uint8_t *payload, size_t size)
{
	struct pcie_server_slot *slot = find_slot(server, header);
	int status;

	trace_pcie_dma_reply(header->command, header->id, header->size,
			     header->flags, header->error);
	if (!slot)
		return;
	status = judge(header, slot->message, payload, size);
	if (status == -EPROTO)
		rt_counter_add(&server->stats.protocol_errors, 1);
	end_slot(slot, status);
}

void pcie_server_dma_timeout(struct rt_timer *timer)
{
	struct pcie_server *server =
		rt_container_of(timer, struct pcie_server, channel.timer);
	uint64_t now = rt_loop_now_ns(server->fn->loop);

	for (size_t i = 0; i < PCIE_SERVER_DMA_SLOTS; i++) {
		struct pcie_server_slot *slot = &server->channel.slots[i];

		if (!slot->message || slot->deadline_ns > now)
			continue;
		rt_log_warn(server->fn->name,
			    "the client did not answer a DMA message in time");
		end_slot(slot, -ETIMEDOUT);
	}
	start_timer(server);
}

void pcie_server_dma_reset(struct pcie_server *server)
{
	rt_timer_stop(server->fn->loop, &server->channel.timer);
	for (size_t i = 0; i < PCIE_SERVER_DMA_SLOTS; i++)
		server->channel.slots[i].message = NULL;
}
