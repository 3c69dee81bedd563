/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The certificates: RFC 5280 6.1, step by step, so that each failure has its
 * own name, and then OpenSSL's own opinion, for what we have not thought of.
 */
#include <openssl/asn1.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "security-chip/verify/state.h"

static X509 *read_der(struct nitro_attest_bytes der)
{
	const unsigned char *at = der.data;
	X509 *x509 = d2i_X509(NULL, &at, (long)der.size);

	if (x509 && at != der.data + der.size) {
		X509_free(x509);
		return NULL;
	}
	return x509;
}

static X509 *read_pem(struct nitro_attest_bytes pem)
{
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
	X509 *x509 = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	return x509;
}

static bool is_p384(X509 *x509)
{
	const EVP_PKEY *key = X509_get0_pubkey(x509);
	char group[32];
	size_t length;

	return key && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
	       EVP_PKEY_get_group_name(key, group, sizeof group, &length) > 0 &&
	       OBJ_sn2nid(group) == NID_secp384r1;
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

/* Whose issuer is not above it: misplaced, or not there at all? */
static enum nitro_attest_result why_unlinked(const struct verification *v,
					     size_t i)
{
	const X509_NAME *issuer = X509_get_issuer_name(v->chain[i]);

	for (size_t j = 0; j < v->count; j++)
		if (!X509_NAME_cmp(issuer, X509_get_subject_name(v->chain[j])))
			return NITRO_ATTEST_ORDER;
	return NITRO_ATTEST_ISSUER_MISSING;
}

static enum nitro_attest_result check_link(struct verification *v, size_t i)
{
	X509 *issuer = v->chain[i - 1];

	if (X509_NAME_cmp(X509_get_issuer_name(v->chain[i]),
			  X509_get_subject_name(issuer)) != 0)
		return why_unlinked(v, i);
	return X509_verify(v->chain[i], X509_get0_pubkey(issuer)) == 1
		       ? NITRO_ATTEST_GOOD
		       : NITRO_ATTEST_CHAIN_SIGNATURE;
}

static enum nitro_attest_result check_authority(struct verification *v,
						size_t i)
{
	uint32_t flags = X509_get_extension_flags(v->chain[i]);
	long limit = X509_get_pathlen(v->chain[i]);
	/* Those between it and the leaf; all but self-issued ones count. */
	long below = (long)(v->count - 2 - i);

	if (!(flags & EXFLAG_BCONS) || !(flags & EXFLAG_CA) ||
	    !(flags & EXFLAG_KUSAGE) ||
	    !(X509_get_key_usage(v->chain[i]) & KU_KEY_CERT_SIGN))
		return NITRO_ATTEST_AUTHORITY;
	return limit >= 0 && below > limit ? NITRO_ATTEST_PATH_LENGTH
					   : NITRO_ATTEST_GOOD;
}

static enum nitro_attest_result check_leaf(const struct verification *v)
{
	X509 *leaf = v->chain[v->count - 1];
	uint32_t flags = X509_get_extension_flags(leaf);

	/* Without an extension for it, any use is meant. */
	return (flags & EXFLAG_CA) || !(X509_get_key_usage(leaf) &
					KU_DIGITAL_SIGNATURE)
		       ? NITRO_ATTEST_LEAF
		       : NITRO_ATTEST_GOOD;
}

/* Unknown critical extensions, broken ones, names that are excluded … */
static enum nitro_attest_result ask_library(struct verification *v,
					    X509_STORE *store,
					    X509_STORE_CTX *context,
					    STACK_OF(X509) * between)
{
	if (!store || !context || !between ||
	    !X509_STORE_add_cert(store, v->chain[0]))
		return NITRO_ATTEST_FAILED;
	for (size_t i = 1; i + 1 < v->count; i++)
		if (!sk_X509_push(between, v->chain[i]))
			return NITRO_ATTEST_FAILED;
	if (!X509_STORE_CTX_init(context, store, v->chain[v->count - 1],
				 between))
		return NITRO_ATTEST_FAILED;
	/* Time has a check of its own. */
	X509_STORE_CTX_set_flags(context, X509_V_FLAG_NO_CHECK_TIME);
	if (X509_verify_cert(context) == 1)
		return NITRO_ATTEST_GOOD;
	verify_detail(v, "%s",
		      X509_verify_cert_error_string(
			      X509_STORE_CTX_get_error(context)));
	return NITRO_ATTEST_CHAIN;
}

static enum nitro_attest_result check_with_library(struct verification *v)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	STACK_OF(X509) *between = sk_X509_new_null();
	enum nitro_attest_result result =
		ask_library(v, store, context, between);

	sk_X509_free(between);
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	return result;
}

static enum nitro_attest_result walk_chain(struct verification *v, size_t *at)
{
	enum nitro_attest_result result = NITRO_ATTEST_GOOD;
	size_t i;

	/* Names first: a length means nothing in a chain that is none. */
	for (i = 1; i < v->count && !result; i++) {
		*at = i;
		result = check_link(v, i);
	}
	for (i = 0; i + 1 < v->count && !result; i++) {
		*at = i;
		result = check_authority(v, i);
	}
	if (result)
		return result;
	*at = v->count - 1;
	return check_leaf(v);
}

enum nitro_attest_result verify_chain(struct verification *v)
{
	size_t at = 0;
	enum nitro_attest_result result = walk_chain(v, &at);
	char who[40];

	if (result) {
		verify_detail(v, "%s", verify_who(v, at, who, sizeof who));
		return result;
	}
	return check_with_library(v);
}

static void tell_end(struct verification *v, size_t i, const char *verb,
		     const ASN1_TIME *end)
{
	char who[40], text[32] = "?";
	struct tm tm;

	if (ASN1_TIME_to_tm(end, &tm))
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	verify_detail(v, "%s %s %s", verify_who(v, i, who, sizeof who), verb,
		      text);
}

enum nitro_attest_result verify_validity(struct verification *v)
{
	time_t at = v->wanted->time_s ? (time_t)v->wanted->time_s : time(NULL);
	const ASN1_TIME *from, *to;

	for (size_t i = 0; i < v->count; i++) {
		from = X509_get0_notBefore(v->chain[i]);
		to = X509_get0_notAfter(v->chain[i]);
		/* 0 is a time that cannot be read: it holds for nothing. */
		if (X509_cmp_time(to, &at) <= 0) {
			tell_end(v, i, "ended", to);
			return NITRO_ATTEST_EXPIRED;
		}
		if (X509_cmp_time(from, &at) >= 0) {
			tell_end(v, i, "begins", from);
			return NITRO_ATTEST_NOT_YET_VALID;
		}
	}
	tell_end(v, v->count - 1, "ends",
		 X509_get0_notAfter(v->chain[v->count - 1]));
	return NITRO_ATTEST_GOOD;
}
