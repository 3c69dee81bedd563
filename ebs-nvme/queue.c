/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Doorbells, fetching and posting, NVMe Base 1.4, 3.1.24, 3.1.25, 4.1 and 4.13.
 * On the function's loop, or another lane's for the lane's queues.
 *
 * A doorbell only notes the new index.  A turn, which the loop's poller takes,
 * looks for doorbells (doorbell.c), goes round the submission queues, fetches a
 * few commands from each, and sends the messages for what was completed.  It
 * ends after some commands or bytes even if there is more: a guest that never
 * stops ringing does not keep the thread.
 *
 * Queues in memory that we reach directly are read and written through pointers
 * that are looked up again whenever the client's memory has changed.
 *
 * A command is fetched only when an entry of its completion queue can be kept
 * free for it until it is posted.  So a completion queue never overflows,
 * however small it is and however many submission queues share it.
 *
 * A client may hand over a descriptor of memory that its guest does not share.
 * Then the first admin command reads as zeroes, and only then is the client
 * asked what the guest really has there.
 */
#include <errno.h>
#include <string.h>

#include "ebs-nvme/controller.h"
#include "ebs-nvme/trace.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

static uint32_t next_slot(uint32_t slot, uint32_t size)
{
	return slot + 1 < size ? slot + 1 : 0;
}

static void doorbell_error(struct ebs_controller *c, enum ebs_rule rule,
			   uint8_t info, uint64_t value)
{
	rt_rule_broken(&c->fn->rules, rule, value);
	ebs_error_log_add(c, NULL, NVME_SUCCESS);
	ebs_event_raise(c, NVME_EVENT_ERROR, info, NVME_LID_ERROR);
}

static bool sq_doorbell(struct ebs_controller *c, uint16_t sqid, uint32_t tail)
{
	struct ebs_sq_state *sq = &c->state->sq[sqid];

	trace_ebs_sq_doorbell(sqid, tail);
	if (tail >= sq->size) {
		doorbell_error(c, EBS_RULE_SQ_DOORBELL_RANGE,
			       NVME_EVENT_INVALID_DOORBELL_VALUE, tail);
		return false;
	}
	sq->tail = tail;
	ebs_kick(c->sq[sqid].lane);
	return true;
}

static uint32_t used_entries(const struct ebs_cq_state *cq)
{
	return cq->tail >= cq->head ? cq->tail - cq->head
				    : cq->tail + cq->size - cq->head;
}

static uint32_t taken_entries(const struct ebs_cq_state *cq, uint32_t head)
{
	return head >= cq->head ? head - cq->head : head + cq->size - cq->head;
}

static bool cq_doorbell(struct ebs_controller *c, uint16_t cqid, uint32_t head)
{
	struct ebs_cq_state *cq = &c->state->cq[cqid];

	trace_ebs_cq_doorbell(cqid, head);
	if (head >= cq->size) {
		doorbell_error(c, EBS_RULE_CQ_DOORBELL_RANGE,
			       NVME_EVENT_INVALID_DOORBELL_VALUE, head);
		return false;
	}
	if (taken_entries(cq, head) > used_entries(cq)) {
		doorbell_error(c, EBS_RULE_CQ_DOORBELL_PASSED_TAIL,
			       NVME_EVENT_INVALID_DOORBELL_VALUE, head);
		return false;
	}
	cq->head = head;
	c->cq[cqid].lane->is_answered = true;
	ebs_interrupt_answered(c, cqid);
	if (!cqid)
		ebs_event_pump(c);
	ebs_kick(c->cq[cqid].lane);
	return true;
}

bool ebs_doorbell_fits(const struct ebs_controller *c, uint16_t qid, bool is_cq,
		       uint32_t value)
{
	const struct ebs_cq_state *cq = &c->state->cq[qid];
	uint32_t index = value & 0xffff;

	if (!is_cq)
		return index < c->state->sq[qid].size;
	return index < cq->size && taken_entries(cq, index) <= used_entries(cq);
}

