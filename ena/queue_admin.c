/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making and ending I/O queues.  Submission queue n is bound to completion
 * queue n, so that what the driver puts into the RSS table, of which drivers
 * have two opinions, is right in any case.
 *
 * Queues in BAR 2 lie one behind the other in pages, the first that fits.
 */
#include <string.h>

#include "ena/control.h"
#include "ena/trace.h"

#define DESC_BYTES  16u
#define QUEUE_ALIGN 8u
#define LLQ_ALIGN   4096u

static bool is_power_of_two(uint32_t n)
{
	return n && !(n & (n - 1));
}

static uint32_t queue_count(const struct ena_nic *nic)
{
	return 2u * nic->pairs;
}

static ena_status refuse(struct ena_admin_command *cmd, enum ena_rule rule,
			 uint64_t value)
{
	return ena_refuse(cmd->nic, rule, ENA_ADMIN_ILLEGAL_PARAMETER, value);
}

static bool is_out_of_memory(struct ena_nic *nic, uint32_t depth)
{
	uint64_t most = 0;

	return rt_fault(&nic->fn->faults, ena_fault_create_memory, &most) &&
	       depth > most;
}

static bool is_reachable(struct ena_nic *nic, uint64_t base, uint64_t bytes,
			 bool is_write)
{
	if (base % QUEUE_ALIGN) {
		rt_rule_broken(&nic->fn->rules, ENA_RULE_QUEUE_MEMORY, base);
		return false;
	}
	return ena_guest_memory(nic, base, bytes, is_write,
				ENA_RULE_QUEUE_MEMORY);
}

/* ---- completion queues ---- */

static ena_status check_cq(struct ena_admin_command *cmd,
			   const struct ena_cq_state *cq)
{
	struct ena_nic *nic = cmd->nic;
	const struct ena_profile *p = nic->profile;
	uint32_t most = p->tx_depth > p->rx_depth ? p->tx_depth : p->rx_depth;

	if (cq->entry_words != 2 && cq->entry_words != 4 &&
	    cq->entry_words != 8)
		return refuse(cmd, ENA_RULE_CQ_ENTRY_SIZE, cq->entry_words);
	if (!is_power_of_two(cq->depth) || cq->depth < 2 || cq->depth > most)
		return refuse(cmd, ENA_RULE_QUEUE_DEPTH, cq->depth);
	if (cq->has_interrupt && cq->vector > nic->pairs)
		return refuse(cmd, ENA_RULE_CQ_VECTOR, cq->vector);
	if (!is_reachable(nic, cq->base,
			  (uint64_t)cq->depth * cq->entry_words * 4, true))
		return (ena_status){ ENA_ADMIN_ILLEGAL_PARAMETER,
				     ENA_RULE_QUEUE_MEMORY + 1 };
	return ENA_OK;
}

static struct ena_cq_state read_cq(const struct ena_admin_create_cq *request)
{
	uint32_t vector = le32_get(request->msix_vector);
	bool has_interrupt =
		bits_get(ENA_ADMIN_CQ_INTERRUPT, request->caps_1) &&
		vector != ENA_ADMIN_NO_VECTOR;

	return (struct ena_cq_state){
		.base = ena_address(le32_get(request->base_lo),
				    le16_get(request->base_hi)),
		.depth = le16_get(request->depth),
		.entry_words = (uint8_t)bits_get(ENA_ADMIN_CQ_ENTRY_WORDS,
						 request->caps_2),
		.has_interrupt = has_interrupt,
		.vector = has_interrupt
				  ? (uint16_t)(vector > UINT16_MAX ? UINT16_MAX
								   : vector)
				  : 0,
	};
}

static bool has_vector(const struct ena_state *state, uint16_t vector)
{
	for (uint16_t i = 0; i < ENA_QUEUES; i++)
		if (state->cq[i].depth && state->cq[i].has_interrupt &&
		    state->cq[i].vector == vector)
			return true;
	return false;
}

static uint16_t find_free(const struct ena_nic *nic)
{
	for (uint16_t i = 0; i < queue_count(nic); i++)
		if (!nic->state->cq[i].depth)
			return i;
	return ENA_NO_QUEUE;
}

static ena_status open_cq(struct ena_admin_command *cmd,
			  const struct ena_cq_state *cq, uint16_t n)
{
	struct ena_state *state = cmd->nic->state;
	struct ena_admin_create_cq_resp answer = {
		.cq_idx = le16_put(n),
		.actual_depth = le16_put((uint16_t)cq->depth),
		.interrupt_unmask_register_offset =
			le32_put(ENA_UNMASKS + 4u * n),
	};

	/* A vector begins masked, when nobody has it yet. */
	if (cq->has_interrupt && !has_vector(state, cq->vector))
		state->vectors[cq->vector] = (struct ena_vector_state){ 0 };
	state->cq[n] = *cq;
	if (!ena_path_open_cq(cmd->nic, n)) {
		state->cq[n] = (struct ena_cq_state){ 0 };
		return (ena_status){ ENA_ADMIN_RESOURCE_ALLOCATION_FAILURE, 0 };
	}
	trace_ena_cq_created(n, cq->depth, cq->base,
			     cq->has_interrupt ? cq->vector : UINT32_MAX);
	return ena_answer(cmd, &answer, sizeof answer);
}

