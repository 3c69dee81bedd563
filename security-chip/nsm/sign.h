/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Documents signed on a thread of their own: a signature takes a millisecond,
 * and the loop has others to serve.  One document at a time.  All calls on the
 * loop's thread.
 */
#ifndef SECURITY_CHIP_NSM_SIGN_H
#define SECURITY_CHIP_NSM_SIGN_H

#include <stddef.h>
#include <stdint.h>

#include "security-chip/abi.h"
#include "security-chip/attest/attest.h"

struct nsm_signer;
struct rt_error;
struct rt_loop;

/* What is to be signed; the signer copies it all. */
struct nsm_document_request {
	/* Pointers into `message` of message_bytes. */
	struct sec_attest_request fields;
	const uint8_t *message;
	size_t message_bytes; /* at most NSM_REQUEST_BYTES */
	struct sec_pcrs pcrs;
	unsigned int faults; /* of enum sec_attest_fault */
};

/*
 * status: sec_attest()'s.  The document is the signer's, until the next one is
 * begun.
 */
typedef void nsm_signed_fn(void *opaque, int status, const uint8_t *document,
			   size_t size);

/* The attester is taken, and destroyed with the signer. */
int nsm_signer_create(struct rt_loop *loop, struct sec_attester *attester,
		      nsm_signed_fn *done, void *opaque,
		      struct nsm_signer **out, struct rt_error *error);
/* done() is not called any more. */
void nsm_signer_destroy(struct nsm_signer **signer);

/*
 * Sign; done() is called on the loop, later.  A document that was begun before
 * and is not done is finished first, and nobody is told of it.
 */
void nsm_signer_start(struct nsm_signer *signer,
		      const struct nsm_document_request *request);
/* What was begun is not wanted any more. */
void nsm_signer_cancel(struct nsm_signer *signer);

#endif
