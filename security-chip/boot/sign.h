/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The owner's side: a key, and images signed with it.  Not in the first stage,
 * which can only check.
 */
#ifndef SECURITY_CHIP_BOOT_SIGN_H
#define SECURITY_CHIP_BOOT_SIGN_H

#include <stdint.h>

#include "security-chip/boot/manifest.h"

struct rt_error;

/* Make a key on P-384 and write it to path, mode 0600.  -EEXIST: not over it.
 */
int sec_sign_new_key(const char *path, struct rt_error *error);

/* SHA-384 of the public key of that file, as `nitro-rom --init` fuses it. */
int sec_sign_key_digest(const char *path, uint8_t out[SEC_DIGEST_BYTES],
			struct rt_error *error);

struct sec_sign_request {
	const char *key;
	const char *version;
	uint32_t svn;
	const char *parts[SEC_PARTS]; /* paths; NULL: without the network's */
	const char *image;            /* directory, which is made */
};

/* Copy the parts into the image and put the signed manifest beside them. */
int sec_sign_image(const struct sec_sign_request *request,
		   struct rt_error *error);

#endif
