/* SPDX-License-Identifier: BSD-3-Clause */
#include "security-chip/boot/dice.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

#define SCALAR_BYTES 56 /* of P-384, and 64 bits more */

int sec_dice_cdi(const uint8_t uds[48],
		 uint8_t registers[SEC_REGISTERS][SEC_DIGEST_BYTES],
		 uint8_t out[SEC_CDI_BYTES])
{
	uint8_t digest[SEC_DIGEST_BYTES];
	int status;

	/* Of the first stage's registers; they are the first three. */
	status = sec_digest(
		registers, (SEC_REGISTER_CONFIG + 1) * (size_t)SEC_DIGEST_BYTES,
		digest);
	if (!status &&
	    !HMAC(EVP_sha384(), uds, 48, digest, sizeof digest, out, NULL))
		status = -EIO;
	return status;
}

int sec_dice_secret(const uint8_t cdi[SEC_CDI_BYTES], const char *label,
		    void *out, size_t size)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	/* The library's parameters are not const, but it leaves them alone. */
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
			OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t) "SHA384", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
						  (void *)(uintptr_t)cdi,
						  SEC_CDI_BYTES),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
						  (void *)(uintptr_t)label,
						  strlen(label)),
		OSSL_PARAM_construct_end(),
	};
	bool is_done =
		context && EVP_KDF_derive(context, out, size, params) > 0;

	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	return is_done ? 0 : -EIO;
}

/* scalar = (bits mod (n - 1)) + 1, and its point. */
static bool to_point(const uint8_t bits[SCALAR_BYTES],
		     uint8_t out[SEC_POINT_BYTES])
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_secp384r1);
	BIGNUM *scalar = BN_secure_new(), *limit = BN_new();
	BN_CTX *context = BN_CTX_secure_new();
	EC_POINT *point = group ? EC_POINT_new(group) : NULL;
	bool is_done =
		point && scalar && limit && context &&
		BN_bin2bn(bits, SCALAR_BYTES, scalar) &&
		EC_GROUP_get_order(group, limit, context) &&
		BN_sub_word(limit, 1) &&
		BN_mod(scalar, scalar, limit, context) &&
		BN_add_word(scalar, 1) &&
		EC_POINT_mul(group, point, scalar, NULL, NULL, context) &&
		EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED,
				   out, SEC_POINT_BYTES,
				   context) == SEC_POINT_BYTES;

	EC_POINT_free(point);
	BN_CTX_free(context);
	BN_free(limit);
	BN_clear_free(scalar);
	EC_GROUP_free(group);
	return is_done;
}

int sec_dice_identity(const uint8_t cdi[SEC_CDI_BYTES],
		      uint8_t out[SEC_POINT_BYTES])
{
	uint8_t bits[SCALAR_BYTES];
	int status = sec_dice_secret(cdi, "identity", bits, sizeof bits);

	if (!status && !to_point(bits, out))
		status = -EIO;
	OPENSSL_cleanse(bits, sizeof bits);
	return status;
}
