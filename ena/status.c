/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an operator can see of a NIC and ask of it.  Everything is JSON, written
 * into memory of the asker: an object's members without the braces.  On the
 * function's loop.
 */
#include "ena/status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ena/control.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/text.h"

static const char *boolean(bool is_true)
{
	return is_true ? "true" : "false";
}

static uint32_t depth_of(const struct ena_nic *nic, uint32_t caps)
{
	return (uint32_t)bits_get(ENA_REGS_QUEUE_DEPTH,
				  ena_register_get(nic, caps));
}

static uint64_t address_of(const struct ena_nic *nic, uint32_t lo)
{
	return ena_address(ena_register_get(nic, lo),
			   ena_register_get(nic, lo + 4));
}

/* ---- status ---- */

static const char *condition(const struct ena_nic *nic)
{
	uint32_t sts = ena_register_get(nic, ENA_REGS_DEV_STS);

	if (bits_get(ENA_REGS_DEV_STS_RESET_IN_PROGRESS, sts))
		return "resetting";
	if (!depth_of(nic, ENA_REGS_AQ_CAPS))
		return "idle";
	return nic->state->has_aenq_head ? "running" : "set up";
}

static unsigned int count_queues(const struct ena_nic *nic, uint8_t direction)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < ENA_QUEUES; i++)
		count += nic->state->sq[i].depth &&
			 nic->state->sq[i].direction == direction;
	return count;
}

static bool has_llq(const struct ena_nic *nic)
{
	for (unsigned int i = 0; i < ENA_QUEUES; i++)
		if (nic->state->sq[i].depth && nic->state->sq[i].is_llq)
			return true;
	return false;
}

static void put_driver(struct rt_text *t, struct ena_nic *nic)
{
	const struct ena_admin_host_info *info = &nic->told_host_info;
	char kernel[sizeof info->kernel_ver_str];
	char version[32];

	if (!le32_get(info->os_type)) {
		rt_text_put(t, "\"driver\": null");
		return;
	}
	ena_copy_text(kernel, info->kernel_ver_str, sizeof kernel);
	ena_driver_version(info, version, sizeof version);
	rt_text_put(t,
		    "\"driver\": {\"version\": \"%s\", \"system\": \"%s\", "
		    "\"kernel\": \"%s\"}",
		    version, ena_host_system(info), kernel);
}

size_t ena_describe(struct pcie_function *fn, char *text, size_t size)
{
	struct ena_nic *nic = ena_nic_of(fn);
	struct rt_text t = { text, size, 0 };
	const uint8_t *mac = nic->mac;

	rt_text_put(
		&t,
		"\"profile\": \"%s\", "
		"\"mac\": \"%02x:%02x:%02x:%02x:%02x:%02x\", "
		"\"link\": \"%s\", \"speed_mbps\": %u, \"device\": \"%s\", ",
		nic->profile->name, mac[0], mac[1], mac[2], mac[3], mac[4],
		mac[5], nic->state->is_link_down ? "down" : "up",
		nic->link_mbps, condition(nic));
	rt_text_put(&t,
		    "\"mtu\": %u, \"queue_pairs\": %u, \"tx_queues\": %u, "
		    "\"rx_queues\": %u, \"llq\": %s, \"doorbells\": \"%s\", "
		    "\"last_reset\": \"%s\", ",
		    nic->state->mtu, nic->pairs,
		    count_queues(nic, ENA_ADMIN_SQ_DIRECTION_TX),
		    count_queues(nic, ENA_ADMIN_SQ_DIRECTION_RX),
		    boolean(has_llq(nic)),
		    pcie_bar_bytes(fn, ENA_REGS_BAR) ? "mapped" : "trapped",
		    ena_reset_reason_name(nic->state->last_reason));
	put_driver(&t, nic);
	return t.length;
}

/* ---- queues: the device's own view ---- */

static void put_resets(struct rt_text *t, const struct ena_state *state)
{
	const char *comma = "";

	rt_text_put(t, "\"resets\": {");
	for (unsigned int i = 0; i < ENA_REGS_RESET_REASONS; i++) {
		if (!state->resets[i])
			continue;
		rt_text_put(t, "%s\"%s\": %u", comma, ena_reset_reason_name(i),
			    state->resets[i]);
		comma = ", ";
	}
	rt_text_put(t, "}, \"last_reset\": \"%s\", ",
		    ena_reset_reason_name(state->last_reason));
}

static void put_device(struct rt_text *t, const struct ena_nic *nic)
{
	const struct ena_state *state = nic->state;

	rt_text_put(
		t,
		"\"device\": \"%s\", \"mtu\": %u, \"link\": \"%s\", "
		"\"readless_at\": \"0x%" PRIx64
		"\", \"host_info_at\": \"0x%" PRIx64
		"\", \"management_interrupt\": \"%s\", "
		"\"management_pending\": %s, ",
		condition(nic), state->mtu, state->is_link_down ? "down" : "up",
		address_of(nic, ENA_REGS_MMIO_RESP_LO), state->host_info,
		ena_register_get(nic, ENA_REGS_INTR_MASK) & 1 ? "masked" : "on",
		boolean(state->has_management_pending));
	put_resets(t, state);
}

