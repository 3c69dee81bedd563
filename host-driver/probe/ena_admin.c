/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of a network adapter's admin queue, features and events:
 * ena_admin_defs.h; ena_com.c for who relies on it.
 */
#include <errno.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"
#include "host-driver/probe/ena.h"

#define WRAPS     66000u
#define NO_OPCODE 0x3fu
#define NO_MEMORY UINT64_C(0x7f0000000000)
#define BATCH     8u

static const struct host_ena_buffer no_buffer;

/* --- The admin queue ------------------------------------------------------ */

static int restart(struct probe *p, uint32_t admin_depth, uint32_t aenq_depth)
{
	p->ena->options.admin_depth = admin_depth;
	p->ena->options.aenq_depth = aenq_depth;
	return host_ena_start(p->ena);
}

enum probe_verdict probe_ena_admin_two_entries(struct probe *p)
{
	struct ena_admin_basic_stats stats;
	int rc = restart(p, 2, 2);

	for (int i = 0; i < 20 && rc == 0; i++)
		rc = host_ena_get_stats(p->ena, ENA_ADMIN_STATS_BASIC, &stats,
					sizeof stats);
	return rc ? probe_failed(p, rc, "rings of two entries") : PROBE_HOLDS;
}

static struct ena_admin_aq_entry stats_command(uint16_t id)
{
	return (struct ena_admin_aq_entry){ .command_id = le16_put(id),
					    .opcode = ENA_ADMIN_GET_STATS };
}

static int await(struct probe *p, uint16_t id)
{
	return host_ena_wait(p->ena, id, NULL);
}

/* iPXE counts beyond its queue's depth. */
enum probe_verdict probe_ena_admin_identifier(struct probe *p)
{
	struct ena_admin_aq_entry entry = stats_command(200);
	int rc;

	host_ena_put(p->ena, &entry);
	rc = host_ena_ring_admin(p->ena);
	if (rc == 0)
		rc = await(p, 200);
	return rc ? probe_failed(p, rc, "a command with identifier 200")
		  : PROBE_HOLDS;
}

enum probe_verdict probe_ena_admin_batch(struct probe *p)
{
	int rc;

	for (uint16_t i = 0; i < BATCH; i++) {
		struct ena_admin_aq_entry entry = stats_command(100 + i);

		host_ena_put(p->ena, &entry);
	}
	rc = host_ena_ring_admin(p->ena);
	for (uint16_t i = 0; i < BATCH && rc == 0; i++)
		rc = await(p, 100 + i);
	return rc ? probe_failed(p, rc, "8 commands and one doorbell")
		  : PROBE_HOLDS;
}

enum probe_verdict probe_ena_admin_doorbell(struct probe *p)
{
	struct ena_admin_aq_entry entry = stats_command(99);
	struct ena_admin_acq_entry out;
	int rc;

	host_ena_put(p->ena, &entry);
	probe_pause_ms(p, PROBE_QUIET_MS);
	rc = host_ena_reap(p->ena);
	if (rc < 0 || host_ena_take(p->ena, 99, &out))
		return probe_broken(p, "it is run before the doorbell");
	rc = host_ena_ring_admin(p->ena);
	if (rc == 0)
		rc = await(p, 99);
	return rc ? probe_failed(p, rc, "after the doorbell") : PROBE_HOLDS;
}

enum probe_verdict probe_ena_admin_doorbell_again(struct probe *p)
{
	struct ena_admin_basic_stats stats;
	int rc = host_ena_get_stats(p->ena, ENA_ADMIN_STATS_BASIC, &stats,
				    sizeof stats);

	for (int i = 0; i < 3 && rc == 0; i++)
		rc = host_ena_ring_admin(p->ena);
	probe_pause_ms(p, PROBE_QUIET_MS);
	if (rc == 0)
		rc = host_ena_reap(p->ena);
	return rc == 0 ? PROBE_HOLDS
	       : rc < 0
		       ? probe_failed(p, rc, "ringing again")
		       : probe_broken(p, "%d commands are completed twice", rc);
}

enum probe_verdict probe_ena_admin_wrap(struct probe *p)
{
	struct ena_admin_basic_stats stats;

