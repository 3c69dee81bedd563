/* SPDX-License-Identifier: BSD-3-Clause */
#include "security-chip/derive.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <string.h>

int sec_derive(const void *secret, size_t size, const char *label, void *out,
	       size_t out_size)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	/* The library's parameters are not const, but it leaves them alone. */
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
			OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t) "SHA384", 0),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret, size),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
						  (void *)(uintptr_t)label,
						  strlen(label)),
		OSSL_PARAM_construct_end(),
	};
	int is_done =
		context && EVP_KDF_derive(context, out, out_size, params) > 0;

	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	return is_done ? 0 : -EIO;
}

/* ---- Keys ---- */

/* d = seed mod (n - 1) + 1. */
static int scalar_of(const EC_GROUP *group, const uint8_t *seed, BIGNUM *d)
{
	BN_CTX *context = BN_CTX_secure_new();
	BIGNUM *order = BN_dup(EC_GROUP_get0_order(group));
	int status = context && order && BN_sub_word(order, 1) &&
				     BN_bin2bn(seed, SEC_KEY_SEED_BYTES, d) &&
				     BN_mod(d, d, order, context) &&
				     BN_add_word(d, 1)
			     ? 0
			     : -EIO;

	BN_free(order);
	BN_CTX_free(context);
	return status;
}

static int key_of_params(OSSL_PARAM *params, EVP_PKEY **out)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	int status =
		context && params && EVP_PKEY_fromdata_init(context) > 0 &&
				EVP_PKEY_fromdata(context, out,
						  EVP_PKEY_KEYPAIR, params) > 0
			? 0
			: -EIO;

	EVP_PKEY_CTX_free(context);
	return status;
}

static int key_of_scalar(const EC_GROUP *group, const BIGNUM *d, EVP_PKEY **out)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EC_POINT *point = EC_POINT_new(group);
	OSSL_PARAM *params = NULL;
	uint8_t encoded[SEC_POINT_BYTES];
	int status = -EIO;

	if (build && point && EC_POINT_mul(group, point, d, NULL, NULL, NULL) &&
	    EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED,
			       encoded, sizeof encoded, NULL) &&
	    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME,
					    "P-384", 0) &&
	    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY,
					     encoded, sizeof encoded) &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, d)) {
		params = OSSL_PARAM_BLD_to_param(build);
		status = key_of_params(params, out);
	}
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	EC_POINT_free(point);
	return status;
}

int sec_key_of_seed(const uint8_t seed[SEC_KEY_SEED_BYTES], EVP_PKEY **out)
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_secp384r1);
	BIGNUM *d = BN_secure_new();
	int status = group && d && !scalar_of(group, seed, d)
			     ? key_of_scalar(group, d, out)
			     : -EIO;

	BN_clear_free(d);
	EC_GROUP_free(group);
	return status;
}

int sec_derive_key(const void *secret, size_t size, const char *label,
		   EVP_PKEY **out)
{
	uint8_t seed[SEC_KEY_SEED_BYTES];
	int status = sec_derive(secret, size, label, seed, sizeof seed);

	if (!status)
		status = sec_key_of_seed(seed, out);
	OPENSSL_cleanse(seed, sizeof seed);
	return status;
}

int sec_key_point(EVP_PKEY *key, uint8_t out[SEC_POINT_BYTES])
{
	size_t size = 0;

	return EVP_PKEY_set_utf8_string_param(
		       key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
		       OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED) &&
			       EVP_PKEY_get_octet_string_param(
				       key, OSSL_PKEY_PARAM_PUB_KEY, out,
				       SEC_POINT_BYTES, &size) &&
			       size == SEC_POINT_BYTES
		       ? 0
		       : -EIO;
}
