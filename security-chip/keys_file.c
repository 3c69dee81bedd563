/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file of a wrapped key: AES-256-GCM with a random nonce (NIST SP 800-38D);
 * the names before it are its additional data, so that a key moved to another
 * volume does not open.  Any thread.
 */
#include "security-chip/keys_file.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>

#include "firmware/rt/secret.h"

static const char magic[8] = { 'n', 'c', '-', 'k', 'e', 'y', '1', '\n' };

#define NAMES_BYTES offsetof(struct sec_key_file, nonce)

/* One to size - 1 good characters, and zeros after them. */
static bool is_name(const char *name, size_t size)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/_-";
	size_t length = strnlen(name, size);

	if (!length || length == size || strspn(name, good) != length)
		return false;
	while (length < size)
		if (name[length++])
			return false;
	return true;
}

static bool set_name(char *to, size_t size, const char *name)
{
	if (strlen(name) >= size)
		return false;
	memcpy(to, name, strlen(name));
	return is_name(to, size);
}

int sec_key_file_init(struct sec_key_file *file, const char *volume_id,
		      const char *kms_key_id)
{
	memset(file, 0, sizeof *file);
	memcpy(file->magic, magic, sizeof magic);
	if (!set_name(file->volume_id, sizeof file->volume_id, volume_id) ||
	    !set_name(file->kms_key_id, sizeof file->kms_key_id, kms_key_id))
		return -EINVAL;
	return 0;
}

int sec_key_file_parse(struct sec_key_file *file, const void *bytes,
		       size_t size)
{
	if (size != sizeof *file)
		return -EBADMSG;
	memcpy(file, bytes, size);
	if (memcmp(file->magic, magic, sizeof magic) ||
	    !is_name(file->volume_id, sizeof file->volume_id) ||
	    !is_name(file->kms_key_id, sizeof file->kms_key_id))
		return -EBADMSG;
	return 0;
}

static EVP_CIPHER_CTX *begin(const struct sec_key_file *file,
			     const uint8_t wrapping[SEC_WRAPPING_KEY_BYTES],
			     int is_sealing)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int size;

	if (context &&
	    EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, wrapping,
			      file->nonce, is_sealing) == 1 &&
	    EVP_CipherUpdate(context, NULL, &size, (const uint8_t *)file,
			     NAMES_BYTES) == 1)
		return context;
	EVP_CIPHER_CTX_free(context);
	return NULL;
}

int sec_key_file_seal(struct sec_key_file *file,
		      const uint8_t wrapping[SEC_WRAPPING_KEY_BYTES],
		      const uint8_t key[SEC_KEY_BYTES])
{
	EVP_CIPHER_CTX *context;
	bool is_good;
	int size;

	if (getrandom(file->nonce, sizeof file->nonce, 0) != sizeof file->nonce)
		return -EIO;
	context = begin(file, wrapping, 1);
	is_good = context &&
		  EVP_CipherUpdate(context, file->wrapped, &size, key,
				   SEC_KEY_BYTES) == 1 &&
		  EVP_CipherFinal_ex(context, file->tag, &size) == 1 &&
		  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG,
				      sizeof file->tag, file->tag) == 1;
	EVP_CIPHER_CTX_free(context);
	return is_good ? 0 : -EIO;
}

int sec_key_file_open(const struct sec_key_file *file,
		      const uint8_t wrapping[SEC_WRAPPING_KEY_BYTES],
		      uint8_t key[SEC_KEY_BYTES])
{
	EVP_CIPHER_CTX *context = begin(file, wrapping, 0);
	uint8_t tag[sizeof file->tag], none[16];
	bool is_good;
	int size;

	if (!context)
		return -EIO;
	memcpy(tag, file->tag, sizeof tag);
	is_good = EVP_CipherUpdate(context, key, &size, file->wrapped,
				   SEC_KEY_BYTES) == 1 &&
		  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG,
				      sizeof tag, tag) == 1 &&
		  EVP_CipherFinal_ex(context, none, &size) == 1;
	EVP_CIPHER_CTX_free(context);
	if (!is_good)
		rt_erase(key, SEC_KEY_BYTES);
	return is_good ? 0 : -EKEYREJECTED;
}
