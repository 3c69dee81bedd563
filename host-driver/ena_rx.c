/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receive queues of the network adapter at the speed of memory: see ena_io.h.
 *
 * Theory.  A buffer's number is its descriptor's identifier, and the descriptor
 * of a buffer is always the same but for its phase: two stores give it back.
 * What the device does with packets (first, last, how many buffers) is checked
 * here, since everything above relies on it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "host-driver/ena_private.h"
#include "host-driver/ena_ring.h"

#define CTRL                                                                   \
	((ENA_ETH_IO_RX_DESC_FIRST | ENA_ETH_IO_RX_DESC_LAST |                 \
	  ENA_ETH_IO_RX_DESC_COMP_REQ)                                         \
	 << 24)
#define CTRL_PHASE (ENA_ETH_IO_RX_DESC_PHASE << 24)

struct buffer {
	uint64_t first; /* word of its descriptor */
	uint64_t iova;
	uint8_t *bytes;
	bool is_offered;
};

struct host_ena_rx {
	uint64_t *ring;
	uint32_t mask;
	uint16_t tail;
	unsigned int depth_shift;
	struct buffer *buffers;
	uint32_t buffer_bytes;
	uint32_t offered; /* buffers that the device has */
	struct host_completions done;
	struct host_door door;
	unsigned int in_packet; /* buffers of the one that is not whole yet */
	uint64_t reserved;

	struct host_ena *ena;
	struct host_pair pair;
	uint32_t depth;
	bool has_timestamps;
};

/* --- Open and close ------------------------------------------------------- */

static void offer(struct host_ena_rx *q, uint16_t number)
{
	struct buffer *b = &q->buffers[number];
	uint64_t *at = q->ring + 2 * (q->tail & q->mask);
	uint64_t phase = q->tail >> q->depth_shift & 1 ? 0 : CTRL_PHASE;

	b->is_offered = true;
	at[0] = htole64(b->first | phase);
	at[1] = htole64(b->iova);
	q->tail++;
	q->offered++;
}

/* Buffers lie in cache lines of their own. */
static int make_buffer(struct host_ena_rx *q, uint32_t number)
{
	/*
	 * An odd number of lines apart: at powers of two, all buffers would
	 * share a few sets of the device's cache.
	 */
	uint64_t lines = (q->buffer_bytes + UINT64_C(63)) / 64 | 1;
	uint64_t iova = host_ena_alloc(q->ena, lines * 64, 64);

	if (iova == 0)
		return -ENOMEM;
	q->buffers[number] = (struct buffer){
		.first = (q->buffer_bytes & 0xffff) | CTRL |
			 (uint64_t)number << 32,
		.iova = iova,
		.bytes = host_ena_at(q->ena, iova),
	};
	/* The pages come now, and not while somebody takes the time. */
	memset(q->buffers[number].bytes, 0, q->buffer_bytes);
	return 0;
}

static int make_buffers(struct host_ena_rx *q)
{
	int rc = 0;

	q->buffers = calloc(q->depth, sizeof *q->buffers);
	if (!q->buffers)
		return -ENOMEM;
	for (uint32_t i = 0; i < q->depth && rc == 0; i++)
		rc = make_buffer(q, i);
	return rc;
}

static int open_queues(struct host_ena_rx *q,
		       const struct host_ena_rx_options *o)
{
	const struct host_pair_options options = {
		.depth = q->depth,
		.direction = ENA_ADMIN_SQ_DIRECTION_RX,
		.words = o->has_timestamps ? 8 : 4,
		.vector = o->has_interrupt ? o->vector : -1,
	};
	int rc = host_pair_open(q->ena, &options, &q->pair, &q->done);

	if (rc != 0)
		return rc;
	q->ring = host_ena_at(q->ena, q->pair.sq.iova);
	return host_door_open(q->door.doors, q->pair.sq.doorbell_offset,
			      &q->door);
}

static int fill(struct host_ena_rx *q, bool is_filled)
{
	uint32_t count = q->depth - !is_filled;

	for (uint16_t i = 0; i < count; i++)
		offer(q, i);
	return host_ena_rx_ring(q);
}

int host_ena_rx_open(struct host_ena_doors *doors,
		     const struct host_ena_rx_options *options,
		     struct host_ena_rx **out)
{
	struct host_ena_rx *q;
	int rc;

