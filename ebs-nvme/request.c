/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands in flight: the pool they come from, how each of them ends, and how
 * all of them are brought to an end.
 *
 * A request that is BUSY is in the hands of guest memory or storage and comes
 * back by itself; when it does, ebs_request_goes_on() decides.  The others wait
 * for something of ours and can be ended at any moment: that is what abort,
 * deletion of a queue, reset and pause do.
 *
 * When the function is paused, a command is not completed any more but
 * recorded: either it is run again from the start by whoever goes on (that is
 * harmless: the guest has not been told its result), or its completion is
 * posted then.
 *
 * Owns the pool, which is as large as it ever gets from the start: how many
 * requests a guest can have is not the guest's choice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ebs-nvme/controller.h"
#include "ebs-nvme/trace.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

int ebs_requests_create(struct ebs_controller *c)
{
	unsigned int wanted = c->pairs * c->entries + 2 * EBS_ADMIN_RESERVE;

	SLIST_INIT(&c->home.free);
	c->home.reserve = EBS_ADMIN_RESERVE;
	c->request_count =
		wanted < EBS_MAX_REQUESTS ? wanted : EBS_MAX_REQUESTS;
	c->requests = calloc(c->request_count, sizeof *c->requests);
	if (!c->requests)
		return -ENOMEM;
	/* The last shall be first: what is used stays warm and small. */
	for (unsigned int i = c->request_count; i-- > 0;) {
		c->requests[i].c = c;
		c->requests[i].lane = &c->home;
		SLIST_INSERT_HEAD(&c->home.free, &c->requests[i], entry);
	}
	c->home.request_count = c->request_count;
	c->home.free_count = c->request_count;
	return 0;
}

void ebs_requests_move(struct ebs_lane *from, struct ebs_lane *to,
		       unsigned int count)
{
	struct ebs_request *r;

	while (count-- && (r = SLIST_FIRST(&from->free))) {
		SLIST_REMOVE_HEAD(&from->free, entry);
		from->request_count--;
		from->free_count--;
		r->lane = to;
		r->span.holder = ebs_is_home(to) ? NULL : &to->holder;
		SLIST_INSERT_HEAD(&to->free, r, entry);
		to->request_count++;
		to->free_count++;
	}
}

void ebs_requests_destroy(struct ebs_controller *c)
{
	free(c->requests);
	c->requests = NULL;
}

static void prepare(struct ebs_request *r, uint16_t sqid)
{
	struct ebs_controller *c = r->c;

	r->stage = EBS_STAGE_BUSY;
	r->sqid = sqid;
	r->cqid = c->state->sq[sqid].cqid;
	r->has_credit = true;
	r->is_aborted = false;
	r->is_held = false;
	r->dw0 = 0;
	r->error_location = NVME_ERROR_NO_LOCATION;
	r->lba = 0;
	r->bytes = 0;
	r->aborter = NULL;
	r->buffer = NULL;
	r->pool = NULL;
	r->range_index = 0;
	r->is_inline = false;
	r->started_ns = r->lane->turn_ns;
	c->cq[r->cqid].reserved++;
	c->sq[sqid].in_flight++;
	if (sqid)
		r->lane->io_count++;
}

static struct ebs_request *take_first(struct ebs_lane *lane, uint16_t sqid)
{
	struct ebs_request *r = SLIST_FIRST(&lane->free);

	SLIST_REMOVE_HEAD(&lane->free, entry);
	lane->free_count--;
	lane->active_count++;
	prepare(r, sqid);
	return r;
}

struct ebs_request *ebs_request_take(struct ebs_lane *lane, uint16_t sqid)
{
	if (lane->free_count <= (sqid ? lane->reserve : 0))
		return NULL;
	return take_first(lane, sqid);
}

static void stop_waiting(struct ebs_request *r)
{
	struct ebs_controller *c = r->c;

	if (r->stage == EBS_STAGE_HELD)
		rt_timer_stop(c->fn->loop, &r->timer);
	if (r->stage == EBS_STAGE_WAITING)
		TAILQ_REMOVE(&r->pool->waiting, r, waiter);
	r->stage = EBS_STAGE_BUSY;
}

