/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of queues, their doorbells, and the turns in which packets are sent.
 * On the function's loop.
 *
 * Doorbells come by message, or stand in memory that the guest writes and that
 * tells us nothing: then we look, without a pause for a while after the last
 * work, and after that in rests (firmware/rt/rest.h).  Doorbells of receive
 * queues need no looking: they are read when a frame comes.
 *
 * Rings are reached through pointers that are looked up again whenever the
 * client's memory has changed.  Indexes are free-running, so that a queue may
 * be full to the last descriptor.
 */
#include "ena/queue.h"

#include <stdlib.h>

#include "firmware/rt/rest.h"
#include "firmware/rt/scope.h"

/* Of all queues in a turn, which others of the thread wait for. */
#define ROUNDS     4u
#define TURN_BYTES (512u * 1024)

static volatile uint32_t *mapped_page(const struct ena_nic *nic,
				      uint32_t offset)
{
	const struct pcie_bar *bar = &nic->fn->identity.bars[ENA_REGS_BAR];
	volatile uint8_t *bytes = pcie_bar_bytes(nic->fn, ENA_REGS_BAR);

	if (!bytes || offset < bar->mapped_offset ||
	    offset - bar->mapped_offset >= bar->mapped_size)
		return NULL;
	bytes += offset - bar->mapped_offset;
	return (volatile uint32_t *)(volatile void *)bytes;
}

static uint16_t load_door(const volatile uint32_t *at)
{
	return (uint16_t)le32toh(__atomic_load_n(at, __ATOMIC_ACQUIRE));
}

static void store_door(volatile uint32_t *at, uint32_t value)
{
	__atomic_store_n(at, htole32(value), __ATOMIC_RELEASE);
}

/* They are made when create has returned, or are a predecessor's. */
static void find_pages(struct ena_nic *nic)
{
	nic->path->doors = mapped_page(nic, ENA_DOORBELLS);
	nic->path->unmasks = mapped_page(nic, ENA_UNMASKS);
}

/* ---- Where rings are ---- */

static const uint8_t *find_llq(const struct ena_nic *nic,
			       const struct ena_sq_state *sq)
{
	const uint8_t *bytes = (const uint8_t *)(uintptr_t)pcie_bar_bytes(
		nic->fn, ENA_MEM_BAR);
	uint64_t size = (uint64_t)sq->depth * sq->llq_entry_bytes;

	if (!bytes || size > nic->llq_bytes ||
	    sq->base > nic->llq_bytes - size || !sq->llq_descs_before_header ||
	    sq->llq_descs_before_header * ENA_DESC_BYTES >= sq->llq_entry_bytes)
		return NULL;
	return bytes + sq->base;
}

static void locate_sq(struct ena_nic *nic, uint16_t n)
{
	const struct ena_sq_state *sq = &nic->state->sq[n];

	nic->queues[n].descs = NULL;
	if (sq->depth & (sq->depth - 1))
		return; /* no ring of ours */
	if (sq->is_llq)
		nic->queues[n].descs = find_llq(nic, sq);
	else if (sq->depth)
		nic->queues[n].descs = pcie_dma_direct(
			nic->fn, sq->base, (uint64_t)sq->depth * ENA_DESC_BYTES,
			false);
}

/* Entries are stored in words of 8 bytes. */
static void locate_cq(struct ena_nic *nic, uint16_t n)
{
	const struct ena_cq_state *cq = &nic->state->cq[n];

	nic->queues[n].entries = NULL;
	if (cq->depth && !(cq->depth & (cq->depth - 1)) && cq->base % 8 == 0)
		nic->queues[n].entries = pcie_dma_direct(
			nic->fn, cq->base,
			(uint64_t)cq->depth * cq->entry_words * 4, true);
}

void ena_path_locate(struct ena_nic *nic)
{
	uint64_t generation = pcie_dma_generation(nic->fn);

	if (generation == nic->dma_generation)
		return;
	nic->dma_generation = generation;
	for (uint16_t n = 0; n < ENA_QUEUES; n++) {
		locate_sq(nic, n);
		locate_cq(nic, n);
	}
}

