/* SPDX-License-Identifier: BSD-3-Clause */
/* Bit fields spelled as in the specifications, and little-endian integers. */
#ifndef FIRMWARE_RT_BITS_H
#define FIRMWARE_RT_BITS_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

/* A field is its mask: BITS(high, low), both inclusive. */
#define BITS(high, low)                                                        \
	((~UINT64_C(0) >> (63 - (high))) & (~UINT64_C(0) << (low)))
#define BIT(n) (UINT64_C(1) << (n))

static inline uint64_t bits_get(uint64_t field, uint64_t word)
{
	return (word & field) / (field & -field);
}

static inline uint64_t bits_put(uint64_t field, uint64_t word, uint64_t value)
{
	return (word & ~field) | (value * (field & -field) & field);
}

/*
 * Integers as they stand in guest memory and registers.  They are structs so
 * that forgetting a conversion does not compile.
 */
typedef struct {
	uint16_t raw;
} le16;
typedef struct {
	uint32_t raw;
} le32;
typedef struct {
	uint64_t raw;
} le64;

static inline uint16_t le16_get(le16 v)
{
	return le16toh(v.raw);
}

static inline uint32_t le32_get(le32 v)
{
	return le32toh(v.raw);
}

static inline uint64_t le64_get(le64 v)
{
	return le64toh(v.raw);
}

static inline le16 le16_put(uint16_t v)
{
	return (le16){ htole16(v) };
}

static inline le32 le32_put(uint32_t v)
{
	return (le32){ htole32(v) };
}

static inline le64 le64_put(uint64_t v)
{
	return (le64){ htole64(v) };
}

/* size bytes (1 to 8) at p, little-endian, at any alignment. */
static inline uint64_t le_load(const void *p, unsigned int size)
{
	uint64_t raw = 0;

	memcpy(&raw, p, size);
	return le64toh(raw);
}

static inline void le_store(void *p, unsigned int size, uint64_t value)
{
	uint64_t raw = htole64(value);

	memcpy(p, &raw, size);
}

#endif
