/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The security chip of this process: its private directory, and the secret from
 * which all keys of this installation grow.  firmware/card opens it before the
 * first function and closes it after the last; there is one in a process.
 */
#ifndef SECURITY_CHIP_CHIP_H
#define SECURITY_CHIP_CHIP_H

#include <stddef.h>

struct rt_error;

/*
 * Open the chip whose state is in state_dir.  What is missing is made: the
 * directory and, in it, security-chip/ with mode 0700, for this user alone, and
 * the installation's secret.  What is there and is not as it should be (another
 * owner, open to others, cut off) is told in *error and left as it is.
 * -EALREADY: one is open.  Main thread.
 */
int sec_chip_open(const char *state_dir, struct rt_error *error);
void sec_chip_close(void);

/* Its private directory, borrowed; -1: no chip is open.  Any thread. */
int sec_chip_dir(void);

/*
 * size bytes (at most 12240: 255 hashes) that are the same at each start of
 * this installation and others for each label: HKDF-SHA384 (RFC 5869) of its
 * secret, with the label as info.  The secret is in memory only meanwhile.
 * -ENODEV: no chip is open; -EIO: the secret cannot be read.  Any thread.
 */
int sec_chip_secret(const char *label, void *out, size_t size);

#endif
