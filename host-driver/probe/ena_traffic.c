/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of a network adapter's traffic: reception and offloads.
 * ena_eth_io_defs.h; what drivers' data paths rely on.  All need an adapter at
 * the other end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "host-driver/probe/ena.h"

#define RAW_DEPTH 32u
#define RX        ENA_ADMIN_SQ_DIRECTION_RX
#define MSS       500u

/* --- Reception ------------------------------------------------------------ */

/* Everything of a packet, into one piece. */
static int gather(struct probe *p, uint8_t *frame, uint32_t *length,
		  struct host_ena_received *last)
{
	struct host_ena_received parts[HOST_ENA_MAX_BUFFERS];
	unsigned int count = 0;
	int rc = ena_receive(p, parts, HOST_ENA_MAX_BUFFERS, &count);

	*length = 0;
	for (unsigned int i = 0; rc == 0 && i < count; i++) {
		memcpy(frame + *length, parts[i].bytes, parts[i].length);
		*length += parts[i].length;
	}
	if (count > 0)
		*last = parts[count - 1];
	if (rc == 0)
		rc = host_ena_rx_give(p->rx, parts, count);
	return rc == 0 ? host_ena_rx_ring(p->rx) : rc;
}

/* A small ring in place of the driver's. */
static int begin_raw(struct probe *p, struct ena_raw *raw)
{
	int rc = host_ena_rx_close(&p->rx);

	return rc ? rc : ena_raw_open(p, RX, RAW_DEPTH, -1, raw);
}

enum probe_verdict probe_ena_rx_whole(struct probe *p)
{
	RT_FREE uint8_t *frame = malloc(HOST_PACKET_MAX_BYTES);
	struct host_ena_received last = { 0 };
	struct host_packet packet;
	struct host_packet_layout layout;
	uint32_t length;
	int rc;

