/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nitro-kms: a key management service like Amazon's for tests, which releases
 * keys to whom an attestation document speaks for.  What its files share.
 */
#ifndef SECURITY_CHIP_VERIFY_KMS_KMS_H
#define SECURITY_CHIP_VERIFY_KMS_KMS_H

#include <jansson.h>

#include "security-chip/verify/nitro-attest.h"

#define KMS_KEY_BYTES      32u
#define KMS_PLAIN_BYTES    4096u /* KMS API, Encrypt: Plaintext */
#define KMS_BLOB_BYTES     6144u /* KMS API, Decrypt: CiphertextBlob */
#define KMS_BODY_BYTES     65536u
#define KMS_DOCUMENT_BYTES 32768u
#define KMS_ENVELOPE_BYTES 8192u /* whatever is in it */
#define KMS_MESSAGE_BYTES  1024u

/* A service: one key, one policy, one root. */
struct kms {
	char *key_id; /* an ARN */
	uint8_t key[KMS_KEY_BYTES];
	json_t *policy;
	struct nitro_attest_bytes root;
	int64_t clock_offset_s;
};

/* Why a request is refused: an exception of the KMS API, and a sentence. */
struct kms_refusal {
	const char *type; /* NULL: it is not */
	char message[KMS_MESSAGE_BYTES];
};

/* Returns false, so that a refusal can be returned. */
bool kms_refuse(struct kms_refusal *why, const char *type, const char *format,
		...) __attribute__((format(printf, 3, 4)));

/* Free what malloc() gave, and leave nothing of it. */
void kms_free(void *secret);

/*
 * key.c.  The key in a file, which is made with mode 0600 if it is missing.
 * False: said why on stderr.
 */
bool kms_key_load(struct kms *kms, const char *path);
/* AES-256-GCM; context is what else must be the same to open it again. */
bool kms_seal(const struct kms *kms, const char *context, const uint8_t *plain,
	      size_t size, uint8_t *out, size_t room, size_t *out_size);
/* False: it is not ours, was altered, or has another context. */
bool kms_unseal(const struct kms *kms, const char *context, const uint8_t *blob,
		size_t size, uint8_t *out, size_t room, size_t *out_size);

/*
 * policy.c.  A key policy as KMS has them; what is not understood is refused
 * when it is loaded, and not ignored.  False: said why on stderr.
 */
bool kms_policy_load(struct kms *kms, const char *path);
/*
 * Whether the policy allows the action, such as "kms:Decrypt", to whom the
 * document speaks for; NULL: there is none.  What is not allowed is refused.
 */
bool kms_policy_allows(const struct kms *kms, const char *action,
		       const struct nitro_attest_document *document,
		       struct kms_refusal *why);

/*
 * envelope.c.  CMS EnvelopedData (RFC 5652) in BER for an RSA key of 2048 bits
 * or more (as SPKI), with RSAES-OAEP and SHA-256, and AES-256-CBC, of up to
 * KMS_PLAIN_BYTES.  False: no such key.
 */
bool kms_envelope(struct nitro_attest_bytes public_key, const uint8_t *plain,
		  size_t size, uint8_t out[KMS_ENVELOPE_BYTES],
		  size_t *out_size);

/* recipient.c.  To whom a secret is to be given. */
struct kms_recipient {
	bool is_there; /* and its document is believed */
	struct nitro_attest_document document; /* into bytes */
	uint8_t bytes[KMS_DOCUMENT_BYTES];
};

/* What the request says of it, which may be nothing.  False: refused. */
bool kms_recipient_read(const struct kms *kms, const json_t *request,
			struct kms_recipient *out, struct kms_refusal *why);

/* request.c.  The answer to a request's body, or NULL with *why. */
json_t *kms_answer(const struct kms *kms, const char *operation,
		   const char *body, size_t size, struct kms_refusal *why);

/* base64.c.  RFC 4648 4, strictly.  NULL: no memory. */
json_t *kms_base64(const uint8_t *bytes, size_t size);
/* False: not Base64, or longer than room. */
bool kms_base64_decode(const json_t *text, uint8_t *out, size_t room,
		       size_t *size);

/* So many clients at once; the next one waits until one of them has gone. */
#define KMS_CLIENTS   64u
/* From a connection, or the answer before, to the whole of the next answer. */
#define KMS_REQUEST_S 10

/*
 * server.c.  Serve HTTP on a listening socket, which is closed then, until
 * there is something to be read from `end`.  False: it could not start.
 */
bool kms_serve(const struct kms *kms, int listener, int end);

#endif
