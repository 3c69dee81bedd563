/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests to nitro-kms: an operation, a body, and a document that is put into
 * the body, for nobody finds Base64 that verifies.  As in attest_fuzz, the
 * document is judged under its own root, at its own time.  What needs a
 * document gives nothing without one, and nothing in the clear.
 */
#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "security-chip/verify/kms/kms.h"
#include "tests/fuzz/input.h"

#define ZEROS                                                                  \
	"000000000000000000000000000000000000000000000000"                     \
	"000000000000000000000000000000000000000000000000"
#define CONDITION    "kms:RecipientAttestation:"
#define FAR_S        INT64_C(4000000000)
#define HAS_DOCUMENT 1u

static const char *const operations[] = { "Decrypt", "Encrypt",
					  "GenerateDataKey", "GenerateRandom",
					  "ScheduleKeyDeletion" };

enum { DECRYPT, ENCRYPT, DATA_KEY, RANDOM, UNKNOWN };

static char key_id[] = "arn:aws:kms:us-east-1:0:key/fuzz";
static struct kms kms = { .key_id = key_id, .key = { 1, 2, 3 } };

/* Who has a document with a PCR 0 of zeros gets secrets, but no TPM's does. */
static json_t *make_policy(void)
{
	return json_pack("{s:[{s:s, s:[s, s]}, {s:s, s:[s, s], s:{s:{s:s}}}, "
			 "{s:s, s:s, s:{s:{s:s}}}]}",
			 "Statement", "Effect", "Allow", "Action", "kms:Enc*",
			 "kms:GenerateRandom", "Effect", "Allow", "Action",
			 "kms:Decrypt", "kms:GenerateDataKey", "Condition",
			 "StringEqualsIgnoreCase", CONDITION "PCR0", ZEROS,
			 "Effect", "Deny", "Action", "kms:*", "Condition",
			 "StringEquals", CONDITION "NitroTPMPCR4", ZEROS);
}

/* The root and the time that the document itself names. */
static void believe(const uint8_t *document, size_t size)
{
	struct nitro_attest_document said;

	kms.root = (struct nitro_attest_bytes){ document, size };
	if (nitro_attest_read(document, size, &said, NULL, 0))
		return;
	kms.root = said.cabundle[0];
	if (said.timestamp_ms / 1000 < FAR_S)
		kms.clock_offset_s =
			(int64_t)(said.timestamp_ms / 1000) - time(NULL);
}

/* The body with the document in it, to be freed; NULL: it is no object. */
static char *with_document(const uint8_t *body, size_t size,
			   const uint8_t *document, size_t document_size)
{
	json_t *json = json_loadb((const char *)body, size, 0, NULL);
	char *text = NULL;

	if (json_is_object(json)) {
		json_object_set_new(
			json, "Recipient",
			json_pack("{s:s, s:o}", "KeyEncryptionAlgorithm",
				  "RSAES_OAEP_SHA_256", "AttestationDocument",
				  kms_base64(document, document_size)));
		text = json_dumps(json, 0);
	}
	json_decref(json);
	return text;
}

/* What was encrypted is what its blob has. */
static void check_blob(const char *body, size_t size, const json_t *answer)
{
	uint8_t blob[KMS_BLOB_BYTES], plain[KMS_PLAIN_BYTES],
		opened[KMS_PLAIN_BYTES];
	json_t *request = json_loadb(body, size, 0, NULL);
	size_t blob_size, plain_size, opened_size;

	assert(kms_base64_decode(json_object_get(answer, "CiphertextBlob"),
				 blob, sizeof blob, &blob_size));
	assert(kms_base64_decode(json_object_get(request, "Plaintext"), plain,
				 sizeof plain, &plain_size));
	if (!json_object_size(json_object_get(request, "EncryptionContext"))) {
		assert(kms_unseal(&kms, "{}", blob, blob_size, opened,
				  sizeof opened, &opened_size));
		assert(opened_size == plain_size &&
		       !memcmp(opened, plain, plain_size));
	}
	json_decref(request);
}

static void ask(unsigned int operation, const char *body, size_t size)
{
	struct kms_refusal why = { 0 };
	json_t *answer =
		kms_answer(&kms, operations[operation], body, size, &why);

	assert(!answer == !!why.type);
	if (answer && (operation == DECRYPT || operation == DATA_KEY)) {
		assert(json_object_get(answer, "CiphertextForRecipient"));
		assert(!json_object_get(answer, "Plaintext"));
	}
	if (answer && operation == ENCRYPT)
		check_blob(body, size, answer);
	json_decref(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	unsigned int operation = input_u8(&in) % (UNKNOWN + 1);
	unsigned int flags = input_u8(&in);
	size_t body_size = input_u16(&in);
	const uint8_t *body = in.data;
	char *text;

	if (body_size > in.left)
		body_size = in.left;
	if (!kms.policy)
		kms.policy = make_policy();
	assert(kms.policy);
	if (!(flags & HAS_DOCUMENT)) {
		ask(operation, (const char *)body, body_size);
		return 0;
	}
	believe(body + body_size, in.left - body_size);
	text = with_document(body, body_size, body + body_size,
			     in.left - body_size);
	if (text)
		ask(operation, text, strlen(text));
	free(text);
	return 0;
}
