/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing manifests.  libcbor's encoders of single items choose the shortest
 * form, which is the deterministic one.
 */
#include <cbor.h>
#include <string.h>

#include "security-chip/boot/manifest.h"
#include "security-chip/boot/manifest_wire.h"

const uint8_t sec_manifest_protected[4] = { 0xa1, 0x01, 0x38, 0x22 };

struct writer {
	uint8_t *out;
	size_t room, used; /* used > room: there was no room */
};

typedef size_t encoder(size_t value, unsigned char *out, size_t room);

static void put_bytes(struct writer *writer, const void *bytes, size_t size)
{
	if (writer->used <= writer->room && size <= writer->room - writer->used)
		memcpy(writer->out + writer->used, bytes, size);
	else
		size = writer->room + 1;
	writer->used += size;
}

static void put_head(struct writer *writer, encoder *encode, size_t value)
{
	uint8_t head[9];

	put_bytes(writer, head, encode(value, head, sizeof head));
}

static size_t encode_uint(size_t value, unsigned char *out, size_t room)
{
	return cbor_encode_uint(value, out, room);
}

static void put_uint(struct writer *writer, uint64_t value)
{
	put_head(writer, encode_uint, value);
}

static void put_string(struct writer *writer, const void *bytes, size_t size)
{
	put_head(writer, cbor_encode_bytestring_start, size);
	put_bytes(writer, bytes, size);
}

static void put_text(struct writer *writer, const char *text)
{
	put_head(writer, cbor_encode_string_start, strlen(text));
	put_bytes(writer, text, strlen(text));
}

size_t sec_manifest_to_be_signed(const uint8_t *payload, size_t size,
				 uint8_t *out, size_t room)
{
	struct writer writer = { out, room, 0 };

	put_head(&writer, cbor_encode_array_start, 4);
	put_text(&writer, "Signature1");
	put_string(&writer, sec_manifest_protected,
		   sizeof sec_manifest_protected);
	put_string(&writer, "", 0);
	put_string(&writer, payload, size);
	return writer.used <= room ? writer.used : 0;
}

static void put_parts(struct writer *writer, const struct sec_manifest *m)
{
	size_t count =
		m->parts[SEC_PART_NETWORK].size ? SEC_PARTS : SEC_PART_NETWORK;

	put_head(writer, cbor_encode_array_start, count);
	for (size_t i = 0; i < count; i++) {
		put_head(writer, cbor_encode_array_start, 3);
		put_text(writer, sec_part_rules[i].name);
		put_uint(writer, m->parts[i].size);
		put_string(writer, m->parts[i].digest, SEC_DIGEST_BYTES);
	}
}

static void put_payload(struct writer *writer, const struct sec_manifest *m)
{
	put_head(writer, cbor_encode_map_start, SEC_MANIFEST_KEYS);
	put_uint(writer, SEC_MANIFEST_FORMAT);
	put_uint(writer, 1);
	put_uint(writer, SEC_MANIFEST_VERSION);
	put_text(writer, m->version);
	put_uint(writer, SEC_MANIFEST_SVN);
	put_uint(writer, m->svn);
	put_uint(writer, SEC_MANIFEST_OWNER);
	put_string(writer, m->owner_key, SEC_POINT_BYTES);
	put_uint(writer, SEC_MANIFEST_PARTS);
	put_parts(writer, m);
}

size_t sec_manifest_encode(struct sec_manifest *manifest, uint8_t *out,
			   size_t room)
{
	const uint8_t tag = SEC_COSE_SIGN1;
	uint8_t payload[SEC_MANIFEST_BYTES];
	struct writer inner = { payload, sizeof payload, 0 };
	struct writer writer = { out, room, 0 };

	put_payload(&inner, manifest);
	if (inner.used > inner.room)
		return 0;
	manifest->to_be_signed_size = sec_manifest_to_be_signed(
		payload, inner.used, manifest->to_be_signed,
		sizeof manifest->to_be_signed);
	put_bytes(&writer, &tag, 1);
	put_head(&writer, cbor_encode_array_start, 4);
	put_string(&writer, sec_manifest_protected,
		   sizeof sec_manifest_protected);
	put_head(&writer, cbor_encode_map_start, 0);
	put_string(&writer, payload, inner.used);
	put_string(&writer, manifest->signature, SEC_SIGNATURE_BYTES);
	return writer.used <= room && manifest->to_be_signed_size ? writer.used
								  : 0;
}
