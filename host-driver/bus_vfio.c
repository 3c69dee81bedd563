/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A function reached through the kernel's VFIO (<linux/vfio.h>).  The device's
 * descriptor gives regions by pread(), pwrite() and mmap(), and interrupts by
 * eventfd.  Two eventfds of our own hear of errors that the device does not
 * recover from, and of the kernel asking for it back.
 *
 * One thread.  Owns the descriptors; memory belongs to whoever asked for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "host-driver/bus_private.h"
#include "host-driver/memory.h"
#include "host-driver/vfio_link.h"
#include "host-driver/vfio_memory.h"

#define MAX_REGION_INFO 4096u
#define MAX_VECTORS     2048u

/* What the two eventfds mean to who polls. */
static const struct notice {
	unsigned int index;
	int result;
	const char *text;
} notices[] = {
	{ VFIO_PCI_ERR_IRQ_INDEX, -EIO,
	  "the device reported an error that it does not recover from" },
	{ VFIO_PCI_REQ_IRQ_INDEX, -ENODEV,
	  "the kernel asks for the device back" },
};

struct device {
	struct host_function fn;
	struct host_vfio_link link;
	bool has_reset;
	int notice_fds[RT_COUNT(notices)];
};

static struct device *device_of(struct host_function *fn)
{
	return rt_container_of(fn, struct device, fn);
}

static int call(struct device *d, unsigned long request, void *argument)
{
	int rc = ioctl(d->link.device, request, argument);

	return rc < 0 ? -errno : 0;
}

/* --- Regions -------------------------------------------------------------- */

static bool is_inside(const struct device *d, unsigned int region,
		      uint64_t offset, size_t size)
{
	uint64_t end;

	return region < HOST_REGIONS &&
	       !__builtin_add_overflow(offset, size, &end) &&
	       end <= d->fn.regions[region].size;
}

static int read_region(struct host_function *fn, unsigned int region,
		       uint64_t offset, void *data, size_t size)
{
	struct device *d = device_of(fn);
	ssize_t n;

	if (!is_inside(d, region, offset, size))
		return -EINVAL;
	n = pread(d->link.device, data, size,
		  (off_t)(fn->regions[region].file_offset + offset));
	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EIO;
}

static int write_region(struct host_function *fn, unsigned int region,
			uint64_t offset, const void *data, size_t size)
{
	struct device *d = device_of(fn);
	ssize_t n;

	if (!is_inside(d, region, offset, size))
		return -EINVAL;
	n = pwrite(d->link.device, data, size,
		   (off_t)(fn->regions[region].file_offset + offset));
	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EIO;
}

static int reset(struct host_function *fn)
{
	struct device *d = device_of(fn);

	if (!d->has_reset)
		return rt_error_set(&fn->error, -EOPNOTSUPP,
				    "the function cannot be reset alone");
	return call(d, VFIO_DEVICE_RESET, NULL);
}

/* --- Memory --------------------------------------------------------------- */

static bool is_physical(struct device *d)
{
	return d->link.way == HOST_VFIO_NOIOMMU;
}

static int make_memory(struct host_function *fn, struct host_memory *memory)
{
	bool is_huge = !(fn->options.quirks & HOST_SMALL_PAGES);

	return host_vfio_memory_make(memory, is_huge,
				     is_physical(device_of(fn)), &fn->error);
}

static int attach_memory(struct host_function *fn, struct host_memory *memory)
{
	struct device *d = device_of(fn);

	if (!is_physical(d))
		return host_vfio_link_map(&d->link, memory->bytes, memory->iova,
					  memory->size, &fn->error);
	if (memory->pages)
		return 0;
	return rt_error_set(&fn->error, -EOPNOTSUPP,
			    "memory of another function has no physical "
			    "addresses");
}

static int detach_memory(struct host_function *fn,
			 const struct host_memory *memory)
{
	struct device *d = device_of(fn);

	if (is_physical(d))
		return 0;
	return host_vfio_link_unmap(&d->link, memory->iova, memory->size);
}

/* --- Interrupts ----------------------------------------------------------- */

static int set_irqs(struct host_function *fn, uint32_t flags,
		    unsigned int index, unsigned int start, unsigned int count,
		    const int *fds)
{
	bool has_data = flags & VFIO_IRQ_SET_DATA_EVENTFD;
	size_t size = sizeof(struct vfio_irq_set) + count * sizeof *fds;
	RT_FREE struct vfio_irq_set *set = NULL;

	if (count > MAX_VECTORS)
		return -EINVAL;
	set = calloc(1, size);
	if (!set)
		return -ENOMEM;
	set->argsz = (uint32_t)size;
	set->flags = flags;
	set->index = index;
	set->start = start;
	set->count = count;
	/* The kernel wants a descriptor for each, and -1 de-assigns. */
	if (has_data && fds)
		memcpy(set->data, fds, count * sizeof *fds);
	else if (has_data)
		memset(set->data, 0xff, count * sizeof *fds);
	return call(device_of(fn), VFIO_DEVICE_SET_IRQS, set);
}

static int count_irqs(struct host_function *fn, unsigned int index,
		      unsigned int *out)
{
	struct vfio_irq_info info = { .argsz = sizeof info, .index = index };
	int rc = call(device_of(fn), VFIO_DEVICE_GET_IRQ_INFO, &info);

	if (rc == 0)
		*out = info.count;
	return rc;
}

