/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One item of CBOR after another, strictly: definite lengths, shortest heads
 * (RFC 8949 4.2.1), and no allocation, whatever lengths are claimed.
 */
#ifndef SECURITY_CHIP_VERIFY_READER_H
#define SECURITY_CHIP_VERIFY_READER_H

#include "security-chip/verify/nitro-attest.h"

enum item_kind {
	ITEM_OTHER, /* floats, booleans, tags: in no document */
	ITEM_UNSIGNED,
	ITEM_NEGATIVE, /* -1 - value */
	ITEM_BYTES,
	ITEM_TEXT,
	ITEM_ARRAY, /* value items follow */
	ITEM_MAP,   /* value pairs follow */
	ITEM_NULL,
};

struct item {
	enum item_kind kind;
	uint64_t value; /* number, count or size */
	struct nitro_attest_bytes bytes;
};

struct reader {
	const uint8_t *at;
	size_t left;
	enum nitro_attest_result error; /* the first; then all reads fail */
};

/* The next item's head, and its bytes if it is a string. */
bool reader_next(struct reader *r, struct item *out);
/* The next item, if it is of that kind; otherwise r->error is what else. */
bool reader_expect(struct reader *r, enum item_kind kind,
		   enum nitro_attest_result otherwise, struct item *out);
/* Note the first error.  Returns false. */
bool reader_fail(struct reader *r, enum nitro_attest_result why);
bool item_is_text(const struct item *item, const char *text);

#endif
