/* SPDX-License-Identifier: BSD-3-Clause */
/* A strict reader over libcbor's decoder, which sees one item at a time. */
#include "security-chip/verify/reader.h"

#include <cbor.h>
#include <string.h>

static void set(void *context, enum item_kind kind, uint64_t value)
{
	struct item *item = context;

	item->kind = kind;
	item->value = value;
}

static void on_uint8(void *context, uint8_t value)
{
	set(context, ITEM_UNSIGNED, value);
}

static void on_uint16(void *context, uint16_t value)
{
	set(context, ITEM_UNSIGNED, value);
}

static void on_uint32(void *context, uint32_t value)
{
	set(context, ITEM_UNSIGNED, value);
}

static void on_uint64(void *context, uint64_t value)
{
	set(context, ITEM_UNSIGNED, value);
}

static void on_negint8(void *context, uint8_t value)
{
	set(context, ITEM_NEGATIVE, value);
}

static void on_negint16(void *context, uint16_t value)
{
	set(context, ITEM_NEGATIVE, value);
}

static void on_negint32(void *context, uint32_t value)
{
	set(context, ITEM_NEGATIVE, value);
}

static void on_negint64(void *context, uint64_t value)
{
	set(context, ITEM_NEGATIVE, value);
}

static void on_bytes(void *context, cbor_data data, size_t size)
{
	struct item *item = context;

	set(context, ITEM_BYTES, size);
	item->bytes = (struct nitro_attest_bytes){ data, size };
}

static void on_text(void *context, cbor_data data, size_t size)
{
	on_bytes(context, data, size);
	((struct item *)context)->kind = ITEM_TEXT;
}

static void on_array(void *context, size_t count)
{
	set(context, ITEM_ARRAY, count);
}

static void on_map(void *context, size_t count)
{
	set(context, ITEM_MAP, count);
}

static void on_null(void *context)
{
	set(context, ITEM_NULL, 22);
}

/* Of what has no callback here the item stays ITEM_OTHER. */
static struct cbor_callbacks callbacks(void)
{
	struct cbor_callbacks all = cbor_empty_callbacks;

	all.uint8 = on_uint8;
	all.uint16 = on_uint16;
	all.uint32 = on_uint32;
	all.uint64 = on_uint64;
	all.negint8 = on_negint8;
	all.negint16 = on_negint16;
	all.negint32 = on_negint32;
	all.negint64 = on_negint64;
	all.byte_string = on_bytes;
	all.string = on_text;
	all.array_start = on_array;
	all.map_start = on_map;
	all.null = on_null;
	return all;
}

/* Whether the head could not have been shorter. */
static bool is_shortest(uint8_t head, uint64_t value)
{
	switch (head & 0x1f) {
	case 24:
		return value >= 24;
	case 25:
		return value > UINT8_MAX;
	case 26:
		return value > UINT16_MAX;
	case 27:
		return value > UINT32_MAX;
	default:
		return true;
	}
}

bool reader_fail(struct reader *r, enum nitro_attest_result why)
{
	if (!r->error)
		r->error = why;
	return false;
}

bool reader_next(struct reader *r, struct item *out)
{
	const struct cbor_callbacks handlers = callbacks();
	struct cbor_decoder_result done;
	struct item item = { 0 };

	if (r->error)
		return false;
	if (!r->left)
		return reader_fail(r, NITRO_ATTEST_TRUNCATED);
	done = cbor_stream_decode(r->at, r->left, &handlers, &item);
	if (done.status == CBOR_DECODER_NEDATA)
		return reader_fail(r, NITRO_ATTEST_TRUNCATED);
	if (done.status != CBOR_DECODER_FINISHED || item.kind == ITEM_OTHER ||
	    !is_shortest(*r->at, item.value))
		return reader_fail(r, NITRO_ATTEST_CBOR);
	r->at += done.read;
	r->left -= done.read;
	*out = item;
	return true;
}

bool reader_expect(struct reader *r, enum item_kind kind,
		   enum nitro_attest_result otherwise, struct item *out)
{
	if (!reader_next(r, out))
		return false;
	return out->kind == kind || reader_fail(r, otherwise);
}

bool item_is_text(const struct item *item, const char *text)
{
	return item->kind == ITEM_TEXT && item->bytes.size == strlen(text) &&
	       !memcmp(item->bytes.data, text, item->bytes.size);
}
