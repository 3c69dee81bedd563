/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The seam's near side: opens a volume with the engine that its configuration
 * asks for, and lets only requests through that the engine can trust: inside
 * the volume, and no change to one that is read-only.
 */
#include "ebs-nvme/volume.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "ebs-nvme/volume/copy.h"
#include "ebs-nvme/volume/crypt.h"
#include "ebs-nvme/volume/engine.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"

#define BLOCK_SIZE 512

static const struct ebs_volume_engine *
find_engine(const struct ebs_volume_config *config)
{
	const struct ebs_volume_engine *engine = NULL;
	unsigned int count = 0;

	if (config->file) {
		engine = &ebs_volume_file;
		count++;
	}
	if (config->memory_size) {
		engine = &ebs_volume_memory;
		count++;
	}
	if (config->null_size) {
		engine = &ebs_volume_null;
		count++;
	}
	return count == 1 ? engine : NULL;
}

int ebs_volume_open(struct rt_loop *loop,
		    const struct ebs_volume_config *config,
		    struct ebs_volume **out, struct rt_error *error)
{
	RT_FREE struct ebs_volume *volume = calloc(1, sizeof *volume);
	int err;

	if (!volume)
		return rt_error_set(error, -ENOMEM, "no memory for a volume");
	volume->engine = find_engine(config);
	if (!volume->engine)
		return rt_error_set(error, -EINVAL,
				    "a volume is one of a file, memory of a "
				    "size, or nothing of a size");
	volume->loop = loop;
	volume->fd = -1;
	volume->direct_fd = -1;
	volume->is_read_only = config->is_read_only;
	if (config->encrypted == EBS_VOLUME_ENCRYPTED) {
		err = ebs_crypt_create(&volume->crypt, error);
		if (err)
			return err;
		volume->needs_bounce = !volume->engine->is_cipher;
	}
	err = volume->engine->open(volume, config, error);
	if (err) {
		ebs_crypt_destroy(&volume->crypt);
		return err;
	}
	*out = volume;
	volume = NULL;
	return 0;
}

static bool is_change(const struct ebs_volume_io *io)
{
	return io->op == EBS_VOLUME_WRITE || io->op == EBS_VOLUME_DISCARD ||
	       io->op == EBS_VOLUME_WRITE_ZEROES;
}

static bool is_transfer(const struct ebs_volume_io *io)
{
	return io->op == EBS_VOLUME_READ || io->op == EBS_VOLUME_WRITE;
}

static bool is_inside(const struct ebs_volume *volume,
		      const struct ebs_volume_io *io)
{
	return io->offset <= volume->size &&
	       io->size <= volume->size - io->offset;
}

int ebs_volume_submit(struct ebs_volume *volume, struct ebs_volume_io *io)
{
	io->volume = volume;
	io->transferred = 0;
	if (io->op == EBS_VOLUME_FLUSH)
		return volume->engine->submit(volume, io);
	if (!is_inside(volume, io))
		return -EINVAL;
	if (volume->is_read_only && is_change(io))
		return -EROFS;
	if (io->op == EBS_VOLUME_DISCARD && !volume->can_discard)
		return -EOPNOTSUPP;
	if (!io->size)
		return 0;
	if (volume->crypt && is_transfer(io))
		return ebs_crypt_submit(volume, io);
	return volume->engine->submit(volume, io);
}

void ebs_volume_fence(void)
{
	ebs_copy_fence();
}

void ebs_volume_close(struct ebs_volume **volume)
{
	if (!*volume)
		return;
	(*volume)->engine->close(*volume);
	ebs_crypt_destroy(&(*volume)->crypt);
	free(*volume);
	*volume = NULL;
}

int ebs_volume_set_size(struct ebs_volume *volume, uint64_t size,
			struct rt_error *error)
{
	if (size % BLOCK_SIZE) {
		rt_error_set(error, -EINVAL,
			     "a volume of %" PRIu64 " bytes does not consist "
			     "of whole blocks of %d bytes",
			     size, BLOCK_SIZE);
		rt_error_hint(error, "make it %" PRIu64 " bytes",
			      size / BLOCK_SIZE * BLOCK_SIZE + BLOCK_SIZE);
		return -EINVAL;
	}
	volume->size = size;
	return 0;
}

int ebs_volume_reserve(struct ebs_volume *volume, uint64_t size, int protection,
		       struct rt_error *error)
{
	void *memory = mmap(NULL, size, protection,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return rt_error_set(error, -errno,
				    "cannot reserve %" PRIu64
				    " bytes of memory: %s",
				    size, rt_errno_name(errno));
	volume->memory = memory;
	volume->memory_size = size;
	return 0;
}

void ebs_volume_release(struct ebs_volume *volume)
{
	if (volume->memory)
		munmap(volume->memory, volume->memory_size);
	volume->memory = NULL;
}
