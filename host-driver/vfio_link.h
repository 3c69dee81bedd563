/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device of the kernel's VFIO with the address space it does DMA in: a group
 * in a container, or a character device on an iommufd.
 */
#ifndef HOST_DRIVER_VFIO_LINK_H
#define HOST_DRIVER_VFIO_LINK_H

#include <stdint.h>

#include "host-driver/vfio_find.h"

struct host_vfio_link {
	enum host_vfio_way way;
	int device;
	int space; /* the container or the iommufd */
	int group; /* -1 for a character device */
	uint32_t ioas;
};

/* All descriptors -1: what host_vfio_link_close() leaves, too. */
void host_vfio_link_clear(struct host_vfio_link *link);
int host_vfio_link_open(struct host_vfio_link *link,
			const struct host_vfio_place *place,
			struct rt_error *error);
void host_vfio_link_close(struct host_vfio_link *link);

/* Not for HOST_VFIO_NOIOMMU.  Says in *error what was wrong. */
int host_vfio_link_map(struct host_vfio_link *link, void *bytes, uint64_t iova,
		       uint64_t size, struct rt_error *error);
int host_vfio_link_unmap(struct host_vfio_link *link, uint64_t iova,
			 uint64_t size);

#endif
