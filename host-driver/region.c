/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Regions and their mappable parts (<linux/vfio.h>: VFIO_DEVICE_GET_REGION_INFO
 * and VFIO_REGION_INFO_CAP_SPARSE_MMAP).  The reply may come from a hostile
 * server: everything is copied before it is looked at, offsets are checked, and
 * a chain may not run in a circle.  Any thread; owns nothing between calls.
 */
#include "host-driver/region.h"

#include <errno.h>
#include <linux/vfio.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* More capabilities than any device has: a circle. */
#define MAX_CHAIN  32
#define PAGE_BYTES 4096u

struct reply {
	const uint8_t *bytes;
	size_t size;
};

/* Copy out of the reply; false: it does not reach that far. */
static bool take(const struct reply *r, uint64_t offset, void *out, size_t size)
{
	if (offset > r->size || size > r->size - offset)
		return false;
	memcpy(out, r->bytes + offset, size);
	return true;
}

static int add_area(struct host_region *region, uint64_t offset, uint64_t size)
{
	if (offset > region->size || size > region->size - offset ||
	    offset % PAGE_BYTES != 0)
		return -EPROTO;
	/* An empty one says that nothing can be mapped. */
	if (size == 0 || region->area_count == HOST_REGION_AREAS)
		return 0;
	region->areas[region->area_count++] =
		(struct host_area){ .offset = offset, .size = size };
	return 0;
}

static int take_areas(struct host_region *region, const struct reply *r,
		      uint64_t at)
{
	struct vfio_region_info_cap_sparse_mmap cap;
	struct vfio_region_sparse_mmap_area area;
	int rc = 0;

	if (!take(r, at, &cap, sizeof cap))
		return -EPROTO;
	at += sizeof cap;
	for (uint32_t i = 0; i < cap.nr_areas && rc == 0; i++) {
		if (!take(r, at, &area, sizeof area))
			return -EPROTO;
		rc = add_area(region, area.offset, area.size);
		at += sizeof area;
	}
	return rc;
}

/* *is_sparse: the areas are all there is. */
static int walk_capabilities(struct host_region *region, const struct reply *r,
			     uint32_t at, bool *is_sparse)
{
	struct vfio_info_cap_header header;
	int rc = 0;

	for (int left = MAX_CHAIN; at != 0 && rc == 0; at = header.next) {
		if (left-- == 0 || at < sizeof(struct vfio_region_info) ||
		    !take(r, at, &header, sizeof header))
			return -EPROTO;
		if (header.id != VFIO_REGION_INFO_CAP_SPARSE_MMAP)
			continue;
		*is_sparse = true;
		rc = take_areas(region, r, at);
	}
	return rc;
}

int host_region_parse(struct host_region *region, const void *reply,
		      size_t size)
{
	const struct reply r = { reply, size };
	struct vfio_region_info info;
	bool is_sparse = false;
	int rc = 0;

	if (!take(&r, 0, &info, sizeof info))
		return -EPROTO;
	region->size = info.size;
	region->file_offset = info.offset;
	region->area_count = 0;
	if (info.flags & VFIO_REGION_INFO_FLAG_CAPS)
		rc = walk_capabilities(region, &r, info.cap_offset, &is_sparse);
	if (rc < 0 || !(info.flags & VFIO_REGION_INFO_FLAG_MMAP))
		region->area_count = 0;
	else if (!is_sparse)
		rc = add_area(region, 0, info.size);
	return rc;
}

/*
 * A file that ends before the area does would be a SIGBUS later.  What is no
 * file is a device, whose type may be none at all, or mmap() refuses it.
 */
static int check_file(int fd, uint64_t end)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) && (uint64_t)st.st_size < end ? -EPROTO : 0;
}

static int map_area(struct host_region *region, struct host_area *area)
{
	uint64_t start, end;
	void *bytes;
	int rc;

	if (area->bytes)
		return 0;
	if (__builtin_add_overflow(region->file_offset, area->offset, &start) ||
	    __builtin_add_overflow(start, area->size, &end))
		return -EPROTO;
	rc = check_file(region->fd, end);
	if (rc < 0)
		return rc;
	bytes = mmap(NULL, area->size, PROT_READ | PROT_WRITE, MAP_SHARED,
		     region->fd, (off_t)start);
	if (bytes == MAP_FAILED)
		return -errno;
	area->bytes = bytes;
	return 0;
}

int host_region_point(struct host_region *region, uint64_t offset,
		      uint64_t size, volatile void **out)
{
	for (unsigned int i = 0; i < region->area_count; i++) {
		struct host_area *area = &region->areas[i];
		uint64_t inside = offset - area->offset;
		int rc;

		if (region->fd < 0 || offset < area->offset ||
		    inside > area->size || size > area->size - inside)
			continue;
		rc = map_area(region, area);
		if (rc == 0)
			*out = (uint8_t *)area->bytes + inside;
		return rc;
	}
	return -EOPNOTSUPP;
}

void host_region_close(struct host_region *region)
{
	for (unsigned int i = 0; i < region->area_count; i++) {
		if (region->areas[i].bytes)
			munmap(region->areas[i].bytes, region->areas[i].size);
	}
	if (region->fd >= 0)
		close(region->fd);
	region->area_count = 0;
	region->fd = -1;
}
