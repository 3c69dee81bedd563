/* SPDX-License-Identifier: BSD-3-Clause */
/* A function without a device behind it, which notes what it is told. */
#ifndef TESTS_UNIT_PCIE_MODEL_FAKE_FUNCTION_H
#define TESTS_UNIT_PCIE_MODEL_FAKE_FUNCTION_H

#include "pcie-model/function.h"

struct fake_access {
	unsigned int bar, size;
	uint64_t offset, value;
};

/* At fn->device. */
struct fake {
	bool holds_quiesce; /* do not answer at once */
	unsigned int quiesces, resets, resumes, mode_changes;
	enum pcie_reset_reason last_reason;
	int resume_result;
	struct fake_access writes[16];
	unsigned int write_count;
	unsigned int read_count;
};

/* At fn->device_state. */
struct fake_state {
	uint64_t word;
};

/* A sound identity with everything the model can offer:
 * BAR 0  16 KiB, 32 bits: registers, 4 KiB mapped at 0x1000, MSI-X table at
 *        0x2000 and pending bits at 0x3000
 * BAR 2  1 MiB, 64 bits, prefetchable */
struct pcie_identity fake_identity(void);

/* Made of that identity, or of *identity; no loop unless one is given. */
struct pcie_function *fake_create(const struct pcie_identity *identity);
struct pcie_function *fake_create_on(const struct pcie_identity *identity,
				     struct rt_loop *loop);
void fake_destroy(struct pcie_function *fn);
struct fake *fake_of(const struct pcie_function *fn);

extern const struct pcie_function_type fake_type;

/* Accesses through the door, little-endian. */
uint32_t config_read(struct pcie_function *fn, unsigned int offset,
		     unsigned int size);
void config_write(struct pcie_function *fn, unsigned int offset,
		  unsigned int size, uint32_t value);

#endif
