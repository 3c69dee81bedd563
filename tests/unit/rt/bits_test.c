/* SPDX-License-Identifier: BSD-3-Clause */
/* Bit fields and little-endian integers. */
#include <criterion/criterion.h>

#include "firmware/rt/bits.h"

Test(rt_bits, a_field_is_its_mask)
{
	cr_expect_eq(BITS(0, 0), 1);
	cr_expect_eq(BITS(7, 4), 0xf0);
	cr_expect_eq(BITS(63, 0), UINT64_MAX);
	cr_expect_eq(BITS(63, 63), UINT64_C(1) << 63);
	cr_expect_eq(BIT(63), UINT64_C(1) << 63);
}

Test(rt_bits, get_and_put_are_inverse)
{
	static const struct {
		uint64_t field, word, value, result;
	} rows[] = {
		{ BITS(3, 0), 0, 0x5, 0x5 },
		{ BITS(19, 16), 0xffffffff, 0x6, 0xfff6ffff },
		{ BITS(63, 32), 1, 0xffffffff, 0xffffffff00000001 },
		{ BITS(63, 63), 0, 1, UINT64_C(1) << 63 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t word =
			bits_put(rows[i].field, rows[i].word, rows[i].value);

		cr_expect_eq(word, rows[i].result, "row %zu", i);
		cr_expect_eq(bits_get(rows[i].field, word), rows[i].value,
			     "row %zu", i);
	}
}

Test(rt_bits, a_value_too_large_does_not_leave_its_field)
{
	cr_expect_eq(bits_put(BITS(7, 4), 0, 0x123), 0x30);
}

Test(rt_bits, integers_stand_with_the_low_byte_first)
{
	static const uint8_t bytes[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	le16 two;
	le32 four;
	le64 eight;

	memcpy(&two, bytes, sizeof two);
	memcpy(&four, bytes, sizeof four);
	memcpy(&eight, bytes, sizeof eight);
	cr_expect_eq(le16_get(two), 0x0201);
	cr_expect_eq(le32_get(four), 0x04030201);
	cr_expect_eq(le64_get(eight), 0x0807060504030201);
	cr_expect_eq(le16_put(0x0201).raw, two.raw);
	cr_expect_eq(le32_put(0x04030201).raw, four.raw);
	cr_expect_eq(le64_put(0x0807060504030201).raw, eight.raw);
}

Test(rt_bits, loads_and_stores_touch_only_their_bytes)
{
	uint8_t bytes[10];

	for (unsigned int size = 1; size <= 8; size++) {
		memset(bytes, 0xee, sizeof bytes);
		le_store(bytes + 1, size, 0x0807060504030201);
		cr_expect_eq(bytes[0], 0xee);
		cr_expect_eq(bytes[1], 1);
		cr_expect_eq(bytes[size], size);
		cr_expect_eq(bytes[size + 1], 0xee);
		cr_expect_eq(le_load(bytes + 1, size),
			     UINT64_C(0x0807060504030201) &
				     BITS(size * 8 - 1, 0));
	}
}
