/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts of completion queues.  Several queues may share a vector, and any
 * of their registers acts on the vector.  Where those are mapped, as doorbells
 * are, we take a value out of memory by exchanging it with 0: when something
 * was posted, and while a vector waits for its driver.
 *
 *                posted                unmask                 delay is over
 *   masked ───────────────► waiting ───────────► held back ──────────────┐
 *      ▲  unmask            (masked)                 ▲                   │
 *      └───────► unmasked ───────────────────────────┘                   │
 *      ▲                     posted                                      │
 *      └───────────────────────── one message ◄──────────────────────────┘
 *
 * Each message masks the vector.  The delay counts from when something was
 * posted, so who unmasks late waits no longer.
 */
#include "ena/queue.h"
#include "ena/trace.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"

#define AT_ONCE 1u /* due since long ago */

static struct ena_vector_state *state_of(const struct ena_vector *v)
{
	return &v->nic->state->vectors[v->number];
}

static void hold_off(struct ena_vector *v)
{
	rt_timer_stop(v->nic->fn->loop, &v->timer);
}

static void send(struct ena_vector *v)
{
	struct ena_nic *nic = v->nic;
	struct ena_vector_state *state = state_of(v);
	uint64_t ignored;

	hold_off(v);
	v->due_ns = 0;
	state->is_pending = false;
	state->is_unmasked = false;
	state->is_unanswered = true;
	nic->path->waiting |= BIT(v->number); /* for the driver's answer */
	if (nic->fn->faults.rule_count &&
	    rt_fault(&nic->fn->faults, ena_fault_drop_interrupt, &ignored))
		return;
	trace_ena_interrupt(v->number);
	rt_counter_add(&nic->counters.interrupts, 1);
	pcie_interrupt_raise(nic->fn, v->number);
}

static bool is_due(const struct ena_vector *v)
{
	return v->due_ns <= AT_ONCE ||
	       v->due_ns <= rt_loop_now_ns(v->nic->fn->loop);
}

static void settle(struct ena_vector *v)
{
	struct ena_vector_state *state = state_of(v);

	if (!state->is_pending)
		return;
	if (!state->is_unmasked)
		v->nic->path->waiting |= BIT(v->number);
	else if (is_due(v) ||
		 rt_timer_start(v->nic->fn->loop, &v->timer, v->due_ns))
		send(v);
}

/* What the driver wrote to the register of one of its queues. */
static void apply(struct ena_vector *v, uint32_t value)
{
	struct ena_vector_state *state = state_of(v);
	bool keeps = bits_get(ENA_ETH_IO_INTR_KEEP, value);

	if (!keeps) {
		state->rx_delay =
			(uint16_t)bits_get(ENA_ETH_IO_INTR_RX_DELAY, value);
		state->tx_delay =
			(uint16_t)bits_get(ENA_ETH_IO_INTR_TX_DELAY, value);
	}
	if (bits_get(ENA_ETH_IO_INTR_UNMASK, value)) {
		state->is_unmasked = true;
		state->is_unanswered = false;
		v->nic->path->waiting &= ~BIT(v->number);
		settle(v);
	} else if (keeps) {
		state->is_unmasked = false;
		hold_off(v);
		settle(v);
	} else if (state->is_pending || state->is_unanswered) {
		/* A driver that misses a message asks so for another. */
		send(v);
	}
}

static uint32_t take(volatile uint32_t *at)
{
	if (!__atomic_load_n(at, __ATOMIC_RELAXED))
		return 0;
	return le32toh(__atomic_exchange_n(at, 0, __ATOMIC_ACQ_REL));
}

static void look_at(struct ena_vector *v)
{
	struct ena_path *path = v->nic->path;
	uint64_t cqs = path->cqs[v->number];

	for (; path->unmasks && cqs; cqs &= cqs - 1) {
		uint32_t value = take(&path->unmasks[__builtin_ctzll(cqs)]);

		if (value)
			apply(v, value);
	}
}

