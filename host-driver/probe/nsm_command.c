/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of a Nitro Secure Module's commands: what is asked and answered (NSM
 * API), what PCRs are and when they do not change any more, and what stands in
 * a document.  Whether its signature is good is the business of a verifier.
 */
#include <errno.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "host-driver/probe/nsm.h"

/* SHA384(48 zeroes, "nitro"), and SHA384(that, "probe"). */
static const uint8_t once[NSM_PCR_BYTES] = {
	0xbb, 0x8e, 0x0a, 0x43, 0xe1, 0x52, 0x47, 0x87, 0x8c, 0xb7, 0x37, 0xb8,
	0x51, 0x41, 0xa6, 0xc8, 0x83, 0x52, 0x19, 0x0e, 0x59, 0xa2, 0xad, 0x9c,
	0xef, 0x45, 0x91, 0x8f, 0x85, 0xe3, 0xa8, 0x84, 0xe2, 0x77, 0x36, 0x51,
	0x6c, 0xf4, 0x53, 0x7a, 0xfc, 0x2b, 0x1b, 0xf3, 0x22, 0x7b, 0xe9, 0xa2,
};
static const uint8_t twice[NSM_PCR_BYTES] = {
	0xe0, 0xc0, 0x47, 0x18, 0x80, 0xbb, 0x55, 0x9c, 0xfc, 0x36, 0x72, 0x65,
	0x5f, 0x59, 0x50, 0x14, 0x2a, 0xb6, 0xa7, 0xc1, 0x66, 0xd0, 0x65, 0xe5,
	0xf0, 0x73, 0xd8, 0xf1, 0x4f, 0x2a, 0x50, 0x3f, 0xa3, 0x0a, 0x3b, 0xcf,
	0x20, 0xb5, 0xb6, 0x35, 0x4f, 0x38, 0x3a, 0x56, 0x9f, 0xab, 0xa7, 0x5a,
};

static const char *const member_names[] = { "version_major", "version_minor",
					    "version_patch" };

/* --- Commands ------------------------------------------------------------- */

static enum probe_verdict describe(struct probe *p, struct cbor *body)
{
	return nsm_want_body(p, nsm_ask_bare(p, "DescribeNSM"), "DescribeNSM",
			     body);
}

enum probe_verdict probe_nsm_command_describe(struct probe *p)
{
	struct cbor body, item;

	NSM_TRY(describe(p, &body));
	for (size_t i = 0; i < RT_COUNT(member_names); i++)
		if (!cbor_find(&body, member_names[i], CBOR_UINT, &item))
			return probe_broken(p, "no %s", member_names[i]);
	if (!cbor_find(&body, "module_id", CBOR_TEXT, &item) || !item.value)
		return probe_broken(p, "no module_id");
	if (!cbor_find(&body, "max_pcrs", CBOR_UINT, &item) ||
	    item.value != NSM_PCRS)
		return probe_broken(p, "max_pcrs is not %u", NSM_PCRS);
	if (!cbor_find(&body, "digest", CBOR_TEXT, &item) ||
	    !cbor_is_text(&item, "SHA384"))
		return probe_broken(p, "digest is not SHA384");
	return PROBE_HOLDS;
}

static enum probe_verdict get_random(struct probe *p, struct cbor *random)
{
	struct cbor body;

	NSM_TRY(nsm_want_body(p, nsm_ask_bare(p, "GetRandom"), "GetRandom",
			      &body));
	return cbor_find(&body, "random", CBOR_BYTES, random) && random->value
		       ? PROBE_HOLDS
		       : probe_broken(p, "no random bytes");
}

enum probe_verdict probe_nsm_command_random(struct probe *p)
{
	uint8_t before[32] = { 0 };
	struct cbor random;

