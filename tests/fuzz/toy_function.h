/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A PCIe function without a purpose: it has every capability the model knows, a
 * mapped BAR part, and does DMA and interrupts when it is told to.
 */
#ifndef TESTS_FUZZ_TOY_FUNCTION_H
#define TESTS_FUZZ_TOY_FUNCTION_H

#include <stdint.h>

#include "pcie-model/function.h"

#define TOY_OPS      4
/* More than one DMA message holds. */
#define TOY_OP_BYTES (160u * 1024)

struct toy_op {
	struct pcie_dma_op op;
	struct pcie_dma_range range;
	uint8_t *buffer;
	bool is_busy;
};

struct toy {
	struct pcie_function *fn;
	struct toy_op ops[TOY_OPS];
	struct pcie_dma_span span;
	struct pcie_dma_range span_range;
	bool is_quiescing;
};

extern const struct pcie_function_type toy_function;

enum toy_dma {
	TOY_READ,
	TOY_WRITE,
	TOY_PUBLISH,
	TOY_CHECK,
};

void toy_start_dma(struct toy *toy, enum toy_dma kind, uint64_t iova,
		   uint32_t size);
/* Hold a range, or release what is held. */
void toy_hold(struct toy *toy, uint64_t iova, uint64_t size, bool is_write);
void toy_release(struct toy *toy);

#endif
