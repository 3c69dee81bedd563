/* SPDX-License-Identifier: BSD-3-Clause */
/* An adapter's bring-up, admin queue, features and events, as drivers do it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/log.h"
#include "firmware/rt/loop.h"
#include "tests/function/nic_bench.h"

static struct nic_bench b;
static struct host_ena *e;

static void start(const struct nic_options *options)
{
	nic_start(&b, options);
	e = b.nics[0].ena;
}

TestSuite(function_ena_start, .timeout = 100);

Test(function_ena_start, every_profile_comes_up_and_carries_packets)
{
	for (unsigned int i = 1; i <= ENA_PROFILES; i++) {
		struct host_packet_layout layout;
		uint8_t frame[2048];
		struct host_packet packet;

		nic_start_queues(&b, &(struct nic_options){ .profile = i });
		packet = nic_packet(&b, HOST_PACKET_UDP, false);
		nic_send_packet(&b.nics[0], &packet, &layout);
		cr_expect_eq(nic_receive(&b.nics[1], frame, NULL),
			     layout.length, "profile %u", i);
		nic_stop(&b);
	}
}

Test(function_ena_start, registers_can_be_read_directly_throughout)
{
	start(&(struct nic_options){ .driver.is_direct = true });
	cr_expect_eq(host_ena_reset(e, ENA_REGS_RESET_NORMAL), 0);
	nic_stop(&b);
}

Test(function_ena_start, rings_may_be_of_two_entries_as_ipxe_has_them)
{
	start(&(struct nic_options){
		.driver = { .admin_depth = 2, .aenq_depth = 2 } });
	for (int i = 0; i < 300; i++)
		cr_assert_eq(host_ena_set_mtu(e, 1500), 0);
	nic_stop(&b);
}

Test(function_ena_start, seventy_thousand_commands_wrap_every_counter)
{
	start(NULL);
	for (int i = 0; i < 70000; i++)
		cr_assert_eq(host_ena_set_mtu(e, 1500), 0, "command %d", i);
	nic_stop(&b);
}

Test(function_ena_start, seventy_thousand_reads_by_dma_wrap_their_number)
{
	uint32_t value;

	start(NULL);
	for (int i = 0; i < 70000; i++)
		cr_assert_eq(host_ena_read_dma(e, ENA_REGS_CAPS, &value), 0);
	cr_expect_eq(value, e->caps);
	nic_stop(&b);
}

/* iPXE's order: no readless, ACQ first, groups before host attributes. */
Test(function_ena_start, commands_outstanding_at_a_reset_are_forgotten)
{
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_GET_STATS };

	start(NULL);
	nic_fault(&b.nics[0], "admin_stall", 0, true);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(host_ena_submit(e, &entry, NULL), 0);
	cr_expect_eq(host_ena_reap(e), 0);
	nic_fault(&b.nics[0], "admin_stall", 0, false);
	cr_expect_eq(host_ena_start(e), 0);
	nic_stop(&b);
}

Test(function_ena_start, a_status_can_be_any)
{
	start(NULL);
	for (uint8_t s = 1; s < 8; s++) {
		nic_fault(&b.nics[0], "admin_status", s, true);
		cr_expect_eq(host_ena_set_mtu(e, 1500), s);
	}
	nic_fault(&b.nics[0], "admin_status", 0, false);
	cr_expect_eq(host_ena_set_mtu(e, 1500), 0);
	nic_stop(&b);
}

Test(function_ena_start, attributes_are_those_of_the_configuration)
{
	start(&(struct nic_options){ .mtu = 4000, .pairs = 3 });
	cr_expect_eq(le32_get(e->facts.attr.max_mtu), 4000);
	cr_expect_eq(le32_get(e->facts.queues.max_tx_sq_num), 3);
	cr_expect_eq(host_ena_set_mtu(e, 4000), 0);
	cr_expect_eq(host_ena_set_mtu(e, 4001), ENA_ADMIN_ILLEGAL_PARAMETER);
	nic_stop(&b);
}

Test(function_ena_start, the_link_has_its_speed_and_comes_up)
{
	struct ena_admin_link link;

	start(NULL);
	cr_assert_eq(host_ena_get_link(e, &link), 0);
	cr_expect_eq(le32_get(link.speed), 25000);
	cr_assert_eq(
		host_ena_await_event(e, ENA_ADMIN_AENQ_LINK_CHANGE, 2000, NULL),
		0);
	cr_expect(e->is_link_up);
	nic_stop(&b);
}

Test(function_ena_start, a_sign_of_life_comes_each_second_for_minutes)
{
	start(NULL);
	for (int i = 0; i < 200; i++) {
		nic_pass_time(&b, RT_NS_PER_S);
		cr_assert_geq(host_ena_take_events(e), 0);
	}
	/* The ring of 16 was gone round a dozen times. */
	cr_expect_geq(e->keep_alives, 195);
	cr_expect_leq(e->keep_alives, 205);
	nic_stop(&b);
}

Test(function_ena_start, events_that_nobody_reads_wait)
{
	start(&(struct nic_options){ .driver.aenq_depth = 4 });
	for (int i = 0; i < 20; i++)
		nic_pass_time(&b, RT_NS_PER_S);
	cr_expect_eq(host_ena_take_events(e), 4);
	nic_pass_time(&b, RT_NS_PER_S);
	cr_expect_geq(host_ena_take_events(e), 1);
	nic_stop(&b);
}

