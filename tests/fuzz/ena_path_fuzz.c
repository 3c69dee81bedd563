/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hostile descriptors, device memory, doorbells and frames, and memory that
 * changes while it is looked at.
 */
#include "tests/fuzz/ena_path_life.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ena_path_life(data, size);
	return 0;
}
