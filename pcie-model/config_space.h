/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * 4096 bytes of configuration space with its write masks.  Built from a struct
 * pcie_identity; what a write means beyond its bits (FLR, power state, bus
 * mastering, MSI-X enable) is told to the function.
 */
#ifndef PCIE_MODEL_CONFIG_SPACE_H
#define PCIE_MODEL_CONFIG_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pcie_function;

#define PCIE_CONFIG_BYTES 4096u

/* Flat: part of struct pcie_state.  Offsets of capabilities; 0: absent. */
struct pcie_config_space {
	uint8_t bytes[PCIE_CONFIG_BYTES];
	uint8_t writable[PCIE_CONFIG_BYTES];
	uint8_t w1c[PCIE_CONFIG_BYTES];
	uint16_t pm, express, msi, msix, aer, serial;
};

/* Fill from fn->identity.  -EINVAL: the identity contradicts itself. */
int pcie_config_build(struct pcie_function *fn);

/* What a reset does to it: BARs and identity stay, control bits go. */
void pcie_config_reset(struct pcie_function *fn);

void pcie_config_read(const struct pcie_function *fn, uint64_t offset,
		      void *data, size_t size);
void pcie_config_write(struct pcie_function *fn, uint64_t offset,
		       const void *data, size_t size);

bool pcie_bus_master_is_on(const struct pcie_function *fn);

#endif
