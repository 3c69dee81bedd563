/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Feature 4: transmit queues in the device's memory, BAR 2.  The driver picks
 * one bit of each list that it was offered, before it makes such queues.  Where
 * a queue is placed is said when it is made, whatever was set here: old drivers
 * set this and then find that they cannot map BAR 2.
 */
#include "ena/control.h"

uint32_t ena_llq_depth(const struct ena_nic *nic, uint32_t entry_bytes)
{
	const struct ena_profile *p = nic->profile;
	uint32_t wide =
		p->llq_wide_depth ? p->llq_wide_depth : p->llq_depth / 2u;

	return entry_bytes > 128 ? wide : p->llq_depth;
}

ena_status ena_get_llq(struct ena_admin_command *cmd)
{
	struct ena_nic *nic = cmd->nic;
	const struct ena_profile *p = nic->profile;
	const struct ena_llq_config *set = &nic->state->llq;
	struct ena_admin_llq llq = {
		.max_llq_num = le32_put(nic->pairs),
		.max_llq_depth = le32_put(p->llq_depth),
		.header_location_supported = le16_put(ENA_ADMIN_INLINE_HEADER),
		.header_location_enabled =
			le16_put(set->is_set ? ENA_ADMIN_INLINE_HEADER : 0),
		.entry_size_supported = le16_put(p->llq_sizes),
		.descs_before_header_supported = le16_put(p->llq_descs),
		.descs_before_header_enabled =
			le16_put(set->descs_before_header),
		.stride_supported = le16_put(p->llq_strides),
		.feature_version = 1,
		.entry_size_recommended = p->llq_recommended,
		.max_wide_llq_depth = le16_put(p->llq_wide_depth),
		.accel_flags = le16_put(p->llq_accel),
	};

	return ena_answer(cmd, &llq, sizeof llq);
}

/* Exactly one bit, of those that there are. */
static bool is_choice(uint16_t chosen, uint16_t offered)
{
	return chosen && !(chosen & (chosen - 1)) && !(chosen & ~offered);
}

static uint16_t entry_bytes_of(uint16_t bit)
{
	switch (bit) {
	case ENA_ADMIN_LLQ_ENTRY_256B:
		return 256;
	case ENA_ADMIN_LLQ_ENTRY_192B:
		return 192;
	default:
		return 128;
	}
}

ena_status ena_set_llq(struct ena_admin_command *cmd)
{
	struct ena_nic *nic = cmd->nic;
	const struct ena_profile *p = nic->profile;
	const struct ena_admin_llq *llq = ena_feature_payload(cmd);
	uint16_t size = le16_get(llq->entry_size_enabled);
	uint16_t descs = le16_get(llq->descs_before_header_enabled);
	uint16_t stride = le16_get(llq->stride_enabled);
	uint16_t place = le16_get(llq->header_location_enabled);

	if (!is_choice(place, ENA_ADMIN_INLINE_HEADER) ||
	    !is_choice(size, p->llq_sizes) || !is_choice(descs, p->llq_descs) ||
	    !is_choice(stride, p->llq_strides))
		return ena_refuse(nic, ENA_RULE_LLQ_CONFIG,
				  ENA_ADMIN_ILLEGAL_PARAMETER,
				  (uint64_t)place << 48 | (uint64_t)size << 32 |
					  (uint64_t)descs << 16 | stride);
	nic->state->llq = (struct ena_llq_config){
		.is_set = true,
		.entry_bytes = entry_bytes_of(size),
		.descs_before_header = descs,
		.is_single = stride == ENA_ADMIN_SINGLE_DESC_PER_ENTRY,
		.accel_flags = le16_get(llq->accel_flags) & p->llq_accel,
	};
	return ENA_OK;
}
