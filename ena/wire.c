/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A frame as it stands on a wire: checksums filled in, and a TSO super-packet
 * cut into segments.
 *
 * The payload is written first, behind the room that the headers need, and
 * summed on the way; then the headers are finished in a copy of ours and
 * written.  So each byte of guest memory is read once, and what a header says
 * is what we have checked.
 */
#include <assert.h>
#include <netinet/in.h>
#include <string.h>

#include "ena/frame.h"
#include "ena/sum.h"
#include "ena/wire.h"

/* A guest that asks for crumbs does not keep us from the others. */
#define MAX_SEGMENTS 2048u

#define L4_CSUM (ENA_FRAME_L4_CSUM_PARTIAL | ENA_FRAME_L4_CSUM_FULL)

/* One wire frame while it is written. */
struct wire {
	const struct ena_frame *frame;
	uint8_t header[ENA_FRAME_HEADER_BYTES];
	uint32_t header_length;  /* what of it goes out */
	uint32_t payload_length; /* of a segment */
	uint8_t l4_proto;
};

static void store16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void store32(uint8_t *at, uint32_t value)
{
	store16(at, value >> 16);
	store16(at + 2, value);
}

static uint32_t load32(const uint8_t *at)
{
	return (uint32_t)ena_wire16(at) << 16 | ena_wire16(at + 2);
}

/* ---- What can be done ---- */

static bool is_tcp(const struct ena_frame *frame)
{
	return frame->flags & ENA_FRAME_TSO || frame->l4_proto == IPPROTO_TCP;
}

static uint32_t csum_offset(uint8_t l4_proto)
{
	return l4_proto == IPPROTO_TCP ? ENA_TCP_CSUM : ENA_UDP_CSUM;
}

/* The IP version of the header that the sender points at; 0: none fits. */
static unsigned int version_of(const struct ena_frame *frame)
{
	unsigned int size = frame->l4_offset - frame->l3_offset, version;

	if (frame->l4_offset < frame->l3_offset + ENA_IPV4_BYTES ||
	    frame->l4_offset > frame->header_length)
		return 0;
	version = frame->header[frame->l3_offset] >> 4;
	if (version == 4 && size <= 60)
		return 4;
	return version == 6 && size >= ENA_IPV6_BYTES ? 6 : 0;
}

static bool l3_is_doable(const struct ena_frame *frame)
{
	return version_of(frame) == 4;
}

static bool l4_is_doable(const struct ena_frame *frame)
{
	uint32_t at;

	if (!is_tcp(frame) && frame->l4_proto != IPPROTO_UDP)
		return false;
	at = frame->l4_offset +
	     csum_offset(is_tcp(frame) ? IPPROTO_TCP : IPPROTO_UDP);
	if (at + 2 > frame->header_length)
		return false;
	return !(frame->flags & ENA_FRAME_L4_CSUM_FULL) || version_of(frame);
}

static uint32_t tso_header(const struct ena_frame *frame)
{
	return (uint32_t)frame->l4_offset + frame->l4_length;
}

static unsigned int count_segments(const struct ena_frame *frame)
{
	uint32_t header = tso_header(frame), payload, count;

	if (!version_of(frame) || !frame->mss ||
	    frame->l4_length < ENA_TCP_BYTES || header > frame->header_length)
		return 0;
	payload = frame->length - header;
	count = (payload + frame->mss - 1) / frame->mss;
	if (count > MAX_SEGMENTS)
		return 0;
	return count ? count : 1;
}

unsigned int ena_frame_wire_count(const struct ena_frame *frame)
{
	if (!(frame->flags & ENA_FRAME_LEFT_TO_DO))
		return 1;
	if (frame->flags & ENA_FRAME_TSO)
		return count_segments(frame);
	if (frame->flags & ENA_FRAME_L3_CSUM && !l3_is_doable(frame))
		return 0;
	return !(frame->flags & L4_CSUM) || l4_is_doable(frame);
}

static uint32_t segment_payload(const struct ena_frame *frame, unsigned int n)
{
	uint32_t left = frame->length - tso_header(frame) - n * frame->mss;

	return left < frame->mss ? left : frame->mss;
}

uint32_t ena_frame_wire_length(const struct ena_frame *frame, unsigned int n)
{
	if (!(frame->flags & ENA_FRAME_TSO))
		return frame->length;
	return tso_header(frame) + segment_payload(frame, n);
}

/* ---- Writing ---- */

