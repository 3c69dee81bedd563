/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of a network adapter's RSS: hashes, keys and the table.  Most need an
 * adapter at the other end.
 */
#include <errno.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "host-driver/probe/ena.h"

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
		return ena_say_why(p, rc, "a packet");
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
