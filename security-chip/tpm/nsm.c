/* SPDX-License-Identifier: BSD-3-Clause */
/* Attestation through the TPM: its PCRs, the card's chain of certificates. */
#include "security-chip/tpm/nsm.h"

#include <stdio.h>
#include <string.h>

#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "security-chip/nsm/answer.h"
#include "security-chip/tpm/hooks.h"
#include "security-chip/tpm/pcr.h"

/* Of the SHA-384 bank: 0 to 16, and 23, as NitroTPM documents them. */
#define DOCUMENTED 0x0081ffffu

/* The chip opens before the TPM is used, and the root is made when needed. */
static struct sec_attester *attester_of(struct sec_tpm_nsm *nsm)
{
	struct sec_attester_config config = { 0 };
	struct rt_error error = { 0 };
	char module_id[64];

	snprintf(module_id, sizeof module_id, "%.40s-tpm%016d", nsm->instance,
		 0);
	config.module_id = module_id;
	if (!nsm->attester &&
	    sec_attester_create(&config, &nsm->attester, &error))
		rt_log_error("tpm", "no attestation documents: %s", error.text);
	return nsm->attester;
}

static enum nsm_error attest(struct sec_tpm_nsm *nsm,
			     const struct nsm_request *r, size_t *size)
{
	const struct sec_attest_request fields = {
		r->user_data.bytes, r->nonce.bytes, r->public_key.bytes,
		r->user_data.size,  r->nonce.size,  r->public_key.size
	};
	struct sec_attester *attester;

	if (r->command != NSM_COMMAND_Attestation)
		return NSM_INVALID_OPERATION;
	/* A key of no bytes is none: AWS, public_key. */
	if (r->public_key.bytes && !r->public_key.size)
		return NSM_INVALID_ARGUMENT;
	attester = attester_of(nsm);
	if (!attester)
		return NSM_INTERNAL_ERROR;
	return nsm_error_of_attest(sec_attest(attester, &fields, &nsm->pcrs,
					      nsm->document,
					      sizeof nsm->document, size));
}

static size_t answer(void *opaque, const uint8_t *request, size_t size,
		     uint8_t *response, size_t room)
{
	struct nsm_cbor_writer out = { .at = response, .room = room };
	struct sec_tpm_nsm *nsm = opaque;
	struct nsm_request parsed;
	enum nsm_error error = nsm_request_parse_first(request, size, &parsed);
	size_t document_size;

	if (!error)
		error = attest(nsm, &parsed, &document_size);
	if (!error) {
		nsm_answer_document(&out, nsm->document, document_size);
		error = out.is_full ? NSM_BUFFER_TOO_SMALL : NSM_SUCCESS;
	}
	if (error)
		nsm_answer_error(&out, error);
	else
		rt_counter_add(&nsm->documents, 1);
	return out.is_full ? 0 : out.size;
}

void sec_tpm_nsm_open(struct sec_tpm_nsm *nsm, const char *instance)
{
	nsm->instance = instance;
	sec_tpm_hooks_set(answer, nsm);
}

void sec_tpm_nsm_close(struct sec_tpm_nsm *nsm)
{
	sec_tpm_hooks_set(NULL, NULL);
	sec_attester_destroy(&nsm->attester);
}

void sec_tpm_nsm_begin(struct sec_tpm_nsm *nsm)
{
	uint8_t pcrs[SEC_TPM_PCRS][SEC_DIGEST_BYTES];

	nsm->pcrs = (struct sec_pcrs){ .is_tpm = true };
	if (sec_tpm_pcrs_read(pcrs))
		return;
	memcpy(nsm->pcrs.value, pcrs, sizeof pcrs);
	nsm->pcrs.locked = DOCUMENTED;
}
