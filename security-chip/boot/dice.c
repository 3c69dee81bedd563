/* SPDX-License-Identifier: BSD-3-Clause */
#include "security-chip/boot/dice.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

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

int sec_dice_identity(const uint8_t cdi[SEC_CDI_BYTES],
		      uint8_t out[SEC_POINT_BYTES])
{
	EVP_PKEY *key = NULL;
	int status = sec_derive_key(cdi, SEC_CDI_BYTES, "identity", &key);

	if (!status)
		status = sec_key_point(key, out);
	EVP_PKEY_free(key);
	return status;
}
