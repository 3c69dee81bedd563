/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a device of the kernel's VFIO (Documentation/driver-api/vfio.rst and
 * userspace-api/iommufd.rst of Linux), and memory that its IOMMU maps.  One
 * thread.  Owns the descriptors.
 */
#include "host-driver/vfio_link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "host-driver/vfio_abi.h"

void host_vfio_link_clear(struct host_vfio_link *link)
{
	*link = (struct host_vfio_link){ .device = -1,
					 .space = -1,
					 .group = -1 };
}

static void close_one(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

void host_vfio_link_close(struct host_vfio_link *link)
{
	close_one(link->device);
	close_one(link->group);
	close_one(link->space);
	host_vfio_link_clear(link);
}

static int call(int fd, unsigned long request, void *argument)
{
	int rc = ioctl(fd, request, argument);

	return rc < 0 ? -errno : rc;
}

/* --- Opening -------------------------------------------------------------- */

static int open_node(const char *directory, const char *name, int *fd,
		     struct rt_error *error)
{
	char path[160];
	int rc;

	(void)snprintf(path, sizeof path, "/dev/%s%s", directory, name);
	*fd = open(path, O_RDWR | O_CLOEXEC);
	if (*fd >= 0)
		return 0;
	rc = rt_error_set(error, -errno, "cannot open %s (%s)", path,
			  rt_errno_name(errno));
	if (rc == -EACCES)
		rt_error_hint(error, "give your user the right to %s", path);
	else if (rc == -EPERM)
		rt_error_hint(error, "without an IOMMU it takes "
				     "CAP_SYS_RAWIO: run as root");
	else if (rc == -EBUSY)
		rt_error_hint(error, "another process uses it");
	else if (rc == -ENOENT || rc == -ENODEV)
		rt_error_hint(error, "are the modules vfio and vfio-pci "
				     "loaded?");
	return rc;
}

static int check_group(struct host_vfio_link *link,
		       const struct host_vfio_place *place,
		       struct rt_error *error)
{
	struct vfio_group_status status = { .argsz = sizeof status };
	int rc = call(link->group, VFIO_GROUP_GET_STATUS, &status);

	if (rc < 0)
		return rt_error_set(error, rc, "group %s has no status (%s)",
				    place->group, rt_errno_name(rc));
	if (status.flags & VFIO_GROUP_FLAGS_VIABLE)
		return 0;
	(void)rt_error_set(error, -EBUSY,
			   "another function of IOMMU group %s is bound to "
			   "its driver",
			   place->group);
	rt_error_hint(error,
		      "bind every function in "
		      "/sys/kernel/iommu_groups/%s/devices to vfio-pci",
		      place->group);
	return -EBUSY;
}

static int set_iommu(struct host_vfio_link *link, struct rt_error *error)
{
	unsigned long type = link->way == HOST_VFIO_NOIOMMU
				     ? VFIO_NOIOMMU_IOMMU
				     : VFIO_TYPE1v2_IOMMU;
	int rc = 0;

	if (ioctl(link->space, VFIO_CHECK_EXTENSION, type) <= 0)
		return rt_error_set(error, -EOPNOTSUPP,
				    "the kernel's VFIO has no IOMMU driver "
				    "for this group (is vfio_iommu_type1 "
				    "loaded?)");
	if (ioctl(link->space, VFIO_SET_IOMMU, type) < 0)
		rc = rt_error_set(error, -errno,
				  "the group's IOMMU cannot be set up (%s)",
				  rt_errno_name(errno));
	if (rc == -EPERM)
		rt_error_hint(error,
			      "does the IOMMU remap interrupts? if not: echo "
			      "1 >/sys/module/vfio_iommu_type1/parameters/"
			      "allow_unsafe_interrupts");
	return rc;
}

static int enter_container(struct host_vfio_link *link,
			   const struct host_vfio_place *place,
			   struct rt_error *error)
{
	int rc = open_node("vfio/", "vfio", &link->space, error);

	if (rc < 0)
		return rc;
	if (ioctl(link->space, VFIO_GET_API_VERSION) != VFIO_API_VERSION)
		return rt_error_set(error, -EOPNOTSUPP,
				    "VFIO has a version that is not %d",
				    VFIO_API_VERSION);
	rc = call(link->group, VFIO_GROUP_SET_CONTAINER, &link->space);
	if (rc < 0)
		return rt_error_set(error, rc,
				    "group %s joins no container (%s)",
				    place->group, rt_errno_name(rc));
	return set_iommu(link, error);
}

static int open_group(struct host_vfio_link *link,
		      const struct host_vfio_place *place,
		      struct rt_error *error)
{
	int rc = open_node("vfio/", place->group, &link->group, error);

	if (rc == 0)
		rc = check_group(link, place, error);
	if (rc == 0)
		rc = enter_container(link, place, error);
	if (rc < 0)
		return rc;
	link->device = ioctl(link->group, VFIO_GROUP_GET_DEVICE_FD, place->pci);
	if (link->device >= 0)
		return 0;
	return rt_error_set(error, -errno, "group %s does not give %s (%s)",
			    place->group, place->pci, rt_errno_name(errno));
}

static int bind_device(struct host_vfio_link *link, struct rt_error *error)
{
	struct host_vfio_bind_iommufd bind = { .argsz = sizeof bind,
					       .iommufd = link->space };
	int rc = call(link->device, HOST_VFIO_BIND_IOMMUFD, &bind);

	if (rc == 0)
		return 0;
	(void)rt_error_set(error, rc, "the device does not join iommufd (%s)",
			   rt_errno_name(rc));
	if (rc == -EPERM)
		rt_error_hint(error, "another function of its IOMMU group is "
				     "bound to its driver, or used by another "
				     "process");
	return rc;
}

static int attach_device(struct host_vfio_link *link, struct rt_error *error)
{
	struct host_iommu_ioas_alloc space = { .size = sizeof space };
	struct host_vfio_attach_iommufd_pt attach = { .argsz = sizeof attach };
	int rc = call(link->space, HOST_IOMMU_IOAS_ALLOC, &space);

	if (rc < 0)
		return rt_error_set(error, rc, "iommufd has no room (%s)",
				    rt_errno_name(rc));
	link->ioas = space.out_ioas_id;
	attach.page_table_id = link->ioas;
	rc = call(link->device, HOST_VFIO_ATTACH_IOMMUFD_PT, &attach);
	if (rc == 0)
		return 0;
	(void)rt_error_set(error, rc, "the device gets no address space (%s)",
			   rt_errno_name(rc));
	if (rc == -EPERM)
		rt_error_hint(error, "does the IOMMU remap interrupts? if "
				     "not: load iommufd with "
				     "allow_unsafe_interrupts=1");
	return rc;
}

static int open_device(struct host_vfio_link *link,
		       const struct host_vfio_place *place,
		       struct rt_error *error)
{
	int rc =
		open_node("vfio/devices/", place->device, &link->device, error);

	if (rc == 0)
		rc = open_node("", "iommu", &link->space, error);
	if (rc == 0)
		rc = bind_device(link, error);
	return rc < 0 ? rc : attach_device(link, error);
}

int host_vfio_link_open(struct host_vfio_link *link,
			const struct host_vfio_place *place,
			struct rt_error *error)
{
	int rc;

	host_vfio_link_clear(link);
	link->way = place->way;
	rc = link->way == HOST_VFIO_CDEV ? open_device(link, place, error)
					 : open_group(link, place, error);
	if (rc < 0)
		host_vfio_link_close(link);
	return rc;
}

/* --- Memory --------------------------------------------------------------- */

static int map_type1(struct host_vfio_link *link, void *bytes, uint64_t iova,
		     uint64_t size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof map,
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)bytes,
		.iova = iova,
		.size = size,
	};

	return call(link->space, VFIO_IOMMU_MAP_DMA, &map);
}

