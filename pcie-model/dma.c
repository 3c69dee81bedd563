/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA operations: copies between the device and guest memory, in pieces that
 * each lie in one window.  On the function's loop thread.
 *
 * An operation walks its ranges.  Pieces in shared memory are copied on the
 * spot.  For any other piece one message goes to the client and the walk goes
 * on when it is answered:
 *
 *                 shared piece
 *                   ┌──────┐
 *   begin ──────► step ◄───┘ ── all copied, or an error ──► finish
 *                 │  ▲ ▲
 *    full, -EAGAIN│  │ └───── answered ───── flying ◄─┐
 *                 ▼  │ kick                           │ sent
 *               waiting ──────────────────────────────┘
 *
 * Windows are looked up anew at each step, so no pointer is kept while an
 * operation waits and a client may change its windows at any time.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "pcie-model/dma_private.h"
#include "pcie-model/function.h"

/* Completion entries: the last word makes the others valid. */
#define ENTRY_BYTES 16u
#define ENTRY_HEAD  12u

/* How often memory that differs from the client's answer is looked at again:
 * the guest may be writing to it. */
#define CHECK_TRIES 3u

int pcie_dma_check_ranges(const struct pcie_dma_range *ranges,
			  unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (ranges[i].size &&
		    ranges[i].iova + (ranges[i].size - 1) < ranges[i].iova)
			return -EOVERFLOW;
	return 0;
}

static void place(struct pcie_dma_op *op, enum pcie_dma_place where,
		  bool is_first)
{
	struct pcie_dma *dma = &op->fn->dma;

	if (op->place == PCIE_DMA_WAITING)
		TAILQ_REMOVE(&dma->waiting, op, entry);
	if (op->place == PCIE_DMA_FLYING)
		TAILQ_REMOVE(&dma->flying, op, entry);
	op->place = where;
	if (where == PCIE_DMA_WAITING && is_first)
		TAILQ_INSERT_HEAD(&dma->waiting, op, entry);
	else if (where == PCIE_DMA_WAITING)
		TAILQ_INSERT_TAIL(&dma->waiting, op, entry);
	if (where == PCIE_DMA_FLYING)
		TAILQ_INSERT_TAIL(&dma->flying, op, entry);
}

static void finish(struct pcie_dma_op *op, int status)
{
	place(op, PCIE_DMA_NOWHERE, false);
	if (op->is_check)
		op->fn->dma.is_checking = false;
	op->done(op, status);
}

/* 0: it flies; -EAGAIN: not now. */
static int send_message(struct pcie_dma_op *op)
{
	struct pcie_transport *transport = &op->fn->transport;
	int error;

	if (!transport->dma_start)
		return -EFAULT;
	error = transport->dma_start(transport->opaque, &op->message);
	if (!error)
		place(op, PCIE_DMA_FLYING, false);
	return error;
}

static void message_done(struct pcie_dma_message *message, int status);

static int start_message(struct pcie_dma_op *op, uint64_t iova, uint64_t size)
{
	if (size > op->fn->dma.message_bytes)
		size = op->fn->dma.message_bytes;
	pcie_dma_tell_sharing(op->fn);
	op->message = (struct pcie_dma_message){ .is_write = op->is_write,
						 .iova = iova,
						 .data = op->buffer,
						 .size = (uint32_t)size,
						 .done = message_done };
	return send_message(op);
}

static void advance(struct pcie_dma_op *op, uint64_t size)
{
	op->buffer += size;
	op->range_done += size;
}

static int copy_piece(struct pcie_dma_op *op,
		      const struct pcie_dma_piece *piece)
{
	if (op->is_write)
		memcpy(piece->bytes, op->buffer, piece->size);
	else
		memcpy(op->buffer, piece->bytes, piece->size);
	advance(op, piece->size);
	return pcie_dma_file_intact(op->fn, piece->file);
}

static const struct pcie_dma_range *current_range(struct pcie_dma_op *op)
{
	while (op->range_index < op->range_count &&
	       op->range_done == op->ranges[op->range_index].size) {
		op->range_index++;
		op->range_done = 0;
	}
	if (op->range_index == op->range_count)
		return NULL;
	return &op->ranges[op->range_index];
}

static int ask_client(struct pcie_dma_op *op);

/* Go on: 0, -EINPROGRESS (it flies), -EAGAIN (it must wait), or an error. */
static int step(struct pcie_dma_op *op)
{
	const struct pcie_dma_range *range;
	struct pcie_dma_piece piece;
	int error;

	if (op->is_check)
		return ask_client(op);
	if (!pcie_bus_master_is_on(op->fn))
		return -EPERM;
	while ((range = current_range(op))) {
		uint64_t iova = range->iova + op->range_done;

		error = pcie_dma_locate(op->fn, iova,
					range->size - op->range_done,
					op->is_write, &piece);
		if (error)
			return error;
		if (!piece.bytes && op->is_direct_only)
			return -EREMOTE;
		if (!piece.bytes) {
			error = start_message(op, iova, piece.size);
			return error ? error : -EINPROGRESS;
		}
		error = copy_piece(op, &piece);
		if (error)
			return error;
	}
	return 0;
}

