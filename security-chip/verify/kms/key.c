/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The service's key, and blobs under it: magic, nonce (12 bytes), ciphertext,
 * tag (16 bytes).  AES-256-GCM, NIST SP 800-38D.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "firmware/rt/scope.h"
#include "security-chip/verify/kms/kms.h"

#define NONCE_BYTES 12u
#define TAG_BYTES   16u

static const uint8_t magic[] = { 'n', 'k', 'm', 's', 1 };

#define HEAD_BYTES (sizeof magic + NONCE_BYTES)

static bool make_key(struct kms *kms, const char *path)
{
	RT_FD int fd =
		open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0 && RAND_bytes(kms->key, KMS_KEY_BYTES) > 0 &&
	    write(fd, kms->key, KMS_KEY_BYTES) == KMS_KEY_BYTES && !fsync(fd))
		return true;
	fprintf(stderr, "nitro-kms: cannot make the key %s (%s)\n", path,
		strerror(errno));
	return false;
}

bool kms_key_load(struct kms *kms, const char *path)
{
	RT_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t more;

	if (fd < 0 && errno == ENOENT)
		return make_key(kms, path);
	if (fd >= 0 && read(fd, kms->key, KMS_KEY_BYTES) == KMS_KEY_BYTES &&
	    read(fd, &more, 1) == 0)
		return true;
	fprintf(stderr, "nitro-kms: %s: %s; a key has %u bytes\n", path,
		fd < 0 ? strerror(errno) : "this is no key", KMS_KEY_BYTES);
	return false;
}

/* Of both ways: what is bound to the ciphertext without being in it. */
static bool bind(EVP_CIPHER_CTX *c, const struct kms *kms, const char *context)
{
	int ignored;

	return EVP_CipherUpdate(c, NULL, &ignored,
				(const unsigned char *)kms->key_id,
				(int)strlen(kms->key_id) + 1) > 0 &&
	       EVP_CipherUpdate(c, NULL, &ignored,
				(const unsigned char *)context,
				(int)strlen(context)) > 0;
}

bool kms_seal(const struct kms *kms, const char *context, const uint8_t *plain,
	      size_t size, uint8_t *out, size_t room, size_t *out_size)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t *nonce = out + sizeof magic, *body = out + HEAD_BYTES;
	int written, last;
	bool is_good = false;

	if (c && size <= KMS_PLAIN_BYTES &&
	    HEAD_BYTES + size + TAG_BYTES <= room &&
	    RAND_bytes(nonce, NONCE_BYTES) > 0 &&
	    EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, kms->key, nonce) >
		    0 &&
	    bind(c, kms, context) &&
	    EVP_EncryptUpdate(c, body, &written, plain, (int)size) > 0 &&
	    EVP_EncryptFinal_ex(c, body + written, &last) > 0 &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_BYTES,
				body + size) > 0) {
		memcpy(out, magic, sizeof magic);
		*out_size = HEAD_BYTES + size + TAG_BYTES;
		is_good = true;
	}
	EVP_CIPHER_CTX_free(c);
	return is_good;
}

static bool open_body(EVP_CIPHER_CTX *c, const struct kms *kms,
		      const char *context, const uint8_t *blob, size_t size,
		      uint8_t *out)
{
	uint8_t tag[TAG_BYTES];
	const uint8_t *body = blob + HEAD_BYTES;
	int written, last;

	memcpy(tag, body + size, sizeof tag);
	return EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, kms->key,
				  blob + sizeof magic) > 0 &&
	       bind(c, kms, context) &&
	       EVP_DecryptUpdate(c, out, &written, body, (int)size) > 0 &&
	       EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) >
		       0 &&
	       EVP_DecryptFinal_ex(c, out + written, &last) > 0;
}

bool kms_unseal(const struct kms *kms, const char *context, const uint8_t *blob,
		size_t size, uint8_t *out, size_t room, size_t *out_size)
{
	EVP_CIPHER_CTX *c;
	bool is_good;

	if (size < HEAD_BYTES + TAG_BYTES ||
	    size - HEAD_BYTES - TAG_BYTES > room ||
	    memcmp(blob, magic, sizeof magic) != 0)
		return false;
	*out_size = size - HEAD_BYTES - TAG_BYTES;
	c = EVP_CIPHER_CTX_new();
	is_good = c && open_body(c, kms, context, blob, *out_size, out);
	EVP_CIPHER_CTX_free(c);
	if (!is_good)
		OPENSSL_cleanse(out, *out_size);
	return is_good;
}
