/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Doorbells, fetching and posting, NVMe Base 1.4, 3.1.24, 3.1.25, 4.1 and 4.13.
 * On the function's loop.
 *
 * A doorbell only notes the new index.  The turn, a task of the loop, goes
 * round the submission queues and fetches a few commands from each, and posts
 * itself again when there is more: a guest that never stops ringing does not
 * keep the thread.
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
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ebs-nvme/controller.h"
#include "ebs-nvme/trace.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

static void doorbell_error(struct ebs_controller *c, enum ebs_rule rule,
			   uint8_t info, uint64_t value)
{
	rt_rule_broken(&c->fn->rules, rule, value);
	ebs_error_log_add(c, NULL, NVME_SUCCESS);
	ebs_event_raise(c, NVME_EVENT_ERROR, info, NVME_LID_ERROR);
}

static void sq_doorbell(struct ebs_controller *c, uint16_t sqid, uint32_t tail)
{
	struct ebs_sq_state *sq = &c->state->sq[sqid];

	trace_ebs_sq_doorbell(sqid, tail);
	if (tail >= sq->size) {
		doorbell_error(c, EBS_RULE_SQ_DOORBELL_RANGE,
			       NVME_EVENT_INVALID_DOORBELL_VALUE, tail);
		return;
	}
	sq->tail = tail;
	ebs_kick(c);
}

static uint32_t used_entries(const struct ebs_cq_state *cq)
{
	return cq->tail >= cq->head ? cq->tail - cq->head
				    : cq->tail + cq->size - cq->head;
}

static void cq_doorbell(struct ebs_controller *c, uint16_t cqid, uint32_t head)
{
	struct ebs_cq_state *cq = &c->state->cq[cqid];
	uint32_t taken;

	trace_ebs_cq_doorbell(cqid, head);
	if (head >= cq->size) {
		doorbell_error(c, EBS_RULE_CQ_DOORBELL_RANGE,
			       NVME_EVENT_INVALID_DOORBELL_VALUE, head);
		return;
	}
	taken = head >= cq->head ? head - cq->head : head + cq->size - cq->head;
	if (taken > used_entries(cq)) {
		doorbell_error(c, EBS_RULE_CQ_DOORBELL_PASSED_TAIL,
			       NVME_EVENT_INVALID_DOORBELL_VALUE, head);
		return;
	}
	cq->head = head;
	ebs_interrupt_update_pin(c);
	ebs_event_pump(c);
	ebs_kick(c);
}

void ebs_doorbell_write(struct ebs_controller *c, uint64_t offset,
			uint32_t value)
{
	uint64_t number = (offset - NVME_REG_DOORBELLS) / 4;
	uint64_t qid = number / 2;
	bool is_cq = number % 2;

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
	/* The upper half is reserved, 3.1.24. */
	if (is_cq)
		cq_doorbell(c, (uint16_t)qid, value & 0xffff);
	else
		sq_doorbell(c, (uint16_t)qid, value & 0xffff);
}

void ebs_kick(struct ebs_controller *c)
{
	bool is_stopping = ebs_is_quiescing(c) || c->state->is_disabling;

	if (!is_stopping)
		rt_loop_post(c->fn->loop, &c->turn->task);
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
	struct ebs_sq_state *sq = &r->c->state->sq[r->sqid];

	sq->head = (r->fetch_slot + 1) % sq->size;
	trace_ebs_command_begin(r->sqid, le16_get(r->cmd.cid), r->cmd.opcode,
				le32_get(r->cmd.nsid));
	if (!ebs_request_goes_on(r))
		return;
	if (r->sqid)
		ebs_io_begin(r);
	else
		ebs_admin_begin(r);
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

static bool can_fetch(const struct ebs_controller *c, unsigned int sqid)
{
	const struct ebs_sq_state *sq = &c->state->sq[sqid];

	return sq->size && c->sq[sqid].fetch != sq->tail &&
	       !c->sq[sqid].deleter && ebs_cq_has_room(c, sq->cqid);
}

static bool fetch(struct ebs_controller *c, uint16_t sqid)
{
	struct ebs_request *r;

	if (!ebs_controller_is_working(c) || !can_fetch(c, sqid))
		return false;
	r = ebs_request_take(c, sqid);
	if (!r)
		return false;
	r->fetch_slot = c->sq[sqid].fetch;
	c->sq[sqid].fetch = (r->fetch_slot + 1) % c->state->sq[sqid].size;
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

/* A few commands of the next queue that has some.  Returns how many. */
static unsigned int fetch_burst(struct ebs_controller *c)
{
	unsigned int count = 0, limit = burst_size(c);
	uint16_t sqid;

	for (unsigned int i = 0; i <= c->pairs && !count; i++) {
		sqid = (uint16_t)c->turn_queue;
		c->turn_queue = (c->turn_queue + 1) % (c->pairs + 1u);
		while (count < limit && fetch(c, sqid))
			count++;
	}
	return count;
}

static void take_turn(struct ebs_controller *c)
{
	unsigned int done = 0, count;

	ebs_buffers_serve(c);
	ebs_event_pump(c);
	do {
		count = fetch_burst(c);
		done += count;
	} while (count && done < EBS_TURN_COMMANDS);
	if (count)
		ebs_kick(c);
}

static void run_turn(struct rt_task *task)
{
	struct ebs_turn *turn = rt_container_of(task, struct ebs_turn, task);

	if (turn->c)
		take_turn(turn->c);
	else
		free(turn);
}

int ebs_turn_create(struct ebs_controller *c)
{
	c->turn = calloc(1, sizeof *c->turn);
	if (!c->turn)
		return -ENOMEM;
	c->turn->task.run = run_turn;
	c->turn->c = c;
	return 0;
}

void ebs_turn_destroy(struct ebs_controller *c)
{
	if (!c->turn)
		return;
	c->turn->c = NULL;
	if (!atomic_load(&c->turn->task.is_posted))
		free(c->turn);
	c->turn = NULL;
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

void ebs_cq_publish(struct ebs_request *r)
{
	struct ebs_controller *c = r->c;
	uint64_t address = c->state->cq[r->cqid].base +
			   (uint64_t)r->cqe_slot * sizeof r->cqe;
	int status;

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
	c->sq[sqid] = (struct ebs_sq){ 0 };
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
	c->cq[cqid] = (struct ebs_cq){ 0 };
}
