/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of the DMA code share: dma.c (operations), dma_window.c (the
 * table of windows and the spans) and dma_file.c (mapped files).
 *
 * A file is mapped once, whole, however many windows show parts of it: a guest
 * behind a virtual IOMMU makes and drops 100,000 windows a second.  A file that
 * has grown since is mapped again beside the old mapping, because spans keep
 * pointers into that.  A mapping without windows goes when no span is older
 * than the moment its last window went: epochs count these moments.
 */
#ifndef PCIE_MODEL_DMA_PRIVATE_H
#define PCIE_MODEL_DMA_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "pcie-model/dma.h"

#define PCIE_DMA_PAGE 4096u

struct rt_guard;

struct pcie_dma_file {
	dev_t device;
	ino_t inode;
	int fd; /* ours */
	uint8_t *bytes;
	uint64_t size;
	bool is_writeable;
	bool is_private; /* the guest does not see what we see: use messages */
	struct rt_guard *guard; /* NULL: sealed, it cannot be shortened */
	_Atomic bool told_damaged;
	unsigned int window_count;
	uint64_t dead_epoch; /* with no windows: since when */
	LIST_ENTRY(pcie_dma_file) entry;
};

struct pcie_dma_window {
	uint64_t first, last;       /* addresses, both inclusive */
	struct pcie_dma_file *file; /* NULL: by message */
	uint64_t offset;
	unsigned int protection;
};

/* A stretch of a range that lies in one window. */
struct pcie_dma_piece {
	uint8_t *bytes; /* NULL: by message */
	uint64_t size;
	struct pcie_dma_file *file;
};

/*
 * The window at iova and how far a stretch of at most size bytes (not 0) goes
 * in it.  0, -EFAULT, -EACCES.
 */
int pcie_dma_locate(struct pcie_function *fn, uint64_t iova, uint64_t size,
		    bool is_write, struct pcie_dma_piece *out);

/* The bytes of a file just touched were really there: 0 or -EFAULT. */
int pcie_dma_file_intact(struct pcie_function *fn, struct pcie_dma_file *file);

/*
 * The mapping for a window; *out is NULL if the descriptor is not memory that
 * we touch directly, or if there are too many.  0, -EINVAL, -EACCES, -ENOMEM.
 */
int pcie_dma_file_get(struct pcie_function *fn, int fd, uint64_t offset,
		      uint64_t size, unsigned int protection,
		      struct pcie_dma_file **out);
void pcie_dma_file_put(struct pcie_function *fn, struct pcie_dma_file *file);
/* Unmap what nobody needs any more; is_all: forget private ones as well. */
void pcie_dma_file_sweep(struct pcie_function *fn, bool is_all);
void pcie_dma_file_make_private(struct pcie_function *fn,
				struct pcie_dma_file *file);

/* Every range ends below 2^64: 0 or -EOVERFLOW. */
int pcie_dma_check_ranges(const struct pcie_dma_range *ranges,
			  unsigned int count);

#endif
