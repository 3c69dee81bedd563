/* SPDX-License-Identifier: BSD-3-Clause */
/* See toy_function.h.  One thread; owns its buffers. */
#include "tests/fuzz/toy_function.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"

#define TOY_REGS 0x100

struct toy_state {
	uint8_t regs[TOY_REGS];
};

static const struct pcie_identity toy_identity = {
	.vendor = 0x1d0f,
	.device = 0xfffe,
	.class_code = 0xff0000,
	.has_intx = true,
	.has_pm = true,
	.has_aer = true,
	.serial = 0x0123456789abcdef,
	.msi_vectors = 8,
	.msix_vectors = 70,
	.msix_bar = 0,
	.msix_table_offset = 0x4000,
	.msix_pba_offset = 0x8000,
	.link_speed = 3,
	.link_width = 4,
	.bars = { [0] = { .size = 0x10000,
			  .is_64bit = true,
			  .mapped_offset = 0x1000,
			  .mapped_size = 0x1000 },
		  [2] = { .size = 0x1000 } },
};

static void settle(struct toy *toy)
{
	if (!toy->is_quiescing)
		return;
	for (unsigned int i = 0; i < TOY_OPS; i++) {
		if (toy->ops[i].is_busy)
			return;
	}
	toy->is_quiescing = false;
	pcie_function_quiesced(toy->fn);
}

static void dma_done(struct pcie_dma_op *op, int status)
{
	struct toy_op *o = rt_container_of(op, struct toy_op, op);

	(void)status;
	o->is_busy = false;
	settle(op->fn->device);
}

static int start(struct toy *toy, struct toy_op *o, enum toy_dma kind)
{
	switch (kind) {
	case TOY_READ:
		return pcie_dma_readv(toy->fn, &o->op, &o->range, 1, o->buffer);
	case TOY_WRITE:
		return pcie_dma_writev(toy->fn, &o->op, &o->range, 1,
				       o->buffer);
	case TOY_PUBLISH:
		return pcie_dma_publish(toy->fn, &o->op, o->range.iova & ~15u,
					o->buffer);
	default:
		return pcie_dma_check_shared(toy->fn, &o->op, o->range.iova,
					     o->range.size %
						     PCIE_DMA_CHECK_BYTES);
	}
}

void toy_start_dma(struct toy *toy, enum toy_dma kind, uint64_t iova,
		   uint32_t size)
{
	for (unsigned int i = 0; i < TOY_OPS; i++) {
		struct toy_op *o = &toy->ops[i];

		if (o->is_busy)
			continue;
		o->range = (struct pcie_dma_range){ iova, size % TOY_OP_BYTES };
		o->op.done = dma_done;
		o->is_busy = start(toy, o, kind) == -EINPROGRESS;
		return;
	}
}

void toy_hold(struct toy *toy, uint64_t iova, uint64_t size, bool is_write)
{
	struct iovec iov[4];
	unsigned int count = RT_COUNT(iov);

	toy_release(toy);
	toy->span_range = (struct pcie_dma_range){ iova, size };
	if (pcie_dma_hold(toy->fn, &toy->span, &toy->span_range, 1, is_write,
			  iov, &count) < 0)
		return;
	/* Touch both ends: what was promised must be there. */
	for (unsigned int i = 0; i < count; i++) {
		volatile uint8_t *bytes = iov[i].iov_base;
		uint8_t last = bytes[iov[i].iov_len - 1];

		if (is_write)
			bytes[0] = last;
	}
}

void toy_release(struct toy *toy)
{
	if (toy->span.is_held)
		(void)pcie_dma_release(toy->fn, &toy->span);
}

static void toy_destroy(struct pcie_function *fn)
{
	struct toy *toy = fn->device;

	for (unsigned int i = 0; toy && i < TOY_OPS; i++)
		free(toy->ops[i].buffer);
	free(toy);
	fn->device = NULL;
}

static int toy_create(struct pcie_function *fn, const void *config,
		      struct rt_error *error)
{
	struct toy *toy = calloc(1, sizeof *toy);

	(void)config;
	if (!toy)
		return rt_error_set(error, -ENOMEM, "no memory");
	toy->fn = fn;
	fn->device = toy;
	fn->identity = toy_identity;
	for (unsigned int i = 0; i < TOY_OPS; i++) {
		toy->ops[i].buffer = malloc(TOY_OP_BYTES);
		if (toy->ops[i].buffer)
			continue;
		toy_destroy(fn);
		return rt_error_set(error, -ENOMEM, "no memory");
	}
	return 0;
}

static uint64_t toy_bar_read(struct pcie_function *fn, unsigned int bar,
			     uint64_t offset, unsigned int size)
{
	struct toy_state *state = fn->device_state;

	if (bar != 0 || offset > TOY_REGS - size)
		return 0;
	return le_load(state->regs + offset, size);
}

static void toy_bar_write(struct pcie_function *fn, unsigned int bar,
			  uint64_t offset, unsigned int size, uint64_t value)
{
	struct toy_state *state = fn->device_state;

	if (bar == 2)
		pcie_intx_set(fn, value & 1);
	if (bar != 0 || offset > TOY_REGS - size)
		return;
	le_store(state->regs + offset, size, value);
	if (offset == 0x10)
		toy_start_dma(fn->device, value & 3, le_load(state->regs, 8),
			      (uint32_t)le_load(state->regs + 8, 4));
	if (offset == 0x18)
		pcie_interrupt_raise(fn, (unsigned int)value % 70);
}

static void toy_quiesce(struct pcie_function *fn)
{
	struct toy *toy = fn->device;

	toy->is_quiescing = true;
	toy_release(toy);
	settle(toy);
}

static void toy_reset(struct pcie_function *fn, enum pcie_reset_reason why)
{
	(void)why;
	memset(fn->device_state, 0, sizeof(struct toy_state));
}

static int toy_resume(struct pcie_function *fn)
{
	(void)fn;
	return 0;
}

const struct pcie_function_type toy_function = {
	.name = "toy",
	.summary = "every capability and no purpose",
	.state_size = sizeof(struct toy_state),
	.create = toy_create,
	.destroy = toy_destroy,
	.bar_read = toy_bar_read,
	.bar_write = toy_bar_write,
	.quiesce = toy_quiesce,
	.reset = toy_reset,
	.resume = toy_resume,
};
