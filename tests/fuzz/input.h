/* SPDX-License-Identifier: BSD-3-Clause */
/* What a fuzz target reads its decisions from; after the end come zeros. */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "firmware/rt/bits.h"

/* libFuzzer's door; tests/fuzz/replay.c goes through the same one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t left;
};

static inline bool input_is_empty(const struct input *in)
{
	return in->left == 0;
}

/* Copies up to size bytes; returns how many there were. */
static inline size_t input_bytes(struct input *in, void *out, size_t size)
{
	size_t n = size < in->left ? size : in->left;

	memset(out, 0, size);
	if (n > 0)
		memcpy(out, in->data, n);
	in->data += n;
	in->left -= n;
	return n;
}

static inline uint64_t input_integer(struct input *in, unsigned int size)
{
	uint8_t bytes[8];

	input_bytes(in, bytes, size);
	return le_load(bytes, size);
}

static inline uint8_t input_u8(struct input *in)
{
	return (uint8_t)input_integer(in, 1);
}

static inline uint16_t input_u16(struct input *in)
{
	return (uint16_t)input_integer(in, 2);
}

static inline uint32_t input_u32(struct input *in)
{
	return (uint32_t)input_integer(in, 4);
}

static inline uint64_t input_u64(struct input *in)
{
	return input_integer(in, 8);
}

#endif