ena_status ena_create_cq(struct ena_admin_command *cmd)
{
	struct ena_cq_state cq = read_cq((const void *)cmd->in.body);
	uint16_t n = find_free(cmd->nic);
	ena_status status = check_cq(cmd, &cq);

	if (status.code)
		return status;
	if (n == ENA_NO_QUEUE)
		return ena_refuse(cmd->nic, ENA_RULE_QUEUE_COUNT,
				  ENA_ADMIN_RESOURCE_ALLOCATION_FAILURE,
				  queue_count(cmd->nic));
	if (is_out_of_memory(cmd->nic, cq.depth))
		return (ena_status){ ENA_ADMIN_RESOURCE_ALLOCATION_FAILURE, 0 };
	return open_cq(cmd, &cq, n);
}

ena_status ena_destroy_cq(struct ena_admin_command *cmd)
{
	const struct ena_admin_destroy_cq *request = (const void *)cmd->in.body;
	uint16_t n = le16_get(request->cq_idx);
	struct ena_state *state = cmd->nic->state;

	if (n >= ENA_QUEUES || !state->cq[n].depth)
		return refuse(cmd, ENA_RULE_QUEUE_ID, n);
	if (state->cq[n].is_bound)
		return refuse(cmd, ENA_RULE_CQ_BUSY, n);
	ena_path_close_cq(cmd->nic, n);
	state->cq[n] = (struct ena_cq_state){ 0 };
	trace_ena_cq_destroyed(n);
	return ENA_OK;
}

/* ---- submission queues ---- */

static bool is_tx(const struct ena_sq_state *sq)
{
	return sq->direction == ENA_ADMIN_SQ_DIRECTION_TX;
}

/* What is asked for, and whether there is such a thing. */
static ena_status check_kind(struct ena_admin_command *cmd,
			     const struct ena_admin_create_sq *request,
			     const struct ena_sq_state *sq)
{
	const struct ena_nic *nic = cmd->nic;
	uint64_t placement = bits_get(ENA_ADMIN_SQ_PLACEMENT, request->caps_2);

	if ((!is_tx(sq) && sq->direction != ENA_ADMIN_SQ_DIRECTION_RX) ||
	    (placement != ENA_ADMIN_PLACEMENT_HOST && !sq->is_llq) ||
	    (sq->is_llq && !is_tx(sq)) ||
	    !bits_get(ENA_ADMIN_SQ_CONTIGUOUS, request->caps_3))
		return refuse(cmd, ENA_RULE_SQ_KIND,
			      le_load(&request->identity, 4));
	if (sq->is_llq && !nic->state->llq.is_set)
		return refuse(cmd, ENA_RULE_SQ_LLQ, 0);
	/* As firmware says it where queues in host memory have gone. */
	if (is_tx(sq) && !sq->is_llq && nic->profile->must_llq &&
	    nic->llq_bytes)
		return ena_refuse(cmd->nic, ENA_RULE_SQ_KIND,
				  ENA_ADMIN_UNKNOWN_ERROR, placement);
	return ENA_OK;
}

static uint32_t most_entries(const struct ena_nic *nic,
			     const struct ena_sq_state *sq)
{
	if (sq->is_llq)
		return ena_llq_depth(nic, sq->llq_entry_bytes);
	return is_tx(sq) ? nic->profile->tx_depth : nic->profile->rx_depth;
}

static ena_status check_cq_of(struct ena_admin_command *cmd,
			      const struct ena_sq_state *sq, uint16_t n)
{
	const struct ena_cq_state *cq;

	if (n >= ENA_QUEUES)
		return refuse(cmd, ENA_RULE_SQ_COMPLETION_QUEUE, n);
	cq = &cmd->nic->state->cq[n];
	if (!cq->depth || cq->is_bound || cq->depth < sq->depth)
		return refuse(cmd, ENA_RULE_SQ_COMPLETION_QUEUE, n);
	if (cq->entry_words == (is_tx(sq) ? 8 : 2))
		return refuse(cmd, ENA_RULE_CQ_ENTRY_SIZE, cq->entry_words);
	return ENA_OK;
}

static bool overlaps_llq(const struct ena_state *state, uint64_t at,
			 uint64_t bytes, uint64_t *end)
{
	for (uint16_t i = 0; i < ENA_QUEUES; i++) {
		const struct ena_sq_state *sq = &state->sq[i];

		*end = sq->base + (uint64_t)sq->depth * sq->llq_entry_bytes;
		if (sq->depth && sq->is_llq && at < *end &&
		    sq->base < at + bytes)
			return true;
	}
	return false;
}

