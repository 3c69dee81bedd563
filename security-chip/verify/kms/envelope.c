/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CiphertextForRecipient: CMS EnvelopedData (RFC 5652 6.1) with one recipient
 * that is named by its subject key identifier (6.2.1), RSAES-OAEP as in RFC
 * 4055 4.1, AES-256-CBC as in RFC 3565 4.1.
 *
 * In the form of the real service's answers, which no library writes: BER with
 * the outer lengths indefinite, a NULL with each hash, and as identifier the
 * SHA-256 of the SubjectPublicKeyInfo (RFC 7093 2, (4)).  Long contents come in
 * pieces there as well; of which size is not known.
 */
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <string.h>

#include "security-chip/verify/kms/kms.h"

#define LEAST_BITS  2048
#define MOST_BYTES  2048u /* of an RSA key's modulus */
#define KEY_BYTES   32u
#define BLOCK_BYTES 16u
#define PIECE_BYTES 1000u

/* X.690 8.1.2: what the items of the envelope are. */
#define SEQUENCE   0x30u
#define SET        0x31u
#define OCTETS     0x04u
#define IDENTIFIER 0x80u /* [0], of a RecipientIdentifier */

/* ContentInfo, EnvelopedData: their heads, envelopedData, version 2. */
static const uint8_t beginning[] = { 0x30, 0x80, 0x06, 0x09, 0x2a, 0x86, 0x48,
				     0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03, 0xa0,
				     0x80, 0x30, 0x80, 0x02, 0x01, 0x02 };
/* Of the recipient. */
static const uint8_t version[] = { 0x02, 0x01, 0x02 };
/* rsaesOaep with sha256, and mgf1 with sha256. */
static const uint8_t oaep[] = { 0x30, 0x3c, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
				0xf7, 0x0d, 0x01, 0x01, 0x07, 0x30, 0x2f, 0xa0,
				0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48,
				0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
				0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86,
				0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30,
				0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65,
				0x03, 0x04, 0x02, 0x01, 0x05, 0x00 };
/* EncryptedContentInfo: its head, data, aes256-CBC, and the nonce's head. */
static const uint8_t content_info[] = { 0x30, 0x80, 0x06, 0x09, 0x2a, 0x86,
					0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07,
					0x01, 0x30, 0x1d, 0x06, 0x09, 0x60,
					0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
					0x01, 0x2a, 0x04, 0x10 };
/* [0], of encryptedContent; and then all five indefinite lengths end. */
static const uint8_t content[] = { 0xa0, 0x80 };
static const uint8_t ends[10];

struct sealed {
	uint8_t key[MOST_BYTES]; /* the content's, for the recipient */
	size_t key_size;
	uint8_t nonce[BLOCK_BYTES];
	uint8_t content[KMS_PLAIN_BYTES + BLOCK_BYTES];
	size_t size;
};

static EVP_PKEY *read_key(struct nitro_attest_bytes spki)
{
	const unsigned char *at = spki.data;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)spki.size);

	if (key && at == spki.data + spki.size &&
	    EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA &&
	    EVP_PKEY_get_bits(key) >= LEAST_BITS)
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

static bool seal_key(EVP_PKEY *recipient, const uint8_t key[KEY_BYTES],
		     struct sealed *out)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(recipient, NULL);
	bool is_good;

	out->key_size = sizeof out->key;
	is_good = context && EVP_PKEY_encrypt_init(context) > 0 &&
		  EVP_PKEY_CTX_set_rsa_padding(context,
					       RSA_PKCS1_OAEP_PADDING) > 0 &&
		  EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) > 0 &&
		  EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) > 0 &&
		  EVP_PKEY_encrypt(context, out->key, &out->key_size, key,
				   KEY_BYTES) > 0;
	EVP_PKEY_CTX_free(context);
	return is_good;
}

