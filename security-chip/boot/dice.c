/* SPDX-License-Identifier: BSD-3-Clause */
#include "security-chip/boot/dice.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

int sec_dice_cdi(const uint8_t uds[SEC_UDS_BYTES],
		 uint8_t registers[SEC_REGISTERS][SEC_DIGEST_BYTES],
		 uint8_t out[SEC_CDI_BYTES])
{
	uint8_t digest[SEC_DIGEST_BYTES];
	int status;

	/* Of the first stage's registers; they are the first three. */
	status = sec_digest(
		registers, (SEC_REGISTER_CONFIG + 1) * (size_t)SEC_DIGEST_BYTES,
		digest);
	if (!status && !HMAC(EVP_sha384(), uds, SEC_UDS_BYTES, digest,
			     sizeof digest, out, NULL))
		status = -EIO;
	return status;
}

int sec_dice_device_key(const uint8_t uds[SEC_UDS_BYTES], EVP_PKEY **out)
{
	return sec_derive_key(uds, SEC_UDS_BYTES, "device key", out);
}

int sec_dice_alias_key(const uint8_t cdi[SEC_CDI_BYTES], EVP_PKEY **out)
{
	return sec_derive_key(cdi, SEC_CDI_BYTES, "alias key", out);
}
