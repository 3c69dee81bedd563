/* SPDX-License-Identifier: BSD-3-Clause */
/* The file of a wrapped key: what parses has good names, and seldom opens. */
#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "security-chip/keys_file.h"

static const uint8_t wrapping[SEC_WRAPPING_KEY_BYTES] = { 1, 2, 3 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	uint8_t key[SEC_KEY_BYTES], sealed[SEC_KEY_BYTES] = { 5 };
	struct sec_key_file file, same;

	if (sec_key_file_parse(&file, bytes, size))
		return 0;
	assert(memchr(file.volume_id, 0, sizeof file.volume_id));
	assert(memchr(file.kms_key_id, 0, sizeof file.kms_key_id));
	assert(!sec_key_file_init(&same, file.volume_id, file.kms_key_id));
	assert(!memcmp(&same, &file, offsetof(struct sec_key_file, nonce)));
	if (sec_key_file_open(&file, wrapping, key))
		for (size_t i = 0; i < sizeof key; i++)
			assert(!key[i]);
	/* Sealed again it opens. */
	assert(!sec_key_file_seal(&file, wrapping, sealed));
	assert(!sec_key_file_open(&file, wrapping, key));
	assert(!memcmp(key, sealed, sizeof key));
	return 0;
}
