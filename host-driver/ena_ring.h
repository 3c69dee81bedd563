/* SPDX-License-Identifier: BSD-3-Clause */
/* What transmit and receive queues share: doorbells and completions. */
#ifndef HOST_DRIVER_ENA_RING_H
#define HOST_DRIVER_ENA_RING_H

#include "host-driver/ena_io.h"

#define HOST_ENA_PHASE BIT(24) /* of either completion, in its first word */

/* A completion queue, whatever it completes. */
struct host_completions {
	struct host_ena_cq queue;
	const uint8_t *entries;
	uint32_t entry_bytes, mask;
	uint16_t head;
	unsigned int depth_shift;
};

/* A submission queue's doorbell. */
struct host_door {
	struct host_ena_doors *doors;
	volatile uint32_t *mapped; /* NULL: trapped */
	uint32_t offset;
	uint16_t rung;
	uint64_t trapped, rings;
};

bool host_is_depth(uint32_t depth);

/* A queue and that of its completions, as they come and go. */
struct host_pair {
	struct host_ena *ena;
	struct host_ena_sq sq;
	bool has_sq, has_cq;
};

/* What a pair is to be. */
struct host_pair_options {
	uint32_t depth;
	uint8_t direction; /* ENA_ADMIN_SQ_DIRECTION_* */
	uint8_t words;     /* of 4 bytes, of a completion */
	int vector;        /* -1: no interrupt */
	bool is_llq;
};

/* Half of it may be there if it fails; -E2BIG: too long to be contiguous. */
int host_pair_open(struct host_ena *e, const struct host_pair_options *options,
		   struct host_pair *out, struct host_completions *done);
/* What there is of it, unless the device has gone. */
int host_pair_close(struct host_pair *pair,
		    const struct host_completions *done);
int host_door_open(struct host_ena_doors *doors, uint32_t offset,
		   struct host_door *out);
int host_door_ring(struct host_door *door, uint16_t tail);

/* The next entry if there is one: its first word, and where it is. */
static inline const uint64_t *host_ena_next(const struct host_completions *c,
					    uint64_t *first)
{
	const uint64_t *at =
		(const void *)(c->entries +
			       (c->head & c->mask) * c->entry_bytes);
	uint64_t phase = c->head >> c->depth_shift & 1 ? 0 : HOST_ENA_PHASE;

	/* Nothing of the entry or its data is read before its phase. */
	*first = le64toh(__atomic_load_n(at, __ATOMIC_ACQUIRE));
	return ((*first ^ phase) & HOST_ENA_PHASE) == 0 ? at : NULL;
}

#endif
