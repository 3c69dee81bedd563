/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading manifests.  libcbor's streaming decoder finds the items, and no tree
 * is built: each item is what must stand there, in its one encoding, or the
 * whole is refused.  It allocates nothing.
 */
#include "security-chip/boot/manifest.h"

#include <cbor.h>
#include <errno.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "security-chip/boot/manifest_wire.h"

#define PROGRAM_BYTES (UINT64_C(256) << 20)
#define CONFIG_BYTES  (UINT64_C(1) << 20)

const struct sec_part_rule sec_part_rules[SEC_PARTS] = {
	[SEC_PART_PROGRAM] = { "nitro-card", PROGRAM_BYTES },
	[SEC_PART_CONFIG] = { "card.yaml", CONFIG_BYTES },
	[SEC_PART_NETWORK] = { "nitro-user-net", PROGRAM_BYTES },
};

enum kind { OTHER, UINT, BYTES, TEXT, ARRAY, MAP };

struct item {
	enum kind kind;
	uint64_t value;       /* of numbers; bytes, or items, of others */
	const uint8_t *bytes; /* of BYTES and TEXT */
};

struct reader {
	const uint8_t *at;
	size_t left;
	bool is_bad;
	bool is_unordered; /* it is bad, for a part in another one's place */
};

static void took_u8(void *item, uint8_t value)
{
	*(struct item *)item = (struct item){ UINT, value, NULL };
}
static void took_u16(void *item, uint16_t value)
{
	*(struct item *)item = (struct item){ UINT, value, NULL };
}
static void took_u32(void *item, uint32_t value)
{
	*(struct item *)item = (struct item){ UINT, value, NULL };
}
static void took_u64(void *item, uint64_t value)
{
	*(struct item *)item = (struct item){ UINT, value, NULL };
}
static void took_bytes(void *item, cbor_data bytes, size_t size)
{
	*(struct item *)item = (struct item){ BYTES, size, bytes };
}
static void took_text(void *item, cbor_data bytes, size_t size)
{
	*(struct item *)item = (struct item){ TEXT, size, bytes };
}
static void took_array(void *item, size_t count)
{
	*(struct item *)item = (struct item){ ARRAY, count, NULL };
}
static void took_map(void *item, size_t count)
{
	*(struct item *)item = (struct item){ MAP, count, NULL };
}

/* Bytes of an item's head in its shortest form (RFC 8949 4.2.1). */
static size_t shortest_head(uint64_t value)
{
	return value < 24            ? 1
	       : value <= UINT8_MAX  ? 2
	       : value <= UINT16_MAX ? 3
	       : value <= UINT32_MAX ? 5
				     : 9;
}

/* The next item if it is of that kind; otherwise all is bad. */
static struct item next(struct reader *reader, enum kind kind)
{
	struct cbor_callbacks callbacks = cbor_empty_callbacks;
	struct item item = { 0 };
	struct cbor_decoder_result result;
	size_t size;

	callbacks.uint8 = took_u8;
	callbacks.uint16 = took_u16;
	callbacks.uint32 = took_u32;
	callbacks.uint64 = took_u64;
	callbacks.byte_string = took_bytes;
	callbacks.string = took_text;
	callbacks.array_start = took_array;
	callbacks.map_start = took_map;
	if (reader->is_bad)
		return item;
	result =
		cbor_stream_decode(reader->at, reader->left, &callbacks, &item);
	size = shortest_head(item.value) + (item.bytes ? item.value : 0);
	if (result.status != CBOR_DECODER_FINISHED || item.kind != kind ||
	    result.read != size) {
		reader->is_bad = true;
		return (struct item){ 0 };
	}
	reader->at += size;
	reader->left -= size;
	return item;
}

static void expect(struct reader *reader, enum kind kind, uint64_t value)
{
	if (next(reader, kind).value != value)
		reader->is_bad = true;
}

static void take_head(struct reader *reader, uint8_t head)
{
	if (!reader->left || *reader->at != head) {
		reader->is_bad = true;
		return;
	}
	reader->at++;
	reader->left--;
}

static void take_bytes(struct reader *reader, void *out, size_t size)
{
	struct item item = next(reader, BYTES);

	if (reader->is_bad || item.value != size)
		reader->is_bad = true;
	else
		memcpy(out, item.bytes, size);
}

