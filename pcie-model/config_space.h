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

/* Flat: part of struct pcie_state. */
struct pcie_config_space {
	uint8_t bytes[PCIE_CONFIG_BYTES];
};

/* What follows from the identity: made again by each firmware, never saved. */
struct pcie_config_layout {
	uint8_t initial[PCIE_CONFIG_BYTES];
	uint8_t writable[PCIE_CONFIG_BYTES];
	uint8_t w1c[PCIE_CONFIG_BYTES];
	uint8_t sticky[PCIE_CONFIG_BYTES]; /* kept by an FLR */
	/* Offsets of capabilities; 0: absent. */
	uint16_t pm, msi, express, msix, aer, serial;
	uint16_t vendor[4]; /* as many as PCIE_VENDOR_CAPABILITIES */
};

/* One register as it is built; registers not put are zero and read-only. */
struct pcie_config_field {
	uint16_t offset;
	uint8_t size; /* 1, 2, 4 or 8 bytes */
	uint64_t initial, writable, w1c, sticky;
};

/*
 * What a write to a register means.  Called after the bytes have changed;
 * written is before with the access's bytes in it, whatever their masks.
 */
struct pcie_config_hook {
	uint16_t offset, size; /* at most 4 bytes */
	void (*wrote)(struct pcie_function *fn, uint32_t before,
		      uint32_t written);
};

/*
 * Lay out fn->identity and set every byte to its first value.  -EINVAL: the
 * identity contradicts itself (sizes, alignment, MSI-X outside its BAR).
 */
int pcie_config_build(struct pcie_function *fn);

/*
 * What a reset does to it: all is as after power-on, but for the sticky bits
 * (PCIe 6.6.2) and the BARs if it keeps them.
 */
void pcie_config_reset(struct pcie_function *fn, bool keeps_sticky);

/* Bytes outside read as ones and ignore writes. */
void pcie_config_read(const struct pcie_function *fn, uint64_t offset,
		      void *data, size_t size);
void pcie_config_write(struct pcie_function *fn, uint64_t offset,
		       const void *data, size_t size);

/* The function may do DMA: Bus Master Enable is set and it is in D0. */
bool pcie_bus_master_is_on(const struct pcie_function *fn);

/* Private to pcie-model from here. */
bool pcie_config_is_asleep(const struct pcie_function *fn); /* D3hot */
void pcie_config_put(struct pcie_function *fn, uint16_t base,
		     const struct pcie_config_field *field);
/* Stored values: size 1, 2 or 4.  Masks do not apply. */
uint32_t pcie_config_get(const struct pcie_function *fn, unsigned int offset,
			 unsigned int size);
void pcie_config_set(struct pcie_function *fn, unsigned int offset,
		     unsigned int size, uint32_t value);
/*
 * Take a predecessor's bytes: its changeable bits.  -EINVAL: they belong to
 * another identity.
 */
int pcie_config_restore(struct pcie_function *fn,
			const struct pcie_config_space *saved);

#endif
