/* SPDX-License-Identifier: BSD-3-Clause */
/* What the file of a wrapped key holds. */
#ifndef SECURITY_CHIP_KEYS_FILE_H
#define SECURITY_CHIP_KEYS_FILE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "security-chip/keys.h"

#define SEC_WRAPPING_KEY_BYTES 32u

/* As it is in the file.  All before the nonce is authenticated with the key. */
struct sec_key_file {
	char magic[8];
	char volume_id[24];   /* "vol-" and 17 digits; zeros follow */
	char kms_key_id[128]; /* likewise */
	uint8_t nonce[12];
	uint8_t wrapped[SEC_KEY_BYTES];
	uint8_t tag[16];
};
static_assert(sizeof(struct sec_key_file) == 252, "a wrapped key's file");

/* A file without a key yet.  -EINVAL: a name that it cannot have. */
int sec_key_file_init(struct sec_key_file *file, const char *volume_id,
		      const char *kms_key_id);

/* Foreign bytes.  -EBADMSG: they are no such file. */
int sec_key_file_parse(struct sec_key_file *file, const void *bytes,
		       size_t size);

/* Wrap and unwrap.  -EIO; -EKEYREJECTED: it was changed, or is another's. */
int sec_key_file_seal(struct sec_key_file *file,
		      const uint8_t wrapping[SEC_WRAPPING_KEY_BYTES],
		      const uint8_t key[SEC_KEY_BYTES]);
int sec_key_file_open(const struct sec_key_file *file,
		      const uint8_t wrapping[SEC_WRAPPING_KEY_BYTES],
		      uint8_t key[SEC_KEY_BYTES]);

#endif
