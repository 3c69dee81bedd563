/* SPDX-License-Identifier: BSD-3-Clause */
/* Base64 in JSON, over OpenSSL, which is laxer than we are. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "security-chip/verify/kms/kms.h"

json_t *kms_base64(const uint8_t *bytes, size_t size)
{
	unsigned char *text = malloc((size + 2) / 3 * 4 + 1);
	json_t *json = NULL;

	if (text) {
		EVP_EncodeBlock(text, bytes, (int)size);
		json = json_string((const char *)text);
		OPENSSL_cleanse(text, strlen((const char *)text));
	}
	free(text);
	return json;
}

static bool is_base64(const char *text, size_t length, size_t *padding)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t used = strspn(text, letters);

	*padding = length - used;
	return length % 4 == 0 && *padding <= 2 &&
	       strspn(text + used, "=") == *padding;
}

bool kms_base64_decode(const json_t *text, uint8_t *out, size_t room,
		       size_t *size)
{
	const char *letters = json_string_value(text);
	size_t length = json_string_length(text), padding;
	unsigned char *bytes;
	int decoded;

	if (!letters || !is_base64(letters, length, &padding) ||
	    length / 4 * 3 - padding > room)
		return false;
	/* The library writes the padding, too. */
	bytes = malloc(length / 4 * 3 + 1);
	if (!bytes)
		return false;
	decoded = EVP_DecodeBlock(bytes, (const unsigned char *)letters,
				  (int)length);
	if (decoded >= 0) {
		*size = (size_t)decoded - padding;
		memcpy(out, bytes, *size);
	}
	OPENSSL_cleanse(bytes, length / 4 * 3);
	free(bytes);
	return decoded >= 0;
}
