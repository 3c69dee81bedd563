/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory: the only door to it.
 *
 * A client gives windows of I/O virtual addresses (vfio-user DMA_MAP).  A
 * window with a descriptor of shared memory is mapped and reached directly;
 * one without is reached by messages (DMA_READ, DMA_WRITE) through the client.
 * Callers do not see the difference: an operation either is done when the call
 * returns, or is answered later.
 *
 * Nothing read here may be read a second time and trusted to be the same.
 *
 * Threads that pcie_function_hold() stops may look up and hold, each with its
 * own holder of spans, and copy with is_direct_only.
 */
#ifndef PCIE_MODEL_DMA_H
#define PCIE_MODEL_DMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "firmware/rt/guard.h"

struct pcie_function;
struct pcie_dma_file;
struct pcie_dma_window;

/* Largest DMA message; QEMU loses the stream above about 208 KiB. */
#define PCIE_DMA_MESSAGE_BYTES (128u * 1024)
#define PCIE_DMA_MAX_WINDOWS   65535u
#define PCIE_DMA_MAX_FILES     256u
#define PCIE_DMA_CHECK_BYTES   4096u

struct pcie_dma_range {
	uint64_t iova;
	uint64_t size;
};

/* One DMA_READ or DMA_WRITE on its way; owned by the struct pcie_dma_op. */
struct pcie_dma_message {
	bool is_write;
	uint64_t iova;
	void *data; /* read into, or written from */
	uint32_t size;
	/* status: 0, or a negative errno. */
	void (*done)(struct pcie_dma_message *message, int status);
	uint64_t token; /* the transport's */
};

/* Where an operation is. */
enum pcie_dma_place {
	PCIE_DMA_NOWHERE,
	PCIE_DMA_WAITING, /* for the transport to take its next message */
	PCIE_DMA_FLYING,  /* its message is with the client */
};

/*
 * An operation that may wait for the client.  The caller owns it and keeps it,
 * the ranges and the buffer in place until done(), which is called exactly once
 * if and only if the call returned -EINPROGRESS.
 */
struct pcie_dma_op {
	void (*done)(struct pcie_dma_op *op, int status);
	bool is_direct_only; /* -EREMOTE in place of a message */
	/* private from here */
	struct pcie_function *fn;
	bool is_write, is_check;
	enum pcie_dma_place place;
	const struct pcie_dma_range *ranges;
	struct pcie_dma_range single; /* ranges, where there is one */
	unsigned int range_count, range_index;
	uint64_t range_done;
	uint8_t *buffer;
	struct pcie_dma_message message;
	TAILQ_ENTRY(pcie_dma_op) entry;
};
TAILQ_HEAD(pcie_dma_op_list, pcie_dma_op);

/*
 * Copy between buffer and the ranges, in order; the buffer is as large as all
 * ranges together.  Returns
 *   0             done;
 *   -EINPROGRESS  op->done will be called;
 *   -EFAULT       a part is in no window, or its memory is gone;
 *   -EACCES       a window does not allow the access;
 *   -EOVERFLOW    a range wraps around 2^64;
 *   -EPERM        bus mastering is off (Command register bit 2).
 * After an error a part may have been copied.
 */
int pcie_dma_readv(struct pcie_function *fn, struct pcie_dma_op *op,
		   const struct pcie_dma_range *ranges, unsigned int count,
		   void *buffer);
int pcie_dma_writev(struct pcie_function *fn, struct pcie_dma_op *op,
		    const struct pcie_dma_range *ranges, unsigned int count,
		    const void *buffer);

/* The same for one range, which is kept in the op. */
int pcie_dma_read(struct pcie_function *fn, struct pcie_dma_op *op,
		  uint64_t iova, void *buffer, size_t size);
int pcie_dma_write(struct pcie_function *fn, struct pcie_dma_op *op,
		   uint64_t iova, const void *buffer, size_t size);

/*
 * The host's pointer to size bytes at iova; NULL if not all of them are in one
 * window of memory that is shared with us and allows the access.  It may be
 * kept and used as long as pcie_dma_generation() gives the same number, which
 * is to be asked after each return to the loop; what was copied is good if it
 * is still the same afterwards.
 */
