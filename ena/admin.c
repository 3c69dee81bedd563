/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The admin queue: fetch, run, complete.  Commands end at once, so that they do
 * in the order of their coming, which iPXE relies upon.  On the function's
 * loop.
 *
 * The doorbell counts all commands that there ever were, modulo 65536.  Ids
 * are the driver's own: those of iPXE exceed the depth, so they are handed back
 * as they came.  A guest can ring for 65535 commands at once; the loop has
 * others to serve, so after TURN of them the rest waits for its next turn.
 */
#include <string.h>

#include "ena/control.h"
#include "ena/queue.h"
#include "ena/trace.h"
#include "firmware/rt/scope.h"

#define TURN 32u

static ena_admin_fn *const commands[256] = {
#define COMMAND(opcode, run) [opcode] = run,
#define FEATURE(id, get, set)
#include "ena/commands.def"
#undef FEATURE
#undef COMMAND
};

void *ena_admin_buffer(struct ena_admin_command *cmd,
		       const struct ena_admin_ctrl_buff *where, uint32_t size,
		       bool is_write, ena_status *status)
{
	uint32_t length = le32_get(where->length);
	uint64_t iova = ena_address(le32_get(where->address_lo),
				    le16_get(where->address_hi));
	void *at;

	*status = ENA_OK;
	if (!length)
		return NULL;
	if (length < size) {
		*status = ena_refuse(cmd->nic, ENA_RULE_ADMIN_BUFFER,
				     ENA_ADMIN_MALFORMED_REQUEST, length);
		return NULL;
	}
	at = ena_guest_memory(cmd->nic, iova, size, is_write,
			      ENA_RULE_ADMIN_BUFFER_MEMORY);
	if (!at)
		*status = (ena_status){ ENA_ADMIN_ILLEGAL_PARAMETER,
					ENA_RULE_ADMIN_BUFFER_MEMORY + 1 };
	return at;
}

/* ---- one command ---- */

static ena_status run(struct ena_admin_command *cmd)
{
	struct ena_nic *nic = cmd->nic;
	uint8_t opcode = cmd->in.opcode;
	uint64_t code;

	if (rt_fault(&nic->fn->faults, ena_fault_admin_status, &code))
		return (ena_status){ (uint8_t)code, 0 };
	if (!commands[opcode])
		return ena_refuse(nic, ENA_RULE_ADMIN_OPCODE,
				  ENA_ADMIN_BAD_OPCODE, opcode);
	return commands[opcode](cmd);
}

static uint32_t depth_of(const struct ena_nic *nic, uint32_t caps)
{
	return (uint32_t)bits_get(ENA_REGS_QUEUE_DEPTH,
				  ena_register_get(nic, caps));
}

static uint64_t base_of(const struct ena_nic *nic, uint32_t lo)
{
	return ena_address(ena_register_get(nic, lo),
			   ena_register_get(nic, lo + 4));
}

bool ena_ring_phase(uint16_t counter, uint32_t depth)
{
	return counter / depth % 2 == 0;
}

void ena_store_entry(uint8_t *to, const void *entry, size_t phase_at)
{
	const uint8_t *from = entry;

	memcpy(to, from, phase_at);
	memcpy(to + phase_at + 1, from + phase_at + 1,
	       ENA_ADMIN_ENTRY_BYTES - phase_at - 1);
	__atomic_store_n(to + phase_at, from[phase_at], __ATOMIC_RELEASE);
}

static void post(struct ena_nic *nic, struct ena_admin_acq_entry *entry)
{
	struct ena_state *state = nic->state;
	uint32_t depth = depth_of(nic, ENA_REGS_ACQ_CAPS);
	uint64_t at = base_of(nic, ENA_REGS_ACQ_BASE_LO);
	uint8_t *to;

	at += state->acq_posted % depth * ENA_ADMIN_ENTRY_BYTES;
	to = ena_guest_memory(nic, at, ENA_ADMIN_ENTRY_BYTES, true,
			      ENA_RULE_ADMIN_MEMORY);
	entry->flags = ena_ring_phase(state->acq_posted, depth);
	state->acq_posted++;
	if (to)
		ena_store_entry(to, entry,
				offsetof(struct ena_admin_acq_entry, flags));
}

