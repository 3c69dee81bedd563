/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BARs: cutting accesses up, and the memory of the mapped parts.  Private to
 * pcie-model; see pcie_region_read() and pcie_bar_fd() in function.h.
 */
#ifndef PCIE_MODEL_BAR_H
#define PCIE_MODEL_BAR_H

#include <stddef.h>
#include <stdint.h>

struct pcie_function;

/* bar is below PCIE_BARS. */
void pcie_bar_read(struct pcie_function *fn, unsigned int bar, uint64_t offset,
		   void *data, size_t size);
void pcie_bar_write(struct pcie_function *fn, unsigned int bar, uint64_t offset,
		    const void *data, size_t size);

/* Make the memory of mapped parts; a negative errno: destroy what there is. */
int pcie_bars_create(struct pcie_function *fn);
void pcie_bars_reset(struct pcie_function *fn);
void pcie_bars_destroy(struct pcie_function *fn);

#endif
