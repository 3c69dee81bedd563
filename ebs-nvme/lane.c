/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lanes: the queues of one controller, spread over several threads.
 *
 * Theory.  The home lane is that of the function's own loop.  It has the admin
 * queue, and everything that is rare is done there, with code that knows of one
 * thread only.  Each other lane has a thread of its own, some completion queues
 * with all that share their vectors, and the submission queues of those; so two
 * lanes never touch the same queue or vector.  A lane is made when the first
 * queue needs it, and a function with one lane takes none of these steps.
 *
 *   lane's thread:  take ─► look for doorbells, fetch, run, post, tell ─► leave
 *                                        │ whatever is not plain
 *                                        ▼ hand over, ask
 *   home thread:    hold ─► do it for the lane, or change what lanes look at ─►
 *                   let
 *
 * A lane takes itself for the length of a turn.  The home thread holds all
 * lanes when it is about to touch what is theirs or to change what they only
 * look at: it says so in is_wanted, waits until no lane is taken, which is as
 * long as a turn at most, and may then do anything; lanes that wish to be taken
 * meanwhile try again.  The two flags are stored and then loaded crosswise, in
 * one order for all threads, so at least one side sees the other.
 *
 * What a lane finds that is not plain - a mistake of the driver, a command that
 * is rare, memory that is reached by message, a command that ends while the
 * controller is being stopped - goes to the home thread, which runs the same
 * code with the lane held.  When nothing on a lane can be plain, as with fault
 * points set or queues in memory that is not shared, the home thread takes the
 * lane's turns altogether (is_with_home) until it can.
 *
 * Storage I/O that a lane has started ends on its thread, outside of a turn; it
 * is put aside for the next one, which comes at once.  What the home thread
 * has started for a lane ends at home.
 *
 * Owns the lanes but for the home.  One that has ended is freed only after its
 * thread has let go of it and everything it had sent home has arrived.
 */
#include <assert.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "ebs-nvme/controller.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

/* ---- taking, holding ---- */

static bool take(struct ebs_lane *lane)
{
	atomic_store(&lane->is_taken, true);
	if (!atomic_load(&lane->is_wanted)) {
		lane->is_away = true;
		return true;
	}
	atomic_store_explicit(&lane->is_taken, false, memory_order_release);
	return false;
}

static void leave(struct ebs_lane *lane)
{
	lane->is_away = false;
	atomic_store_explicit(&lane->is_taken, false, memory_order_release);
}

void ebs_hold(struct ebs_controller *c)
{
	if (c->hold_depth++)
		return;
	for (unsigned int i = 1; i < c->lane_count; i++)
		atomic_store(&c->lanes[i]->is_wanted, true);
	for (unsigned int i = 1; i < c->lane_count; i++)
		while (atomic_load(&c->lanes[i]->is_taken))
			sched_yield();
}

/* What was done for it may be all that its thread sleeps for. */
static void let_go(struct ebs_lane *lane)
{
	bool is_kicked = lane->is_kicked, is_with_home = lane->is_with_home;

	atomic_store_explicit(&lane->is_wanted, false, memory_order_release);
	if (is_kicked && is_with_home)
		ebs_kick(&lane->c->home);
	else if (is_kicked)
		rt_loop_post(lane->loop, &lane->wake);
}

void ebs_let(struct ebs_controller *c)
{
	if (--c->hold_depth)
		return;
	for (unsigned int i = 1; i < c->lane_count; i++)
		let_go(c->lanes[i]);
}

/* ---- from a lane to the home thread ---- */

static void send_home(struct ebs_request *r, ebs_step *step)
{
	struct ebs_lane *lane = r->lane;

	r->step = step;
	TAILQ_INSERT_TAIL(&lane->handed, r, waiter);
	rt_loop_post(lane->home, &lane->call);
}

void ebs_hand_over(struct ebs_request *r, ebs_step *step)
{
	send_home(r, step);
}

static void end_io(struct ebs_request *r)
{
	r->io_done(&r->io, r->io_status);
}

void ebs_hand_over_io(struct ebs_request *r,
		      void (*done)(struct ebs_volume_io *io, int status),
		      int status)
{
	r->io_done = done;
	r->io_status = status;
	send_home(r, end_io);
}

void ebs_lane_ask_home(struct ebs_lane *lane)
{
	lane->is_with_home = true;
	rt_loop_post(lane->home, &lane->call);
}