bool ebs_doorbell_rang(struct ebs_controller *c, uint16_t qid, bool is_cq,
		       uint32_t value)
{
	/* The upper half is reserved, 3.1.24. */
	return is_cq ? cq_doorbell(c, qid, value & 0xffff)
		     : sq_doorbell(c, qid, value & 0xffff);
}

void ebs_doorbell_write(struct ebs_controller *c, uint64_t offset,
			uint32_t value)
{
	uint64_t number = (offset - NVME_REG_DOORBELLS) / 4;
	uint64_t qid = number / 2;
	bool is_cq = number % 2;
	struct ebs_lane *lane;

	if (!ebs_controller_is_working(c)) {
		rt_rule_broken(&c->fn->rules, EBS_RULE_DOORBELL_NOT_READY,
			       offset);
		return;
	}
	if (qid >= EBS_QUEUES ||
	    !(is_cq ? c->state->cq[qid].size : c->state->sq[qid].size)) {
		doorbell_error(c, EBS_RULE_DOORBELL_UNKNOWN_QUEUE,
			       NVME_EVENT_INVALID_DOORBELL, offset);
		return;
	}
	lane = is_cq ? c->cq[qid].lane : c->sq[qid].lane;
	if (!ebs_is_home(lane)) {
		ebs_door_ring(lane, (uint16_t)qid, is_cq, value);
		return;
	}
	/* The value of a doorbell that has a shadow stands there, 5.7: this
	 * one may be older. */
	if (qid && ebs_shadow_is_on(c)) {
		ebs_kick(lane);
		return;
	}
	if (is_cq)
		c->state->cq[qid].doorbell = value;
	else
		c->state->sq[qid].doorbell = value;
	ebs_doorbell_rang(c, (uint16_t)qid, is_cq, value);
}

bool ebs_cq_has_room(const struct ebs_controller *c, uint16_t cqid)
{
	const struct ebs_cq_state *cq = &c->state->cq[cqid];

	return used_entries(cq) + c->cq[cqid].reserved < cq->size - 1;
}

static void fetch_failed(struct ebs_request *r, int status)
{
	struct ebs_controller *c = r->c;

	if (status == -ECANCELED) { /* nothing happened: fetch it again */
		c->sq[r->sqid].fetch = c->state->sq[r->sqid].head;
	} else {
		rt_rule_broken(&c->fn->rules, EBS_RULE_QUEUE_MEMORY,
			       c->state->sq[r->sqid].base);
		ebs_controller_fail(c, status);
	}
	ebs_request_free(r);
}

/* The command is ours now: the guest may use its entry again. */
static void accept_command(struct ebs_request *r)
{
	struct ebs_controller *c = r->c;
	struct ebs_sq_state *sq = &c->state->sq[r->sqid];

	sq->head = next_slot(r->fetch_slot, sq->size);
	trace_ebs_command_begin(r->sqid, le16_get(r->cmd.cid), r->cmd.opcode,
				le32_get(r->cmd.nsid));
	if (!ebs_request_goes_on(r))
		return;
	if (r->sqid) {
		ebs_io_begin(r);
		return;
	}
	/* It may change what all lanes look at. */
	ebs_hold(c);
	ebs_admin_begin(r);
	ebs_let(c);
}

static void fetch_into(struct ebs_request *r);

static void memory_checked(struct pcie_dma_op *op, int status)
{
	struct ebs_request *r = rt_container_of(op, struct ebs_request, op);

	if (status == -ESTALE)
		fetch_into(r); /* by message, this time */
	else if (status)
		fetch_failed(r, status);
	else
		accept_command(r);
}

static uint64_t slot_address(const struct ebs_request *r)
{
	return r->c->state->sq[r->sqid].base +
	       (uint64_t)r->fetch_slot * sizeof(struct nvme_cmd);
}

