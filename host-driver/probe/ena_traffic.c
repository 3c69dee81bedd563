/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of a network adapter's traffic: reception, offloads, RSS, and the
 * interrupts that come of it.  ena_eth_io_defs.h; what drivers' data paths rely
 * on.  Most need an adapter at the other end.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"
#include "host-driver/probe/ena.h"

#define RAW_DEPTH 32u
#define RX        ENA_ADMIN_SQ_DIRECTION_RX
#define MSS       500u
#define VECTOR    1
#define DELAY_US  5000u

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

static enum probe_verdict say_why(struct probe *p, int rc, const char *step)
{
	if (rc == -EPROTO)
		return probe_broken(p, "%s", host_ena_why(p->ena));
	return probe_failed(p, rc, step);
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
			return say_why(p, rc, "a packet");
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
	rc = host_ena_rx_close(&p->rx);
	if (rc == 0)
		rc = ena_raw_open(p, RX, RAW_DEPTH, -1, &raw);
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
	rc = host_ena_rx_close(&p->rx);
	if (rc == 0)
		rc = ena_raw_open(p, RX, RAW_DEPTH, -1, &raw);
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
	rc = host_ena_rx_close(&p->rx);
	if (rc == 0)
		rc = ena_raw_open(p, RX, RAW_DEPTH, -1, &raw);
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
	return rc ? say_why(p, rc, "a broadcast") : PROBE_HOLDS;
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
		return say_why(p, rc, "a packet");
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

/* --- RSS ------------------------------------------------------------------ */

/* DPDK's published example. */
static const uint8_t golden_key[ENA_ADMIN_RSS_KEY_BYTES] = {
	0x77, 0xd1, 0xc9, 0x34, 0xa4, 0xc9, 0xbd, 0x87, 0x6e, 0x35,
	0xdd, 0x17, 0xb2, 0xe3, 0x23, 0x9e, 0x39, 0x6d, 0x8a, 0x93,
	0x2a, 0x95, 0xb4, 0x72, 0x3a, 0xb3, 0x7f, 0x56, 0x8e, 0xde,
	0xb6, 0x01, 0x97, 0xaf, 0x3b, 0x2f, 0x3a, 0x70, 0xe7, 0x04,
};

static enum probe_verdict want_hash(struct probe *p, uint32_t seed,
				    uint32_t hash)
{
	struct host_packet packet = ena_packet_from_peer(p, HOST_PACKET_TCP);
	struct host_ena_received part = { 0 };
	unsigned int count;
	int rc = host_ena_set_rss_key(p->ena, golden_key, seed);

	packet.from_ip = 0x01020304;
	packet.to_ip = 0x01020305;
	packet.from_port = packet.to_port = 7000;
	if (rc == 0)
		rc = ena_peer_send(p, &packet, NULL);
	if (rc == 0)
		rc = ena_receive(p, &part, 1, &count);
	if (rc)
		return say_why(p, rc, "a packet");
	return part.hash == hash
		       ? PROBE_HOLDS
		       : probe_broken(p, "%08xh, where %08xh should be",
				      part.hash, hash);
}

enum probe_verdict probe_ena_rss_hash(struct probe *p)
{
	enum probe_verdict verdict;

	NEEDS_PEER(p);
	if (!host_ena_has_feature(p->ena, ENA_ADMIN_RSS_HASH_FUNCTION))
		return probe_skip(p, "its key cannot be set");
	verdict = want_hash(p, 0, 0xa9828bd4);
	return verdict == PROBE_HOLDS
		       ? want_hash(p, UINT32_MAX, 0xa9828bd4 ^ UINT32_MAX)
		       : verdict;
}

enum probe_verdict probe_ena_rss_table(struct probe *p)
{
	const struct host_ena_rx_options options = { .depth = ENA_DEPTH,
						     .buffer_bytes =
							     ENA_BUFFER };
	struct host_ena_received part = { 0 };
	struct host_ena_rx *second = NULL;
	struct host_packet packet;
	uint16_t table[128];
	unsigned int on_second = 0;
	int rc;

