/* SPDX-License-Identifier: BSD-3-Clause */
/* A kind of function that does nothing but has one of everything. */
#ifndef TESTS_UNIT_CARD_FAKE_H
#define TESTS_UNIT_CARD_FAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "pcie-model/function.h"

struct fake_volume {
	char *file;
	uint64_t memory;
};

struct fake_config {
	uint64_t queue_entries;
	unsigned int profile;
	bool read_only;
	struct fake_volume volume;
	char *device_name;
	uint32_t chance_ppm;
};

/* "fake"; a volume whose file is "missing" cannot be created. */
extern const struct pcie_function_type fake_function;
extern const struct pcie_function_type *const fake_types[];

/* Calls to a function are held up while this is set. */
extern _Atomic bool fake_is_stuck;

#endif
