/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From descriptors to frames.  A packet is walked once: each descriptor is
 * copied and looked at in the copy, each buffer is found and its first bytes
 * are asked for.  Only when all packets of a burst are walked are the first
 * bytes copied, and have had time to come.
 *
 * In host memory a packet is a row of descriptors in the ring:
 *
 *   [meta] data data … data(LAST)
 *
 * In device memory (LLQ) the ring has entries, a packet begins a new one, and
 * its first bytes stand in it, behind room for a fixed number of descriptors:
 *
 *   | meta | data | header ……………… |   first entry, here with room for two
 *   | data | data | data | data(LAST) |   others: full of them, or one in each
 */
#include <netinet/in.h>

#include "ena/queue.h"
#include "ena/wire.h"

#define MSS_SHIFT 10
#define AHEAD     4u /* entries */

/* Where the walk is. */
struct walk {
	const struct ena_sq_state *sq;
	const uint8_t *descs;
	uint16_t at;              /* of the entry, free-running */
	uint16_t available;       /* from there on */
	unsigned int slot, slots; /* in the entry */
};

/* What comes of it, besides the packet. */
enum outcome { WHOLE, DROPPED, UNFINISHED };

static const uint8_t *entry_at(const struct walk *w, unsigned int at)
{
	size_t bytes = w->sq->is_llq ? w->sq->llq_entry_bytes : ENA_DESC_BYTES;

	return w->descs + (at & (w->sq->depth - 1)) * bytes;
}

static void enter(struct walk *w, const struct ena_sq_state *sq,
		  const uint8_t *descs, uint16_t at, uint16_t available)
{
	w->sq = sq;
	w->descs = descs;
	w->at = at;
	w->available = available;
	w->slot = 0;
	w->slots = sq->is_llq ? sq->llq_descs_before_header : 1;
}

static void next_entry(struct walk *w)
{
	w->at++;
	w->available--;
	w->slot = 0;
	if (w->sq->is_llq)
		w->slots = w->sq->llq_is_single
				   ? 1
				   : w->sq->llq_entry_bytes / ENA_DESC_BYTES;
}

/* False: the driver has not rung for it. */
static bool next_desc(struct walk *w, struct ena_eth_io_tx_desc *desc)
{
	if (w->slot == w->slots)
		next_entry(w);
	if (!w->available)
		return false;
	ena_desc_copy(desc, entry_at(w, w->at) + w->slot * ENA_DESC_BYTES);
	w->slot++;
	return true;
}

static void take_meta(struct ena_tx_packet *packet,
		      const struct ena_eth_io_tx_desc *desc)
{
	uint32_t word0 = le32_get(desc->len_ctrl);
	uint32_t word2 = le32_get(desc->buff_addr_lo);

	if (!bits_get(ENA_ETH_IO_TX_META_EXT_VALID, word0))
		return;
	packet->meta = (struct ena_tx_meta){
		.mss = (uint16_t)(bits_get(ENA_ETH_IO_TX_META_MSS_HI, word0)
					  << MSS_SHIFT |
				  bits_get(ENA_ETH_IO_TX_META_MSS_LO, word2)),
		.l3_header_bytes =
			(uint8_t)bits_get(ENA_ETH_IO_TX_META_L3_HDR_LEN, word2),
		.l3_header_offset =
			(uint8_t)bits_get(ENA_ETH_IO_TX_META_L3_HDR_OFF, word2),
		.l4_header_words =
			(uint8_t)bits_get(ENA_ETH_IO_TX_META_L4_HDR_LEN, word2),
	};
}

/* ---- Buffers ---- */

static bool add_part(struct ena_tx_burst *burst, struct ena_tx_packet *packet,
		     uint8_t *bytes, size_t size)
{
	struct iovec *part = &burst->parts[burst->part_count];

	if (packet->part_count &&
	    (uint8_t *)part[-1].iov_base + part[-1].iov_len == bytes) {
		part[-1].iov_len += size;
		return true;
	}
	if (packet->part_count == ENA_FRAME_MAX_PARTS)
		return false;
	*part = (struct iovec){ bytes, size };
	burst->part_count++;
	packet->part_count++;
	return true;
}