	NEEDS_PEER(p);
	packet = ena_packet_from_peer(p, HOST_PACKET_UDP);
	rc = host_ena_rx_open(&p->ena_doors, &options, &second);
	if (rc)
		return probe_failed(p, rc, "a second queue");
	for (unsigned int i = 0; i < 128; i++)
		table[i] = host_ena_rx_sq(i % 2 ? second : p->rx)->index;
	rc = host_ena_set_rss_table(p->ena, table, 7);
	for (uint16_t i = 0; i < 64 && rc == 0; i++) {
		packet.from_port = (uint16_t)(1000 + 37 * i);
		rc = ena_peer_send(p, &packet, NULL);
		probe_pause_ms(p, 0);
		if (rc == 0 && host_ena_rx_poll(second, &part, 1) == 1) {
			on_second++;
			if (part.hash % 2 == 0)
				rc = -EPROTO;
		}
	}
	probe_pause_ms(p, 1);
	if (rc == 0 && host_ena_rx_poll(second, &part, 1) == 1)
		on_second++;
	host_ena_rx_forget(&second);
	if (rc)
		return probe_failed(p, rc, "a packet in its hash's queue");
	return on_second >= 10 && on_second <= 54
		       ? PROBE_HOLDS
		       : probe_broken(p, "%u of 64 flows in one of two queues",
				      on_second);
}

enum probe_verdict probe_ena_rss_table_size(struct probe *p)
{
	struct ena_admin_rss_ind_table table = { 0 };
	uint16_t queues[128];
	int rc = host_ena_get_rss_table(p->ena, &table, queues, 128);

	if (rc)
		return probe_failed(p, rc, "Get Feature");
	return le16_get(table.min_size) <= 7 && le16_get(table.max_size) >= 7
		       ? PROBE_HOLDS
		       : probe_broken(p, "2^%u to 2^%u entries",
				      le16_get(table.min_size),
				      le16_get(table.max_size));
}

enum probe_verdict probe_ena_rss_fields(struct probe *p)
{
	static const uint16_t needed[] = { 0x3c, 0x3c, 0x3c, 0x3c,
					   0x0c, 0x0c, 0x0c, 0x03 };
	struct ena_admin_rss_hash_control control;
	int rc;

	if (!host_ena_has_feature(p->ena, ENA_ADMIN_RSS_HASH_INPUT))
		return probe_skip(p, "its fields cannot be chosen");
	rc = host_ena_get_rss_fields(p->ena, &control);
	if (rc)
		return probe_failed(p, rc, "Get Feature");
	for (size_t i = 0; i < RT_COUNT(needed); i++)
		if ((le16_get(control.supported[i].fields) & needed[i]) !=
		    needed[i])
			return probe_broken(
				p, "protocol %zu: fields %xh", i,
				le16_get(control.supported[i].fields));
	rc = host_ena_set_rss_fields(p->ena, &control);
	return rc ? probe_failed(p, rc, "setting what was got") : PROBE_HOLDS;
}

/* Drivers give a buffer with their own key, and set that afterwards. */
enum probe_verdict probe_ena_rss_key_unset(struct probe *p)
{
	struct ena_admin_rss_hash_function function;
	struct ena_admin_rss_hash_key key;
	int rc;

	if (!host_ena_has_feature(p->ena, ENA_ADMIN_RSS_HASH_FUNCTION))
		return probe_skip(p, "its key cannot be set");
	memset(&key, PROBE_FILL, sizeof key);
	rc = host_ena_get_rss_hash(p->ena, &function, &key);
	if (rc)
		return probe_failed(p, rc, "Get Feature");
	if (!(le32_get(function.supported_func) & BIT(ENA_ADMIN_TOEPLITZ)))
		return probe_broken(p, "it does not offer Toeplitz");
	for (unsigned int i = 0; i < ENA_ADMIN_RSS_KEY_BYTES; i++)
		if (key.key[i] != PROBE_FILL)
			return probe_broken(p, "the driver's key is "
					       "overwritten");
	return PROBE_HOLDS;
}

enum probe_verdict probe_ena_rss_queue_unknown(struct probe *p)
{
	uint16_t table[128];

