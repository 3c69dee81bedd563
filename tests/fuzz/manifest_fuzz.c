/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a signed manifest: they are refused, or they are the one
 * encoding of what they say.  Whose signature it is, is asked of all that are
 * taken.
 */
#include <stdlib.h>
#include <string.h>

#include "security-chip/boot/manifest.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[SEC_MANIFEST_BYTES], key[SEC_DIGEST_BYTES];
	struct sec_manifest manifest, copy;
	/* On the heap, where reading past the end is seen. */
	uint8_t *bytes = malloc(size ? size : 1);

	if (!bytes)
		return 0;
	memcpy(bytes, data, size);
	if (!sec_manifest_parse(bytes, size, &manifest)) {
		copy = manifest;
		if (sec_manifest_encode(&copy, again, sizeof again) != size ||
		    memcmp(again, bytes, size) != 0 ||
		    copy.to_be_signed_size != manifest.to_be_signed_size ||
		    memcmp(copy.to_be_signed, manifest.to_be_signed,
			   copy.to_be_signed_size) != 0)
			abort();
		sec_manifest_key_digest(&manifest, key);
		sec_manifest_verify(&manifest);
	}
	free(bytes);
	return 0;
}
