/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asynchronous events.  Nothing is posted before the driver has given credit
 * (its first write of the head doorbell) and enabled the group.  On the
 * function's loop; owns the second's tick.
 *
 * A driver may still ignore vector 0 when the first events come, and finds them
 * with the next interrupt; so each tick raises it, also where there was no room
 * for a keep-alive.  Of events that find no room only the link's state and the
 * hints are kept for later; keep-alives carry sums, so the next will do.
 */
#include <string.h>

#include "ena/control.h"
#include "ena/trace.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"

#define TICK_NS RT_NS_PER_S

/* ---- the ring ---- */

static uint32_t depth_of(const struct ena_nic *nic)
{
	return (uint32_t)bits_get(ENA_REGS_QUEUE_DEPTH,
				  ena_register_get(nic, ENA_REGS_AENQ_CAPS));
}

uint16_t ena_aenq_credit(const struct ena_nic *nic)
{
	uint16_t credit =
		(uint16_t)(nic->state->aenq_head - nic->state->aenq_posted);

	/* More than there are entries is no credit but a mistake. */
	if (!nic->state->has_aenq_head || credit > depth_of(nic))
		return 0;
	return credit;
}

static bool is_on(const struct ena_nic *nic, uint16_t group)
{
	return nic->state->aenq_groups & BIT(group);
}

static bool write_event(struct ena_nic *nic, struct ena_admin_aenq_entry *event)
{
	struct ena_state *state = nic->state;
	uint32_t depth = depth_of(nic);
	uint64_t at = ena_address(ena_register_get(nic, ENA_REGS_AENQ_BASE_LO),
				  ena_register_get(nic, ENA_REGS_AENQ_BASE_HI));
	uint8_t *to;

	at += state->aenq_posted % depth * ENA_ADMIN_ENTRY_BYTES;
	to = ena_guest_memory(nic, at, sizeof *event, true,
			      ENA_RULE_AENQ_MEMORY);
	if (!to)
		return false;
	event->flags = ena_ring_phase(state->aenq_posted, depth);
	ena_store_entry(to, event,
			offsetof(struct ena_admin_aenq_entry, flags));
	trace_ena_event(le16_get(event->group), le16_get(event->syndrome),
			state->aenq_posted);
	state->aenq_posted++;
	rt_counter_add(&nic->counters.events, 1);
	return true;
}

/* Without the interrupt. */
static bool put_event(struct ena_nic *nic, uint16_t group, uint16_t syndrome,
		      const void *payload, size_t size)
{
	uint64_t now = ena_phc_now_ns(nic);
	struct ena_admin_aenq_entry event = {
		.group = le16_put(group),
		.syndrome = le16_put(syndrome),
		.timestamp_lo = le32_put((uint32_t)now),
		.timestamp_hi = le32_put((uint32_t)(now >> 32)),
	};

	if (!is_on(nic, group) || !ena_is_working(nic))
		return false;
	if (!ena_aenq_credit(nic)) {
		trace_ena_event_dropped(group);
		return false;
	}
	memcpy(event.payload, payload, size);
	return write_event(nic, &event);
}

bool ena_aenq_post(struct ena_nic *nic, uint16_t group, uint16_t syndrome,
		   const void *payload, size_t size)
{
	bool is_there = put_event(nic, group, syndrome, payload, size);

	if (is_there)
		ena_management_interrupt(nic);
	return is_there;
}

/* ---- the events ---- */

static bool post_link(struct ena_nic *nic)
{
	struct ena_admin_aenq_link_change link = {
		.flags = le32_put(
			nic->state->is_link_down ? 0 : ENA_ADMIN_AENQ_LINK_UP),
	};

	return ena_aenq_post(nic, ENA_ADMIN_AENQ_LINK_CHANGE, 0, &link,
			     sizeof link);
}

static bool has_wishes(const struct ena_admin_hw_hints *hints)
{
	static const struct ena_admin_hw_hints none;

	return memcmp(hints, &none, sizeof none) != 0;
}

static bool post_hints(struct ena_nic *nic,
		       const struct ena_admin_hw_hints *hints)
{
	return ena_aenq_post(nic, ENA_ADMIN_AENQ_NOTIFICATION,
			     ENA_ADMIN_AENQ_UPDATE_HINTS, hints, sizeof *hints);
}

bool ena_aenq_notify(struct ena_nic *nic, uint64_t notifications)
{
	struct ena_admin_aenq_conf_notifications conf = {
		.notifications = le64_put(notifications),
	};

	return ena_aenq_post(nic, ENA_ADMIN_AENQ_CONF_NOTIFICATIONS, 0, &conf,
			     sizeof conf);
}