static void complete(struct ena_admin_command *cmd, ena_status status)
{
	struct ena_nic *nic = cmd->nic;
	struct rt_fault_set *faults = &nic->fn->faults;
	uint64_t id = le16_get(cmd->in.command_id), ignored;

	trace_ena_command_end((uint16_t)id, status.code, status.details);
	if (status.code) {
		memset(cmd->out.body, 0, sizeof cmd->out.body);
		rt_counter_add(&nic->counters.failed_commands, 1);
	}
	if (rt_fault(faults, ena_fault_admin_stall, &ignored))
		return;
	rt_fault(faults, ena_fault_admin_id, &id);
	cmd->out.command_id = le16_put((uint16_t)id);
	cmd->out.status = status.code;
	cmd->out.extended_status = le16_put(status.details);
	cmd->out.sq_head_indx = le16_put(nic->state->aq_consumed);
	post(nic, &cmd->out);
	if (!rt_fault(faults, ena_fault_admin_interrupt, &ignored))
		ena_management_interrupt(nic);
}

static uint8_t feature_of(const struct ena_admin_aq_entry *entry)
{
	bool has_one = entry->opcode == ENA_ADMIN_GET_FEATURE ||
		       entry->opcode == ENA_ADMIN_SET_FEATURE;

	return has_one ? entry->body[offsetof(struct ena_admin_feature_cmd,
					      feature_id)]
		       : 0;
}

/* False: there is no command to be had. */
static bool run_next(struct ena_nic *nic, uint32_t depth)
{
	struct ena_state *state = nic->state;
	struct ena_admin_command cmd = { .nic = nic };
	uint64_t at = base_of(nic, ENA_REGS_AQ_BASE_LO) +
		      state->aq_consumed % depth * ENA_ADMIN_ENTRY_BYTES;
	const void *from = ena_guest_memory(nic, at, sizeof cmd.in, false,
					    ENA_RULE_ADMIN_MEMORY);

	if (!from)
		return false;
	memcpy(&cmd.in, from, sizeof cmd.in);
	if (!cmd.in.opcode)
		ena_check_memory(nic, at);
	if ((cmd.in.flags & ENA_ADMIN_FLAGS_PHASE) !=
	    ena_ring_phase(state->aq_consumed, depth))
		rt_rule_broken(&nic->fn->rules, ENA_RULE_ADMIN_PHASE,
			       state->aq_consumed);
	state->aq_consumed++;
	rt_counter_add(&nic->counters.admin_commands, 1);
	trace_ena_command_begin(le16_get(cmd.in.command_id), cmd.in.opcode,
				feature_of(&cmd.in));
	complete(&cmd, run(&cmd));
	ena_steer_forget(nic);
	return true;
}

/* ---- the queue ---- */

static bool is_set_up(const struct ena_nic *nic)
{
	return ena_is_working(nic) && depth_of(nic, ENA_REGS_AQ_CAPS) &&
	       depth_of(nic, ENA_REGS_ACQ_CAPS);
}

static uint16_t count_waiting(const struct ena_nic *nic)
{
	return (uint16_t)(ena_register_get(nic, ENA_REGS_AQ_DB) -
			  nic->state->aq_consumed);
}

static void run_some(struct ena_nic *nic)
{
	uint32_t depth = depth_of(nic, ENA_REGS_AQ_CAPS);

	for (unsigned int i = 0; i < TURN && count_waiting(nic); i++)
		if (!run_next(nic, depth))
			return;
	if (count_waiting(nic))
		rt_timer_start(nic->fn->loop, &nic->admin,
			       rt_loop_now_ns(nic->fn->loop));
}

void ena_admin_run(struct ena_nic *nic)
{
	uint16_t waiting = count_waiting(nic);

	if (!waiting)
		return;
	if (!is_set_up(nic))
		rt_rule_broken(&nic->fn->rules, ENA_RULE_ADMIN_NOT_READY,
			       waiting);
	else if (waiting > depth_of(nic, ENA_REGS_AQ_CAPS))
		rt_rule_broken(&nic->fn->rules, ENA_RULE_ADMIN_DOORBELL,
			       waiting);
	else if (!nic->admin.heap_slot) /* else it is their turn */
		run_some(nic);
}

static void go_on(struct rt_timer *timer)
{
	ena_admin_run(rt_container_of(timer, struct ena_nic, admin));
}

void ena_admin_init(struct ena_nic *nic)
{
	nic->admin.fired = go_on;
}

void ena_admin_pause(struct ena_nic *nic)
{
	rt_timer_stop(nic->fn->loop, &nic->admin);
}
