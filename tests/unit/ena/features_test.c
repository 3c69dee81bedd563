/* SPDX-License-Identifier: BSD-3-Clause */
/* Features that are a few numbers, LLQ, and what each profile offers. */
#include <criterion/criterion.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "tests/unit/ena/rig.h"

TestSuite(ena_features, .init = rig_start_ready, .fini = rig_stop);

#define BODY(type) ((const struct type *)(const void *)rig.last.body)

Test(ena_features, attributes_are_those_of_the_profile)
{
	const struct ena_admin_device_attr *attr;

	cr_assert_eq(rig_get(ENA_ADMIN_DEVICE_ATTRIBUTES, 0), 0);
	attr = BODY(ena_admin_device_attr);
	cr_expect_eq(le32_get(attr->supported_features), 0xfc145d9a);
	cr_expect_eq(le32_get(attr->capabilities), 0x1f);
	cr_expect_eq(le32_get(attr->max_mtu), 9216);
	cr_expect_eq(le32_get(attr->phys_addr_width), 48);
	cr_expect_eq(le16_get(attr->flow_steering_max_entries), 128);
	cr_expect_eq(attr->mac_addr[0], 2);
}

Test(ena_features, queues_are_told_both_ways_by_who_has_them)
{
	cr_expect_eq(rig_get(ENA_ADMIN_MAX_QUEUES_NUM, 0),
		     ENA_ADMIN_UNSUPPORTED_OPCODE);
	cr_assert_eq(rig_get(ENA_ADMIN_MAX_QUEUES_EXT, 0), 0);
	cr_expect_eq(BODY(ena_admin_max_queues_ext)->version, 1);
	cr_expect_eq(le32_get(BODY(ena_admin_max_queues_ext)->max_tx_sq_num),
		     4);
	cr_expect_eq(le32_get(BODY(ena_admin_max_queues_ext)->max_rx_cq_depth),
		     8192);
	rig_stop();
	rig_start(ENA_PROFILE_XEN);
	rig_set_up(32);
	cr_assert_eq(rig_get(ENA_ADMIN_MAX_QUEUES_NUM, 0), 0);
	cr_expect_eq(le32_get(BODY(ena_admin_max_queues)->max_sq_num), 4);
	cr_expect_eq(le32_get(BODY(ena_admin_max_queues)->max_sq_depth), 1024);
	cr_expect_eq(rig_get(ENA_ADMIN_MAX_QUEUES_EXT, 0),
		     ENA_ADMIN_UNSUPPORTED_OPCODE);
	cr_expect_eq(rig_get(ENA_ADMIN_LLQ, 0), ENA_ADMIN_UNSUPPORTED_OPCODE);
	cr_expect_eq(rig.fn->identity.bars[2].size, 0);
}

Test(ena_features, every_profile_answers_all_that_it_offers)
{
	/* Of those that can be asked. */
	const uint32_t gets =
		~(uint32_t)(BIT(ENA_ADMIN_FRAG_BYPASS) | BIT(ENA_ADMIN_MTU) |
			    BIT(ENA_ADMIN_HOST_ATTR_CONFIG) |
			    BIT(ENA_ADMIN_FLOW_STEERING_CONFIG));

	for (unsigned int p = 0; p < ENA_PROFILES; p++) {
		uint32_t features = ena_profiles[p].features;

		rig_stop();
		rig_start(p);
		rig_set_up(32);
		for (uint8_t id = 0; id < ENA_ADMIN_FEATURES; id++)
			cr_expect_eq(rig_get(id, 0),
				     features & gets & BIT(id)
					     ? ENA_ADMIN_SUCCESS
					     : ENA_ADMIN_UNSUPPORTED_OPCODE,
				     "%s feature %u", ena_profile_names[p], id);
	}
}

Test(ena_features, offloads_moderation_and_link_are_told)
{
	cr_assert_eq(rig_get(ENA_ADMIN_STATELESS_OFFLOAD_CONFIG, 0), 0);
	cr_expect_eq(le32_get(BODY(ena_admin_offload)->tx), 0xff);
	cr_expect_eq(le32_get(BODY(ena_admin_offload)->rx_enabled), 0xf);
	cr_assert_eq(rig_get(ENA_ADMIN_INTERRUPT_MODERATION, 0), 0);
	cr_expect_eq(
		le16_get(
			BODY(ena_admin_intr_moderation)->intr_delay_resolution),
		1);
	cr_assert_eq(rig_get(ENA_ADMIN_LINK_CONFIG, 0), 0);
	cr_expect_eq(le32_get(BODY(ena_admin_link)->speed), 25000);
	cr_expect_eq(le32_get(BODY(ena_admin_link)->supported), 1 << 4);
	cr_expect_eq(le32_get(BODY(ena_admin_link)->flags), 2);
}