/* False: the transport is full. */
static bool go_on(struct pcie_dma_op *op, bool is_first)
{
	int error = step(op);

	if (error == -EAGAIN)
		place(op, PCIE_DMA_WAITING, is_first);
	else if (error != -EINPROGRESS)
		finish(op, error);
	return error != -EAGAIN;
}

static void message_done(struct pcie_dma_message *message, int status)
{
	struct pcie_dma_op *op =
		rt_container_of(message, struct pcie_dma_op, message);
	struct pcie_function *fn = op->fn;

	pcie_function_hold(fn);
	place(op, PCIE_DMA_NOWHERE, false);
	if (status) {
		finish(op, status);
	} else {
		advance(op, message->size);
		go_on(op, false);
	}
	pcie_dma_kick(fn);
	pcie_function_let(fn);
}

void pcie_dma_kick(struct pcie_function *fn)
{
	struct pcie_dma_op *op;

	if (TAILQ_EMPTY(&fn->dma.waiting))
		return;
	pcie_function_hold(fn);
	while ((op = TAILQ_FIRST(&fn->dma.waiting))) {
		place(op, PCIE_DMA_NOWHERE, false);
		if (!go_on(op, true))
			break;
	}
	pcie_function_let(fn);
}

static int begin(struct pcie_dma_op *op)
{
	int error = pcie_dma_check_ranges(op->ranges, op->range_count);

	op->place = PCIE_DMA_NOWHERE;
	op->range_index = 0;
	op->range_done = 0;
	if (!error)
		error = step(op);
	if (error != -EAGAIN)
		return error;
	place(op, PCIE_DMA_WAITING, false);
	return -EINPROGRESS;
}

int pcie_dma_readv(struct pcie_function *fn, struct pcie_dma_op *op,
		   const struct pcie_dma_range *ranges, unsigned int count,
		   void *buffer)
{
	op->fn = fn;
	op->is_write = false;
	op->is_check = false;
	op->ranges = ranges;
	op->range_count = count;
	op->buffer = buffer;
	return begin(op);
}

int pcie_dma_writev(struct pcie_function *fn, struct pcie_dma_op *op,
		    const struct pcie_dma_range *ranges, unsigned int count,
		    const void *buffer)
{
	op->fn = fn;
	op->is_write = true;
	op->is_check = false;
	op->ranges = ranges;
	op->range_count = count;
	/* Only read from: is_write says so wherever it is used. */
	op->buffer = (void *)(uintptr_t)buffer;
	return begin(op);
}

int pcie_dma_read(struct pcie_function *fn, struct pcie_dma_op *op,
		  uint64_t iova, void *buffer, size_t size)
{
	op->single = (struct pcie_dma_range){ iova, size };
	return pcie_dma_readv(fn, op, &op->single, 1, buffer);
}

int pcie_dma_write(struct pcie_function *fn, struct pcie_dma_op *op,
		   uint64_t iova, const void *buffer, size_t size)
{
	op->single = (struct pcie_dma_range){ iova, size };
	return pcie_dma_writev(fn, op, &op->single, 1, buffer);
}

void pcie_dma_store_entry(void *to, const void *entry16)
{
	const uint8_t *entry = entry16;
	uint8_t *at = to;
	uint32_t last;

	memcpy(at, entry, ENTRY_HEAD);
	memcpy(&last, entry + ENTRY_HEAD, sizeof last);
	atomic_store_explicit((_Atomic uint32_t *)(void *)(at + ENTRY_HEAD),
			      last, memory_order_release);
}

int pcie_dma_publish(struct pcie_function *fn, struct pcie_dma_op *op,
		     uint64_t iova, const void *entry16)
{
	struct pcie_dma_piece piece;
	int error;

	if (!pcie_bus_master_is_on(fn))
		return -EPERM;
	error = pcie_dma_locate(fn, iova, ENTRY_BYTES, true, &piece);
	if (error)
		return error;
	/* The rest is written in order, which is as good as it gets. */
	if (!piece.bytes || piece.size < ENTRY_BYTES || iova % sizeof(uint32_t))
		return pcie_dma_write(fn, op, iova, entry16, ENTRY_BYTES);
	pcie_dma_store_entry(piece.bytes, entry16);
	return pcie_dma_file_intact(fn, piece.file);
}

/* Shared memory of the whole range, or NULL. */
static const uint8_t *find_direct(struct pcie_function *fn,
				  const struct pcie_dma_range *range,
				  struct pcie_dma_file **out)
{
	struct pcie_dma_piece piece;

	if (pcie_dma_locate(fn, range->iova, range->size, false, &piece) ||
	    piece.size < range->size)
		return NULL;
	*out = piece.file;
	return piece.bytes;
}

