/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device says of a region, the truth and the rest. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/rt/scope.h"
#include "host-driver/region.h"

#define AREA(at, bytes)                                                        \
	{                                                                      \
		.offset = (at), .size = (bytes)                                \
	}

/* A reply with one capability; what a row leaves out is 0. */
static const struct row {
	const char *name;
	uint32_t flags;
	uint64_t size;
	uint32_t cap_offset; /* 0: where it is */
	uint16_t cap_id;     /* 0: sparse mmap */
	uint32_t next, nr_areas;
	struct vfio_region_sparse_mmap_area areas[2];
	size_t cut; /* bytes that are missing at the end */
	int result;
	unsigned int area_count;
} rows[] = {
	{ .name = "no map", .flags = 3, .size = 0x2000 },
	{ .name = "the whole region",
	  .flags = VFIO_REGION_INFO_FLAG_MMAP,
	  .size = 0x2000,
	  .area_count = 1 },
	{ .name = "two areas",
	  .flags = VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS,
	  .size = 0x3000,
	  .nr_areas = 2,
	  .areas = { AREA(0, 0x1000), AREA(0x2000, 0x1000) },
	  .area_count = 2 },
	{ .name = "areas without the flag for them",
	  .flags = VFIO_REGION_INFO_FLAG_CAPS,
	  .size = 0x3000,
	  .nr_areas = 1,
	  .areas = { AREA(0, 0x1000) } },
	{ .name = "an empty area",
	  .flags = VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS,
	  .size = 0x3000,
	  .nr_areas = 1 },
	{ .name = "no area at all",
	  .flags = VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS,
	  .size = 0x3000 },
	{ .name = "another capability",
	  .flags = VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS,
	  .size = 0x3000,
	  .cap_id = VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
	  .area_count = 1 },
	{ .name = "an area beyond the region",
	  .flags = VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS,
	  .size = 0x3000,
	  .nr_areas = 1,
	  .areas = { AREA(0x2000, 0x2000) },
	  .result = -EPROTO },
	{ .name = "an area that wraps around",
	  .flags = VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS,
	  .size = 0x3000,
	  .nr_areas = 1,
	  .areas = { AREA(0x1000, UINT64_MAX - 0xfff) },
	  .result = -EPROTO },
	{ .name = "an area that starts in a page",
	  .flags = VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS,
	  .size = 0x3000,
	  .nr_areas = 1,
	  .areas = { AREA(0x1010, 0x1000) },
	  .result = -EPROTO },
	{ .name = "more areas than the reply has",
	  .flags = VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS,
	  .size = 0x3000,
	  .nr_areas = UINT32_MAX,
	  .result = -EPROTO },
	{ .name = "a chain that starts in the header",
	  .flags = VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS,
	  .size = 0x3000,
	  .cap_offset = 16,
	  .result = -EPROTO },
	{ .name = "a chain that starts beyond the reply",
	  .flags = VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS,
	  .size = 0x3000,
	  .cap_offset = UINT32_MAX,
	  .result = -EPROTO },
	{ .name = "a chain in a circle",
	  .flags = VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS,
	  .size = 0x3000,
	  .next = sizeof(struct vfio_region_info),
	  .nr_areas = 0,
	  .result = -EPROTO },
	{ .name = "a chain that goes on beyond the reply",
	  .flags = VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS,
	  .size = 0x3000,
	  .next = 0x10000,
	  .result = -EPROTO },
	{ .name = "a reply cut in the header",
	  .size = 0x3000,
	  .cut = 64,
	  .result = -EPROTO },
	{ .name = "a reply cut in an area",
	  .flags = VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS,
	  .size = 0x3000,
	  .nr_areas = 2,
	  .areas = { AREA(0, 0x1000), AREA(0x2000, 0x1000) },
	  .cut = 1,
	  .result = -EPROTO },
};

struct reply {
	struct vfio_region_info info;
	struct vfio_region_info_cap_sparse_mmap cap;
	struct vfio_region_sparse_mmap_area areas[2];
};

