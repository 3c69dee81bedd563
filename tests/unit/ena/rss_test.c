/* SPDX-License-Identifier: BSD-3-Clause */
/* RSS: golden hashes, the table, and the traps of its commands. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "tests/unit/ena/rig.h"

TestSuite(ena_rss, .init = rig_start_ready, .fini = rig_stop);

#define TCP ENA_ETH_IO_L4_PROTO_TCP
#define UDP ENA_ETH_IO_L4_PROTO_UDP

static const uint8_t golden_key[] = {
	0x77, 0xd1, 0xc9, 0x34, 0xa4, 0xc9, 0xbd, 0x87, 0x6e, 0x35,
	0xdd, 0x17, 0xb2, 0xe3, 0x23, 0x9e, 0x39, 0x6d, 0x8a, 0x93,
	0x2a, 0x95, 0xb4, 0x72, 0x3a, 0xb3, 0x7f, 0x56, 0x8e, 0xde,
	0xb6, 0x01, 0x97, 0xaf, 0x3b, 0x2f, 0x3a, 0x70, 0xe7, 0x04,
};
/* Of the verification suite for RSS that NIC makers share. */
static const uint8_t common_key[] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
	0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
	0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
	0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static uint8_t bytes[128];
static struct ena_frame frame;
static struct ena_frame_info info;

static void make_frame(const char *from, uint16_t from_port, const char *to,
		       uint16_t to_port, uint8_t l4)
{
	bool is_6 = strchr(from, ':');
	uint16_t ports[2] = { htons(from_port), htons(to_port) };
	uint8_t *ip = bytes + 14;

	memset(bytes, 0, sizeof bytes);
	frame = (struct ena_frame){ .header = bytes,
				    .header_length = sizeof bytes,
				    .length = sizeof bytes };
	info = (struct ena_frame_info){
		.l3_proto = is_6 ? ENA_ETH_IO_L3_PROTO_IPV6
				 : ENA_ETH_IO_L3_PROTO_IPV4,
		.l4_proto = l4,
		.l3_offset = 14,
		.l4_offset = is_6 ? 54 : 34,
	};
	cr_assert_eq(inet_pton(is_6 ? AF_INET6 : AF_INET, from,
			       ip + (is_6 ? 8 : 12)),
		     1);
	cr_assert_eq(
		inet_pton(is_6 ? AF_INET6 : AF_INET, to, ip + (is_6 ? 24 : 16)),
		1);
	memcpy(bytes + info.l4_offset, ports, sizeof ports);
}

static int set_key(const uint8_t *key, bool is_reversed, uint32_t init_val)
{
	struct ena_admin_rss_hash_function function = {
		.selected_func = le32_put(2),
		.init_val = le32_put(init_val),
	};
	struct ena_admin_rss_hash_key *to = (void *)rig_at(RIG_BUFFER);

	to->key_parts = le32_put(10);
	for (unsigned int i = 0; i < 40; i++)
		to->key[i] = key[is_reversed ? 39 - i : i];
	return rig_set(ENA_ADMIN_RSS_HASH_FUNCTION, &function, sizeof function,
		       sizeof *to);
}

static uint32_t hash(void)
{
	return ena_rss_hash(rig.nic, &frame, &info);
}

Test(ena_rss, the_golden_packet_hashes_as_on_ec2)
{
	make_frame("1.2.3.4", 7000, "1.2.3.5", 7000, TCP);
	cr_assert_eq(set_key(golden_key, true, 0), 0);
	cr_expect_eq(hash(), 0xa9828bd4, "DPDK and FreeBSD: %#x", hash());
	cr_assert_eq(set_key(golden_key, false, 0xffffffff), 0);
	cr_expect_eq(hash(), 0x5b5eb8e5, "Linux: %#x", hash());
}

Test(ena_rss, the_common_vectors_hash_as_everywhere)
{
	cr_assert_eq(set_key(common_key, true, 0), 0);
	make_frame("66.9.149.187", 2794, "161.142.100.80", 1766, TCP);
	cr_expect_eq(hash(), 0x51ccc178);
	info.l4_proto = 0;
	cr_expect_eq(hash(), 0x323e8fc2, "addresses only");
	make_frame("3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766,
		   TCP);
	cr_expect_eq(hash(), 0x40207d3d);
	info.l4_proto = 0;
	cr_expect_eq(hash(), 0x2cc18cd5);
}

