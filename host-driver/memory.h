/* SPDX-License-Identifier: BSD-3-Clause */
/* What the buses share about memory for DMA. */
#ifndef HOST_DRIVER_MEMORY_H
#define HOST_DRIVER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host-driver/bus.h"

#define HOST_SMALL_PAGE UINT64_C(4096)
#define HOST_HUGE_PAGE  UINT64_C(0x200000)

/* The device's address of every page of a memory, by place and by address. */
struct host_page {
	uint64_t iova, offset;
};
struct host_pages {
	size_t count;
	uint64_t *iovas;
	struct host_page *sorted;
};

/*
 * Take the addresses of memory->size / memory->page_bytes pages into
 * memory->pages; -ENOMEM.  Pages that touch in both orders are still pages.
 */
int host_pages_make(struct host_memory *memory, const uint64_t *iovas);
void host_pages_free(struct host_pages **pages);

/*
 * Set size bytes of the memory aside, contiguous for the device, behind those
 * that are used.  Their device address; 0: no more, or more than page_bytes.
 */
uint64_t host_take_memory(const struct host_memory *memory, uint64_t *used,
			  uint64_t size, uint64_t align);

/* May that much memory be in huge pages? */
static inline bool host_is_huge(uint64_t size)
{
	return size > 0 && size % HOST_HUGE_PAGE == 0;
}

#endif
