/* SPDX-License-Identifier: BSD-3-Clause */
/* Each certificate by itself: its bytes, its key, and which one is the root. */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <string.h>

#include "security-chip/verify/state.h"

/*
 * Whether there is no other encoding of it (X.690 10): the library reads more
 * than it writes.  A copy, because what is written anew stays so.
 */
static bool is_der(const X509 *x509, struct nitro_attest_bytes der)
{
	X509 *copy = X509_dup(x509);
	unsigned char *again = NULL;
	int size = copy && i2d_re_X509_tbs(copy, NULL) > 0
			   ? i2d_X509(copy, &again)
			   : -1;
	bool is_same = size > 0 && (size_t)size == der.size &&
		       !memcmp(again, der.data, der.size);

	OPENSSL_free(again);
	X509_free(copy);
	return is_same;
}

/* RFC 5280 4.2: no extension is there twice. */
static bool has_extension_twice(const X509 *x509)
{
	X509_EXTENSION *extension;

	for (int i = 0; i < X509_get_ext_count(x509); i++) {
		extension = X509_get_ext(x509, i);
		if (X509_get_ext_by_OBJ(
			    x509, X509_EXTENSION_get_object(extension), i) >= 0)
			return true;
	}
	return false;
}

static X509 *read_der(struct nitro_attest_bytes der)
{
	const unsigned char *at = der.data;
	X509 *x509 = d2i_X509(NULL, &at, (long)der.size);

	if (x509 && (!is_der(x509, der) || has_extension_twice(x509))) {
		X509_free(x509);
		return NULL;
	}
	return x509;
}

/* A certificate is no secret: nobody is asked for a password. */
static int no_password(char *out, int room, int is_writing, void *opaque)
{
	(void)out;
	(void)room;
	(void)is_writing;
	(void)opaque;
	return -1;
}

static X509 *read_pem(struct nitro_attest_bytes pem)
{
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
	X509 *x509 =
		bio ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;

	BIO_free(bio);
	return x509;
}

/* A point of the curve, and not the one that verifies what nobody signed. */
static bool is_sound(EVP_PKEY *key)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
	bool is_good = context && EVP_PKEY_public_check_quick(context) == 1;

	EVP_PKEY_CTX_free(context);
	return is_good;
}

/* The curve by its name, not by numbers that somebody has chosen: RFC 5480. */
static bool is_p384(X509 *x509)
{
	EVP_PKEY *key = X509_get0_pubkey(x509);
	int is_by_numbers = 1;
	char group[32];
	size_t length;

	return key && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
	       EVP_PKEY_get_group_name(key, group, sizeof group, &length) > 0 &&
	       OBJ_sn2nid(group) == NID_secp384r1 &&
	       EVP_PKEY_get_int_param(
		       key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
		       &is_by_numbers) > 0 &&
	       !is_by_numbers && is_sound(key);
}

static enum nitro_attest_result read_one(struct verification *v, size_t i,
					 struct nitro_attest_bytes der)
{
	char who[40];

	v->chain[i] = read_der(der);
	verify_detail(v, "%s", verify_who(v, i, who, sizeof who));
	if (!v->chain[i])
		return NITRO_ATTEST_DER;
	if (!is_p384(v->chain[i]))
		return NITRO_ATTEST_KEY;
	if (X509_get_signature_nid(v->chain[i]) != NID_ecdsa_with_SHA384)
		return NITRO_ATTEST_CERTIFICATE_ALGORITHM;
	return NITRO_ATTEST_GOOD;
}

enum nitro_attest_result verify_certificates(struct verification *v)
{
	const struct nitro_attest_document *d = &v->document;
	enum nitro_attest_result result;

	v->count = d->cabundle_count + 1;
	for (size_t i = 0; i < v->count; i++) {
		result = read_one(v, i,
				  i < d->cabundle_count ? d->cabundle[i]
							: d->certificate);
		if (result)
			return result;
	}
	verify_detail(v, "%zu", v->count);
	return NITRO_ATTEST_GOOD;
}

void verify_release(struct verification *v)
{
	for (size_t i = 0; i < v->count; i++)
		X509_free(v->chain[i]);
	X509_free(v->root);
}

static void tell_name(struct verification *v, const X509_NAME *name)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long size;

	if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) > 0) {
		size = BIO_get_mem_data(bio, &text);
		verify_detail(v, "%.*s", (int)size, text);
	}
	BIO_free(bio);
}

enum nitro_attest_result verify_root(struct verification *v)
{
	struct nitro_attest_bytes root = v->wanted->root;

	if (!root.data || !root.size || root.size > 1 << 20)
		return NITRO_ATTEST_NO_ROOT;
	v->root = root.data[0] == 0x30 ? read_der(root) : read_pem(root);
	if (!v->root)
		return NITRO_ATTEST_NO_ROOT;
	tell_name(v, X509_get_subject_name(v->chain[0]));
	return X509_cmp(v->root, v->chain[0]) ? NITRO_ATTEST_ROOT
					      : NITRO_ATTEST_GOOD;
}
