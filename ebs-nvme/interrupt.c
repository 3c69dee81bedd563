/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts of completion queues, NVMe Base 1.4, 7.5: messages with
 * coalescing (5.21.1.8, 5.21.1.9), or the pin, whose level follows the queues.
 * Coalescing delays the messages of I/O queues only.
 */
#include "ebs-nvme/controller.h"
#include "ebs-nvme/trace.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

static void send(struct ebs_vector *v)
{
	struct ebs_controller *c = v->c;
	uint16_t number = (uint16_t)(v - c->vectors);
	uint64_t ignored;

	v->held = 0;
	rt_timer_stop(c->fn->loop, &v->timer);
	if (rt_fault(&c->fn->faults, ebs_fault_drop_interrupt, &ignored))
		return;
	if (pcie_interrupt_mode(c->fn) == PCIE_INTX)
		return; /* it was a message when it was held back */
	trace_ebs_interrupt(number);
	rt_counter_add(&c->counters.interrupts, 1);
	pcie_interrupt_raise(c->fn, number);
}

static void held_long_enough(struct rt_timer *timer)
{
	send(rt_container_of(timer, struct ebs_vector, timer));
}

/* How long a message of this vector may be held back; 0: not at all. */
static uint64_t hold_time_ns(const struct ebs_controller *c, uint16_t cqid)
{
	uint32_t value = c->state->features.coalescing;

	if (!cqid ||
	    c->state->features.is_uncoalesced[c->state->cq[cqid].vector])
		return 0;
	return bits_get(NVME_COALESCING_TIME, value) * 100 * RT_NS_PER_US;
}

static void send_or_hold(struct ebs_controller *c, uint16_t cqid)
{
	uint16_t number = c->state->cq[cqid].vector;
	struct ebs_vector *v = &c->vectors[number];
	uint64_t hold_ns = hold_time_ns(c, cqid);
	uint64_t threshold = bits_get(NVME_COALESCING_THR_0S,
				      c->state->features.coalescing) +
			     1;

	v->held++;
	if (!hold_ns || v->held >= threshold) {
		send(v);
		return;
	}
	trace_ebs_interrupt_held(number, v->held);
	if (v->held == 1 &&
	    rt_timer_start(c->fn->loop, &v->timer,
			   rt_loop_now_ns(c->fn->loop) + hold_ns))
		send(v);
}

void ebs_interrupt_posted(struct ebs_controller *c, uint16_t cqid)
{
	if (!c->state->cq[cqid].has_interrupt)
		return;
	if (pcie_interrupt_mode(c->fn) == PCIE_INTX)
		ebs_interrupt_update_pin(c);
	else
		send_or_hold(c, cqid);
}

/* A queue asks for the pin as long as it has entries that were not taken. */
static bool wants_pin(const struct ebs_controller *c,
		      const struct ebs_cq_state *cq)
{
	bool is_masked =
		cq->vector < 32 && c->state->interrupt_mask & BIT(cq->vector);

	return cq->size && cq->has_interrupt && cq->head != cq->tail &&
	       !is_masked;
}

void ebs_interrupt_update_pin(struct ebs_controller *c)
{
	bool level = false;

	if (pcie_interrupt_mode(c->fn) == PCIE_INTX)
		for (unsigned int i = 0; i <= c->pairs; i++)
			level |= wants_pin(c, &c->state->cq[i]);
	pcie_intx_set(c->fn, level);
}

void ebs_interrupt_flush(struct ebs_controller *c)
{
	for (unsigned int i = 0; i < EBS_MAX_VECTORS; i++)
		if (c->vectors[i].held)
			send(&c->vectors[i]);
}

void ebs_interrupt_clear(struct ebs_controller *c)
{
	for (unsigned int i = 0; i < EBS_MAX_VECTORS; i++) {
		c->vectors[i].held = 0;
		rt_timer_stop(c->fn->loop, &c->vectors[i].timer);
	}
}

void ebs_interrupt_init(struct ebs_controller *c)
{
	for (unsigned int i = 0; i < EBS_MAX_VECTORS; i++) {
		c->vectors[i].c = c;
		c->vectors[i].timer.fired = held_long_enough;
	}
}