/* Each byte is what it was before or after the client read it. */
static bool is_plausible(const struct pcie_dma *dma, const uint8_t *now,
			 uint64_t size)
{
	for (uint64_t i = 0; i < size; i++)
		if (dma->check_answer[i] != dma->check_before[i] &&
		    dma->check_answer[i] != now[i])
			return false;
	return true;
}

static void check_done(struct pcie_dma_message *message, int status);

/* As step().  0: there is nothing to compare. */
static int ask_client(struct pcie_dma_op *op)
{
	struct pcie_dma *dma = &op->fn->dma;
	struct pcie_dma_file *file = NULL;
	const uint8_t *bytes = find_direct(op->fn, &op->single, &file);
	int error;

	if (!bytes || !pcie_bus_master_is_on(op->fn))
		return 0;
	memcpy(dma->check_before, bytes, op->single.size);
	op->message =
		(struct pcie_dma_message){ .iova = op->single.iova,
					   .data = dma->check_answer,
					   .size = (uint32_t)op->single.size,
					   .done = check_done };
	error = send_message(op);
	if (!error)
		return -EINPROGRESS;
	return error == -EAGAIN ? -EAGAIN : 0;
}

static int tell_private(struct pcie_function *fn, struct pcie_dma_file *file)
{
	pcie_dma_file_make_private(fn, file);
	rt_log_warn(fn->name, "guest memory is not shared with the card: its "
			      "pages are private to the hypervisor, so every "
			      "access is a slow message.  Give the memory "
			      "backend share=on");
	return -ESTALE;
}

static void check_done(struct pcie_dma_message *message, int status)
{
	struct pcie_dma_op *op =
		rt_container_of(message, struct pcie_dma_op, message);
	struct pcie_function *fn = op->fn;
	struct pcie_dma_file *file = NULL;
	const uint8_t *now = find_direct(fn, &op->single, &file);

	pcie_function_hold(fn);
	place(op, PCIE_DMA_NOWHERE, false);
	if (status || !now || is_plausible(&fn->dma, now, op->single.size))
		finish(op, 0);
	else if (--fn->dma.checks_left)
		go_on(op, true);
	else
		finish(op, tell_private(fn, file));
	pcie_dma_kick(fn);
	pcie_function_let(fn);
}

int pcie_dma_check_shared(struct pcie_function *fn, struct pcie_dma_op *op,
			  uint64_t iova, size_t size)
{
	struct pcie_dma *dma = &fn->dma;
	int error;

	if (!dma->can_check || dma->is_checking || !size ||
	    size > PCIE_DMA_CHECK_BYTES || size > dma->message_bytes)
		return 0;
	op->fn = fn;
	op->is_write = false;
	op->is_check = true;
	op->single = (struct pcie_dma_range){ iova, size };
	op->ranges = &op->single;
	op->range_count = 1;
	dma->checks_left = CHECK_TRIES;
	error = begin(op);
	dma->is_checking = error == -EINPROGRESS;
	return dma->is_checking ? -EINPROGRESS : 0;
}

static void cancel_flying(struct pcie_dma_op *op)
{
	struct pcie_transport *transport = &op->fn->transport;

	if (transport->dma_cancel)
		transport->dma_cancel(transport->opaque, &op->message);
}

/* done() may start another operation: only those there now are ended. */
void pcie_dma_cancel_all(struct pcie_function *fn)
{
	struct pcie_dma_op_list all = TAILQ_HEAD_INITIALIZER(all);
	struct pcie_dma_op *op;

	if (TAILQ_EMPTY(&fn->dma.flying) && TAILQ_EMPTY(&fn->dma.waiting))
		return;
	pcie_function_hold(fn);
	TAILQ_FOREACH (op, &fn->dma.flying, entry)
		cancel_flying(op);
	TAILQ_CONCAT(&all, &fn->dma.flying, entry);
	TAILQ_CONCAT(&all, &fn->dma.waiting, entry);
	fn->dma.is_checking = false;
	while ((op = TAILQ_FIRST(&all))) {
		TAILQ_REMOVE(&all, op, entry);
		op->place = PCIE_DMA_NOWHERE;
		op->done(op, -ECANCELED);
	}
	pcie_function_let(fn);
}

void pcie_dma_init(struct pcie_function *fn)
{
	struct pcie_dma *dma = &fn->dma;

	*dma = (struct pcie_dma){ 0 };
	LIST_INIT(&dma->files);
	LIST_INIT(&dma->holders);
	pcie_dma_add_holder(fn, &dma->own);
	TAILQ_INIT(&dma->waiting);
	TAILQ_INIT(&dma->flying);
	dma->message_bytes = PCIE_DMA_MESSAGE_BYTES;
}

void pcie_dma_deinit(struct pcie_function *fn)
{
	pcie_dma_cancel_all(fn);
	pcie_dma_unmap_all(fn);
	free(fn->dma.windows);
	fn->dma.windows = NULL;
	fn->dma.window_room = 0;
}
