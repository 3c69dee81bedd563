/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libnitro-attest: whether to believe an attestation document.  For relying
 * parties; it reads foreign bytes strictly, in bounded memory, and keeps
 * nothing.  Any thread.
 *
 * A document is a COSE_Sign1 (RFC 9052) with ES384 over the fields of "AWS
 * Nitro Enclaves: attestation document specification" (AWS below), and brings
 * the certificates from its root to the one that signed (RFC 5280).
 */
#ifndef NITRO_ATTEST_H
#define NITRO_ATTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NITRO_ATTEST_PCRS   32u
#define NITRO_ATTEST_BUNDLE 16u /* certificates above the leaf, at most */

/* Why not; each has a sentence and the rule that is broken. */
enum nitro_attest_result {
	NITRO_ATTEST_GOOD,
	/* Its bytes. */
	NITRO_ATTEST_TRUNCATED,
	NITRO_ATTEST_TRAILING,
	NITRO_ATTEST_CBOR,
	NITRO_ATTEST_ENVELOPE,
	NITRO_ATTEST_ALGORITHM,
	NITRO_ATTEST_SIGNATURE_SIZE,
	NITRO_ATTEST_PAYLOAD_SIZE,
	/* Its fields. */
	NITRO_ATTEST_FIELDS,
	NITRO_ATTEST_MODULE_ID,
	NITRO_ATTEST_DIGEST,
	NITRO_ATTEST_TIMESTAMP,
	NITRO_ATTEST_PCR_MAP,
	NITRO_ATTEST_CERTIFICATE,
	NITRO_ATTEST_CABUNDLE,
	NITRO_ATTEST_PUBLIC_KEY,
	NITRO_ATTEST_USER_DATA_SIZE,
	NITRO_ATTEST_NONCE_SIZE,
	/* Its certificates. */
	NITRO_ATTEST_DER,
	NITRO_ATTEST_KEY,
	NITRO_ATTEST_CERTIFICATE_ALGORITHM,
	NITRO_ATTEST_ROOT,
	NITRO_ATTEST_ORDER,
	NITRO_ATTEST_ISSUER_MISSING,
	NITRO_ATTEST_CHAIN_SIGNATURE,
	NITRO_ATTEST_AUTHORITY,
	NITRO_ATTEST_PATH_LENGTH,
	NITRO_ATTEST_LEAF,
	NITRO_ATTEST_CHAIN,
	NITRO_ATTEST_EXPIRED,
	NITRO_ATTEST_NOT_YET_VALID,
	/* Its signature. */
	NITRO_ATTEST_SIGNATURE_RANGE,
	NITRO_ATTEST_SIGNATURE_KEY,
	NITRO_ATTEST_SIGNATURE,
	/* What was expected of it. */
	NITRO_ATTEST_NONCE,
	NITRO_ATTEST_USER_DATA,
	NITRO_ATTEST_PCR_ABSENT,
	NITRO_ATTEST_PCR,
	/* Not the document's doing. */
	NITRO_ATTEST_NO_ROOT,
	NITRO_ATTEST_FAILED,
	NITRO_ATTEST_RESULTS
};

/* "expired", a sentence without its full stop, and "RFC 5280 6.1.3 (a)(2)". */
const char *nitro_attest_name(enum nitro_attest_result result);
const char *nitro_attest_sentence(enum nitro_attest_result result);
const char *nitro_attest_rule(enum nitro_attest_result result);

/* Bytes that are somebody else's; data NULL: there are none. */
struct nitro_attest_bytes {
	const uint8_t *data;
	size_t size;
};

/* What a document says; bytes point into it. */
struct nitro_attest_document {
	struct nitro_attest_bytes protected_header, payload, signature;
	struct nitro_attest_bytes module_id; /* printable ASCII */
	uint64_t timestamp_ms;               /* since 1970 */
	bool is_tpm; /* it has nitrotpm_pcrs: those of a NitroTPM */
	struct nitro_attest_bytes pcr[NITRO_ATTEST_PCRS];
	struct nitro_attest_bytes certificate;
	struct nitro_attest_bytes
		cabundle[NITRO_ATTEST_BUNDLE]; /* root first */
	size_t cabundle_count;
	struct nitro_attest_bytes public_key, user_data, nonce;
};

/* What a relying party wants; zeroed but for the root is the least. */
struct nitro_attest_expectation {
	struct nitro_attest_bytes root; /* certificate, as PEM or DER */
	int64_t time_s;                 /* since 1970; 0: now */
	struct nitro_attest_bytes nonce, user_data;
	struct nitro_attest_bytes pcr[NITRO_ATTEST_PCRS];
	/*
	 * Whose registers `pcr` are: a NitroTPM's, or else an enclave's.  They
	 * are never taken for each other, for a guest writes some of its TPM's.
	 */
	bool is_tpm;
};

enum nitro_attest_verdict {
	NITRO_ATTEST_NOT_CHECKED, /* nothing was expected, or one before failed
				   */
	NITRO_ATTEST_HOLDS,
	NITRO_ATTEST_FAILS
};

#define NITRO_ATTEST_CHECKS 9u

/* One line for each check. */
struct nitro_attest_check {
	const char *name;
	enum nitro_attest_verdict verdict;
	enum nitro_attest_result result; /* when it fails */
	char detail[200];                /* of this document, or "" */
};

struct nitro_attest_report {
	struct nitro_attest_check check[NITRO_ATTEST_CHECKS];
};

/*
 * Read a document without believing it: its form and the sizes of its fields.
 * Returns NITRO_ATTEST_GOOD with *out, or what is wrong, with a detail (which
 * may be NULL, else has room bytes).
 */
enum nitro_attest_result nitro_attest_read(const uint8_t *document, size_t size,
					   struct nitro_attest_document *out,
					   char *detail, size_t room);

/*
 * Whether a document is what was expected.  Returns NITRO_ATTEST_GOOD only if
 * all checks hold, else the first that does not; *report, which may be NULL,
 * has them all.  *out, which may be NULL, is filled if the document could be
 * read at all: believe it only when this is GOOD.
 */
enum nitro_attest_result
nitro_attest_verify(const uint8_t *document, size_t size,
		    const struct nitro_attest_expectation *expectation,
		    struct nitro_attest_document *out,
		    struct nitro_attest_report *report);

#ifdef __cplusplus
}
#endif
#endif