static void post_keep_alive(struct ena_nic *nic)
{
	const struct ena_guest_counters *c = &nic->state->counters;
	struct ena_admin_aenq_keep_alive alive = {
		.rx_drops = le64_put(rt_counter_read(&c->rx_drops)),
		.tx_drops = le64_put(rt_counter_read(&c->tx_drops)),
		.rx_overruns = le64_put(rt_counter_read(&c->rx_overruns)),
	};
	struct rt_fault_set *faults = &nic->fn->faults;
	uint64_t ignored;

	if (!is_on(nic, ENA_ADMIN_AENQ_KEEP_ALIVE) ||
	    rt_fault(faults, ena_fault_keep_alive, &ignored))
		return;
	put_event(nic, ENA_ADMIN_AENQ_KEEP_ALIVE, 0, &alive, sizeof alive);
	if (!rt_fault(faults, ena_fault_keep_alive_interrupt, &ignored))
		ena_management_interrupt(nic);
}

/* ---- the tick ---- */

static void start_tick(struct ena_nic *nic)
{
	if (nic->keep_alive.heap_slot)
		return;
	if (rt_timer_start(nic->fn->loop, &nic->keep_alive,
			   rt_loop_now_ns(nic->fn->loop) + TICK_NS))
		rt_log_error(nic->fn->name, "no memory for keep-alives");
}

void ena_aenq_update(struct ena_nic *nic)
{
	struct ena_state *state = nic->state;

	if (!state->has_aenq_head || !state->aenq_groups ||
	    !ena_is_working(nic))
		return;
	start_tick(nic);
	if (!state->is_link_told)
		state->is_link_told = post_link(nic);
	/* Drivers forget them with each reset. */
	if (state->has_hints && has_wishes(&nic->hints))
		state->has_hints = !post_hints(nic, &nic->hints);
}

static void make_faults(struct ena_nic *nic)
{
	struct rt_fault_set *faults = &nic->fn->faults;
	struct ena_admin_hw_hints hints = nic->hints;
	uint64_t value;

	if (rt_fault(faults, ena_fault_link_flap, &value)) {
		nic->state->is_link_down = !nic->state->is_link_down;
		ena_link_changed(nic);
	}
	if (rt_fault(faults, ena_fault_hints, &value)) {
		hints.missing_tx_completion_timeout = le16_put((uint16_t)value);
		post_hints(nic, &hints);
	}
	if (rt_fault(faults, ena_fault_request_reset, &value))
		ena_aenq_post(nic, ENA_ADMIN_AENQ_DEVICE_REQUEST_RESET, 0, "",
			      0);
}

static void tick(struct rt_timer *timer)
{
	struct ena_nic *nic =
		rt_container_of(timer, struct ena_nic, keep_alive);

	start_tick(nic);
	ena_aenq_update(nic);
	make_faults(nic);
	post_keep_alive(nic);
}

void ena_link_changed(struct ena_nic *nic)
{
	nic->state->is_link_told = false;
	ena_aenq_update(nic);
}

void ena_aenq_head(struct ena_nic *nic, uint16_t head)
{
	struct ena_state *state = nic->state;

	state->aenq_head = head;
	state->has_aenq_head = true;
	if ((uint16_t)(head - state->aenq_posted) > depth_of(nic))
		rt_rule_broken(&nic->fn->rules, ENA_RULE_AENQ_HEAD, head);
	ena_aenq_update(nic);
}

/* ---- feature 26 ---- */

ena_status ena_get_aenq(struct ena_admin_command *cmd)
{
	const struct ena_nic *nic = cmd->nic;
	struct ena_admin_aenq_config config = {
		.supported_groups = le32_put(nic->profile->aenq_groups),
		.enabled_groups = le32_put(nic->state->aenq_groups),
	};

	return ena_answer(cmd, &config, sizeof config);
}

ena_status ena_set_aenq(struct ena_admin_command *cmd)
{
	const struct ena_admin_aenq_config *config = ena_feature_payload(cmd);
	uint32_t groups = le32_get(config->enabled_groups);

	if (groups & ~cmd->nic->profile->aenq_groups)
		return ena_refuse(cmd->nic, ENA_RULE_AENQ_GROUPS,
				  ENA_ADMIN_ILLEGAL_PARAMETER, groups);
	cmd->nic->state->aenq_groups = groups;
	ena_aenq_update(cmd->nic);
	return ENA_OK;
}

/* ---- life ---- */

void ena_aenq_init(struct ena_nic *nic)
{
	nic->keep_alive.fired = tick;
}

void ena_aenq_pause(struct ena_nic *nic)
{
	rt_timer_stop(nic->fn->loop, &nic->keep_alive);
}

/* The guest's clock may have gone on meanwhile. */
void ena_aenq_resume(struct ena_nic *nic)
{
	ena_aenq_update(nic);
	if (nic->keep_alive.heap_slot)
		post_keep_alive(nic);
}
