/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the bytes of a memory are for the device. */
#include <criterion/criterion.h>

#include "firmware/rt/scope.h"
#include "host-driver/memory.h"

#define PAGE 0x1000u

Test(host_memory, is_one_stretch_behind_an_iommu)
{
	uint8_t bytes[16];
	struct host_memory m = {
		.bytes = bytes, .iova = 0x4000, .size = 16, .page_bytes = 16
	};

	cr_expect_eq(host_memory_iova(&m, 5), 0x4005);
	cr_expect_eq(host_memory_at(&m, 0x4005), bytes + 5);
	cr_expect_eq(host_memory_at(&m, 0x400f), bytes + 15);
	cr_expect_null(host_memory_at(&m, 0x4010));
	cr_expect_null(host_memory_at(&m, 0x3fff));
}

Test(host_memory, lies_page_by_page_without_one)
{
	static uint8_t bytes[4 * PAGE];
	/* Two that touch, one in front of them, one far away. */
	const uint64_t iovas[] = { 0x20000, 0x21000, 0x8000,
				   UINT64_C(0x123456789000) };
	struct host_memory m = { .bytes = bytes,
				 .iova = 0x4000,
				 .size = sizeof bytes,
				 .page_bytes = PAGE };

	cr_assert_eq(host_pages_make(&m, iovas), 0);
	for (uint64_t at = 0; at < sizeof bytes; at += 0x7ff) {
		uint64_t iova = host_memory_iova(&m, at);

		cr_expect_eq(iova, iovas[at / PAGE] + at % PAGE);
		cr_expect_eq(host_memory_at(&m, iova), bytes + at);
	}
	cr_expect_null(host_memory_at(&m, 0));
	cr_expect_null(host_memory_at(&m, 0x4000), "what the caller asked for");
	cr_expect_null(host_memory_at(&m, 0x7fff));
	cr_expect_null(host_memory_at(&m, 0x9000));
	cr_expect_null(host_memory_at(&m, 0x22000));
	cr_expect_null(host_memory_at(&m, UINT64_MAX));
	host_pages_free(&m.pages);
}
