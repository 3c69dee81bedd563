/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The signed manifest of a firmware: a COSE_Sign1 (RFC 9052 4.2) with ES384
 * over a map in CBOR's deterministic encoding (RFC 8949 4.2.1):
 *
 *   18([ << {1: -35} >>, {}, << {
 *       1: 1,                                  of this format
 *       2: "0.1.0",                            the firmware's version
 *       3: 7,                                  security version number
 *       4: h'04…',                             owner's public key, P-384
 *       5: [["nitro-card", 1234567, h'…'],     name, bytes, SHA-384
 *           ["card.yaml", 123, h'…'],
 *           ["nitro-user-net", 12345, h'…']]   may be missing
 *   } >>, h'…' ])
 *
 * There is one encoding of each manifest and the parser takes no other, so
 * nothing in it is without meaning and nothing outside is signed.
 */
#ifndef SECURITY_CHIP_BOOT_MANIFEST_H
#define SECURITY_CHIP_BOOT_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "security-chip/derive.h"
#include "security-chip/measure.h"

#define SEC_MANIFEST_BYTES  1024u /* at most */
#define SEC_VERSION_TEXT    32u   /* with its end */
#define SEC_SIGNATURE_BYTES 96u   /* r and s */

enum sec_part {
	SEC_PART_PROGRAM,
	SEC_PART_CONFIG,
	SEC_PART_NETWORK, /* may be missing */
	SEC_PARTS
};

/* What a part may have, in bytes; also the name of its file. */
extern const struct sec_part_rule {
	const char *name;
	uint64_t max_bytes;
} sec_part_rules[SEC_PARTS];

struct sec_manifest {
	char version[SEC_VERSION_TEXT]; /* printable ASCII */
	uint32_t svn;
	uint8_t owner_key[SEC_POINT_BYTES];
	struct {
		uint64_t size; /* 0: there is none */
		uint8_t digest[SEC_DIGEST_BYTES];
	} parts[SEC_PARTS];
	/* Filled by the parser. */
	uint8_t signature[SEC_SIGNATURE_BYTES];
	uint8_t payload_digest[SEC_DIGEST_BYTES]; /* of what is signed */
	uint8_t to_be_signed[SEC_MANIFEST_BYTES]; /* Sig_structure */
	size_t to_be_signed_size;
};

/*
 * Nothing is believed yet.  -EBADMSG: it is no manifest; -EPROTO: it names its
 * parts in another order than they come to run in.  *out is then all zeros.
 * Any thread.
 */
int sec_manifest_parse(const void *bytes, size_t size,
		       struct sec_manifest *out);

/* SHA-384 of the owner's key in it, as it is fused. */
int sec_manifest_key_digest(const struct sec_manifest *manifest,
			    uint8_t out[SEC_DIGEST_BYTES]);
/* -EBADMSG: the signature is not the owner key's over this manifest. */
int sec_manifest_verify(const struct sec_manifest *manifest);

/*
 * Encode with an empty signature and fill to_be_signed, or with the one given.
 * The number of bytes; 0: there is no room.
 */
size_t sec_manifest_encode(struct sec_manifest *manifest, uint8_t *out,
			   size_t room);

#endif