/* False: not all of it can be reached, or it is in too many pieces. */
static bool add_buffer(struct ena_nic *nic, struct ena_tx_packet *packet,
		       uint64_t iova, uint64_t left)
{
	struct ena_path *path = nic->path;

	while (left) {
		uint64_t size = left;
		uint8_t *bytes =
			pcie_dma_near(nic->fn, &path->tx_near, iova, &size);

		if (!bytes || !add_part(&path->burst, packet, bytes, size))
			return false;
		__builtin_prefetch(bytes);
		iova += size;
		left -= size;
	}
	return true;
}

static enum outcome drop(struct ena_nic *nic, enum ena_rule rule,
			 uint64_t value)
{
	rt_rule_broken(&nic->fn->rules, rule, value);
	return DROPPED;
}

static enum outcome take_buffer(struct ena_nic *nic,
				struct ena_tx_packet *packet,
				const struct ena_eth_io_tx_desc *desc)
{
	uint64_t size =
		bits_get(ENA_ETH_IO_TX_DESC_LENGTH, le32_get(desc->len_ctrl));
	uint64_t iova = bits_get(ENA_ETH_IO_TX_DESC_ADDR_HI,
				 le32_get(desc->buff_addr_hi_hdr_sz));

	iova = iova << 32 | le32_get(desc->buff_addr_lo);
	packet->length += (uint32_t)size;
	if (add_buffer(nic, packet, iova, size))
		return WHOLE;
	return drop(nic, ENA_RULE_TX_MEMORY, iova);
}

/* ---- A packet ---- */

/* Its name and wishes are in the first descriptor that has data. */
static enum outcome take_first(struct ena_nic *nic,
			       struct ena_tx_packet *packet,
			       const struct ena_sq_state *sq,
			       const struct ena_eth_io_tx_desc *desc)
{
	uint32_t word0 = le32_get(desc->len_ctrl);
	uint32_t pushed, room;

	packet->is_nameless = false;
	packet->meta_ctrl = le32_get(desc->meta_ctrl);
	packet->req_id =
		(uint16_t)(bits_get(ENA_ETH_IO_TX_DESC_REQ_ID_HI, word0) << 10 |
			   bits_get(ENA_ETH_IO_TX_DESC_REQ_ID_LO,
				    packet->meta_ctrl));
	if (!sq->is_llq)
		return WHOLE;
	pushed = (uint32_t)bits_get(ENA_ETH_IO_TX_DESC_HEADER_LENGTH,
				    le32_get(desc->buff_addr_hi_hdr_sz));
	room = sq->llq_entry_bytes -
	       sq->llq_descs_before_header * ENA_DESC_BYTES;
	if (pushed > room)
		return drop(nic, ENA_RULE_TX_HEADER, pushed);
	packet->inline_length = (uint8_t)pushed;
	packet->length = pushed;
	return WHOLE;
}

/* What goes wrong does not end the walk: the packet is dropped as a whole. */
static enum outcome walk_buffers(struct ena_nic *nic, struct walk *w,
				 struct ena_tx_packet *packet,
				 struct ena_eth_io_tx_desc *desc)
{
	enum outcome outcome = take_first(nic, packet, w->sq, desc);
	unsigned int count = 1;

	for (;; count++) {
		uint32_t word0 = le32_get(desc->len_ctrl);

		if (outcome == WHOLE &&
		    bits_get(ENA_ETH_IO_TX_DESC_META_DESC, word0))
			outcome = drop(nic, ENA_RULE_TX_META, word0);
		else if (outcome == WHOLE &&
			 count > nic->profile->packet_descs + 1u)
			outcome = drop(nic, ENA_RULE_TX_DESCS, count);
		else if (outcome == WHOLE)
			outcome = take_buffer(nic, packet, desc);
		if (bits_get(ENA_ETH_IO_TX_DESC_LAST, word0))
			return outcome;
		if (!next_desc(w, desc))
			return UNFINISHED;
	}
}

static enum outcome walk_packet(struct ena_nic *nic, struct walk *w,
				struct ena_tx_packet *packet)
{
	struct ena_eth_io_tx_desc desc;
	uint32_t word0;

