/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's interfaces of Linux 6.6 that the headers of Linux 6.1 do not
 * have: VFIO character devices and iommufd (Documentation/userspace-api of
 * Linux: vfio.rst, iommufd.rst).  Under names of our own, so that newer headers
 * may be there as well; tests/abi compares them.
 */
#ifndef HOST_DRIVER_VFIO_ABI_H
#define HOST_DRIVER_VFIO_ABI_H

#include <assert.h>
#include <linux/ioctl.h>
#include <linux/vfio.h>
#include <stdint.h>

/* On a device of /dev/vfio/devices. */
#define HOST_VFIO_BIND_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 18)
struct host_vfio_bind_iommufd {
	uint32_t argsz, flags;
	int32_t iommufd;
	uint32_t out_device_id;
};
static_assert(sizeof(struct host_vfio_bind_iommufd) == 16, "BIND_IOMMUFD");

#define HOST_VFIO_ATTACH_IOMMUFD_PT _IO(VFIO_TYPE, VFIO_BASE + 19)
struct host_vfio_attach_iommufd_pt {
	uint32_t argsz, flags;
	uint32_t page_table_id; /* or that of an address space */
};
static_assert(sizeof(struct host_vfio_attach_iommufd_pt) == 12,
	      "ATTACH_IOMMUFD_PT");

/* On /dev/iommu. */
#define HOST_IOMMU_IOAS_ALLOC _IO(VFIO_TYPE, 0x81)
struct host_iommu_ioas_alloc {
	uint32_t size, flags, out_ioas_id;
};
static_assert(sizeof(struct host_iommu_ioas_alloc) == 12, "IOAS_ALLOC");

#define HOST_IOMMU_IOAS_MAP       _IO(VFIO_TYPE, 0x85)
#define HOST_IOMMU_MAP_FIXED_IOVA 1u
#define HOST_IOMMU_MAP_WRITEABLE  2u
#define HOST_IOMMU_MAP_READABLE   4u
struct host_iommu_ioas_map {
	uint32_t size, flags, ioas_id, reserved;
	uint64_t user_va, length, iova;
};
static_assert(sizeof(struct host_iommu_ioas_map) == 40, "IOAS_MAP");

#define HOST_IOMMU_IOAS_UNMAP _IO(VFIO_TYPE, 0x86)
struct host_iommu_ioas_unmap {
	uint32_t size, ioas_id;
	uint64_t iova, length;
};
static_assert(sizeof(struct host_iommu_ioas_unmap) == 24, "IOAS_UNMAP");

#endif
