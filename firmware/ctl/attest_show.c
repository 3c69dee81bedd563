/* SPDX-License-Identifier: BSD-3-Clause */
/* nitroctl attest show: a document as JSON, unbelieved. */
#include <stdlib.h>

#include "firmware/ctl/attest.h"
#include "firmware/rt/scope.h"

static json_t *hex_of(struct nitro_attest_bytes bytes)
{
	static const char digits[] = "0123456789abcdef";
	RT_FREE char *text = NULL;

	if (!bytes.data)
		return json_null();
	text = malloc(2 * bytes.size + 1);
	if (!text)
		return NULL;
	for (size_t i = 0; i < bytes.size; i++) {
		text[2 * i] = digits[bytes.data[i] >> 4];
		text[2 * i + 1] = digits[bytes.data[i] & 0xf];
	}
	return json_stringn(text, 2 * bytes.size);
}

/* Base64 in lines of 64 letters, as PEM has it: RFC 7468 2. */
static void print_base64(FILE *out, struct nitro_attest_bytes bytes)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t three;

	for (size_t i = 0; i < bytes.size; i += 3) {
		size_t left = bytes.size - i;

		three = (uint32_t)bytes.data[i] << 16 |
			(left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0) |
			(left > 2 ? bytes.data[i + 2] : 0);
		fprintf(out, "%c%c%c%c%s", letters[three >> 18],
			letters[three >> 12 & 63],
			left > 1 ? letters[three >> 6 & 63] : '=',
			left > 2 ? letters[three & 63] : '=',
			i % 48 == 45 || left <= 3 ? "\n" : "");
	}
}

static json_t *pem_of(struct nitro_attest_bytes der)
{
	RT_FREE char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fputs("-----BEGIN CERTIFICATE-----\n", out);
	print_base64(out, der);
	fputs("-----END CERTIFICATE-----\n", out);
	if (fclose(out))
		return NULL;
	return json_string(text);
}

static json_t *pcrs_of(const struct nitro_attest_document *document)
{
	json_t *pcrs = json_object();
	char number[12];

	for (unsigned int i = 0; i < NITRO_ATTEST_PCRS; i++) {
		if (!document->pcr[i].data)
			continue;
		snprintf(number, sizeof number, "%u", i);
		json_object_set_new(pcrs, number, hex_of(document->pcr[i]));
	}
	return pcrs;
}

static json_t *bundle_of(const struct nitro_attest_document *document)
{
	json_t *bundle = json_array();

	for (size_t i = 0; i < document->cabundle_count; i++)
		json_array_append_new(bundle, pem_of(document->cabundle[i]));
	return bundle;
}

static json_t *to_json(const struct nitro_attest_document *document)
{
	return json_pack(
		"{s:s%, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		"module_id", (const char *)document->module_id.data,
		document->module_id.size, "digest", "SHA384", "timestamp",
		(json_int_t)document->timestamp_ms,
		document->is_tpm ? "nitrotpm_pcrs" : "pcrs", pcrs_of(document),
		"certificate", pem_of(document->certificate), "cabundle",
		bundle_of(document), "public_key", hex_of(document->public_key),
		"user_data", hex_of(document->user_data), "nonce",
		hex_of(document->nonce), "signature",
		hex_of(document->signature));
}

enum ctl_exit ctl_attest_show(const struct ctl_attest *words)
{
	static uint8_t file[CTL_ATTEST_BYTES];
	struct nitro_attest_bytes bytes;
	struct nitro_attest_document document;
	enum nitro_attest_result result;
	enum ctl_exit status;
	char detail[200];
	json_t *json;

	if (!ctl_attest_load(words->file, file, &bytes))
		return CTL_REFUSED;
	result = nitro_attest_read(bytes.data, bytes.size, &document, detail,
				   sizeof detail);
	if (result) {
		ctl_complain("%s is no document: %s [%s] (%s)", words->file,
			     nitro_attest_sentence(result), detail,
			     nitro_attest_rule(result));
		return CTL_REFUSED;
	}
	json = to_json(&document);
	status = ctl_print_json(json);
	json_decref(json);
	return status;
}
