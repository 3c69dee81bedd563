/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sealing of a TPM's state: AES-256-GCM (NIST SP 800-38D) by libcrypto.  Nonces
 * are random: under a key for each instance, 2^32 of them may be used.
 */
#include "security-chip/tpm/store.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "firmware/rt/secret.h"

#define NONCE_BYTES  12u
#define TAG_BYTES    16u
#define HEADER_BYTES 24u

static const uint8_t magic[12] = { 'N', 'I', 'T', 'R', 'O', 'T',
				   'P', 'M', 0,   0,   0,   1 };

static_assert(HEADER_BYTES == sizeof magic + NONCE_BYTES &&
		      SEC_TPM_SEAL_BYTES == HEADER_BYTES + TAG_BYTES,
	      "the layout in store.h");

/* What is authenticated besides: the NULs keep the words apart. */
static bool add_words(EVP_CIPHER_CTX *context,
		      const struct sec_tpm_store *store, const char *kind,
		      const uint8_t header[HEADER_BYTES])
{
	int size;

	return EVP_CipherUpdate(context, NULL, &size, header, HEADER_BYTES) &&
	       EVP_CipherUpdate(context, NULL, &size, (const uint8_t *)kind,
				(int)strlen(kind) + 1) &&
	       EVP_CipherUpdate(context, NULL, &size,
				(const uint8_t *)store->instance,
				(int)strlen(store->instance) + 1);
}

static EVP_CIPHER_CTX *begin(const struct sec_tpm_store *store,
			     const char *kind,
			     const uint8_t header[HEADER_BYTES],
			     bool is_sealing)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();

	if (context &&
	    EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, store->key,
			      header + sizeof magic, is_sealing) &&
	    add_words(context, store, kind, header))
		return context;
	EVP_CIPHER_CTX_free(context);
	return NULL;
}

static bool encrypt(const struct sec_tpm_store *store, const char *kind,
		    const uint8_t *data, size_t size, uint8_t *sealed)
{
	EVP_CIPHER_CTX *context = begin(store, kind, sealed, true);
	uint8_t *body = sealed + HEADER_BYTES;
	int done, rest;
	bool is_good =
		context &&
		EVP_EncryptUpdate(context, body, &done, data, (int)size) &&
		EVP_EncryptFinal_ex(context, body + done, &rest) &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_BYTES,
				    body + size);

	EVP_CIPHER_CTX_free(context);
	return is_good;
}

int sec_tpm_seal(const struct sec_tpm_store *store, const char *kind,
		 const uint8_t *data, size_t size, uint8_t **out,
		 size_t *out_size)
{
	RT_FREE uint8_t *sealed = NULL;

	if (size > SEC_TPM_STATE_BYTES)
		return -EFBIG;
	sealed = malloc(size + SEC_TPM_SEAL_BYTES);
	if (!sealed)
		return -ENOMEM;
	memcpy(sealed, magic, sizeof magic);
	if (RAND_bytes(sealed + sizeof magic, NONCE_BYTES) != 1 ||
	    !encrypt(store, kind, data, size, sealed))
		return -EIO;
	*out = sealed;
	*out_size = size + SEC_TPM_SEAL_BYTES;
	sealed = NULL;
	return 0;
}

static bool decrypt(const struct sec_tpm_store *store, const char *kind,
		    const uint8_t *sealed, size_t size, uint8_t *data)
{
	EVP_CIPHER_CTX *context = begin(store, kind, sealed, false);
	uint8_t tag[TAG_BYTES];
	int done, rest;
	bool is_good;

	memcpy(tag, sealed + HEADER_BYTES + size, sizeof tag);
	is_good = context &&
		  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG_BYTES,
				      tag) &&
		  EVP_DecryptUpdate(context, data, &done, sealed + HEADER_BYTES,
				    (int)size) &&
		  EVP_DecryptFinal_ex(context, data + done, &rest);
	EVP_CIPHER_CTX_free(context);
	return is_good;
}

int sec_tpm_unseal(const struct sec_tpm_store *store, const char *kind,
		   const uint8_t *sealed, size_t size, uint8_t **out,
		   size_t *out_size)
{
	RT_FREE uint8_t *data = NULL;

	if (size < SEC_TPM_SEAL_BYTES ||
	    size > SEC_TPM_STATE_BYTES + SEC_TPM_SEAL_BYTES ||
	    memcmp(sealed, magic, sizeof magic) != 0)
		return -EBADMSG;
	size -= SEC_TPM_SEAL_BYTES;
	data = malloc(size + 1);
	if (!data)
		return -ENOMEM;
	if (!decrypt(store, kind, sealed, size, data)) {
		/* What was not authentic is not looked at. */
		rt_erase(data, size);
		return -EBADMSG;
	}
	*out = data;
	*out_size = size;
	data = NULL;
	return 0;
}