static bool place_llq(const struct ena_nic *nic, struct ena_sq_state *sq)
{
	uint64_t bytes = (uint64_t)sq->depth * sq->llq_entry_bytes;
	uint64_t at = 0, end;

	while (at + bytes <= nic->llq_bytes &&
	       overlaps_llq(nic->state, at, bytes, &end))
		at = (end + LLQ_ALIGN - 1) / LLQ_ALIGN * LLQ_ALIGN;
	sq->base = at;
	return at + bytes <= nic->llq_bytes;
}

/* Old phase bits must not be there; the rest goes with them. */
static void clear_llq(const struct ena_nic *nic, const struct ena_sq_state *sq)
{
	volatile uint8_t *bytes = pcie_bar_bytes(nic->fn, ENA_MEM_BAR);

	memset((uint8_t *)bytes + sq->base, 0,
	       (size_t)sq->depth * sq->llq_entry_bytes);
}

static ena_status place(struct ena_admin_command *cmd, struct ena_sq_state *sq)
{
	struct ena_nic *nic = cmd->nic;
	uint64_t bytes = (uint64_t)sq->depth * DESC_BYTES;

	if (sq->is_llq) {
		if (!place_llq(nic, sq))
			return ena_refuse(nic, ENA_RULE_QUEUE_COUNT,
					  ENA_ADMIN_RESOURCE_ALLOCATION_FAILURE,
					  sq->depth);
		clear_llq(nic, sq);
	} else if (!is_reachable(nic, sq->base, bytes, false)) {
		return (ena_status){ ENA_ADMIN_ILLEGAL_PARAMETER,
				     ENA_RULE_QUEUE_MEMORY + 1 };
	}
	return ENA_OK;
}

static bool has_ordinal(const struct ena_state *state, uint8_t direction,
			uint16_t ordinal)
{
	for (uint16_t i = 0; i < ENA_QUEUES; i++)
		if (state->sq[i].depth && state->sq[i].direction == direction &&
		    state->sq[i].ordinal == ordinal)
			return true;
	return false;
}

/* The driver's own numbers: drivers make their rings in that order. */
static uint16_t next_ordinal(const struct ena_state *state, uint8_t direction)
{
	uint16_t ordinal = 0;

	while (has_ordinal(state, direction, ordinal))
		ordinal++;
	return ordinal;
}

static struct ena_sq_state read_sq(const struct ena_nic *nic,
				   const struct ena_admin_create_sq *request)
{
	const struct ena_llq_config *llq = &nic->state->llq;
	struct ena_sq_state sq = {
		.base = ena_address(le32_get(request->base_lo),
				    le16_get(request->base_hi)),
		.depth = le16_get(request->depth),
		.direction = (uint8_t)bits_get(ENA_ADMIN_SQ_DIRECTION,
					       request->identity),
		.is_llq = bits_get(ENA_ADMIN_SQ_PLACEMENT, request->caps_2) ==
			  ENA_ADMIN_PLACEMENT_DEVICE,
	};

	if (sq.is_llq) {
		sq.llq_entry_bytes = llq->entry_bytes;
		sq.llq_descs_before_header = llq->descs_before_header;
		sq.llq_is_single = llq->is_single;
	}
	return sq;
}

static ena_status check_sq(struct ena_admin_command *cmd,
			   const struct ena_admin_create_sq *request,
			   const struct ena_sq_state *sq, uint16_t n)
{
	ena_status status = check_kind(cmd, request, sq);

	if (status.code)
		return status;
	if (!is_power_of_two(sq->depth) || sq->depth < 2 ||
	    sq->depth > most_entries(cmd->nic, sq))
		return refuse(cmd, ENA_RULE_QUEUE_DEPTH, sq->depth);
	status = check_cq_of(cmd, sq, n);
	if (!status.code && is_out_of_memory(cmd->nic, sq->depth))
		status.code = ENA_ADMIN_RESOURCE_ALLOCATION_FAILURE;
	return status;
}

static uint32_t count_of(const struct ena_state *state, uint8_t direction)
{
	uint32_t count = 0;

	for (uint16_t i = 0; i < ENA_QUEUES; i++)
		count += state->sq[i].depth &&
			 state->sq[i].direction == direction;
	return count;
}