	if (!host_is_depth(options->depth) || options->buffer_bytes == 0 ||
	    options->buffer_bytes > 65536)
		return -EINVAL;
	q = calloc(1, sizeof *q);
	if (!q)
		return -ENOMEM;
	q->ena = doors->ena;
	q->door.doors = doors;
	q->depth = options->depth;
	q->mask = q->depth - 1;
	q->depth_shift = (unsigned int)__builtin_ctz(q->depth);
	q->buffer_bytes = options->buffer_bytes;
	q->has_timestamps = options->has_timestamps;
	if (host_ena_can(q->ena, ENA_ADMIN_CDESC_MBZ))
		q->reserved =
			ENA_ETH_IO_RX_CDESC_MBZ7 | ENA_ETH_IO_RX_CDESC_MBZ17;
	rc = make_buffers(q);
	if (rc == 0)
		rc = open_queues(q, options);
	if (rc == 0)
		rc = fill(q, options->is_filled);
	if (rc != 0) {
		(void)host_ena_rx_close(&q);
		return rc;
	}
	*out = q;
	return 0;
}

void host_ena_rx_forget(struct host_ena_rx **q)
{
	if (!*q)
		return;
	free((*q)->buffers);
	free(*q);
	*q = NULL;
}

int host_ena_rx_close(struct host_ena_rx **q)
{
	int rc = *q ? host_pair_close(&(*q)->pair, &(*q)->done) : 0;

	host_ena_rx_forget(q);
	return rc;
}

uint64_t host_ena_rx_trapped(const struct host_ena_rx *q)
{
	return q->door.trapped;
}

const struct host_ena_cq *host_ena_rx_cq(const struct host_ena_rx *q)
{
	return &q->done.queue;
}

const struct host_ena_sq *host_ena_rx_sq(const struct host_ena_rx *q)
{
	return &q->pair.sq;
}

/* --- Packets -------------------------------------------------------------- */

/* What is wrong with a completion; NULL: nothing. */
static const char *judge(struct host_ena_rx *q, uint64_t first, uint32_t id,
			 uint32_t length)
{
	if (id >= q->depth || !q->buffers[id & q->mask].is_offered)
		return "is of a buffer that the device has not";
	if (length > q->buffer_bytes)
		return "is longer than its buffer";
	if (first & q->reserved)
		return "has reserved bits set";
	if (!(first & ENA_ETH_IO_RX_CDESC_BUFFER))
		return "does not say that there is a buffer";
	if (!(first & ENA_ETH_IO_RX_CDESC_FIRST) != (q->in_packet > 0))
		return q->in_packet
			       ? "begins a packet inside another"
			       : "goes on with a packet that has not begun";
	if (q->in_packet == HOST_ENA_MAX_BUFFERS)
		return "is one buffer too many for a packet";
	return NULL;
}

static int accept(struct host_ena_rx *q, const uint64_t *at, uint64_t first,
		  struct host_ena_received *out)
{
	uint32_t length = first >> 32 & 0xffff, id = (uint32_t)(first >> 48);
	const char *wrong = judge(q, first, id, length);
	struct buffer *b = &q->buffers[id & q->mask];

	if (wrong)
		return host_protest(q->ena,
				    "a receive completion (id %u, length "
				    "%u, status %#x) %s",
				    id, length, (uint32_t)first, wrong);
	b->is_offered = false;
	q->offered--;
	q->in_packet = first & ENA_ETH_IO_RX_CDESC_LAST ? 0 : q->in_packet + 1;
	out->bytes = b->bytes;
	out->iova = b->iova;
	out->status = (uint32_t)first;
	out->hash = (uint32_t)le64toh(at[1]);
	out->length = length;
	out->buffer = (uint16_t)id;
	if (q->has_timestamps)
		out->ns = le64toh(at[3]);
	return 0;
}

int host_ena_rx_poll(struct host_ena_rx *q, struct host_ena_received *received,
		     unsigned int max)
{
	const uint64_t *at;
	unsigned int n;
	uint64_t first;
	int rc;

	for (n = 0; n < max; n++) {
		at = host_ena_next(&q->done, &first);
		if (!at)
			break;
		rc = accept(q, at, first, &received[n]);
		if (rc < 0)
			return rc;
		q->done.head++;
	}
	return (int)n;
}

int host_ena_rx_give(struct host_ena_rx *q,
		     const struct host_ena_received *received,
		     unsigned int count)
{
	uint16_t waiting;

	for (unsigned int i = 0; i < count; i++)
		if (received[i].buffer < q->depth &&
		    !q->buffers[received[i].buffer].is_offered)
			offer(q, received[i].buffer);
	waiting = (uint16_t)(q->tail - q->door.rung);
	if (waiting < q->depth / 8 && q->offered - waiting > q->depth / 2)
		return 0;
	return host_ena_rx_ring(q);
}

int host_ena_rx_ring(struct host_ena_rx *q)
{
	return host_door_ring(&q->door, q->tail);
}
