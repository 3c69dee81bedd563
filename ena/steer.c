/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which receive queue a frame goes to: a rule of flow steering says so, or else
 * RSS.  On the function's loop.
 *
 * What was found for a flow is kept, because most frames are of a flow that was
 * seen a moment ago.  What is kept holds until an admin command or a queue that
 * comes or goes may have changed it; then all of it is forgotten.
 */
#include <string.h>

#include "ena/queue.h"
#include "ena/wire.h"

/* What a flow of TCP or UDP over IPv4 has in each frame, as it stands there. */
struct key {
	uint64_t addresses;
	uint32_t ports;
};

static struct ena_steered find(const struct ena_nic *nic,
			       const struct ena_frame *frame,
			       const struct ena_frame_info *info)
{
	bool is_hashed = info->l3_proto != ENA_ETH_IO_L3_PROTO_UNKNOWN;
	struct ena_steered to = { 0 };

	to.hash = is_hashed ? ena_rss_hash(nic, frame, info) : 0;
	to.queue = ena_flow_queue(nic, frame, info);
	if (to.queue == ENA_NO_QUEUE)
		to.queue = ena_rss_queue(nic, to.hash, is_hashed);
	return to;
}

/* Longer headers are rare, and those of IPv6 would take too much room. */
static inline bool read_key(const struct ena_frame *frame,
			    const struct ena_frame_info *info, struct key *key)
{
	const uint8_t *ip = frame->header + info->l3_offset;

	if (info->l3_proto != ENA_ETH_IO_L3_PROTO_IPV4 || !info->l4_proto ||
	    info->l4_offset != info->l3_offset + ENA_IPV4_BYTES)
		return false;
	memcpy(&key->addresses, ip + ENA_IPV4_ADDRESSES, sizeof key->addresses);
	memcpy(&key->ports, ip + ENA_IPV4_BYTES, sizeof key->ports);
	return true;
}

static inline unsigned int slot_of(const struct key *key)
{
	uint64_t mixed = key->addresses ^ key->addresses >> 32 ^ key->ports;

	/* The odd number next to 2^32 divided by the golden ratio. */
	return (uint32_t)mixed * 2654435769u /
	       (UINT32_MAX / ENA_KNOWN_FLOWS + 1);
}

struct ena_steered ena_steer(struct ena_nic *nic, const struct ena_frame *frame,
			     const struct ena_frame_info *info)
{
	struct ena_known_flow *known;
	struct key key;

	if (!read_key(frame, info, &key))
		return find(nic, frame, info);
	known = &nic->path->flows[slot_of(&key)];
	if (known->addresses != key.addresses || known->ports != key.ports ||
	    known->l4_proto != info->l4_proto)
		*known = (struct ena_known_flow){
			.addresses = key.addresses,
			.ports = key.ports,
			.l4_proto = info->l4_proto,
			.to = find(nic, frame, info),
		};
	return known->to;
}

void ena_steer_forget(struct ena_nic *nic)
{
	if (nic->path)
		memset(nic->path->flows, 0, sizeof nic->path->flows);
}
