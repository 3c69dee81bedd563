/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Custody of volumes' data keys.  Each volume has a key of its own, drawn at
 * random once and kept wrapped: AES-256-GCM under a key that grows from the
 * installation's secret and the name of the wrapping key, bound to the volume's
 * id.  The wrapped key is in keys/VOLUME.key of the chip's directory, or where
 * the configuration says.
 */
#ifndef SECURITY_CHIP_KEYS_H
#define SECURITY_CHIP_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#define SEC_KEY_BYTES    64u /* XTS-AES-256: two of 256 bits, which differ */
#define SEC_KEY_WRAPPING "alias/aws/ebs" /* unless another one is named */

struct rt_error;
struct sec_key; /* a wrapped key */

/*
 * The key of that volume, opened once to see that it can be.  When there is
 * none, one is made if may_make: the volume has no data that another key would
 * make unreadable.  kms_key_id (NULL: SEC_KEY_WRAPPING) is up to 127
 * letters, digits and ":/_-"; path (NULL: in the chip's directory) is a file.
 * Errors are the user's.  Any thread; sec_key_forget() is due.
 */
int sec_key_find(const char *volume_id, const char *kms_key_id,
		 const char *path, bool may_make, struct sec_key **out,
		 struct rt_error *error);
void sec_key_forget(struct sec_key **key);

/* The name of what wraps it. */
const char *sec_key_wrapping(const struct sec_key *key);

/*
 * The data key itself; the caller has it in rt_secret memory and erases it. The
 * audit log has a record of it.
 */
int sec_key_unwrap(const struct sec_key *key, uint8_t out[SEC_KEY_BYTES],
		   struct rt_error *error);

#endif
