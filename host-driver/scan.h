/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration space as a host's tools see it: read by libpci, which shares
 * nothing with the code that made it.  libpci is under the GNU GPL (version 2
 * or later), and so is, as a whole, a program that links this file; it is a
 * library of its own (host_scan) so that no other program does.
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

/*
 * The text that `lspci -xxxx` would print, for `lspci -F`: NUL-terminated if
 * room allows; the length that it has or would have is returned.
 */
size_t host_scan_dump(const void *config, size_t size, char *text, size_t room);

/* Enough room for 4096 bytes. */
#define HOST_SCAN_DUMP_BYTES 16384u

#endif
