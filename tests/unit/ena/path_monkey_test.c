/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lives that no fuzzer has chosen; NITRO_MONKEYS says how many, and
 * NITRO_FIRST_MONKEY which is the first.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/fuzz/ena_path_life.h"

#define LIFE_BYTES 4096u

static void live(uint64_t seed)
{
	static uint8_t bytes[LIFE_BYTES];
	uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;

	for (unsigned int i = 0; i < LIFE_BYTES; i++) {
		state ^= state << 13; /* xorshift64 */
		state ^= state >> 7;
		state ^= state << 17;
		bytes[i] = (uint8_t)(state >> 40);
	}
	ena_path_life(bytes, LIFE_BYTES);
}

Test(ena_path_monkey, nothing_that_anybody_does_hurts, .timeout = 3000)
{
	const char *wish = getenv("NITRO_MONKEYS");
	uint64_t count = wish ? strtoull(wish, NULL, 10) : 200;
	const char *first = getenv("NITRO_FIRST_MONKEY");
	uint64_t seed = first ? strtoull(first, NULL, 10) : 0;

	for (uint64_t i = 0; i < count; i++)
		live(seed + i);
}