Test(ena_features, an_mtu_is_taken_up_to_the_largest)
{
	const struct {
		uint32_t mtu;
		int status;
	} tries[] = { { 67, 5 },   { 68, 0 }, { 1500, 0 },      { 9216, 0 },
		      { 9217, 5 }, { 0, 5 },  { UINT32_MAX, 5 } };

	for (size_t i = 0; i < RT_COUNT(tries); i++) {
		struct ena_admin_mtu mtu = { le32_put(tries[i].mtu) };

		cr_expect_eq(rig_set(ENA_ADMIN_MTU, &mtu, sizeof mtu, 0),
			     tries[i].status, "%u", tries[i].mtu);
	}
	cr_expect_eq(rig.nic->state->mtu, 9216);
	cr_expect_eq(rig_broken(ENA_RULE_MTU_RANGE), 4);
}

Test(ena_features, timestamps_are_of_all_or_of_none)
{
	struct ena_admin_hw_timestamp ts = { .version = 1, .tx = 1, .rx = 1 };

	cr_expect_eq(rig_set(ENA_ADMIN_HW_TIMESTAMP, &ts, sizeof ts, 0), 0);
	cr_expect_eq(rig.nic->state->rx_timestamps, 1);
	ts.tx = 2;
	cr_expect_eq(rig_set(ENA_ADMIN_HW_TIMESTAMP, &ts, sizeof ts, 0), 5);
	cr_expect_eq(rig_set(ENA_ADMIN_FRAG_BYPASS, "\1", 1, 0), 0);
}

Test(ena_features, fault_mac_change_tells_another_address)
{
	uint8_t mac[6];

	cr_assert_eq(rig_get(ENA_ADMIN_DEVICE_ATTRIBUTES, 0), 0);
	memcpy(mac, BODY(ena_admin_device_attr)->mac_addr, 6);
	rig_fault("mac_change", 0);
	cr_assert_eq(rig_get(ENA_ADMIN_DEVICE_ATTRIBUTES, 0), 0);
	cr_expect_arr_neq(mac, BODY(ena_admin_device_attr)->mac_addr, 6);
}

/* ---- LLQ ---- */

Test(ena_llq, what_is_offered_is_what_is_taken, .init = rig_start_ready,
     .fini = rig_stop)
{
	struct ena_admin_llq llq;

	cr_assert_eq(rig_get(ENA_ADMIN_LLQ, 0), 0);
	llq = *BODY(ena_admin_llq);
	cr_expect_eq(le32_get(llq.max_llq_num), 4);
	cr_expect_eq(le32_get(llq.max_llq_depth), 1024);
	cr_expect_eq(le16_get(llq.max_wide_llq_depth), 512);
	cr_expect_eq(llq.feature_version, 1);
	cr_expect_eq(rig_set_llq(ENA_ADMIN_LLQ_ENTRY_256B), 0);
	cr_expect_eq(rig.nic->state->llq.entry_bytes, 256);
	cr_expect_eq(rig.nic->state->llq.accel_flags, 1, "of 3, the offered");
	cr_expect_eq(rig_set_llq(ENA_ADMIN_LLQ_ENTRY_192B), 5);
	cr_expect_eq(rig_set_llq(ENA_ADMIN_LLQ_ENTRY_128B |
				 ENA_ADMIN_LLQ_ENTRY_256B),
		     5);
	cr_expect_eq(rig_set_llq(0), 5);
	cr_expect_eq(rig_broken(ENA_RULE_LLQ_CONFIG), 3);
	cr_expect_eq(rig.nic->state->llq.entry_bytes, 256);
}

Test(ena_llq, it_can_be_left_out, .init = rig_start_ready, .fini = rig_stop)
{
	rig_stop();
	rig_start_config(&(struct ena_config){
		.profile = ENA_PROFILE_NITRO_V5, .pairs = 4, .mtu = 9216 });
	rig_set_up(32);
	cr_expect_eq(rig.fn->identity.bars[2].size, 0);
	cr_assert_eq(rig_get(ENA_ADMIN_DEVICE_ATTRIBUTES, 0), 0);
	cr_expect_not(
		le32_get(BODY(ena_admin_device_attr)->supported_features) &
		1 << ENA_ADMIN_LLQ);
	cr_expect_eq(rig_get(ENA_ADMIN_LLQ, 0), ENA_ADMIN_UNSUPPORTED_OPCODE);
	rig_make_queue(ENA_ADMIN_SQ_DIRECTION_TX);
}
