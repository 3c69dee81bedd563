/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of windows that a client gave, sorted by address, and the spans
 * held in them.  On the function's loop thread, but for looking up and holding;
 * owns the table.
 *
 * A window leaves the table at once when the client takes it away; what is
 * delayed by spans is only the answer.  So no new request can prolong the wait.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "firmware/rt/guard.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "pcie-model/dma_private.h"
#include "pcie-model/function.h"

/* Windows at least this large may be guest RAM; smaller ones are BARs, ROMs. */
#define RAM_BYTES_MIN (UINT64_C(1) << 20)

/* The first window that ends at or after iova; window_count if none does. */
static size_t find_slot(const struct pcie_dma *dma, uint64_t iova)
{
	size_t low = 0, high = dma->window_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (dma->windows[middle].last < iova)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool contains(const struct pcie_dma_window *window, uint64_t iova)
{
	return iova >= window->first && iova <= window->last;
}

static struct pcie_dma_window *find_window(struct pcie_dma *dma, uint64_t iova)
{
	size_t slot =
		atomic_load_explicit(&dma->last_hit, memory_order_relaxed);

	if (slot < dma->window_count && contains(&dma->windows[slot], iova))
		return &dma->windows[slot];
	slot = find_slot(dma, iova);
	if (slot == dma->window_count || !contains(&dma->windows[slot], iova))
		return NULL;
	atomic_store_explicit(&dma->last_hit, slot, memory_order_relaxed);
	return &dma->windows[slot];
}

static int tell_nothing(struct pcie_function *fn)
{
	if (!fn->dma.window_count &&
	    !atomic_exchange(&fn->dma.told_nothing, true)) {
		rt_log_warn(fn->name,
			    "DMA fails: the client has given no memory.  With "
			    "cloud-hypervisor, add: --memory shared=on");
	}
	return -EFAULT;
}

int pcie_dma_locate(struct pcie_function *fn, uint64_t iova, uint64_t size,
		    bool is_write, struct pcie_dma_piece *out)
{
	struct pcie_dma_window *window = find_window(&fn->dma, iova);
	unsigned int needed = is_write ? PCIE_DMA_WRITEABLE : PCIE_DMA_READABLE;
	uint64_t rest;

	if (!window)
		return tell_nothing(fn);
	if (!(window->protection & needed))
		return -EACCES;
	rest = window->last - iova; /* one less than there is: no overflow */
	out->size = size - 1 > rest ? rest + 1 : size;
	out->file = window->file;
	out->bytes = NULL;
	if (!window->file || window->file->is_private)
		return 0;
	out->bytes =
		window->file->bytes + window->offset + (iova - window->first);
	return pcie_dma_file_intact(fn, window->file);
}

uint64_t pcie_dma_generation(const struct pcie_function *fn)
{
	return fn->dma.generation + rt_guard_damages();
}

void *pcie_dma_direct(struct pcie_function *fn, uint64_t iova, uint64_t size,
		      bool is_write)
{
	struct pcie_dma_piece piece;

	if (!size || iova + (size - 1) < iova ||
	    pcie_dma_locate(fn, iova, size, is_write, &piece) ||
	    piece.size < size)
		return NULL;
	return piece.bytes;
}

/* The whole window at iova, as far as it is in one direction reached. */
static void remember(struct pcie_function *fn, struct pcie_dma_near *near,
		     uint64_t iova, const struct pcie_dma_piece *piece)
{
	const struct pcie_dma_window *window = find_window(&fn->dma, iova);

	near->dma = &fn->dma;
	near->generation = pcie_dma_generation(fn);
	near->first = window->first;
	near->size = window->last - window->first;
	near->size += near->size != UINT64_MAX;
	near->bytes = piece->bytes - (iova - window->first);
}

void *pcie_dma_far(struct pcie_function *fn, struct pcie_dma_near *near,
		   uint64_t iova, uint64_t *size)
{
	struct pcie_dma_piece piece;

	if (!*size || pcie_dma_locate(fn, iova, *size, near->is_write, &piece))
		return NULL;
	if (!piece.bytes)
		return NULL;
	*size = piece.size;
	remember(fn, near, iova, &piece);
	return piece.bytes;
}

static int make_room(struct pcie_dma *dma)
{
	size_t room = dma->window_room ? 2 * dma->window_room : 16;
	struct pcie_dma_window *windows;

	if (dma->window_count == PCIE_DMA_MAX_WINDOWS)
		return -ENOSPC;
	if (dma->window_count < dma->window_room)
		return 0;
	windows = realloc(dma->windows, room * sizeof *windows);
	if (!windows)
		return -ENOMEM;
	dma->windows = windows;
	dma->window_room = room;
	return 0;
}

static void insert_window(struct pcie_dma *dma, size_t slot,
			  const struct pcie_dma_window *window)
{
	struct pcie_dma_window *at = &dma->windows[slot];

	memmove(at + 1, at, (dma->window_count - slot) * sizeof *at);
	*at = *window;
	dma->window_count++;
	dma->generation++;
}

static void remove_window(struct pcie_function *fn, size_t slot)
{
	struct pcie_dma *dma = &fn->dma;
	struct pcie_dma_window *at = &dma->windows[slot];
	struct pcie_dma_file *file = at->file;

	dma->generation++;
	dma->window_count--;
	memmove(at, at + 1, (dma->window_count - slot) * sizeof *at);
	if (file)
		pcie_dma_file_put(fn, file);
}

int pcie_dma_map(struct pcie_function *fn, uint64_t iova, uint64_t size,
		 unsigned int protection, int fd, uint64_t offset)
{
	struct pcie_dma *dma = &fn->dma;
	struct pcie_dma_window window = { .first = iova,
					  .last = iova + (size - 1),
					  .offset = offset,
					  .protection = protection };
	size_t slot;
	int error;

	if (!size || (iova | size) % PCIE_DMA_PAGE || window.last < iova)
		return -EINVAL;
	slot = find_slot(dma, iova);
	if (slot < dma->window_count && dma->windows[slot].first <= window.last)
		return -EEXIST;
	pcie_function_hold(fn);
	error = make_room(dma);
	if (!error && fd >= 0)
		error = pcie_dma_file_get(fn, fd, offset, size, protection,
					  &window.file);
	if (!error)
		insert_window(dma, slot, &window);
	pcie_function_let(fn);
	return error;
}

static bool overlaps(const struct pcie_dma_span *span, uint64_t first,
		     uint64_t last)
{
	for (unsigned int i = 0; i < span->range_count; i++) {
		const struct pcie_dma_range *range = &span->ranges[i];

		if (range->size && range->iova <= last &&
		    range->iova + (range->size - 1) >= first)
			return true;
	}
	return false;
}

static bool is_in_use(const struct pcie_dma *dma, uint64_t first, uint64_t last)
{
	struct pcie_dma_holder *holder;
	struct pcie_dma_span *span;

	LIST_FOREACH (holder, &dma->holders, entry)
		TAILQ_FOREACH (span, &holder->spans, entry)
			if (overlaps(span, first, last))
				return true;
	return false;
}

void pcie_dma_add_holder(struct pcie_function *fn,
			 struct pcie_dma_holder *holder)
{
	TAILQ_INIT(&holder->spans);
	LIST_INSERT_HEAD(&fn->dma.holders, holder, entry);
}

void pcie_dma_remove_holder(struct pcie_function *fn,
			    struct pcie_dma_holder *holder)
{
	(void)fn;
	assert(TAILQ_EMPTY(&holder->spans));
	LIST_REMOVE(holder, entry);
}

bool pcie_dma_is_held(const struct pcie_function *fn)
{
	const struct pcie_dma_holder *holder;
	bool is_held = false;

	LIST_FOREACH (holder, &fn->dma.holders, entry)
		is_held |= !TAILQ_EMPTY(&holder->spans);
	return is_held;
}

static int wait_for_spans(struct pcie_function *fn, uint64_t first,
			  uint64_t last,
			  void (*unmapped)(struct pcie_function *, void *),
			  void *opaque)
{
	struct pcie_dma *dma = &fn->dma;

	if (!is_in_use(dma, first, last))
		return 0;
	dma->is_unmapping = true;
	dma->unmapping_first = first;
	dma->unmapping_last = last;
	dma->unmapped = unmapped;
	dma->unmapped_opaque = opaque;
	return -EINPROGRESS;
}

int pcie_dma_unmap(struct pcie_function *fn, uint64_t iova, uint64_t size,
		   void (*unmapped)(struct pcie_function *fn, void *opaque),
		   void *opaque)
{
	struct pcie_dma *dma = &fn->dma;
	uint64_t last = iova + (size - 1);
	size_t slot = find_slot(dma, iova);
	int error;

	if (dma->is_unmapping)
		return -EBUSY;
	if (!size || slot == dma->window_count ||
	    dma->windows[slot].first != iova || dma->windows[slot].last != last)
		return -ENOENT;
	pcie_function_hold(fn);
	remove_window(fn, slot);
	error = wait_for_spans(fn, iova, last, unmapped, opaque);
	pcie_function_let(fn);
	return error;
}

static void drop_windows(struct pcie_function *fn)
{
	while (fn->dma.window_count)
		remove_window(fn, fn->dma.window_count - 1);
}

int pcie_dma_unmap_every(struct pcie_function *fn,
			 void (*unmapped)(struct pcie_function *fn,
					  void *opaque),
			 void *opaque, uint64_t *size)
{
	struct pcie_dma *dma = &fn->dma;
	int error;

	if (dma->is_unmapping)
		return -EBUSY;
	*size = 0;
	for (size_t i = 0; i < dma->window_count; i++)
		*size += dma->windows[i].last - dma->windows[i].first + 1;
	pcie_function_hold(fn);
	drop_windows(fn);
	error = wait_for_spans(fn, 0, UINT64_MAX, unmapped, opaque);
	pcie_function_let(fn);
	return error;
}

void pcie_dma_unmap_abandon(struct pcie_function *fn)
{
	fn->dma.is_unmapping = false;
}

void pcie_dma_unmap_all(struct pcie_function *fn)
{
	struct pcie_dma *dma = &fn->dma;

	pcie_function_hold(fn);
	assert(!pcie_dma_is_held(fn));
	dma->is_unmapping = false;
	drop_windows(fn);
	pcie_dma_file_sweep(fn, true);
	pcie_function_let(fn);
	dma->can_check = false;
	dma->told_not_shared = false;
	dma->told_not_memory = false;
	dma->told_nothing = false;
}

/* Add host memory to the vector, joined to the last entry where it touches. */
static int append(struct iovec *iov, unsigned int room, unsigned int *count,
		  const struct pcie_dma_piece *piece)
{
	struct iovec *end = *count ? &iov[*count - 1] : NULL;

	if (end && (uint8_t *)end->iov_base + end->iov_len == piece->bytes) {
		end->iov_len += piece->size;
		return 0;
	}
	if (*count == room)
		return -E2BIG;
	iov[(*count)++] = (struct iovec){ piece->bytes, piece->size };
	return 0;
}

static int append_range(struct pcie_function *fn, struct pcie_dma_range range,
			bool is_write, struct iovec *iov, unsigned int room,
			unsigned int *count)
{
	struct pcie_dma_piece piece;
	int error = 0;

	for (; range.size && !error; range.size -= piece.size) {
		error = pcie_dma_locate(fn, range.iova, range.size, is_write,
					&piece);
		if (error)
			break;
		error = piece.bytes ? append(iov, room, count, &piece)
				    : -EREMOTE;
		range.iova += piece.size;
	}
	return error;
}

static struct pcie_dma_holder *holder_of(struct pcie_function *fn,
					 const struct pcie_dma_span *span)
{
	return span->holder ? span->holder : &fn->dma.own;
}

int pcie_dma_hold(struct pcie_function *fn, struct pcie_dma_span *span,
		  const struct pcie_dma_range *ranges, unsigned int count,
		  bool is_write, struct iovec *iov, unsigned int *iov_count)
{
	unsigned int room = *iov_count;
	unsigned int used = 0;
	int error = pcie_dma_check_ranges(ranges, count);

	assert(!span->is_held);
	if (!pcie_bus_master_is_on(fn))
		return -EPERM;
	for (unsigned int i = 0; i < count && !error; i++)
		error = append_range(fn, ranges[i], is_write, iov, room, &used);
	if (error)
		return error;
	*iov_count = used;
	span->ranges = ranges;
	span->range_count = count;
	span->is_held = true;
	span->epoch = fn->dma.epoch;
	span->generation = pcie_dma_generation(fn);
	TAILQ_INSERT_TAIL(&holder_of(fn, span)->spans, span, entry);
	return 0;
}

bool pcie_dma_try_release(struct pcie_function *fn, struct pcie_dma_span *span)
{
	assert(span->is_held);
	if (span->generation != pcie_dma_generation(fn))
		return false;
	span->is_held = false;
	TAILQ_REMOVE(&holder_of(fn, span)->spans, span, entry);
	return true;
}

static int check_files(struct pcie_function *fn)
{
	struct pcie_dma_file *file;
	int error = 0;

	LIST_FOREACH (file, &fn->dma.files, entry)
		if (!error)
			error = pcie_dma_file_intact(fn, file);
	return error;
}

/* Its windows may have gone: whichever file is damaged, distrust it. */
static int release_late(struct pcie_function *fn)
{
	struct pcie_dma *dma = &fn->dma;
	int error = check_files(fn);

	pcie_dma_file_sweep(fn, false);
	if (dma->is_unmapping &&
	    !is_in_use(dma, dma->unmapping_first, dma->unmapping_last)) {
		dma->is_unmapping = false;
		dma->unmapped(fn, dma->unmapped_opaque);
	}
	return error;
}

int pcie_dma_release(struct pcie_function *fn, struct pcie_dma_span *span)
{
	int error;

	if (pcie_dma_try_release(fn, span))
		return 0; /* so nobody waits for it either */
	span->is_held = false;
	pcie_function_hold(fn);
	TAILQ_REMOVE(&holder_of(fn, span)->spans, span, entry);
	error = release_late(fn);
	pcie_function_let(fn);
	return error;
}

static bool may_be_ram(const struct pcie_dma_window *window)
{
	return window->protection == (PCIE_DMA_READABLE | PCIE_DMA_WRITEABLE) &&
	       window->last - window->first >= RAM_BYTES_MIN - 1;
}

static uint64_t ram_size(const struct pcie_dma *dma)
{
	uint64_t size = 0;

	for (size_t i = 0; i < dma->window_count; i++)
		if (may_be_ram(&dma->windows[i]))
			size += dma->windows[i].last - dma->windows[i].first +
				1;
	return size;
}

static bool is_any_shared(const struct pcie_dma *dma)
{
	for (size_t i = 0; i < dma->window_count; i++)
		if (dma->windows[i].file)
			return true;
	return false;
}

void pcie_dma_tell_sharing(struct pcie_function *fn)
{
	uint64_t size = ram_size(&fn->dma);

	if (fn->dma.told_not_shared || !size || is_any_shared(&fn->dma))
		return;
	fn->dma.told_not_shared = true;
	rt_log_warn(fn->name,
		    "guest memory is not shared with the card, so every access "
		    "to it is a slow message.  With QEMU, add: -object "
		    "memory-backend-memfd,id=mem,size=%" PRIu64
		    "M,share=on -machine memory-backend=mem",
		    size >> 20);
}