/* Not every device and kernel has these; without them there is no notice. */
static void hear_notices(struct device *d)
{
	for (size_t i = 0; i < RT_COUNT(notices); i++) {
		unsigned int count = 0;
		int fd;

		if (count_irqs(&d->fn, notices[i].index, &count) < 0 ||
		    count == 0)
			continue;
		fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		d->notice_fds[i] = fd;
		if (fd >= 0)
			(void)host_irq_set(&d->fn, notices[i].index, 0, &fd, 1);
	}
}

static int poll_device(struct host_function *fn, int timeout_ms)
{
	struct device *d = device_of(fn);
	struct pollfd ready[RT_COUNT(notices)];

	if (fn->options.idle)
		fn->options.idle(fn->options.opaque);
	for (size_t i = 0; i < RT_COUNT(notices); i++)
		ready[i] = (struct pollfd){ .fd = d->notice_fds[i],
					    .events = POLLIN };
	if (poll(ready, RT_COUNT(notices), timeout_ms) <= 0)
		return 0;
	for (size_t i = 0; i < RT_COUNT(notices); i++) {
		/* Not read: what is lost stays lost. */
		if (ready[i].revents & POLLIN)
			return rt_error_set(&fn->error, notices[i].result, "%s",
					    notices[i].text);
	}
	return 0;
}

/* --- Start and end -------------------------------------------------------- */

static int ask_region(struct device *d, struct vfio_region_info *info,
		      uint32_t argsz, uint32_t index)
{
	memset(info, 0, argsz);
	info->argsz = argsz;
	info->index = index;
	return call(d, VFIO_DEVICE_GET_REGION_INFO, info);
}

/* Asked again with room for the capabilities if there are any. */
static int learn_region(struct device *d, uint32_t index)
{
	union {
		struct vfio_region_info info;
		uint8_t bytes[MAX_REGION_INFO];
	} reply;
	struct host_region *region = &d->fn.regions[index];
	uint32_t size = sizeof reply.info;
	int rc = ask_region(d, &reply.info, size, index);

	if (rc == 0 && reply.info.argsz > size) {
		size = reply.info.argsz;
		if (size > sizeof reply)
			return -E2BIG;
		rc = ask_region(d, &reply.info, size, index);
	}
	if (rc == 0)
		rc = host_region_parse(region, &reply, size);
	if (rc < 0)
		return rc;
	if (region->area_count > 0)
		region->fd = fcntl(d->link.device, F_DUPFD_CLOEXEC, 0);
	return 0;
}

static int learn(struct device *d, struct rt_error *error)
{
	struct vfio_device_info info = { .argsz = sizeof info };
	int rc = call(d, VFIO_DEVICE_GET_INFO, &info);

	if (rc < 0 || !(info.flags & VFIO_DEVICE_FLAGS_PCI))
		return rt_error_set(error, rc < 0 ? rc : -EPROTO,
				    "VFIO's device is not a PCI function");
	d->has_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
	for (uint32_t i = 0; i < HOST_REGIONS && i < info.num_regions; i++) {
		rc = learn_region(d, i);
		/* Only old graphics cards have the last one. */
		if (rc == -EINVAL && i == VFIO_PCI_VGA_REGION_INDEX)
			rc = 0;
		if (rc < 0)
			return rt_error_set(error, rc,
					    "region %u cannot be learnt (%s)",
					    i, rt_errno_name(rc));
	}
	return 0;
}

static void close_device(struct host_function *fn)
{
	struct device *d = device_of(fn);

	host_vfio_link_close(&d->link);
	for (size_t i = 0; i < RT_COUNT(notices); i++) {
		if (d->notice_fds[i] >= 0)
			(void)close(d->notice_fds[i]);
	}
	free(d);
}

static const struct host_bus vfio_bus = {
	.name = "vfio",
	.close = close_device,
	.read = read_region,
	.write = write_region,
	.reset = reset,
	.memory_make = make_memory,
	.memory_attach = attach_memory,
	.memory_detach = detach_memory,
	.irq_set = set_irqs,
	.irq_count = count_irqs,
	.poll = poll_device,
};

static const char *const way_names[] = {
	[HOST_VFIO_GROUP] = "vfio group",
	[HOST_VFIO_NOIOMMU] = "vfio no-IOMMU",
	[HOST_VFIO_CDEV] = "vfio cdev",
};

int host_open_vfio(const struct host_address *address,
		   const struct host_options *options,
		   struct host_function **out, struct rt_error *error)
{
	struct host_vfio_place place;
	struct host_function *fn;
	struct device *d;
	int rc =
		host_vfio_find("", address->text, address->kind, &place, error);

	if (rc < 0)
		return rc;
	d = calloc(1, sizeof *d);
	if (!d)
		return rt_error_set(error, -ENOMEM, "no memory");
	fn = &d->fn;
	host_function_start(fn, &vfio_bus, options);
	fn->name = way_names[place.way];
	memset(d->notice_fds, 0xff, sizeof d->notice_fds);
	rc = host_vfio_link_open(&d->link, &place, error);
	if (rc == 0)
		rc = learn(d, error);
	if (rc < 0) {
		host_close(&fn);
		return rc;
	}
	hear_notices(d);
	*out = fn;
	return 0;
}
