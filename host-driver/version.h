/* SPDX-License-Identifier: BSD-3-Clause */
/* What a vfio-user server's reply to VERSION says (host-driver/version.c). */
#ifndef HOST_DRIVER_VERSION_H
#define HOST_DRIVER_VERSION_H

#include <stdbool.h>
#include <stddef.h>

struct rt_error;

struct host_version {
	unsigned int max_fds; /* descriptors in one message, at least 1 */
	size_t max_transfer;  /* bytes in one region access */
	bool has_write_many;  /* REGION_WRITE_MULTI */
};

/* The reply's payload.  Keys that it does not have mean the defaults. */
int host_version_parse(const void *payload, size_t size,
		       struct host_version *out, struct rt_error *error);

#endif