Test(ena_rss, what_is_no_ip_or_too_short_has_no_hash)
{
	make_frame("1.2.3.4", 1, "1.2.3.5", 2, TCP);
	info.l3_proto = 0;
	cr_expect_eq(hash(), 0);
	make_frame("1.2.3.4", 1, "1.2.3.5", 2, TCP);
	frame.header_length = 33;
	cr_expect_eq(hash(), 0);
	frame.header_length = 37;
	cr_expect_neq(hash(), 0, "without ports");
}

Test(ena_rss, fragments_hash_by_their_addresses)
{
	uint32_t first;

	make_frame("1.2.3.4", 1, "1.2.3.5", 2, 0);
	info.is_fragment = true;
	first = hash();
	make_frame("1.2.3.4", 77, "1.2.3.5", 78, TCP);
	info.is_fragment = true;
	cr_expect_eq(hash(), first);
}

static int set_input(unsigned int proto, uint16_t fields)
{
	struct ena_admin_rss_hash_control *control = (void *)rig_at(RIG_BUFFER);
	const uint8_t sort[4] = { 0, 0, 6, 0 };

	cr_assert_eq(rig_get(ENA_ADMIN_RSS_HASH_INPUT, sizeof *control), 0);
	control->selected[proto].fields = le16_put(fields);
	return rig_set(ENA_ADMIN_RSS_HASH_INPUT, sort, 4, sizeof *control);
}

Test(ena_rss, inputs_are_told_and_can_be_fewer)
{
	struct ena_admin_rss_hash_control *control = (void *)rig_at(RIG_BUFFER);
	static const uint16_t fields[16] = { 0x3c, 0x3c, 0x3c, 0x3c, 0x0c,
					     0x0c, 0x0c, 3,    0x3c, 0x0c };

	memset(control, 0xee, sizeof *control);
	cr_assert_eq(rig_get(ENA_ADMIN_RSS_HASH_INPUT, sizeof *control), 0);
	for (unsigned int i = 0; i < 16; i++) {
		cr_expect_eq(le16_get(control->supported[i].fields), fields[i]);
		cr_expect_eq(le16_get(control->selected[i].fields), fields[i]);
	}
	cr_assert_eq(set_key(common_key, true, 0), 0);
	cr_expect_eq(set_input(ENA_ADMIN_RSS_UDP4, 0x0c), 0);
	make_frame("66.9.149.187", 2794, "161.142.100.80", 1766, UDP);
	cr_expect_eq(hash(), 0x323e8fc2);
	cr_expect_eq(set_input(ENA_ADMIN_RSS_UDP4, 0), 0);
	cr_expect_eq(hash(), 0);
	cr_expect_eq(set_input(ENA_ADMIN_RSS_IP4, 0x3c), 5);
	cr_expect_eq(rig_broken(ENA_RULE_RSS_INPUT), 1);
}

Test(ena_rss, a_key_is_told_only_after_it_was_set)
{
	uint8_t *buffer = rig_at(RIG_BUFFER);

	memset(buffer, 0x5a, 48);
	cr_assert_eq(rig_get(ENA_ADMIN_RSS_HASH_FUNCTION, 48), 0);
	cr_expect_eq(buffer[0], 0x5a, "Linux would set what it reads here");
	cr_expect_eq(buffer[47], 0x5a);
	cr_expect_eq(le_load(rig.last.body, 4), 2);
	cr_expect_eq(le_load(rig.last.body + 4, 4), 2);
	cr_assert_eq(set_key(golden_key, false, 7), 0);
	memset(buffer, 0, 48);
	cr_assert_eq(rig_get(ENA_ADMIN_RSS_HASH_FUNCTION, 48), 0);
	cr_expect_arr_eq(buffer + 8, golden_key, 40);
	cr_expect_eq(le_load(rig.last.body + 8, 4), 7);
}

Test(ena_rss, functions_and_keys_that_there_are_not_are_refused)
{
	struct ena_admin_rss_hash_function crc = { .selected_func =
							   le32_put(4) };

	cr_expect_eq(rig_set(ENA_ADMIN_RSS_HASH_FUNCTION, &crc, sizeof crc, 0),
		     5);
	crc.selected_func = le32_put(2);
	memset(rig_at(RIG_BUFFER), 0, 48);
	cr_expect_eq(rig_set(ENA_ADMIN_RSS_HASH_FUNCTION, &crc, sizeof crc, 48),
		     5, "a key of no words");
	cr_expect_eq(rig_set(ENA_ADMIN_RSS_HASH_FUNCTION, &crc, sizeof crc, 0),
		     0, "without a key");
}

