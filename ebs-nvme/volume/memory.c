/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory engine: a volume in anonymous memory that is gone with the card.
 * Memory is taken from the host when a page is first written, in pieces of
 * 2 MiB where the host has them, and given back when whole pages are discarded
 * or zeroed.
 *
 * A request is done when submit returns, and costs its copy, or its cipher,
 * which goes straight between the guest's memory and the volume's.  Only the
 * first write to 2 MiB is not: the host clears them, which takes as long as
 * hundreds of writes, so a worker of the ring lets it do that while the thread
 * goes on.
 *
 * syscalls: madvise mmap[2&PROT_EXEC=0] munmap
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ebs-nvme/volume/copy.h"
#include "ebs-nvme/volume/crypt.h"
#include "ebs-nvme/volume/engine.h"
#include "firmware/rt/scope.h"

#define HUGE_PAGE EBS_PIECE

static uintptr_t round_up(uintptr_t address, uintptr_t page)
{
	return (address + page - 1) & ~(page - 1);
}

/* The reserved memory shrinks to what begins with a huge page. */
static void align(struct ebs_volume *volume)
{
	uint8_t *memory = volume->memory;
	size_t before =
		round_up((uintptr_t)memory, HUGE_PAGE) - (uintptr_t)memory;
	size_t kept = round_up(volume->size, HUGE_PAGE);
	size_t after = volume->memory_size - before - kept;

	if (before)
		munmap(memory, before);
	if (after)
		munmap(memory + before + kept, after);
	volume->memory = memory + before;
	volume->memory_size = kept;
}

/* Few page table entries keep random access to many bytes fast. */
static int reserve(struct ebs_volume *volume, struct rt_error *error)
{
	bool is_large = volume->size >= HUGE_PAGE &&
			volume->size <= SIZE_MAX - 2 * HUGE_PAGE;
	uint64_t size = is_large ? round_up(volume->size, HUGE_PAGE) + HUGE_PAGE
				 : volume->size;
	int err =
		ebs_volume_reserve(volume, size, PROT_READ | PROT_WRITE, error);

	if (err)
		return err;
	if (is_large) {
		align(volume);
		/* Without them every write is taken for a later one. */
		ebs_pieces_make(&volume->taken, volume->size);
	}
	madvise(volume->memory, volume->memory_size, MADV_HUGEPAGE);
	/* The guest's data is no part of a core file. */
	madvise(volume->memory, volume->memory_size, MADV_DONTDUMP);
	return 0;
}

static int memory_open(struct ebs_volume *volume,
		       const struct ebs_volume_config *config,
		       struct rt_error *error)
{
	int err = ebs_volume_set_size(volume, config->memory_size, error);

	if (err)
		return err;
	volume->can_discard = !config->is_read_only;
	volume->copy = ebs_copy_to_store();
	return reserve(volume, error);
}

static void read_bytes(uint8_t *at, const struct ebs_volume_io *io)
{
	if (io->volume->crypt)
		ebs_crypt_out(io->volume->crypt, at, io->offset, io->iov,
			      io->iov_count);
	else
		ebs_copy_out(at, io->iov, io->iov_count);
}

static void write_bytes(uint8_t *at, const struct ebs_volume_io *io)
{
	if (io->volume->crypt)
		ebs_crypt_in(io->volume->crypt, at, io->offset, io->iov,
			     io->iov_count, true);
	else
		ebs_copy_in(io->volume->copy, at, io->iov, io->iov_count);
	if (!io->is_fenced_later)
		ebs_copy_fence();
}

static void forget_taken(struct ebs_volume *volume, uint64_t offset,
			 uint64_t size)
{
	uint64_t first = round_up(offset, EBS_PIECE) / EBS_PIECE;
	uint64_t end = (offset + size) / EBS_PIECE;

	for (; volume->taken.bits && first < end; first++)
		ebs_piece_clear(&volume->taken, first);
}

/* Whole pages go back to the host, and come again as zeros. */
static void zero_bytes(uint8_t *at, const struct ebs_volume_io *io)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = (uintptr_t)at, end = start + io->size;
	uintptr_t first = round_up(start, page), last = end & ~(page - 1);

	if (first >= last) {
		memset(at, 0, io->size);
		return;
	}
	forget_taken(io->volume, io->offset, io->size);
	memset(at, 0, first - start);
	memset((void *)last, 0, end - last);
	if (madvise((void *)first, last - first, MADV_DONTNEED))
		memset((void *)first, 0, last - first);
}

static void keep(uint8_t *at, const struct ebs_volume_io *io)
{
	(void)at;
	(void)io;
}

static void (*const actions[])(uint8_t *at, const struct ebs_volume_io *io) = {
	[EBS_VOLUME_READ] = read_bytes,
	[EBS_VOLUME_WRITE] = write_bytes,
	[EBS_VOLUME_FLUSH] = keep,
	[EBS_VOLUME_DISCARD] = zero_bytes,
	[EBS_VOLUME_WRITE_ZEROES] = zero_bytes,
};

static uint8_t *place(const struct ebs_volume_io *io)
{
	return (uint8_t *)io->volume->memory + io->offset;
}

/* Has the host given the memory that will be written?  io->piece: which not. */
static bool is_taken(struct ebs_volume_io *io)
{
	const struct ebs_pieces *taken = &io->volume->taken;
	uint64_t last = (io->offset + io->size - 1) / EBS_PIECE;

	if (!taken->bits)
		return true;
	for (io->piece = io->offset / EBS_PIECE; io->piece <= last; io->piece++)
		if (!ebs_piece_is_set(taken, io->piece))
			return false;
	return true;
}

static void took(struct rt_io *rt, int result);

static void take(struct ebs_volume_io *io)
{
	uint8_t *bytes = io->volume->memory;

	io->rt.done = took;
	rt_io_madvise(io->loop, &io->rt, bytes + io->piece * EBS_PIECE,
		      EBS_PIECE, MADV_POPULATE_WRITE);
}

/* It failed: then the write itself takes what it needs. */
static void took(struct rt_io *rt, int result)
{
	struct ebs_volume_io *io =
		rt_container_of(rt, struct ebs_volume_io, rt);

	(void)result;
	ebs_piece_set(&io->volume->taken, io->piece);
	if (!is_taken(io)) {
		take(io);
		return;
	}
	io->is_fenced_later = false;
	write_bytes(place(io), io);
	io->done(io, 0);
}

static int memory_submit(struct ebs_volume *volume, struct ebs_volume_io *io)
{
	(void)volume;
	if (io->op == EBS_VOLUME_WRITE && !is_taken(io)) {
		take(io);
		return -EINPROGRESS;
	}
	actions[io->op](place(io), io);
	return 0;
}

static void memory_zero(struct ebs_volume *volume, uint64_t offset,
			uint64_t size)
{
	memset((uint8_t *)volume->memory + offset, 0, size);
}

static void memory_close(struct ebs_volume *volume)
{
	free(volume->taken.bits);
	ebs_volume_release(volume);
}

static void memory_expect(const struct ebs_volume *volume,
			  enum ebs_volume_op op, uint64_t offset, uint64_t size)
{
	if (op == EBS_VOLUME_READ)
		ebs_copy_expect((const uint8_t *)volume->memory + offset, size);
}

const struct ebs_volume_engine ebs_volume_memory = {
	.name = "memory",
	.is_cipher = true,
	.open = memory_open,
	.submit = memory_submit,
	.expect = memory_expect,
	.zero = memory_zero,
	.close = memory_close,
};
