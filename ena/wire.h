/* SPDX-License-Identifier: BSD-3-Clause */
/* Where things stand on a wire, and a way along a frame; frame.c and wire.c. */
#ifndef ENA_WIRE_H
#define ENA_WIRE_H

#include <assert.h>

#include "ena/frame.h"

#define ENA_TYPE_IPV4         0x0800u
#define ENA_TYPE_IPV6         0x86ddu
#define ENA_TYPE_VLAN         0x8100u
#define ENA_TYPE_SERVICE_VLAN 0x88a8u
#define ENA_TYPE_OLD_VLAN     0x9100u
#define ENA_TAG_BYTES         4u

#define ENA_IPV4_BYTES     20u
#define ENA_IPV4_LENGTH    2u
#define ENA_IPV4_ID        4u
#define ENA_IPV4_FRAGMENT  6u
#define ENA_IPV4_PROTOCOL  9u
#define ENA_IPV4_CSUM      10u
#define ENA_IPV4_ADDRESSES 12u

#define ENA_IPV6_BYTES     40u
#define ENA_IPV6_LENGTH    4u
#define ENA_IPV6_NEXT      6u
#define ENA_IPV6_ADDRESSES 8u

#define ENA_TCP_BYTES    20u
#define ENA_TCP_SEQUENCE 4u
#define ENA_TCP_WORDS    12u /* in the upper half */
#define ENA_TCP_FLAGS    13u
#define ENA_TCP_FIN      0x01u
#define ENA_TCP_PSH      0x08u
#define ENA_TCP_CWR      0x80u
#define ENA_TCP_CSUM     16u

#define ENA_UDP_BYTES  8u
#define ENA_UDP_LENGTH 4u
#define ENA_UDP_CSUM   6u

/* 16 bits in the wire's order, at any alignment. */
static inline uint16_t ena_wire16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* The sum of the pseudo-header of the IPv4 or IPv6 header at ip. */
uint32_t ena_sum_pseudo(const uint8_t *ip, uint8_t protocol, uint32_t length);

/* A place in a frame: what is left of the piece that it is in. */
struct ena_frame_cursor {
	const uint8_t *at;
	size_t left;
	const struct iovec *next, *end;
};

static inline size_t ena_cursor_piece(struct ena_frame_cursor *c, size_t size)
{
	while (!c->left && c->next < c->end) {
		c->at = c->next->iov_base;
		c->left = c->next->iov_len;
		c->next++;
	}
	assert(c->left || !size); /* a frame has the length that it says */
	return size < c->left ? size : c->left;
}

static inline void ena_cursor_advance(struct ena_frame_cursor *c, size_t size)
{
	c->at += size;
	c->left -= size;
}

/* The offset is inside the frame. */
static inline void ena_cursor_set(struct ena_frame_cursor *c,
				  const struct ena_frame *frame, size_t offset)
{
	*c = (struct ena_frame_cursor){
		.at = frame->header,
		.left = frame->header_length,
		.next = frame->parts,
		.end = frame->parts + frame->part_count,
	};
	while (offset) {
		size_t n = ena_cursor_piece(c, offset);

		ena_cursor_advance(c, n);
		offset -= n;
	}
}

#endif