static void take_version(struct reader *reader, char out[SEC_VERSION_TEXT])
{
	struct item item = next(reader, TEXT);

	if (reader->is_bad || !item.value || item.value >= SEC_VERSION_TEXT) {
		reader->is_bad = true;
		return;
	}
	for (size_t i = 0; i < item.value; i++)
		if (item.bytes[i] < ' ' || item.bytes[i] > '~')
			reader->is_bad = true;
	memcpy(out, item.bytes, item.value);
	out[item.value] = '\0';
}

static bool is_named(const struct item *item, const char *name)
{
	return item->bytes && item->value == strlen(name) &&
	       !memcmp(item->bytes, name, item->value);
}

static void take_name(struct reader *reader, unsigned int part)
{
	struct item name = next(reader, TEXT);

	if (!reader->is_bad && is_named(&name, sec_part_rules[part].name))
		return;
	for (unsigned int i = 0; i < SEC_PARTS; i++)
		reader->is_unordered |= is_named(&name, sec_part_rules[i].name);
	reader->is_bad = true;
}

static void take_part(struct reader *reader, struct sec_manifest *out,
		      unsigned int part)
{
	const struct sec_part_rule *rule = &sec_part_rules[part];
	struct item size;

	expect(reader, ARRAY, 3);
	take_name(reader, part);
	size = next(reader, UINT);
	if (!size.value || size.value > rule->max_bytes)
		reader->is_bad = true;
	out->parts[part].size = size.value;
	take_bytes(reader, out->parts[part].digest, SEC_DIGEST_BYTES);
}

static void take_payload(struct reader *reader, struct sec_manifest *out)
{
	struct item item;

	expect(reader, MAP, SEC_MANIFEST_KEYS);
	expect(reader, UINT, SEC_MANIFEST_FORMAT);
	expect(reader, UINT, 1);
	expect(reader, UINT, SEC_MANIFEST_VERSION);
	take_version(reader, out->version);
	expect(reader, UINT, SEC_MANIFEST_SVN);
	item = next(reader, UINT);
	if (item.value > UINT32_MAX)
		reader->is_bad = true;
	out->svn = (uint32_t)item.value;
	expect(reader, UINT, SEC_MANIFEST_OWNER);
	take_bytes(reader, out->owner_key, SEC_POINT_BYTES);
	expect(reader, UINT, SEC_MANIFEST_PARTS);
	item = next(reader, ARRAY);
	if (item.value < SEC_PART_NETWORK || item.value > SEC_PARTS)
		reader->is_bad = true;
	for (unsigned int i = 0; i < item.value && !reader->is_bad; i++)
		take_part(reader, out, i);
	if (reader->left)
		reader->is_bad = true;
}

static void take_protected(struct reader *reader)
{
	struct item item = next(reader, BYTES);

	if (reader->is_bad || item.value != sizeof sec_manifest_protected ||
	    memcmp(item.bytes, sec_manifest_protected, item.value) != 0)
		reader->is_bad = true;
}

static int parse(const void *bytes, size_t size, struct sec_manifest *out)
{
	struct reader reader = { bytes, size, size > SEC_MANIFEST_BYTES,
				 false };
	struct reader inner = { 0 };
	struct item payload;

	/* libcbor 0.8 has no such tag. */
	take_head(&reader, SEC_COSE_SIGN1);
	expect(&reader, ARRAY, 4);
	take_protected(&reader);
	expect(&reader, MAP, 0);
	payload = next(&reader, BYTES);
	take_bytes(&reader, out->signature, SEC_SIGNATURE_BYTES);
	if (reader.is_bad || reader.left)
		return -EBADMSG;
	inner = (struct reader){ payload.bytes, payload.value, false, false };
	take_payload(&inner, out);
	if (inner.is_bad)
		return inner.is_unordered ? -EPROTO : -EBADMSG;
	out->to_be_signed_size = sec_manifest_to_be_signed(
		payload.bytes, payload.value, out->to_be_signed,
		sizeof out->to_be_signed);
	if (!out->to_be_signed_size)
		return -EBADMSG;
	return sec_digest(payload.bytes, payload.value, out->payload_digest);
}

int sec_manifest_parse(const void *bytes, size_t size, struct sec_manifest *out)
{
	int status;

	memset(out, 0, sizeof *out);
	status = parse(bytes, size, out);
	if (status)
		memset(out, 0, sizeof *out);
	return status;
}
