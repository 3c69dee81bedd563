/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts of completion queues, NVMe Base 1.4, 7.5: messages, or the pin,
 * whose level follows the queues.  What a turn posts is told at its end, with
 * one message for each vector.
 *
 * A message of I/O queues may be held back for two reasons: the driver asked
 * for coalescing (5.21.1.8, 5.21.1.9), or it has not taken anything since the
 * last message, so it is still about to look.  Such a driver is trusted for
 * PATIENCE_NS, or until its next head doorbell: it may have looked just before
 * the entry came.
 */
#include <string.h>

#include "ebs-nvme/controller.h"
#include "ebs-nvme/trace.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

#define PATIENCE_NS (100 * RT_NS_PER_US)

static void put_bit(uint64_t *words, unsigned int n)
{
	words[n / 64] |= BIT(n % 64);
}

/* The lowest bit of the set, taken out of it; -1: it is empty. */
static int take_bit(uint64_t words[2])
{
	unsigned int word = words[0] ? 0 : 1;
	int bit;

	if (!words[word])
		return -1;
	bit = __builtin_ctzll(words[word]);
	words[word] &= words[word] - 1;
	return (int)(word * 64) + bit;
}

static void send(struct ebs_vector *v)
{
	struct ebs_controller *c = v->c;
	uint16_t number = (uint16_t)(v - c->vectors);
	uint64_t ignored;

	v->held = 0;
	v->is_urgent = false;
	rt_timer_stop(c->fn->loop, &v->timer);
	if (rt_fault(&c->fn->faults, ebs_fault_drop_interrupt, &ignored))
		return;
	if (pcie_interrupt_mode(c->fn) == PCIE_INTX)
		return; /* it was a message when it was held back */
	trace_ebs_interrupt(number);
	rt_counter_add(&c->counters.interrupts, 1);
	v->is_unanswered = true;
	v->sent_ns = c->turn_ns;
	pcie_interrupt_raise(c->fn, number);
}

static void held_long_enough(struct rt_timer *timer)
{
	send(rt_container_of(timer, struct ebs_vector, timer));
}

/* How long the driver wants messages of this vector to wait. */
static uint64_t coalescing_ns(const struct ebs_vector *v)
{
	const struct ebs_feature_values *f = &v->c->state->features;

	if (f->is_uncoalesced[v - v->c->vectors])
		return 0;
	return bits_get(NVME_COALESCING_TIME, f->coalescing) * 100 *
	       RT_NS_PER_US;
}

static bool is_coalescing(struct ebs_vector *v)
{
	struct ebs_controller *c = v->c;
	uint64_t hold_ns = coalescing_ns(v);
	uint64_t threshold = bits_get(NVME_COALESCING_THR_0S,
				      c->state->features.coalescing) +
			     1;

	if (!hold_ns || v->held >= threshold)
		return false;
	trace_ebs_interrupt_held((uint16_t)(v - c->vectors), v->held);
	if (v->timer.heap_slot)
		return true;
	return !rt_timer_start(c->fn->loop, &v->timer,
			       rt_loop_now_ns(c->fn->loop) + hold_ns);
}

static uint64_t patience_left(const struct ebs_vector *v)
{
	uint64_t waited_ns = v->c->turn_ns - v->sent_ns;

	if (!v->is_unanswered || waited_ns >= PATIENCE_NS)
		return 0;
	return PATIENCE_NS - waited_ns;
}

static void send_or_hold(struct ebs_vector *v)
{
	if (!v->held)
		return;
	if (!v->is_urgent && patience_left(v))
		put_bit(v->c->held, (unsigned int)(v - v->c->vectors));
	else if (v->is_urgent || !is_coalescing(v))
		send(v);
}

void ebs_interrupt_posted(struct ebs_controller *c, uint16_t cqid)
{
	if (!c->state->cq[cqid].has_interrupt)
		return;
	c->cq[cqid].news++;
	put_bit(c->news, cqid);
}

static void collect(struct ebs_controller *c, unsigned int cqid)
{
	struct ebs_vector *v = &c->vectors[c->state->cq[cqid].vector];

	v->held += c->cq[cqid].news;
	v->is_urgent |= !cqid;
	c->cq[cqid].news = 0;
	put_bit(c->held, c->state->cq[cqid].vector);
}

static void collect_news(struct ebs_controller *c)
{
	int cqid;

	while ((cqid = take_bit(c->news)) >= 0)
		collect(c, (unsigned int)cqid);
}

void ebs_interrupt_deliver(struct ebs_controller *c)
{
	uint64_t vectors[2];
	int number;

	if (!(c->news[0] | c->news[1] | c->held[0] | c->held[1]))
		return;
	collect_news(c);
	ebs_interrupt_update_pin(c);
	vectors[0] = c->held[0];
	vectors[1] = c->held[1];
	c->held[0] = c->held[1] = 0;
	while ((number = take_bit(vectors)) >= 0)
		send_or_hold(&c->vectors[number]);
}

uint64_t ebs_interrupt_rest(const struct ebs_controller *c)
{
	uint64_t held[2] = { c->held[0], c->held[1] };
	uint64_t rest = UINT64_MAX, left;
	int number;

	while ((number = take_bit(held)) >= 0) {
		left = patience_left(&c->vectors[number]);
		rest = left < rest ? left : rest;
	}
	return rest;
}

void ebs_interrupt_answered(struct ebs_controller *c, uint16_t cqid)
{
	c->vectors[c->state->cq[cqid].vector].is_unanswered = false;
	if (pcie_interrupt_mode(c->fn) == PCIE_INTX)
		ebs_interrupt_update_pin(c);
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
	collect_news(c);
	ebs_interrupt_update_pin(c);
	c->held[0] = c->held[1] = 0;
	for (unsigned int i = 0; i < EBS_MAX_VECTORS; i++)
		if (c->vectors[i].held)
			send(&c->vectors[i]);
}

void ebs_interrupt_clear(struct ebs_controller *c)
{
	memset(c->news, 0, sizeof c->news);
	memset(c->held, 0, sizeof c->held);
	for (unsigned int i = 0; i < EBS_MAX_VECTORS; i++) {
		c->vectors[i].held = 0;
		c->vectors[i].is_urgent = false;
		c->vectors[i].is_unanswered = false;
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
