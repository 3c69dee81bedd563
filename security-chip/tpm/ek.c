/* SPDX-License-Identifier: BSD-3-Clause */
/* Endorsement keys: two primary keys of templates that the TCG has written. */
#include "security-chip/tpm/ek.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include <string.h>

#include "security-chip/tpm/command.h"
#include "security-chip/tpm/engine.h"

#define RSA_BYTES        256u
#define EC_BYTES         48u
#define DEFAULT_EXPONENT 65537u
/*
 * fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted,
 * decrypt; templates H have userWithAuth too (part 2, 8.3).
 */
#define ATTRIBUTES_L     0x000300b2u
#define ATTRIBUTES_H     0x000300f2u

/* PolicySecret(TPM_RH_ENDORSEMENT): PolicyA of SHA-256, PolicyB of SHA-384. */
static const uint8_t policy_a[32] = {
	0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc,
	0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52,
	0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
};
static const uint8_t policy_b[48] = {
	0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc,
	0xf5, 0xfd, 0x3a, 0x1a, 0x07, 0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4,
	0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca, 0xcb, 0x47, 0xba, 0x09,
	0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12,
};

static void put_numbers(struct sec_tpm_writer *w, const uint16_t *numbers,
			size_t count)
{
	for (size_t i = 0; i < count; i++)
		sec_tpm_put_number(w, 2, numbers[i]);
}

static void put_rsa(struct sec_tpm_writer *w)
{
	/* Symmetric cipher, its bits and mode; scheme; the key's bits. */
	static const uint16_t parameters[] = { TPM_ALG_AES, 128, TPM_ALG_CFB,
					       TPM_ALG_NULL, 2048 };
	static const uint8_t zeros[RSA_BYTES];

	sec_tpm_put_number(w, 2, TPM_ALG_RSA);
	sec_tpm_put_number(w, 2, TPM_ALG_SHA256);
	sec_tpm_put_number(w, 4, ATTRIBUTES_L);
	sec_tpm_put_sized(w, policy_a, sizeof policy_a);
	put_numbers(w, parameters, sizeof parameters / sizeof parameters[0]);
	sec_tpm_put_number(w, 4, 0); /* the exponent: the default one */
	sec_tpm_put_sized(w, zeros, sizeof zeros);
}

static void put_ecc(struct sec_tpm_writer *w)
{
	/* The same, scheme, curve, key derivation; two empty coordinates. */
	static const uint16_t parameters[] = {
		TPM_ALG_AES,       256,          TPM_ALG_CFB, TPM_ALG_NULL,
		TPM_ECC_NIST_P384, TPM_ALG_NULL, 0,           0
	};

	sec_tpm_put_number(w, 2, TPM_ALG_ECC);
	sec_tpm_put_number(w, 2, TPM_ALG_SHA384);
	sec_tpm_put_number(w, 4, ATTRIBUTES_H);
	sec_tpm_put_sized(w, policy_b, sizeof policy_b);
	put_numbers(w, parameters, sizeof parameters / sizeof parameters[0]);
}

/* TPM2_CreatePrimary (part 3, 24.1). */
static bool write_create(struct sec_tpm_writer *w, enum sec_tpm_ek_kind kind)
{
	uint8_t template[SEC_TPM_EK_BYTES];
	struct sec_tpm_writer public = { template, 0, sizeof template, false };

	if (kind == SEC_TPM_EK_RSA_2048)
		put_rsa(&public);
	else
		put_ecc(&public);
	sec_tpm_begin(w, TPM_ST_SESSIONS, TPM_CC_CREATE_PRIMARY,
		      TPM_RH_ENDORSEMENT);
	/* No password of its own, no data. */
	sec_tpm_put_sized(w, "\0\0\0", 4);
	sec_tpm_put_sized(w, template, public.used);
	sec_tpm_put_sized(w, NULL, 0); /* outsideInfo */
	sec_tpm_put_number(w, 4, 0);   /* creationPCR */
	return sec_tpm_end(w) && !public.is_full;
}

static void flush(uint32_t handle)
{
	uint8_t command[16], answer[SEC_TPM_MESSAGE_BYTES];
	struct sec_tpm_writer w = { command, 0, sizeof command, false };

	sec_tpm_begin(&w, TPM_ST_NO_SESSIONS, TPM_CC_FLUSH_CONTEXT, 0);
	sec_tpm_put_number(&w, 4, handle);
	sec_tpm_end(&w);
	sec_tpm_engine_run(0, command, w.used, answer);
}

static int make(enum sec_tpm_ek_kind kind, struct sec_tpm_ek *ek)
{
	uint8_t command[1024], answer[SEC_TPM_MESSAGE_BYTES];
	struct sec_tpm_writer w = { command, 0, sizeof command, false };
	struct sec_tpm_reader r = { .bytes = answer };
	const uint8_t *public;
	uint32_t handle;
	size_t size;

	if (!write_create(&w, kind))
		return -EIO;
	r.left = sec_tpm_engine_run(0, command, w.used, answer);
	if (sec_tpm_code_of(answer, r.left) != TPM_RC_SUCCESS)
		return -EIO;
	sec_tpm_get(&r, TPM_HEADER_BYTES);
	handle = (uint32_t)sec_tpm_get_number(&r, 4);
	sec_tpm_get_number(&r, 4); /* parameterSize */
	public = sec_tpm_get_sized(&r, &size);
	flush(handle);
	if (!public || size > sizeof ek->tpmt)
		return -EIO;
	memcpy(ek->tpmt, public, size);
	ek->size = (uint32_t)size;
	return 0;
}

