/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory engine: a volume in anonymous memory that is gone with the card.
 * Memory is taken from the host when a page is first written and given back
 * when whole pages are discarded or zeroed.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ebs-nvme/volume/engine.h"
#include "firmware/rt/scope.h"

static int memory_open(struct ebs_volume *volume,
		       const struct ebs_volume_config *config,
		       struct rt_error *error)
{
	int err = ebs_volume_set_size(volume, config->memory_size, error);

	if (err)
		return err;
	volume->can_discard = !config->is_read_only;
	err = ebs_volume_reserve(volume, volume->size, PROT_READ | PROT_WRITE,
				 error);
	if (err)
		return err;
	/* The guest's data is no part of a core file. */
	madvise(volume->memory, volume->memory_size, MADV_DONTDUMP);
	return 0;
}

static void read_bytes(uint8_t *at, const struct ebs_volume_io *io)
{
	for (unsigned int i = 0; i < io->iov_count; i++) {
		memcpy(io->iov[i].iov_base, at, io->iov[i].iov_len);
		at += io->iov[i].iov_len;
	}
}

static void write_bytes(uint8_t *at, const struct ebs_volume_io *io)
{
	for (unsigned int i = 0; i < io->iov_count; i++) {
		memcpy(at, io->iov[i].iov_base, io->iov[i].iov_len);
		at += io->iov[i].iov_len;
	}
}

static uintptr_t round_up(uintptr_t address, uintptr_t page)
{
	return (address + page - 1) & ~(page - 1);
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

const struct ebs_volume_engine ebs_volume_memory = {
	.name = "memory",
	.open = memory_open,
	.submit = memory_submit,
	.close = ebs_volume_release,
};
