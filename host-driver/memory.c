/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory for DMA: what is the same for every bus.  One thread.  The memory
 * belongs to whoever asked for it.
 */
#include "host-driver/memory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host-driver/bus_private.h"

/* --- Pages that lie where they lie ---------------------------------------- */

static int compare_pages(const void *left, const void *right)
{
	const struct host_page *a = left, *b = right;

	return a->iova < b->iova ? -1 : a->iova > b->iova;
}

int host_pages_make(struct host_memory *memory, const uint64_t *iovas)
{
	size_t count = memory->size / memory->page_bytes;
	struct host_pages *p = calloc(1, sizeof *p);

	memory->pages = p;
	if (!p)
		return -ENOMEM;
	p->count = count;
	p->iovas = calloc(count, sizeof *p->iovas);
	p->sorted = calloc(count, sizeof *p->sorted);
	if (!p->iovas || !p->sorted)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		p->iovas[i] = iovas[i];
		p->sorted[i] =
			(struct host_page){ .iova = iovas[i],
					    .offset = i * memory->page_bytes };
	}
	qsort(p->sorted, count, sizeof *p->sorted, compare_pages);
	return 0;
}

void host_pages_free(struct host_pages **pages)
{
	if (!*pages)
		return;
	free((*pages)->iovas);
	free((*pages)->sorted);
	free(*pages);
	*pages = NULL;
}

/* The last page that starts at or before the address. */
static const struct host_page *find_page(const struct host_pages *p,
					 uint64_t iova)
{
	size_t low = 0, high = p->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (p->sorted[middle].iova <= iova)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? &p->sorted[low - 1] : NULL;
}

uint64_t host_memory_iova(const struct host_memory *memory, uint64_t offset)
{
	assert(offset < memory->size);
	if (!memory->pages)
		return memory->iova + offset;
	return memory->pages->iovas[offset / memory->page_bytes] +
	       offset % memory->page_bytes;
}

void *host_memory_at(const struct host_memory *memory, uint64_t iova)
{
	uint64_t base = memory->iova, size = memory->size, offset = 0;

	if (memory->pages) {
		const struct host_page *page = find_page(memory->pages, iova);

		if (!page)
			return NULL;
		base = page->iova;
		size = memory->page_bytes;
		offset = page->offset;
	}
	if (iova < base || iova - base >= size)
		return NULL;
	return (uint8_t *)memory->bytes + offset + (iova - base);
}

/* --- From making to freeing ----------------------------------------------- */

int host_memory_attach(struct host_function *fn, struct host_memory *memory)
{
	return fn->bus->memory_attach(fn, memory);
}

void host_memory_free(struct host_memory *memory)
{
	if (memory->bytes && memory->bytes != MAP_FAILED)
		munmap(memory->bytes, memory->size);
	if (memory->fd >= 0)
		close(memory->fd);
	host_pages_free(&memory->pages);
	memory->bytes = NULL;
	memory->fd = -1;
}

int host_memory_map(struct host_function *fn, uint64_t iova, uint64_t size,
		    bool is_shared, struct host_memory *out)
{
	int rc;

	*out = (struct host_memory){ .iova = iova,
				     .size = size,
				     .fd = -1,
				     .is_shared = is_shared,
				     .page_bytes = size };
	rc = fn->bus->memory_make(fn, out);
	if (rc == 0)
		rc = host_memory_attach(fn, out);
	if (rc < 0)
		host_memory_free(out);
	return rc;
}

int host_memory_unmap(struct host_function *fn, struct host_memory *memory)
{
	/* What the device asks meanwhile is still answered from it. */
	int rc = fn->bus->memory_detach(fn, memory);

	host_memory_free(memory);
	return rc;
}

/* --- Parts of it ---------------------------------------------------------- */

uint64_t host_take_memory(const struct host_memory *memory, uint64_t *used,
			  uint64_t size, uint64_t align)
{
	uint64_t stretch = memory->page_bytes;
	uint64_t start = (*used + align - 1) / align * align;

	if (size == 0 || size > stretch)
		return 0;
	/* What would cross into the next stretch starts there. */
	if (start % stretch + size > stretch)
		start = (start / stretch + 1) * stretch;
	if (start > memory->size || size > memory->size - start)
		return 0;
	*used = start + size;
	return host_memory_iova(memory, start);
}
