/* SPDX-License-Identifier: BSD-3-Clause */
/* The engines behind volume.h, and what they share. */
#ifndef EBS_NVME_VOLUME_ENGINE_H
#define EBS_NVME_VOLUME_ENGINE_H

#include "ebs-nvme/volume.h"

extern const struct ebs_volume_engine ebs_volume_file;
extern const struct ebs_volume_engine ebs_volume_memory;
extern const struct ebs_volume_engine ebs_volume_null;

/* Sets the size of a volume that is not a file; -EINVAL with *error. */
int ebs_volume_set_size(struct ebs_volume *volume, uint64_t size,
			struct rt_error *error);

/* size bytes of zeroed private memory that costs nothing until it is used. */
int ebs_volume_reserve(struct ebs_volume *volume, uint64_t size, int protection,
		       struct rt_error *error);
void ebs_volume_release(struct ebs_volume *volume);

#endif
