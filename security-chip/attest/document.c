/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Documents in the measured shape: an untagged array, definite lengths,
 * shortest integers, fields in their order, null for what is not there.
 */
#include "security-chip/attest/document.h"

#include <cbor.h>
#include <errno.h>
#include <openssl/ecdsa.h>
#include <stdbool.h>
#include <string.h>

/* {1: -35}, as it is signed: RFC 9052 3. */
static const uint8_t protected_header[] = { 0xa1, 0x01, 0x38, 0x22 };

struct writer {
	uint8_t *out;
	size_t room, used;
	bool is_full;
};

/* What a libcbor encoder says it has written: 0 is no room. */
static void wrote(struct writer *w, size_t count)
{
	w->is_full = w->is_full || !count;
	w->used += count;
}

/* Heads of strings, arrays, maps and integers: shortest form. */
typedef size_t encoder(size_t value, unsigned char *out, size_t room);

static void put_head(struct writer *w, encoder *encode, size_t value)
{
	wrote(w, encode(value, w->out + w->used, w->room - w->used));
}

static void put_raw(struct writer *w, const void *bytes, size_t size)
{
	if (w->is_full || w->room - w->used < size) {
		w->is_full = true;
		return;
	}
	memcpy(w->out + w->used, bytes, size);
	w->used += size;
}

static void put_text(struct writer *w, const char *text)
{
	put_head(w, cbor_encode_string_start, strlen(text));
	put_raw(w, text, strlen(text));
}

static void put_bytes(struct writer *w, const void *bytes, size_t size)
{
	put_head(w, cbor_encode_bytestring_start, size);
	put_raw(w, bytes, size);
}

static void put_optional(struct writer *w, const char *name,
			 const uint8_t *bytes, size_t size)
{
	put_text(w, name);
	if (bytes)
		put_bytes(w, bytes, size);
	else
		wrote(w, cbor_encode_null(w->out + w->used, w->room - w->used));
}

static void put_pcrs(struct writer *w, const struct sec_pcrs *pcrs)
{
	put_head(w, cbor_encode_map_start,
		 (size_t)__builtin_popcount(pcrs->locked));
	for (unsigned int i = 0; i < SEC_PCR_COUNT; i++) {
		if (!(pcrs->locked >> i & 1))
			continue;
		put_head(w, cbor_encode_uint, i);
		put_bytes(w, pcrs->value[i], SEC_PCR_BYTES);
	}
}

/* From the root to the issuer of the leaf, but for what is to be wrong. */
static void put_bundle(struct writer *w, const struct sec_chain *chain,
		       unsigned int faults)
{
	static const enum sec_level right[] = { SEC_LEVEL_ROOT,
						SEC_LEVEL_REGIONAL,
						SEC_LEVEL_ZONAL,
						SEC_LEVEL_INSTANCE };
	static const enum sec_level swapped[] = { SEC_LEVEL_ROOT,
						  SEC_LEVEL_ZONAL,
						  SEC_LEVEL_REGIONAL,
						  SEC_LEVEL_INSTANCE };
	const enum sec_level *order =
		faults & SEC_ATTEST_BUNDLE_ORDER ? swapped : right;
	bool has_zonal = !(faults & SEC_ATTEST_MISSING_INTERMEDIATE);

	put_head(w, cbor_encode_array_start, has_zonal ? 4 : 3);
	for (size_t i = 0; i < 4; i++)
		if (has_zonal || order[i] != SEC_LEVEL_ZONAL)
			put_bytes(w, chain->level[order[i]].der,
				  chain->level[order[i]].size);
}