static void put_admin(struct rt_text *t, const struct ena_nic *nic)
{
	const struct ena_state *state = nic->state;
	uint32_t depth = depth_of(nic, ENA_REGS_AQ_CAPS);
	uint32_t acq_depth = depth_of(nic, ENA_REGS_ACQ_CAPS);

	rt_text_put(t,
		    "\"admin\": {\"base\": \"0x%" PRIx64 "\", \"depth\": %u, "
		    "\"doorbell\": %u, \"consumed\": %u, \"completed\": %u, "
		    "\"completion_phase\": %u}, ",
		    address_of(nic, ENA_REGS_AQ_BASE_LO), depth,
		    ena_register_get(nic, ENA_REGS_AQ_DB) & 0xffff,
		    state->aq_consumed, state->acq_posted,
		    acq_depth ? ena_ring_phase(state->acq_posted, acq_depth)
			      : 1u);
}

static void put_aenq(struct rt_text *t, const struct ena_nic *nic)
{
	const struct ena_state *state = nic->state;
	uint64_t now = rt_loop_now_ns(nic->fn->loop);
	uint64_t next = nic->keep_alive.deadline_ns;

	rt_text_put(t,
		    "\"events\": {\"base\": \"0x%" PRIx64 "\", \"depth\": %u, "
		    "\"groups\": \"0x%x\", \"head\": %u, \"posted\": %u, "
		    "\"credit\": %u, \"link_told\": %s, ",
		    ena_address(ena_register_get(nic, ENA_REGS_AENQ_BASE_LO),
				ena_register_get(nic, ENA_REGS_AENQ_BASE_HI)),
		    depth_of(nic, ENA_REGS_AENQ_CAPS), state->aenq_groups,
		    state->aenq_head, state->aenq_posted, ena_aenq_credit(nic),
		    boolean(state->is_link_told));
	if (nic->keep_alive.heap_slot)
		rt_text_put(t, "\"next_keep_alive_ms\": %" PRIu64 "}, ",
			    next > now ? (next - now) / RT_NS_PER_MS : 0);
	else
		rt_text_put(t, "\"next_keep_alive_ms\": null}, ");
}

static void put_llq(struct rt_text *t, const struct ena_nic *nic)
{
	const struct ena_llq_config *llq = &nic->state->llq;

	if (!llq->is_set) {
		rt_text_put(t, "\"llq\": null, ");
		return;
	}
	rt_text_put(
		t,
		"\"llq\": {\"entry_bytes\": %u, \"descs_before_header\": %u, "
		"\"stride\": \"%s\", \"accel\": %u}, ",
		llq->entry_bytes, llq->descs_before_header,
		llq->is_single ? "single" : "multiple", llq->accel_flags);
}

static void put_table(struct rt_text *t, const struct ena_rss_config *rss)
{
	rt_text_put(t, "\"table\": [");
	for (unsigned int i = 0; i < ENA_RSS_ENTRIES; i++)
		rt_text_put(t, "%s%d", i ? "," : "",
			    rss->table[i] == ENA_NO_QUEUE ? -1 : rss->table[i]);
	rt_text_put(t, "]");
}

static void put_rss(struct rt_text *t, const struct ena_nic *nic)
{
	const struct ena_rss_config *rss = &nic->state->rss;
	unsigned int flows = 0;

	for (unsigned int i = 0; i < ENA_MAX_FLOWS; i++)
		flows += nic->state->flows[i].is_used;
	rt_text_put(t,
		    "\"rss\": {\"function\": \"toeplitz\", \"key_set\": %s, ",
		    boolean(rss->has_key));
	rt_text_put(t, "\"key\": \"");
	for (unsigned int i = 0; i < ENA_ADMIN_RSS_KEY_BYTES; i++)
		rt_text_put(t, "%02x", rss->key.key[i]);
	rt_text_put(t, "\", \"initial\": \"0x%08x\", ", rss->init_val);
	put_table(t, rss);
	rt_text_put(t, "}, \"flow_rules\": %u, ", flows);
}

static void put_clock(struct rt_text *t, const struct ena_nic *nic)
{
	rt_text_put(t,
		    "\"clock_at\": \"0x%" PRIx64 "\", \"tx_timestamps\": %s, "
		    "\"rx_timestamps\": %s, ",
		    nic->state->phc_output, boolean(nic->state->tx_timestamps),
		    boolean(nic->state->rx_timestamps));
}

