/* SPDX-License-Identifier: BSD-3-Clause */
/* Flow steering: adding, removing, and which frame fits which rule. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "tests/unit/ena/rig.h"

static uint16_t rx[2];

static void start(void)
{
	rig_start_ready();
	rx[0] = rig_make_queue(ENA_ADMIN_SQ_DIRECTION_RX);
	rx[1] = rig_make_queue(ENA_ADMIN_SQ_DIRECTION_RX);
}

TestSuite(ena_flow, .init = start, .fini = rig_stop);

static struct ena_admin_flow_rule *rule(void)
{
	return (void *)rig_at(RIG_BUFFER);
}

static int act(uint8_t action, uint8_t type, uint16_t ring, uint16_t place)
{
	struct ena_admin_flow_steering request = {
		.action = action,
		.type = type,
		.rx_q_idx = le16_put(ring),
		.rule_location = le16_put(place),
	};
	bool is_add = action == ENA_ADMIN_FLOW_ADD;

	return rig_set(ENA_ADMIN_FLOW_STEERING_CONFIG, &request, sizeof request,
		       is_add ? sizeof(struct ena_admin_flow_rule) : 0);
}

static int add(uint8_t type, uint16_t ring)
{
	int status =
		act(ENA_ADMIN_FLOW_ADD, type, ring, ENA_ADMIN_FLOW_ANYWHERE);

	return status ? -status : (int)le_load(rig.last.body, 2);
}

static uint8_t bytes[128];
static struct ena_frame frame = { .header = bytes,
				  .header_length = sizeof bytes };
static struct ena_frame_info info;

static uint16_t where(void)
{
	return ena_flow_queue(rig.nic, &frame, &info);
}

static void make_ip4(uint8_t l4)
{
	uint16_t ports[2] = { htons(1000), htons(80) };

	memset(bytes, 0, sizeof bytes);
	info = (struct ena_frame_info){ .l3_proto = ENA_ETH_IO_L3_PROTO_IPV4,
					.l4_proto = l4,
					.l3_offset = 14,
					.l4_offset = 34 };
	bytes[15] = 0x10;
	inet_pton(AF_INET, "10.0.0.1", bytes + 26);
	inet_pton(AF_INET, "10.0.0.2", bytes + 30);
	memcpy(bytes + 34, ports, sizeof ports);
}

Test(ena_flow, a_rule_matches_what_its_masks_leave)
{
	memset(rule(), 0, sizeof *rule());
	inet_pton(AF_INET, "10.0.0.2", rule()->dst_ip);
	memset(rule()->dst_ip_mask, 0xff, 4);
	rule()->dst_port = le16_put(80);
	rule()->dst_port_mask = le16_put(0xffff);
	cr_assert_eq(add(ENA_ADMIN_FLOW_IPV4_TCP, 1), 0);
	make_ip4(ENA_ETH_IO_L4_PROTO_TCP);
	cr_expect_eq(where(), rx[1]);
	bytes[35] ^= 1;
	cr_expect_eq(where(), rx[1], "the source port is free");
	bytes[37] ^= 1;
	cr_expect_eq(where(), ENA_NO_QUEUE, "another destination port");
	make_ip4(ENA_ETH_IO_L4_PROTO_UDP);
	cr_expect_eq(where(), ENA_NO_QUEUE);
	make_ip4(ENA_ETH_IO_L4_PROTO_TCP);
	info.is_fragment = true;
	cr_expect_eq(where(), ENA_NO_QUEUE, "its ports are not known");
	make_ip4(ENA_ETH_IO_L4_PROTO_TCP);
	bytes[33] = 3;
	cr_expect_eq(where(), ENA_NO_QUEUE, "another destination");
	info.l3_proto = 0;
	cr_expect_eq(where(), ENA_NO_QUEUE);
}

Test(ena_flow, rules_of_addresses_match_any_protocol_and_type_of_service)
{
	memset(rule(), 0, sizeof *rule());
	rule()->tos = 0x10;
	rule()->tos_mask = 0xf0;
	cr_assert_eq(add(ENA_ADMIN_FLOW_IPV4, 0), 0);
	make_ip4(0);
	cr_expect_eq(where(), rx[0]);
	bytes[15] = 0x20;
	cr_expect_eq(where(), ENA_NO_QUEUE);
}

Test(ena_flow, ipv6_is_compared_whole)
{
	memset(rule(), 0, sizeof *rule());
	inet_pton(AF_INET6, "fd00::1", rule()->src_ip);
	memset(rule()->src_ip_mask, 0xff, 16);
	cr_assert_eq(add(ENA_ADMIN_FLOW_IPV6_UDP, 1), 0);
	memset(bytes, 0, sizeof bytes);
	info = (struct ena_frame_info){ .l3_proto = ENA_ETH_IO_L3_PROTO_IPV6,
					.l4_proto = ENA_ETH_IO_L4_PROTO_UDP,
					.l3_offset = 14,
					.l4_offset = 54 };
	inet_pton(AF_INET6, "fd00::1", bytes + 22);
	cr_expect_eq(where(), rx[1]);
	inet_pton(AF_INET6, "fd00::2", bytes + 22);
	cr_expect_eq(where(), ENA_NO_QUEUE);
}

Test(ena_flow, places_are_chosen_and_removed_and_the_lower_one_wins)
{
	memset(rule(), 0, sizeof *rule());
	cr_assert_eq(add(ENA_ADMIN_FLOW_IPV4, 0), 0);
	cr_assert_eq(add(ENA_ADMIN_FLOW_IPV4, 1), 1);
	make_ip4(0);
	cr_expect_eq(where(), rx[0]);
	cr_expect_eq(act(ENA_ADMIN_FLOW_REMOVE, 0, 0, 0), 0);
	cr_expect_eq(where(), rx[1]);
	cr_expect_eq(act(ENA_ADMIN_FLOW_REMOVE, 0, 0, 0), 5);
	cr_expect_eq(act(ENA_ADMIN_FLOW_REMOVE_ALL, 0, 0, 0), 0);
	cr_expect_eq(where(), ENA_NO_QUEUE);
}

Test(ena_flow, a_full_table_and_senseless_rules_are_refused)
{
	memset(rule(), 0, sizeof *rule());
	cr_expect_eq(add(0, 0), -5);
	cr_expect_eq(add(7, 0), -5);
	cr_expect_eq(add(ENA_ADMIN_FLOW_IPV4, 4), -5, "no such ring");
	cr_expect_eq(act(9, 1, 0, 0), 5);
	cr_expect_eq(act(ENA_ADMIN_FLOW_ADD, 1, 0, 128), 5);
	for (int i = 0; i < 128; i++)
		cr_assert_eq(add(ENA_ADMIN_FLOW_IPV4, 0), i);
	cr_expect_eq(add(ENA_ADMIN_FLOW_IPV4, 0), -1);
	rig_reset(0);
	make_ip4(0);
	cr_expect_eq(where(), ENA_NO_QUEUE);
}
