/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver of the network adapter: making and ending queues.  One thread.
 */
#include <errno.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "host-driver/ena_host.h"
#include "host-driver/ena_private.h"

int host_ena_create_cq(struct host_ena *e, uint32_t depth, uint8_t entry_words,
		       int vector, struct host_ena_cq *cq)
{
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_CREATE_CQ };
	struct ena_admin_acq_entry answer = { 0 };
	struct ena_admin_create_cq_resp resp;
	struct ena_admin_create_cq cmd;
	uint32_t size = depth * entry_words * 4u;
	int rc;

	if (cq->iova == 0) {
		cq->iova = host_ena_alloc(e, size, HOST_ENA_PAGE);
		/* Whoever had it before: phases begin at 0. */
		if (cq->iova)
			memset(host_ena_at(e, cq->iova), 0, size);
	}
	if (cq->iova == 0)
		return -ENOMEM;
	cmd = (struct ena_admin_create_cq){
		.caps_1 = vector < 0 ? 0 : (uint8_t)ENA_ADMIN_CQ_INTERRUPT,
		.caps_2 = entry_words,
		.depth = le16_put((uint16_t)depth),
		.msix_vector = le32_put(vector < 0 ? ENA_ADMIN_NO_VECTOR
						   : (uint32_t)vector),
		.base_lo = le32_put((uint32_t)cq->iova),
		.base_hi = le16_put((uint16_t)(cq->iova >> 32)),
	};
	memcpy(entry.body, &cmd, sizeof cmd);
	rc = host_ena_call(e, &entry, &answer);
	memcpy(&resp, answer.body, sizeof resp);
	cq->depth = depth;
	cq->entry_words = entry_words;
	cq->index = le16_get(resp.cq_idx);
	cq->unmask_offset = le32_get(resp.interrupt_unmask_register_offset);
	cq->numa_offset = le32_get(resp.numa_node_register_offset);
	cq->head_offset = le32_get(resp.head_db_register_offset);
	if (rc == 0 && le16_get(resp.actual_depth) != (uint16_t)depth)
		return host_protest(e, "depth %u was asked for, %u is made",
				    depth, le16_get(resp.actual_depth));
	return rc;
}

static void read_sq(struct host_ena_sq *sq,
		    const struct ena_admin_acq_entry *answer)
{
	struct ena_admin_create_sq_resp resp;

	memcpy(&resp, answer->body, sizeof resp);
	sq->index = le16_get(resp.sq_idx);
	sq->doorbell_offset = le32_get(resp.doorbell_offset);
	sq->llq_offset = le32_get(resp.llq_descriptors_offset);
}

int host_ena_create_sq(struct host_ena *e, uint8_t direction, bool is_llq,
		       uint32_t depth, uint16_t cq_index,
		       struct host_ena_sq *sq)
{
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_CREATE_SQ };
	struct ena_admin_acq_entry answer = { 0 };
	struct ena_admin_create_sq cmd;
	int rc;

	if (sq->iova == 0 && !is_llq)
		sq->iova = host_ena_alloc(e, depth * 16u, HOST_ENA_PAGE);
	if (sq->iova == 0 && !is_llq)
		return -ENOMEM;
	cmd = (struct ena_admin_create_sq){
		.identity = (uint8_t)(direction << 5),
		.caps_2 = is_llq ? ENA_ADMIN_PLACEMENT_DEVICE
				 : ENA_ADMIN_PLACEMENT_HOST,
		.caps_3 = (uint8_t)ENA_ADMIN_SQ_CONTIGUOUS,
		.cq_idx = le16_put(cq_index),
		.depth = le16_put((uint16_t)depth),
		.base_lo = le32_put((uint32_t)sq->iova),
		.base_hi = le16_put((uint16_t)(sq->iova >> 32)),
	};
	memcpy(entry.body, &cmd, sizeof cmd);
	rc = host_ena_call(e, &entry, &answer);
	sq->depth = depth;
	sq->direction = direction;
	if (rc == 0)
		read_sq(sq, &answer);
	return rc;
}

int host_ena_destroy_sq(struct host_ena *e, const struct host_ena_sq *sq)
{
	const struct ena_admin_destroy_sq cmd = {
		.sq_idx = le16_put(sq->index),
		.identity = (uint8_t)(sq->direction << 5),
	};
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_DESTROY_SQ };

	memcpy(entry.body, &cmd, sizeof cmd);
	return host_ena_call(e, &entry, NULL);
}

int host_ena_destroy_cq(struct host_ena *e, const struct host_ena_cq *cq)
{
	const struct ena_admin_destroy_cq cmd = {
		.cq_idx = le16_put(cq->index),
	};
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_DESTROY_CQ };

	memcpy(entry.body, &cmd, sizeof cmd);
	return host_ena_call(e, &entry, NULL);
}

int host_ena_unmask(struct host_ena *e, const struct host_ena_cq *cq,
		    uint32_t rx_delay, uint32_t tx_delay)
{
	return host_write32(e->fn, ENA_REGS_BAR, cq->unmask_offset,
			    host_ena_unmask_word(rx_delay, tx_delay));
}
