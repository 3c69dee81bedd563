/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CBOR (RFC 8949) as far as requests and answers of a security module go:
 * definite lengths, a few levels deep.  Bounds are the answer's, whatever it
 * says of itself.
 */
#include "host-driver/probe/nsm.h"

#include <string.h>

#define MAX_DEPTH 8

/* The item's head; *is_short: no other way is shorter. */
static bool take_head(const uint8_t **at, const uint8_t *end, struct cbor *out,
		      bool *is_short)
{
	unsigned int code, size;

	if (*at == end)
		return false;
	*out = (struct cbor){ .major = **at >> 5, .end = end };
	code = *(*at)++ & 31;
	*is_short = true;
	out->value = code;
	if (code >= 24) {
		size = 1u << (code - 24);
		if (code > 27 || (size_t)(end - *at) < size)
			return false;
		out->value = 0;
		for (unsigned int i = 0; i < size; i++)
			out->value = out->value << 8 | *(*at)++;
		*is_short = out->value >= 24 &&
			    (size == 1 || out->value >> (size * 4));
	}
	out->inner = *at;
	return true;
}

static bool is_string(const struct cbor *item)
{
	return item->major == CBOR_BYTES || item->major == CBOR_TEXT;
}

/* How many items are in it. */
static uint64_t items_in(const struct cbor *item)
{
	uint64_t most = (uint64_t)(item->end - item->inner);

	if (item->major == CBOR_TAG)
		return 1;
	if (item->major != CBOR_ARRAY && item->major != CBOR_MAP)
		return 0;
	/* An item has a byte or more. */
	if (item->value > most)
		return most + 1;
	return item->major == CBOR_MAP ? 2 * item->value : item->value;
}

static bool take(const uint8_t **at, const uint8_t *end, int depth,
		 struct cbor *out, bool *is_canonical)
{
	struct cbor inner;
	bool is_short;

	if (!depth || !take_head(at, end, out, &is_short))
		return false;
	*is_canonical &= is_short || out->major == CBOR_SIMPLE;
	if (is_string(out)) {
		if (out->value > (uint64_t)(end - *at))
			return false;
		*at += out->value;
	}
	for (uint64_t i = items_in(out); i; i--)
		if (!take(at, end, depth - 1, &inner, is_canonical))
			return false;
	return true;
}

bool cbor_take(const uint8_t **at, const uint8_t *end, struct cbor *out)
{
	bool ignored = true;

	return take(at, end, MAX_DEPTH, out, &ignored);
}

bool cbor_is_canonical(const uint8_t *at, const uint8_t *end)
{
	struct cbor item;
	bool is_canonical = true;

	while (at < end)
		if (!take(&at, end, MAX_DEPTH, &item, &is_canonical))
			return false;
	return is_canonical;
}

bool cbor_is_text(const struct cbor *item, const char *text)
{
	return item->major == CBOR_TEXT && item->value == strlen(text) &&
	       memcmp(item->inner, text, item->value) == 0;
}

bool cbor_find(const struct cbor *map, const char *name, enum cbor_major major,
	       struct cbor *out)
{
	const uint8_t *at = map->inner;
	struct cbor key;

	for (uint64_t i = 0; map->major == CBOR_MAP && i < map->value; i++) {
		if (!cbor_take(&at, map->end, &key) ||
		    !cbor_take(&at, map->end, out))
			return false;
		if (cbor_is_text(&key, name))
			return out->major == (unsigned int)major;
	}
	return false;
}

bool cbor_find_number(const struct cbor *map, uint64_t number, struct cbor *out)
{
	const uint8_t *at = map->inner;
	struct cbor key;

	for (uint64_t i = 0; map->major == CBOR_MAP && i < map->value; i++) {
		if (!cbor_take(&at, map->end, &key) ||
		    !cbor_take(&at, map->end, out))
			return false;
		if (key.major == CBOR_UINT && key.value == number)
			return out->major == CBOR_BYTES;
	}
	return false;
}

/* ---- writing ---- */

void cbor_put(struct cbor_out *out, enum cbor_major major, uint64_t value)
{
	unsigned int size = value < 24        ? 0
			    : value < 0x100   ? 1
			    : value < 0x10000 ? 2
					      : 4;
	uint8_t code = (uint8_t)(size == 4 ? 26 : size ? 23 + size : value);

	out->bytes[out->size++] = (uint8_t)(major << 5 | code);
	while (size--)
		out->bytes[out->size++] = (uint8_t)(value >> 8 * size);
}

void cbor_put_text(struct cbor_out *out, const char *text)
{
	cbor_put(out, CBOR_TEXT, strlen(text));
	memcpy(out->bytes + out->size, text, strlen(text));
	out->size += strlen(text);
}

void cbor_put_bytes(struct cbor_out *out, const void *bytes, size_t size)
{
	cbor_put(out, CBOR_BYTES, size);
	memcpy(out->bytes + out->size, bytes, size);
	out->size += size;
}
