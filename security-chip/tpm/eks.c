/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The endorsement keys' file: made once, before the first guest comes, because
 * later it could have closed the endorsement hierarchy.  As a state: for each
 * key its size in two bytes, and its public area.
 */
#include <errno.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "security-chip/tpm/private.h"

#define KIND "ek"

static int parse(struct sec_tpm_reader *r, struct sec_tpm_ek *ek)
{
	size_t size;
	const uint8_t *public = sec_tpm_get_sized(r, &size);

	if (!public || size > sizeof ek->tpmt)
		return -EBADMSG;
	memcpy(ek->tpmt, public, size);
	ek->size = (uint32_t)size;
	return 0;
}

int sec_tpm_eks_load(struct sec_tpm_guest *guest,
		     const struct sec_tpm_store *store, struct rt_error *error)
{
	RT_FREE uint8_t *data = NULL;
	struct sec_tpm_reader r = { 0 };
	int status = sec_tpm_store_read(store, KIND, &data, &r.left, error);

	r.bytes = data;
	for (size_t i = 0; i < SEC_TPM_EKS && !status; i++)
		status = parse(&r, &guest->eks[i]);
	return status;
}

static int save(const struct sec_tpm_guest *guest,
		const struct sec_tpm_store *store)
{
	uint8_t data[SEC_TPM_EKS * (SEC_TPM_EK_BYTES + 2)];
	struct sec_tpm_writer w = { data, 0, sizeof data, false };

	for (size_t i = 0; i < SEC_TPM_EKS; i++)
		sec_tpm_put_sized(&w, guest->eks[i].tpmt, guest->eks[i].size);
	return sec_tpm_store_write(store, KIND, data, w.used);
}

void sec_tpm_eks_forget(struct sec_tpm_guest *guest)
{
	guest->has_new_eks = true;
	(void)sec_tpm_store_remove(guest->store, KIND);
}

/* TPM2_Startup and TPM2_Shutdown (part 3, 9.3 and 9.4), both of CLEAR. */
static int tell(uint32_t code)
{
	uint8_t command[16], answer[SEC_TPM_MESSAGE_BYTES];
	struct sec_tpm_writer w = { command, 0, sizeof command, false };
	size_t size;

	sec_tpm_begin(&w, TPM_ST_NO_SESSIONS, code, 0);
	sec_tpm_put_number(&w, 2, TPM_SU_CLEAR);
	sec_tpm_end(&w);
	size = sec_tpm_engine_run(0, command, w.used, answer);
	return sec_tpm_code_of(answer, size) == TPM_RC_SUCCESS ? 0 : -EIO;
}

int sec_tpm_eks_make(struct sec_tpm_guest *guest,
		     const struct sec_tpm_store *store)
{
	int status = sec_tpm_engine_on(false) ? -EIO : 0;

	if (!status)
		status = tell(TPM_CC_STARTUP);
	if (!status)
		status = sec_tpm_ek_make(guest->eks);
	if (!status)
		status = tell(TPM_CC_SHUTDOWN);
	sec_tpm_engine_off();
	return status ? status : save(guest, store);
}
