/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sending: a burst of packets is walked, made into frames, offered to the port
 * and completed.  Each packet gets one completion, whatever became of it.
 *
 * What the port does not take stays in the queue and is walked again later: the
 * queue's index and metadata go on only behind what was dealt with.  How long a
 * port may keep us waiting is the switch's matter.
 */
#include "ena/queue.h"
#include "ena/trace.h"

/* What a burst adds to the counters. */
struct tally {
	uint64_t packets, bytes, drops, tso;
};

/* ---- Completions ---- */

/* Its first word: req_id, status, flags, sub_qid, sq_head_idx. */
#define FLAGS(bits) ((uint64_t)(bits) << 24)

static void store_completion(struct ena_nic *nic, uint16_t n, uint16_t number,
			     uint64_t word, uint64_t now_ns)
{
	const struct ena_cq_state *cq = &nic->state->cq[n];
	size_t bytes = cq->entry_words * 4u;
	uint8_t *at =
		nic->queues[n].entries + (number & (cq->depth - 1)) * bytes;

	if (bytes > sizeof word)
		ena_store_word(at + sizeof word, now_ns);
	ena_store_first_word(at, word);
}

/* False: a fault keeps it. */
static bool spoil(struct ena_nic *nic, uint64_t *word)
{
	uint64_t value;

	if (ena_fault(nic, ena_fault_tx_stall, &value))
		return false;
	if (ena_fault(nic, ena_fault_tx_req_id, &value))
		*word = (*word & ~UINT64_C(0xffff)) | (uint16_t)value;
	if (ena_fault(nic, ena_fault_tx_malformed, &value))
		*word |= FLAGS(ENA_ETH_IO_TX_CDESC_MBZ);
	return true;
}

/*
 * The packets up to `count`, the last of them first: so the driver, which looks
 * for the first, finds all of them once it finds one.
 */
static void complete(struct ena_nic *nic, uint16_t n, unsigned int count)
{
	const struct ena_tx_burst *burst = &nic->path->burst;
	struct ena_cq_state *cq = &nic->state->cq[n];
	uint64_t words[ENA_BURST];
	unsigned int posted = 0;
	uint64_t now_ns = 0;

	for (unsigned int i = 0; i < count; i++) {
		const struct ena_tx_packet *packet = &burst->packets[i];
		uint16_t number = (uint16_t)(cq->posted + posted);

		if (packet->is_nameless)
			continue;
		words[posted] = packet->req_id |
				FLAGS(ena_phase_of(number, cq->depth)) |
				(uint64_t)n << 32 | (uint64_t)packet->end << 48;
		if (nic->fn->faults.rule_count && !spoil(nic, &words[posted]))
			continue;
		posted++;
	}
	if (cq->entry_words > 2)
		now_ns = ena_phc_now_ns(nic);
	for (unsigned int i = posted; i--;)
		store_completion(nic, n, (uint16_t)(cq->posted + i), words[i],
				 now_ns);
	cq->posted = (uint16_t)(cq->posted + posted);
	if (posted)
		ena_interrupt_posted(nic, n, false);
}

/* ---- Sending ---- */

static void make_frames(struct ena_nic *nic)
{
	struct ena_tx_burst *burst = &nic->path->burst;
	bool is_down = nic->state->is_link_down;
	uint64_t ignored;

	burst->frame_count = 0;
	for (unsigned int i = 0; i < burst->count; i++) {
		struct ena_tx_packet *packet = &burst->packets[i];

		if (!packet->has_frame)
			continue;
		ena_tx_frame(nic, packet, burst->headers[i],
			     &burst->frames[burst->frame_count]);
		packet->has_frame &= !is_down;
		if (ena_fault(nic, ena_fault_tx_drop, &ignored))
			packet->has_frame = false;
		burst->frame_count += packet->has_frame;
	}
}

/* How many packets, from the first, are dealt with when so many frames are. */
static unsigned int packets_of(const struct ena_tx_burst *burst,
			       unsigned int frames)
{
	unsigned int i;

	for (i = 0; i < burst->count; i++) {
		if (burst->packets[i].has_frame && !frames)
			break;
		frames -= burst->packets[i].has_frame;
	}
	return i;
}

static void tally_frame(struct tally *tally, const struct ena_frame *frame)
{
	unsigned int count;

	tally->bytes += frame->length;
	if (!(frame->flags & ENA_FRAME_TSO)) {
		tally->packets++;
		return;
	}
	count = ena_frame_wire_count(frame);
	tally->tso++;
	tally->packets += count;
	tally->bytes +=
		(uint64_t)(count - 1) * (frame->l4_offset + frame->l4_length);
}

static void drop_packet(uint16_t n, struct tally *tally,
			const struct ena_tx_packet *packet)
{
	trace_ena_tx_dropped(n, packet->req_id, packet->length);
	tally->drops++;
}

static void add_up(struct ena_nic *nic, uint16_t n, unsigned int count)
{
	const struct ena_tx_burst *burst = &nic->path->burst;
	struct ena_guest_counters *guest = &nic->state->counters;
	struct tally tally = { 0 };
	unsigned int frame = 0;

	for (unsigned int i = 0; i < count; i++) {
		const struct ena_tx_packet *packet = &burst->packets[i];

		if (packet->has_frame)
			tally_frame(&tally, &burst->frames[frame++]);
		else
			drop_packet(n, &tally, packet);
	}
	rt_counter_add(&nic->counters.tx_packets, tally.packets);
	rt_counter_add(&nic->counters.tx_bytes, tally.bytes);
	rt_counter_add(&guest->tx_packets, tally.packets);
	rt_counter_add(&guest->tx_bytes, tally.bytes);
	if (tally.tso)
		rt_counter_add(&nic->counters.tso_packets, tally.tso);
	if (!tally.drops)
		return;
	rt_counter_add(&nic->counters.tx_drops, tally.drops);
	rt_counter_add(&guest->tx_drops, tally.drops);
}

/* Behind those packets, the queue goes on. */
static void advance(struct ena_nic *nic, uint16_t n, unsigned int count)
{
	const struct ena_tx_packet *last = &nic->path->burst.packets[count - 1];
	struct ena_sq_state *sq = &nic->state->sq[n];

	sq->consumed = last->end;
	sq->meta = last->meta;
	trace_ena_tx(n, (uint16_t)count, sq->consumed);
}

unsigned int ena_tx_burst(struct ena_nic *nic, uint16_t n, uint16_t available)
{
	struct ena_tx_burst *burst = &nic->path->burst;
	unsigned int done, count;

	ena_tx_gather(nic, n, available);
	if (!burst->count)
		return 0;
	make_frames(nic);
	done = burst->frame_count ? ena_port_send(&nic->port, burst->frames,
						  burst->frame_count)
				  : 0;
	count = packets_of(burst, done);
	nic->path->is_blocked = done < burst->frame_count;
	if (!count)
		return 0;
	advance(nic, n, count);
	add_up(nic, n, count);
	complete(nic, n, count);
	return count;
}
