/* SPDX-License-Identifier: BSD-3-Clause */
/* A register file described by a table: one row per register. */
#ifndef PCIE_MODEL_REGS_H
#define PCIE_MODEL_REGS_H

#include <stddef.h>
#include <stdint.h>

struct pcie_function;

struct pcie_reg {
	const char *name;
	uint32_t offset, size; /* 4 or 8 bytes, naturally aligned */
	uint64_t reset;
	uint64_t writable; /* these bits take what is written */
	uint64_t w1c;      /* these are cleared by writing one */
	/*
	 * After a write that touched the register (also when nothing changed);
	 * before and written are whole register values, written with the bytes
	 * that the access did not cover taken from before.  May be NULL.
	 */
	void (*wrote)(struct pcie_function *fn, uint64_t before,
		      uint64_t written);
};

/*
 * store holds the registers' bytes at their offsets and is at least as long as
 * the last register's end.  Offsets between registers read as zero and ignore
 * writes.  An access may be 1 to 8 bytes and may span registers.
 */
void pcie_regs_reset(const struct pcie_reg *regs, size_t count, void *store);
uint64_t pcie_regs_read(const struct pcie_reg *regs, size_t count,
			const void *store, uint64_t offset, unsigned int size);
void pcie_regs_write(struct pcie_function *fn, const struct pcie_reg *regs,
		     size_t count, void *store, uint64_t offset,
		     unsigned int size, uint64_t value);

#endif