static void serve_handed(struct ebs_lane *lane)
{
	struct ebs_request *r;

	lane->turn_ns = rt_loop_now_ns(lane->home);
	while ((r = TAILQ_FIRST(&lane->handed))) {
		TAILQ_REMOVE(&lane->handed, r, waiter);
		r->step(r);
	}
}

static unsigned int count_with_home(const struct ebs_controller *c)
{
	unsigned int count = 0;

	for (unsigned int i = 1; i < c->lane_count; i++)
		count += c->lanes[i]->is_with_home;
	return count;
}

/* At home: a lane has something. */
static void called(struct rt_task *task)
{
	struct ebs_lane *lane = rt_container_of(task, struct ebs_lane, call);
	struct ebs_controller *c = lane->c;

	if (!c)
		return; /* it has ended meanwhile */
	ebs_hold(c);
	serve_handed(lane);
	c->with_home = count_with_home(c);
	if (lane->is_with_home)
		ebs_kick(lane);
	ebs_let(c);
}

/* ---- what is plain ---- */

/* The pin is everybody's, fault points and messages are the home's. */
static bool is_plain(struct ebs_lane *lane)
{
	struct pcie_function *fn = lane->c->fn;

	ebs_queues_locate(lane);
	return lane->is_direct && !fn->faults.rule_count &&
	       (!lane->has_interrupts || pcie_interrupt_mode(fn) == PCIE_MSIX);
}

uint64_t ebs_lanes_help(struct ebs_controller *c, uint64_t now_ns)
{
	uint64_t rest = UINT64_MAX, wait_ns;

	ebs_hold(c);
	for (unsigned int i = 1; i < c->lane_count; i++) {
		if (!c->lanes[i]->is_with_home)
			continue;
		wait_ns = ebs_turn(c->lanes[i], now_ns);
		rest = wait_ns < rest ? wait_ns : rest;
		c->lanes[i]->is_with_home = !is_plain(c->lanes[i]);
		if (!c->lanes[i]->is_with_home)
			ebs_kick(c->lanes[i]);
	}
	c->with_home = count_with_home(c);
	ebs_let(c);
	return rest;
}

void ebs_lanes_catch_up(struct ebs_controller *c)
{
	ebs_hold(c);
	for (unsigned int i = 1; i < c->lane_count; i++) {
		ebs_queues_locate(c->lanes[i]);
		(void)ebs_doors_look(c->lanes[i]);
	}
	ebs_let(c);
}

/* ---- a lane's thread ---- */

/* Nothing but the command itself waits for its end. */
static bool ends_plainly(const struct ebs_request *r)
{
	return !r->lane->is_with_home && !r->is_aborted &&
	       !r->c->sq[r->sqid].deleter && ebs_controller_is_working(r->c);
}

static void serve_ended(struct ebs_lane *lane)
{
	struct ebs_request *r;

	while ((r = TAILQ_FIRST(&lane->ended))) {
		TAILQ_REMOVE(&lane->ended, r, waiter);
		if (ends_plainly(r))
			end_io(r);
		else
			send_home(r, end_io);
	}
}

static bool is_resting(const struct ebs_lane *lane, uint64_t now_ns)
{
	return !lane->is_kicked && now_ns < lane->rest_until_ns &&
	       lane->dma_generation == pcie_dma_generation(lane->c->fn);
}

static uint64_t go_on(struct ebs_lane *lane, uint64_t now_ns)
{
	if (!lane->is_with_home) {
		lane->is_kicked |= lane->is_woken;
		if (!is_resting(lane, now_ns) && !is_plain(lane))
			ebs_lane_ask_home(lane);
	}
	lane->is_woken = false;
	if (!TAILQ_EMPTY(&lane->ended)) {
		lane->turn_ns = now_ns;
		serve_ended(lane);
	}
	return lane->is_with_home ? UINT64_MAX : ebs_turn(lane, now_ns);
}

static uint64_t poll_there(struct rt_poller *poller, uint64_t now_ns)
{
	struct ebs_lane *lane =
		rt_container_of(poller, struct ebs_lane, poller);
	uint64_t rest;

	if (!take(lane))
		return RT_POLL_SPIN;
	rest = go_on(lane, now_ns);
	leave(lane);
	return rest;
}

