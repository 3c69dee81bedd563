/* SPDX-License-Identifier: BSD-3-Clause */
/* Which queue gets a packet: hash, table, fields, flow rules. */
#include <criterion/criterion.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"
#include "tests/function/nic_bench.h"

#define QUEUES 8u

/* DPDK's published example, and what drivers find there. */
static const uint8_t golden[ENA_ADMIN_RSS_KEY_BYTES] = {
	0x77, 0xd1, 0xc9, 0x34, 0xa4, 0xc9, 0xbd, 0x87, 0x6e, 0x35,
	0xdd, 0x17, 0xb2, 0xe3, 0x23, 0x9e, 0x39, 0x6d, 0x8a, 0x93,
	0x2a, 0x95, 0xb4, 0x72, 0x3a, 0xb3, 0x7f, 0x56, 0x8e, 0xde,
	0xb6, 0x01, 0x97, 0xaf, 0x3b, 0x2f, 0x3a, 0x70, 0xe7, 0x04,
};

static struct nic_bench b;
static struct host_ena_rx *queues[QUEUES];

TestSuite(function_ena_rss, .timeout = 60);

static void start(void)
{
	nic_start_queues(&b, NULL);
	queues[0] = b.nics[1].rx;
	for (unsigned int i = 1; i < QUEUES; i++)
		cr_assert_eq(
			host_ena_rx_open(&b.nics[1].doors,
					 &(struct host_ena_rx_options){
						 .depth = NIC_DEPTH,
						 .buffer_bytes = NIC_BUFFER },
					 &queues[i]),
			0);
}

static void stop(void)
{
	for (unsigned int i = 1; i < QUEUES; i++)
		host_ena_rx_forget(&queues[i]);
	nic_stop(&b);
}

static void set_table(void)
{
	uint16_t table[128];

	for (unsigned int i = 0; i < 128; i++)
		table[i] = host_ena_rx_sq(queues[i % QUEUES])->index;
	cr_assert_eq(host_ena_set_rss_table(b.nics[1].ena, table, 7), 0);
}

/* Where it comes out; the completion in *last. */
static unsigned int queue_of(const struct host_packet *packet,
			     struct host_ena_received *last)
{
	struct host_packet_layout layout;

	nic_send_packet(&b.nics[0], packet, &layout);
	for (int turn = 0; turn < 50; turn++) {
		for (unsigned int i = 0; i < QUEUES; i++)
			if (host_ena_rx_poll(queues[i], last, 1) == 1) {
				cr_assert_eq(
					host_ena_rx_give(queues[i], last, 1),
					0);
				return i;
			}
		(void)rt_loop_step(b.loop, RT_NS_PER_MS);
	}
	cr_assert_fail("the packet does not arrive");
	return QUEUES;
}

static struct host_packet golden_packet(void)
{
	struct host_packet p = nic_packet(&b, HOST_PACKET_TCP, false);

	p.from_ip = 0x01020304;
	p.to_ip = 0x01020305;
	p.from_port = p.to_port = 7000;
	return p;
}

static void expect_hash(const uint8_t *key, uint32_t seed, uint32_t hash)
{
	struct host_ena_received last;
	struct host_packet p = golden_packet();

	cr_assert_eq(host_ena_set_rss_key(b.nics[1].ena, key, seed), 0);
	cr_expect_eq(queue_of(&p, &last), hash % 128 % QUEUES);
	cr_expect_eq(last.hash, hash, "%08x", last.hash);
}

Test(function_ena_rss, the_published_hashes_come_out)
{
	uint8_t reversed[40];

	for (unsigned int i = 0; i < 40; i++)
		reversed[i] = golden[39 - i];
	start();
	set_table();
	/* DPDK and FreeBSD; Linux, which does not turn the key round. */
	expect_hash(golden, 0, 0xa9828bd4);
	expect_hash(reversed, UINT32_MAX, 0x5b5eb8e5);
	stop();
}

Test(function_ena_rss, every_flow_has_the_hash_and_queue_of_its_own)
{
	unsigned int counts[QUEUES] = { 0 };

	start();
	set_table();
	cr_assert_eq(host_ena_set_rss_key(b.nics[1].ena, golden, 0), 0);
	for (unsigned int i = 0; i < 400; i++) {
		struct host_ena_received last;
		struct host_packet p = nic_packet(
			&b, i & 1 ? HOST_PACKET_TCP : HOST_PACKET_UDP, false);
		uint32_t hash;
		unsigned int queue;

		p.is_ipv6 = i & 2;
		p.from_ip += i * 77;
		p.from_port = (uint16_t)(i * 1031);
		hash = host_packet_hash(golden, &p);
		queue = queue_of(&p, &last);
		cr_assert_eq(last.hash, hash, "flow %u", i);
		cr_assert_eq(queue, hash % 128 % QUEUES, "flow %u", i);
		counts[queue]++;
	}
	for (unsigned int i = 0; i < QUEUES; i++)
		cr_expect(counts[i] > 20 && counts[i] < 80, "queue %u: %u", i,
			  counts[i]);
	stop();
}

Test(function_ena_rss, without_a_table_all_goes_to_the_first_queue)
{
	start();
	for (unsigned int i = 0; i < 40; i++) {
		struct host_ena_received last;
		struct host_packet p = nic_packet(&b, HOST_PACKET_UDP, false);

		p.from_port = (uint16_t)(i * 1031);
		cr_assert_eq(queue_of(&p, &last), 0);
	}
	stop();
}