/* ---- Opening and closing ---- */

static bool is_tx(const struct ena_sq_state *sq)
{
	return sq->depth && sq->direction == ENA_ADMIN_SQ_DIRECTION_TX;
}

/* Also those that are out of reach now; not one that is on its way out. */
static void list_tx(struct ena_nic *nic, uint16_t leaving)
{
	struct ena_path *path = nic->path;

	path->tx_count = 0;
	path->tx_turn = 0;
	for (uint16_t n = 0; n < ENA_QUEUES; n++)
		if (is_tx(&nic->state->sq[n]) && n != leaving)
			path->tx[path->tx_count++] = n;
}

/* A successor has the state before its client gives it the memory. */
static bool is_found(const struct ena_nic *nic, const void *ring)
{
	return nic->path && (ring || nic->fn->is_restored);
}

bool ena_path_open_cq(struct ena_nic *nic, uint16_t n)
{
	locate_cq(nic, n);
	if (!is_found(nic, nic->queues[n].entries))
		return false;
	find_pages(nic);
	ena_interrupt_open(nic, n);
	return true;
}

/* What the guest has rung since stands only in a predecessor's memory. */
static void open_door(struct ena_nic *nic, uint16_t n)
{
	struct ena_path *path = nic->path;

	if (path->doors && !(nic->fn->is_restored &&
			     pcie_bar_is_adopted(nic->fn, ENA_REGS_BAR)))
		store_door(&path->doors[n], nic->state->sq[n].doorbell);
}

bool ena_path_open_sq(struct ena_nic *nic, uint16_t n)
{
	locate_sq(nic, n);
	if (!is_found(nic, nic->queues[n].descs))
		return false;
	find_pages(nic);
	open_door(nic, n);
	list_tx(nic, ENA_NO_QUEUE);
	ena_steer_forget(nic);
	ena_path_worked(nic->path, rt_loop_now_ns(nic->fn->loop));
	return true;
}

void ena_path_close_sq(struct ena_nic *nic, uint16_t n)
{
	nic->queues[n].descs = NULL;
	if (!nic->path)
		return;
	if (nic->path->doors)
		store_door(&nic->path->doors[n], 0);
	if (nic->path->full.queue == n)
		ena_rx_end_wait(nic);
	list_tx(nic, n);
	ena_steer_forget(nic);
}

void ena_path_close_cq(struct ena_nic *nic, uint16_t n)
{
	nic->queues[n].entries = NULL;
	if (nic->path)
		ena_interrupt_close(nic, n);
}

void ena_path_reset(struct ena_nic *nic)
{
	struct ena_path *path = nic->path;

	for (uint16_t n = 0; n < ENA_QUEUES; n++) {
		nic->queues[n].descs = NULL;
		nic->queues[n].entries = NULL;
		if (path && path->doors)
			store_door(&path->doors[n], 0);
	}
	if (!path)
		return;
	path->tx_count = 0;
	path->is_blocked = false;
	ena_rx_end_wait(nic);
	path->full.has_given_up = false;
	ena_steer_forget(nic);
	ena_interrupt_reset(nic);
}

/* ---- Doorbells ---- */

void ena_sq_stop(struct ena_nic *nic, uint16_t n, enum ena_rule rule,
		 uint64_t value)
{
	nic->state->sq[n].is_stopped = true;
	rt_rule_broken(&nic->fn->rules, rule, value);
}

uint16_t ena_sq_look(struct ena_nic *nic, uint16_t n)
{
	struct ena_sq_state *sq = &nic->state->sq[n];
	uint16_t doorbell = sq->doorbell, available;

	if (nic->path->doors)
		doorbell = load_door(&nic->path->doors[n]);
	if (doorbell != sq->doorbell) {
		sq->doorbell = doorbell;
		rt_counter_add(&nic->counters.doorbells, 1);
	}
	available = (uint16_t)(doorbell - sq->consumed);
	if (sq->is_stopped || !nic->queues[n].descs || !nic->queues[n].entries)
		return 0;
	if (available > sq->depth) {
		ena_sq_stop(nic, n, ENA_RULE_SQ_DOORBELL, doorbell);
		return 0;
	}
	return available;
}