static void put_cq(struct rt_text *t, const struct ena_cq_state *cq)
{
	rt_text_put(t,
		    "\"cq_base\": \"0x%" PRIx64 "\", \"cq_depth\": %u, "
		    "\"entry_bytes\": %u, \"posted\": %u, \"phase\": %u, ",
		    cq->base, cq->depth, cq->entry_words * 4u, cq->posted,
		    ena_ring_phase(cq->posted, cq->depth));
	if (cq->has_interrupt)
		rt_text_put(t, "\"vector\": %u", cq->vector);
	else
		rt_text_put(t, "\"vector\": null");
}

static void put_sq(struct rt_text *t, const struct ena_sq_state *sq)
{
	rt_text_put(
		t,
		", \"direction\": \"%s\", \"ring\": %u, \"placement\": \"%s\", "
		"\"base\": \"0x%" PRIx64 "\", \"depth\": %u, \"doorbell\": %u, "
		"\"consumed\": %u, \"waiting\": %u, \"stopped\": %s",
		sq->direction == ENA_ADMIN_SQ_DIRECTION_TX ? "tx" : "rx",
		sq->ordinal, sq->is_llq ? "device" : "host", sq->base,
		sq->depth, sq->doorbell, sq->consumed,
		(uint16_t)(sq->doorbell - sq->consumed),
		boolean(sq->is_stopped));
}

static void put_queues(struct rt_text *t, const struct ena_state *state)
{
	const char *comma = "";

	rt_text_put(t, "\"queues\": [");
	for (unsigned int i = 0; i < ENA_QUEUES; i++) {
		if (!state->cq[i].depth)
			continue;
		rt_text_put(t, "%s{\"queue\": %u, ", comma, i);
		put_cq(t, &state->cq[i]);
		if (state->sq[i].depth)
			put_sq(t, &state->sq[i]);
		rt_text_put(t, "}");
		comma = ", ";
	}
	rt_text_put(t, "], ");
}

static bool is_vector_used(const struct ena_state *state, unsigned int vector)
{
	for (unsigned int i = 0; i < ENA_QUEUES; i++)
		if (state->cq[i].depth && state->cq[i].has_interrupt &&
		    state->cq[i].vector == vector)
			return true;
	return false;
}

static void put_vector(struct rt_text *t, const struct ena_nic *nic,
		       unsigned int i)
{
	const struct ena_vector_state *vector = &nic->state->vectors[i];
	const struct pcie_interrupt_state *msix = &nic->fn->state.interrupts;
	uint64_t now = rt_loop_now_ns(nic->fn->loop);
	uint64_t due = nic->vectors[i].due_ns;

	rt_text_put(t,
		    "{\"vector\": %u, \"masked\": %s, \"pending\": %s, "
		    "\"rx_delay_us\": %u, \"tx_delay_us\": %u, "
		    "\"msix_masked\": %s, \"msix_pending\": %s, ",
		    i, boolean(!vector->is_unmasked),
		    boolean(vector->is_pending), vector->rx_delay,
		    vector->tx_delay, boolean(msix->msix_table[i][12] & 1),
		    boolean(msix->msix_pending[i / 64] & BIT(i % 64)));
	if (due)
		rt_text_put(t, "\"due_us\": %" PRIu64 "}",
			    due > now ? (due - now) / RT_NS_PER_US : 0);
	else
		rt_text_put(t, "\"due_us\": null}");
}

static void put_vectors(struct rt_text *t, const struct ena_nic *nic)
{
	const char *comma = "";

	rt_text_put(t, "\"vectors\": [");
	for (unsigned int i = 0; i <= nic->pairs; i++) {
		if (!is_vector_used(nic->state, i))
			continue;
		rt_text_put(t, "%s", comma);
		put_vector(t, nic, i);
		comma = ", ";
	}
	rt_text_put(t, "]");
}

static size_t show_queues(struct pcie_function *fn, char *text, size_t size)
{
	struct ena_nic *nic = ena_nic_of(fn);
	struct rt_text t = { text, size, 0 };

	ena_doors_catch_up(nic);
	put_device(&t, nic);
	put_admin(&t, nic);
	put_aenq(&t, nic);
	put_llq(&t, nic);
	put_rss(&t, nic);
	put_clock(&t, nic);
	put_queues(&t, nic->state);
	put_vectors(&t, nic);
	return t.length;
}

/* ---- verbs ---- */

static int run_queues(struct pcie_function *fn, const char *argument,
		      struct pcie_answer *answer, struct rt_error *error)
{
	(void)argument;
	(void)error;
	answer->length = show_queues(fn, answer->text, answer->size);
	return 0;
}

static int run_link(struct pcie_function *fn, const char *argument,
		    struct pcie_answer *answer, struct rt_error *error)
{
	struct ena_nic *nic = ena_nic_of(fn);
	struct rt_text t = { answer->text, answer->size, 0 };
	bool is_down = argument && !strcmp(argument, "down");

