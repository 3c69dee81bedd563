/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commands that make and delete I/O queues, NVMe Base 1.4, 5.3 to 5.6.
 * Deleting a submission queue waits until its commands are out of the guest's
 * memory; those that wait for us end at once.
 */
#include "ebs-nvme/controller.h"
#include "ebs-nvme/trace.h"
#include "pcie-model/function.h"

static uint16_t field16(le32 dword, uint64_t field)
{
	return (uint16_t)bits_get(field, le32_get(dword));
}

/* What both kinds of queue demand. */
static nvme_status check_new_queue(struct ebs_request *r, bool is_there,
				   unsigned int entry_size, unsigned int wanted)
{
	struct ebs_controller *c = r->c;
	uint16_t qid = field16(r->cmd.cdw10, NVME_QUEUE_QID);
	uint16_t size_0s = field16(r->cmd.cdw10, NVME_QUEUE_SIZE_0S);

	if (!qid || qid > c->pairs || is_there)
		return ebs_guest_error(r, EBS_RULE_QUEUE_ID, NVME_INVALID_QID,
				       EBS_BYTE_CDW10, 0);
	if (!size_0s || size_0s >= c->entries || entry_size != wanted)
		return ebs_guest_error(r, EBS_RULE_QUEUE_SIZE,
				       NVME_INVALID_QUEUE_SIZE,
				       EBS_BYTE_CDW10 + 2, 0);
	if (!field16(r->cmd.cdw11, NVME_QUEUE_PC))
		return ebs_guest_error(r, EBS_RULE_QUEUE_NOT_CONTIGUOUS,
				       NVME_INVALID_FIELD, EBS_BYTE_CDW11, 0);
	if (le64_get(r->cmd.prp1) & (NVME_PAGE_BYTES - 1))
		return ebs_guest_error(r, EBS_RULE_PRP_OFFSET,
				       NVME_INVALID_PRP_OFFSET, EBS_BYTE_PRP1,
				       0);
	return NVME_SUCCESS;
}

nvme_status ebs_admin_create_cq(struct ebs_request *r)
{
	struct ebs_controller *c = r->c;
	uint64_t cc = ebs_register_get(c, NVME_REG_CC);
	uint16_t qid = field16(r->cmd.cdw10, NVME_QUEUE_QID);
	uint16_t vector = field16(r->cmd.cdw11, NVME_CQ_IV);
	nvme_status status =
		check_new_queue(r, qid < EBS_QUEUES && c->state->cq[qid].size,
				(unsigned int)bits_get(NVME_CC_IOCQES, cc), 4);

	if (NVME_IS_ERROR(status))
		return status;
	/* Some drivers turn messages on later, or never: that harms nobody. */
	if (vector && pcie_interrupt_mode(c->fn) == PCIE_INTX)
		rt_rule_broken(&c->fn->rules, EBS_RULE_QUEUE_VECTOR_EARLY,
			       vector);
	if (vector >= c->profile->msix_vectors)
		return ebs_guest_error(r, EBS_RULE_QUEUE_VECTOR,
				       NVME_INVALID_VECTOR, EBS_BYTE_CDW11 + 2,
				       0);
	ebs_cq_open(c, qid, le64_get(r->cmd.prp1),
		    field16(r->cmd.cdw10, NVME_QUEUE_SIZE_0S) + 1u, vector,
		    field16(r->cmd.cdw11, NVME_CQ_IEN));
	c->state->has_made_queue = true;
	return NVME_SUCCESS;
}

nvme_status ebs_admin_create_sq(struct ebs_request *r)
{
	struct ebs_controller *c = r->c;
	uint64_t cc = ebs_register_get(c, NVME_REG_CC);
	uint16_t qid = field16(r->cmd.cdw10, NVME_QUEUE_QID);
	uint16_t cqid = field16(r->cmd.cdw11, NVME_SQ_CQID);
	nvme_status status;

	if (!cqid || cqid > c->pairs)
		return ebs_guest_error(r, EBS_RULE_QUEUE_ID, NVME_INVALID_QID,
				       EBS_BYTE_CDW11 + 2, 0);
	if (!c->state->cq[cqid].size)
		return ebs_guest_error(r, EBS_RULE_QUEUE_ID, NVME_INVALID_CQ,
				       EBS_BYTE_CDW11 + 2, 0);
	status = check_new_queue(r, qid < EBS_QUEUES && c->state->sq[qid].size,
				 (unsigned int)bits_get(NVME_CC_IOSQES, cc), 6);
	if (NVME_IS_ERROR(status))
		return status;
	ebs_sq_open(c, qid, le64_get(r->cmd.prp1),
		    field16(r->cmd.cdw10, NVME_QUEUE_SIZE_0S) + 1u, cqid);
	c->state->has_made_queue = true;
	return NVME_SUCCESS;
}

nvme_status ebs_admin_delete_cq(struct ebs_request *r)
{
	struct ebs_controller *c = r->c;
	uint16_t qid = field16(r->cmd.cdw10, NVME_QUEUE_QID);

	if (!qid || qid >= EBS_QUEUES || !c->state->cq[qid].size)
		return ebs_guest_error(r, EBS_RULE_QUEUE_ID, NVME_INVALID_QID,
				       EBS_BYTE_CDW10, 0);
	for (unsigned int i = 1; i < EBS_QUEUES; i++)
		if (c->state->sq[i].size && c->state->sq[i].cqid == qid)
			return ebs_guest_error(r, EBS_RULE_QUEUE_ORDER,
					       NVME_INVALID_QUEUE_DELETION,
					       EBS_BYTE_CDW10, 0);
	trace_ebs_queue_deleted(1, qid);
	ebs_interrupt_forget(c, qid);
	c->state->cq[qid] = (struct ebs_cq_state){ 0 };
	ebs_door_clear(c, qid, true);
	ebs_interrupt_update_pin(c);
	return NVME_SUCCESS;
}

void ebs_sq_delete_now(struct ebs_controller *c, uint16_t sqid)
{
	struct ebs_request *deleter = c->sq[sqid].deleter;

	c->sq[sqid].deleter = NULL;
	if (ebs_is_quiescing(c)) { /* its commands are recorded, not ended */
		ebs_request_cancelled(deleter);
		return;
	}
	trace_ebs_queue_deleted(0, sqid);
	ebs_hold(c); /* the last of its commands may have ended by itself */
	c->state->sq[sqid] = (struct ebs_sq_state){ 0 };
	ebs_door_clear(c, sqid, false);
	ebs_let(c);
	ebs_request_complete(deleter, NVME_SUCCESS);
}

nvme_status ebs_admin_delete_sq(struct ebs_request *r)
{
	struct ebs_controller *c = r->c;
	uint16_t qid = field16(r->cmd.cdw10, NVME_QUEUE_QID);

	if (!qid || qid >= EBS_QUEUES || !c->state->sq[qid].size ||
	    c->sq[qid].deleter)
		return ebs_guest_error(r, EBS_RULE_QUEUE_ID, NVME_INVALID_QID,
				       EBS_BYTE_CDW10, 0);
	c->sq[qid].deleter = r;
	r->stage = EBS_STAGE_PARKED;
	if (!c->sq[qid].in_flight)
		ebs_sq_delete_now(c, qid);
	else
		ebs_requests_release_queue(c, qid);
	return EBS_PENDING;
}
