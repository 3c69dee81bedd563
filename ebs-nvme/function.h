/* SPDX-License-Identifier: BSD-3-Clause */
/* The volume function: an EBS volume or an instance-store disk. */
#ifndef EBS_NVME_FUNCTION_H
#define EBS_NVME_FUNCTION_H

#include <stdbool.h>
#include <stdint.h>

#include "ebs-nvme/volume.h"

struct pcie_function;
struct pcie_function_type;

enum ebs_doorbells {
	EBS_DOORBELLS_AUTO,
	EBS_DOORBELLS_MAPPED,
	EBS_DOORBELLS_TRAPPED,
};

/* What the options in tables.c fill. */
struct ebs_config {
	char *name;
	unsigned int profile; /* enum ebs_profile_number */
	char *volume_id, *device_name;
	uint64_t vcpus;
	unsigned int queue_entries; /* index of the choices; 0: the profile's */
	unsigned int doorbells;     /* enum ebs_doorbells */
	unsigned int polling;       /* enum ebs_polling, of controller.h */
	bool may_spread;            /* queues over the card's workers */
	struct ebs_volume_config volume;
	bool is_metal; /* identity and capabilities as on bare metal */
	bool has_pm, has_aer, has_serial;
};

extern const struct pcie_function_type ebs_function;

/* The size of what is behind it changed: tell the guest.  On the loop. */
void ebs_function_resized(struct pcie_function *fn);

#endif
