/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The seam between the controller and the storage behind it.  An engine knows
 * bytes, never queues.  A volume is opened and closed on one thread; requests
 * come from any thread that runs a loop, several at a time.
 */
#ifndef EBS_NVME_VOLUME_H
#define EBS_NVME_VOLUME_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "ebs-nvme/volume/pieces.h"
#include "firmware/rt/loop.h"

struct ebs_crypt;
struct ebs_map;
struct ebs_volume;
struct rt_error;

enum ebs_volume_op {
	EBS_VOLUME_READ,
	EBS_VOLUME_WRITE,
	EBS_VOLUME_FLUSH,   /* all that was acknowledged is durable after it */
	EBS_VOLUME_DISCARD, /* the content becomes undefined or zero */
	EBS_VOLUME_WRITE_ZEROES,
};

/* One request; the caller owns it and the memory of iov until it is done. */
struct ebs_volume_io {
	struct rt_loop *loop; /* the submitting thread's */
	enum ebs_volume_op op;
	bool is_durable;       /* writes: on the medium before done (FUA) */
	bool is_fenced_later;  /* by the caller; see ebs_volume_submit() */
	uint64_t offset, size; /* bytes, inside the volume */
	/*
	 * Reads and writes: size bytes in all.  The array is the engine's to
	 * change until it is done.
	 */
	struct iovec *iov;
	unsigned int iov_count;
	/* Of an encrypted volume that needs_bounce: room for size bytes. */
	void *bounce;
	/* status: 0, or a negative errno.  On loop, never inside _submit(). */
	void (*done)(struct ebs_volume_io *io, int status);
	/* the engine's */
	struct ebs_volume *volume;
	struct rt_io rt;
	struct rt_task task;
	uint64_t transferred;
	int status;
	struct iovec zeroes;
	uint64_t piece;
	/* The cipher's, meanwhile. */
	struct iovec cipher_iov, *plain_iov;
	unsigned int plain_count;
	void (*plain_done)(struct ebs_volume_io *io, int status);
};

/* How a file is reached. */
enum ebs_volume_cache {
	EBS_VOLUME_CACHE_AUTO,
	EBS_VOLUME_CACHE_PAGE, /* the host's page cache keeps what was used */
	EBS_VOLUME_CACHE_DIRECT,
};

/* Whether what the engine gets is encrypted. */
enum ebs_volume_encrypted {
	EBS_VOLUME_ENCRYPTED_AUTO, /* as the kind of controller has it */
	EBS_VOLUME_ENCRYPTED,
	EBS_VOLUME_PLAIN,
};

struct ebs_volume_config {
	char *file;           /* path of a file or block device */
	unsigned int cache;   /* enum ebs_volume_cache, of a file */
	uint64_t memory_size; /* bytes of a volume in memory */
	uint64_t null_size;   /* bytes of a volume that forgets */
	bool is_read_only;
	unsigned int encrypted; /* enum ebs_volume_encrypted */
	char *kms_key_id;       /* of the key that wraps its own; NULL: EBS's */
	char *key_file;         /* NULL: where the card keeps keys */
};

struct ebs_volume_engine {
	const char *name; /* "file" */
	bool is_cipher;   /* it encrypts and decrypts by itself */
	int (*open)(struct ebs_volume *volume,
		    const struct ebs_volume_config *config,
		    struct rt_error *error);
	int (*submit)(struct ebs_volume *volume, struct ebs_volume_io *io);
	/* Optional; the range is inside the volume. */
	void (*expect)(const struct ebs_volume *volume, enum ebs_volume_op op,
		       uint64_t offset, uint64_t size);
	/*
	 * Optional, of encrypted volumes: true, all of the read or write is
	 * done, without a bounce.
	 */
	bool (*at_once)(struct ebs_volume *volume, struct ebs_volume_io *io);
	/* Optional: zeros there when it returns.  No request is on its way. */
	void (*zero)(struct ebs_volume *volume, uint64_t offset, uint64_t size);
	void (*close)(struct ebs_volume *volume);
};

