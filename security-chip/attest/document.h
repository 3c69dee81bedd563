/* SPDX-License-Identifier: BSD-3-Clause */
/* A document's bytes: CBOR (RFC 8949) and its COSE_Sign1 (RFC 9052 4.2). */
#ifndef SECURITY_CHIP_ATTEST_DOCUMENT_H
#define SECURITY_CHIP_ATTEST_DOCUMENT_H

#include <openssl/evp.h>

#include "security-chip/attest/attest.h"
#include "security-chip/attest/chain.h"

/*
 * The payload of a document of that time, into room bytes at out.  Returns 0
 * with *size, or -EMSGSIZE.
 */
int sec_payload_write(const struct sec_chain *chain,
		      const struct sec_attest_request *request,
		      const struct sec_pcrs *pcrs, uint64_t timestamp_ms,
		      unsigned int faults, uint8_t *out, size_t room,
		      size_t *size);

/* ES384 over the payload and the header it will have.  Returns 0 or -EIO. */
int sec_signature_make(EVP_PKEY *key, const uint8_t *payload, size_t size,
		       unsigned int faults, uint8_t out[SEC_ES384_BYTES]);

/* The payload and a signature in their envelope.  Returns 0 or -EMSGSIZE. */
int sec_envelope_write(const uint8_t *payload, size_t payload_size,
		       const uint8_t signature[SEC_ES384_BYTES],
		       unsigned int faults, uint8_t *out, size_t room,
		       size_t *size);

#endif
