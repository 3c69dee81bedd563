/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Completions of received buffers.
 *
 * Those of a burst are written as the frames are, but for those of each queue
 * in the cache line of the first: the driver looks there all the time, and sees
 * none of them before that one.  So no line is taken away from us while we
 * write it.
 */
#include "ena/queue.h"
#include "ena/trace.h"

#define BATCH_MAX 64u /* completions that wait for each other */

static inline void store_entry(struct ena_nic *nic, uint16_t n, uint16_t number,
			       const struct ena_rx_cdesc_words *entry)
{
	const struct ena_cq_state *cq = &nic->state->cq[n];
	bool is_long = cq->entry_words > 4;
	uint8_t *at = nic->queues[n].entries +
		      ((size_t)(number & (cq->depth - 1)) << (is_long ? 5 : 4));

	if (is_long) {
		ena_store_word(at + 24, entry->word[3]);
		ena_store_word(at + 16, entry->word[2]);
	}
	ena_store_word(at + 8, entry->word[1]);
	ena_store_first_word(at, entry->word[0]);
}

static void publish(struct ena_nic *nic, uint16_t n)
{
	struct ena_rx_batch *batch = &nic->path->batches[n];
	uint16_t posted = nic->state->cq[n].posted;
	uint16_t first = (uint16_t)(posted - batch->count);
	unsigned int held =
		batch->count < batch->near ? batch->count : batch->near;

	if (!batch->count)
		return;
	for (unsigned int i = held; i--;)
		store_entry(nic, n, (uint16_t)(first + i), &batch->first[i]);
	trace_ena_rx(n, batch->count, posted);
	batch->count = 0;
}

/* Entries from the next one on that are in its cache line. */
static uint16_t count_near(const struct ena_cq_state *cq)
{
	unsigned int entries = cq->entry_words > 4 ? 2 : 4; /* in a line */

	return (uint16_t)(entries - cq->posted % entries);
}

static inline void post(struct ena_nic *nic, uint16_t n,
			struct ena_rx_cdesc_words *entry)
{
	struct ena_rx_batch *batch = &nic->path->batches[n];
	struct ena_cq_state *cq = &nic->state->cq[n];

	entry->word[0] = bits_put(ENA_ETH_IO_RX_CDESC_PHASE, entry->word[0],
				  ena_phase_of(cq->posted, cq->depth));
	if (!batch->count)
		batch->near = count_near(cq);
	if (batch->count < batch->near)
		batch->first[batch->count] = *entry;
	else
		store_entry(nic, n, cq->posted, entry);
	nic->path->rx_posted |= BIT(n);
	cq->posted++;
	if (++batch->count >= BATCH_MAX || batch->count >= cq->depth)
		publish(nic, n);
}

void ena_rx_publish(struct ena_nic *nic)
{
	for (uint64_t left = nic->path->rx_posted; left; left &= left - 1) {
		uint16_t n = (uint16_t)__builtin_ctzll(left);

		publish(nic, n);
		ena_interrupt_posted(nic, n, true);
	}
	nic->path->rx_posted = 0;
}

static void spoil(struct ena_nic *nic, struct ena_rx_cdesc_words *entry)
{
	uint64_t value;

	if (ena_fault(nic, ena_fault_rx_req_id, &value))
		entry->word[0] =
			(entry->word[0] & BITS(47, 0)) | (uint64_t)value << 48;
	/* For drivers that do not look at those bits, a packet without an end:
	 * the next one begins in its midst. */
	if (ena_fault(nic, ena_fault_rx_malformed, &value)) {
		entry->word[0] |=
			ENA_ETH_IO_RX_CDESC_MBZ7 | ENA_ETH_IO_RX_CDESC_MBZ17;
		entry->word[0] &= ~ENA_ETH_IO_RX_CDESC_LAST;
	}
}

void ena_rx_complete(struct ena_nic *nic, struct ena_steered to,
		     uint64_t status, uint32_t size,
		     const struct ena_rx_buffer *buffer)
{
	struct ena_rx_cdesc_words entry;

	entry.word[0] = status | (uint64_t)(uint16_t)size << 32 |
			(uint64_t)buffer->req_id << 48;
	entry.word[1] = to.hash | (uint64_t)to.queue << 32;
	if (nic->state->cq[to.queue].entry_words > 4) {
		entry.word[2] = buffer->iova;
		entry.word[3] = ena_phc_now_ns(nic);
	}
	if (nic->fn->faults.rule_count)
		spoil(nic, &entry);
	post(nic, to.queue, &entry);
}
