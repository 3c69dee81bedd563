/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Register files.  The table says what a write may change; an access of any
 * size and alignment is cut into the registers that it touches, in the order of
 * the table.  No state of its own; the function's loop thread.
 */
#include <stdbool.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "pcie-model/regs.h"

/* The bytes that an access and a register have in common. */
struct overlap {
	unsigned int in_reg, in_access, size;
};

static bool find_overlap(const struct pcie_reg *reg, uint64_t offset,
			 unsigned int size, struct overlap *out)
{
	uint64_t end = offset + size,
		 reg_end = (uint64_t)reg->offset + reg->size;
	uint64_t from = offset > reg->offset ? offset : reg->offset;
	uint64_t to = end < reg_end ? end : reg_end;

	if (end < offset || from >= to)
		return false;
	out->in_reg = (unsigned int)(from - reg->offset);
	out->in_access = (unsigned int)(from - offset);
	out->size = (unsigned int)(to - from);
	return true;
}

void pcie_regs_reset(const struct pcie_reg *regs, size_t count, void *store)
{
	for (size_t i = 0; i < count; i++)
		le_store((uint8_t *)store + regs[i].offset, regs[i].size,
			 regs[i].reset);
}

uint64_t pcie_regs_read(const struct pcie_reg *regs, size_t count,
			const void *store, uint64_t offset, unsigned int size)
{
	uint8_t bytes[8] = { 0 };
	struct overlap o;

	for (size_t i = 0; i < count; i++)
		if (find_overlap(&regs[i], offset, size, &o))
			memcpy(bytes + o.in_access,
			       (const uint8_t *)store + regs[i].offset +
				       o.in_reg,
			       o.size);
	return le_load(bytes, size);
}

static void write_register(struct pcie_function *fn, const struct pcie_reg *reg,
			   void *store, const uint8_t *bytes,
			   const struct overlap *o)
{
	uint8_t *at = (uint8_t *)store + reg->offset;
	uint64_t before = le_load(at, reg->size);
	uint8_t merged[8], ones[8] = { 0 };
	uint64_t written, cleared, now;

	memcpy(merged, at, reg->size);
	memcpy(merged + o->in_reg, bytes + o->in_access, o->size);
	written = le_load(merged, reg->size);
	/* Lanes that the access does not cover clear nothing. */
	memcpy(ones + o->in_reg, bytes + o->in_access, o->size);
	cleared = le_load(ones, reg->size) & reg->w1c;
	now = (before & ~reg->writable) | (written & reg->writable);
	le_store(at, reg->size, now & ~cleared);
	if (reg->wrote)
		reg->wrote(fn, before, written);
}

void pcie_regs_write(struct pcie_function *fn, const struct pcie_reg *regs,
		     size_t count, void *store, uint64_t offset,
		     unsigned int size, uint64_t value)
{
	uint8_t bytes[8];
	struct overlap o;

	le_store(bytes, sizeof bytes, value);
	for (size_t i = 0; i < count; i++)
		if (find_overlap(&regs[i], offset, size, &o))
			write_register(fn, &regs[i], store, bytes, &o);
}