void ena_interrupt_look(struct ena_nic *nic)
{
	for (uint64_t left = nic->path->waiting; left; left &= left - 1)
		look_at(&nic->vectors[__builtin_ctzll(left)]);
}

static struct ena_vector *vector_of(struct ena_nic *nic, uint16_t n)
{
	const struct ena_cq_state *cq = &nic->state->cq[n];

	if (!cq->depth || !cq->has_interrupt || cq->vector >= ENA_MAX_VECTORS)
		return NULL;
	return &nic->vectors[cq->vector];
}

void ena_interrupt_unmask(struct ena_nic *nic, uint16_t n, uint32_t value)
{
	struct ena_vector *v = vector_of(nic, n);
	uint32_t stored = 0;

	if (nic->path->unmasks) /* it has landed there as well */
		stored = take(&nic->path->unmasks[n]);
	if (v)
		apply(v, stored ? stored : value);
}

void ena_interrupt_posted(struct ena_nic *nic, uint16_t n, bool is_rx)
{
	struct ena_vector *v = vector_of(nic, n);
	struct ena_vector_state *state;
	uint64_t delay_us, due_ns = AT_ONCE;

	if (!v)
		return;
	look_at(v);
	state = state_of(v);
	state->is_pending = true;
	delay_us = is_rx ? state->rx_delay : state->tx_delay;
	if (delay_us)
		due_ns =
			rt_loop_now_ns(nic->fn->loop) + delay_us * RT_NS_PER_US;
	if (!v->due_ns || due_ns < v->due_ns)
		v->due_ns = due_ns;
	settle(v);
}

void ena_interrupt_timer(struct rt_timer *timer)
{
	struct ena_vector *v = rt_container_of(timer, struct ena_vector, timer);

	look_at(v);
	settle(v);
}

/* ---- Queues come and go ---- */

void ena_interrupt_open(struct ena_nic *nic, uint16_t n)
{
	struct ena_path *path = nic->path;
	struct ena_vector *v = vector_of(nic, n);
	bool is_new = !nic->fn->is_restored;

	/* What the guest has written since stands in the page only. */
	if (path->unmasks && is_new)
		take(&path->unmasks[n]);
	if (!v)
		return;
	if (!path->cqs[v->number] && is_new)
		*state_of(v) = (struct ena_vector_state){ 0 };
	path->cqs[v->number] |= BIT(n);
}

static void forget(struct ena_vector *v)
{
	hold_off(v);
	v->due_ns = 0;
	v->nic->path->waiting &= ~BIT(v->number);
	*state_of(v) = (struct ena_vector_state){ 0 };
}

void ena_interrupt_close(struct ena_nic *nic, uint16_t n)
{
	for (unsigned int i = 0; i < ENA_MAX_VECTORS; i++) {
		if (!(nic->path->cqs[i] & BIT(n)))
			continue;
		nic->path->cqs[i] &= ~BIT(n);
		if (!nic->path->cqs[i])
			forget(&nic->vectors[i]);
	}
}

void ena_interrupt_reset(struct ena_nic *nic)
{
	for (unsigned int i = 0; i < ENA_MAX_VECTORS; i++) {
		nic->path->cqs[i] = 0;
		forget(&nic->vectors[i]);
	}
	for (uint16_t n = 0; nic->path->unmasks && n < ENA_QUEUES; n++)
		take(&nic->path->unmasks[n]);
}

void ena_interrupt_flush(struct ena_nic *nic)
{
	for (unsigned int i = 0; i < ENA_MAX_VECTORS; i++) {
		struct ena_vector *v = &nic->vectors[i];

		look_at(v);
		if (state_of(v)->is_pending && state_of(v)->is_unmasked)
			send(v);
	}
}

void ena_interrupt_resume(struct ena_nic *nic)
{
	for (unsigned int i = 0; i < ENA_MAX_VECTORS; i++)
		settle(&nic->vectors[i]);
}
