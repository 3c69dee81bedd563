/* SPDX-License-Identifier: BSD-3-Clause */
/* Recipient: the document that a request brings, and whether it is believed. */
#include <string.h>
#include <time.h>

#include "security-chip/verify/kms/kms.h"

static bool refuse_document(enum nitro_attest_result result,
			    const struct nitro_attest_report *report,
			    struct kms_refusal *why)
{
	const char *detail = "";

	for (size_t i = NITRO_ATTEST_CHECKS; i-- > 0;)
		if (report->check[i].verdict == NITRO_ATTEST_FAILS)
			detail = report->check[i].detail;
	return kms_refuse(why, "ValidationException",
			  "the attestation document is refused: %s%s%s%s (%s)",
			  nitro_attest_sentence(result), detail[0] ? " [" : "",
			  detail, detail[0] ? "]" : "",
			  nitro_attest_rule(result));
}

bool kms_recipient_read(const struct kms *kms, const json_t *request,
			struct kms_recipient *out, struct kms_refusal *why)
{
	const json_t *recipient = json_object_get(request, "Recipient");
	const char *algorithm = json_string_value(
		json_object_get(recipient, "KeyEncryptionAlgorithm"));
	const struct nitro_attest_expectation wanted = {
		.root = kms->root,
		.time_s = (int64_t)time(NULL) + kms->clock_offset_s,
	};
	struct nitro_attest_report report;
	enum nitro_attest_result result;
	size_t size;

	if (!recipient || json_is_null(recipient))
		return true;
	if (!algorithm || strcmp(algorithm, "RSAES_OAEP_SHA_256") != 0)
		return kms_refuse(why, "ValidationException",
				  "KeyEncryptionAlgorithm is "
				  "RSAES_OAEP_SHA_256");
	if (!kms_base64_decode(
		    json_object_get(recipient, "AttestationDocument"),
		    out->bytes, sizeof out->bytes, &size))
		return kms_refuse(why, "ValidationException",
				  "AttestationDocument is not Base64 of up to "
				  "%u bytes",
				  KMS_DOCUMENT_BYTES);
	result = nitro_attest_verify(out->bytes, size, &wanted, &out->document,
				     &report);
	if (result)
		return refuse_document(result, &report, why);
	out->is_there = true;
	return true;
}