	packet->is_nameless = true;
	if (!next_desc(w, &desc))
		return UNFINISHED;
	word0 = le32_get(desc.len_ctrl);
	if (bits_get(ENA_ETH_IO_TX_DESC_PHASE, word0) !=
	    ena_phase_of(w->at, w->sq->depth))
		rt_rule_broken(&nic->fn->rules, ENA_RULE_TX_PHASE, w->at);
	if (!bits_get(ENA_ETH_IO_TX_DESC_META_DESC, word0))
		return walk_buffers(nic, w, packet, &desc);
	take_meta(packet, &desc);
	if (bits_get(ENA_ETH_IO_TX_DESC_LAST, word0))
		return drop(nic, ENA_RULE_TX_META, word0);
	if (!next_desc(w, &desc))
		return UNFINISHED;
	return walk_buffers(nic, w, packet, &desc);
}

/* For headers memcpy() becomes rep movs, which is slow to begin. */
static inline void copy_short(uint8_t *to, const uint8_t *from, size_t size)
{
	for (; size >= 16; size -= 16, to += 16, from += 16)
		memcpy(to, from, 16);
	if (size & 8) {
		memcpy(to, from, 8);
		to += 8;
		from += 8;
	}
	for (size &= 7; size; size--)
		*to++ = *from++;
}

/* The pushed header stands in the packet's first entry. */
static void copy_pushed(const struct ena_tx_packet *packet, uint8_t *header,
			const struct walk *w, uint16_t first)
{
	const uint8_t *from = entry_at(w, first) +
			      w->sq->llq_descs_before_header * ENA_DESC_BYTES;

	copy_short(header, from, packet->inline_length);
}

/* A guest's lines come from another core: ask before they are needed. */
static void ask_ahead(const struct walk *w)
{
	const uint8_t *ahead = entry_at(w, w->at + AHEAD);

	if (w->available <= AHEAD)
		return;
	__builtin_prefetch(ahead);
	if (w->sq->is_llq)
		__builtin_prefetch(ahead + ENA_LINE_BYTES);
}

void ena_tx_gather(struct ena_nic *nic, uint16_t n, uint16_t available)
{
	const struct ena_sq_state *sq = &nic->state->sq[n];
	struct ena_tx_burst *burst = &nic->path->burst;
	struct ena_tx_meta meta = sq->meta;
	uint16_t at = sq->consumed;
	uint32_t bytes = 0;

	burst->count = burst->part_count = 0;
	while (available && burst->count < ENA_BURST &&
	       bytes < ENA_BURST_MOST &&
	       burst->part_count + ENA_FRAME_MAX_PARTS <= ENA_PARTS) {
		struct ena_tx_packet *packet = &burst->packets[burst->count];
		struct walk w;
		enum outcome outcome;

		enter(&w, sq, nic->queues[n].descs, at, available);
		ask_ahead(&w);
		*packet = (struct ena_tx_packet){
			.meta = meta, .first_part = (uint16_t)burst->part_count
		};
		outcome = walk_packet(nic, &w, packet);
		if (outcome == UNFINISHED) {
			if (available == sq->depth)
				ena_sq_stop(nic, n, ENA_RULE_TX_ENDLESS, at);
			return;
		}
		packet->has_frame = outcome == WHOLE;
		if (packet->has_frame && packet->inline_length)
			copy_pushed(packet, burst->headers[burst->count], &w,
				    at);
		packet->end = (uint16_t)(w.at + 1);
		available = (uint16_t)(available - (packet->end - at));
		at = packet->end;
		meta = packet->meta;
		bytes += packet->length;
		burst->count++;
	}
	nic->path->turn_bytes += bytes;
}

/* ---- Frames ---- */

/* Up to where the header is ours; what is behind it is the frame's parts. */
static void copy_header(struct iovec *parts, struct ena_tx_packet *packet,
			uint8_t *header, struct ena_frame *frame)
{
	uint32_t at = packet->inline_length, first = 0;

	while (first < packet->part_count && at < ENA_FRAME_HEADER_BYTES) {
		struct iovec *part = &parts[first];
		size_t size = ENA_FRAME_HEADER_BYTES - at;

		if (size > part->iov_len)
			size = part->iov_len;
		copy_short(header + at, part->iov_base, size);
		at += (uint32_t)size;
		part->iov_base = (uint8_t *)part->iov_base + size;
		part->iov_len -= size;
		first += !part->iov_len;
	}
	frame->header = header;
	frame->header_length = (uint16_t)at;
	frame->parts = parts + first;
	frame->part_count = (uint8_t)(packet->part_count - first);
	frame->length = packet->length;
}

