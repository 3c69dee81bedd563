/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CBOR (RFC 8949) without a tree: items are read one after the other from bytes
 * in place, and written one after the other in their shortest form, which is
 * the only one that Linux's driver understands.  Nothing is allocated, however
 * long an item says that it is.
 */
#ifndef SECURITY_CHIP_NSM_CBOR_H
#define SECURITY_CHIP_NSM_CBOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nsm_cbor_kind {
	NSM_CBOR_UINT,
	NSM_CBOR_BYTES,
	NSM_CBOR_TEXT,
	NSM_CBOR_MAP,
	NSM_CBOR_NULL,
	NSM_CBOR_BREAK, /* of a map of unknown length */
	NSM_CBOR_NEST,  /* another that the next items belong to, or a tag */
	NSM_CBOR_OTHER, /* all that a request has no use for */
};

#define NSM_CBOR_UNTIL_BREAK UINT64_MAX

struct nsm_cbor_item {
	enum nsm_cbor_kind kind;
	/* UINT: it; MAP: its pairs or NSM_CBOR_UNTIL_BREAK; else length. */
	uint64_t value;
	const uint8_t *bytes; /* of BYTES and TEXT: in the reader's */
};

struct nsm_cbor_reader {
	const uint8_t *at;
	size_t left;
};

/* False: there is no whole item. */
bool nsm_cbor_next(struct nsm_cbor_reader *reader, struct nsm_cbor_item *item);
bool nsm_cbor_is_text(const struct nsm_cbor_item *item, const char *text);

struct nsm_cbor_writer {
	uint8_t *at;
	size_t room, size;
	bool is_full;          /* it did not fit; size is not to be used */
	bool has_long_lengths; /* a fault: not the shortest form */
};

void nsm_cbor_put_map(struct nsm_cbor_writer *writer, size_t pairs);
void nsm_cbor_put_array(struct nsm_cbor_writer *writer, size_t items);
void nsm_cbor_put_uint(struct nsm_cbor_writer *writer, uint64_t value);
void nsm_cbor_put_bool(struct nsm_cbor_writer *writer, bool value);
void nsm_cbor_put_text(struct nsm_cbor_writer *writer, const char *text);
void nsm_cbor_put_bytes(struct nsm_cbor_writer *writer, const void *bytes,
			size_t size);

#endif
