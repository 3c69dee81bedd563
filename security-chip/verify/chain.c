/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The chain: RFC 5280 6.1, step by step, so that each failure has its own name,
 * and then OpenSSL's own opinion, for what we have not thought of.
 */
#include <openssl/asn1.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "security-chip/verify/state.h"

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

/* A path has no certificate twice: RFC 5280 6.1. */
static bool is_again(const struct verification *v, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (!X509_cmp(v->chain[i], v->chain[j]))
			return true;
	return false;
}

static enum nitro_attest_result check_link(struct verification *v, size_t i)
{
	X509 *issuer = v->chain[i - 1];

	if (is_again(v, i))
		return NITRO_ATTEST_ORDER;
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
	/*
	 * Those between it and the leaf.  RFC 5280 does not count self-issued
	 * ones; nobody needs one here, and so they count.
	 */
	long below = (long)(v->count - 2 - i);

	if (!(flags & EXFLAG_BCONS) || !(flags & EXFLAG_CA) ||
	    !(flags & EXFLAG_KUSAGE) ||
	    !(X509_get_key_usage(v->chain[i]) & KU_KEY_CERT_SIGN))
		return NITRO_ATTEST_AUTHORITY;
	return limit >= 0 && below > limit ? NITRO_ATTEST_PATH_LENGTH
					   : NITRO_ATTEST_GOOD;
}

/*
 * What AWS asks of the certificate that signs: no authority, no path length,
 * and a key usage, which has digitalSignature.  Purposes, if it has any, must
 * have all among them: documents have no purpose that has a number.
 */
static enum nitro_attest_result check_leaf(const struct verification *v)
{
	X509 *leaf = v->chain[v->count - 1];
	uint32_t flags = X509_get_extension_flags(leaf);
	bool is_authority = (flags & EXFLAG_CA) || X509_get_pathlen(leaf) != -1;
	bool may_sign = (flags & EXFLAG_KUSAGE) &&
			(X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE);
	bool is_for_others = (flags & EXFLAG_XKUSAGE) &&
			     !(X509_get_extended_key_usage(leaf) & XKU_ANYEKU);

	return is_authority || !may_sign || is_for_others ? NITRO_ATTEST_LEAF
							  : NITRO_ATTEST_GOOD;
}

/*
 * What is critical must be understood (RFC 5280 4.2): of what the library
 * knows, it looks at policies only when told to, and at purposes not at all.
 */
static bool is_understood(X509_EXTENSION *extension)
{
	switch (OBJ_obj2nid(X509_EXTENSION_get_object(extension))) {
	case NID_basic_constraints:
	case NID_key_usage:
	case NID_ext_key_usage:
	case NID_name_constraints:
		return true;
	default:
		return !X509_EXTENSION_get_critical(extension);
	}
}

static enum nitro_attest_result check_critical(struct verification *v, size_t i)
{
	for (int n = 0; n < X509_get_ext_count(v->chain[i]); n++)
		if (!is_understood(X509_get_ext(v->chain[i], n)))
			return NITRO_ATTEST_CHAIN;
	return NITRO_ATTEST_GOOD;
}

/* Broken extensions, names that are excluded … */
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
	for (i = 0; i < v->count && !result; i++) {
		*at = i;
		result = check_critical(v, i);
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
	/* Both ends are within (RFC 5280 4.1.2.5); to compare equal is below.
	 */
	time_t before = at - 1;
	const ASN1_TIME *from, *to;

	for (size_t i = 0; i < v->count; i++) {
		from = X509_get0_notBefore(v->chain[i]);
		to = X509_get0_notAfter(v->chain[i]);
		/* 0 is a time that cannot be read: it holds for nothing. */
		if (X509_cmp_time(to, &before) <= 0) {
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