static void room_begin(struct ena_frame_cursor *to,
		       const struct ena_frame_room *room, size_t skip)
{
	*to = (struct ena_frame_cursor){ .next = room->pieces,
					 .end = room->pieces + room->count };
	while (skip) {
		size_t n = ena_cursor_piece(to, skip);

		ena_cursor_advance(to, n);
		skip -= n;
	}
}

static size_t common_piece(struct ena_frame_cursor *from,
			   struct ena_frame_cursor *to, size_t size)
{
	return ena_cursor_piece(to, ena_cursor_piece(from, size));
}

/* The room's pieces are the receiver's to write. */
static void *writable(const struct ena_frame_cursor *to)
{
	return (void *)(uintptr_t)to->at;
}

static void move(struct ena_frame_cursor *from, struct ena_frame_cursor *to,
		 size_t size)
{
	while (size) {
		size_t n = common_piece(from, to, size);

		memcpy(writable(to), from->at, n);
		ena_cursor_advance(from, n);
		ena_cursor_advance(to, n);
		size -= n;
	}
}

/* is_odd: the first byte is the low one of a word. */
static uint32_t move_sum(struct ena_frame_cursor *from,
			 struct ena_frame_cursor *to, size_t size, bool is_odd)
{
	uint32_t sum = 0;

	while (size) {
		size_t n = common_piece(from, to, size);
		uint32_t part = ena_sum_copy(writable(to), from->at, n, 0);

		sum += is_odd ? ena_sum_swap(part) : part;
		is_odd ^= n & 1;
		ena_cursor_advance(from, n);
		ena_cursor_advance(to, n);
		size -= n;
	}
	return sum;
}

static void move_header(struct wire *w, const struct ena_frame_room *room)
{
	struct ena_frame_cursor from = { .at = w->header,
					 .left = w->header_length };
	struct ena_frame_cursor to;

	room_begin(&to, room, 0);
	move(&from, &to, w->header_length);
}

/* ---- Headers ---- */

static void finish_l3(struct wire *w)
{
	const struct ena_frame *frame = w->frame;
	uint8_t *ip = w->header + frame->l3_offset;
	uint32_t sum;

	store16(ip + ENA_IPV4_CSUM, 0);
	sum = ena_sum(ip, frame->l4_offset - frame->l3_offset, 0);
	store16(ip + ENA_IPV4_CSUM, (uint16_t)~ena_sum_fold(sum));
}

/* sum: of the payload.  What is in the header of L4 is added here. */
static void finish_l4(struct wire *w, uint32_t header_end, uint32_t sum)
{
	uint8_t *l4 = w->header + w->frame->l4_offset;
	uint16_t csum;

	sum = ena_sum(l4, header_end - w->frame->l4_offset, sum);
	csum = (uint16_t)~ena_sum_fold(sum);
	if (!csum && w->l4_proto == IPPROTO_UDP)
		csum = 0xffff; /* 0 means that there is none, RFC 768 */
	store16(l4 + csum_offset(w->l4_proto), csum);
}

/* ---- A frame as it is, with its checksums ---- */

/* Where L4 ends: IP knows, unless what it says cannot be. */
static uint32_t find_l4_end(const struct ena_frame *frame)
{
	const uint8_t *ip = frame->header + frame->l3_offset;
	uint32_t end = frame->l3_offset, least;

	if (ip[0] >> 4 == 4)
		end += ena_wire16(ip + ENA_IPV4_LENGTH);
	else
		end += ENA_IPV6_BYTES + ena_wire16(ip + ENA_IPV6_LENGTH);
	least = frame->l4_offset +
		csum_offset(is_tcp(frame) ? IPPROTO_TCP : IPPROTO_UDP) + 2;
	return end < least || end > frame->length ? frame->length : end;
}

static uint32_t begin_l4(struct wire *w, uint32_t end)
{
	const struct ena_frame *frame = w->frame;

	if (!(frame->flags & ENA_FRAME_L4_CSUM_FULL))
		return 0; /* it is in the field */
	store16(w->header + frame->l4_offset + csum_offset(w->l4_proto), 0);
	return ena_sum_pseudo(w->header + frame->l3_offset, w->l4_proto,
			      end - frame->l4_offset);
}

static void put_summed(struct wire *w, const struct ena_frame_room *room)
{
	const struct ena_frame *frame = w->frame;
	uint32_t end = frame->flags & ENA_FRAME_L4_CSUM_FULL
			       ? find_l4_end(frame)
			       : frame->length;
	uint32_t in_header = end < w->header_length ? end : w->header_length;
	uint32_t in_payload = end - in_header, sum;
	struct ena_frame_cursor from, to;

	ena_cursor_set(&from, frame, w->header_length);
	room_begin(&to, room, w->header_length);
	sum = begin_l4(w, end);
	sum += move_sum(&from, &to, in_payload,
			(in_header - frame->l4_offset) & 1);
	move(&from, &to, frame->length - w->header_length - in_payload);
	finish_l4(w, in_header, sum);
}

