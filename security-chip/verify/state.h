/* SPDX-License-Identifier: BSD-3-Clause */
/* One verification, while it runs. */
#ifndef SECURITY_CHIP_VERIFY_STATE_H
#define SECURITY_CHIP_VERIFY_STATE_H

#include <openssl/x509.h>

#include "security-chip/verify/nitro-attest.h"

struct verification {
	const struct nitro_attest_expectation *wanted;
	struct nitro_attest_document document;
	X509 *root;
	X509 *chain[NITRO_ATTEST_BUNDLE + 1]; /* from the root to the leaf */
	size_t count;
	struct nitro_attest_check *check; /* the one that runs */
};

/* Say what of this document it is; a detail is cut to its room. */
void verify_detail(struct verification *v, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* "the root", "certificate 2 of the bundle", "the leaf". */
const char *verify_who(const struct verification *v, size_t i, char *out,
		       size_t room);

/* certificate.c */
enum nitro_attest_result verify_certificates(struct verification *v);
enum nitro_attest_result verify_root(struct verification *v);
void verify_release(struct verification *v);

/* chain.c */
enum nitro_attest_result verify_chain(struct verification *v);
enum nitro_attest_result verify_validity(struct verification *v);

/* signature.c */
enum nitro_attest_result verify_signature(struct verification *v);

#endif