Test(ena_rss, hardware_with_a_fixed_key_says_so)
{
	rig_stop();
	rig_start(ENA_PROFILE_NITRO_V3);
	rig_set_up(32);
	cr_expect_eq(set_key(golden_key, false, 0),
		     ENA_ADMIN_UNSUPPORTED_OPCODE);
	make_frame("66.9.149.187", 2794, "161.142.100.80", 1766, TCP);
	cr_expect_neq(hash(), 0);
	cr_expect_eq(rig_get(ENA_ADMIN_RSS_HASH_INPUT, 0), 0);
}

/* ---- the table ---- */

static int set_table(uint16_t size, uint16_t (*queue_of)(unsigned int))
{
	struct ena_admin_rss_ind_table table = {
		.size = le16_put(size),
		.inline_index = le32_put(ENA_ADMIN_RSS_WHOLE_TABLE),
	};
	struct ena_admin_rss_ind_table_entry *entries =
		(void *)rig_at(RIG_BUFFER);

	for (unsigned int i = 0; i < ENA_RSS_ENTRIES; i++)
		entries[i].cq_idx = le16_put(queue_of(i));
	return rig_set(ENA_ADMIN_RSS_INDIRECTION_TABLE_CONFIG, &table,
		       sizeof table, ENA_RSS_ENTRIES * sizeof *entries);
}

static uint16_t rx[2];

static uint16_t in_turns(unsigned int i)
{
	return rx[i % 2];
}

static uint16_t unknown(unsigned int i)
{
	return i == 100 ? 8 : 0;
}

Test(ena_rss, without_a_table_all_goes_to_the_first_receive_queue)
{
	cr_expect_eq(ena_rss_queue(rig.nic, 7, true), ENA_NO_QUEUE);
	rig_make_queue(ENA_ADMIN_SQ_DIRECTION_TX);
	cr_expect_eq(ena_rss_queue(rig.nic, 7, true), ENA_NO_QUEUE);
	rx[0] = rig_make_queue(ENA_ADMIN_SQ_DIRECTION_RX);
	cr_expect_eq(ena_rss_queue(rig.nic, 7, true), rx[0]);
}

Test(ena_rss, the_table_chooses_and_dead_queues_fall_back)
{
	rig_make_queue(ENA_ADMIN_SQ_DIRECTION_TX);
	rx[0] = rig_make_queue(ENA_ADMIN_SQ_DIRECTION_RX);
	rx[1] = rig_make_queue(ENA_ADMIN_SQ_DIRECTION_RX);
	cr_assert_eq(set_table(7, in_turns), 0);
	cr_expect_eq(ena_rss_queue(rig.nic, 0x1001, true), rx[1]);
	cr_expect_eq(ena_rss_queue(rig.nic, 0x1000, true), rx[0]);
	cr_expect_eq(ena_rss_queue(rig.nic, 0x1001, false), rx[0]);
	memset(rig_at(RIG_BUFFER), 0, 512);
	cr_assert_eq(rig_get(ENA_ADMIN_RSS_INDIRECTION_TABLE_CONFIG, 512), 0);
	cr_expect_eq(le_load(rig_at(RIG_BUFFER) + 4, 2), rx[1]);
	cr_expect_eq(le_load(rig.last.body, 6), UINT64_C(0x000700070007));
	rig_destroy_sq(rx[1], ENA_ADMIN_SQ_DIRECTION_RX);
	cr_expect_eq(ena_rss_queue(rig.nic, 0x1001, true), rx[0]);
}

Test(ena_rss, tables_that_cannot_be_are_refused_whole)
{
	rx[0] = rx[1] = 3;
	cr_expect_eq(set_table(6, in_turns), 5);
	cr_expect_eq(set_table(7, unknown), 5);
	cr_expect_eq(rig.nic->state->rss.table[0], ENA_NO_QUEUE);
	rig_write32(ENA_REGS_RSS_IND_ENTRY_UPDATE, 2u << 16 | 127);
	cr_expect_eq(rig.nic->state->rss.table[127], 2);
	rig_write32(ENA_REGS_RSS_IND_ENTRY_UPDATE, 2u << 16 | 128);
	rig_write32(ENA_REGS_RSS_IND_ENTRY_UPDATE, 8u << 16 | 1);
	cr_expect_eq(rig_broken(ENA_RULE_RSS_TABLE), 2);
	cr_expect_eq(rig_broken(ENA_RULE_RSS_QUEUE), 2);
}