void ena_door_write(struct ena_nic *nic, uint64_t offset, uint32_t value)
{
	uint64_t n = (offset - ENA_DOORBELLS) / 4;
	struct ena_sq_state *sq = &nic->state->sq[n % ENA_QUEUES];

	if (!nic->path || n >= ENA_QUEUES || !sq->depth) {
		rt_rule_broken(&nic->fn->rules, ENA_RULE_SQ_DOORBELL_QUEUE,
			       offset);
		return;
	}
	if (!nic->path->doors && sq->doorbell != (uint16_t)value) {
		sq->doorbell = (uint16_t)value;
		rt_counter_add(&nic->counters.doorbells, 1);
	}
	ena_path_kick(nic->path);
}

void ena_unmask_write(struct ena_nic *nic, uint64_t offset, uint32_t value)
{
	uint64_t n = (offset - ENA_UNMASKS) / 4;

	if (!nic->path || n >= ENA_QUEUES || !nic->state->cq[n].depth) {
		rt_rule_broken(&nic->fn->rules, ENA_RULE_CQ_UNMASK_QUEUE,
			       offset);
		return;
	}
	ena_interrupt_unmask(nic, (uint16_t)n, value);
	/* Its driver is awake, and may have something to send soon. */
	ena_path_worked(nic->path, rt_loop_now_ns(nic->fn->loop));
}

static void find_strays(struct ena_path *path)
{
	struct ena_nic *nic = path->nic;

	for (uint16_t n = 0; path->doors && n < ENA_QUEUES; n++) {
		if (!path->doors[n] || nic->state->sq[n].depth)
			continue;
		store_door(&path->doors[n], 0);
		rt_rule_broken(&nic->fn->rules, ENA_RULE_SQ_DOORBELL_QUEUE, n);
	}
}

void ena_doors_catch_up(struct ena_nic *nic)
{
	if (!nic->path || !ena_is_working(nic) || nic->path->is_paused)
		return;
	for (uint16_t i = 0; i < nic->path->tx_count; i++)
		ena_sq_look(nic, nic->path->tx[i]);
	ena_interrupt_look(nic);
	nic->path->is_kicked = true; /* pollers are called after messages */
}

/* ---- Turns ---- */

void ena_path_kick(struct ena_path *path)
{
	path->is_kicked = true;
	if (path->is_resting)
		rt_poller_wake(path->nic->fn->loop, &path->nic->poller);
	path->is_resting = false;
}

/* The guest will answer soon. */
void ena_path_worked(struct ena_path *path, uint64_t now_ns)
{
	path->worked_ns = now_ns;
	if (path->is_resting)
		ena_path_kick(path);
}

static bool can_work(const struct ena_path *path)
{
	return !path->is_paused && ena_is_working(path->nic);
}

static unsigned int send_from_all(struct ena_path *path)
{
	unsigned int count = 0;

	for (uint16_t i = 0; i < path->tx_count; i++) {
		uint16_t at = (uint16_t)(path->tx_turn + i) % path->tx_count;
		uint16_t n = path->tx[at], available;

		if (path->is_blocked || path->turn_bytes >= TURN_BYTES)
			break;
		available = ena_sq_look(path->nic, n);
		if (available)
			count += ena_tx_burst(path->nic, n, available);
	}
	if (path->tx_count && ++path->tx_turn >= path->tx_count)
		path->tx_turn = 0;
	return count;
}

static unsigned int take_turn(struct ena_path *path)
{
	unsigned int count = 0, n = 1;

	ena_path_locate(path->nic);
	if (path->waiting)
		ena_interrupt_look(path->nic);
	if (path->full.is_waiting)
		ena_rx_look(path->nic);
	path->turn_bytes = 0;
	for (unsigned int i = 0; n && i < ROUNDS; i++) {
		n = send_from_all(path);
		count += n;
	}
	return count;
}

