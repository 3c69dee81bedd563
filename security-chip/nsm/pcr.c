/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Platform configuration registers: 32 of SHA-384.
 *
 * They belong to an instance's life, from the moment that it is started until
 * it is stopped or started again.  Of the resets that the function can meet,
 * two are that moment: the host's reset (a machine that starts or reboots
 * resets its bus) and the client's leaving (the machine is gone).  A guest can
 * cause all others by itself, a virtio reset, an FLR, D3hot, and could forget
 * by them what it was measured to be; so these keep PCRs and locks.  So does
 * the operator's reset, which stands for a fault of the device.
 *
 * PCR 0 to 2 are what the card is: its program, its configuration, and both
 * what started it and what it forbids itself (registers of
 * security-chip/measure.h). A register that nobody has measured anything into
 * leaves its PCR zero.
 *
 * PCR 3 and 4 are extended once from zero with the text itself, as the AWS
 * manual has it: SHA384(48 zeroes, text).
 */
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "security-chip/measure.h"
#include "security-chip/nsm/nsm.h"
#include "security-chip/nsm/trace.h"

enum measured {
	PCR_PROGRAM = 0,
	PCR_CONFIG = 1,
	PCR_STARTER = 2,
	PCR_ROLE = 3,
	PCR_INSTANCE = 4,
};

static int hash(const uint8_t *old, const void *data, size_t size, uint8_t *out)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool is_good = context &&
		       EVP_DigestInit_ex(context, EVP_sha384(), NULL) &&
		       EVP_DigestUpdate(context, old, NSM_PCR_BYTES) &&
		       EVP_DigestUpdate(context, data, size) &&
		       EVP_DigestFinal_ex(context, out, NULL);

	EVP_MD_CTX_free(context);
	return is_good ? 0 : -EIO;
}

int nsm_pcr_extend(struct nsm *nsm, unsigned int index, const void *data,
		   size_t size)
{
	uint8_t *pcr = nsm->state->pcrs[index];
	uint8_t now[NSM_PCR_BYTES];
	int error = hash(pcr, data, size, now);

	if (error)
		return error;
	memcpy(pcr, now, sizeof now);
	trace_nsm_pcr(index, nsm_pcr_is_locked(nsm, index));
	return 0;
}

static void measure_text(struct nsm *nsm, unsigned int index, const char *text)
{
	if (nsm_pcr_extend(nsm, index, text, strlen(text)))
		virtio_needs_reset(&nsm->virtio);
}

static bool is_zero(const uint8_t digest[SEC_DIGEST_BYTES])
{
	static const uint8_t zero[SEC_DIGEST_BYTES];

	return memcmp(digest, zero, sizeof zero) == 0;
}

static void measure_card(struct nsm *nsm)
{
	uint8_t(*pcrs)[NSM_PCR_BYTES] = nsm->state->pcrs;
	uint8_t policy[SEC_DIGEST_BYTES];

	sec_register_read(SEC_REGISTER_FIRMWARE, pcrs[PCR_PROGRAM]);
	sec_register_read(SEC_REGISTER_CONFIG, pcrs[PCR_CONFIG]);
	sec_register_read(SEC_REGISTER_ROM, pcrs[PCR_STARTER]);
	sec_register_read(SEC_REGISTER_POLICY, policy);
	if (is_zero(policy) && is_zero(pcrs[PCR_STARTER]))
		return;
	if (nsm_pcr_extend(nsm, PCR_STARTER, policy, sizeof policy))
		virtio_needs_reset(&nsm->virtio);
}

void nsm_pcrs_start(struct nsm *nsm)
{
	struct nsm_state *state = nsm->state;

	memset(state->pcrs, 0, sizeof state->pcrs);
	state->locked = BITS(NSM_BOOT_PCRS - 1, 0);
	measure_card(nsm);
	if (nsm->role_arn)
		measure_text(nsm, PCR_ROLE, nsm->role_arn);
	measure_text(nsm, PCR_INSTANCE, nsm->instance_id);
}
