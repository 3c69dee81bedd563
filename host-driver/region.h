/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a device says about one of its regions (struct vfio_region_info and its
 * chain of capabilities), and the parts of it that are mapped.
 */
#ifndef HOST_DRIVER_REGION_H
#define HOST_DRIVER_REGION_H

#include <stddef.h>
#include <stdint.h>

#define HOST_REGION_AREAS 16u

/* A part that may be mapped; bytes is NULL until it is. */
struct host_area {
	uint64_t offset, size;
	void *bytes;
};

struct host_region {
	uint64_t size;
	uint64_t file_offset; /* of the region's first byte in fd */
	int fd;               /* -1: nothing can be mapped */
	struct host_area areas[HOST_REGION_AREAS];
	unsigned int area_count;
};

/*
 * Learn size, place and areas from the size bytes of a reply, of which no word
 * is believed.  -EPROTO: it breaks the rules.  Areas beyond the room for them
 * are left out.  The region's fd stays as it is.
 */
int host_region_parse(struct host_region *region, const void *reply,
		      size_t size);

/* Pointer to a part, which lies in one area; -EOPNOTSUPP if it does not. */
int host_region_point(struct host_region *region, uint64_t offset,
		      uint64_t size, volatile void **out);

/* Unmaps everything and closes fd. */
void host_region_close(struct host_region *region);

#endif