static void check_memory(struct ebs_request *r)
{
	int status;

	r->op.done = memory_checked;
	status = pcie_dma_check_shared(r->c->fn, &r->op, slot_address(r),
				       sizeof(struct nvme_cmd));
	if (status != -EINPROGRESS)
		memory_checked(&r->op, status);
}

/* Only once after it was enabled, so a guest cannot make it a habit. */
static bool is_suspicious(struct ebs_request *r)
{
	static const struct nvme_cmd nothing;
	bool is_first = !r->sqid && !r->c->state->has_checked_memory;

	r->c->state->has_checked_memory = true;
	return is_first && !memcmp(&r->cmd, &nothing, sizeof nothing);
}

static void fetched(struct pcie_dma_op *op, int status)
{
	struct ebs_request *r = rt_container_of(op, struct ebs_request, op);

	if (status)
		fetch_failed(r, status);
	else if (is_suspicious(r))
		check_memory(r);
	else
		accept_command(r);
}

static void fetch_into(struct ebs_request *r)
{
	int status;

	r->op.done = fetched;
	status = pcie_dma_read(r->c->fn, &r->op, slot_address(r), &r->cmd,
			       sizeof r->cmd);
	if (status != -EINPROGRESS)
		fetched(&r->op, status);
}

/* Our copy is what counts: nothing reads the guest's again. */
static void copy_command(struct nvme_cmd *to, const struct nvme_cmd *from)
{
	memcpy(to, from, sizeof *to);
	__asm__ volatile("" ::: "memory");
}

/* How many entries stand from one slot to another. */
static uint32_t distance(uint32_t from, uint32_t to, uint32_t size)
{
	return to >= from ? to - from : to + size - from;
}

/* What may be asked for next: a hint, so it is no harm if it changes. */
static void glance_at(struct ebs_controller *c,
		      const volatile struct nvme_cmd *entry)
{
	uint64_t lba = (uint64_t)le32toh(entry->cdw11.raw) << 32 |
		       le32toh(entry->cdw10.raw);
	uint64_t blocks =
		bits_get(NVME_RW_NLB_0S, le32toh(entry->cdw12.raw)) + 1;

	if (entry->opcode == NVME_NVM_READ &&
	    lba < UINT64_MAX >> NVME_LBA_SHIFT)
		ebs_volume_expect(c->volume, EBS_VOLUME_READ,
				  lba << NVME_LBA_SHIFT,
				  blocks << NVME_LBA_SHIFT);
}

/* The engine hears of the commands after this one before they are fetched. */
static void glance_ahead(struct ebs_controller *c, uint16_t sqid)
{
	const struct ebs_sq_state *state = &c->state->sq[sqid];
	struct ebs_sq *sq = &c->sq[sqid];
	uint32_t ahead = distance(sq->fetch, sq->glance, state->size);

	if (ahead > distance(sq->fetch, state->tail, state->size)) {
		sq->glance = sq->fetch;
		ahead = 0;
	}
	for (; ahead < EBS_GLANCE && sq->glance != state->tail; ahead++) {
		glance_at(c, &sq->direct[sq->glance]);
		sq->glance = next_slot(sq->glance, state->size);
	}
}

static void fetch_directly(struct ebs_request *r, const struct nvme_cmd *entry)
{
	copy_command(&r->cmd, entry);
	if (!r->sqid && is_suspicious(r))
		check_memory(r);
	else
		accept_command(r);
}

static bool can_fetch(const struct ebs_controller *c, unsigned int sqid)
{
	const struct ebs_sq_state *sq = &c->state->sq[sqid];

	return sq->size && c->sq[sqid].fetch != sq->tail &&
	       !c->sq[sqid].deleter && ebs_cq_has_room(c, sq->cqid);
}