	memset(table, 0x7f, sizeof table);
	return ena_want_refusal(p, host_ena_set_rss_table(p->ena, table, 7));
}

/* --- Interrupts ----------------------------------------------------------- */

struct bell {
	int fds[2];
};

static void bell_free(const struct bell *bell)
{
	close(bell->fds[0]);
	close(bell->fds[1]);
}
#define BELL __attribute__((cleanup(bell_free)))

static int bell_make(struct probe *p, struct bell *bell)
{
	for (int i = 0; i < 2; i++)
		bell->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return host_msix_enable(p->fn, bell->fds, 2);
}

/* How often it has rung since it was last asked. */
static uint64_t rung(const struct bell *bell, int i)
{
	uint64_t count = 0;

	return read(bell->fds[i], &count, sizeof count) == sizeof count ? count
									: 0;
}

static bool rings(struct probe *p, const struct bell *bell, int i)
{
	const struct rt_clock clock = { 0 };
	uint64_t end =
		rt_clock_now_ns(&clock) + p->options.timeout_ms * RT_NS_PER_MS;

	while (rung(bell, i) == 0) {
		if (rt_clock_now_ns(&clock) > end)
			return false;
		probe_pause_ms(p, 1);
	}
	return true;
}

/* A transmit queue with an interrupt, in place of the one without. */
static int interrupting(struct probe *p, struct bell *bell)
{
	const struct host_ena_tx_options options = { .depth = ENA_DEPTH,
						     .has_interrupt = true,
						     .vector = VECTOR };
	int rc = bell_make(p, bell);

	if (rc == 0)
		rc = host_ena_tx_close(&p->tx);
	return rc ? rc : host_ena_tx_open(&p->ena_doors, &options, &p->tx);
}

static int send_one(struct probe *p)
{
	uint64_t page = ena_page(p);

	return ena_send(p, &(struct host_ena_packet){
				   .bytes = host_ena_at(p->ena, page),
				   .iova = page,
				   .length = 60 });
}

static int unmask(struct probe *p, uint32_t delay)
{
	return host_ena_unmask(p->ena, host_ena_tx_cq(p->tx), delay, delay);
}

enum probe_verdict probe_ena_interrupt_management(struct probe *p)
{
	struct ena_admin_basic_stats stats;
	struct bell bell BELL;
	int rc = bell_make(p, &bell);

	if (rc == 0)
		rc = host_ena_get_stats(p->ena, ENA_ADMIN_STATS_BASIC, &stats,
					sizeof stats);
	probe_pause_ms(p, PROBE_QUIET_MS);
	if (rc == 0 && rung(&bell, 0))
		return probe_broken(p, "INTR_MASK does not mask");
	if (rc == 0)
		rc = host_ena_admin_interrupt(p->ena, true);
	probe_pause_ms(p, PROBE_QUIET_MS);
	(void)rung(&bell, 0);
	if (rc == 0)
		rc = host_ena_get_stats(p->ena, ENA_ADMIN_STATS_BASIC, &stats,
					sizeof stats);
	if (rc)
		return probe_failed(p, rc, "a command");
	return rings(p, &bell, 0) ? PROBE_HOLDS
				  : probe_broken(p, "a completion has none");
}

enum probe_verdict probe_ena_interrupt_events(struct probe *p)
{
	struct bell bell BELL;
	int rc = bell_make(p, &bell);