/* Somebody may wait for this command to end. */
static void tell_waiters(struct ebs_controller *c, struct ebs_request *aborter,
			 uint16_t sqid)
{
	if (aborter) {
		c->aborts--;
		ebs_request_complete(aborter, NVME_SUCCESS);
	}
	if (c->sq[sqid].deleter && !c->sq[sqid].in_flight)
		ebs_sq_delete_now(c, sqid);
}

void ebs_request_free(struct ebs_request *r)
{
	struct ebs_controller *c = r->c;
	struct ebs_lane *lane = r->lane;
	struct ebs_request *aborter = r->aborter;

	stop_waiting(r);
	if (r->has_credit)
		c->cq[r->cqid].reserved--;
	if (r->buffer)
		ebs_buffer_put(r);
	if (r->sqid)
		lane->io_count--;
	c->sq[r->sqid].in_flight--;
	r->stage = EBS_STAGE_FREE;
	SLIST_INSERT_HEAD(&lane->free, r, entry);
	lane->free_count++;
	lane->active_count--;
	tell_waiters(c, aborter, r->sqid);
	ebs_kick(lane);
	ebs_controller_settle(c);
}

bool ebs_status_is_logged(nvme_status status)
{
	return NVME_IS_ERROR(status) &&
	       !NVME_SAME_STATUS(status, NVME_ABORT_REQUESTED) &&
	       !NVME_SAME_STATUS(status, NVME_ABORT_SQ_DELETED);
}

static void count_end(struct ebs_request *r)
{
	struct ebs_controller *c = r->c;

	trace_ebs_command_end(r->sqid, le16_get(r->cmd.cid), r->status.raw,
			      r->dw0);
	if (ebs_status_is_logged(r->status)) {
		rt_counter_add(&r->lane->counters.failed_commands, 1);
		ebs_error_log_add(c, r, r->status);
	} else if (NVME_IS_ERROR(r->status)) {
		rt_counter_add(&r->lane->counters.aborted_commands, 1);
	}
}

void ebs_request_complete(struct ebs_request *r, nvme_status status)
{
	struct ebs_controller *c = r->c;

	stop_waiting(r);
	r->status = r->is_aborted ? NVME_ABORT_REQUESTED : status;
	if (c->state->is_disabling) {
		ebs_request_free(r);
		return;
	}
	count_end(r);
	if (ebs_is_quiescing(c)) {
		ebs_request_record(r, EBS_POST);
		ebs_request_free(r);
		return;
	}
	if (r->buffer)
		ebs_buffer_put(r);
	ebs_cq_post(r);
}

bool ebs_request_goes_on(struct ebs_request *r)
{
	struct ebs_controller *c = r->c;

	if (c->state->is_disabling)
		ebs_request_free(r);
	else if (r->is_aborted)
		ebs_request_complete(r, NVME_ABORT_REQUESTED);
	else if (ebs_is_quiescing(c))
		ebs_request_cancelled(r);
	else if (c->sq[r->sqid].deleter)
		ebs_request_complete(r, NVME_ABORT_SQ_DELETED);
	else
		return true;
	return false;
}

void ebs_request_cancelled(struct ebs_request *r)
{
	if (!r->c->state->is_disabling)
		ebs_request_record(r, EBS_RUN_AGAIN);
	ebs_request_free(r);
}

void ebs_request_record(struct ebs_request *r, enum ebs_unfinished_kind kind)
{
	struct ebs_state *state = r->c->state;
	struct ebs_unfinished *unfinished;

	if (state->unfinished_count == EBS_MAX_REQUESTS)
		return; /* as many as there are requests: not reached */
	unfinished = &state->unfinished[state->unfinished_count++];
	*unfinished = (struct ebs_unfinished){
		.kind = (uint8_t)kind,
		.sqid = r->sqid,
		.cmd = r->cmd,
		.status = r->status.raw,
		.dw0 = r->dw0,
		.cqid = r->cqid,
		.slot = r->cqe_slot,
		.cqe = r->cqe,
	};
}

