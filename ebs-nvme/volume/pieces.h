/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bit for each 2 MiB of a volume, which any thread reads and sets.  A bit is
 * what somebody found out; nothing else hangs on it, so no order is needed.
 */
#ifndef EBS_NVME_VOLUME_PIECES_H
#define EBS_NVME_VOLUME_PIECES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define EBS_PIECE UINT64_C(0x200000) /* bytes */

struct ebs_pieces {
	_Atomic uint64_t *bits; /* NULL: there are none */
};

/* All clear; free() the bits. */
static inline bool ebs_pieces_make(struct ebs_pieces *pieces, uint64_t size)
{
	pieces->bits = calloc(size / EBS_PIECE / 64 + 1, sizeof *pieces->bits);
	return pieces->bits;
}

static inline bool ebs_piece_is_set(const struct ebs_pieces *pieces,
				    uint64_t piece)
{
	return atomic_load_explicit(&pieces->bits[piece / 64],
				    memory_order_relaxed) >>
		       piece % 64 &
	       1;
}

static inline void ebs_piece_set(struct ebs_pieces *pieces, uint64_t piece)
{
	atomic_fetch_or(&pieces->bits[piece / 64], UINT64_C(1) << piece % 64);
}

static inline void ebs_piece_clear(struct ebs_pieces *pieces, uint64_t piece)
{
	atomic_fetch_and(&pieces->bits[piece / 64],
			 ~(UINT64_C(1) << piece % 64));
}

#endif
