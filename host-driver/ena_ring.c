/* SPDX-License-Identifier: BSD-3-Clause */
/* Doorbells and completion queues of the network adapter: see ena_io.h. */
#include "host-driver/ena_ring.h"

#include <errno.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "host-driver/ena_private.h"

#define DOOR_BYTES 4096u

/* --- Doorbells ------------------------------------------------------------ */

void host_ena_doors_open(struct host_ena *e, enum host_ena_doors_kind kind,
			 struct host_ena_doors *out)
{
	*out = (struct host_ena_doors){ .ena = e, .kind = kind };
	pthread_mutex_init(&out->lock, NULL);
}

void host_ena_doors_close(struct host_ena_doors *doors)
{
	pthread_mutex_destroy(&doors->lock);
}

const char *host_ena_doors_name(const struct host_ena_doors *doors)
{
	return doors->page ? "mapped" : "trapped";
}

int host_door_open(struct host_ena_doors *doors, uint32_t offset,
		   struct host_door *out)
{
	uint32_t page = offset / DOOR_BYTES * DOOR_BYTES;
	volatile void *at = doors->page;
	int rc = 0;

	*out = (struct host_door){ .doors = doors, .offset = offset };
	if (doors->kind == HOST_ENA_DOORS_TRAPPED)
		return 0;
	if (!doors->page || doors->page_offset != page)
		rc = host_region_map(doors->ena->fn, ENA_REGS_BAR, page,
				     DOOR_BYTES, &at);
	if (rc < 0)
		return doors->kind == HOST_ENA_DOORS_AUTO ? 0 : rc;
	doors->page = at;
	doors->page_offset = page;
	out->mapped = doors->page + (offset - page) / 4;
	return 0;
}

int host_door_ring(struct host_door *door, uint16_t tail)
{
	struct host_ena_doors *doors = door->doors;
	int rc;

	if (door->rung == tail)
		return 0;
	door->rung = tail;
	door->rings++;
	if (door->mapped) {
		/* Descriptors are in memory before the doorbell says so. */
		__atomic_store_n(door->mapped, htole32(tail), __ATOMIC_RELEASE);
		return 0;
	}
	door->trapped++;
	pthread_mutex_lock(&doors->lock);
	rc = host_write32(doors->ena->fn, ENA_REGS_BAR, door->offset, tail);
	pthread_mutex_unlock(&doors->lock);
	return rc;
}

/* The page of unmask registers; NULL: by message. */
static volatile uint32_t *find_unmasks(struct host_ena_doors *doors,
				       uint32_t page)
{
	volatile void *at = NULL;

	if (doors->kind == HOST_ENA_DOORS_TRAPPED)
		return NULL;
	if (doors->unmasks && doors->unmask_offset == page)
		return doors->unmasks;
	if (host_region_map(doors->ena->fn, ENA_REGS_BAR, page, DOOR_BYTES,
			    &at) < 0)
		return NULL;
	doors->unmasks = at;
	doors->unmask_offset = page;
	return doors->unmasks;
}

int host_ena_doors_unmask(struct host_ena_doors *doors,
			  const struct host_ena_cq *cq, uint32_t rx_delay,
			  uint32_t tx_delay)
{
	uint32_t page = cq->unmask_offset / DOOR_BYTES * DOOR_BYTES;
	volatile uint32_t *unmasks;
	int rc = 0;

	pthread_mutex_lock(&doors->lock);
	unmasks = find_unmasks(doors, page);
	if (unmasks)
		__atomic_store_n(
			&unmasks[(cq->unmask_offset - page) / 4],
			htole32(host_ena_unmask_word(rx_delay, tx_delay)),
			__ATOMIC_RELEASE);
	else
		rc = host_ena_unmask(doors->ena, cq, rx_delay, tx_delay);
	pthread_mutex_unlock(&doors->lock);
	return rc;
}

/* --- Completions ---------------------------------------------------------- */

bool host_is_depth(uint32_t depth)
{
	return depth >= 2 && depth <= 32768 && (depth & (depth - 1)) == 0;
}

static int open_completions(struct host_ena *e, uint32_t depth, uint8_t words,
			    int vector, struct host_completions *out)
{
	int rc = host_ena_create_cq(e, depth, words, vector, &out->queue);

	if (rc != 0)
		return rc == -ENOMEM &&
				       depth * words * 4u > e->memory.page_bytes
			       ? -E2BIG
			       : rc;
	out->entries = host_ena_at(e, out->queue.iova);
	out->entry_bytes = words * 4u;
	out->mask = depth - 1;
	out->depth_shift = (unsigned int)__builtin_ctz(depth);
	return 0;
}

int host_pair_open(struct host_ena *e, const struct host_pair_options *options,
		   struct host_pair *out, struct host_completions *done)
{
	int rc = open_completions(e, options->depth, options->words,
				  options->vector, done);

	out->ena = e;
	out->has_cq = rc == 0;
	if (rc == 0)
		rc = host_ena_create_sq(e, options->direction, options->is_llq,
					options->depth, done->queue.index,
					&out->sq);
	out->has_sq = rc == 0;
	return rc;
}

int host_pair_close(struct host_pair *pair, const struct host_completions *done)
{
	int rc = 0, cq_rc = 0;

	if (!pair->ena || !pair->ena->fn)
		return 0;
	if (pair->has_sq)
		rc = host_ena_destroy_sq(pair->ena, &pair->sq);
	if (pair->has_cq && rc >= 0)
		cq_rc = host_ena_destroy_cq(pair->ena, &done->queue);
	return rc ? rc : cq_rc;
}