Test(function_ena_rss, what_is_not_ip_goes_where_the_first_entry_says)
{
	struct host_ena_received last;
	struct host_packet p;
	uint16_t table[128];

	start();
	for (unsigned int i = 0; i < 128; i++)
		table[i] = host_ena_rx_sq(queues[i == 0 ? 5 : 1])->index;
	cr_assert_eq(host_ena_set_rss_table(b.nics[1].ena, table, 7), 0);
	p = nic_packet(&b, 0, false);
	cr_expect_eq(queue_of(&p, &last), 5);
	cr_expect_eq(last.hash, 0);
	stop();
}

Test(function_ena_rss, fields_can_be_left_out)
{
	struct ena_admin_rss_hash_control control;
	struct host_ena_received first, second;
	struct host_packet p;

	start();
	cr_assert_eq(host_ena_set_rss_key(b.nics[1].ena, golden, 0), 0);
	cr_assert_eq(host_ena_get_rss_fields(b.nics[1].ena, &control), 0);
	/* UDP over IPv4 by addresses only. */
	control.selected[ENA_ADMIN_RSS_UDP4].fields =
		le16_put((uint16_t)(ENA_ADMIN_RSS_L3_DA | ENA_ADMIN_RSS_L3_SA));
	cr_assert_eq(host_ena_set_rss_fields(b.nics[1].ena, &control), 0);
	p = nic_packet(&b, HOST_PACKET_UDP, false);
	(void)queue_of(&p, &first);
	p.from_port++;
	(void)queue_of(&p, &second);
	cr_expect_eq(first.hash, second.hash);
	p.proto = HOST_PACKET_TCP;
	(void)queue_of(&p, &first);
	p.from_port++;
	(void)queue_of(&p, &second);
	cr_expect_neq(first.hash, second.hash);
	stop();
}

Test(function_ena_rss, the_table_is_given_back_as_it_was_set)
{
	struct ena_admin_rss_ind_table info;
	uint16_t table[128];

	start();
	set_table();
	cr_assert_eq(host_ena_get_rss_table(b.nics[1].ena, &info, table, 128),
		     0);
	cr_expect_eq(le16_get(info.min_size), 7);
	cr_expect_eq(le16_get(info.max_size), 7);
	for (unsigned int i = 0; i < 128; i++)
		cr_expect_eq(table[i],
			     host_ena_rx_sq(queues[i % QUEUES])->index);
	stop();
}

Test(function_ena_rss, a_table_of_another_size_or_unknown_queues_is_refused)
{
	uint16_t table[256];

	start();
	memset(table, 0xff, sizeof table);
	cr_expect_neq(host_ena_set_rss_table(b.nics[1].ena, table, 7), 0);
	memset(table, 0, sizeof table);
	cr_expect_neq(host_ena_set_rss_table(b.nics[1].ena, table, 8), 0);
	cr_expect_neq(host_ena_set_rss_table(b.nics[1].ena, table, 6), 0);
	stop();
}

Test(function_ena_rss, packets_for_a_queue_that_went_arrive_elsewhere_or_not)
{
	struct host_packet_layout layout;
	struct host_packet p;
	uint16_t table[128];

	start();
	for (unsigned int i = 0; i < 128; i++)
		table[i] = host_ena_rx_sq(queues[3])->index;
	cr_assert_eq(host_ena_set_rss_table(b.nics[1].ena, table, 7), 0);
	cr_assert_eq(host_ena_rx_close(&queues[3]), 0);
	p = nic_packet(&b, HOST_PACKET_UDP, false);
	for (int i = 0; i < 10; i++)
		nic_send_packet(&b.nics[0], &p, &layout);
	nic_settle(&b);
	cr_assert_eq(host_ena_rx_open(&b.nics[1].doors,
				      &(struct host_ena_rx_options){
					      .depth = NIC_DEPTH,
					      .buffer_bytes = NIC_BUFFER },
				      &queues[3]),
		     0);
	stop();
}

Test(function_ena_rss, flow_rules_come_before_the_hash)
{
	struct ena_admin_flow_rule rule = { .dst_port = le16_put(443),
					    .dst_port_mask = le16_put(0xffff) };
	struct host_ena_received last;
	struct host_packet p;
	uint16_t location;

	start();
	p = nic_packet(&b, HOST_PACKET_TCP, false);
	p.to_port = 443;
	cr_assert_eq(queue_of(&p, &last), 0);
	cr_assert_eq(host_ena_add_flow(b.nics[1].ena, ENA_ADMIN_FLOW_IPV4_TCP,
				       &rule, 6, &location),
		     0);
	cr_expect_eq(queue_of(&p, &last), 6);
	p.to_port = 444;
	cr_expect_eq(queue_of(&p, &last), 0);
	p.to_port = 443;
	p.proto = HOST_PACKET_UDP;
	cr_expect_eq(queue_of(&p, &last), 0);
	p.proto = HOST_PACKET_TCP;
	p.is_ipv6 = true;
	cr_expect_eq(queue_of(&p, &last), 0);
	p.is_ipv6 = false;
	cr_assert_eq(host_ena_remove_flow(b.nics[1].ena, location), 0);
	cr_expect_eq(queue_of(&p, &last), 0);
	stop();
}
