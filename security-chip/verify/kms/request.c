/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operations: Encrypt, Decrypt, GenerateDataKey, GenerateRandom, as the
 * KMS API has them, on the body of a request, which is foreign.  Those that
 * give a secret give it as CiphertextForRecipient when the request brings a
 * Recipient.
 */
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "security-chip/verify/kms/kms.h"

bool kms_refuse(struct kms_refusal *why, const char *type, const char *format,
		...)
{
	va_list args;

	why->type = type;
	va_start(args, format);
	vsnprintf(why->message, sizeof why->message, format, args);
	va_end(args);
	return false;
}

void kms_free(void *secret)
{
	if (secret)
		OPENSSL_cleanse(secret, malloc_usable_size(secret));
	free(secret);
}

/* One request, while it is answered. */
struct request {
	const struct kms *kms;
	const json_t *json;
	struct kms_refusal *why;
	struct kms_recipient recipient;
	/* What is to be given. */
	uint8_t secret[KMS_PLAIN_BYTES];
	size_t secret_size;
};

static const struct nitro_attest_document *document_of(const struct request *r)
{
	return r->recipient.is_there ? &r->recipient.document : NULL;
}

/* The one key that there is, by its id, its ARN, or not at all. */
static bool check_key(const struct request *r, bool is_needed)
{
	const json_t *json = json_object_get(r->json, "KeyId");
	const char *id = json_string_value(json), *own = r->kms->key_id;

	if (!json && !is_needed)
		return true;
	if (!id)
		return kms_refuse(r->why, "ValidationException",
				  "KeyId is missing, or is no text");
	if (!strcmp(id, own) || !strcmp(id, strrchr(own, '/') + 1))
		return true;
	return kms_refuse(r->why, "NotFoundException", "there is no key but %s",
			  own);
}

/* Not there, or an object of texts. */
static bool is_context(json_t *context)
{
	const char *key;
	json_t *value;

	json_object_foreach(context, key, value)
	{
		if (!json_is_string(value))
			return false;
	}
	return !context || json_is_object(context);
}

/*
 * Always the same text for the same pairs, to be freed.  NULL: refused, for
 * what is no context would bind a blob to less than its author means.
 */
static char *context_of(const struct request *r)
{
	json_t *context = json_object_get(r->json, "EncryptionContext");
	char *text;

	if (!is_context(context)) {
		kms_refuse(r->why, "ValidationException",
			   "EncryptionContext is an object of texts");
		return NULL;
	}
	text = json_object_size(context)
		       ? json_dumps(context, JSON_SORT_KEYS | JSON_COMPACT)
		       : strdup("{}");
	if (!text)
		kms_refuse(r->why, "KMSInternalException", "no memory");
	return text;
}

static bool seal(struct request *r, json_t *answer)
{
	RT_FREE char *context = context_of(r);
	uint8_t blob[KMS_BLOB_BYTES];
	size_t size;

	if (!context)
		return false;
	if (!kms_seal(r->kms, context, r->secret, r->secret_size, blob,
		      sizeof blob, &size))
		return kms_refuse(r->why, "KMSInternalException",
				  "the library failed");
	return !json_object_set_new(answer, "CiphertextBlob",
				    kms_base64(blob, size)) ||
	       kms_refuse(r->why, "KMSInternalException", "no memory");
}

static bool unseal(struct request *r)
{
	RT_FREE char *context = context_of(r);
	uint8_t blob[KMS_BLOB_BYTES];
	size_t size;

	if (!context)
		return false;
	if (!kms_base64_decode(json_object_get(r->json, "CiphertextBlob"), blob,
			       sizeof blob, &size))
		return kms_refuse(r->why, "ValidationException",
				  "CiphertextBlob is not Base64 of up to %u "
				  "bytes",
				  KMS_BLOB_BYTES);
	if (kms_unseal(r->kms, context, blob, size, r->secret, sizeof r->secret,
		       &r->secret_size))
		return true;
	return kms_refuse(r->why, "InvalidCiphertextException",
			  "CiphertextBlob is not of this key and "
			  "EncryptionContext, or was altered");
}

/* The secret in the clear, or for the document's key only. */
static bool give(struct request *r, json_t *answer)
{
	uint8_t envelope[KMS_ENVELOPE_BYTES];
	size_t size;

	if (!r->recipient.is_there)
		return !json_object_set_new(
			       answer, "Plaintext",
			       kms_base64(r->secret, r->secret_size)) ||
		       kms_refuse(r->why, "KMSInternalException", "no memory");
	if (!kms_envelope(r->recipient.document.public_key, r->secret,
			  r->secret_size, envelope, &size))
		return kms_refuse(r->why, "ValidationException",
				  "the attestation document's public_key is "
				  "no RSA key of 2048 bits or more, in DER "
				  "(RFC 5280 4.1.2.7)");
	return !json_object_set_new(answer, "CiphertextForRecipient",
				    kms_base64(envelope, size)) ||
	       kms_refuse(r->why, "KMSInternalException", "no memory");
}

