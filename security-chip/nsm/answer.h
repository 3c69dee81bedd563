/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all that answer requests to a security module share, be they a queue's
 * or those in a TPM's index.  No state; any thread.
 */
#ifndef SECURITY_CHIP_NSM_ANSWER_H
#define SECURITY_CHIP_NSM_ANSWER_H

#include "security-chip/nsm/cbor.h"
#include "security-chip/nsm/request.h"

/* {"Error": its name}, in place of all that was written. */
void nsm_answer_error(struct nsm_cbor_writer *out, enum nsm_error error);
/* {"Attestation": {"document": the bytes}} */
void nsm_answer_document(struct nsm_cbor_writer *out, const uint8_t *document,
			 size_t size);
/* What a status of sec_attest() means to a client. */
enum nsm_error nsm_error_of_attest(int status);

#endif
