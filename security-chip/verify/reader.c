/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A strict reader over libcbor's decoder, which judges whether an item is
 * well-formed and whole; what it is stands in its head.
 */
#include "security-chip/verify/reader.h"

#include <cbor.h>
#include <string.h>

/* By major type (RFC 8949 3.1); tags and simple values are in no document. */
static const enum item_kind kinds[] = { ITEM_UNSIGNED, ITEM_NEGATIVE,
					ITEM_BYTES,    ITEM_TEXT,
					ITEM_ARRAY,    ITEM_MAP,
					ITEM_OTHER,    ITEM_OTHER };

#define HEAD_NULL        0xf6u
#define ADDITIONAL(head) ((head)&0x1fu)

/* The argument of a head that is whole; 0 where there is none. */
static uint64_t argument(const uint8_t *head)
{
	unsigned int info = ADDITIONAL(*head);
	uint64_t value = 0;

	if (info < 24)
		return info;
	for (unsigned int i = 0; info < 28 && i < 1u << (info - 24); i++)
		value = value << 8 | head[1 + i];
	return value;
}

/* An item of so many bytes, which the decoder has found to be well-formed. */
static struct item item_of(const uint8_t *at, size_t size)
{
	struct item item = { .kind = kinds[*at >> 5], .value = argument(at) };

	if (*at == HEAD_NULL)
		item.kind = ITEM_NULL;
	else if (ADDITIONAL(*at) == 31) /* of indefinite length */
		item.kind = ITEM_OTHER;
	if (item.kind == ITEM_BYTES || item.kind == ITEM_TEXT)
		item.bytes =
			(struct nitro_attest_bytes){ at + size - item.value,
						     (size_t)item.value };
	return item;
}

/* Whether the head could not have been shorter. */
static bool is_shortest(uint8_t head, uint64_t value)
{
	switch (ADDITIONAL(head)) {
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
	struct cbor_decoder_result done;
	struct item item;

	if (r->error)
		return false;
	if (!r->left)
		return reader_fail(r, NITRO_ATTEST_TRUNCATED);
	done = cbor_stream_decode(r->at, r->left, &cbor_empty_callbacks, NULL);
	if (done.status == CBOR_DECODER_NEDATA)
		return reader_fail(r, NITRO_ATTEST_TRUNCATED);
	if (done.status != CBOR_DECODER_FINISHED)
		return reader_fail(r, NITRO_ATTEST_CBOR);
	item = item_of(r->at, done.read);
	if (item.kind == ITEM_OTHER || !is_shortest(*r->at, item.value))
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