	NEEDS_PEER(p);
	packet = ena_packet_from_peer(p, 0);
	/* Beyond 2 KiB a packet is in many buffers. */
	for (packet.payload = 46; packet.payload < 9000;
	     packet.payload += 331) {
		rc = ena_peer_send(p, &packet, &layout);
		if (rc == 0)
			rc = gather(p, frame, &length, &last);
		if (rc)
			return ena_say_why(p, rc, "a packet");
		if (length != layout.length ||
		    memcmp(frame, p->peer->frame, length) != 0)
			return probe_broken(p,
					    "%u bytes are sent, %u come or "
					    "others",
					    layout.length, length);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_ena_rx_full(struct probe *p)
{
	struct host_packet packet;
	uint64_t page = ena_page(p), words[2];
	struct ena_raw raw;
	int rc;

	NEEDS_PEER(p);
	packet = ena_packet_from_peer(p, 0);
	rc = begin_raw(p, &raw);
	for (uint16_t i = 0; i < RAW_DEPTH; i++)
		ena_raw_put_buffer(p, &raw, i, page, 2048);
	if (rc == 0)
		rc = ena_raw_ring(p, &raw);
	for (uint16_t i = 0; i < RAW_DEPTH && rc == 0; i++) {
		rc = ena_peer_send(p, &packet, NULL);
		if (rc == 0)
			rc = ena_raw_take(p, &raw, words);
		if (rc == 0 && words[0] >> 48 != i)
			return probe_broken(p, "buffer %lu is filled, not %u",
					    words[0] >> 48, i);
	}
	return rc ? probe_failed(p, rc, "32 buffers in a ring of 32")
		  : PROBE_HOLDS;
}

enum probe_verdict probe_ena_rx_guard(struct probe *p)
{
	struct host_packet packet;
	uint64_t page = ena_page(p), words[2];
	struct ena_raw raw;
	int rc;

	NEEDS_PEER(p);
	packet = ena_packet_from_peer(p, 0);
	packet.payload = 200;
	ena_fill(p, page);
	rc = begin_raw(p, &raw);
	/* Three odd pieces at odd places for 214 bytes. */
	ena_raw_put_buffer(p, &raw, 0, page + 101, 77);
	ena_raw_put_buffer(p, &raw, 1, page + 1003, 99);
	ena_raw_put_buffer(p, &raw, 2, page + 2001, 1000);
	if (rc == 0)
		rc = ena_raw_ring(p, &raw);
	if (rc == 0)
		rc = ena_peer_send(p, &packet, NULL);
	for (int i = 0; i < 3 && rc == 0; i++)
		rc = ena_raw_take(p, &raw, words);
	if (rc)
		return probe_failed(p, rc, "a packet in three buffers");
	return ena_is_filled(p, page, 0, 101) &&
			       ena_is_filled(p, page, 178, 1003) &&
			       ena_is_filled(p, page, 1102, 2001) &&
			       ena_is_filled(p, page, 2001 + 38, 4096)
		       ? PROBE_HOLDS
		       : probe_broken(p,
				      "bytes outside of buffers are written");
}

enum probe_verdict probe_ena_rx_none_left(struct probe *p)
{
	struct host_packet packet;
	uint64_t page = ena_page(p), words[2];
	struct ena_raw raw;
	int rc;

	NEEDS_PEER(p);
	packet = ena_packet_from_peer(p, 0);
	rc = begin_raw(p, &raw);
	for (int i = 0; i < 5 && rc == 0; i++)
		rc = ena_peer_send(p, &packet, NULL);
	ena_raw_put_buffer(p, &raw, 7, page, 2048);
	if (rc == 0)
		rc = ena_raw_ring(p, &raw);
	if (rc == 0)
		rc = ena_peer_send(p, &packet, NULL);
	if (rc == 0)
		rc = ena_raw_take(p, &raw, words);
	return rc ? probe_failed(p, rc, "a packet after some without a buffer")
		  : PROBE_HOLDS;
}

enum probe_verdict probe_ena_rx_other_address(struct probe *p)
{
	struct host_ena_received part;
	struct host_packet packet;
	unsigned int count;
	int rc;

	NEEDS_PEER(p);
	packet = ena_packet_from_peer(p, 0);
	memset(packet.to, 0xff, 6);
	rc = ena_peer_send(p, &packet, NULL);
	if (rc == 0)
		rc = ena_receive(p, &part, 1, &count);
	return rc ? ena_say_why(p, rc, "a broadcast") : PROBE_HOLDS;
}

/* --- Offloads ------------------------------------------------------------- */

static uint16_t offload_of(const struct host_packet *packet, uint16_t what)
{
	uint16_t is = packet->is_ipv6 ? HOST_ENA_IPV6 : HOST_ENA_IPV4;

	is |= packet->proto == HOST_PACKET_TCP ? HOST_ENA_TCP : HOST_ENA_UDP;
	return is | what;
}

/* Send one with work left to do; judge what comes out at the other end. */
static enum probe_verdict
try_offload(struct probe *p, const struct host_packet *packet, uint16_t what)
{
	RT_FREE uint8_t *got = malloc(HOST_PACKET_MAX_BYTES);
	RT_FREE uint8_t *want = malloc(HOST_PACKET_MAX_BYTES);
	uint64_t page = ena_page(p);
	uint8_t *frame = host_ena_at(p->ena, page);
	struct host_packet_layout layout;
	struct host_ena_packet out;
	uint32_t length = 0;
	int rc;

	host_packet_write(packet, frame, &layout);
	memcpy(want, frame, layout.length);
	if (what & HOST_ENA_L4_PARTIAL)
		host_packet_prepare_l4(frame, &layout);
	else if (what & HOST_ENA_L4_CSUM)
		host_packet_spoil_l4(frame, &layout);
	if (what & HOST_ENA_L3_CSUM)
		host_packet_spoil_l3(frame, &layout);
	out = (struct host_ena_packet){
		.bytes = frame,
		.iova = page,
		.length = layout.length,
		.offload = offload_of(packet, what),
		.l3_offset = layout.l3_offset,
		.l3_bytes = layout.l3_bytes,
		.l4_words = layout.l4_words,
	};
	rc = ena_send(p, &out);
	if (rc == 0)
		rc = ena_peer_receive(p, got, &length);
	if (rc)
		return probe_failed(p, rc, "sending it");
	if (host_packet_is_right(got, length, p->text, sizeof p->text) &&
	    length == layout.length && memcmp(got, want, length) == 0)
		return PROBE_HOLDS;
	return p->text[0] ? PROBE_BROKEN
			  : probe_broken(p, "another packet comes out");
}

static enum probe_verdict try_both(struct probe *p, uint8_t proto,
				   uint16_t what)
{
	enum probe_verdict verdict = PROBE_HOLDS;

	for (int is_ipv6 = 0; is_ipv6 < 2 && verdict == PROBE_HOLDS;
	     is_ipv6++) {
		struct host_packet packet = ena_packet_to_peer(p, proto);

		packet.is_ipv6 = is_ipv6;
		packet.payload = 333;
		verdict = try_offload(
			p, &packet,
			is_ipv6 ? (uint16_t)(what & ~HOST_ENA_L3_CSUM) : what);
	}
	return verdict;
}

enum probe_verdict probe_ena_offload_none(struct probe *p)
{
	struct host_packet packet;

	NEEDS_PEER(p);
	packet = ena_packet_to_peer(p, HOST_PACKET_TCP);
	return try_offload(p, &packet, 0);
}

enum probe_verdict probe_ena_offload_partial_tcp(struct probe *p)
{
	NEEDS_PEER(p);
	return try_both(p, HOST_PACKET_TCP, HOST_ENA_L4_PARTIAL);
}

enum probe_verdict probe_ena_offload_partial_udp(struct probe *p)
{
	NEEDS_PEER(p);
	return try_both(p, HOST_PACKET_UDP, HOST_ENA_L4_PARTIAL);
}

enum probe_verdict probe_ena_offload_full(struct probe *p)
{
	enum probe_verdict verdict;

	NEEDS_PEER(p);
	verdict = try_both(p, HOST_PACKET_TCP,
			   HOST_ENA_L4_CSUM | HOST_ENA_L3_CSUM);
	return verdict != PROBE_HOLDS
		       ? verdict
		       : try_both(p, HOST_PACKET_UDP,
				  HOST_ENA_L4_CSUM | HOST_ENA_L3_CSUM);
}

/* A payload for which the sum is 0, which UDP writes as ones. */
enum probe_verdict probe_ena_offload_udp_zero(struct probe *p)
{
	struct host_packet packet;
	struct host_packet_layout layout;
	uint8_t frame[256];

	NEEDS_PEER(p);
	packet = ena_packet_to_peer(p, HOST_PACKET_UDP);
	for (uint32_t port = 0; port < 65536; port++) {
		packet.from_port = (uint16_t)port;
		host_packet_write(&packet, frame, &layout);
		if (frame[layout.l4_offset + 6] == 0xff &&
		    frame[layout.l4_offset + 7] == 0xff)
			return try_offload(p, &packet, HOST_ENA_L4_PARTIAL);
	}
	return probe_skip(p, "no such packet was found");
}

/* Cut into segments, each of them right, and all of the payload in them. */
static enum probe_verdict check_segments(struct probe *p,
					 const struct host_packet *packet,
					 const struct host_packet_layout *l)
{
	uint32_t done = 0, length = 0, sequence;
	uint8_t frame[10000] = { 0 };
	const uint8_t *tcp = frame + l->l4_offset;

	while (done < packet->payload) {
		int rc = ena_peer_receive(p, frame, &length);

		if (rc)
			return probe_failed(p, rc, "a segment");
		if (!host_packet_is_right(frame, length, p->text,
					  sizeof p->text))
			return PROBE_BROKEN;
		sequence = (uint32_t)tcp[4] << 24 | (uint32_t)tcp[5] << 16 |
			   (uint32_t)tcp[6] << 8 | tcp[7];
		if (sequence != packet->sequence + done)
			return probe_broken(p, "sequence number %u after %u",
					    sequence, done);
		if (length - l->payload_offset !=
		    (packet->payload - done < MSS ? packet->payload - done
						  : MSS))
			return probe_broken(p, "a segment of %u bytes",
					    length - l->payload_offset);
		for (uint32_t i = l->payload_offset; i < length; i++, done++)
			if (frame[i] != host_packet_byte(packet->seed, done))
				return probe_broken(p, "byte %u is wrong",
						    done);
		if (tcp[13] & 1 && done < packet->payload)
			return probe_broken(p, "FIN before the end");
	}
	return tcp[13] & 1 ? PROBE_HOLDS
			   : probe_broken(p, "FIN is missing at the end");
}

static enum probe_verdict try_tso(struct probe *p, bool is_ipv6)
{
	struct host_packet packet = ena_packet_to_peer(p, HOST_PACKET_TCP);
	uint64_t page = ena_page(p);
	struct host_packet_layout l;
	struct host_ena_packet out = { .iova = page };
	uint8_t *frame = host_ena_at(p->ena, page);
	int rc;

	packet.is_ipv6 = is_ipv6;
	packet.payload = 3333;
	packet.tcp_flags = 1;
	packet.sequence = UINT32_MAX - 600;
	host_packet_write(&packet, frame, &l);
	host_packet_spoil_l4(frame, &l);
	out.bytes = frame;
	out.length = l.length;
	out.offload = offload_of(&packet, HOST_ENA_TSO | HOST_ENA_L4_CSUM);
	out.offload |= is_ipv6 ? 0 : HOST_ENA_L3_CSUM;
	out.l3_offset = l.l3_offset;
	out.l3_bytes = l.l3_bytes;
	out.l4_words = l.l4_words;
	out.mss = MSS;
	rc = ena_send(p, &out);
	return rc ? probe_failed(p, rc, "sending it")
		  : check_segments(p, &packet, &l);
}

enum probe_verdict probe_ena_offload_tso(struct probe *p)
{
	enum probe_verdict verdict;

	NEEDS_PEER(p);
	verdict = try_tso(p, false);
	return verdict == PROBE_HOLDS ? try_tso(p, true) : verdict;
}

/* What comes is said to be good or bad as it is. */
static enum probe_verdict try_rx_csum(struct probe *p, bool is_ipv6,
				      uint8_t proto, bool is_bad)
{
	struct host_packet packet = ena_packet_from_peer(p, proto);
	struct host_ena_received part = { 0 };
	struct host_packet_layout layout;
	struct host_ena_packet out = { .bytes = p->peer->frame,
				       .iova = p->peer->frame_iova };
	struct host_ena_sent sent[4];
	uint32_t error = (uint32_t)ENA_ETH_IO_RX_CDESC_L4_CSUM_ERR;
	unsigned int count;
	int rc;

	packet.is_ipv6 = is_ipv6;
	host_packet_write(&packet, p->peer->frame, &layout);
	if (is_bad)
		p->peer->frame[layout.payload_offset] ^= 1;
	out.length = layout.length;
	(void)host_ena_tx_put(p->peer->tx, &out, 1);
	rc = host_ena_tx_ring(p->peer->tx);
	if (rc == 0)
		rc = ena_receive(p, &part, 1, &count);
	(void)host_ena_tx_poll(p->peer->tx, sent, 4);
	if (rc)
		return ena_say_why(p, rc, "a packet");
	if (!(part.status & ENA_ETH_IO_RX_CDESC_L4_CSUM_CHECKED))
		return probe_broken(p, "the checksum is not looked at");
	if (!(part.status & error) == is_bad)
		return probe_broken(p, "a %s checksum is said to be %s",
				    is_bad ? "bad" : "good",
				    is_bad ? "good" : "bad");
	if (bits_get(ENA_ETH_IO_RX_CDESC_L3_PROTO_IDX, part.status) !=
		    (is_ipv6 ? ENA_ETH_IO_L3_PROTO_IPV6
			     : ENA_ETH_IO_L3_PROTO_IPV4) ||
	    bits_get(ENA_ETH_IO_RX_CDESC_L4_PROTO_IDX, part.status) !=
		    (proto == HOST_PACKET_TCP ? ENA_ETH_IO_L4_PROTO_TCP
					      : ENA_ETH_IO_L4_PROTO_UDP))
		return probe_broken(p, "protocols are wrong: %08xh",
				    part.status);
	return PROBE_HOLDS;
}

enum probe_verdict probe_ena_offload_rx_csum(struct probe *p)
{
	enum probe_verdict verdict = PROBE_HOLDS;

	NEEDS_PEER(p);
	for (unsigned int i = 0; i < 8 && verdict == PROBE_HOLDS; i++)
		verdict = try_rx_csum(p, i & 1,
				      i & 2 ? HOST_PACKET_TCP : HOST_PACKET_UDP,
				      i & 4);
	return verdict;
}
