/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Flow steering: rules that give a frame a queue before RSS does.  On the
 * function's loop.  A rule is kept as the driver gave it, in the state, and as
 * values and masks that can be compared quickly, in the order of their places;
 * the first that fits wins.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ena/control.h"

struct match {
	uint8_t l3_proto, l4_proto; /* ENA_ETH_IO_*; 0: any L4 */
	uint16_t ordinal;
	uint8_t tos, tos_mask;
	uint32_t ports, ports_mask; /* as they stand in the frame */
	uint64_t ip[4], ip_mask[4]; /* source, destination; IPv4: [0] only */
};

struct ena_flow_table {
	uint32_t count;
	struct match matches[ENA_MAX_FLOWS];
};

static const struct {
	uint8_t l3_proto, l4_proto;
} types[] = {
	[ENA_ADMIN_FLOW_IPV4] = { ENA_ETH_IO_L3_PROTO_IPV4, 0 },
	[ENA_ADMIN_FLOW_IPV6] = { ENA_ETH_IO_L3_PROTO_IPV6, 0 },
	[ENA_ADMIN_FLOW_IPV4_TCP] = { ENA_ETH_IO_L3_PROTO_IPV4,
				      ENA_ETH_IO_L4_PROTO_TCP },
	[ENA_ADMIN_FLOW_IPV6_TCP] = { ENA_ETH_IO_L3_PROTO_IPV6,
				      ENA_ETH_IO_L4_PROTO_TCP },
	[ENA_ADMIN_FLOW_IPV4_UDP] = { ENA_ETH_IO_L3_PROTO_IPV4,
				      ENA_ETH_IO_L4_PROTO_UDP },
	[ENA_ADMIN_FLOW_IPV6_UDP] = { ENA_ETH_IO_L3_PROTO_IPV6,
				      ENA_ETH_IO_L4_PROTO_UDP },
};

static bool is_type(uint8_t type)
{
	return type >= ENA_ADMIN_FLOW_IPV4 && type <= ENA_ADMIN_FLOW_IPV6_UDP;
}

/* ---- comparing ---- */

static void load_ip(uint64_t to[4], bool is_4, const uint8_t *src,
		    const uint8_t *dst)
{
	uint8_t both[32] = { 0 };
	size_t size = is_4 ? 4 : 16;

	memcpy(both, src, size);
	memcpy(both + size, dst, size);
	memcpy(to, both, sizeof both);
}

/* The rule has them in the CPU's order. */
static uint32_t load_ports(le16 src, le16 dst)
{
	uint16_t both[2] = { htons(le16_get(src)), htons(le16_get(dst)) };
	uint32_t word;

	memcpy(&word, both, sizeof word);
	return word;
}

static struct match make_match(const struct ena_flow *flow)
{
	const struct ena_admin_flow_rule *rule = &flow->rule;
	struct match m = {
		.l3_proto = types[flow->type].l3_proto,
		.l4_proto = types[flow->type].l4_proto,
		.ordinal = flow->rx_ordinal,
		.tos_mask = rule->tos_mask,
		.tos = rule->tos & rule->tos_mask,
	};
	bool is_4 = m.l3_proto == ENA_ETH_IO_L3_PROTO_IPV4;

	load_ip(m.ip, is_4, rule->src_ip, rule->dst_ip);
	load_ip(m.ip_mask, is_4, rule->src_ip_mask, rule->dst_ip_mask);
	for (unsigned int i = 0; i < 4; i++)
		m.ip[i] &= m.ip_mask[i];
	if (m.l4_proto)
		m.ports_mask =
			load_ports(rule->src_port_mask, rule->dst_port_mask);
	m.ports = load_ports(rule->src_port, rule->dst_port) & m.ports_mask;
	return m;
}

static bool fits(const struct match *m, const struct match *frame)
{
	uint64_t differ = 0;

	if (m->l3_proto != frame->l3_proto ||
	    (m->l4_proto && m->l4_proto != frame->l4_proto) ||
	    (frame->ports & m->ports_mask) != m->ports ||
	    (frame->tos & m->tos_mask) != m->tos)
		return false;
	for (unsigned int i = 0; i < 4; i++)
		differ |= (frame->ip[i] & m->ip_mask[i]) ^ m->ip[i];
	return !differ;
}

/* What is in the frame, in a rule's shape.  False: it is not IP. */
static bool read_frame(const struct ena_frame *frame,
		       const struct ena_frame_info *info, struct match *m)
{
	const uint8_t *l3 = frame->header + info->l3_offset;
	bool is_4 = info->l3_proto == ENA_ETH_IO_L3_PROTO_IPV4;
	bool is_6 = info->l3_proto == ENA_ETH_IO_L3_PROTO_IPV6;

	if ((!is_4 && !is_6) ||
	    info->l3_offset + (is_4 ? 20u : 40u) > frame->header_length)
		return false;
	*m = (struct match){ .l3_proto = info->l3_proto };
	if (is_4)
		load_ip(m->ip, true, l3 + 12, l3 + 16);
	else
		load_ip(m->ip, false, l3 + 8, l3 + 24);
	m->tos = (uint8_t)(is_4 ? l3[1] : l3[0] << 4 | l3[1] >> 4);
	if (!info->l4_proto || info->is_fragment ||
	    info->l4_offset + 4u > frame->header_length)
		return true;
	m->l4_proto = info->l4_proto;
	memcpy(&m->ports, frame->header + info->l4_offset, sizeof m->ports);
	return true;
}