/*
 * Who keeps the data keys of encrypted volumes, wrapped.  The card has one;
 * this room does not know which.  Any thread.
 */
struct ebs_key_keeper {
	/*
	 * The key of "vol-…"; it can be opened.  may_make: make one when
	 * there is none.
	 * kms_key_id names what wraps it, file where it is; NULL: as always.
	 */
	int (*find)(const char *volume_id, const char *kms_key_id,
		    const char *file, bool may_make, void **out,
		    struct rt_error *error);
	const char *(*wrapping)(const void *key); /* a name */
	/* EBS_KEY_BYTES of the key itself, into rt_secret memory. */
	int (*unwrap)(const void *key, uint8_t *out, struct rt_error *error);
	void (*forget)(void **key);
};

/* Before the first function is made; NULL: none, and so no encrypted EBS. */
void ebs_key_keeper_set(const struct ebs_key_keeper *keeper);

struct ebs_volume {
	const struct ebs_volume_engine *engine;
	struct rt_loop *loop; /* of the thread that opened it; borrowed */
	uint64_t size;        /* bytes, a multiple of 512 */
	bool is_read_only;
	_Atomic bool can_discard;
	struct ebs_crypt *crypt; /* NULL: it is not encrypted */
	bool needs_bounce;       /* its requests bring one */

	/* The file engine's. */
	int fd;                /* through the page cache */
	int direct_fd;         /* past it; -1: not wanted */
	uint32_t memory_align; /* that direct_fd asks for: powers of 2 */
	uint32_t offset_align;
	bool is_in_memory;   /* no disk behind it: a transfer never waits */
	struct ebs_map *map; /* of what is in memory; NULL: there is none */
	/* Transfers in a row that could not be done at once; a guess. */
	_Atomic unsigned int misses[EBS_VOLUME_WRITE + 1], untried;
	_Atomic int sync_error; /* a flush that failed stays failed */
	/* Of those it knows, the first that works. */
	_Atomic unsigned int zero_method;

	/* The memory engine's: the bytes.  The file engine's: zeros. */
	void *memory;
	size_t memory_size;
	void (*copy)(void *to, const void *from, size_t size);
	struct ebs_pieces taken; /* from the host */
};

/* Exactly one of file, memory_size and null_size is set in config. */
int ebs_volume_open(struct rt_loop *loop,
		    const struct ebs_volume_config *config,
		    struct ebs_volume **out, struct rt_error *error);
/*
 * 0 or a negative errno: it is done, and done() will not be called.
 * -EINPROGRESS: done() will be.
 *
 * With is_fenced_later, what was written and is done at once may not be seen by
 * other threads before the caller has called ebs_volume_fence(), which serves
 * any number of writes.
 *
 * Statuses to expect: -EINVAL (not inside the volume), -EROFS, -EOPNOTSUPP (a
 * discard that the volume cannot do), -ENOKEY (it is locked), -ENOSPC, -EIO and
 * what else the host's storage says.  After a failed flush every flush and
 * every durable write fails: what was lost cannot be made durable any more.
 */
int ebs_volume_submit(struct ebs_volume *volume, struct ebs_volume_io *io);
void ebs_volume_fence(void);

/* For callers whose done() may run inside: it is called, now or later. */
static inline void ebs_volume_run(struct ebs_volume *volume,
				  struct ebs_volume_io *io)
{
	int status = ebs_volume_submit(volume, io);

	if (status != -EINPROGRESS)
		io->done(io, status);
}

/*
 * A request like this will come soon, though not next: a hint, from which the
 * engine may fetch what it is slow to reach.  Nothing about it must be true.
 */
static inline void ebs_volume_expect(const struct ebs_volume *volume,
				     enum ebs_volume_op op, uint64_t offset,
				     uint64_t size)
{
	if (volume->engine->expect && offset <= volume->size &&
	    size <= volume->size - offset)
		volume->engine->expect(volume, op, offset, size);
}

/* No request may be on its way. */
void ebs_volume_close(struct ebs_volume **volume);

#endif
