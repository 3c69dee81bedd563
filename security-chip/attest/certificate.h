/* SPDX-License-Identifier: BSD-3-Clause */
/* One X.509 certificate with its key: RFC 5280, P-384, ecdsa-with-SHA384. */
#ifndef SECURITY_CHIP_ATTEST_CERTIFICATE_H
#define SECURITY_CHIP_ATTEST_CERTIFICATE_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdint.h>

#include "security-chip/attest/abi.h"

#define SEC_SERIAL_BYTES 16u

struct sec_certificate {
	EVP_PKEY *key; /* private */
	X509 *x509;
	uint8_t der[SEC_CERTIFICATE_BYTES];
	size_t size;
	int64_t issued_s; /* since 1970, by the tester's clock */
};

/* One part of a distinguished name, in its order. */
struct sec_name_part {
	const char *field; /* "C", "CN" …; NULL ends a name */
	const char *text;
};

struct sec_certificate_plan {
	const struct sec_name_part *subject;
	uint8_t serial[SEC_SERIAL_BYTES]; /* big-endian, positive */
	int64_t not_before_s, not_after_s;
	/* Extensions as OpenSSL's x509v3_config(5) has them; NULL: none. */
	const char *constraints, *key_usage, *subject_key, *issuer_key, *crl;
	const char *purposes; /* extendedKeyUsage */
	/* One that OpenSSL does not know; oid NULL: none. */
	struct {
		const char *oid;
		const uint8_t *der;
		size_t size;
	} other;
};

/* A key that nobody else has, into *out.  Returns 0 or -EIO. */
int sec_key_make(EVP_PKEY **out);

/*
 * A certificate for out->key, which is made if it is NULL.  issuer NULL: it
 * signs itself.  What was in *out is let go.  Returns 0, or -EIO (the library
 * failed, or the certificate is larger than SEC_CERTIFICATE_BYTES).
 */
int sec_certificate_issue(const struct sec_certificate_plan *plan,
			  const struct sec_certificate *issuer,
			  struct sec_certificate *out);
/* Takes what is in out->der.  Returns 0 or -EBADMSG. */
int sec_certificate_read(struct sec_certificate *out);
/* As PEM, with an end; the caller's to free().  Returns 0, -EIO or -ENOMEM. */
int sec_certificate_pem(const struct sec_certificate *certificate, char **out);
void sec_certificate_clear(struct sec_certificate *certificate);

#endif