static uint16_t queue_of(const struct ena_state *state, uint16_t ordinal)
{
	for (uint16_t i = 0; i < ENA_QUEUES; i++)
		if (state->sq[i].depth && state->sq[i].ordinal == ordinal &&
		    state->sq[i].direction == ENA_ADMIN_SQ_DIRECTION_RX)
			return i;
	return ENA_NO_QUEUE;
}

uint16_t ena_flow_queue(const struct ena_nic *nic,
			const struct ena_frame *frame,
			const struct ena_frame_info *info)
{
	const struct ena_flow_table *t = nic->flows;
	struct match m;

	if (!t->count || !read_frame(frame, info, &m))
		return ENA_NO_QUEUE;
	for (uint32_t i = 0; i < t->count; i++)
		if (fits(&t->matches[i], &m))
			return queue_of(nic->state, t->matches[i].ordinal);
	return ENA_NO_QUEUE;
}

/* ---- the rules ---- */

int ena_flow_create(struct ena_nic *nic)
{
	nic->flows = calloc(1, sizeof *nic->flows);
	return nic->flows ? 0 : -ENOMEM;
}

void ena_flow_destroy(struct ena_nic *nic)
{
	free(nic->flows);
	nic->flows = NULL;
}

void ena_flow_prepare(struct ena_nic *nic)
{
	struct ena_flow_table *t = nic->flows;

	t->count = 0;
	for (unsigned int i = 0; i < ENA_MAX_FLOWS; i++)
		if (nic->state->flows[i].is_used)
			t->matches[t->count++] =
				make_match(&nic->state->flows[i]);
}

bool ena_flow_is_sane(const struct ena_nic *nic)
{
	bool is_good = true;

	for (unsigned int i = 0; i < ENA_MAX_FLOWS; i++) {
		const struct ena_flow *flow = &nic->state->flows[i];

		is_good &= !flow->is_used || is_type(flow->type);
	}
	return is_good;
}

static ena_status refuse(struct ena_admin_command *cmd, uint64_t value)
{
	return ena_refuse(cmd->nic, ENA_RULE_FLOW_RULE,
			  ENA_ADMIN_ILLEGAL_PARAMETER, value);
}

static uint16_t find_place(const struct ena_nic *nic)
{
	for (uint16_t i = 0; i < nic->profile->flows; i++)
		if (!nic->state->flows[i].is_used)
			return i;
	return ENA_ADMIN_FLOW_ANYWHERE;
}

static ena_status add(struct ena_admin_command *cmd,
		      const struct ena_admin_flow_steering *request)
{
	struct ena_nic *nic = cmd->nic;
	struct ena_flow flow = { .is_used = true,
				 .type = request->type,
				 .rx_ordinal = le16_get(request->rx_q_idx) };
	uint16_t place = le16_get(request->rule_location);
	ena_status status;
	const void *buffer = ena_admin_buffer(cmd, ena_feature_buffer(cmd),
					      sizeof flow.rule, false, &status);
	le16 answer;

	if (status.code)
		return status;
	if (!buffer || !is_type(flow.type) || flow.rx_ordinal >= nic->pairs)
		return refuse(cmd, flow.type);
	if (place == ENA_ADMIN_FLOW_ANYWHERE)
		place = find_place(nic);
	if (place == ENA_ADMIN_FLOW_ANYWHERE)
		return (ena_status){ ENA_ADMIN_RESOURCE_ALLOCATION_FAILURE, 0 };
	if (place >= nic->profile->flows || nic->state->flows[place].is_used)
		return refuse(cmd, place);
	memcpy(&flow.rule, buffer, sizeof flow.rule);
	nic->state->flows[place] = flow;
	answer = le16_put(place);
	return ena_answer(cmd, &answer, sizeof answer);
}

static ena_status remove_one(struct ena_admin_command *cmd, uint16_t place)
{
	struct ena_nic *nic = cmd->nic;

	if (place >= nic->profile->flows || !nic->state->flows[place].is_used)
		return refuse(cmd, place);
	nic->state->flows[place] = (struct ena_flow){ 0 };
	return ENA_OK;
}

static ena_status act(struct ena_admin_command *cmd,
		      const struct ena_admin_flow_steering *request)
{
	switch (request->action) {
	case ENA_ADMIN_FLOW_ADD:
		return add(cmd, request);
	case ENA_ADMIN_FLOW_REMOVE:
		return remove_one(cmd, le16_get(request->rule_location));
	case ENA_ADMIN_FLOW_REMOVE_ALL:
		memset(cmd->nic->state->flows, 0,
		       sizeof cmd->nic->state->flows);
		return ENA_OK;
	default:
		return refuse(cmd, request->action);
	}
}

ena_status ena_set_flow(struct ena_admin_command *cmd)
{
	ena_status status = act(cmd, ena_feature_payload(cmd));

	ena_flow_prepare(cmd->nic);
	return status;
}
