/* SPDX-License-Identifier: BSD-3-Clause */
/* The document's own signature: RFC 9052 4.4, RFC 9053 2.1, FIPS 186-5 6.4. */
#include <cbor.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>

#include "security-chip/attest/abi.h"
#include "security-chip/verify/state.h"

/* ["Signature1", …: an array of four, a text of ten, its letters. */
static const uint8_t context[] = { 0x84, 0x6a, 'S', 'i', 'g', 'n',
				   'a',  't',  'u', 'r', 'e', '1' };

static bool update_bytes(EVP_MD_CTX *md, struct nitro_attest_bytes bytes)
{
	unsigned char head[9];
	size_t size =
		cbor_encode_bytestring_start(bytes.size, head, sizeof head);

	return EVP_DigestVerifyUpdate(md, head, size) > 0 &&
	       EVP_DigestVerifyUpdate(md, bytes.data, bytes.size) > 0;
}

/* 1: this key has signed it.  0: it has not.  -1: the library failed. */
static int is_signed_by(const struct verification *v, EVP_PKEY *key,
			const uint8_t *der, size_t size)
{
	static const uint8_t nothing[1];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int result = -1;

	if (md && EVP_DigestVerifyInit(md, NULL, EVP_sha384(), NULL, key) > 0 &&
	    EVP_DigestVerifyUpdate(md, context, sizeof context) > 0 &&
	    update_bytes(md, v->document.protected_header) &&
	    update_bytes(md, (struct nitro_attest_bytes){ nothing, 0 }) &&
	    update_bytes(md, v->document.payload))
		result = EVP_DigestVerifyFinal(md, der, size) == 1;
	EVP_MD_CTX_free(md);
	return result;
}

/* From 1 to the order less 1, or any careless formula may hold for it. */
static bool is_in_range(const BIGNUM *number)
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_secp384r1);
	bool is_good = group && !BN_is_zero(number) &&
		       BN_cmp(number, EC_GROUP_get0_order(group)) < 0;

	EC_GROUP_free(group);
	return is_good;
}

/* The two numbers, in the encoding that OpenSSL reads; *out is to be freed. */
static enum nitro_attest_result encode(const uint8_t *raw, unsigned char **out,
				       int *size)
{
	const int half = SEC_ES384_BYTES / 2;
	BIGNUM *r = BN_bin2bn(raw, half, NULL);
	BIGNUM *s = BN_bin2bn(raw + half, half, NULL);
	ECDSA_SIG *pair = ECDSA_SIG_new();
	enum nitro_attest_result result = NITRO_ATTEST_FAILED;

	if (r && s && pair && (!is_in_range(r) || !is_in_range(s)))
		result = NITRO_ATTEST_SIGNATURE_RANGE;
	else if (r && s && pair && ECDSA_SIG_set0(pair, r, s)) {
		r = s = NULL; /* they are the pair's now */
		*size = i2d_ECDSA_SIG(pair, out);
		result = *size > 0 ? NITRO_ATTEST_GOOD : NITRO_ATTEST_FAILED;
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(pair);
	return result;
}

/* Not the leaf's key: is it another certificate's? */
static enum nitro_attest_result who_else(struct verification *v,
					 const uint8_t *der, size_t size)
{
	char who[40];

	for (size_t i = 0; i + 1 < v->count; i++)
		if (is_signed_by(v, X509_get0_pubkey(v->chain[i]), der, size) ==
		    1) {
			verify_detail(v, "%s has signed it",
				      verify_who(v, i, who, sizeof who));
			return NITRO_ATTEST_SIGNATURE_KEY;
		}
	return NITRO_ATTEST_SIGNATURE;
}

enum nitro_attest_result verify_signature(struct verification *v)
{
	unsigned char *der = NULL;
	int size = 0, is_signed;
	enum nitro_attest_result result =
		encode(v->document.signature.data, &der, &size);

	if (!result) {
		is_signed = is_signed_by(
			v, X509_get0_pubkey(v->chain[v->count - 1]), der,
			(size_t)size);
		if (is_signed < 0)
			result = NITRO_ATTEST_FAILED;
		else if (!is_signed)
			result = who_else(v, der, (size_t)size);
	}
	OPENSSL_free(der);
	return result;
}