static bool fetch(struct ebs_controller *c, uint16_t sqid)
{
	struct ebs_sq *sq = &c->sq[sqid];
	struct ebs_request *r;

	if (!can_fetch(c, sqid) || !ebs_controller_is_working(c))
		return false;
	r = ebs_request_take(sq->lane, sqid);
	if (!r)
		return false;
	if (sqid && sq->direct && c->volume->engine->expect)
		glance_ahead(c, sqid);
	r->fetch_slot = sq->fetch;
	sq->fetch = next_slot(r->fetch_slot, c->state->sq[sqid].size);
	if (sq->direct)
		fetch_directly(r, &sq->direct[r->fetch_slot]);
	else
		fetch_into(r);
	return true;
}

/* 2^AB commands at a time, 5.21.1.1, as far as that is fair to others. */
static unsigned int burst_size(const struct ebs_controller *c)
{
	uint32_t value = c->state->features.arbitration;
	unsigned int wish = 1u << bits_get(NVME_ARBITRATION_AB, value);

	return wish < EBS_BURST_COMMANDS ? wish : EBS_BURST_COMMANDS;
}

static bool is_deep(const struct ebs_controller *c, uint16_t sqid)
{
	const struct ebs_sq_state *sq = &c->state->sq[sqid];

	return distance(c->sq[sqid].fetch, sq->tail, sq->size) >
	       EBS_BURST_COMMANDS;
}

/* What was written is seen by whoever sees that it is done. */
static void post_fenced(struct ebs_lane *lane)
{
	struct ebs_request *r;

	ebs_volume_fence();
	lane->needs_fence = false;
	while ((r = TAILQ_FIRST(&lane->unposted))) {
		TAILQ_REMOVE(&lane->unposted, r, waiter);
		ebs_cq_publish(r);
	}
}

/* A few commands of the next queue that has some.  Returns how many. */
static unsigned int fetch_burst(struct ebs_lane *lane)
{
	unsigned int count = 0, limit = burst_size(lane->c);
	uint16_t sqid;

	for (unsigned int i = 0; i < lane->queue_count && !count; i++) {
		sqid = lane->queues[lane->turn_queue];
		lane->turn_queue =
			next_slot(lane->turn_queue, lane->queue_count);
		lane->is_deep = is_deep(lane->c, sqid);
		while (count < limit && fetch(lane->c, sqid))
			count++;
	}
	lane->is_deep = false;
	if (lane->needs_fence)
		post_fenced(lane);
	if (lane->moved_count)
		ebs_io_count_moved(lane);
	return count;
}

static unsigned int fetch_commands(struct ebs_lane *lane)
{
	unsigned int done = 0, count;

	lane->turn_bytes = 0;
	do {
		count = fetch_burst(lane);
		done += count;
	} while (count && done < EBS_TURN_COMMANDS &&
		 lane->turn_bytes < EBS_TURN_BYTES);
	if (count)
		ebs_kick(lane);
	return done;
}

static void locate_sq(struct ebs_controller *c, unsigned int sqid)
{
	const struct ebs_sq_state *sq = &c->state->sq[sqid];

	c->sq[sqid].direct = pcie_dma_direct(
		c->fn, sq->base, (uint64_t)sq->size * sizeof(struct nvme_cmd),
		false);
}

static void locate_cq(struct ebs_controller *c, unsigned int cqid)
{
	const struct ebs_cq_state *cq = &c->state->cq[cqid];

	c->cq[cqid].direct = pcie_dma_direct(
		c->fn, cq->base, (uint64_t)cq->size * sizeof(struct nvme_cqe),
		true);
}

void ebs_queues_locate(struct ebs_lane *lane)
{
	struct ebs_controller *c = lane->c;
	uint64_t generation = pcie_dma_generation(c->fn);

	if (generation == lane->dma_generation)
		return;
	lane->dma_generation = generation;
	for (unsigned int qid = 0; qid <= c->pairs; qid++) {
		if (c->sq[qid].lane == lane)
			locate_sq(c, qid);
		if (c->cq[qid].lane == lane)
			locate_cq(c, qid);
	}
	ebs_doors_rebuild(lane);
}

