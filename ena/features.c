/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET_FEATURE and SET_FEATURE: the table of features, and those of them that
 * are a few numbers.  Which there are is the profile's; asking for another one
 * gets UNSUPPORTED_OPCODE, the only status that drivers take for "it is not
 * there".
 */
#include <string.h>

#include "ena/control.h"
#include "firmware/rt/scope.h"

#define IMPLEMENTATION 1u
#define DEVICE_VERSION 0x0au
#define ADDRESS_BITS   48u
#define LEAST_MTU      68u /* IPv4's, RFC 791 */

uint32_t ena_features(const struct ena_nic *nic)
{
	uint32_t features = nic->profile->features;

	if (!nic->llq_bytes)
		features &= ~(uint32_t)BIT(ENA_ADMIN_LLQ);
	return features;
}

static const struct ena_admin_feature_cmd *
request_of(const struct ena_admin_command *cmd)
{
	return (const void *)cmd->in.body;
}

const void *ena_feature_payload(const struct ena_admin_command *cmd)
{
	return request_of(cmd)->payload;
}

const struct ena_admin_ctrl_buff *
ena_feature_buffer(const struct ena_admin_command *cmd)
{
	return &request_of(cmd)->buffer;
}

ena_status ena_answer(struct ena_admin_command *cmd, const void *payload,
		      size_t size)
{
	memcpy(cmd->out.body, payload, size);
	return ENA_OK;
}

/* ---- what the device is ---- */

static ena_status get_attributes(struct ena_admin_command *cmd)
{
	struct ena_nic *nic = cmd->nic;
	struct ena_admin_device_attr attr = {
		.impl_id = le32_put(IMPLEMENTATION),
		.device_version = le32_put(DEVICE_VERSION),
		.supported_features = le32_put(ena_features(nic)),
		.capabilities = le32_put(nic->profile->capabilities),
		.phys_addr_width = le32_put(ADDRESS_BITS),
		.virt_addr_width = le32_put(ADDRESS_BITS),
		.flow_steering_max_entries = le16_put(nic->profile->flows),
		.max_mtu = le32_put(nic->max_mtu),
	};
	uint64_t ignored;

	memcpy(attr.mac_addr, nic->mac, sizeof attr.mac_addr);
	if (rt_fault(&nic->fn->faults, ena_fault_mac_change, &ignored))
		attr.mac_addr[ENA_ETHER_ADDR_BYTES - 1] ^= 0x80;
	return ena_answer(cmd, &attr, sizeof attr);
}

static ena_status get_max_queues(struct ena_admin_command *cmd)
{
	const struct ena_profile *p = cmd->nic->profile;
	uint32_t depth = p->tx_depth < p->rx_depth ? p->tx_depth : p->rx_depth;
	struct ena_admin_max_queues max = {
		.max_sq_num = le32_put(cmd->nic->pairs),
		.max_sq_depth = le32_put(depth),
		.max_cq_num = le32_put(cmd->nic->pairs),
		.max_cq_depth = le32_put(depth),
		.max_header_size = le32_put(p->max_header_bytes),
		.max_packet_tx_descs = le16_put(p->packet_descs),
		.max_packet_rx_descs = le16_put(p->packet_descs),
	};

	return ena_answer(cmd, &max, sizeof max);
}

static ena_status get_max_queues_ext(struct ena_admin_command *cmd)
{
	const struct ena_profile *p = cmd->nic->profile;
	le32 pairs = le32_put(cmd->nic->pairs);
	struct ena_admin_max_queues_ext max = {
		.version = 1,
		.max_tx_sq_num = pairs,
		.max_tx_cq_num = pairs,
		.max_rx_sq_num = pairs,
		.max_rx_cq_num = pairs,
		.max_tx_sq_depth = le32_put(p->tx_depth),
		.max_tx_cq_depth = le32_put(p->tx_depth),
		.max_rx_sq_depth = le32_put(p->rx_depth),
		.max_rx_cq_depth = le32_put(p->rx_depth),
		.max_tx_header_size = le32_put(p->max_header_bytes),
		.max_per_packet_tx_descs = le16_put(p->packet_descs),
		.max_per_packet_rx_descs = le16_put(p->packet_descs),
	};

	return ena_answer(cmd, &max, sizeof max);
}

static ena_status get_hints(struct ena_admin_command *cmd)
{
	return ena_answer(cmd, &cmd->nic->hints, sizeof cmd->nic->hints);
}

