/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CiphertextForRecipient: EnvelopedData with one KeyTransRecipientInfo that is
 * named by its subject key identifier, so version 2 of both (RFC 5652 6.1,
 * 6.2.1); RSAES-OAEP as in RFC 4055 4.1.
 */
#include <openssl/cms.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "security-chip/verify/kms/kms.h"

#define LEAST_BITS 2048

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

static bool add_identifier(X509 *x509)
{
	X509_EXTENSION *identifier;
	X509V3_CTX context;
	bool is_added;

	X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
	identifier = X509V3_EXT_conf_nid(NULL, &context,
					 NID_subject_key_identifier, "hash");
	is_added = identifier && X509_add_ext(x509, identifier, -1);
	X509_EXTENSION_free(identifier);
	return is_added;
}

/*
 * The library takes a key in a certificate only, which must be whole: any key
 * signs it, and nobody looks at it again.
 */
static X509 *wrap_key(EVP_PKEY *key)
{
	EVP_PKEY *signer = EVP_EC_gen("P-256");
	X509 *x509 = X509_new();

	if (!signer || !x509 || !X509_set_version(x509, X509_VERSION_3) ||
	    !X509_gmtime_adj(X509_getm_notBefore(x509), 0) ||
	    !X509_gmtime_adj(X509_getm_notAfter(x509), 0) ||
	    !X509_set_pubkey(x509, key) || !add_identifier(x509) ||
	    !X509_sign(x509, signer, EVP_sha256())) {
		X509_free(x509);
		x509 = NULL;
	}
	EVP_PKEY_free(signer);
	return x509;
}

static bool add_recipient(CMS_ContentInfo *cms, X509 *x509)
{
	CMS_RecipientInfo *recipient = CMS_add1_recipient_cert(
		cms, x509, CMS_USE_KEYID | CMS_KEY_PARAM);
	EVP_PKEY_CTX *context =
		recipient ? CMS_RecipientInfo_get0_pkey_ctx(recipient) : NULL;

	return context &&
	       EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) >
		       0 &&
	       EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) > 0 &&
	       EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) > 0;
}

static bool seal(CMS_ContentInfo *cms, X509 *x509, BIO *plain, uint8_t **out,
		 size_t *out_size)
{
	int size;

	if (!add_recipient(cms, x509) ||
	    !CMS_final(cms, plain, NULL, CMS_BINARY))
		return false;
	*out = NULL;
	size = i2d_CMS_ContentInfo(cms, out);
	*out_size = size > 0 ? (size_t)size : 0;
	return size > 0;
}

bool kms_envelope(struct nitro_attest_bytes public_key, const uint8_t *plain,
		  size_t size, uint8_t **out, size_t *out_size)
{
	EVP_PKEY *key = public_key.data ? read_key(public_key) : NULL;
	X509 *x509 = key ? wrap_key(key) : NULL;
	BIO *bio = BIO_new_mem_buf(plain, (int)size);
	CMS_ContentInfo *cms = CMS_encrypt(NULL, NULL, EVP_aes_256_cbc(),
					   CMS_BINARY | CMS_PARTIAL);
	bool is_good =
		x509 && bio && cms && seal(cms, x509, bio, out, out_size);

	CMS_ContentInfo_free(cms);
	BIO_free(bio);
	X509_free(x509);
	EVP_PKEY_free(key);
	return is_good;
}