static void put_whole(struct wire *w, const struct ena_frame_room *room)
{
	const struct ena_frame *frame = w->frame;
	struct ena_frame_cursor from, to;

	w->header_length = frame->header_length;
	memcpy(w->header, frame->header, w->header_length);
	if (frame->flags & ENA_FRAME_L3_CSUM)
		finish_l3(w);
	if (frame->flags & L4_CSUM) {
		put_summed(w, room);
	} else {
		ena_cursor_set(&from, frame, w->header_length);
		room_begin(&to, room, w->header_length);
		move(&from, &to, frame->length - w->header_length);
	}
	move_header(w, room);
}

/* ---- A segment of a TSO ---- */

static void cut_ip(struct wire *w, unsigned int n)
{
	uint8_t *ip = w->header + w->frame->l3_offset;
	uint32_t length =
		w->header_length - w->frame->l3_offset + w->payload_length;

	if (ip[0] >> 4 == 6) {
		store16(ip + ENA_IPV6_LENGTH, length - ENA_IPV6_BYTES);
		return;
	}
	store16(ip + ENA_IPV4_LENGTH, length);
	store16(ip + ENA_IPV4_ID, ena_wire16(ip + ENA_IPV4_ID) + n);
	finish_l3(w);
}

static void cut_tcp(struct wire *w, unsigned int n, bool is_last)
{
	uint8_t *tcp = w->header + w->frame->l4_offset;

	store32(tcp + ENA_TCP_SEQUENCE,
		load32(tcp + ENA_TCP_SEQUENCE) + n * w->frame->mss);
	if (n)
		tcp[ENA_TCP_FLAGS] &= (uint8_t)~ENA_TCP_CWR;
	if (!is_last)
		tcp[ENA_TCP_FLAGS] &= (uint8_t) ~(ENA_TCP_FIN | ENA_TCP_PSH);
	store16(tcp + ENA_TCP_CSUM, 0);
}

static void put_segment(struct wire *w, unsigned int n,
			const struct ena_frame_room *room)
{
	const struct ena_frame *frame = w->frame;
	uint32_t offset = tso_header(frame) + n * frame->mss, sum;
	struct ena_frame_cursor from, to;

	w->header_length = tso_header(frame);
	w->payload_length = segment_payload(frame, n);
	memcpy(w->header, frame->header, w->header_length);
	cut_ip(w, n);
	cut_tcp(w, n, offset + w->payload_length == frame->length);
	ena_cursor_set(&from, frame, offset);
	room_begin(&to, room, w->header_length);
	sum = ena_sum_pseudo(w->header + frame->l3_offset, IPPROTO_TCP,
			     frame->l4_length + w->payload_length);
	sum += move_sum(&from, &to, w->payload_length, frame->l4_length & 1);
	finish_l4(w, w->header_length, sum);
	move_header(w, room);
}

void ena_frame_put(const struct ena_frame *frame, uint8_t *to)
{
	memcpy(to, frame->header, frame->header_length);
	to += frame->header_length;
	for (unsigned int i = 0; i < frame->part_count; i++) {
		memcpy(to, frame->parts[i].iov_base, frame->parts[i].iov_len);
		to += frame->parts[i].iov_len;
	}
}

static void put_plain(const struct ena_frame *frame,
		      const struct ena_frame_room *room)
{
	struct ena_frame_cursor from, to;

	if (room->count == 1) {
		ena_frame_put(frame, room->pieces->iov_base);
		return;
	}
	ena_cursor_set(&from, frame, 0);
	room_begin(&to, room, 0);
	move(&from, &to, frame->length);
}

void ena_frame_put_wire(const struct ena_frame *frame, unsigned int n,
			const struct ena_frame_room *room)
{
	struct wire w;

	if (!(frame->flags & ENA_FRAME_LEFT_TO_DO)) {
		put_plain(frame, room);
		return;
	}
	assert(frame->header_length <= sizeof w.header);
	w.frame = frame;
	w.l4_proto = is_tcp(frame) ? IPPROTO_TCP : IPPROTO_UDP;
	if (frame->flags & ENA_FRAME_TSO)
		put_segment(&w, n, room);
	else
		put_whole(&w, room);
}
