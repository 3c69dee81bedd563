/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is in a frame: its headers, its bytes, its checksums.  The headers are
 * in our memory; the rest may change while we look, and then only the copy or
 * the sum of it is wrong.
 */
#include "ena/frame.h"

#include <netinet/in.h>
#include <string.h>

#include "ena/abi.h"
#include "ena/sum.h"
#include "ena/wire.h"

#define IPV4_ADDRESSES_BYTES 8u
#define MAX_TAGS             2u
#define MAX_EXTENSIONS       8u
/* The least of a frame with TCP over IPv4. */
#define PLAIN_BYTES          (ENA_ETHER_HEADER_BYTES + ENA_IPV4_BYTES + ENA_TCP_BYTES)

/* ---- Parsing ---- */

static bool is_tag(uint16_t type)
{
	return type == ENA_TYPE_VLAN || type == ENA_TYPE_SERVICE_VLAN ||
	       type == ENA_TYPE_OLD_VLAN;
}

/* Are size bytes at offset in the header? */
static bool has(const struct ena_frame *frame, uint32_t offset, uint32_t size)
{
	return offset + size <= frame->header_length;
}

/* A super-packet's own length may not fit its header, and is not told then. */
static uint32_t l3_length(const struct ena_frame *frame, uint32_t l3_offset,
			  uint32_t told)
{
	return frame->flags & ENA_FRAME_TSO ? frame->length - l3_offset : told;
}

/* The type of what is inside; 0: there is none. */
static uint16_t parse_ethernet(const struct ena_frame *frame,
			       struct ena_frame_info *info)
{
	uint32_t at = ENA_ETHER_HEADER_BYTES - 2;
	uint16_t type;

	if (!has(frame, at, 2))
		return 0;
	type = ena_wire16(frame->header + at);
	while (is_tag(type) && info->vlan_count < MAX_TAGS) {
		at += ENA_TAG_BYTES;
		if (!has(frame, at, 2))
			return 0;
		type = ena_wire16(frame->header + at);
		info->vlan_count++;
	}
	info->l3_offset = (uint16_t)(at + 2);
	return type;
}

/* What follows the IP headers; *at: where. */
static void parse_l4(const struct ena_frame *frame, struct ena_frame_info *info,
		     uint8_t protocol, uint32_t at)
{
	uint32_t size = protocol == IPPROTO_TCP ? ENA_TCP_BYTES : ENA_UDP_BYTES;
	uint32_t end = info->l3_offset + info->l3_length;

	info->l4_offset = (uint16_t)at;
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return;
	if (info->is_fragment || !has(frame, at, size) || at + size > end)
		return;
	if (protocol == IPPROTO_TCP)
		size = (frame->header[at + ENA_TCP_WORDS] >> 4) * 4u;
	if (size < ENA_UDP_BYTES || at + size > end ||
	    (protocol == IPPROTO_TCP && size < ENA_TCP_BYTES))
		return;
	info->l4_proto = protocol == IPPROTO_TCP ? ENA_ETH_IO_L4_PROTO_TCP
						 : ENA_ETH_IO_L4_PROTO_UDP;
	info->payload_offset = (uint16_t)(at + size);
}

static void parse_ipv4(const struct ena_frame *frame,
		       struct ena_frame_info *info)
{
	const uint8_t *ip = frame->header + info->l3_offset;
	uint32_t size;

	if (!has(frame, info->l3_offset, ENA_IPV4_BYTES) || ip[0] >> 4 != 4)
		return;
	size = (ip[0] & 15) * 4u;
	if (size < ENA_IPV4_BYTES || !has(frame, info->l3_offset, size))
		return;
	info->l3_proto = ENA_ETH_IO_L3_PROTO_IPV4;
	info->l3_length = l3_length(frame, info->l3_offset,
				    ena_wire16(ip + ENA_IPV4_LENGTH));
	info->is_fragment = ena_wire16(ip + ENA_IPV4_FRAGMENT) & 0x3fff;
	info->is_whole = info->l3_length >= size &&
			 info->l3_offset + info->l3_length <= frame->length;
	parse_l4(frame, info, ip[ENA_IPV4_PROTOCOL], info->l3_offset + size);
}