static uint64_t find_rest(struct ena_path *path, uint64_t now_ns)
{
	const struct ena_nic *nic = path->nic;
	/* A neighbour's turn, later than ours began, may have given us work. */
	uint64_t idle_ns =
		now_ns > path->worked_ns ? now_ns - path->worked_ns : 0;
	uint64_t rest;

	if (nic->polling == ENA_POLLING_ALWAYS)
		return RT_POLL_SPIN;
	if (nic->polling == ENA_POLLING_AUTO && idle_ns < RT_REST_SPIN_NS)
		return RT_POLL_SPIN;
	path->is_resting = true;
	path->rest_until_ns = UINT64_MAX;
	if (!path->doors ||
	    !(path->tx_count || path->waiting || path->full.is_waiting))
		return UINT64_MAX;
	find_strays(path);
	rest = rt_rest_ns(now_ns, idle_ns);
	path->rest_until_ns = now_ns + rest;
	return rest;
}

static uint64_t poll(struct rt_poller *poller, uint64_t now_ns)
{
	struct ena_nic *nic = rt_container_of(poller, struct ena_nic, poller);
	struct ena_path *path = nic->path;

	if (!can_work(path)) {
		path->is_resting = true;
		path->rest_until_ns = 0;
		return UINT64_MAX;
	}
	if (path->is_resting && !path->is_kicked &&
	    now_ns < path->rest_until_ns)
		return path->rest_until_ns == UINT64_MAX
			       ? UINT64_MAX
			       : path->rest_until_ns - now_ns;
	path->is_kicked = false;
	path->is_resting = false;
	if (!take_turn(path) && !path->is_kicked)
		return find_rest(path, now_ns);
	path->worked_ns = rt_loop_now_ns(nic->fn->loop);
	rt_counter_add(&nic->counters.busy_ns, path->worked_ns - now_ns);
	return 0;
}

/* ---- The port ---- */

static void port_resumed(struct ena_port *port)
{
	struct ena_nic *nic = rt_container_of(port, struct ena_nic, port);

	if (!nic->path)
		return;
	nic->path->is_blocked = false;
	ena_path_kick(nic->path);
}

const struct ena_port_type ena_nic_port = {
	.name = "nic",
	.deliver = ena_rx_deliver,
	.is_deaf = ena_rx_is_deaf,
	.resume = port_resumed,
};

/* ---- Life ---- */

void ena_path_start(struct ena_nic *nic)
{
	struct ena_path *path = calloc(1, sizeof *path);

	if (!path)
		return; /* no queue can be opened */
	path->nic = nic;
	path->rx_near.is_write = true;
	path->full.patience.fired = ena_rx_lost_patience;
	path->is_resting = true;
	for (unsigned int v = 0; v < ENA_MAX_VECTORS; v++)
		nic->vectors[v].timer.fired = ena_interrupt_timer;
	nic->path = path;
	nic->dma_generation = UINT64_MAX;
	nic->poller.poll = poll;
	rt_poller_start(nic->fn->loop, &nic->poller);
}

void ena_path_stop(struct ena_nic *nic)
{
	if (!nic->path)
		return;
	rt_poller_stop(nic->fn->loop, &nic->poller);
	ena_path_reset(nic);
	free(nic->path);
	nic->path = NULL;
}

void ena_path_pause(struct ena_nic *nic)
{
	if (!nic->path)
		return;
	ena_interrupt_flush(nic);
	/* What was rung last is in the state then. */
	for (uint16_t n = 0; n < ENA_QUEUES; n++)
		if (nic->state->sq[n].depth)
			ena_sq_look(nic, n);
	nic->path->is_paused = true;
}

void ena_path_resume(struct ena_nic *nic)
{
	struct ena_path *path = nic->path;

	if (!path)
		return;
	path->is_paused = false;
	find_pages(nic);
	path->is_blocked = false;
	ena_steer_forget(nic);
	ena_interrupt_resume(nic);
	ena_path_kick(path);
	ena_port_resume(&nic->port);
}
