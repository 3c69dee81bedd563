/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "ebs-nvme/volume/copy.h"
#include "firmware/rt/scope.h"

#define ROOM 12288

static uint8_t source[ROOM], target[ROOM], wanted[ROOM];

static void check(const struct ebs_copy_method *method, size_t to, size_t from,
		  size_t size)
{
	memset(target, 0xee, ROOM);
	memset(wanted, 0xee, ROOM);
	memcpy(wanted + to, source + from, size);
	method->copy(target + to, source + from, size);
	ebs_copy_fence();
	cr_assert_arr_eq(target, wanted, ROOM, "%s: to %zu from %zu size %zu",
			 method->name, to, from, size);
}

/* Every place in a line, each with its own place in the source. */
static void check_places(const struct ebs_copy_method *method, size_t size)
{
	for (size_t place = 0; place < 64; place++) {
		check(method, 64 + place, 64 + place * 5 % 64, size);
		check(method, 64 + place, 64, size);
	}
}

Test(ebs_copy, moves_what_it_is_told_and_nothing_beside_it)
{
	static const size_t sizes[] = { 0,   1,    4,    63,   64,   65,
					511, 512,  513,  575,  576,  639,
					640, 1000, 3584, 4096, 4100, 8192 };

	for (size_t i = 0; i < ROOM; i++)
		source[i] = (uint8_t)(i * 31 + i / 251);
	for (size_t i = 0; i < ebs_copy_method_count; i++)
		for (size_t k = 0; k < RT_COUNT(sizes); k++)
			if (ebs_copy_methods[i].is_there())
				check_places(&ebs_copy_methods[i], sizes[k]);
}

Test(ebs_copy, one_of_the_methods_is_chosen)
{
	ebs_copy *chosen = ebs_copy_to_store();
	size_t i = 0;

	while (i < ebs_copy_method_count && ebs_copy_methods[i].copy != chosen)
		i++;
	cr_assert_lt(i, ebs_copy_method_count);
	cr_expect(ebs_copy_methods[i].is_there());
}

Test(ebs_copy, may_expect_what_is_not_there)
{
	ebs_copy_expect(NULL, 1 << 20);
	ebs_copy_expect(source, 0);
}