static ena_status get_offloads(struct ena_admin_command *cmd)
{
	const struct ena_profile *p = cmd->nic->profile;
	struct ena_admin_offload offload = {
		.tx = le32_put(p->tx_offloads),
		.rx_supported = le32_put(p->rx_offloads),
		.rx_enabled = le32_put(p->rx_offloads),
	};

	return ena_answer(cmd, &offload, sizeof offload);
}

/* Drivers multiply by it what they write to unmask registers. */
static ena_status get_moderation(struct ena_admin_command *cmd)
{
	struct ena_admin_intr_moderation moderation = {
		.intr_delay_resolution = le16_put(1),
	};

	return ena_answer(cmd, &moderation, sizeof moderation);
}

static uint32_t link_type(uint32_t mbps)
{
	static const uint32_t speeds[] = {
		[ENA_ADMIN_LINK_1G] = 1000,     [ENA_ADMIN_LINK_2_5G] = 2500,
		[ENA_ADMIN_LINK_5G] = 5000,     [ENA_ADMIN_LINK_10G] = 10000,
		[ENA_ADMIN_LINK_25G] = 25000,   [ENA_ADMIN_LINK_40G] = 40000,
		[ENA_ADMIN_LINK_50G] = 50000,   [ENA_ADMIN_LINK_100G] = 100000,
		[ENA_ADMIN_LINK_200G] = 200000, [ENA_ADMIN_LINK_400G] = 400000,
	};

	for (uint32_t i = 0; i < RT_COUNT(speeds); i++)
		if (speeds[i] == mbps)
			return (uint32_t)BIT(i);
	return 0;
}

static ena_status get_link(struct ena_admin_command *cmd)
{
	struct ena_admin_link link = {
		.speed = le32_put(cmd->nic->link_mbps),
		.supported = le32_put(link_type(cmd->nic->link_mbps)),
		.flags = le32_put(ENA_ADMIN_LINK_DUPLEX),
	};

	return ena_answer(cmd, &link, sizeof link);
}

/* ---- what the driver chooses ---- */

static ena_status set_mtu(struct ena_admin_command *cmd)
{
	const struct ena_admin_mtu *request = ena_feature_payload(cmd);
	uint32_t mtu = le32_get(request->mtu);

	if (mtu < LEAST_MTU || mtu > cmd->nic->max_mtu)
		return ena_refuse(cmd->nic, ENA_RULE_MTU_RANGE,
				  ENA_ADMIN_ILLEGAL_PARAMETER, mtu);
	cmd->nic->state->mtu = mtu;
	return ENA_OK;
}

/* Fragments are never held up here, so there is nothing to pass by. */
static ena_status set_frag_bypass(struct ena_admin_command *cmd)
{
	(void)cmd;
	return ENA_OK;
}

static ena_status get_timestamps(struct ena_admin_command *cmd)
{
	struct ena_admin_hw_timestamp all = { .version = 1, .tx = 1, .rx = 1 };

	return ena_answer(cmd, &all, sizeof all);
}

static ena_status set_timestamps(struct ena_admin_command *cmd)
{
	const struct ena_admin_hw_timestamp *ts = ena_feature_payload(cmd);

	if (ts->tx > 1 || ts->rx > 1)
		return ena_refuse(cmd->nic, ENA_RULE_TIMESTAMP,
				  ENA_ADMIN_ILLEGAL_PARAMETER,
				  (uint64_t)ts->rx << 8 | ts->tx);
	cmd->nic->state->tx_timestamps = ts->tx;
	cmd->nic->state->rx_timestamps = ts->rx;
	return ENA_OK;
}

/* ---- the table ---- */

static const struct {
	ena_admin_fn *get, *set;
} features[ENA_ADMIN_FEATURES] = {
#define COMMAND(opcode, run)
#define FEATURE(id, get, set) [id] = { get, set },
#include "ena/commands.def"
#undef FEATURE
#undef COMMAND
};

static ena_status run_feature(struct ena_admin_command *cmd, bool is_set)
{
	uint8_t id = request_of(cmd)->feature_id;
	ena_admin_fn *run = NULL;

	if (id < ENA_ADMIN_FEATURES && ena_features(cmd->nic) & BIT(id))
		run = is_set ? features[id].set : features[id].get;
	if (!run)
		return ena_refuse(cmd->nic, ENA_RULE_FEATURE_UNKNOWN,
				  ENA_ADMIN_UNSUPPORTED_OPCODE, id);
	return run(cmd);
}

ena_status ena_get_feature(struct ena_admin_command *cmd)
{
	return run_feature(cmd, false);
}

ena_status ena_set_feature(struct ena_admin_command *cmd)
{
	return run_feature(cmd, true);
}
