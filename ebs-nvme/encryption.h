/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether a volume is encrypted, and when its key is in memory: from the moment
 * a client attaches until it is gone.  On the function's loop thread.
 */
#ifndef EBS_NVME_ENCRYPTION_H
#define EBS_NVME_ENCRYPTION_H

struct ebs_controller;
struct ebs_volume_config;
struct rt_error;

/*
 * Settle config->encrypted for this controller's profile and find the key of a
 * volume that keeps one.  volume_id: as the user has it; NULL: none.  Errors
 * are the user's.
 */
int ebs_encryption_open(struct ebs_controller *c,
			struct ebs_volume_config *config, const char *volume_id,
			struct rt_error *error);
/* The volume is open: what its requests need. */
int ebs_encryption_prepare(struct ebs_controller *c, struct rt_error *error);
void ebs_encryption_close(struct ebs_controller *c);

/*
 * Unlock; an instance-store disk is given a new key, and its first and last
 * blocks are zeros.  Nothing to do for what is not encrypted.
 */
int ebs_encryption_unlock(struct ebs_controller *c, struct rt_error *error);
void ebs_encryption_lock(struct ebs_controller *c);

/* The name of what wraps its key; NULL: nothing does. */
const char *ebs_encryption_wrapping(const struct ebs_controller *c);

#endif
