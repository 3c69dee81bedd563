/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The capabilities of a function: power management, MSI, PCI Express, MSI-X,
 * and in extended space error reporting and the serial number.  Private to
 * pcie-model; config_space.c calls it.
 */
#ifndef PCIE_MODEL_CAPABILITY_H
#define PCIE_MODEL_CAPABILITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pcie_config_hook;
struct pcie_function;

/* Lay out what the identity offers and set the layout's offsets. */
int pcie_capabilities_build(struct pcie_function *fn);

/*
 * A guest is about to read, or has written, these bytes of configuration space:
 * tell the device what of it is in its vendor-specific capabilities.
 */
void pcie_vendor_will_read(struct pcie_function *fn, uint64_t offset,
			   size_t size);
void pcie_vendor_wrote(struct pcie_function *fn, uint64_t offset, size_t size);

/* Hook number i with its offset made absolute; false: there are no more. */
bool pcie_capability_hook(const struct pcie_function *fn, size_t i,
			  struct pcie_config_hook *out);

/* Bits that are not stored: MSI pending, Transactions Pending. */
struct pcie_config_live {
	unsigned int offset;
	uint32_t bits;
};
#define PCIE_CAPABILITY_LIVE 2u
void pcie_capability_live(const struct pcie_function *fn,
			  struct pcie_config_live live[PCIE_CAPABILITY_LIVE]);

/* How many messages MSI may send now: 1 << Multiple Message Enable. */
unsigned int pcie_msi_allocated(const struct pcie_function *fn);

#endif
