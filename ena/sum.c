/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ones' complement sums, alone and while copying.
 *
 * Such a sum is the same in either byte order, but for a swap at its end (RFC
 * 1071, 2): so words of 32 bits are added as they stand, many at a time,
 * each into a lane of 64 bits, which does not overflow before some GiB.  A
 * piece that begins at an odd place of the whole has its bytes swapped once
 * more.
 */
#include "ena/sum.h"

#include <string.h>

#include "ena/frame.h"

/* In pieces of 32 bytes, which old processors do in two. */
typedef uint64_t lanes __attribute__((vector_size(32)));

#define LANE_LOW ((lanes){ UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX })
#define BLOCK    (4 * sizeof(lanes))
/* Up to so many bytes, to set up lanes takes longer than to do without. */
#define SHORT    128u

#ifdef __x86_64__
#define ON_AVX2 __attribute__((target("avx2")))
#endif
#define INLINE static inline __attribute__((always_inline))

/* Both halves are added at once: the carry of the lower goes into the upper. */
static inline uint32_t fold_to_32(uint64_t sum)
{
	return (uint32_t)((sum + (sum >> 32 | sum << 32)) >> 32);
}

static inline uint16_t fold_to_16(uint32_t sum)
{
	return (uint16_t)((sum + (sum >> 16 | sum << 16)) >> 16);
}

/* The machine's words to the wire's. */
static inline uint32_t to_wire(uint64_t sum)
{
	uint16_t folded = fold_to_16(fold_to_32(sum));

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	folded = __builtin_bswap16(folded);
#endif
	return folded;
}

uint16_t ena_sum_fold(uint32_t sum)
{
	return fold_to_16(sum);
}

uint32_t ena_sum_swap(uint32_t sum)
{
	return __builtin_bswap16(ena_sum_fold(sum));
}

/* The same for what is smaller than a piece: size is constant. */
INLINE uint64_t take(uint8_t *to, const uint8_t *from, size_t size)
{
	uint64_t word = 0;

	memcpy(&word, from, size);
	if (to)
		memcpy(to, &word, size);
	return word;
}

INLINE uint64_t add(uint64_t sum, uint64_t word)
{
	return sum + word + (sum + word < word); /* the carry again */
}

/* A few bytes; what is missing counts as zero. */
INLINE uint64_t add_tail(uint8_t *to, const uint8_t *from, size_t size)
{
	uint64_t sum = 0;
	size_t i = 0;

	for (; i + 8 <= size; i += 8)
		sum = add(sum, take(to ? to + i : NULL, from + i, 8));
	if (size & 4) {
		sum = add(sum, take(to ? to + i : NULL, from + i, 4));
		i += 4;
	}
	if (size & 2) {
		sum = add(sum, take(to ? to + i : NULL, from + i, 2));
		i += 2;
	}
	if (size & 1)
		sum = add(sum, take(to ? to + i : NULL, from + i, 1));
	return sum;
}

/* Take one piece on its way. */
#define STEP(n, even, odd)                                                     \
	do {                                                                   \
		lanes v;                                                       \
		memcpy(&v, from + (n) * sizeof v, sizeof v);                   \
		if (to)                                                        \
			memcpy(to + (n) * sizeof v, &v, sizeof v);             \
		(even) += v & LANE_LOW;                                        \
		(odd) += v >> 32;                                              \
	} while (0)

/* to: NULL, or where they go, in the same step. */
INLINE uint64_t add_all(uint8_t *to, const uint8_t *from, size_t size)
{
	lanes a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
	size_t i = 0;

	for (; i + BLOCK <= size; i += BLOCK, from += BLOCK) {
		STEP(0, a, b);
		STEP(1, c, d);
		STEP(2, a, b);
		STEP(3, c, d);
		to = to ? to + BLOCK : NULL;
	}
	for (; i + sizeof a <= size; i += sizeof a, from += sizeof a) {
		STEP(0, a, b);
		to = to ? to + sizeof a : NULL;
	}
	a += b + c + d; /* each is below 2^60 */
	return add(a[0] + a[1] + a[2] + a[3], add_tail(to, from, size - i));
}

static uint64_t sum_plain(const uint8_t *from, size_t size)
{
	return add_all(NULL, from, size);
}

static uint64_t copy_plain(uint8_t *to, const uint8_t *from, size_t size)
{
	return add_all(to, from, size);
}

#ifdef ON_AVX2
ON_AVX2 static uint64_t sum_avx2(const uint8_t *from, size_t size)
{
	return add_all(NULL, from, size);
}

ON_AVX2 static uint64_t copy_avx2(uint8_t *to, const uint8_t *from, size_t size)
{
	return add_all(to, from, size);
}
#else
#define sum_avx2                  sum_plain
#define copy_avx2                 copy_plain
#define __builtin_cpu_supports(x) 0
#endif

uint32_t ena_sum(const void *bytes, size_t size, uint32_t sum)
{
	if (size <= SHORT)
		return sum + to_wire(add_tail(NULL, bytes, size));
	return sum + to_wire(__builtin_cpu_supports("avx2")
				     ? sum_avx2(bytes, size)
				     : sum_plain(bytes, size));
}

uint32_t ena_sum_copy(void *to, const void *bytes, size_t size, uint32_t sum)
{
	return sum + to_wire(__builtin_cpu_supports("avx2")
				     ? copy_avx2(to, bytes, size)
				     : copy_plain(to, bytes, size));
}