static bool make_secret(struct request *r, json_int_t size)
{
	if (size < 1 || size > 1024)
		return kms_refuse(r->why, "ValidationException",
				  "NumberOfBytes is from 1 to 1024");
	r->secret_size = (size_t)size;
	return RAND_bytes(r->secret, (int)size) > 0 ||
	       kms_refuse(r->why, "KMSInternalException", "the library failed");
}

static void set_key(const struct request *r, json_t *answer)
{
	json_object_set_new(answer, "KeyId", json_string(r->kms->key_id));
}

static void set_algorithm(json_t *answer)
{
	json_object_set_new(answer, "EncryptionAlgorithm",
			    json_string("SYMMETRIC_DEFAULT"));
}

static bool run_encrypt(struct request *r, json_t *answer)
{
	if (!check_key(r, true))
		return false;
	if (!kms_base64_decode(json_object_get(r->json, "Plaintext"), r->secret,
			       sizeof r->secret, &r->secret_size) ||
	    !r->secret_size)
		return kms_refuse(r->why, "ValidationException",
				  "Plaintext is not Base64 of 1 to %u bytes",
				  KMS_PLAIN_BYTES);
	set_key(r, answer);
	set_algorithm(answer);
	return seal(r, answer);
}

static bool run_decrypt(struct request *r, json_t *answer)
{
	if (!check_key(r, false) || !unseal(r))
		return false;
	set_key(r, answer);
	set_algorithm(answer);
	return give(r, answer);
}

static bool run_data_key(struct request *r, json_t *answer)
{
	const char *spec =
		json_string_value(json_object_get(r->json, "KeySpec"));
	const json_t *number = json_object_get(r->json, "NumberOfBytes");
	json_int_t size = json_integer_value(number);

	if (!spec == !number)
		return kms_refuse(r->why, "ValidationException",
				  "give either KeySpec or NumberOfBytes");
	if (spec && strcmp(spec, "AES_256") != 0 &&
	    strcmp(spec, "AES_128") != 0)
		return kms_refuse(r->why, "ValidationException",
				  "KeySpec is AES_256 or AES_128");
	if (spec)
		size = strcmp(spec, "AES_256") ? 16 : 32;
	if (!check_key(r, true) || !make_secret(r, size))
		return false;
	set_key(r, answer);
	return seal(r, answer) && give(r, answer);
}

static bool run_random(struct request *r, json_t *answer)
{
	const json_t *number = json_object_get(r->json, "NumberOfBytes");

	return make_secret(r, json_integer_value(number)) && give(r, answer);
}

static const struct {
	const char *name, *action;
	bool (*run)(struct request *r, json_t *answer);
} operations[] = {
	{ "Decrypt", "kms:Decrypt", run_decrypt },
	{ "Encrypt", "kms:Encrypt", run_encrypt },
	{ "GenerateDataKey", "kms:GenerateDataKey", run_data_key },
	{ "GenerateRandom", "kms:GenerateRandom", run_random },
};

static json_t *run(struct request *r, size_t i)
{
	json_t *answer = json_object();

	if (answer &&
	    kms_recipient_read(r->kms, r->json, &r->recipient, r->why) &&
	    kms_policy_allows(r->kms, operations[i].action, document_of(r),
			      r->why) &&
	    operations[i].run(r, answer))
		return answer;
	json_decref(answer);
	if (!r->why->type)
		kms_refuse(r->why, "KMSInternalException", "no memory");
	return NULL;
}

static json_t *answer_to(const struct kms *kms, size_t i, const json_t *json,
			 struct kms_refusal *why)
{
	struct request *r = calloc(1, sizeof *r);
	json_t *answer;

	if (!r) {
		kms_refuse(why, "KMSInternalException", "no memory");
		return NULL;
	}
	r->kms = kms;
	r->json = json;
	r->why = why;
	answer = run(r, i);
	OPENSSL_cleanse(r->secret, sizeof r->secret);
	free(r);
	return answer;
}

json_t *kms_answer(const struct kms *kms, const char *operation,
		   const char *body, size_t size, struct kms_refusal *why)
{
	json_t *json = NULL, *answer = NULL;
	size_t i = 0;

	while (i < RT_COUNT(operations) &&
	       strcmp(operations[i].name, operation) != 0)
		i++;
	if (i < RT_COUNT(operations))
		json = json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL);
	if (i == RT_COUNT(operations))
		kms_refuse(why, "UnknownOperationException",
			   "operations are Encrypt, Decrypt, GenerateDataKey "
			   "and GenerateRandom");
	else if (!json_is_object(json))
		kms_refuse(why, "SerializationException",
			   "a request is a JSON object");
	else
		answer = answer_to(kms, i, json, why);
	json_decref(json);
	return answer;
}