int sec_tpm_ek_make(struct sec_tpm_ek eks[SEC_TPM_EKS])
{
	int status = 0;

	memset(eks, 0, SEC_TPM_EKS * sizeof *eks);
	for (int kind = 0; kind < SEC_TPM_EKS && !status; kind++)
		status = make((enum sec_tpm_ek_kind)kind, &eks[kind]);
	if (status)
		memset(eks, 0, SEC_TPM_EKS * sizeof *eks);
	return status;
}

/* What libcrypto makes keys of; the builder has copies of all. */
static OSSL_PARAM_BLD *begin_rsa(struct sec_tpm_reader *r, BIGNUM **modulus,
				 BIGNUM **exponent)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	const uint8_t *n;
	uint32_t e;
	size_t size;

	sec_tpm_get(r, 10); /* parameters up to the exponent */
	e = (uint32_t)sec_tpm_get_number(r, 4);
	n = sec_tpm_get_sized(r, &size);
	*modulus = n ? BN_bin2bn(n, (int)size, NULL) : NULL;
	*exponent = BN_new();
	if (builder && *modulus && *exponent &&
	    BN_set_word(*exponent, e ? e : DEFAULT_EXPONENT) &&
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, *modulus) &&
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, *exponent))
		return builder;
	OSSL_PARAM_BLD_free(builder);
	return NULL;
}

/* SEC 1, 2.3.3: an uncompressed point; coordinates may come shortened. */
static bool read_point(struct sec_tpm_reader *r,
		       uint8_t point[1 + 2 * EC_BYTES])
{
	const uint8_t *part;
	size_t size;

	memset(point, 0, 1 + 2 * EC_BYTES);
	point[0] = 4;
	sec_tpm_get(r, 12); /* parameters */
	for (unsigned int i = 1; i <= 2; i++) {
		part = sec_tpm_get_sized(r, &size);
		if (!part || size > EC_BYTES)
			return false;
		memcpy(point + 1 + i * EC_BYTES - size, part, size);
	}
	return true;
}

static OSSL_PARAM_BLD *begin_ecc(const uint8_t point[1 + 2 * EC_BYTES])
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();

	if (builder &&
	    OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME,
					    "secp384r1", 0) &&
	    OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY,
					     point, 1 + 2 * EC_BYTES))
		return builder;
	OSSL_PARAM_BLD_free(builder);
	return NULL;
}

static int encode(const char *type, OSSL_PARAM *parameters,
		  uint8_t out[SEC_TPM_EK_BYTES])
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;
	int size = -EIO;

	if (context && parameters && EVP_PKEY_fromdata_init(context) == 1 &&
	    EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) ==
		    1)
		size = i2d_PUBKEY(key, NULL);
	if (size > (int)SEC_TPM_EK_BYTES || size <= 0 ||
	    i2d_PUBKEY(key, &out) != size)
		size = -EIO;
	EVP_PKEY_free(key);
	EVP_PKEY_CTX_free(context);
	return size;
}

int sec_tpm_ek_to_der(const struct sec_tpm_ek *ek,
		      uint8_t out[SEC_TPM_EK_BYTES])
{
	struct sec_tpm_reader r = { ek->tpmt, ek->size, false };
	uint64_t type = sec_tpm_get_number(&r, 2);
	BIGNUM *modulus = NULL, *exponent = NULL;
	uint8_t point[1 + 2 * EC_BYTES];
	OSSL_PARAM_BLD *builder = NULL;
	OSSL_PARAM *parameters = NULL;
	size_t size;
	int status;

	sec_tpm_get(&r, 6); /* nameAlg, attributes */
	sec_tpm_get_sized(&r, &size);
	if (type == TPM_ALG_RSA)
		builder = begin_rsa(&r, &modulus, &exponent);
	else if (type == TPM_ALG_ECC && read_point(&r, point))
		builder = begin_ecc(point);
	if (builder)
		parameters = OSSL_PARAM_BLD_to_param(builder);
	status = builder ? encode(type == TPM_ALG_RSA ? "RSA" : "EC",
				  parameters, out)
			 : -EINVAL;
	OSSL_PARAM_free(parameters);
	OSSL_PARAM_BLD_free(builder);
	BN_free(modulus);
	BN_free(exponent);
	return status;
}

int sec_tpm_ek_to_base64(const struct sec_tpm_ek *ek, bool as_der,
			 char out[SEC_TPM_EK_TEXT])
{
	uint8_t der[SEC_TPM_EK_BYTES];
	int size = as_der ? sec_tpm_ek_to_der(ek, der) : (int)ek->size;

	if (size < 0)
		return size;
	EVP_EncodeBlock((uint8_t *)out, as_der ? der : ek->tpmt, size);
	return 0;
}