static struct reply make_reply(const struct row *row)
{
	struct reply r = { .info = { .argsz = sizeof r,
				     .flags = row->flags,
				     .size = row->size,
				     .offset = 0x7000 },
			   .cap = { .nr_areas = row->nr_areas } };

	r.info.cap_offset =
		row->cap_offset ? row->cap_offset : offsetof(struct reply, cap);
	r.cap.header.id =
		row->cap_id ? row->cap_id : VFIO_REGION_INFO_CAP_SPARSE_MMAP;
	r.cap.header.version = 1;
	r.cap.header.next = row->next;
	memcpy(r.areas, row->areas, sizeof r.areas);
	return r;
}

Test(host_region, believes_no_word_of_a_reply)
{
	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		const struct row *row = &rows[i];
		struct host_region region = { .fd = -1 };
		struct reply reply = make_reply(row);
		/* Exactly so large that reading on is noticed. */
		size_t size = sizeof reply - row->cut;
		RT_FREE void *bytes = malloc(size);
		int rc;

		memcpy(bytes, &reply, size);
		rc = host_region_parse(&region, bytes, size);
		cr_expect_eq(rc, row->result, "%s: %d", row->name, rc);
		cr_expect_eq(region.area_count, row->area_count, "%s: %u",
			     row->name, region.area_count);
	}
}

/* A region of two pages in a file of file_pages, the second one mappable. */
static struct host_region make_region(unsigned int file_pages)
{
	const struct row row = {
		.flags =
			VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS,
		.size = 0x2000,
		.nr_areas = 1,
		.areas = { AREA(0x1000, 0x1000) },
	};
	struct reply reply = make_reply(&row);
	struct host_region region = { .fd = memfd_create("region", 0) };

	cr_assert_eq(ftruncate(region.fd, file_pages * 0x1000), 0);
	cr_assert_eq(host_region_parse(&region, &reply, sizeof reply), 0);
	return region;
}

Test(host_region, maps_what_is_offered_at_its_place)
{
	struct host_region region = make_region(9);
	volatile void *first, *second;
	uint32_t value = 0;

	cr_assert_eq(host_region_point(&region, 0x1000, 0x1000, &first), 0);
	cr_assert_eq(host_region_point(&region, 0x1008, 8, &second), 0);
	cr_expect_eq((volatile uint8_t *)second - (volatile uint8_t *)first, 8);
	*(volatile uint32_t *)second = 0x12345678;
	/* The region starts at 7000h of the file. */
	cr_expect_eq(pread(region.fd, &value, 4, 0x8008), 4);
	cr_expect_eq(value, 0x12345678);
	host_region_close(&region);
}

Test(host_region, maps_nothing_that_is_not_offered)
{
	struct host_region region = make_region(9);
	volatile void *at;

	cr_expect_eq(host_region_point(&region, 0, 4, &at), -EOPNOTSUPP);
	cr_expect_eq(host_region_point(&region, 0xffc, 8, &at), -EOPNOTSUPP);
	cr_expect_eq(host_region_point(&region, 0x1ffc, 8, &at), -EOPNOTSUPP);
	cr_expect_eq(host_region_point(&region, 0x1000, UINT64_MAX, &at),
		     -EOPNOTSUPP);
	host_region_close(&region);
	cr_expect_eq(host_region_point(&region, 0x1000, 4, &at), -EOPNOTSUPP);
}

Test(host_region, does_not_map_beyond_the_end_of_a_file)
{
	struct host_region region = make_region(8);
	volatile void *at;

	cr_expect_eq(host_region_point(&region, 0x1000, 4, &at), -EPROTO);
	host_region_close(&region);
}

Test(host_region, does_not_map_a_socket)
{
	struct host_region region = make_region(9);
	volatile void *at;
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	cr_assert_geq(dup2(ends[0], region.fd), 0);
	cr_expect_eq(host_region_point(&region, 0x1000, 4, &at), -ENODEV);
	host_region_close(&region);
	close(ends[0]);
	close(ends[1]);
}
