/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory engine: a volume in anonymous memory that is gone with the card.
 * Memory is taken from the host when a page is first written, in pieces of
 * 2 MiB where the host has them, and given back when whole pages are discarded
 * or zeroed.  A request is done when submit returns: it costs its copy.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ebs-nvme/volume/copy.h"
#include "ebs-nvme/volume/engine.h"
#include "firmware/rt/scope.h"

#define HUGE_PAGE (UINT64_C(2) << 20)

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
	if (is_large)
		align(volume);
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
	ebs_copy_out(at, io->iov, io->iov_count);
}

static void write_bytes(uint8_t *at, const struct ebs_volume_io *io)
{
	ebs_copy_in(io->volume->copy, at, io->iov, io->iov_count);
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

static int memory_submit(struct ebs_volume *volume, struct ebs_volume_io *io)
{
	uint8_t *bytes = volume->memory;

	actions[io->op](bytes + io->offset, io);
	return 0;
}

static void memory_expect(const struct ebs_volume *volume,
			  enum ebs_volume_op op, uint64_t offset, uint64_t size)
{
	if (op == EBS_VOLUME_READ)
		ebs_copy_expect((const uint8_t *)volume->memory + offset, size);
}

const struct ebs_volume_engine ebs_volume_memory = {
	.name = "memory",
	.open = memory_open,
	.submit = memory_submit,
	.expect = memory_expect,
	.close = ebs_volume_release,
};
