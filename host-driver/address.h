/* SPDX-License-Identifier: BSD-3-Clause */
/* The addresses that host_open() takes (see host-driver/bus.h). */
#ifndef HOST_DRIVER_ADDRESS_H
#define HOST_DRIVER_ADDRESS_H

struct rt_error;

#define HOST_ADDRESS_BYTES 4096u

enum host_address_kind {
	HOST_ADDRESS_SOCKET,
	HOST_ADDRESS_VFIO,
	HOST_ADDRESS_VFIO_GROUP,
	HOST_ADDRESS_VFIO_CDEV,
};

struct host_address {
	enum host_address_kind kind;
	/* A path, or a PCI address with its domain: "0000:00:04.0". */
	char text[HOST_ADDRESS_BYTES];
};

/* -EINVAL, -ENAMETOOLONG: *error says what is expected. */
int host_address_parse(const char *address, struct host_address *out,
		       struct rt_error *error);

#endif