static uint8_t protocol_of(uint32_t ctrl)
{
	switch (bits_get(ENA_ETH_IO_TX_DESC_L4_PROTO_IDX, ctrl)) {
	case ENA_ETH_IO_L4_PROTO_TCP:
		return IPPROTO_TCP;
	case ENA_ETH_IO_L4_PROTO_UDP:
		return IPPROTO_UDP;
	default:
		return 0;
	}
}

/* Only IPv4 has a header checksum. */
static bool wants_l3(uint32_t ctrl, const struct ena_frame *frame)
{
	return bits_get(ENA_ETH_IO_TX_DESC_L3_CSUM_EN, ctrl) &&
	       frame->l3_offset < frame->header_length &&
	       frame->header[frame->l3_offset] >> 4 == 4;
}

#define OFFLOADS                                                               \
	(ENA_ETH_IO_TX_DESC_TSO_EN | ENA_ETH_IO_TX_DESC_L3_CSUM_EN |           \
	 ENA_ETH_IO_TX_DESC_L4_CSUM_EN)

static void add_offloads(const struct ena_tx_packet *packet,
			 struct ena_frame *frame)
{
	const struct ena_tx_meta *meta = &packet->meta;
	uint32_t ctrl = packet->meta_ctrl;

	frame->l3_offset = meta->l3_header_offset;
	frame->l4_offset =
		(uint16_t)(meta->l3_header_offset + meta->l3_header_bytes);
	frame->l4_length = (uint16_t)(meta->l4_header_words * 4);
	frame->mss = meta->mss;
	frame->l4_proto = protocol_of(ctrl);
	if (bits_get(ENA_ETH_IO_TX_DESC_TSO_EN, ctrl)) {
		frame->l4_proto = IPPROTO_TCP;
		frame->flags = ENA_FRAME_TSO | ENA_FRAME_L4_CSUM_GOOD;
		return;
	}
	if (wants_l3(ctrl, frame))
		frame->flags |= ENA_FRAME_L3_CSUM;
	if (!bits_get(ENA_ETH_IO_TX_DESC_L4_CSUM_EN, ctrl))
		return;
	frame->flags |= ENA_FRAME_L4_CSUM_GOOD;
	frame->flags |= bits_get(ENA_ETH_IO_TX_DESC_L4_CSUM_PARTIAL, ctrl)
				? ENA_FRAME_L4_CSUM_PARTIAL
				: ENA_FRAME_L4_CSUM_FULL;
}

/* An Ethernet header and two tags are no part of the MTU. */
static bool fits(const struct ena_nic *nic, const struct ena_frame *frame)
{
	return frame->length >= ENA_ETHER_HEADER_BYTES &&
	       frame->length <= ENA_FRAME_MAX_BYTES &&
	       ena_frame_wire_length(frame, 0) <=
		       nic->max_mtu + ENA_ETHER_HEADER_BYTES +
			       2 * ENA_TAG_BYTES;
}

void ena_tx_frame(struct ena_nic *nic, struct ena_tx_packet *packet,
		  uint8_t *header, struct ena_frame *frame)
{
	*frame = (struct ena_frame){ 0 };
	copy_header(&nic->path->burst.parts[packet->first_part], packet, header,
		    frame);
	if (packet->meta_ctrl & OFFLOADS)
		add_offloads(packet, frame);
	packet->has_frame = false;
	if (frame->flags && !ena_frame_wire_count(frame))
		rt_rule_broken(&nic->fn->rules, ENA_RULE_TX_OFFLOAD,
			       packet->meta_ctrl);
	else if (!fits(nic, frame))
		rt_rule_broken(&nic->fn->rules, ENA_RULE_TX_LENGTH,
			       frame->length);
	else
		packet->has_frame = true;
}
