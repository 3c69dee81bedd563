/* SPDX-License-Identifier: BSD-3-Clause */
/* The two halves of the file engine: opening it, and its requests. */
#ifndef EBS_NVME_VOLUME_FILE_H
#define EBS_NVME_VOLUME_FILE_H

#include <linux/falloc.h>

#include "ebs-nvme/volume/engine.h"

#define EBS_FILE_PUNCH  (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define EBS_FILE_ZEROES (UINT64_C(1) << 20) /* bytes written at a time */

int ebs_file_open(struct ebs_volume *volume,
		  const struct ebs_volume_config *config,
		  struct rt_error *error);
void ebs_file_close(struct ebs_volume *volume);

#endif