	if (argument && !is_down && strcmp(argument, "up") != 0)
		return rt_error_set(error, -EINVAL,
				    "a link can be up or down, not '%.32s'",
				    argument);
	if (argument && nic->state->is_link_down != is_down) {
		nic->state->is_link_down = is_down;
		rt_log_notice(fn->name, "the link is %s", argument);
		ena_link_changed(nic);
	}
	rt_text_put(&t, "\"link\": \"%s\", \"speed_mbps\": %u",
		    nic->state->is_link_down ? "down" : "up", nic->link_mbps);
	answer->length = t.length;
	return 0;
}

static void put_counters(struct rt_text *t, const struct ena_nic *nic)
{
	rt_text_put(t, "\"counters\": {");
	for (unsigned int i = 0; i < ENA_COUNTERS; i++)
		rt_text_put(
			t, "%s\"%s\": %" PRIu64, i ? ", " : "",
			ena_counter_names[i].name,
			rt_counter_read(
				(const void *)((const char *)nic +
					       ena_counter_names[i].offset)));
	rt_text_put(t, "}, ");
}

static void put_port(struct rt_text *t, const char *name,
		     const struct ena_port *port)
{
	const struct ena_port_counters *c = &port->counters;
	const struct {
		const char *name;
		const struct rt_counter *counter;
	} all[] = {
		{ "in_frames", &c->in_frames },
		{ "in_bytes", &c->in_bytes },
		{ "in_drops", &c->in_drops },
		{ "out_frames", &c->out_frames },
		{ "out_bytes", &c->out_bytes },
		{ "out_drops", &c->out_drops },
	};

	rt_text_put(t, "\"%s\": {\"capturing\": %s", name,
		    boolean(port->capture));
	for (size_t i = 0; i < RT_COUNT(all); i++)
		rt_text_put(t, ", \"%s\": %" PRIu64, all[i].name,
			    rt_counter_read(all[i].counter));
	rt_text_put(t, "}");
}

static int run_statistics(struct pcie_function *fn, const char *argument,
			  struct pcie_answer *answer, struct rt_error *error)
{
	struct ena_nic *nic = ena_nic_of(fn);
	struct rt_text t = { answer->text, answer->size, 0 };

	(void)argument;
	(void)error;
	put_counters(&t, nic);
	put_port(&t, "port", &nic->port);
	if (nic->uplink) {
		rt_text_put(&t, ", ");
		put_port(&t, "uplink", nic->uplink);
	}
	answer->length = t.length;
	return 0;
}

static int run_capture(struct pcie_function *fn, const char *argument,
		       struct pcie_answer *answer, struct rt_error *error)
{
	struct ena_nic *nic = ena_nic_of(fn);
	struct rt_text t = { answer->text, answer->size, 0 };
	int status = 0;

	if (argument && !strcmp(argument, "stop")) {
		if (nic->port.capture)
			ena_port_capture_end(&nic->port);
	} else if (argument && argument[0] != '/') {
		return rt_error_set(error, -EINVAL,
				    "a capture's path begins at the root: the "
				    "card has a folder of its own");
	} else if (argument && nic->port.capture) {
		return rt_error_set(error, -EBUSY,
				    "there is a capture already; stop it "
				    "first");
	} else if (argument) {
		status = ena_port_capture(&nic->port, argument, error);
	}
	rt_text_put(&t, "\"capturing\": %s", boolean(nic->port.capture));
	answer->length = t.length;
	return status;
}

static int run_notify(struct pcie_function *fn, const char *argument,
		      struct pcie_answer *answer, struct rt_error *error)
{
	struct ena_nic *nic = ena_nic_of(fn);
	struct rt_text t = { answer->text, answer->size, 0 };
	unsigned long code = argument ? strtoul(argument, NULL, 10) : 0;

	if (code < 1 || code > 64)
		return rt_error_set(error, -EINVAL,
				    "a notification is a number from 1 to 64");
	rt_text_put(&t, "\"told\": %s",
		    boolean(ena_aenq_notify(nic, BIT(code - 1))));
	answer->length = t.length;
	return 0;
}

const struct pcie_verb ena_verbs[ENA_VERBS] = {
	{ "link", "up or down; nothing: how it is",
	  "Take the link down or up, as if a cable were pulled.", run_link },
	{ "statistics", NULL, "What passed the NIC and its port.",
	  run_statistics },
	{ "capture", "a file's path, or stop",
	  "Write all packets of the NIC to a pcapng file.", run_capture },
	{ "queues", NULL,
	  "The device's own view: queues, credits, timers, RSS.", run_queues },
	{ "notify", "a number from 1 to 64",
	  "Tell the driver that its configuration could be better.",
	  run_notify },
};