int sec_payload_write(const struct sec_chain *chain,
		      const struct sec_attest_request *request,
		      const struct sec_pcrs *pcrs, uint64_t timestamp_ms,
		      unsigned int faults, uint8_t *out, size_t room,
		      size_t *size)
{
	const struct sec_certificate *leaf = &chain->level[SEC_LEVEL_LEAF];
	struct writer writer = { .out = out, .room = room }, *w = &writer;

	put_head(w, cbor_encode_map_start, SEC_DOCUMENT_FIELDS);
	put_text(w, "module_id");
	put_text(w, chain->module_id);
	put_text(w, "digest");
	put_text(w, faults & SEC_ATTEST_DIGEST_NAME ? "SHA256"
						    : SEC_DOCUMENT_DIGEST);
	put_text(w, "timestamp");
	put_head(w, cbor_encode_uint, timestamp_ms);
	put_text(w, pcrs->is_tpm ? "nitrotpm_pcrs" : "pcrs");
	put_pcrs(w, pcrs);
	put_text(w, "certificate");
	put_bytes(w, leaf->der, leaf->size);
	put_text(w, "cabundle");
	put_bundle(w, chain, faults);
	put_optional(w, "public_key", request->public_key,
		     request->public_key_size);
	put_optional(w, "user_data", request->user_data,
		     request->user_data_size);
	put_optional(w, "nonce", request->nonce, request->nonce_size);
	*size = w->used;
	return w->is_full ? -EMSGSIZE : 0;
}

/* ECDSA's two numbers as COSE has them: RFC 9053 2.1. */
static int raw_signature(const uint8_t *der, size_t size,
			 uint8_t out[SEC_ES384_BYTES])
{
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)size);
	const int half = SEC_ES384_BYTES / 2;
	int status = pair &&
				     BN_bn2binpad(ECDSA_SIG_get0_r(pair), out,
						  half) == half &&
				     BN_bn2binpad(ECDSA_SIG_get0_s(pair),
						  out + half, half) == half
			     ? 0
			     : -EIO;

	ECDSA_SIG_free(pair);
	return status;
}

/* Sig_structure up to the payload's own bytes: RFC 9052 4.4. */
static size_t signed_head(size_t payload_size, uint8_t *out, size_t room)
{
	struct writer writer = { .out = out, .room = room }, *w = &writer;

	put_head(w, cbor_encode_array_start, 4);
	put_text(w, SEC_COSE_SIGN1_CONTEXT);
	put_bytes(w, protected_header, sizeof protected_header);
	put_head(w, cbor_encode_bytestring_start, 0);
	put_head(w, cbor_encode_bytestring_start, payload_size);
	return w->used;
}

static int sign(EVP_PKEY *key, const uint8_t *payload, size_t size,
		uint8_t out[SEC_ES384_BYTES])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t head[64], der[128];
	size_t head_size = signed_head(size, head, sizeof head);
	size_t der_size = sizeof der;
	int status = -EIO;

	if (context &&
	    EVP_DigestSignInit(context, NULL, EVP_sha384(), NULL, key) > 0 &&
	    EVP_DigestSignUpdate(context, head, head_size) > 0 &&
	    EVP_DigestSignUpdate(context, payload, size) > 0 &&
	    EVP_DigestSignFinal(context, der, &der_size) > 0)
		status = raw_signature(der, der_size, out);
	EVP_MD_CTX_free(context);
	return status;
}

int sec_signature_make(EVP_PKEY *key, const uint8_t *payload, size_t size,
		       unsigned int faults, uint8_t out[SEC_ES384_BYTES])
{
	if (!(faults & SEC_ATTEST_BAD_SIGNATURE))
		return sign(key, payload, size, out);
	memset(out, 0, SEC_ES384_BYTES);
	return 0;
}

int sec_envelope_write(const uint8_t *payload, size_t payload_size,
		       const uint8_t signature[SEC_ES384_BYTES],
		       unsigned int faults, uint8_t *out, size_t room,
		       size_t *size)
{
	struct writer writer = { .out = out, .room = room }, *w = &writer;

	put_head(w, cbor_encode_array_start, SEC_COSE_MEMBERS);
	put_bytes(w, protected_header, sizeof protected_header);
	put_head(w, cbor_encode_map_start, 0);
	put_bytes(w, payload, payload_size);
	put_bytes(w, signature, SEC_ES384_BYTES);
	if (w->is_full)
		return -EMSGSIZE;
	*size = w->used - (faults & SEC_ATTEST_TRUNCATED ? 16 : 0);
	return 0;
}
