/* SPDX-License-Identifier: BSD-3-Clause */
/* What reading and writing a manifest agree on. */
#ifndef SECURITY_CHIP_BOOT_MANIFEST_WIRE_H
#define SECURITY_CHIP_BOOT_MANIFEST_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define SEC_COSE_SIGN1 0xd2 /* tag 18 (RFC 9052 2), encoded */

enum {
	SEC_MANIFEST_FORMAT = 1,
	SEC_MANIFEST_VERSION,
	SEC_MANIFEST_SVN,
	SEC_MANIFEST_OWNER,
	SEC_MANIFEST_PARTS,
	SEC_MANIFEST_KEYS = SEC_MANIFEST_PARTS
};

/* {1: -35}: alg is ES384 (RFC 9053 2.1). */
extern const uint8_t sec_manifest_protected[4];

/*
 * ["Signature1", protected, h'', payload] (RFC 9052 4.4).  The number of bytes;
 * 0: there is no room.
 */
size_t sec_manifest_to_be_signed(const uint8_t *payload, size_t size,
				 uint8_t *out, size_t room);

#endif
