/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libpci, used on a dump and on sysfs.  This file is ours and under the licence
 * above; libpci is under the GNU GPL, and a program that links both is under
 * the GPL as a whole.
 *
 * libpci reads a dump from a path only, so the text goes through a memfd, and
 * its error callback must not return, so it jumps.  One call at a time: the
 * place to jump to is per thread.  Owns nothing between calls.
 */
#include <errno.h>
#include <pci/pci.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/text.h"
#include "host-driver/scan.h"

#define BYTES_PER_LINE 16u
#define IDENTITY                                                               \
	(PCI_FILL_IDENT | PCI_FILL_CLASS | PCI_FILL_CLASS_EXT | PCI_FILL_SUBSYS)

/* The call under way; libpci passes nothing to its callbacks. */
struct escape {
	jmp_buf place;
	struct rt_error *error;
};
static _Thread_local struct escape *escape;

static void give_up(char *format, ...) __attribute__((noreturn));
static void give_up(char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	rt_error_set(escape->error, -EINVAL, "libpci: %s", text);
	longjmp(escape->place, 1);
}

static void stay_silent(char *format, ...)
{
	(void)format;
}

size_t host_scan_dump(const void *config, size_t size, char *text, size_t room)
{
	struct rt_text t = { text, room, 0 };
	const uint8_t *bytes = config;

	rt_text_put(&t, "00:04.0 configuration space\n");
	for (size_t at = 0; at < size; at++) {
		if (at % BYTES_PER_LINE == 0)
			rt_text_put(&t, "%02zx:", at);
		rt_text_put(&t, " %02x", bytes[at]);
		if (at % BYTES_PER_LINE == BYTES_PER_LINE - 1)
			rt_text_put(&t, "\n");
	}
	rt_text_put(&t, "\n");
	return t.length;
}

static int write_dump(const void *config, size_t size)
{
	char text[HOST_SCAN_DUMP_BYTES];
	size_t length = host_scan_dump(config, size, text, sizeof text);
	RT_FD int fd = memfd_create("config", MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, length) != (ssize_t)length)
		return -errno;
	return rt_take_fd(&fd);
}

/* Not from udev's database: asking it leaks. */
static void look_up_name(struct pci_access *access, char *name, int size,
			 int flags, int first, int second)
{
	char buffer[128];
	const char *found = pci_lookup_name(access, buffer, sizeof buffer,
					    flags | PCI_LOOKUP_NO_NUMBERS |
						    PCI_LOOKUP_NO_HWDB,
					    first, second);

	snprintf(name, (size_t)size, "%s", found ? found : "");
}

static void look_up_names(struct pci_access *access, struct host_scan *out)
{
	look_up_name(access, out->vendor_name, sizeof out->vendor_name,
		     PCI_LOOKUP_VENDOR, out->vendor, 0);
	look_up_name(access, out->device_name, sizeof out->device_name,
		     PCI_LOOKUP_DEVICE, out->vendor, out->device);
	look_up_name(access, out->class_name, sizeof out->class_name,
		     PCI_LOOKUP_CLASS, out->class_code, 0);
}

static int list_capabilities(const struct pci_dev *dev, struct host_scan *out)
{
	for (const struct pci_cap *c = dev->first_cap; c; c = c->next) {
		if (out->capability_count == HOST_SCAN_CAPABILITIES)
			return -E2BIG;
		out->capabilities[out->capability_count++] =
			(struct host_capability){
				.id = c->id,
				.offset = (uint16_t)c->addr,
				.is_extended = c->type == PCI_CAP_EXTENDED,
			};
	}
	return 0;
}

static void take_identity(const struct pci_dev *dev, struct host_scan *out)
{
	out->vendor = dev->vendor_id;
	out->device = dev->device_id;
	out->class_code = dev->device_class;
	out->programming_interface = dev->prog_if;
	out->revision = dev->rev_id;
	out->subsystem_vendor = dev->subsys_vendor_id;
	out->subsystem = dev->subsys_id;
}