	for (int i = 0; i < 3; i++) {
		NSM_TRY(get_random(p, &random));
		if (random.value < sizeof before)
			return probe_broken(p, "%u random bytes",
					    (unsigned int)random.value);
		if (!memcmp(before, random.inner, sizeof before))
			return probe_broken(p, "they come again");
		memcpy(before, random.inner, sizeof before);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_nsm_command_canonical(struct probe *p)
{
	static const char *const commands[] = { "DescribeNSM", "GetRandom",
						"Attestation", "Nonsense" };

	for (size_t i = 0; i < RT_COUNT(commands); i++) {
		int rc = nsm_ask_bare(p, commands[i]);

		if (rc)
			return probe_failed(p, rc, commands[i]);
		if (!cbor_is_canonical(p->nsm_answer,
				       p->nsm_answer + p->nsm_size))
			return probe_broken(p, "that of %s is not",
					    commands[i]);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_nsm_command_unknown(struct probe *p)
{
	return nsm_want_error(p, nsm_ask_bare(p, "Nonsense"),
			      "InvalidOperation");
}

enum probe_verdict probe_nsm_command_garbage(struct probe *p)
{
	static const struct cbor_out requests[] = {
		{ 1, { 0xff } },
		{ 1, { 0x00 } },
		{ 4, { 0x69, 'G', 'e', 't' } },
		{ 9, { 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
		{ 9, { 0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
	};

	for (size_t i = 0; i < RT_COUNT(requests); i++)
		NSM_TRY(nsm_want_error(p, nsm_ask(p, &requests[i]), NULL));
	return PROBE_HOLDS;
}

enum probe_verdict probe_nsm_command_argument(struct probe *p)
{
	static const char *const commands[] = { "DescribePCR", "ExtendPCR",
						"LockPCR", "LockPCRs" };

	for (size_t i = 0; i < RT_COUNT(commands); i++)
		NSM_TRY(nsm_want_error(p, nsm_ask_bare(p, commands[i]), NULL));
	return PROBE_HOLDS;
}

/* {"DescribePCR": {"index": 4}}, the number as wide as it is told. */
static int ask_wide(struct probe *p, const uint8_t *number, size_t size)
{
	struct cbor_out request = { 0 };

	cbor_put(&request, CBOR_MAP, 1);
	cbor_put_text(&request, "DescribePCR");
	cbor_put(&request, CBOR_MAP, 1);
	cbor_put_text(&request, "index");
	memcpy(request.bytes + request.size, number, size);
	request.size += size;
	return nsm_ask(p, &request);
}

enum probe_verdict probe_nsm_command_width(struct probe *p)
{
	struct cbor body;

	NSM_TRY(nsm_want_body(p, ask_wide(p, (const uint8_t[]){ 0x04 }, 1),
			      "DescribePCR", &body));
	return nsm_want_body(p, ask_wide(p, (const uint8_t[]){ 0x18, 0x04 }, 2),
			     "DescribePCR", &body);
}

/* A request of a byte more than a driver sends, in the spare memory. */
enum probe_verdict probe_nsm_command_too_large(struct probe *p)
{
	uint32_t id, length;
	int rc;

	nsm_put_pair(p);
	memset(nsm_at(p, HOST_NSM_SPARE), 0, NSM_REQUEST_BYTES + 1);
	memcpy(nsm_at(p, HOST_NSM_SPARE), nsm_at(p, HOST_NSM_REQUEST), 12);
	host_nsm_put_desc(p->nsm, 0, nsm_iova(p, HOST_NSM_SPARE),
			  NSM_REQUEST_BYTES + 1, 0, 0);
	host_nsm_offer(p->nsm, 0);
	host_nsm_offer(p->nsm, 1);
	rc = host_nsm_notify(p->nsm);
	if (!rc)
		rc = host_nsm_await(p->nsm, 2);
	if (rc)
		return probe_failed(p, rc, "an answer");
	host_nsm_take(p->nsm, &id, &length);
	host_nsm_take(p->nsm, &id, &length);
	if (length > NSM_RESPONSE_BYTES)
		return probe_broken(p, "%u bytes are used", length);
	memcpy(p->nsm_answer, nsm_at(p, HOST_NSM_RESPONSE), length);
	p->nsm_size = length;
	return nsm_want_error(p, 0, "InputTooLarge");
}

/* --- PCRs ----------------------------------------------------------------- */

enum probe_verdict probe_nsm_pcr_boot(struct probe *p)
{
	struct nsm_pcr pcr;

	for (unsigned int i = 0; i < NSM_BOOT_PCRS; i++) {
		NSM_TRY(nsm_pcr_get(p, i, &pcr));
		if (!pcr.is_locked)
			return probe_broken(p, "PCR %u is not", i);
		NSM_TRY(nsm_want_error(
			p, nsm_ask_number(p, "ExtendPCR", "index", i, "x"),
			"ReadOnlyIndex"));
		NSM_TRY(nsm_want_error(
			p, nsm_ask_number(p, "LockPCR", "index", i, NULL),
			"ReadOnlyIndex"));
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_nsm_pcr_range(struct probe *p)
{
	static const uint64_t indexes[] = { NSM_PCRS, 255, 65535 };

	for (size_t i = 0; i < RT_COUNT(indexes); i++) {
		NSM_TRY(nsm_want_error(p,
				       nsm_ask_number(p, "DescribePCR", "index",
						      indexes[i], NULL),
				       "InvalidIndex"));
		NSM_TRY(nsm_want_error(p,
				       nsm_ask_number(p, "ExtendPCR", "index",
						      indexes[i], "x"),
				       "InvalidIndex"));
		NSM_TRY(nsm_want_error(
			p,
			nsm_ask_number(p, "LockPCR", "index", indexes[i], NULL),
			"InvalidIndex"));
		NSM_TRY(nsm_want_error(p,
				       nsm_ask_number(p, "LockPCRs", "range",
						      indexes[i] + 1, NULL),
				       "InvalidIndex"));
	}
	return PROBE_HOLDS;
}

/* The locked ones of DescribeNSM, as a set; false: what it says is not so. */
static bool take_locked(const struct cbor *body, uint32_t *out)
{
	const uint8_t *at;
	struct cbor list, number;

	*out = 0;
	if (!cbor_find(body, "locked_pcrs", CBOR_ARRAY, &list))
		return false;
	at = list.inner;
	for (uint64_t i = 0; i < list.value; i++) {
		if (!cbor_take(&at, list.end, &number) ||
		    number.major != CBOR_UINT || number.value >= NSM_PCRS)
			return false;
		*out |= UINT32_C(1) << number.value;
	}
	return true;
}

enum probe_verdict probe_nsm_pcr_locked_list(struct probe *p)
{
	struct nsm_pcr pcr;
	struct cbor body;
	uint32_t locked;

	NSM_TRY(describe(p, &body));
	if (!take_locked(&body, &locked))
		return probe_broken(p, "locked_pcrs is no list of them");
	for (unsigned int i = 0; i < NSM_PCRS; i++) {
		NSM_TRY(nsm_pcr_get(p, i, &pcr));
		if (pcr.is_locked != (locked >> i & 1))
			return probe_broken(p, "PCR %u is locked in one only",
					    i);
	}
	return PROBE_HOLDS;
}

/* ExtendPCR answers with the new value, and DescribePCR tells it. */
static enum probe_verdict extend(struct probe *p, unsigned int index,
				 const char *data,
				 const uint8_t wanted[NSM_PCR_BYTES])
{
	struct cbor body, value;
	struct nsm_pcr pcr;

	NSM_TRY(nsm_want_body(
		p, nsm_ask_number(p, "ExtendPCR", "index", index, data),
		"ExtendPCR", &body));
	if (!cbor_find(&body, "data", CBOR_BYTES, &value) ||
	    value.value != NSM_PCR_BYTES ||
	    memcmp(value.inner, wanted, NSM_PCR_BYTES))
		return probe_broken(p, "the answer is not the hash of both");
	NSM_TRY(nsm_pcr_get(p, index, &pcr));
	return memcmp(pcr.value, wanted, NSM_PCR_BYTES) == 0
		       ? PROBE_HOLDS
		       : probe_broken(p, "PCR %u is not what was answered",
				      index);
}

enum probe_verdict probe_nsm_pcr_extend(struct probe *p)
{
	unsigned int index;

	NSM_TRY(nsm_pcr_free(p, &index));
	NSM_TRY(extend(p, index, "nitro", once));
	return extend(p, index, "probe", twice);
}

/* It cannot be changed any more, and is what it was. */
static enum probe_verdict is_shut(struct probe *p, unsigned int index,
				  const uint8_t *wanted)
{
	struct nsm_pcr pcr;

	NSM_TRY(nsm_want_error(
		p, nsm_ask_number(p, "ExtendPCR", "index", index, "x"),
		"ReadOnlyIndex"));
	NSM_TRY(nsm_want_error(
		p, nsm_ask_number(p, "LockPCR", "index", index, NULL),
		"ReadOnlyIndex"));
	NSM_TRY(nsm_pcr_get(p, index, &pcr));
	if (!pcr.is_locked)
		return probe_broken(p, "PCR %u is not locked", index);
	return memcmp(pcr.value, wanted, NSM_PCR_BYTES) == 0
		       ? PROBE_HOLDS
		       : probe_broken(p, "PCR %u has changed", index);
}

static enum probe_verdict extend_and_lock(struct probe *p, unsigned int *index)
{
	NSM_TRY(nsm_pcr_free(p, index));
	NSM_TRY(extend(p, *index, "nitro", once));
	return nsm_want_done(
		p, nsm_ask_number(p, "LockPCR", "index", *index, NULL),
		"LockPCR");
}

enum probe_verdict probe_nsm_pcr_lock(struct probe *p)
{
	unsigned int index;

	NSM_TRY(extend_and_lock(p, &index));
	return is_shut(p, index, once);
}

enum probe_verdict probe_nsm_pcr_kept(struct probe *p)
{
	unsigned int index;
	int rc;

	NSM_TRY(extend_and_lock(p, &index));
	NSM_TRY(nsm_recovers(p));
	NSM_TRY(is_shut(p, index, once));
	rc = nsm_flr(p);
	if (rc == -EOPNOTSUPP)
		return PROBE_HOLDS;
	if (!rc)
		rc = nsm_again(p, &(struct host_nsm_options){ 0 }, true);
	return rc ? probe_failed(p, rc, "starting it again")
		  : is_shut(p, index, once);
}

enum probe_verdict probe_nsm_pcr_lock_range(struct probe *p)
{
	static const uint8_t zero[NSM_PCR_BYTES];
	struct nsm_pcr pcr;
	unsigned int index;

	NSM_TRY(nsm_pcr_free(p, &index));
	NSM_TRY(nsm_want_done(
		p, nsm_ask_number(p, "LockPCRs", "range", index + 1, NULL),
		"LockPCRs"));
	NSM_TRY(is_shut(p, index, zero));
	if (index + 1 == NSM_PCRS)
		return PROBE_HOLDS;
	NSM_TRY(nsm_pcr_get(p, index + 1, &pcr));
	return pcr.is_locked
		       ? probe_broken(p, "PCR %u is locked, too", index + 1)
		       : PROBE_HOLDS;
}

/* --- Documents ------------------------------------------------------------ */

struct fields {
	const char *user_data, *nonce, *public_key; /* NULL: none */
};

static void put_field(struct cbor_out *request, const char *name,
		      const char *value)
{
	cbor_put_text(request, name);
	if (value)
		cbor_put_bytes(request, value, strlen(value));
	else
		cbor_put(request, CBOR_SIMPLE, CBOR_NULL);
}

static int ask_document(struct probe *p, const struct fields *fields)
{
	struct cbor_out request = { 0 };

	cbor_put(&request, CBOR_MAP, 1);
	cbor_put_text(&request, "Attestation");
	cbor_put(&request, CBOR_MAP, 3);
	put_field(&request, "user_data", fields->user_data);
	put_field(&request, "nonce", fields->nonce);
	put_field(&request, "public_key", fields->public_key);
	return nsm_ask(p, &request);
}

/* COSE_Sign1 (RFC 9052, 4.2): protected, unprotected, payload, signature. */
#define PARTS 4u

static enum probe_verdict take_parts(struct probe *p,
				     const struct fields *fields,
				     struct cbor parts[static PARTS])
{
	struct cbor body, document, sign1;
	const uint8_t *at, *end;

	NSM_TRY(nsm_want_body(p, ask_document(p, fields), "Attestation",
			      &body));
	if (!cbor_find(&body, "document", CBOR_BYTES, &document))
		return probe_broken(p, "no document");
	at = document.inner;
	end = at + document.value;
	if (!cbor_take(&at, end, &sign1) || at != end ||
	    sign1.major != CBOR_ARRAY || sign1.value != PARTS)
		return probe_broken(p, "it is no array of four");
	at = sign1.inner;
	for (unsigned int i = 0; i < PARTS; i++)
		if (!cbor_take(&at, end, &parts[i]))
			return probe_broken(p, "it is no array of four");
	return PROBE_HOLDS;
}

enum probe_verdict probe_nsm_document_envelope(struct probe *p)
{
	/* {1: -35}: ES384. */
	static const uint8_t algorithm[] = { 0xa1, 0x01, 0x38, 0x22 };
	struct cbor parts[PARTS];

	NSM_TRY(take_parts(p, &(struct fields){ 0 }, parts));
	if (parts[0].major != CBOR_BYTES ||
	    parts[0].value != sizeof algorithm ||
	    memcmp(parts[0].inner, algorithm, sizeof algorithm))
		return probe_broken(p, "its algorithm is not ES384");
	if (parts[1].major != CBOR_MAP || parts[1].value)
		return probe_broken(p, "it has unprotected headers");
	return parts[3].major == CBOR_BYTES && parts[3].value == 96
		       ? PROBE_HOLDS
		       : probe_broken(p, "its signature is not of 96 bytes");
}

/* The map in the payload. */
static enum probe_verdict
take_payload(struct probe *p, const struct fields *fields, struct cbor *out)
{
	struct cbor parts[PARTS];
	const uint8_t *at;

	NSM_TRY(take_parts(p, fields, parts));
	at = parts[2].inner;
	return parts[2].major == CBOR_BYTES &&
			       cbor_take(&at, at + parts[2].value, out) &&
			       out->major == CBOR_MAP
		       ? PROBE_HOLDS
		       : probe_broken(p, "its payload is no map");
}

static bool is_certificate(const struct cbor *item)
{
	return item->major == CBOR_BYTES && item->value >= 1 &&
	       item->value <= 1024;
}

static bool is_bundle(const struct cbor *list)
{
	const uint8_t *at = list->inner;
	struct cbor item;

	for (uint64_t i = 0; i < list->value; i++)
		if (!cbor_take(&at, list->end, &item) || !is_certificate(&item))
			return false;
	return list->value;
}

enum probe_verdict probe_nsm_document_payload(struct probe *p)
{
	struct cbor payload, item;

	NSM_TRY(take_payload(p, &(struct fields){ 0 }, &payload));
	if (!cbor_find(&payload, "module_id", CBOR_TEXT, &item) || !item.value)
		return probe_broken(p, "no module_id");
	if (!cbor_find(&payload, "digest", CBOR_TEXT, &item) ||
	    !cbor_is_text(&item, "SHA384"))
		return probe_broken(p, "digest is not SHA384");
	if (!cbor_find(&payload, "timestamp", CBOR_UINT, &item) || !item.value)
		return probe_broken(p, "no timestamp");
	if (!cbor_find(&payload, "certificate", CBOR_BYTES, &item) ||
	    !is_certificate(&item))
		return probe_broken(p, "no certificate");
	if (!cbor_find(&payload, "cabundle", CBOR_ARRAY, &item) ||
	    !is_bundle(&item))
		return probe_broken(p, "no cabundle");
	return PROBE_HOLDS;
}

/* A field is what was asked for; NULL: null, or not there. */
static bool has_field(const struct cbor *payload, const char *name,
		      const char *wanted)
{
	struct cbor item;

	if (!wanted)
		return !cbor_find(payload, name, CBOR_BYTES, &item);
	return cbor_find(payload, name, CBOR_BYTES, &item) &&
	       item.value == strlen(wanted) &&
	       memcmp(item.inner, wanted, item.value) == 0;
}

enum probe_verdict probe_nsm_document_fields(struct probe *p)
{
	static const struct fields rows[] = {
		{ "who asks", "only once", "a key" },
		{ NULL, "only once", NULL },
		{ "who asks", NULL, NULL },
		{ NULL, NULL, NULL },
	};

	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		struct cbor payload;

		NSM_TRY(take_payload(p, &rows[i], &payload));
		if (!has_field(&payload, "user_data", rows[i].user_data))
			return probe_broken(p, "user_data is another");
		if (!has_field(&payload, "nonce", rows[i].nonce))
			return probe_broken(p, "nonce is another");
		if (!has_field(&payload, "public_key", rows[i].public_key))
			return probe_broken(p, "public_key is another");
	}
	return PROBE_HOLDS;
}

/* The registers first: an answer is in the place of the one before. */
enum probe_verdict probe_nsm_document_pcrs(struct probe *p)
{
	struct nsm_pcr pcrs[NSM_PCRS];
	struct cbor payload, map, value;

	for (unsigned int i = 0; i < NSM_PCRS; i++)
		NSM_TRY(nsm_pcr_get(p, i, &pcrs[i]));
	NSM_TRY(take_payload(p, &(struct fields){ 0 }, &payload));
	if (!cbor_find(&payload, "pcrs", CBOR_MAP, &map))
		return probe_broken(p, "no pcrs");
	for (unsigned int i = 0; i < NSM_PCRS; i++) {
		bool is_there = cbor_find_number(&map, i, &value);

		if (is_there != pcrs[i].is_locked)
			return probe_broken(p, "PCR %u is%s there", i,
					    is_there ? "" : " not");
		if (is_there &&
		    (value.value != NSM_PCR_BYTES ||
		     memcmp(value.inner, pcrs[i].value, NSM_PCR_BYTES) != 0))
			return probe_broken(p, "PCR %u is another", i);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_nsm_document_limit(struct probe *p)
{
	static char text[NSM_DATA_BYTES + 2];
	const struct fields rows[] = {
		{ text, NULL, NULL },
		{ NULL, text, NULL },
		{ NULL, NULL, text },
	};

	memset(text, 'x', NSM_DATA_BYTES + 1);
	for (size_t i = 0; i < RT_COUNT(rows); i++)
		NSM_TRY(nsm_want_error(p, ask_document(p, &rows[i]), NULL));
	return PROBE_HOLDS;
}
