/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose manifest it is: ECDSA on P-384 with SHA-384 (FIPS 186-5 6). */
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "security-chip/boot/manifest.h"

#define HALF (SEC_SIGNATURE_BYTES / 2)

int sec_manifest_key_digest(const struct sec_manifest *manifest,
			    uint8_t out[SEC_DIGEST_BYTES])
{
	return sec_digest(manifest->owner_key, SEC_POINT_BYTES, out);
}

/* NULL: it is no point of the curve. */
static EVP_PKEY *make_key(const uint8_t point[SEC_POINT_BYTES])
{
	/* The library's parameters are not const, but it leaves them alone. */
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
						 (char *)(uintptr_t) "P-384",
						 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
						  (void *)(uintptr_t)point,
						  SEC_POINT_BYTES),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;

	if (context && EVP_PKEY_fromdata_init(context) > 0 &&
	    EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
		key = NULL;
	EVP_PKEY_CTX_free(context);
	return key;
}

/* As the library wants it: in DER.  The size; 0: it is none. */
static int to_der(const uint8_t signature[SEC_SIGNATURE_BYTES],
		  unsigned char **out)
{
	ECDSA_SIG *pair = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(signature, HALF, NULL);
	BIGNUM *s = BN_bin2bn(signature + HALF, HALF, NULL);
	int size;

	if (!pair || !r || !s || !ECDSA_SIG_set0(pair, r, s)) {
		BN_free(r);
		BN_free(s);
		ECDSA_SIG_free(pair);
		return 0;
	}
	size = i2d_ECDSA_SIG(pair, out);
	ECDSA_SIG_free(pair);
	return size > 0 ? size : 0;
}

int sec_manifest_verify(const struct sec_manifest *manifest)
{
	EVP_PKEY *key = make_key(manifest->owner_key);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char *der = NULL;
	int size = to_der(manifest->signature, &der);
	bool is_good = key && context && size &&
		       EVP_DigestVerifyInit(context, NULL, EVP_sha384(), NULL,
					    key) == 1 &&
		       EVP_DigestVerify(context, der, (size_t)size,
					manifest->to_be_signed,
					manifest->to_be_signed_size) == 1;

	OPENSSL_free(der);
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	return is_good ? 0 : -EBADMSG;
}