void *pcie_dma_direct(struct pcie_function *fn, uint64_t iova, uint64_t size,
		      bool is_write);
uint64_t pcie_dma_generation(const struct pcie_function *fn);

/*
 * The same for many small pieces: what was found last is kept, so that looking
 * again costs no call.  A struct is for one function and one direction, and
 * begins as zeroes.
 */
struct pcie_dma_near {
	bool is_write;
	uint64_t generation, first, size; /* size 0: nothing was found yet */
	uint8_t *bytes;
	const struct pcie_dma *dma;
};
/* For _near() only: looks in the table. */
void *pcie_dma_far(struct pcie_function *fn, struct pcie_dma_near *near,
		   uint64_t iova, uint64_t *size);

/* The spans that one thread holds. */
struct pcie_dma_holder {
	TAILQ_HEAD(, pcie_dma_span) spans; /* the oldest first */
	LIST_ENTRY(pcie_dma_holder) entry;
};
/* On the function's thread; the holder stays in place until it is removed. */
void pcie_dma_add_holder(struct pcie_function *fn,
			 struct pcie_dma_holder *holder);
void pcie_dma_remove_holder(struct pcie_function *fn,
			    struct pcie_dma_holder *holder);

/*
 * Direct pointers for a storage engine, while the span is held.  A DMA_UNMAP
 * that overlaps a held span is answered only after its release.
 */
struct pcie_dma_span {
	struct pcie_dma_holder *holder; /* NULL: the function's own thread's */
	const struct pcie_dma_range *ranges; /* the holder's, in place */
	unsigned int range_count;
	bool is_held;
	uint64_t epoch; /* when it was held; see dma_private.h */
	uint64_t generation;
	TAILQ_ENTRY(pcie_dma_span) entry;
};

/*
 * Fill iov (at most *iov_count entries) with the host's pointers to the ranges,
 * joined where they touch.  is_write: the device writes guest memory.  Returns
 * 0 and sets *iov_count; -EREMOTE: a part is reached by message only (use
 * pcie_dma_readv or _writev with a buffer); -E2BIG: it needs more entries;
 * other errors as above.  On error nothing is held.
 */
int pcie_dma_hold(struct pcie_function *fn, struct pcie_dma_span *span,
		  const struct pcie_dma_range *ranges, unsigned int count,
		  bool is_write, struct iovec *iov, unsigned int *iov_count);
/* -EFAULT: the client took the memory away meanwhile; the data is not good. */
int pcie_dma_release(struct pcie_function *fn, struct pcie_dma_span *span);
/*
 * True: released, and nobody waits for it and the data is good.  False: it is
 * to be released on the function's thread.
 */
bool pcie_dma_try_release(struct pcie_function *fn, struct pcie_dma_span *span);
/* Whether any span is held; in a pcie_function_hold(). */
bool pcie_dma_is_held(const struct pcie_function *fn);

/*
 * Write a completion entry of 16 bytes whose last 4 make it valid: a guest that
 * sees those sees all of it.  As pcie_dma_write() otherwise.
 */
int pcie_dma_publish(struct pcie_function *fn, struct pcie_dma_op *op,
		     uint64_t iova, const void *entry16);

/* The same to memory of pcie_dma_direct(), which is aligned to 4 bytes. */
void pcie_dma_store_entry(void *to, const void *entry16);

/*
 * Is the memory we reach directly the memory the guest sees?  (QEMU hands over
 * the descriptor even when its own mapping is private.)  Compares size bytes
 * (at most 4096) at iova with the client's answer to a DMA_READ.  op->done gets
 * 0: the same, or nobody answered; -ESTALE: they differ; the window and all
 * others of its file are reached by message from now on, and the user was told
 * how to mend it.  Always returns -EINPROGRESS or 0 (nothing to compare).
 */
int pcie_dma_check_shared(struct pcie_function *fn, struct pcie_dma_op *op,
			  uint64_t iova, size_t size);

