/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration space, and what there is on this machine, as a host's tools see
 * it: read by libpci, which shares nothing with the code that made it.  libpci
 * is under the GNU GPL (version 2 or later), and so is, as a whole, a program
 * that links this file; it is a library of its own (host_scan) so that no other
 * program does.
 */
#ifndef HOST_DRIVER_SCAN_H
#define HOST_DRIVER_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rt_error;

#define HOST_SCAN_CAPABILITIES 64u

struct host_capability {
	uint16_t id, offset;
	bool is_extended;
};

struct host_scan {
	uint16_t vendor, device, subsystem_vendor, subsystem, class_code;
	uint8_t programming_interface, revision;
	/* From pci.ids, "" where it knows none. */
	char vendor_name[128], device_name[128], class_name[128];
	struct host_capability capabilities[HOST_SCAN_CAPABILITIES];
	size_t capability_count; /* in the order of the lists */
};

/*
 * size: 64, 256 or 4096 bytes.  -EINVAL: libpci cannot read it, and says why in
 * *error; -E2BIG: more capabilities than there is room for.
 */
int host_scan_config(const void *config, size_t size, struct host_scan *out,
		     struct rt_error *error);

struct host_listed {
	char address[32];      /* "0000:00:04.0", as host_open() takes it */
	char driver[64];       /* the kernel's, "" where it has none */
	struct host_scan scan; /* without capabilities */
};

/*
 * The PCI functions of this machine, in the order of their addresses.  sysfs:
 * "/sys/bus/pci", or another tree; NULL: this machine's.  *out is the caller's
 * to free().  -EINVAL: libpci cannot read them, and says why in *error.
 */
int host_scan_list(const char *sysfs, struct host_listed **out, size_t *count,
		   struct rt_error *error);

/*
 * The text that `lspci -xxxx` would print, for `lspci -F`: NUL-terminated if
 * room allows; the length that it has or would have is returned.
 */
size_t host_scan_dump(const void *config, size_t size, char *text, size_t room);

/* Enough room for 4096 bytes. */
#define HOST_SCAN_DUMP_BYTES 16384u

#endif