static unsigned int take_turn(struct ebs_lane *lane)
{
	struct ebs_controller *c = lane->c;
	unsigned int count;

	ebs_queues_locate(lane);
	if (ebs_is_home(lane))
		ebs_buffers_serve(c);
	count = ebs_doors_look(lane);
	lane->is_kicked = false; /* of what follows now */
	if (ebs_is_home(lane))
		ebs_event_pump(c);
	count += fetch_commands(lane);
	ebs_interrupt_deliver(lane);
	return count;
}

/* When to come again, if there was nothing to do. */
static uint64_t find_rest(struct ebs_lane *lane, uint64_t now_ns)
{
	uint64_t doors = ebs_doors_rest(lane, now_ns);
	uint64_t messages = ebs_interrupt_rest(lane);
	uint64_t rest = doors < messages ? doors : messages;

	lane->rest_until_ns = UINT64_MAX;
	if (rest == RT_POLL_SPIN)
		lane->rest_until_ns = 0;
	else if (rest < UINT64_MAX - now_ns)
		lane->rest_until_ns = now_ns + rest;
	return rest;
}

static uint64_t remaining(uint64_t deadline_ns, uint64_t now_ns)
{
	return deadline_ns == UINT64_MAX ? UINT64_MAX : deadline_ns - now_ns;
}

uint64_t ebs_turn(struct ebs_lane *lane, uint64_t now_ns)
{
	uint64_t end_ns;

	if (!lane->is_kicked && now_ns < lane->rest_until_ns &&
	    lane->dma_generation == pcie_dma_generation(lane->c->fn))
		return remaining(lane->rest_until_ns, now_ns);
	lane->turn_ns = now_ns;
	if (!take_turn(lane) && !lane->is_kicked) {
		/* No work, but a driver that is awake. */
		if (lane->is_answered)
			lane->worked_ns = now_ns;
		lane->is_answered = false;
		return find_rest(lane, now_ns);
	}
	/* Where nobody is told, the last burst ended just now. */
	end_ns = lane->has_interrupts || lane->turn_ns == now_ns
			 ? rt_loop_now_ns(lane->loop)
			 : lane->turn_ns;
	rt_counter_add(&lane->counters.busy_ns, end_ns - now_ns);
	lane->worked_ns = end_ns;
	lane->rest_until_ns = 0;
	return 0;
}

static uint64_t poll(struct rt_poller *poller, uint64_t now_ns)
{
	struct ebs_lane *home =
		rt_container_of(poller, struct ebs_lane, poller);
	uint64_t rest = ebs_turn(home, now_ns), other;

	if (!home->c->with_home)
		return rest;
	other = ebs_lanes_help(home->c, now_ns);
	rest = other < rest ? other : rest;
	return home->is_kicked ? 0 : rest;
}

void ebs_turns_start(struct ebs_controller *c)
{
	c->home.poller.poll = poll;
	rt_poller_start(c->fn->loop, &c->home.poller);
}

void ebs_turns_stop(struct ebs_controller *c)
{
	rt_poller_stop(c->fn->loop, &c->home.poller);
}

static void published(struct pcie_dma_op *op, int status)
{
	struct ebs_request *r = rt_container_of(op, struct ebs_request, op);
	struct ebs_controller *c = r->c;

	if (status == -ECANCELED) {
		if (!c->state->is_disabling)
			ebs_request_record(r, EBS_POST_AGAIN);
	} else if (status) {
		rt_rule_broken(&c->fn->rules, EBS_RULE_QUEUE_MEMORY,
			       c->state->cq[r->cqid].base);
		ebs_controller_fail(c, status);
	} else {
		ebs_interrupt_posted(c, r->cqid);
	}
	ebs_request_free(r);
}

static bool is_direct(const struct ebs_controller *c, uint16_t cqid)
{
	return c->cq[cqid].direct &&
	       c->cq[cqid].lane->dma_generation == pcie_dma_generation(c->fn) &&
	       pcie_bus_master_is_on(c->fn);
}

