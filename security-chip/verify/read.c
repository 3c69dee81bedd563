/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A document's form: the envelope (RFC 9052 4.2) and the nine fields, each of
 * its type and size (AWS), in any order.
 */
#include <stdio.h>
#include <string.h>

#include "security-chip/attest/abi.h"
#include "security-chip/verify/reader.h"

/* One field: reads its value, and notes in the reader what is wrong. */
struct field {
	const char *name;
	enum nitro_attest_result wrong;
	void (*read)(struct reader *r, const struct field *field,
		     struct nitro_attest_document *out);
	size_t low, high; /* bytes */
	size_t offset;    /* of its struct nitro_attest_bytes */
	unsigned int bit; /* of those that were seen */
	bool is_optional;
};

static struct nitro_attest_bytes *place(const struct field *field,
					struct nitro_attest_document *out)
{
	return (struct nitro_attest_bytes *)(void *)((char *)out +
						     field->offset);
}

static bool fits(const struct field *field, const struct item *item)
{
	return item->value >= field->low && item->value <= field->high;
}

static void read_bytes(struct reader *r, const struct field *field,
		       struct nitro_attest_document *out)
{
	struct item item;

	if (!reader_next(r, &item) ||
	    (field->is_optional && item.kind == ITEM_NULL))
		return;
	if (item.kind != ITEM_BYTES || !fits(field, &item))
		reader_fail(r, field->wrong);
	else
		*place(field, out) = item.bytes;
}

static void read_module_id(struct reader *r, const struct field *field,
			   struct nitro_attest_document *out)
{
	struct item item;

	if (!reader_expect(r, ITEM_TEXT, field->wrong, &item))
		return;
	for (size_t i = 0; i < item.bytes.size; i++)
		if (item.bytes.data[i] < 0x20 || item.bytes.data[i] > 0x7e)
			reader_fail(r, field->wrong);
	if (!fits(field, &item))
		reader_fail(r, field->wrong);
	out->module_id = item.bytes;
}

static void read_digest(struct reader *r, const struct field *field,
			struct nitro_attest_document *out)
{
	struct item item;

	(void)out;
	if (reader_expect(r, ITEM_TEXT, field->wrong, &item) &&
	    !item_is_text(&item, SEC_DOCUMENT_DIGEST))
		reader_fail(r, field->wrong);
}

static void read_timestamp(struct reader *r, const struct field *field,
			   struct nitro_attest_document *out)
{
	struct item item;

	if (!reader_expect(r, ITEM_UNSIGNED, field->wrong, &item))
		return;
	if (!item.value)
		reader_fail(r, field->wrong);
	out->timestamp_ms = item.value;
}

static bool read_pcr(struct reader *r, const struct field *field,
		     struct nitro_attest_document *out)
{
	struct item index, value;

	if (!reader_expect(r, ITEM_UNSIGNED, field->wrong, &index) ||
	    !reader_expect(r, ITEM_BYTES, field->wrong, &value))
		return false;
	if (index.value >= SEC_PCR_COUNT || out->pcr[index.value].data ||
	    (value.value != 32 && value.value != 48 && value.value != 64))
		return reader_fail(r, field->wrong);
	out->pcr[index.value] = value.bytes;
	return true;
}

static void read_pcrs(struct reader *r, const struct field *field,
		      struct nitro_attest_document *out)
{
	struct item map;

	if (!reader_expect(r, ITEM_MAP, field->wrong, &map))
		return;
	if (!map.value || map.value > SEC_PCR_COUNT)
		reader_fail(r, field->wrong);
	for (uint64_t i = 0; i < map.value && !r->error; i++)
		if (!read_pcr(r, field, out))
			return;
	out->is_tpm = strcmp(field->name, "pcrs") != 0;
}

static void read_bundle(struct reader *r, const struct field *field,
			struct nitro_attest_document *out)
{
	struct item array, item;

	if (!reader_expect(r, ITEM_ARRAY, field->wrong, &array))
		return;
	if (!array.value || array.value > NITRO_ATTEST_BUNDLE)
		reader_fail(r, field->wrong);
	for (uint64_t i = 0; i < array.value && !r->error; i++) {
		if (!reader_expect(r, ITEM_BYTES, field->wrong, &item))
			return;
		if (!fits(field, &item))
			reader_fail(r, field->wrong);
		else
			out->cabundle[out->cabundle_count++] = item.bytes;
	}
}

#define AT(member) offsetof(struct nitro_attest_document, member)

/* The two maps of registers are one bit: a document has one of them. */
static const struct field fields[] = {
	{ "module_id", NITRO_ATTEST_MODULE_ID, read_module_id, 1, 1024, 0, 0,
	  false },
	{ "digest", NITRO_ATTEST_DIGEST, read_digest, 0, 0, 0, 1, false },
	{ "timestamp", NITRO_ATTEST_TIMESTAMP, read_timestamp, 0, 0, 0, 2,
	  false },
	{ "pcrs", NITRO_ATTEST_PCR_MAP, read_pcrs, 0, 0, 0, 3, false },
	{ "nitrotpm_pcrs", NITRO_ATTEST_PCR_MAP, read_pcrs, 0, 0, 0, 3, false },
	{ "certificate", NITRO_ATTEST_CERTIFICATE, read_bytes, 1,
	  SEC_CERTIFICATE_BYTES, AT(certificate), 4, false },
	{ "cabundle", NITRO_ATTEST_CABUNDLE, read_bundle, 1,
	  SEC_CERTIFICATE_BYTES, 0, 5, false },
	{ "public_key", NITRO_ATTEST_PUBLIC_KEY, read_bytes, 1,
	  SEC_PUBLIC_KEY_BYTES, AT(public_key), 6, true },
	{ "user_data", NITRO_ATTEST_USER_DATA_SIZE, read_bytes, 0,
	  SEC_USER_DATA_BYTES, AT(user_data), 7, true },
	{ "nonce", NITRO_ATTEST_NONCE_SIZE, read_bytes, 0, SEC_NONCE_BYTES,
	  AT(nonce), 8, true },
};

