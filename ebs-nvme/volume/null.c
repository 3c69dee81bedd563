/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The null engine: forgets what is written, and leaves the guest's memory as it
 * is when it is read.  It shows what the controller itself costs.
 */
#include "ebs-nvme/volume/engine.h"

static int null_open(struct ebs_volume *volume,
		     const struct ebs_volume_config *config,
		     struct rt_error *error)
{
	volume->can_discard = !config->is_read_only;
	return ebs_volume_set_size(volume, config->null_size, error);
}

static int null_submit(struct ebs_volume *volume, struct ebs_volume_io *io)
{
	(void)volume;
	(void)io;
	return 0;
}

static void null_close(struct ebs_volume *volume)
{
	(void)volume;
}

const struct ebs_volume_engine ebs_volume_null = {
	.name = "null",
	.open = null_open,
	.submit = null_submit,
	.close = null_close,
};
