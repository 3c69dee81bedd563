/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The next stage: what a slot, or an image to be installed, holds, taken out of
 * the reach of everybody else before it is checked.  One thread.
 */
#ifndef SECURITY_CHIP_BOOT_STAGE_H
#define SECURITY_CHIP_BOOT_STAGE_H

#include "security-chip/boot/manifest.h"
#include "security-chip/boot/reason.h"

struct sec_stage {
	struct sec_manifest manifest;
	uint8_t manifest_bytes[SEC_MANIFEST_BYTES];
	size_t manifest_size;
	int parts[SEC_PARTS]; /* sealed memfds; -1: there is none */
};

/*
 * Copy the parts in dir into sealed memory and check those copies: they can be
 * started later as what they were when they were checked.  owner: hash of the
 * key that must have signed.  SEC_REASON_GOOD: *out is the caller's; otherwise
 * it holds nothing but what of the manifest was read.
 */
enum sec_reason sec_stage_verify(int dir, const uint8_t owner[SEC_DIGEST_BYTES],
				 uint32_t floor, struct sec_stage *out);
void sec_stage_close(struct sec_stage *stage);

/* A sealed memfd of these bytes, read-only from then on.  A negative errno. */
int sec_sealed_bytes(const char *name, const void *bytes, size_t size);
/* Whether nobody can change or cut this file any more. */
bool sec_is_sealed(int fd);
/* SHA-384 of a whole sealed file; its size is put to *out_size (may be NULL).
 */
int sec_sealed_digest(int fd, uint8_t out[SEC_DIGEST_BYTES],
		      uint64_t *out_size);

#endif
