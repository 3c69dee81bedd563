/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asynchronous events, NVMe Base 1.4, 5.2.
 *
 * A request for events waits as no more than its identifier: it keeps neither
 * memory nor an entry of the completion queue, so that even an admin queue of
 * two entries goes on working.  An event that was told masks its type until its
 * log page is read.
 */
#include "ebs-nvme/controller.h"
#include "ebs-nvme/trace.h"
#include "pcie-model/function.h"

static unsigned int aer_limit(const struct ebs_controller *c)
{
	return c->profile->aerl + 1u;
}

static void remove_aer(struct ebs_state *state, uint32_t index)
{
	state->aer_count--;
	for (uint32_t i = index; i < state->aer_count; i++)
		state->aer_cids[i] = state->aer_cids[i + 1];
}

static void remove_event(struct ebs_state *state, uint32_t index)
{
	state->event_count--;
	for (uint32_t i = index; i < state->event_count; i++)
		state->events[i] = state->events[i + 1];
}

/* The waiting request number index becomes a command that ends now. */
static bool finish_aer(struct ebs_controller *c, uint32_t index, uint32_t dw0,
		       nvme_status status)
{
	struct ebs_request *r;

	if (!ebs_cq_has_room(c, 0) || !(r = ebs_request_take(&c->home, 0)))
		return false;
	r->cmd = (struct nvme_cmd){
		.opcode = NVME_ADMIN_ASYNC_EVENT,
		.cid = le16_put(c->state->aer_cids[index]),
	};
	r->dw0 = dw0;
	remove_aer(c->state, index);
	ebs_request_complete(r, status);
	return true;
}

nvme_status ebs_admin_async_event(struct ebs_request *r)
{
	struct ebs_controller *c = r->c;
	struct ebs_state *state = c->state;

	if (state->aer_count >= aer_limit(c))
		return ebs_guest_error(r, EBS_RULE_ASYNC_EVENT_LIMIT,
				       NVME_AER_LIMIT_EXCEEDED, 0, 0);
	state->aer_cids[state->aer_count++] = le16_get(r->cmd.cid);
	ebs_request_free(r);
	ebs_event_pump(c);
	return EBS_PENDING;
}

bool ebs_event_abort(struct ebs_controller *c, uint16_t cid)
{
	for (uint32_t i = 0; i < c->state->aer_count; i++)
		if (c->state->aer_cids[i] == cid)
			return finish_aer(c, i, 0, NVME_ABORT_REQUESTED);
	return false;
}

static uint32_t event_dw0(const struct ebs_event *event)
{
	uint64_t dw0 = bits_put(NVME_EVENT_TYPE, 0, event->type);

	dw0 = bits_put(NVME_EVENT_INFO, dw0, event->info);
	return (uint32_t)bits_put(NVME_EVENT_LOG, dw0, event->log);
}

void ebs_event_pump(struct ebs_controller *c)
{
	struct ebs_state *state = c->state;
	struct ebs_event event;

	if (!ebs_controller_is_working(c))
		return;
	for (uint32_t i = 0; i < state->event_count && state->aer_count;) {
		event = state->events[i];
		if (state->masked_events & BIT(event.type)) {
			i++;
			continue;
		}
		if (!finish_aer(c, 0, event_dw0(&event), NVME_SUCCESS))
			return;
		trace_ebs_async_event(event.type, event.info, event.log);
		remove_event(state, i);
		state->masked_events |= (uint8_t)BIT(event.type);
	}
}

static bool is_waiting(const struct ebs_state *state, struct ebs_event event)
{
	for (uint32_t i = 0; i < state->event_count; i++)
		if (state->events[i].type == event.type &&
		    state->events[i].info == event.info)
			return true;
	return false;
}

void ebs_event_raise(struct ebs_controller *c, uint8_t type, uint8_t info,
		     uint8_t log)
{
	struct ebs_state *state = c->state;
	struct ebs_event event = { .type = type, .info = info, .log = log };

	if (state->event_count == EBS_MAX_EVENTS || is_waiting(state, event))
		return;
	state->events[state->event_count++] = event;
	ebs_event_pump(c);
}

void ebs_event_unmask(struct ebs_controller *c, uint8_t log)
{
	static const struct {
		uint8_t log, type;
	} types[] = {
		{ NVME_LID_ERROR, NVME_EVENT_ERROR },
		{ NVME_LID_SMART, NVME_EVENT_SMART },
		{ NVME_LID_CHANGED_NS, NVME_EVENT_NOTICE },
	};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (types[i].log == log)
			c->state->masked_events &= (uint8_t)~BIT(types[i].type);
	ebs_event_pump(c);
}

void ebs_event_namespace_changed(struct ebs_controller *c)
{
	c->state->has_namespace_changed = true;
	if (c->profile->oaes & NVME_OAES_NAMESPACE &&
	    c->state->features.async_events & NVME_OAES_NAMESPACE)
		ebs_event_raise(c, NVME_EVENT_NOTICE,
				NVME_EVENT_NAMESPACE_CHANGED,
				NVME_LID_CHANGED_NS);
}

void ebs_event_check_temperature(struct ebs_controller *c)
{
	const struct ebs_feature_values *f = &c->state->features;

	if (f->async_events & NVME_SMART_TEMPERATURE &&
	    (EBS_TEMPERATURE_K >= f->over_k || EBS_TEMPERATURE_K <= f->under_k))
		ebs_event_raise(c, NVME_EVENT_SMART, NVME_EVENT_TEMPERATURE,
				NVME_LID_SMART);
}
