/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The PCI functions of this machine, with the addresses that host_open() takes.
 * (Links libpci, which is under the GNU GPL: so is this program as a whole.)
 *
 *	cc list_functions.c $(pkg-config --cflags --libs nitro-host-scan)
 */
#include <stdio.h>
#include <stdlib.h>

#include "firmware/rt/error.h"
#include "host-driver/scan.h"

int main(void)
{
	struct host_listed *list;
	struct rt_error error;
	size_t count;

	if (host_scan_list(NULL, &list, &count, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		return 1;
	}
	for (size_t i = 0; i < count; i++) {
		const struct host_scan *s = &list[i].scan;

		printf("%s %04x:%04x %-10s %s: %s %s\n", list[i].address,
		       s->vendor, s->device,
		       list[i].driver[0] ? list[i].driver : "-", s->class_name,
		       s->vendor_name, s->device_name);
	}
	free(list);
	return 0;
}