/* A command that waits for us need not: what ends it depends on why. */
static void release(struct ebs_request *r)
{
	/* A parked one ends with the command that it waits for. */
	if (r->stage != EBS_STAGE_HELD && r->stage != EBS_STAGE_WAITING)
		return;
	stop_waiting(r);
	if (ebs_request_goes_on(r))
		ebs_request_complete(r, NVME_ABORT_REQUESTED);
}

void ebs_requests_release_queue(struct ebs_controller *c, uint16_t sqid)
{
	for (unsigned int i = 0; i < c->request_count; i++)
		if (c->requests[i].sqid == sqid)
			release(&c->requests[i]);
}

void ebs_requests_release(struct ebs_controller *c)
{
	for (unsigned int i = 0; i < c->request_count; i++)
		release(&c->requests[i]);
}

struct ebs_request *ebs_request_find(struct ebs_controller *c, uint16_t sqid,
				     uint16_t cid)
{
	for (unsigned int i = 0; i < c->request_count; i++) {
		struct ebs_request *r = &c->requests[i];

		if (r->stage != EBS_STAGE_FREE && r->sqid == sqid &&
		    le16_get(r->cmd.cid) == cid)
			return r;
	}
	return NULL;
}

static void hold_is_over(struct rt_timer *timer)
{
	struct ebs_request *r =
		rt_container_of(timer, struct ebs_request, timer);
	struct ebs_controller *c = r->c;

	ebs_hold(c);
	r->stage = EBS_STAGE_BUSY;
	if (ebs_request_goes_on(r))
		r->step(r);
	ebs_let(c);
}

void ebs_request_hold(struct ebs_request *r, uint64_t delay_ns, ebs_step *step)
{
	struct rt_loop *loop = r->c->fn->loop;
	uint64_t now = rt_loop_now_ns(loop);

	r->stage = EBS_STAGE_HELD;
	r->step = step;
	r->timer.fired = hold_is_over;
	if (delay_ns <= UINT64_MAX - now &&
	    rt_timer_start(loop, &r->timer, now + delay_ns))
		hold_is_over(&r->timer); /* no memory: no delay */
}

static void resume_one(struct ebs_request *r)
{
	switch (r->resumed_as) {
	case EBS_POST:
		ebs_cq_post(r);
		return;
	case EBS_POST_AGAIN:
		r->has_credit = false; /* its entry is taken already */
		r->c->cq[r->cqid].reserved--;
		ebs_cq_publish(r);
		return;
	case EBS_RUN_AGAIN:
		break;
	}
	if (r->sqid)
		ebs_io_begin(r);
	else
		ebs_admin_begin(r);
}

static void load(struct ebs_request *r, const struct ebs_unfinished *unfinished)
{
	r->resumed_as = (enum ebs_unfinished_kind)unfinished->kind;
	r->cmd = unfinished->cmd;
	r->status.raw = unfinished->status;
	r->dw0 = unfinished->dw0;
	r->cqe = unfinished->cqe;
	r->cqe_slot = unfinished->slot;
}

/* Its lane may have fewer than it had before. */
static struct ebs_request *take_any(struct ebs_controller *c, uint16_t sqid)
{
	struct ebs_lane *lane = c->sq[sqid].lane;

	for (unsigned int i = 0; i < c->lane_count && !lane->free_count; i++)
		ebs_requests_move(c->lanes[i], lane, 1);
	return take_first(lane, sqid);
}

/* All of them are in flight again before the first goes on. */
void ebs_requests_resume(struct ebs_controller *c)
{
	struct ebs_state *state = c->state;
	struct ebs_request_list list = TAILQ_HEAD_INITIALIZER(list);
	struct ebs_request *r;

	for (unsigned int i = 0; i < state->unfinished_count; i++) {
		r = take_any(c, state->unfinished[i].sqid);
		load(r, &state->unfinished[i]);
		TAILQ_INSERT_TAIL(&list, r, waiter);
	}
	state->unfinished_count = 0;
	while ((r = TAILQ_FIRST(&list))) {
		TAILQ_REMOVE(&list, r, waiter);
		resume_one(r);
	}
}