	for (uint32_t i = 0; i < WRAPS; i++) {
		int rc = host_ena_get_stats(p->ena, ENA_ADMIN_STATS_BASIC,
					    &stats, sizeof stats);

		if (rc)
			return probe_failed(p, rc, "after many commands");
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_ena_admin_unknown_opcode(struct probe *p)
{
	struct ena_admin_aq_entry entry = { .opcode = NO_OPCODE };

	return probe_want(p, host_ena_call(p->ena, &entry, NULL),
			  ENA_ADMIN_BAD_OPCODE, ENA_ADMIN_UNSUPPORTED_OPCODE);
}

enum probe_verdict probe_ena_admin_buffer_address(struct probe *p)
{
	struct ena_admin_rss_ind_table table;
	struct ena_admin_basic_stats stats;
	int rc = host_ena_get_feature(
		p->ena, ENA_ADMIN_RSS_INDIRECTION_TABLE_CONFIG, 0,
		(struct host_ena_buffer){ NO_MEMORY, 512 }, &table,
		sizeof table);

	if (rc < 0)
		return probe_failed(p, rc, "a buffer that is not ours");
	rc = host_ena_get_stats(p->ena, ENA_ADMIN_STATS_BASIC, &stats,
				sizeof stats);
	return rc ? probe_failed(p, rc, "the next command") : PROBE_HOLDS;
}

/* --- Features ------------------------------------------------------------- */

enum probe_verdict probe_ena_feature_unknown(struct probe *p)
{
	uint8_t out[8];
	int rc =
		host_ena_get_feature(p->ena, 25, 0, no_buffer, out, sizeof out);

	return probe_want(p, rc, ENA_ADMIN_UNSUPPORTED_OPCODE);
}

enum probe_verdict probe_ena_feature_attributes(struct probe *p)
{
	static const uint8_t none[6];
	const struct ena_admin_device_attr *a = &p->ena->facts.attr;

	if (a->mac_addr[0] & 1 || memcmp(a->mac_addr, none, 6) == 0)
		return probe_broken(p, "the MAC address is not a station's");
	if (le32_get(a->max_mtu) < 1500)
		return probe_broken(p, "an MTU of %u", le32_get(a->max_mtu));
	if (!host_ena_has_feature(p->ena, ENA_ADMIN_AENQ_CONFIG) ||
	    !host_ena_has_feature(p->ena, ENA_ADMIN_STATELESS_OFFLOAD_CONFIG) ||
	    !host_ena_has_feature(p->ena,
				  ENA_ADMIN_RSS_INDIRECTION_TABLE_CONFIG))
		return probe_broken(p,
				    "features %08xh: drivers need 11, 12 "
				    "and 26",
				    le32_get(a->supported_features));
	return PROBE_HOLDS;
}

enum probe_verdict probe_ena_feature_queues(struct probe *p)
{
	const struct ena_admin_max_queues_ext *q = &p->ena->facts.queues;

	if (le32_get(q->max_tx_sq_num) == 0 || le32_get(q->max_rx_sq_num) == 0)
		return probe_broken(p, "it has no queues");
	if (le32_get(q->max_tx_sq_depth) < ENA_DEPTH ||
	    le32_get(q->max_rx_sq_depth) < ENA_DEPTH)
		return probe_broken(p, "queues of less than 256 entries");
	if (le32_get(q->max_tx_header_size) > 255)
		return probe_broken(p, "headers of more than 255 bytes");
	return le16_get(q->max_per_packet_tx_descs) < 2
		       ? probe_broken(p, "packets of one buffer only")
		       : PROBE_HOLDS;
}

/* All that a bit promises is answered. */
enum probe_verdict probe_ena_feature_promised(struct probe *p)
{
	static const struct {
		uint8_t feature, version;
	} gets[] = {
		{ ENA_ADMIN_HW_HINTS, 0 },
		{ ENA_ADMIN_LLQ, 1 },
		{ ENA_ADMIN_MAX_QUEUES_EXT, 1 },
		{ ENA_ADMIN_RSS_HASH_FUNCTION, 0 },
		{ ENA_ADMIN_STATELESS_OFFLOAD_CONFIG, 0 },
		{ ENA_ADMIN_RSS_INDIRECTION_TABLE_CONFIG, 0 },
		{ ENA_ADMIN_RSS_HASH_INPUT, 0 },
		{ ENA_ADMIN_INTERRUPT_MODERATION, 0 },
		{ ENA_ADMIN_AENQ_CONFIG, 0 },
		{ ENA_ADMIN_LINK_CONFIG, 0 },
		{ ENA_ADMIN_PHC_CONFIG, 0 },
		{ ENA_ADMIN_HW_TIMESTAMP, 0 },
	};
	uint8_t out[56];

	for (size_t i = 0; i < RT_COUNT(gets); i++) {
		bool is_there = host_ena_has_feature(p->ena, gets[i].feature);
		struct host_ena_buffer buffer = { p->ena->scratch, 512 };
		bool has_buffer =
			gets[i].feature == ENA_ADMIN_RSS_HASH_INPUT ||
			gets[i].feature ==
				ENA_ADMIN_RSS_INDIRECTION_TABLE_CONFIG;
		int rc = host_ena_get_feature(
			p->ena, gets[i].feature, gets[i].version,
			has_buffer ? buffer : no_buffer, out, sizeof out);

		if (is_there != (rc == 0))
			return probe_broken(
				p, "feature %u is %s and Get says %s",
				gets[i].feature,
				is_there ? "promised" : "not promised",
				host_ena_status_text(rc));
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_ena_feature_groups(struct probe *p)
{
	uint32_t all = le32_get(p->ena->facts.aenq.supported_groups);
	struct ena_admin_aenq_config config = { 0 };

	for (uint32_t bit = 1, set = 0; bit <= all && bit; bit <<= 1) {
		int rc = host_ena_set_events(p->ena, set & all);

		if (rc == 0)
			rc = host_ena_get_feature(p->ena, ENA_ADMIN_AENQ_CONFIG,
						  0, no_buffer, &config,
						  sizeof config);
		if (rc)
			return probe_failed(p, rc, "setting groups");
		if (le32_get(config.enabled_groups) != (set & all))
			return probe_broken(p, "%xh is set, %xh is got",
					    set & all,
					    le32_get(config.enabled_groups));
		set |= bit;
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_ena_feature_groups_unknown(struct probe *p)
{
	return ena_want_refusal(p, host_ena_set_events(p->ena, 0x80000000));
}

enum probe_verdict probe_ena_feature_host_first(struct probe *p)
{
	int rc = host_ena_reset(p->ena, ENA_REGS_RESET_NORMAL);

	if (rc == 0)
		rc = host_ena_admin_init(p->ena);
	if (rc == 0)
		rc = host_ena_set_host_info(p->ena, 0);
	return rc ? probe_failed(p, rc, "host attributes as the first command")
		  : PROBE_HOLDS;
}

enum probe_verdict probe_ena_feature_mtu(struct probe *p)
{
	uint32_t most = le32_get(p->ena->facts.attr.max_mtu);
	int rc;

	if (!host_ena_has_feature(p->ena, ENA_ADMIN_MTU))
		return probe_skip(p, "the MTU cannot be set");
	rc = host_ena_set_mtu(p->ena, most);
	if (rc == 0)
		rc = host_ena_set_mtu(p->ena, 128);
	if (rc)
		return probe_failed(p, rc, "an MTU of 128 and the largest");
	return probe_want(p, host_ena_set_mtu(p->ena, most + 1),
			  ENA_ADMIN_ILLEGAL_PARAMETER);
}

enum probe_verdict probe_ena_feature_link(struct probe *p)
{
	struct ena_admin_link link = { 0 };
	int rc;

	if (!host_ena_has_feature(p->ena, ENA_ADMIN_LINK_CONFIG))
		return probe_skip(p, "it does not tell of its link");
	rc = host_ena_get_link(p->ena, &link);
	if (rc)
		return probe_failed(p, rc, "Get Feature");
	return le32_get(link.speed) && le32_get(link.supported)
		       ? PROBE_HOLDS
		       : probe_broken(p, "it has no speed");
}

enum probe_verdict probe_ena_feature_delay(struct probe *p)
{
	if (!host_ena_has_feature(p->ena, ENA_ADMIN_INTERRUPT_MODERATION))
		return probe_skip(p, "interrupts cannot be delayed");
	return p->ena->facts.delay_us
		       ? PROBE_HOLDS
		       : probe_broken(p, "delays have a unit of 0 us");
}

enum probe_verdict probe_ena_feature_llq_choice(struct probe *p)
{
	const struct ena_admin_llq *llq = &p->ena->facts.llq;
	uint16_t sizes = le16_get(llq->entry_size_supported);

	if (le32_get(llq->max_llq_num) == 0)
		return probe_skip(p, "no LLQ");
	for (unsigned int i = 0; i < 3; i++) {
		int rc = host_ena_set_llq(p->ena, (uint16_t)(128 + 64 * i));

		if (sizes >> i & 1 && rc)
			return probe_failed(p, rc, "an entry size it offers");
	}
	return sizes & llq->entry_size_recommended
		       ? PROBE_HOLDS
		       : probe_broken(p,
				      "it recommends what it does not offer");
}

enum probe_verdict probe_ena_feature_llq_unknown(struct probe *p)
{
	static const struct ena_admin_llq none = {
		.header_location_enabled = { ENA_ADMIN_INLINE_HEADER },
		.entry_size_enabled = { 0x4000 },
		.descs_before_header_enabled = { 2 },
		.stride_enabled = { ENA_ADMIN_MULTIPLE_DESCS_PER_ENTRY },
	};

	if (le32_get(p->ena->facts.llq.max_llq_num) == 0)
		return probe_skip(p, "no LLQ");
	return ena_want_refusal(p, host_ena_set_feature(p->ena, ENA_ADMIN_LLQ,
							&none, sizeof none,
							no_buffer, NULL));
}

enum probe_verdict probe_ena_feature_clock(struct probe *p)
{
	uint64_t before = 0, ns = 0;
	uint32_t error_ns;
	int rc;

	if (!host_ena_has_feature(p->ena, ENA_ADMIN_PHC_CONFIG))
		return probe_skip(p, "it has no clock");
	rc = host_ena_phc_start(p->ena);
	for (int i = 0; i < 10 && rc == 0; i++) {
		before = ns;
		rc = host_ena_phc_read(p->ena, &ns, &error_ns);
		if (rc == 0 && ns <= before)
			return probe_broken(p, "the clock stands still");
		probe_pause_ms(p, 10);
	}
	return rc ? probe_failed(p, rc, "the clock") : PROBE_HOLDS;
}

enum probe_verdict probe_ena_feature_flow(struct probe *p)
{
	const struct ena_admin_flow_rule rule = {
		.dst_port = le16_put(80),
		.dst_port_mask = le16_put(0xffff),
	};
	uint16_t first = 0, second = 0;
	int rc;

	if (!host_ena_has_feature(p->ena, ENA_ADMIN_FLOW_STEERING_CONFIG))
		return probe_skip(p, "it does not steer flows");
	rc = host_ena_add_flow(p->ena, ENA_ADMIN_FLOW_IPV4_TCP, &rule, 0,
			       &first);
	if (rc == 0)
		rc = host_ena_add_flow(p->ena, ENA_ADMIN_FLOW_IPV4_UDP, &rule,
				       0, &second);
	if (rc)
		return probe_failed(p, rc, "adding rules");
	if (first == second || first == ENA_ADMIN_FLOW_ANYWHERE)
		return probe_broken(p, "rules are at %u and %u", first, second);
	rc = host_ena_remove_flow(p->ena, first);
	if (rc)
		return probe_failed(p, rc, "removing a rule");
	return ena_want_refusal(p, host_ena_remove_flow(p->ena, first));
}

enum probe_verdict probe_ena_feature_metrics(struct probe *p)
{
	uint64_t values[64], first = 0, second = 0;
	int rc;

	if (!host_ena_can(p->ena, ENA_ADMIN_CUSTOMER_METRICS))
		return probe_skip(p, "no customer metrics");
	rc = host_ena_get_metrics(p->ena, 0x3f, &first, NULL);
	if (rc == 0)
		rc = host_ena_get_metrics(p->ena, first, &second, values);
	if (rc)
		return probe_failed(p, rc, "Get Stats");
	return first == second && (first & ~UINT64_C(0x3f)) == 0
		       ? PROBE_HOLDS
		       : probe_broken(p, "%lxh are reported, then %lxh", first,
				      second);
}

enum probe_verdict probe_ena_feature_stats(struct probe *p)
{
	struct ena_admin_basic_stats before, after;
	uint64_t page = ena_page(p);
	const struct host_ena_packet packet = {
		.bytes = host_ena_at(p->ena, page), .iova = page, .length = 100
	};
	int rc = host_ena_get_stats(p->ena, ENA_ADMIN_STATS_BASIC, &before,
				    sizeof before);

	for (int i = 0; i < 5 && rc == 0; i++)
		rc = ena_send(p, &packet);
	if (rc == 0)
		rc = host_ena_get_stats(p->ena, ENA_ADMIN_STATS_BASIC, &after,
					sizeof after);
	if (rc)
		return probe_failed(p, rc, "five packets");
	if (le64_get(after.tx_pkts) - le64_get(before.tx_pkts) != 5)
		return probe_broken(p, "5 packets count as %lu",
				    le64_get(after.tx_pkts) -
					    le64_get(before.tx_pkts));
	return le64_get(after.tx_bytes) - le64_get(before.tx_bytes) == 500
		       ? PROBE_HOLDS
		       : probe_broken(p, "500 bytes count as %lu",
				      le64_get(after.tx_bytes) -
					      le64_get(before.tx_bytes));
}

/* --- Events --------------------------------------------------------------- */

static int restart_silent(struct probe *p)
{
	int rc = host_ena_reset(p->ena, ENA_REGS_RESET_NORMAL);

	if (rc == 0)
		rc = host_ena_admin_init(p->ena);
	p->ena->link_changes = p->ena->keep_alives = 0;
	return rc;
}

static int set_groups(struct probe *p, uint32_t groups)
{
	const struct ena_admin_aenq_config config = {
		.enabled_groups = le32_put(groups),
	};

	return host_ena_set_feature(p->ena, ENA_ADMIN_AENQ_CONFIG, &config,
				    sizeof config, no_buffer, NULL);
}

static int give_credit(struct probe *p)
{
	return host_ena_write(p->ena, ENA_REGS_AENQ_HEAD_DB,
			      p->ena->aenq.depth);
}

static enum probe_verdict want_link(struct probe *p, int rc)
{
	if (rc == 0)
		rc = host_ena_await_event(p->ena, ENA_ADMIN_AENQ_LINK_CHANGE,
					  p->options.timeout_ms, NULL);
	if (rc)
		return probe_failed(p, rc, "the link");
	return p->ena->is_link_up ? PROBE_HOLDS
				  : probe_broken(p, "the link is down");
}

enum probe_verdict probe_ena_event_link(struct probe *p)
{
	int rc = restart_silent(p);

	if (rc == 0)
		rc = set_groups(p, (uint32_t)BIT(ENA_ADMIN_AENQ_LINK_CHANGE));
	probe_pause_ms(p, PROBE_QUIET_MS);
	if (rc == 0 && host_ena_take_events(p->ena) != 0)
		return probe_broken(p, "an event comes before there is room");
	if (rc == 0)
		rc = give_credit(p);
	return want_link(p, rc);
}

enum probe_verdict probe_ena_event_link_late(struct probe *p)
{
	int rc = restart_silent(p);

	if (rc == 0)
		rc = give_credit(p);
	if (rc == 0)
		rc = set_groups(p, (uint32_t)BIT(ENA_ADMIN_AENQ_LINK_CHANGE));
	return want_link(p, rc);
}

enum probe_verdict probe_ena_event_keep_alive(struct probe *p)
{
	const struct rt_clock clock = { 0 };
	uint64_t start, ms;
	int rc = host_ena_await_event(p->ena, ENA_ADMIN_AENQ_KEEP_ALIVE, 2500,
				      NULL);

	if (rc)
		return probe_failed(p, rc, "the first within 2.5 s");
	start = rt_clock_now_ns(&clock);
	rc = host_ena_await_event(p->ena, ENA_ADMIN_AENQ_KEEP_ALIVE, 2500,
				  NULL);
	ms = (rt_clock_now_ns(&clock) - start) / RT_NS_PER_MS;
	if (rc)
		return probe_failed(p, rc, "the second within 2.5 s");
	return ms >= 700 && ms <= 1800
		       ? PROBE_HOLDS
		       : probe_broken(p, "%lu ms lie between two", ms);
}

enum probe_verdict probe_ena_event_off(struct probe *p)
{
	int rc = restart_silent(p);

	if (rc == 0)
		rc = set_groups(p, 0);
	if (rc == 0)
		rc = give_credit(p);
	probe_pause_ms(p, ENA_MS_KEEP_ALIVE + 300);
	if (rc == 0)
		rc = host_ena_take_events(p->ena);
	return rc == 0  ? PROBE_HOLDS
	       : rc < 0 ? probe_failed(p, rc, "no groups")
			: probe_broken(p, "%d events come", rc);
}

/* Two entries and nobody reads: the third must wait. */
enum probe_verdict probe_ena_event_credit(struct probe *p)
{
	const uint8_t *ring = host_ena_at(p->ena, p->ena->aenq.iova);
	uint8_t before[128];
	int rc = restart(p, HOST_ENA_ADMIN_DEPTH, 2);

	if (rc)
		return probe_failed(p, rc, "an event ring of two");
	probe_pause_ms(p, 2 * ENA_MS_KEEP_ALIVE + 500);
	memcpy(before, ring, sizeof before);
	probe_pause_ms(p, ENA_MS_KEEP_ALIVE + 300);
	if (memcmp(before, ring, sizeof before) != 0)
		return probe_broken(p, "a full ring is written over");
	rc = host_ena_take_events(p->ena);
	if (rc != 2)
		return probe_broken(p, "%d events are in a ring of 2", rc);
	rc = host_ena_await_event(p->ena, ENA_ADMIN_AENQ_KEEP_ALIVE, 2500,
				  NULL);
	return rc ? probe_failed(p, rc, "events once there is room again")
		  : PROBE_HOLDS;
}
