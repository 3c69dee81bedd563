/* SPDX-License-Identifier: BSD-3-Clause */
/* PCRs, by commands of our own between those of the guest. */
#include "security-chip/tpm/pcr.h"

#include <errno.h>
#include <string.h>

#include "security-chip/tpm/command.h"
#include "security-chip/tpm/engine.h"

#define PCRS_AT_ONCE  8u /* of a TPML_DIGEST (part 2, 10.9.6) */
#define CARD_LOCALITY 2

/* TPM2_PCR_Read (part 3, 22.4) of eight PCRs. */
static int read_eight(unsigned int first, uint8_t (*out)[SEC_DIGEST_BYTES])
{
	uint8_t command[32], answer[SEC_TPM_MESSAGE_BYTES];
	struct sec_tpm_writer w = { command, 0, sizeof command, false };
	struct sec_tpm_reader r = { .bytes = answer };
	const uint8_t *digest;
	uint32_t code;
	size_t size;

	sec_tpm_begin(&w, TPM_ST_NO_SESSIONS, TPM_CC_PCR_READ, 0);
	sec_tpm_put_number(&w, 4, 1);
	sec_tpm_put_number(&w, 2, TPM_ALG_SHA384);
	sec_tpm_put_number(&w, 1, 3);
	for (unsigned int i = 0; i < 3; i++)
		sec_tpm_put_number(&w, 1, i == first / 8 ? 0xff : 0);
	sec_tpm_end(&w);
	r.left = sec_tpm_engine_run(0, command, w.used, answer);
	code = sec_tpm_code_of(answer, r.left);
	if (code != TPM_RC_SUCCESS)
		return code == TPM_RC_INITIALIZE ? -EAGAIN : -EIO;
	/* Header, update counter, the selection again. */
	sec_tpm_get(&r, TPM_HEADER_BYTES + 4 + 4 + 2 + 1 + 3);
	if (sec_tpm_get_number(&r, 4) != PCRS_AT_ONCE)
		return -EIO;
	for (unsigned int i = 0; i < PCRS_AT_ONCE; i++) {
		digest = sec_tpm_get_sized(&r, &size);
		if (!digest || size != SEC_DIGEST_BYTES)
			return -EIO;
		memcpy(out[i], digest, size);
	}
	return 0;
}

int sec_tpm_pcrs_read(uint8_t out[SEC_TPM_PCRS][SEC_DIGEST_BYTES])
{
	int status = 0;

	for (unsigned int i = 0; i < SEC_TPM_PCRS && !status; i += PCRS_AT_ONCE)
		status = read_eight(i, out + i);
	return status;
}

/* TPM2_PCR_Event (part 3, 22.3): the TPM hashes for each bank. */
static int put_event(const uint8_t *data, size_t size)
{
	uint8_t command[128], answer[SEC_TPM_MESSAGE_BYTES];
	struct sec_tpm_writer w = { command, 0, sizeof command, false };
	size_t answered;

	sec_tpm_begin(&w, TPM_ST_SESSIONS, TPM_CC_PCR_EVENT, SEC_TPM_CARD_PCR);
	sec_tpm_put_sized(&w, data, size);
	if (!sec_tpm_end(&w))
		return -EIO;
	answered = sec_tpm_engine_run(CARD_LOCALITY, command, w.used, answer);
	return sec_tpm_code_of(answer, answered) == TPM_RC_SUCCESS ? 0 : -EIO;
}

int sec_tpm_pcr_bind(void)
{
	uint8_t value[SEC_DIGEST_BYTES];
	int status = 0;

	for (int n = 0; n < SEC_REGISTER_GUEST && !status; n++) {
		sec_register_read((enum sec_register)n, value);
		status = put_event(value, sizeof value);
	}
	return status;
}