static ena_status open_sq(struct ena_admin_command *cmd,
			  const struct ena_sq_state *sq, uint16_t n)
{
	struct ena_state *state = cmd->nic->state;
	struct ena_admin_create_sq_resp answer = {
		.sq_idx = le16_put(n),
		.doorbell_offset = le32_put(ENA_DOORBELLS + 4u * n),
		.llq_descriptors_offset =
			le32_put(sq->is_llq ? (uint32_t)sq->base : 0),
	};

	state->sq[n] = *sq;
	if (!ena_path_open_sq(cmd->nic, n)) {
		state->sq[n] = (struct ena_sq_state){ 0 };
		return (ena_status){ ENA_ADMIN_RESOURCE_ALLOCATION_FAILURE, 0 };
	}
	state->cq[n].is_bound = true;
	trace_ena_sq_created(n, sq->direction, sq->depth, sq->base, sq->is_llq);
	return ena_answer(cmd, &answer, sizeof answer);
}

ena_status ena_create_sq(struct ena_admin_command *cmd)
{
	const struct ena_admin_create_sq *request = (const void *)cmd->in.body;
	struct ena_sq_state sq = read_sq(cmd->nic, request);
	uint16_t n = le16_get(request->cq_idx);
	ena_status status = check_sq(cmd, request, &sq, n);

	if (status.code)
		return status;
	if (count_of(cmd->nic->state, sq.direction) >= cmd->nic->pairs)
		return ena_refuse(cmd->nic, ENA_RULE_QUEUE_COUNT,
				  ENA_ADMIN_RESOURCE_ALLOCATION_FAILURE,
				  cmd->nic->pairs);
	status = place(cmd, &sq);
	if (status.code)
		return status;
	sq.ordinal = next_ordinal(cmd->nic->state, sq.direction);
	return open_sq(cmd, &sq, n);
}

ena_status ena_destroy_sq(struct ena_admin_command *cmd)
{
	const struct ena_admin_destroy_sq *request = (const void *)cmd->in.body;
	uint16_t n = le16_get(request->sq_idx);
	struct ena_state *state = cmd->nic->state;

	if (n >= ENA_QUEUES || !state->sq[n].depth ||
	    state->sq[n].direction !=
		    bits_get(ENA_ADMIN_SQ_DIRECTION, request->identity))
		return refuse(cmd, ENA_RULE_QUEUE_ID, n);
	ena_path_close_sq(cmd->nic, n);
	state->sq[n] = (struct ena_sq_state){ 0 };
	state->cq[n].is_bound = false;
	trace_ena_sq_destroyed(n);
	return ENA_OK;
}

/* ---- a restored state ---- */

static bool is_sane_cq(const struct ena_nic *nic, const struct ena_cq_state *cq)
{
	if (!cq->depth)
		return !cq->is_bound;
	return is_power_of_two(cq->depth) && cq->depth <= UINT16_MAX &&
	       (cq->entry_words == 2 || cq->entry_words == 4 ||
		cq->entry_words == 8) &&
	       cq->vector <= nic->pairs && cq->base % QUEUE_ALIGN == 0;
}

static bool is_sane_llq(const struct ena_nic *nic,
			const struct ena_sq_state *sq)
{
	uint32_t size = sq->llq_entry_bytes;
	uint32_t descs = sq->llq_descs_before_header;

	return is_tx(sq) && (size == 128 || size == 192 || size == 256) &&
	       is_power_of_two(descs) && descs <= 8 && descs * 16 < size &&
	       sq->base % LLQ_ALIGN == 0 && sq->base <= nic->llq_bytes &&
	       (uint64_t)sq->depth * size <= nic->llq_bytes - sq->base;
}

static bool is_sane_sq(const struct ena_nic *nic, const struct ena_sq_state *sq,
		       const struct ena_cq_state *cq)
{
	if (!sq->depth)
		return !cq->is_bound;
	return is_power_of_two(sq->depth) && sq->depth <= cq->depth &&
	       cq->is_bound &&
	       (is_tx(sq) || sq->direction == ENA_ADMIN_SQ_DIRECTION_RX) &&
	       cq->entry_words != (is_tx(sq) ? 8 : 2) &&
	       (sq->is_llq ? is_sane_llq(nic, sq)
			   : sq->base % QUEUE_ALIGN == 0);
}

bool ena_queues_are_sane(const struct ena_nic *nic)
{
	const struct ena_state *state = nic->state;
	bool is_good = true;

	for (uint16_t i = 0; i < ENA_QUEUES; i++)
		is_good = is_good && is_sane_cq(nic, &state->cq[i]) &&
			  is_sane_sq(nic, &state->sq[i], &state->cq[i]) &&
			  (i < queue_count(nic) || !state->cq[i].depth);
	return is_good;
}

void ena_queues_open_again(struct ena_nic *nic)
{
	for (uint16_t i = 0; i < ENA_QUEUES; i++)
		if (nic->state->cq[i].depth)
			(void)ena_path_open_cq(nic, i);
	for (uint16_t i = 0; i < ENA_QUEUES; i++)
		if (nic->state->sq[i].depth)
			(void)ena_path_open_sq(nic, i);
}
