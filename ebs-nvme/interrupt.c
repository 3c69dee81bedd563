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
	v->due_ns = 0;
	if (rt_fault(&c->fn->faults, ebs_fault_drop_interrupt, &ignored))
		return;
	if (pcie_interrupt_mode(c->fn) == PCIE_INTX)
		return; /* it was a message when it was held back */
	trace_ebs_interrupt(number);
	rt_counter_add(&v->lane->counters.interrupts, 1);
	v->is_unanswered = true;
	v->sent_ns = v->lane->turn_ns;
	pcie_interrupt_raise(c->fn, number);
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
	if (!v->due_ns) {
		trace_ebs_interrupt_held((uint16_t)(v - c->vectors), v->held);
		v->due_ns = v->lane->turn_ns + hold_ns;
	}
	return v->lane->turn_ns < v->due_ns;
}

static uint64_t patience_left(const struct ebs_vector *v)
{
	uint64_t waited_ns = v->lane->turn_ns - v->sent_ns;

	if (!v->is_unanswered || waited_ns >= PATIENCE_NS)
		return 0;
	return PATIENCE_NS - waited_ns;
}

static void send_or_hold(struct ebs_vector *v)
{
	if (!v->held)
		return;
	if (!v->is_urgent && (patience_left(v) || is_coalescing(v)))
		put_bit(v->lane->held, (unsigned int)(v - v->c->vectors));
	else
		send(v);
}

void ebs_interrupt_posted(struct ebs_controller *c, uint16_t cqid)
{
	if (!c->state->cq[cqid].has_interrupt)
		return;
	c->cq[cqid].news++;
	put_bit(c->cq[cqid].lane->news, cqid);
}

static void collect(struct ebs_controller *c, unsigned int cqid)
{
	struct ebs_vector *v = &c->vectors[c->state->cq[cqid].vector];

	v->held += c->cq[cqid].news;
	v->is_urgent |= !cqid;
	c->cq[cqid].news = 0;
	put_bit(v->lane->held, c->state->cq[cqid].vector);
}

static void collect_news(struct ebs_lane *lane)
{
	int cqid;

	while ((cqid = take_bit(lane->news)) >= 0)
		collect(lane->c, (unsigned int)cqid);
}

void ebs_interrupt_deliver(struct ebs_lane *lane)
{
	struct ebs_controller *c = lane->c;
	uint64_t vectors[2];
	int number;

	if (!(lane->news[0] | lane->news[1] | lane->held[0] | lane->held[1]))
		return;
	collect_news(lane);
	/* A lane that is away has no queues that use the pin. */
	if (!lane->is_away)
		ebs_interrupt_update_pin(c);
	vectors[0] = lane->held[0];
	vectors[1] = lane->held[1];
	lane->held[0] = lane->held[1] = 0;
	while ((number = take_bit(vectors)) >= 0)
		send_or_hold(&c->vectors[number]);
}

static uint64_t time_left(const struct ebs_vector *v)
{
	uint64_t left = patience_left(v), now_ns = v->lane->turn_ns;

	if (left || v->due_ns <= now_ns)
		return left;
	return v->due_ns - now_ns;
}

uint64_t ebs_interrupt_rest(const struct ebs_lane *lane)
{
	uint64_t held[2] = { lane->held[0], lane->held[1] };
	uint64_t rest = UINT64_MAX, left;
	int number;

	while ((number = take_bit(held)) >= 0) {
		left = time_left(&lane->c->vectors[number]);
		rest = left < rest ? left : rest;
	}
	return rest;
}

void ebs_interrupt_answered(struct ebs_controller *c, uint16_t cqid)
{
	if (!c->state->cq[cqid].has_interrupt)
		return; /* the vector may be another lane's */
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

	/* In this order: without interrupts it may be another lane's. */
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
	for (unsigned int i = 0; i < c->lane_count; i++) {
		collect_news(c->lanes[i]);
		memset(c->lanes[i]->held, 0, sizeof c->lanes[i]->held);
	}
	ebs_interrupt_update_pin(c);
	for (unsigned int i = 0; i < EBS_MAX_VECTORS; i++)
		if (c->vectors[i].held)
			send(&c->vectors[i]);
}

void ebs_interrupt_forget(struct ebs_controller *c, uint16_t cqid)
{
	uint64_t *words = c->cq[cqid].lane->news;

	words[cqid / 64] &= ~BIT(cqid % 64);
	c->cq[cqid].news = 0;
}

void ebs_interrupt_clear(struct ebs_controller *c)
{
	for (unsigned int i = 0; i < c->lane_count; i++) {
		memset(c->lanes[i]->news, 0, sizeof c->lanes[i]->news);
		memset(c->lanes[i]->held, 0, sizeof c->lanes[i]->held);
	}
	for (unsigned int i = 0; i < EBS_MAX_VECTORS; i++)
		c->vectors[i] = (struct ebs_vector){ .c = c };
}