/* Bytes of an extension header; 0: it is none. */
static uint32_t extension_bytes(uint8_t protocol, const uint8_t *at)
{
	switch (protocol) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_MH:
		return (at[1] + 1u) * 8;
	case IPPROTO_FRAGMENT:
		return 8;
	case IPPROTO_AH:
		return (at[1] + 2u) * 4;
	default:
		return 0;
	}
}

static void parse_ipv6(const struct ena_frame *frame,
		       struct ena_frame_info *info)
{
	const uint8_t *ip = frame->header + info->l3_offset;
	uint32_t at = info->l3_offset + ENA_IPV6_BYTES, size;
	uint8_t protocol;

	if (!has(frame, info->l3_offset, ENA_IPV6_BYTES) || ip[0] >> 4 != 6)
		return;
	info->l3_proto = ENA_ETH_IO_L3_PROTO_IPV6;
	info->l3_length =
		l3_length(frame, info->l3_offset,
			  ENA_IPV6_BYTES + ena_wire16(ip + ENA_IPV6_LENGTH));
	info->is_whole = info->l3_offset + info->l3_length <= frame->length;
	protocol = ip[ENA_IPV6_NEXT];
	for (unsigned int i = 0; has(frame, at, 8); i++) {
		size = extension_bytes(protocol, frame->header + at);
		if (!size)
			break;
		info->has_extensions = true;
		info->is_fragment |= protocol == IPPROTO_FRAGMENT;
		protocol = frame->header[at];
		at += size;
		if (i == MAX_EXTENSIONS)
			return;
	}
	/* Behind what is cut off there may be anything. */
	if (has(frame, at, 8))
		parse_l4(frame, info, protocol, at);
}

/* Most frames: TCP or UDP over IPv4, in one piece and without options. */
static bool parse_plain(const struct ena_frame *frame,
			struct ena_frame_info *info)
{
	const uint8_t *ip = frame->header + ENA_ETHER_HEADER_BYTES;
	const uint8_t *l4 = ip + ENA_IPV4_BYTES;
	uint32_t length, size = ENA_UDP_BYTES;
	bool is_tcp;

	if (frame->header_length < PLAIN_BYTES ||
	    ena_wire16(ip - 2) != ENA_TYPE_IPV4 || ip[0] != 0x45 ||
	    ena_wire16(ip + ENA_IPV4_FRAGMENT) & 0x3fff)
		return false;
	is_tcp = ip[ENA_IPV4_PROTOCOL] == IPPROTO_TCP;
	if (is_tcp)
		size = (l4[ENA_TCP_WORDS] >> 4) * 4u;
	length = ena_wire16(ip + ENA_IPV4_LENGTH);
	if ((!is_tcp && ip[ENA_IPV4_PROTOCOL] != IPPROTO_UDP) ||
	    (is_tcp && size < ENA_TCP_BYTES) ||
	    length < ENA_IPV4_BYTES + size ||
	    ENA_ETHER_HEADER_BYTES + length > frame->length ||
	    frame->flags & ENA_FRAME_TSO)
		return false;
	*info = (struct ena_frame_info){
		.l3_proto = ENA_ETH_IO_L3_PROTO_IPV4,
		.l4_proto = is_tcp ? ENA_ETH_IO_L4_PROTO_TCP
				   : ENA_ETH_IO_L4_PROTO_UDP,
		.is_whole = true,
		.l3_offset = ENA_ETHER_HEADER_BYTES,
		.l4_offset = ENA_ETHER_HEADER_BYTES + ENA_IPV4_BYTES,
		.payload_offset = (uint16_t)(ENA_ETHER_HEADER_BYTES +
					     ENA_IPV4_BYTES + size),
		.l3_length = length,
	};
	return true;
}

void ena_frame_parse(const struct ena_frame *frame, struct ena_frame_info *info)
{
	uint16_t type;

	if (parse_plain(frame, info))
		return;
	*info = (struct ena_frame_info){ 0 };
	type = parse_ethernet(frame, info);
	if (type == ENA_TYPE_IPV4)
		parse_ipv4(frame, info);
	else if (type == ENA_TYPE_IPV6)
		parse_ipv6(frame, info);
}

/* ---- Bytes ---- */