/* Its entry is taken, but what has happened since may be anything. */
static void publish_at_home(struct ebs_request *r)
{
	if (r->c->state->is_disabling)
		ebs_request_free(r);
	else if (ebs_is_quiescing(r->c))
		published(&r->op, -ECANCELED);
	else
		ebs_cq_publish(r);
}

void ebs_cq_publish(struct ebs_request *r)
{
	struct ebs_controller *c = r->c;
	uint64_t address = c->state->cq[r->cqid].base +
			   (uint64_t)r->cqe_slot * sizeof r->cqe;
	int status;

	if (r->lane->needs_fence) {
		TAILQ_INSERT_TAIL(&r->lane->unposted, r, waiter);
		return;
	}
	if (is_direct(c, r->cqid)) {
		pcie_dma_store_entry(&c->cq[r->cqid].direct[r->cqe_slot],
				     &r->cqe);
		ebs_interrupt_posted(c, r->cqid);
		ebs_request_free(r);
		return;
	}
	if (r->lane->is_away) {
		ebs_hand_over(r, publish_at_home);
		return;
	}
	r->op.done = published;
	status = pcie_dma_publish(c->fn, &r->op, address, &r->cqe);
	if (status != -EINPROGRESS)
		published(&r->op, status);
}

/* Trying again helps when storage failed or somebody stopped the command. */
static bool is_final(nvme_status status)
{
	return NVME_IS_ERROR(status) && NVME_SCT(status) < 2 &&
	       !NVME_SAME_STATUS(status, NVME_INTERNAL_ERROR) &&
	       ebs_status_is_logged(status);
}

uint16_t ebs_status_field(nvme_status status, bool phase)
{
	uint64_t field = phase;

	field = bits_put(NVME_CQE_SC, field, NVME_SC(status));
	field = bits_put(NVME_CQE_SCT, field, NVME_SCT(status));
	field = bits_put(NVME_CQE_MORE, field, ebs_status_is_logged(status));
	return (uint16_t)bits_put(NVME_CQE_DNR, field, is_final(status));
}

void ebs_cq_post(struct ebs_request *r)
{
	struct ebs_controller *c = r->c;
	struct ebs_cq_state *cq = &c->state->cq[r->cqid];

	r->cqe = (struct nvme_cqe){
		.dw0 = le32_put(r->dw0),
		.sq_head = le16_put((uint16_t)c->state->sq[r->sqid].head),
		.sqid = le16_put(r->sqid),
		.cid = r->cmd.cid,
		.status = le16_put(ebs_status_field(r->status, cq->phase)),
	};
	r->cqe_slot = cq->tail;
	cq->tail++;
	if (cq->tail == cq->size) {
		cq->tail = 0;
		cq->phase = !cq->phase;
	}
	c->cq[r->cqid].reserved--;
	r->has_credit = false;
	ebs_cq_publish(r);
}

void ebs_sq_open(struct ebs_controller *c, uint16_t sqid, uint64_t base,
		 uint32_t size, uint16_t cqid)
{
	trace_ebs_queue_created(0, sqid, size, base);
	c->state->sq[sqid] = (struct ebs_sq_state){ .base = base,
						    .size = size,
						    .cqid = cqid };
	c->sq[sqid] = (struct ebs_sq){ .lane = c->cq[cqid].lane };
	locate_sq(c, sqid);
	ebs_door_clear(c, sqid, false);
}

void ebs_cq_open(struct ebs_controller *c, uint16_t cqid, uint64_t base,
		 uint32_t size, uint16_t vector, bool has_interrupt)
{
	trace_ebs_queue_created(1, cqid, size, base);
	c->state->cq[cqid] = (struct ebs_cq_state){
		.base = base,
		.size = size,
		.vector = vector,
		.phase = true,
		.has_interrupt = has_interrupt,
	};
	c->cq[cqid] = (struct ebs_cq){ .lane = ebs_lane_choose(c, cqid, vector,
							       has_interrupt) };
	locate_cq(c, cqid);
	ebs_door_clear(c, cqid, true);
}
