/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the kernel has a PCI function for VFIO, or why it has not. */
#ifndef HOST_DRIVER_VFIO_FIND_H
#define HOST_DRIVER_VFIO_FIND_H

#include <stdbool.h>

#include "host-driver/address.h"

struct rt_error;

enum host_vfio_way {
	HOST_VFIO_GROUP,   /* a group in a container, behind an IOMMU */
	HOST_VFIO_NOIOMMU, /* the same with physical addresses */
	HOST_VFIO_CDEV,    /* a character device and iommufd */
};

struct host_vfio_place {
	enum host_vfio_way way;
	char pci[32];
	char group[64];  /* "12", or "noiommu-0"; "": has none */
	char device[64]; /* "vfio3" in /dev/vfio/devices; "": has none */
};

/*
 * root: "" for this machine; a test gives another tree with sys and dev.
 * kind: HOST_ADDRESS_VFIO takes the character device if there is one.
 */
int host_vfio_find(const char *root, const char *pci,
		   enum host_address_kind kind, struct host_vfio_place *out,
		   struct rt_error *error);

#endif