Test(function_ena_start, the_clock_is_the_machines)
{
	uint64_t ns = 0;
	uint32_t error_ns = 0;

	start(NULL);
	cr_assert_eq(host_ena_phc_start(e), 0);
	cr_assert_eq(host_ena_phc_read(e, &ns, &error_ns), 0);
	cr_expect_lt((ns / RT_NS_PER_S) - (uint64_t)time(NULL) + 5, 10);
	nic_fault(&b.nics[0], "phc_error", 1, true);
	cr_expect_eq(host_ena_phc_read(e, &ns, &error_ns), -EBUSY);
	nic_stop(&b);
}

Test(function_ena_start, the_clocks_requests_wrap_their_number)
{
	uint64_t ns = 0, before = 0;
	uint32_t error_ns = 0;

	start(NULL);
	cr_assert_eq(host_ena_phc_start(e), 0);
	for (int i = 0; i < 66000; i++, before = ns) {
		cr_assert_eq(host_ena_phc_read(e, &ns, &error_ns), 0);
		cr_assert_geq(ns, before);
	}
	nic_stop(&b);
}

Test(function_ena_start, metrics_are_those_that_are_offered)
{
	uint64_t reported = 0, again = 0, values[64];

	start(NULL);
	memset(values, 0xff, sizeof values);
	cr_assert_eq(host_ena_get_metrics(e, 0x3f, &reported, NULL), 0);
	cr_expect_neq(reported, 0);
	cr_assert_eq(host_ena_get_metrics(e, reported, &again, values), 0);
	cr_expect_eq(again, reported);
	for (unsigned int i = 0; i < 5; i++)
		if (reported >> i & 1)
			cr_expect_eq(values[i], 0, "metric %u", i);
	nic_stop(&b);
}

Test(function_ena_start, a_reset_forgets_what_was_set)
{
	struct ena_admin_rss_hash_function function;
	struct ena_admin_rss_hash_key key, mark;
	uint8_t bytes[40] = { 1, 2, 3 };

	start(NULL);
	memset(&mark, 0xa5, sizeof mark);
	cr_assert_eq(host_ena_set_rss_key(e, bytes, 7), 0);
	key = mark;
	cr_assert_eq(host_ena_get_rss_hash(e, &function, &key), 0);
	cr_expect_eq(key.key[39], 1);
	cr_expect_eq(le32_get(function.init_val), 7);
	cr_assert_eq(host_ena_start(e), 0);
	key = mark;
	cr_assert_eq(host_ena_get_rss_hash(e, &function, &key), 0);
	cr_expect_arr_eq(&key, &mark, sizeof key);
	nic_stop(&b);
}

Test(function_ena_start, the_address_stays_over_resets_unless_a_fault_says_so)
{
	uint8_t mac[6];

	start(NULL);
	memcpy(mac, e->facts.attr.mac_addr, 6);
	cr_assert_eq(host_ena_start(e), 0);
	cr_expect_arr_eq(mac, e->facts.attr.mac_addr, 6);
	nic_fault(&b.nics[0], "mac_change", 0, true);
	cr_assert_eq(host_ena_start(e), 0);
	cr_expect(memcmp(mac, e->facts.attr.mac_addr, 6) != 0);
	nic_stop(&b);
}

Test(function_ena_start, faults_of_registers_are_noticed_by_the_driver)
{
	uint32_t value;

	start(&(struct nic_options){ .driver.timeout_ms = 100 });
	nic_fault(&b.nics[0], "readless", 0, true);
	cr_expect_eq(host_ena_read_dma(e, ENA_REGS_CAPS, &value), -ETIMEDOUT);
	nic_fault(&b.nics[0], "readless", 0, false);
	e->caps = (uint32_t)bits_put(ENA_REGS_CAPS_RESET_TO, e->caps, 1);
	nic_fault(&b.nics[0], "not_ready", 0, true);
	cr_expect_eq(host_ena_reset(e, 0), -ETIMEDOUT);
	nic_fault(&b.nics[0], "not_ready", 0, false);
	nic_fault(&b.nics[0], "reset_stuck", 0, true);
	cr_expect_eq(host_ena_reset(e, 0), -ETIMEDOUT);
	nic_stop(&b);
}

Test(function_ena_start, requests_and_hints_are_told_as_events)
{
	struct ena_admin_aenq_entry event;

	start(NULL);
	nic_fault(&b.nics[0], "request_reset", 0, true);
	nic_fault(&b.nics[0], "hints", 65535, true);
	cr_expect_eq(host_ena_await_event(e,
					  ENA_ADMIN_AENQ_DEVICE_REQUEST_RESET,
					  3000, NULL),
		     0);
	cr_expect_eq(host_ena_await_event(e, ENA_ADMIN_AENQ_NOTIFICATION, 3000,
					  &event),
		     0);
	cr_expect_eq(le16_get(event.syndrome), ENA_ADMIN_AENQ_UPDATE_HINTS);
	cr_expect_eq(le_load(event.payload + 4, 2), 65535);
	nic_stop(&b);
}

/* There is no way round it: the log says what to do. */
Test(function_ena_start, memory_that_is_not_shared_is_not_used)
{
	nic_make_card(&b,
		      &(struct nic_options){ .is_by_message = true,
					     .driver = { .is_direct = true,
							 .timeout_ms = 200 } });
	rt_log_set_level(RT_LOG_ERROR - 1);
	nic_connect(&b.nics[0]);
	nic_open_driver(&b.nics[0]);
	cr_expect_eq(host_ena_start(b.nics[0].ena), -ETIMEDOUT);
	cr_expect_eq(host_dma_stats(b.nics[0].host)->writes, 0);
	nic_stop(&b);
}