#define FIELD_COUNT (sizeof fields / sizeof *fields)
#define MANDATORY   0x3fu

static const struct field *find_field(const struct item *name)
{
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (item_is_text(name, fields[i].name))
			return &fields[i];
	return NULL;
}

/* What is being read, for the detail. */
struct where {
	char *text;
	size_t room;
};

static void tell(struct where *where, const char *what)
{
	if (where->room)
		snprintf(where->text, where->room, "%s", what);
}

static void tell_missing(struct where *where, unsigned int seen)
{
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (!fields[i].is_optional && !(seen >> fields[i].bit & 1)) {
			tell(where, fields[i].name);
			return;
		}
}

static void read_fields(struct reader *r, struct nitro_attest_document *out,
			struct where *where)
{
	unsigned int seen = 0;
	const struct field *field;
	struct item map, name;

	tell(where, "the payload");
	if (!reader_expect(r, ITEM_MAP, NITRO_ATTEST_FIELDS, &map))
		return;
	for (uint64_t i = 0; i < map.value && reader_next(r, &name); i++) {
		field = find_field(&name);
		tell(where, field ? field->name : "an unknown field");
		if (!field || (seen >> field->bit & 1)) {
			reader_fail(r, NITRO_ATTEST_FIELDS);
			return;
		}
		seen |= 1u << field->bit;
		field->read(r, field, out);
		if (r->error)
			return;
	}
	if (!r->error && r->left)
		reader_fail(r, NITRO_ATTEST_TRAILING);
	if (!r->error && (seen & MANDATORY) != MANDATORY) {
		tell_missing(where, seen);
		reader_fail(r, NITRO_ATTEST_FIELDS);
	}
}

/* {1: -35} and nothing else, so that nobody asks for what we do not know. */
static enum nitro_attest_result check_header(struct nitro_attest_bytes header)
{
	struct reader r = { .at = header.data, .left = header.size };
	struct item map, label, value;

	if (!reader_expect(&r, ITEM_MAP, NITRO_ATTEST_ALGORITHM, &map) ||
	    !reader_expect(&r, ITEM_UNSIGNED, NITRO_ATTEST_ALGORITHM, &label) ||
	    !reader_expect(&r, ITEM_NEGATIVE, NITRO_ATTEST_ALGORITHM, &value))
		return NITRO_ATTEST_ALGORITHM;
	return map.value == 1 && label.value == SEC_COSE_ALGORITHM &&
			       value.value == -1 - SEC_COSE_ES384 && !r.left
		       ? NITRO_ATTEST_GOOD
		       : NITRO_ATTEST_ALGORITHM;
}

/*
 * The array's head, with COSE_Sign1's own tag (RFC 9052 2) or without.  The
 * decoder takes no tag that was unassigned when it was written, and 18 is one.
 */
static bool open_array(struct reader *r)
{
	struct item item;

	if (r->left && *r->at == (0xc0 | SEC_COSE_SIGN1_TAG)) {
		r->at++;
		r->left--;
	}
	if (!reader_next(r, &item))
		return false;
	return (item.kind == ITEM_ARRAY && item.value == SEC_COSE_MEMBERS) ||
	       reader_fail(r, NITRO_ATTEST_ENVELOPE);
}

static void read_envelope(struct reader *r, struct nitro_attest_document *out)
{
	struct item header, map, payload, signature;

	if (!open_array(r) ||
	    !reader_expect(r, ITEM_BYTES, NITRO_ATTEST_ENVELOPE, &header) ||
	    !reader_expect(r, ITEM_MAP, NITRO_ATTEST_ENVELOPE, &map))
		return;
	if (map.value)
		reader_fail(r, NITRO_ATTEST_ENVELOPE);
	if (!reader_expect(r, ITEM_BYTES, NITRO_ATTEST_ENVELOPE, &payload) ||
	    !reader_expect(r, ITEM_BYTES, NITRO_ATTEST_ENVELOPE, &signature))
		return;
	out->protected_header = header.bytes;
	out->payload = payload.bytes;
	out->signature = signature.bytes;
	if (r->left)
		reader_fail(r, NITRO_ATTEST_TRAILING);
	else if (check_header(header.bytes))
		reader_fail(r, NITRO_ATTEST_ALGORITHM);
	else if (signature.value != SEC_ES384_BYTES)
		reader_fail(r, NITRO_ATTEST_SIGNATURE_SIZE);
	else if (!payload.value || payload.value > SEC_PAYLOAD_BYTES)
		reader_fail(r, NITRO_ATTEST_PAYLOAD_SIZE);
}

enum nitro_attest_result nitro_attest_read(const uint8_t *document, size_t size,
					   struct nitro_attest_document *out,
					   char *detail, size_t room)
{
	struct where where = { detail, detail ? room : 0 };
	struct reader envelope = { .at = document, .left = size }, payload;

	memset(out, 0, sizeof *out);
	tell(&where, "the envelope");
	read_envelope(&envelope, out);
	if (envelope.error)
		return envelope.error;
	payload = (struct reader){ .at = out->payload.data,
				   .left = out->payload.size };
	read_fields(&payload, out, &where);
	if (!payload.error)
		tell(&where, "");
	return payload.error;
}
