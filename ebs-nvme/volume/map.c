/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file on tmpfs, mapped.
 *
 * Theory.  Two things make a mapping less than the file:
 *
 *   - Somebody cuts the file, or its file system is full: touching the page
 *     raises SIGBUS.  The guard (firmware/rt/guard.h) then marks itself and
 * puts other memory there.  Whoever copies looks at the mark afterwards: it is
 *     set before the memory changes, so a copy that finds none went to or came
 *     from the file.  One mark ends the mapping's use for good; the file's own
 *     answers are right again from then on.
 *   - Reading a hole through a mapping fills it, and writing one costs more
 * than a system call does.  So a piece of 2 MiB is used when it is known to
 * have no holes.  To find out takes some 20 us, and is done seldom.
 *
 * Only a page that the file ends in is not guarded: cut to a part of a page,
 * the file reads as zeros up to the page's end.
 *
 * syscalls: madvise mmap[2&PROT_EXEC=0] munmap
 */
#include "ebs-nvme/volume/map.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ebs-nvme/volume.h"
#include "ebs-nvme/volume/copy.h"
#include "ebs-nvme/volume/crypt.h"
#include "ebs-nvme/volume/pieces.h"
#include "firmware/rt/guard.h"
#include "firmware/rt/scope.h"

#define PART  (UINT64_C(256) << 10) /* of a piece, looked at in one call */
#define WORD  64u                   /* bits of a word of full */
#define TRIES 64u                   /* requests to unknown pieces to one look */

struct ebs_map {
	uint8_t *memory;
	uint64_t size, page;
	ebs_copy *copy;
	struct rt_guard *guard;
	struct ebs_pieces full; /* they have no hole */
	_Atomic unsigned int unknown;
};

static bool has_no_hole(const struct ebs_map *map, uint64_t start, uint64_t end)
{
	unsigned char pages[PART / 4096]; /* no host has smaller ones */
	bool is_there = true;

	for (; is_there && start < end; start += PART) {
		uint64_t size = end - start < PART ? end - start : PART;

		if (mincore(map->memory + start, size, pages))
			return false;
		for (uint64_t i = 0; i < (size + map->page - 1) / map->page;
		     i++)
			is_there = is_there && pages[i] & 1;
	}
	return is_there;
}

/* One call instead of a fault for each few pages. */
static bool learn(struct ebs_map *map, uint64_t piece)
{
	uint64_t start = piece * EBS_PIECE;
	uint64_t end =
		map->size - start < EBS_PIECE ? map->size : start + EBS_PIECE;

	if (!has_no_hole(map, start, end))
		return false;
	madvise(map->memory + start, end - start, MADV_POPULATE_READ);
	ebs_piece_set(&map->full, piece);
	return true;
}

static bool is_full(struct ebs_map *map, uint64_t piece)
{
	if (ebs_piece_is_set(&map->full, piece))
		return true;
	return atomic_fetch_add_explicit(&map->unknown, 1,
					 memory_order_relaxed) %
			       TRIES ==
		       0 &&
	       learn(map, piece);
}

static bool is_known(struct ebs_map *map, uint64_t offset, uint64_t size)
{
	for (uint64_t piece = offset / EBS_PIECE;
	     piece <= (offset + size - 1) / EBS_PIECE; piece++)
		if (!is_full(map, piece))
			return false;
	return true;
}

/*
 * After a copy: it was the file until its last byte.  Only the compiler has to
 * be kept from asking early: changing a mapping interrupts every processor that
 * uses it, after the mark was set.
 */
static bool is_whole(const struct ebs_map *map)
{
	atomic_signal_fence(memory_order_seq_cst);
	return !rt_guard_is_damaged(map->guard);
}

static void copy(const struct ebs_map *map, uint8_t *at,
		 const struct ebs_volume_io *io)
{
	if (io->op == EBS_VOLUME_WRITE)
		ebs_copy_in(map->copy, at, io->iov, io->iov_count);
	else
		ebs_copy_out(at, io->iov, io->iov_count);
}

static void cipher(const struct ebs_crypt *crypt, uint8_t *at,
		   const struct ebs_volume_io *io)
{
	if (io->op == EBS_VOLUME_WRITE)
		ebs_crypt_in(crypt, at, io->offset, io->iov, io->iov_count,
			     true);
	else
		ebs_crypt_out(crypt, at, io->offset, io->iov, io->iov_count);
}

bool ebs_map_transfer(struct ebs_map *map, const struct ebs_volume_io *io,
		      const struct ebs_crypt *crypt)
{
	uint8_t *at = map->memory + io->offset;

	if (rt_guard_is_damaged(map->guard) || io->offset > map->size ||
	    io->size > map->size - io->offset ||
	    !is_known(map, io->offset, io->size))
		return false;
	if (crypt)
		cipher(crypt, at, io);
	else
		copy(map, at, io);
	/* The kernel may be about to look for it. */
	if (io->op == EBS_VOLUME_WRITE &&
	    (io->is_durable || !io->is_fenced_later))
		ebs_copy_fence();
	return is_whole(map);
}

void ebs_map_forget(struct ebs_map *map, uint64_t offset, uint64_t size)
{
	for (uint64_t piece = offset / EBS_PIECE;
	     piece * EBS_PIECE < map->size && piece * EBS_PIECE < offset + size;
	     piece++)
		ebs_piece_clear(&map->full, piece);
}

void ebs_map_expect(const struct ebs_map *map, uint64_t offset, uint64_t size)
{
	if (offset <= map->size && size <= map->size - offset)
		ebs_copy_expect(map->memory + offset, size);
}

static bool map_file(struct ebs_map *map, int fd, bool is_read_only)
{
	int protection = PROT_READ | (is_read_only ? 0 : PROT_WRITE);
	void *memory = mmap(NULL, map->size, protection, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return false;
	map->memory = memory;
	/* As of a volume in memory. */
	madvise(memory, map->size, MADV_HUGEPAGE);
	madvise(memory, map->size, MADV_DONTDUMP);
	map->guard = rt_guard_add(memory, map->size);
	return map->guard && ebs_pieces_make(&map->full, map->size);
}

struct ebs_map *ebs_map_open(int fd, uint64_t size, bool is_read_only)
{
	struct ebs_map *map = calloc(1, sizeof *map);

	if (!map)
		return NULL;
	map->size = size;
	map->page = (uint64_t)sysconf(_SC_PAGESIZE);
	map->copy = ebs_copy_to_store();
	if (!map_file(map, fd, is_read_only))
		ebs_map_close(&map);
	return map;
}

void ebs_map_close(struct ebs_map **map)
{
	struct ebs_map *m = *map;

	if (!m)
		return;
	rt_guard_remove(&m->guard);
	if (m->memory)
		munmap(m->memory, m->size);
	free(m->full.bits);
	free(m);
	*map = NULL;
}
