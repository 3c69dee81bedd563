/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers as the NSM API's Response has them. */
#include "security-chip/nsm/answer.h"

#include <errno.h>

void nsm_answer_error(struct nsm_cbor_writer *out, enum nsm_error error)
{
	out->size = 0;
	out->is_full = false;
	nsm_cbor_put_map(out, 1);
	nsm_cbor_put_text(out, "Error");
	nsm_cbor_put_text(out, nsm_error_names[error]);
}

void nsm_answer_document(struct nsm_cbor_writer *out, const uint8_t *document,
			 size_t size)
{
	nsm_cbor_put_map(out, 1);
	nsm_cbor_put_text(out, nsm_command_names[NSM_COMMAND_Attestation]);
	nsm_cbor_put_map(out, 1);
	nsm_cbor_put_text(out, "document");
	nsm_cbor_put_bytes(out, document, size);
}

enum nsm_error nsm_error_of_attest(int status)
{
	switch (status) {
	case 0:
		return NSM_SUCCESS;
	case -E2BIG:
		return NSM_INPUT_TOO_LARGE;
	case -EMSGSIZE:
		return NSM_BUFFER_TOO_SMALL;
	default:
		return NSM_INTERNAL_ERROR;
	}
}