static bool seal_content(const uint8_t key[KEY_BYTES], const uint8_t *plain,
			 size_t size, struct sealed *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int written = 0, last = 0;
	bool is_good =
		c && size <= KMS_PLAIN_BYTES &&
		EVP_EncryptInit_ex(c, EVP_aes_256_cbc(), NULL, key,
				   out->nonce) > 0 &&
		EVP_EncryptUpdate(c, out->content, &written, plain, (int)size) >
			0 &&
		EVP_EncryptFinal_ex(c, out->content + written, &last) > 0;

	EVP_CIPHER_CTX_free(c);
	out->size = (size_t)written + (size_t)last;
	return is_good;
}

static bool seal(EVP_PKEY *recipient, const uint8_t *plain, size_t size,
		 struct sealed *out)
{
	uint8_t key[KEY_BYTES];
	bool is_good = RAND_priv_bytes(key, sizeof key) > 0 &&
		       RAND_bytes(out->nonce, sizeof out->nonce) > 0 &&
		       seal_key(recipient, key, out) &&
		       seal_content(key, plain, size, out);

	OPENSSL_cleanse(key, sizeof key);
	return is_good;
}

/* ---- BER, of what fits into KMS_ENVELOPE_BYTES whatever the key ---- */

/* X.690 8.1.3.3 to 8.1.3.5; sizes here are below 2^16. */
static size_t head_size(size_t size)
{
	return size < 0x80 ? 2 : size < 0x100 ? 3 : 4;
}

static uint8_t *put(uint8_t *at, const void *bytes, size_t size)
{
	memcpy(at, bytes, size);
	return at + size;
}

static uint8_t *put_head(uint8_t *at, unsigned int tag, size_t size)
{
	*at++ = (uint8_t)tag;
	if (size >= 0x100)
		*at++ = 0x82;
	else if (size >= 0x80)
		*at++ = 0x81;
	if (size >= 0x100)
		*at++ = (uint8_t)(size >> 8);
	*at++ = (uint8_t)size;
	return at;
}

static uint8_t *put_item(uint8_t *at, unsigned int tag, const void *bytes,
			 size_t size)
{
	return put(put_head(at, tag, size), bytes, size);
}

static uint8_t *put_recipient(uint8_t *at, struct nitro_attest_bytes spki,
			      const struct sealed *sealed)
{
	uint8_t identifier[SHA256_DIGEST_LENGTH];
	size_t size = sizeof version + 2 + sizeof identifier + sizeof oaep +
		      head_size(sealed->key_size) + sealed->key_size;

	SHA256(spki.data, spki.size, identifier);
	at = put_head(at, SET, head_size(size) + size);
	at = put_head(at, SEQUENCE, size);
	at = put(at, version, sizeof version);
	at = put_item(at, IDENTIFIER, identifier, sizeof identifier);
	at = put(at, oaep, sizeof oaep);
	return put_item(at, OCTETS, sealed->key, sealed->key_size);
}

static uint8_t *put_content(uint8_t *at, const struct sealed *sealed)
{
	size_t piece;

	at = put(at, content_info, sizeof content_info);
	at = put(at, sealed->nonce, sizeof sealed->nonce);
	at = put(at, content, sizeof content);
	for (size_t i = 0; i < sealed->size; i += piece) {
		piece = sealed->size - i;
		piece = piece < PIECE_BYTES ? piece : PIECE_BYTES;
		at = put_item(at, OCTETS, sealed->content + i, piece);
	}
	return put(at, ends, sizeof ends);
}

bool kms_envelope(struct nitro_attest_bytes public_key, const uint8_t *plain,
		  size_t size, uint8_t out[KMS_ENVELOPE_BYTES],
		  size_t *out_size)
{
	EVP_PKEY *key = public_key.data ? read_key(public_key) : NULL;
	struct sealed sealed;
	uint8_t *at = out;
	bool is_good = key && seal(key, plain, size, &sealed);

	EVP_PKEY_free(key);
	if (!is_good)
		return false;
	at = put(at, beginning, sizeof beginning);
	at = put_recipient(at, public_key, &sealed);
	at = put_content(at, &sealed);
	*out_size = (size_t)(at - out);
	return true;
}