static int map_iommufd(struct host_vfio_link *link, void *bytes, uint64_t iova,
		       uint64_t size)
{
	struct host_iommu_ioas_map map = {
		.size = sizeof map,
		.flags = HOST_IOMMU_MAP_FIXED_IOVA | HOST_IOMMU_MAP_READABLE |
			 HOST_IOMMU_MAP_WRITEABLE,
		.ioas_id = link->ioas,
		.user_va = (uintptr_t)bytes,
		.length = size,
		.iova = iova,
	};

	return call(link->space, HOST_IOMMU_IOAS_MAP, &map);
}

int host_vfio_link_map(struct host_vfio_link *link, void *bytes, uint64_t iova,
		       uint64_t size, struct rt_error *error)
{
	int rc = link->way == HOST_VFIO_CDEV
			 ? map_iommufd(link, bytes, iova, size)
			 : map_type1(link, bytes, iova, size);

	if (rc == 0)
		return 0;
	(void)rt_error_set(error, rc,
			   "the IOMMU does not map %llu KiB at %#llx (%s)",
			   (unsigned long long)size >> 10,
			   (unsigned long long)iova, rt_errno_name(rc));
	if (rc == -ENOMEM)
		rt_error_hint(error, "mapped memory is locked: raise the limit "
				     "(ulimit -l), or ask for less");
	else if (rc == -EEXIST || rc == -EINVAL || rc == -ENOENT)
		rt_error_hint(error, "that range is taken or reserved: choose "
				     "another I/O virtual address");
	return rc;
}

int host_vfio_link_unmap(struct host_vfio_link *link, uint64_t iova,
			 uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap old = { .argsz = sizeof old,
						  .iova = iova,
						  .size = size };
	struct host_iommu_ioas_unmap new = { .size = sizeof new,
					     .ioas_id = link->ioas,
					     .iova = iova,
					     .length = size };

	if (link->way == HOST_VFIO_CDEV)
		return call(link->space, HOST_IOMMU_IOAS_UNMAP, &new);
	return call(link->space, VFIO_IOMMU_UNMAP_DMA, &old);
}
