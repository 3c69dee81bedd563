/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The numbers of an attestation document: what a signer and a verifier agree
 * on.  "AWS" is the section "Attestation document specification" of the guide
 * "AWS Nitro Enclaves, Verifying the root of trust", and what documents of
 * real cards were measured to be.
 */
#ifndef SECURITY_CHIP_ATTEST_ABI_H
#define SECURITY_CHIP_ATTEST_ABI_H

/* COSE: RFC 9052, RFC 9053 2.1 (ES384), IANA's registry of algorithms. */
#define SEC_COSE_ALGORITHM     1u    /* label of the header */
#define SEC_COSE_ES384         (-35) /* ECDSA with SHA-384 */
#define SEC_COSE_SIGN1_TAG     18u
/* protected, unprotected, payload, signature */
#define SEC_COSE_MEMBERS       4u
#define SEC_ES384_BYTES        96u /* r and s, 48 bytes each, big-endian */
#define SEC_COSE_SIGN1_CONTEXT "Signature1"

/* AWS: what the members may be. */
#define SEC_DOCUMENT_FIELDS   9u
#define SEC_DOCUMENT_BYTES    (17u * 1024) /* with the envelope */
#define SEC_PAYLOAD_BYTES     16384u
#define SEC_CERTIFICATE_BYTES 1024u /* DER, each */
#define SEC_PCR_COUNT         32u
#define SEC_PCR_BYTES         48u /* of SHA-384; 32 and 64 are legal, too */
#define SEC_DOCUMENT_DIGEST   "SHA384"
#define SEC_PUBLIC_KEY_BYTES  1024u
/* One place says 512, another 1024; who verifies takes the larger one. */
#define SEC_USER_DATA_BYTES   1024u
#define SEC_NONCE_BYTES       1024u

#endif