/* The function's table of windows; private to pcie-model. */
struct pcie_dma {
	struct pcie_dma_window *windows; /* sorted by iova */
	size_t window_count, window_room;
	_Atomic size_t last_hit; /* a guess */
	LIST_HEAD(, pcie_dma_file) files;
	unsigned int file_count;
	struct pcie_dma_holder own;
	LIST_HEAD(, pcie_dma_holder) holders; /* all */
	uint64_t epoch;
	uint64_t generation; /* of windows and what is behind them */
	struct pcie_dma_op_list waiting, flying;
	/* A DMA_UNMAP that waits for spans. */
	bool is_unmapping;
	uint64_t unmapping_first, unmapping_last;
	void (*unmapped)(struct pcie_function *fn, void *opaque);
	void *unmapped_opaque;
	/* pcie_dma_check_shared(), one at a time. */
	bool is_checking;
	unsigned int checks_left;
	uint8_t check_before[PCIE_DMA_CHECK_BYTES];
	uint8_t check_answer[PCIE_DMA_CHECK_BYTES];
	bool can_check; /* the client is known to answer DMA_READ */
	/* The largest message: the client's wish, PCIE_DMA_MESSAGE_BYTES at
	 * most. */
	uint32_t message_bytes;
	bool told_not_shared;
	bool told_not_memory;
	_Atomic bool told_nothing;
};

/*
 * The host's pointer to the first bytes at iova, and in *size how many of them
 * are there in one piece, of at most those asked for (1 or more); NULL: none.
 */
static inline void *pcie_dma_near(struct pcie_function *fn,
				  struct pcie_dma_near *near, uint64_t iova,
				  uint64_t *size)
{
	uint64_t offset = iova - near->first;

	if (offset < near->size && *size <= near->size - offset &&
	    near->generation == near->dma->generation + rt_guard_damages())
		return near->bytes + offset;
	return pcie_dma_far(fn, near, iova, size);
}

void pcie_dma_init(struct pcie_function *fn);
void pcie_dma_deinit(struct pcie_function *fn);

#define PCIE_DMA_READABLE  1u /* VFIO_DMA_MAP_FLAG_READ: the device may read */
#define PCIE_DMA_WRITEABLE 2u

/*
 * A client's DMA_MAP.  fd (-1: none) is borrowed.  Returns 0, -EEXIST
 * (overlap), -EINVAL (size 0, unaligned, wraps, outside the file), -ENOSPC (too
 * many), -EACCES (the descriptor does not allow it), -ENOMEM.  A descriptor
 * that is not memory (tmpfs, memfd, hugetlbfs) counts as none, so that no page
 * fault waits for a disk or a network.
 */
int pcie_dma_map(struct pcie_function *fn, uint64_t iova, uint64_t size,
		 unsigned int protection, int fd, uint64_t offset);

/*
 * A client's DMA_UNMAP of one whole window.  Nothing is reached through it any
 * more when this returns, except by spans held before.  0: done; -EINPROGRESS:
 * unmapped() is called, from pcie_dma_release(), when the last of those is
 * released; -ENOENT: no such window; -EBUSY: another unmap waits.
 */
int pcie_dma_unmap(struct pcie_function *fn, uint64_t iova, uint64_t size,
		   void (*unmapped)(struct pcie_function *fn, void *opaque),
		   void *opaque);
/* The same for all windows at once; *size is how much was mapped. */
int pcie_dma_unmap_every(struct pcie_function *fn,
			 void (*unmapped)(struct pcie_function *fn,
					  void *opaque),
			 void *opaque, uint64_t *size);
/* Do not wait for the spans any longer; what they reach stays in place. */
void pcie_dma_unmap_abandon(struct pcie_function *fn);

/* The client has gone: forget everything.  The function must hold no span. */
void pcie_dma_unmap_all(struct pcie_function *fn);

/*
 * Say in the log, once per client, that no memory is shared with us, if there
 * is memory and that is so.
 */
void pcie_dma_tell_sharing(struct pcie_function *fn);

/* The transport can take messages again. */
void pcie_dma_kick(struct pcie_function *fn);

/* Every waiting operation ends with -ECANCELED. */
void pcie_dma_cancel_all(struct pcie_function *fn);

#endif