static void start_there(struct rt_task *task)
{
	struct ebs_lane *lane = rt_container_of(task, struct ebs_lane, start);

	rt_poller_start(lane->loop, &lane->poller);
}

static void woken_there(struct rt_task *task)
{
	rt_container_of(task, struct ebs_lane, wake)->is_woken = true;
}

/* Behind all that it has posted. */
static void end_there(struct rt_task *task)
{
	struct ebs_lane *lane = rt_container_of(task, struct ebs_lane, end);

	rt_poller_stop(lane->loop, &lane->poller);
	rt_loop_post(lane->home, &lane->forget);
}

static void forget_at_home(struct rt_task *task)
{
	free(rt_container_of(task, struct ebs_lane, forget));
}

/* ---- storage I/O ---- */

/* On the thread that submitted it. */
static void io_ended(struct ebs_volume_io *io, int status)
{
	struct ebs_request *r = rt_container_of(io, struct ebs_request, io);
	struct ebs_controller *c = r->c;

	r->io_status = status;
	if (io->loop != c->fn->loop) {
		TAILQ_INSERT_TAIL(&r->lane->ended, r, waiter);
		return;
	}
	ebs_hold(c);
	end_io(r);
	ebs_let(c);
}

void ebs_lane_io(struct ebs_request *r,
		 void (*done)(struct ebs_volume_io *io, int status))
{
	r->io.loop = r->lane->is_away ? r->lane->loop : r->c->fn->loop;
	r->io.done = ebs_is_home(r->lane) ? done : io_ended;
	r->io_done = done;
}

void ebs_lane_ring(struct ebs_lane *lane)
{
	struct ebs_controller *c = lane->c;

	if (!c->with_home) {
		rt_loop_post(lane->loop, &lane->wake);
		return;
	}
	/* Only in a hold can be seen who takes its turns. */
	ebs_hold(c);
	ebs_kick(lane);
	ebs_let(c);
}

/* ---- which queue is where ---- */

static struct ebs_lane *make_lane(struct ebs_controller *c, unsigned int number)
{
	const struct pcie_workers *workers = &c->fn->workers;
	struct ebs_lane *lane = calloc(1, sizeof *lane);

	if (!lane)
		return NULL;
	lane->c = c;
	lane->loop = workers->loops[(workers->home + number) % workers->count];
	lane->home = c->fn->loop;
	lane->is_wanted = true; /* it is made in a hold */
	lane->dma_generation = UINT64_MAX;
	SLIST_INIT(&lane->free);
	TAILQ_INIT(&lane->ended);
	TAILQ_INIT(&lane->handed);
	TAILQ_INIT(&lane->unposted);
	pcie_dma_add_holder(c->fn, &lane->holder);
	lane->poller.poll = poll_there;
	lane->start.run = start_there;
	lane->wake.run = woken_there;
	lane->end.run = end_there;
	lane->call.run = called;
	lane->forget.run = forget_at_home;
	rt_loop_post(lane->loop, &lane->start);
	return lane;
}

/* Each lane has the same share, the home also what the admin queue needs. */
static void share_requests(struct ebs_lane *lane)
{
	struct ebs_controller *c = lane->c;
	unsigned int share =
		(c->request_count - 2 * EBS_ADMIN_RESERVE) / c->lane_limit;

	if (lane->request_count < share)
		ebs_requests_move(&c->home, lane, share - lane->request_count);
}

static struct ebs_lane *next_lane(struct ebs_controller *c)
{
	unsigned int number = c->next_lane++ % c->lane_limit;

	if (number == c->lane_count &&
	    (c->lanes[number] = make_lane(c, number)))
		c->lane_count++;
	if (number >= c->lane_count)
		return &c->home; /* for want of memory */
	if (number)
		share_requests(c->lanes[number]);
	return c->lanes[number];
}

/* Vector 0 is the admin queue's; one that is used stays where it is. */
static struct ebs_lane *lane_of_vector(struct ebs_controller *c,
				       uint16_t number)
{
	struct ebs_vector *vector = &c->vectors[number];

	if (!vector->lane)
		vector->lane = number ? next_lane(c) : &c->home;
	return vector->lane;
}