void ena_frame_copy(const struct ena_frame *frame, uint32_t offset, void *to,
		    size_t size)
{
	struct ena_frame_cursor from;

	ena_cursor_set(&from, frame, offset);
	while (size) {
		size_t n = ena_cursor_piece(&from, size);

		memcpy(to, from.at, n);
		ena_cursor_advance(&from, n);
		to = (uint8_t *)to + n;
		size -= n;
	}
}

uint32_t ena_frame_copy_sum(const struct ena_frame *frame, uint32_t offset,
			    void *to, size_t size, uint32_t sum)
{
	struct ena_frame_cursor from;
	bool is_odd = false;

	ena_cursor_set(&from, frame, offset);
	while (size) {
		size_t n = ena_cursor_piece(&from, size);
		uint32_t part = to ? ena_sum_copy(to, from.at, n, 0)
				   : ena_sum(from.at, n, 0);

		sum += is_odd ? ena_sum_swap(part) : part;
		is_odd ^= n & 1;
		ena_cursor_advance(&from, n);
		to = to ? (uint8_t *)to + n : NULL;
		size -= n;
	}
	return sum;
}

/* ---- Checksums ---- */

/* Of addresses, protocol and length: RFC 9293, 3.1; RFC 8200, 8.1. */
uint32_t ena_sum_pseudo(const uint8_t *ip, uint8_t protocol, uint32_t length)
{
	uint32_t sum = protocol + (length >> 16) + (length & 0xffff);

	if (ip[0] >> 4 == 4)
		return ena_sum(ip + ENA_IPV4_ADDRESSES, 8, sum);
	return ena_sum(ip + ENA_IPV6_ADDRESSES, 32, sum);
}

bool ena_frame_l3_csum_is_good(const struct ena_frame *frame,
			       const struct ena_frame_info *info)
{
	const uint8_t *ip = frame->header + info->l3_offset;

	if (info->l3_proto != ENA_ETH_IO_L3_PROTO_IPV4)
		return true; /* it has none */
	return ena_sum_fold(ena_sum(ip, (ip[0] & 15u) * 4, 0)) == 0xffff;
}

/* What the checksum is of: UDP has its own idea. */
static uint32_t l4_length(const struct ena_frame *frame,
			  const struct ena_frame_info *info)
{
	uint32_t room = info->l3_offset + info->l3_length - info->l4_offset;
	uint32_t length;

	if (info->l4_proto != ENA_ETH_IO_L4_PROTO_UDP)
		return room;
	length = ena_wire16(frame->header + info->l4_offset + ENA_UDP_LENGTH);
	return length < ENA_UDP_BYTES || length > room ? 0 : length;
}

bool ena_frame_l4_csum_is_good(const struct ena_frame *frame,
			       const struct ena_frame_info *info)
{
	bool is_udp = info->l4_proto == ENA_ETH_IO_L4_PROTO_UDP;
	const uint8_t *l4 = frame->header + info->l4_offset;
	uint32_t length, sum;

	if (info->l4_proto == ENA_ETH_IO_L4_PROTO_UNKNOWN || !info->is_whole)
		return false;
	if (is_udp && !ena_wire16(l4 + ENA_UDP_CSUM)) /* there is none */
		return info->l3_proto == ENA_ETH_IO_L3_PROTO_IPV4;
	length = l4_length(frame, info);
	if (!length)
		return false;
	if (info->l4_offset == info->l3_offset + ENA_IPV4_BYTES &&
	    info->l4_offset + length <= frame->header_length)
		/* The addresses are just before it: all in one. */
		return ena_sum_fold(ena_sum(l4 - IPV4_ADDRESSES_BYTES,
					    IPV4_ADDRESSES_BYTES + length,
					    length + (is_udp ? IPPROTO_UDP
							     : IPPROTO_TCP))) ==
		       0xffff;
	sum = ena_sum_pseudo(frame->header + info->l3_offset,
			     is_udp ? IPPROTO_UDP : IPPROTO_TCP, length);
	if (info->l4_offset + length <= frame->header_length)
		sum = ena_sum(l4, length, sum);
	else
		sum = ena_frame_copy_sum(frame, info->l4_offset, NULL, length,
					 sum);
	return ena_sum_fold(sum) == 0xffff;
}
