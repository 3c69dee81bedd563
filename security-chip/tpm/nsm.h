/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the TPM's vendor command answers: attestation documents of the guest's
 * PCRs, to Attestation requests of the NSM API, as nitro-tpm-attest makes them.
 */
#ifndef SECURITY_CHIP_TPM_NSM_H
#define SECURITY_CHIP_TPM_NSM_H

#include <stddef.h>
#include <stdint.h>

#include "firmware/rt/counter.h"
#include "security-chip/attest/attest.h"

/* On the TPM's thread, with the engine's lock. */
struct sec_tpm_nsm {
	const char *instance;          /* borrowed */
	struct sec_attester *attester; /* NULL: not asked for one yet */
	struct sec_pcrs pcrs;          /* locked 0: they cannot be read */
	struct rt_counter documents;
	uint8_t document[SEC_DOCUMENT_BYTES];
};

/* The engine is open, and gets the command; instance is borrowed. */
void sec_tpm_nsm_open(struct sec_tpm_nsm *nsm, const char *instance);
void sec_tpm_nsm_close(struct sec_tpm_nsm *nsm);
/* The command is about to be run: read what it is to tell. */
void sec_tpm_nsm_begin(struct sec_tpm_nsm *nsm);

#endif
