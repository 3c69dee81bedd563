/* SPDX-License-Identifier: BSD-3-Clause */
/* What makes an NVMe controller an EBS volume: its identity. */
#ifndef EBS_NVME_EBS_H
#define EBS_NVME_EBS_H

#include <stdint.h>

struct ebs_profile;
struct rt_error;

struct ebs_identity {
	char serial[21]; /* "vol" or "AWS" and 17 hexadecimal digits */
	char subnqn[257];
	char device_name[33];
	uint8_t uuid[16];
	uint8_t nguid[16];
};

/*
 * volume_id: "vol-" (instance store: "AWS-" or "vol-") and 17 hexadecimal
 * digits; NULL: one that follows from the function's name.  device_name: the
 * block device mapping's, up to 32 characters; NULL: "sda1" for EBS, none for
 * the instance store.  -EINVAL: *error says what is wrong with them.
 */
int ebs_identity_make(const struct ebs_profile *profile, const char *name,
		      const char *volume_id, const char *device_name,
		      struct ebs_identity *out, struct rt_error *error);

#endif