	if (rc == 0)
		rc = host_ena_admin_interrupt(p->ena, true);
	(void)host_ena_take_events(p->ena);
	probe_pause_ms(p, PROBE_QUIET_MS);
	(void)rung(&bell, 0);
	if (rc)
		return probe_failed(p, rc, "INTR_MASK");
	rc = host_ena_await_event(p->ena, ENA_ADMIN_AENQ_KEEP_ALIVE, 2500,
				  NULL);
	if (rc)
		return probe_failed(p, rc, "a keep-alive");
	return rings(p, &bell, 0) ? PROBE_HOLDS
				  : probe_broken(p, "a keep-alive has none");
}

enum probe_verdict probe_ena_interrupt_masked_first(struct probe *p)
{
	struct bell bell BELL;
	int rc = interrupting(p, &bell);

	if (rc == 0)
		rc = send_one(p);
	probe_pause_ms(p, PROBE_QUIET_MS);
	if (rc)
		return probe_failed(p, rc, "a packet");
	return rung(&bell, VECTOR) ? probe_broken(p, "before it is unmasked")
				   : PROBE_HOLDS;
}

enum probe_verdict probe_ena_interrupt_pending(struct probe *p)
{
	struct bell bell BELL;
	int rc = interrupting(p, &bell);

	if (rc == 0)
		rc = send_one(p);
	if (rc == 0)
		rc = unmask(p, 0);
	if (rc)
		return probe_failed(p, rc, "a packet");
	return rings(p, &bell, VECTOR)
		       ? PROBE_HOLDS
		       : probe_broken(p, "what came while masked is lost");
}

enum probe_verdict probe_ena_interrupt_once(struct probe *p)
{
	struct bell bell BELL;
	int rc = interrupting(p, &bell);

	if (rc == 0)
		rc = unmask(p, 0);
	if (rc == 0)
		rc = send_one(p);
	if (rc)
		return probe_failed(p, rc, "a packet");
	if (!rings(p, &bell, VECTOR))
		return probe_broken(p, "it does not come");
	for (int i = 0; i < 5 && rc == 0; i++)
		rc = send_one(p);
	probe_pause_ms(p, PROBE_QUIET_MS);
	if (rung(&bell, VECTOR))
		return probe_broken(p, "it comes again without being unmasked");
	rc = unmask(p, 0);
	return rc == 0 && rings(p, &bell, VECTOR)
		       ? PROBE_HOLDS
		       : probe_broken(p, "it does not come again");
}

enum probe_verdict probe_ena_interrupt_delay(struct probe *p)
{
	const struct rt_clock clock = { 0 };
	struct bell bell BELL;
	uint64_t start, us;
	int rc;

	if (p->ena->facts.delay_us == 0)
		return probe_skip(p, "interrupts cannot be delayed");
	rc = interrupting(p, &bell);
	if (rc == 0)
		rc = unmask(p, DELAY_US / p->ena->facts.delay_us);
	start = rt_clock_now_ns(&clock);
	if (rc == 0)
		rc = send_one(p);
	if (rc)
		return probe_failed(p, rc, "a packet");
	if (!rings(p, &bell, VECTOR))
		return probe_broken(p, "it does not come");
	us = (rt_clock_now_ns(&clock) - start) / RT_NS_PER_US;
	return us >= DELAY_US * 3 / 4
		       ? PROBE_HOLDS
		       : probe_broken(p, "it comes after %lu us, not %u", us,
				      DELAY_US);
}

enum probe_verdict probe_ena_interrupt_none(struct probe *p)
{
	struct bell bell BELL;
	int rc = bell_make(p, &bell);

	if (rc == 0)
		rc = unmask(p, 0);
	if (rc == 0)
		rc = send_one(p);
	probe_pause_ms(p, PROBE_QUIET_MS);
	if (rc)
		return probe_failed(p, rc, "a packet");
	return rung(&bell, VECTOR) || rung(&bell, 0)
		       ? probe_broken(p, "a queue without a vector has one")
		       : PROBE_HOLDS;
}
