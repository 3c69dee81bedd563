/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is written so that a read can be checked: each block of --bs says which
 * it is, by seed, place and generation, and carries the CRC-32C of all of it.
 */
#ifndef HOST_DRIVER_PERF_VERIFY_H
#define HOST_DRIVER_PERF_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Generations count the writes of a block; 0: not written by this run. */
#define PERF_GENERATIONS 0x7fffu

struct perf_stamp {
	uint64_t seed, offset; /* of the block, in bytes */
	uint32_t size;
	uint16_t generation;
};

/* size is at least 64 bytes, and a multiple of 8. */
void perf_verify_fill(void *block, const struct perf_stamp *stamp);

/*
 * Is the block what the stamp says?  Generation 0: any will do.  If not, why is
 * printed into text.
 */
bool perf_verify_check(const void *block, const struct perf_stamp *stamp,
		       char *text, size_t room);

#endif