struct ebs_lane *ebs_lane_choose(struct ebs_controller *c, uint16_t cqid,
				 uint16_t vector, bool has_interrupt)
{
	if (has_interrupt)
		return lane_of_vector(c, vector);
	return cqid ? next_lane(c) : &c->home;
}

void ebs_lanes_clear(struct ebs_controller *c)
{
	for (unsigned int i = 1; i < c->lane_count; i++)
		ebs_requests_move(c->lanes[i], &c->home, UINT_MAX);
	c->next_lane = 0;
}

static void restore_queue(struct ebs_controller *c, uint16_t cqid)
{
	const struct ebs_cq_state *cq = &c->state->cq[cqid];

	c->cq[cqid].lane = NULL;
	if (cq->size)
		c->cq[cqid].lane =
			ebs_lane_choose(c, cqid, cq->vector, cq->has_interrupt);
}

void ebs_lanes_restore(struct ebs_controller *c)
{
	ebs_lanes_clear(c);
	for (unsigned int i = 0; i < EBS_MAX_VECTORS; i++)
		c->vectors[i].lane = NULL;
	for (uint16_t i = 0; i < EBS_QUEUES; i++)
		restore_queue(c, i);
	for (uint16_t i = 0; i < EBS_QUEUES; i++)
		c->sq[i].lane = c->state->sq[i].size
					? c->cq[c->state->sq[i].cqid].lane
					: NULL;
	for (unsigned int i = 0; i < c->lane_count; i++) {
		c->lanes[i]->turn_ns = rt_loop_now_ns(c->fn->loop);
		c->lanes[i]->dma_generation = UINT64_MAX;
		ebs_kick(c->lanes[i]);
	}
}

/* ---- of all lanes ---- */

unsigned int ebs_active_count(const struct ebs_controller *c)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < c->lane_count; i++)
		count += c->lanes[i]->active_count;
	return count;
}

unsigned int ebs_io_count(const struct ebs_controller *c)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < c->lane_count; i++)
		count += c->lanes[i]->io_count;
	return count;
}

/* They are nothing but counters. */
#define COUNTERS (sizeof(struct ebs_counters) / sizeof(struct rt_counter))
static_assert(sizeof(struct ebs_counters) % sizeof(struct rt_counter) == 0,
	      "counters");

void ebs_counters_get(const struct ebs_controller *c, struct ebs_counters *sum)
{
	struct rt_counter *to = (struct rt_counter *)sum;
	const struct rt_counter *from;

	memset(sum, 0, sizeof *sum);
	for (unsigned int i = 0; i < c->lane_count; i++) {
		from = (const struct rt_counter *)&c->lanes[i]->counters;
		for (size_t n = 0; n < COUNTERS; n++)
			rt_counter_add(&to[n], rt_counter_read(&from[n]));
	}
}

static void store_counters(struct ebs_counters *counters,
			   const struct ebs_counters *values)
{
	struct rt_counter *to = (struct rt_counter *)counters;
	const struct rt_counter *from = (const struct rt_counter *)values;

	for (size_t n = 0; n < COUNTERS; n++)
		atomic_store_explicit(&to[n].value,
				      values ? rt_counter_read(&from[n]) : 0,
				      memory_order_relaxed);
}

void ebs_counters_set(struct ebs_controller *c, const struct ebs_counters *sum)
{
	for (unsigned int i = 1; i < c->lane_count; i++)
		store_counters(&c->lanes[i]->counters, NULL);
	store_counters(&c->home.counters, sum);
}

/* ---- life ---- */

void ebs_lanes_init(struct ebs_controller *c, bool may_spread)
{
	size_t limit = may_spread ? c->fn->workers.count : 1;

	if (limit > c->granted)
		limit = c->granted;
	c->lane_limit = limit < EBS_LANES ? (unsigned int)limit : EBS_LANES;
	c->home.c = c;
	c->home.loop = c->fn->loop;
	TAILQ_INIT(&c->home.unposted);
	c->lanes[0] = &c->home;
	c->lane_count = 1;
}

void ebs_lanes_end(struct ebs_controller *c)
{
	ebs_hold(c); /* for good */
	for (unsigned int i = 1; i < c->lane_count; i++) {
		struct ebs_lane *lane = c->lanes[i];

		pcie_dma_remove_holder(c->fn, &lane->holder);
		lane->c = NULL;
		rt_loop_post(lane->loop, &lane->end);
	}
	c->lane_count = 1;
}
