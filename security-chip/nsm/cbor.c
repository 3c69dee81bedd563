/* SPDX-License-Identifier: BSD-3-Clause */
/* CBOR by libcbor's decoder and encoders of single items: see cbor.h. */
#include "security-chip/nsm/cbor.h"

#include <cbor.h>
#include <string.h>

/* ---- reading ---- */

static void set(void *opaque, enum nsm_cbor_kind kind, uint64_t value,
		const uint8_t *bytes)
{
	*(struct nsm_cbor_item *)opaque =
		(struct nsm_cbor_item){ kind, value, bytes };
}

static void took_uint8(void *item, uint8_t value)
{
	set(item, NSM_CBOR_UINT, value, NULL);
}

static void took_uint16(void *item, uint16_t value)
{
	set(item, NSM_CBOR_UINT, value, NULL);
}

static void took_uint32(void *item, uint32_t value)
{
	set(item, NSM_CBOR_UINT, value, NULL);
}

static void took_uint64(void *item, uint64_t value)
{
	set(item, NSM_CBOR_UINT, value, NULL);
}

static void took_bytes(void *item, cbor_data bytes, size_t size)
{
	set(item, NSM_CBOR_BYTES, size, bytes);
}

static void took_text(void *item, cbor_data bytes, size_t size)
{
	set(item, NSM_CBOR_TEXT, size, bytes);
}

static void took_map(void *item, size_t pairs)
{
	set(item, NSM_CBOR_MAP, pairs, NULL);
}

static void took_endless_map(void *item)
{
	set(item, NSM_CBOR_MAP, NSM_CBOR_UNTIL_BREAK, NULL);
}

static void took_array(void *item, size_t items)
{
	set(item, items ? NSM_CBOR_NEST : NSM_CBOR_OTHER, items, NULL);
}

static void took_nest(void *item)
{
	set(item, NSM_CBOR_NEST, 0, NULL);
}

static void took_tag(void *item, uint64_t tag)
{
	set(item, NSM_CBOR_NEST, tag, NULL);
}

static void took_null(void *item)
{
	set(item, NSM_CBOR_NULL, 0, NULL);
}

static void took_break(void *item)
{
	set(item, NSM_CBOR_BREAK, 0, NULL);
}

/* What is not named here leaves the item as it was: OTHER. */
static const struct cbor_callbacks callbacks = {
	.uint8 = took_uint8,
	.uint16 = took_uint16,
	.uint32 = took_uint32,
	.uint64 = took_uint64,
	.negint8 = cbor_null_negint8_callback,
	.negint16 = cbor_null_negint16_callback,
	.negint32 = cbor_null_negint32_callback,
	.negint64 = cbor_null_negint64_callback,
	.byte_string_start = took_nest,
	.byte_string = took_bytes,
	.string = took_text,
	.string_start = took_nest,
	.indef_array_start = took_nest,
	.array_start = took_array,
	.indef_map_start = took_endless_map,
	.map_start = took_map,
	.tag = took_tag,
	.float2 = cbor_null_float2_callback,
	.float4 = cbor_null_float4_callback,
	.float8 = cbor_null_float8_callback,
	.undefined = cbor_null_undefined_callback,
	.null = took_null,
	.boolean = cbor_null_boolean_callback,
	.indef_break = took_break,
};

bool nsm_cbor_next(struct nsm_cbor_reader *reader, struct nsm_cbor_item *item)
{
	struct cbor_decoder_result result;

	set(item, NSM_CBOR_OTHER, 0, NULL);
	if (!reader->left)
		return false;
	result = cbor_stream_decode(reader->at, reader->left, &callbacks, item);
	if (result.status != CBOR_DECODER_FINISHED)
		return false;
	reader->at += result.read;
	reader->left -= result.read;
	return true;
}

bool nsm_cbor_is_text(const struct nsm_cbor_item *item, const char *text)
{
	return item->kind == NSM_CBOR_TEXT && item->value == strlen(text) &&
	       memcmp(item->bytes, text, item->value) == 0;
}

/* ---- writing ---- */

/* What an encoder wrote; 0: it had no room. */
static void advance(struct nsm_cbor_writer *w, size_t written)
{
	w->size += written;
	w->is_full |= !written;
}

static uint8_t *end_of(const struct nsm_cbor_writer *w)
{
	return w->at + w->size;
}

void nsm_cbor_put_map(struct nsm_cbor_writer *w, size_t pairs)
{
	advance(w, cbor_encode_map_start(pairs, end_of(w), w->room - w->size));
}

void nsm_cbor_put_array(struct nsm_cbor_writer *w, size_t items)
{
	advance(w,
		cbor_encode_array_start(items, end_of(w), w->room - w->size));
}

void nsm_cbor_put_uint(struct nsm_cbor_writer *w, uint64_t value)
{
	advance(w, cbor_encode_uint(value, end_of(w), w->room - w->size));
}

void nsm_cbor_put_bool(struct nsm_cbor_writer *w, bool value)
{
	advance(w, cbor_encode_bool(value, end_of(w), w->room - w->size));
}

static void put_raw(struct nsm_cbor_writer *w, const void *bytes, size_t size)
{
	if (size > w->room - w->size) {
		w->is_full = true;
		return;
	}
	memcpy(end_of(w), bytes, size);
	w->size += size;
}

void nsm_cbor_put_text(struct nsm_cbor_writer *w, const char *text)
{
	size_t size = strlen(text);

	advance(w,
		cbor_encode_string_start(size, end_of(w), w->room - w->size));
	put_raw(w, text, size);
}

void nsm_cbor_put_bytes(struct nsm_cbor_writer *w, const void *bytes,
			size_t size)
{
	/* Major type 2 with a length of 4 bytes, whatever it is. */
	const uint8_t longest[5] = { 0x5a, (uint8_t)(size >> 24),
				     (uint8_t)(size >> 16),
				     (uint8_t)(size >> 8), (uint8_t)size };

	if (w->has_long_lengths)
		put_raw(w, longest, sizeof longest);
	else
		advance(w, cbor_encode_bytestring_start(size, end_of(w),
							w->room - w->size));
	put_raw(w, bytes, size);
}