static int read_device(struct pci_access *access, struct host_scan *out)
{
	struct pci_dev *dev;

	pci_init(access);
	pci_scan_bus(access);
	dev = access->devices;
	if (!dev)
		return rt_error_set(escape->error, -EINVAL,
				    "libpci found no function");
	pci_fill_info(dev, IDENTITY | PCI_FILL_CAPS | PCI_FILL_EXT_CAPS);
	take_identity(dev, out);
	look_up_names(access, out);
	return list_capabilities(dev, out);
}

static struct pci_access *make_access(unsigned int method, char *parameter,
				      const char *value)
{
	struct pci_access *access = pci_alloc();

	access->method = method;
	access->error = give_up;
	access->warning = access->debug = stay_silent;
	if (value)
		pci_set_param(access, parameter, (char *)(uintptr_t)value);
	return access;
}

static int scan_path(const char *path, struct host_scan *out,
		     struct rt_error *error)
{
	struct escape here = { .error = error };
	struct pci_access *access =
		make_access(PCI_ACCESS_DUMP, "dump.name", path);
	int result = -EINVAL;

	escape = &here;
	if (setjmp(here.place) == 0)
		result = read_device(access, out);
	pci_cleanup(access);
	escape = NULL;
	return result;
}

int host_scan_config(const void *config, size_t size, struct host_scan *out,
		     struct rt_error *error)
{
	RT_FD int fd = -1;
	char path[64];

	memset(out, 0, sizeof *out);
	if (size != 64 && size != 256 && size != 4096)
		return rt_error_set(error, -EINVAL,
				    "configuration space of %zu bytes", size);
	fd = write_dump(config, size);
	if (fd < 0)
		return rt_error_set(error, fd, "no memory for a dump");
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return scan_path(path, out, error);
}

/* --- This machine --------------------------------------------------------- */

static void describe(struct pci_access *access, struct pci_dev *dev,
		     struct host_listed *out)
{
	const char *driver;

	pci_fill_info(dev, IDENTITY | PCI_FILL_DRIVER);
	driver = pci_get_string_property(dev, PCI_FILL_DRIVER);
	snprintf(out->address, sizeof out->address, "%04x:%02x:%02x.%x",
		 (unsigned int)dev->domain, dev->bus, dev->dev, dev->func);
	snprintf(out->driver, sizeof out->driver, "%s", driver ? driver : "");
	take_identity(dev, &out->scan);
	look_up_names(access, &out->scan);
}

static int by_address(const void *left, const void *right)
{
	const struct host_listed *a = left, *b = right;
	size_t m = strlen(a->address), n = strlen(b->address);

	/* A longer one has a larger domain. */
	return m != n ? (m > n) - (m < n) : strcmp(a->address, b->address);
}

/* What libpci makes of sysfs; list is the escape's to free. */
static int list_devices(struct pci_access *access, struct host_listed **list,
			size_t *count)
{
	size_t room = 0;

	pci_init(access);
	pci_scan_bus(access);
	for (const struct pci_dev *d = access->devices; d; d = d->next)
		room++;
	*list = calloc(room + 1, sizeof **list);
	if (!*list)
		return rt_error_set(escape->error, -ENOMEM, "no memory");
	for (struct pci_dev *d = access->devices; d; d = d->next)
		describe(access, d, &(*list)[(*count)++]);
	qsort(*list, *count, sizeof **list, by_address);
	return 0;
}

int host_scan_list(const char *sysfs, struct host_listed **out, size_t *count,
		   struct rt_error *error)
{
	struct escape here = { .error = error };
	struct pci_access *access =
		make_access(PCI_ACCESS_SYS_BUS_PCI, "sysfs.path", sysfs);
	int result = -EINVAL;

	*out = NULL;
	*count = 0;
	escape = &here;
	if (setjmp(here.place) == 0)
		result = list_devices(access, out, count);
	if (result < 0) {
		free(*out);
		*out = NULL;
		*count = 0;
	}
	pci_cleanup(access);
	escape = NULL;
	return result;
}
