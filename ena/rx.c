/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receiving: frames that the port delivers go to a queue each, as the rules of
 * flow steering or RSS have it, and into as many buffers as they need.
 *
 * Hardware has memory for frames whose driver is a little late.  We leave them
 * where they are, with the sender, and ask for them when there are buffers
 * again.  That holds up others who send by the same port, so it ends after
 * PATIENCE_NS: then frames are dropped and counted, until the driver has given
 * a quarter of the ring.
 */
#include "ena/queue.h"
#include "ena/trace.h"
#include "ena/wire.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"

#define ROOM_PIECES 64u /* of all buffers of a frame */
#define BUFFERS     32u
#define PATIENCE_NS (10 * RT_NS_PER_MS)

/* What is known of a frame before it is written. */
struct arrival {
	const struct ena_frame *frame;
	const struct ena_frame_info *info;
	struct ena_steered to;
	uint32_t count; /* of frames on a wire; 0: it is dropped */
	/* The one buffer that it needs if all before it need one each. */
	uint8_t *bytes; /* NULL: there is none */
	struct ena_rx_buffer buffer;
	uint16_t number;           /* of its descriptor */
	struct ena_frame_info own; /* where the sender did not look */
};

/* The buffers of one wire frame. */
struct slots {
	struct ena_rx_buffer buffers[BUFFERS];
	unsigned int count;
	struct iovec pieces[ROOM_PIECES];
	unsigned int piece_count;
};

struct tally {
	uint64_t packets, bytes, drops, overruns, bad;
};

/* ---- Buffers ---- */

/* Into its place: a copy of fields that were just stored would have to wait. */
static inline void read_buffer(const struct ena_nic *nic, uint16_t n,
			       uint16_t number, struct ena_rx_buffer *out)
{
	const struct ena_sq_state *sq = &nic->state->sq[n];
	struct ena_eth_io_rx_desc desc;
	uint16_t length;

	ena_desc_copy(&desc, nic->queues[n].descs +
				     (number & (sq->depth - 1)) * sizeof desc);
	length = le16_get(desc.length);
	out->iova = (uint64_t)le16_get(desc.buff_addr_hi) << 32 |
		    le32_get(desc.buff_addr_lo);
	out->size = length ? length : 65536;
	out->req_id = le16_get(desc.req_id);
}

/* The doorbell that we know of is enough more often than not. */
static inline bool has_buffers(struct ena_nic *nic, uint16_t n,
			       unsigned int count)
{
	const struct ena_sq_state *sq = &nic->state->sq[n];
	uint16_t known = (uint16_t)(sq->doorbell - sq->consumed);

	if (known >= count && known <= sq->depth && !sq->is_stopped)
		return true;
	return ena_sq_look(nic, n) >= count;
}

static bool add_pieces(struct ena_nic *nic, struct slots *slots,
		       const struct ena_rx_buffer *buffer, uint32_t left)
{
	uint64_t iova = buffer->iova;

	while (left) {
		uint64_t size = left;
		void *bytes = pcie_dma_near(nic->fn, &nic->path->rx_near, iova,
					    &size);

		if (!bytes || slots->piece_count == ROOM_PIECES)
			return false;
		slots->pieces[slots->piece_count++] =
			(struct iovec){ bytes, size };
		iova += size;
		left -= (uint32_t)size;
	}
	return true;
}

enum room { ROOM, NO_BUFFER, TOO_MANY, OUT_OF_REACH };

/* Buffers for so many bytes, from the queue's consumed on. */
static enum room find_room(struct ena_nic *nic, uint16_t n, uint32_t length,
			   struct slots *slots)
{
	const struct ena_sq_state *sq = &nic->state->sq[n];
	enum room room = ROOM;

	slots->count = slots->piece_count = 0;
	while (length) {
		struct ena_rx_buffer *buffer = &slots->buffers[slots->count];
		uint32_t size;

		if (slots->count == nic->profile->packet_descs ||
		    slots->count == BUFFERS)
			return TOO_MANY;
		if (!has_buffers(nic, n, slots->count + 1))
			return NO_BUFFER;
		read_buffer(nic, n, (uint16_t)(sq->consumed + slots->count),
			    buffer);
		size = buffer->size < length ? buffer->size : length;
		slots->count++;
		if (room == ROOM && !add_pieces(nic, slots, buffer, size)) {
			rt_rule_broken(&nic->fn->rules, ENA_RULE_RX_MEMORY,
				       buffer->iova);
			room = OUT_OF_REACH;
		}
		length -= size;
	}
	return room;
}

/* ---- Completions ---- */

/* What a completion says of the frame. */
static uint32_t status_of(const struct arrival *a, struct tally *tally)
{
	const struct ena_frame_info *info = a->info;
	const struct ena_frame *frame = a->frame;
	bool is_done = frame->flags & ENA_FRAME_L4_CSUM_GOOD;
	bool l3_bad = false, l4_bad = false, l4_checked = false;
	uint64_t status;

	if (!(frame->flags &
	      (ENA_FRAME_L3_CSUM | ENA_FRAME_L3_CSUM_GOOD | ENA_FRAME_TSO)))
		l3_bad = !ena_frame_l3_csum_is_good(frame, info);
	if (info->l4_proto && (info->is_whole || is_done)) {
		l4_checked = true;
		l4_bad = !is_done && !ena_frame_l4_csum_is_good(frame, info);
	}
	tally->bad += l3_bad || l4_bad;
	status = bits_put(ENA_ETH_IO_RX_CDESC_L3_PROTO_IDX,
			  ENA_ETH_IO_RX_CDESC_BUFFER, info->l3_proto);
	status = bits_put(ENA_ETH_IO_RX_CDESC_L4_PROTO_IDX, status,
			  info->l4_proto);
	status = bits_put(ENA_ETH_IO_RX_CDESC_SRC_VLAN_CNT, status,
			  info->vlan_count);
	status |= l3_bad ? ENA_ETH_IO_RX_CDESC_L3_CSUM_ERR : 0;
	status |= l4_bad ? ENA_ETH_IO_RX_CDESC_L4_CSUM_ERR : 0;
	status |= l4_checked ? ENA_ETH_IO_RX_CDESC_L4_CSUM_CHECKED : 0;
	status |= info->is_fragment ? ENA_ETH_IO_RX_CDESC_IPV4_FRAG : 0;
	return (uint32_t)status;
}

/* One for each buffer; the first and the last of them say so. */
static void post_buffers(struct ena_nic *nic, const struct arrival *a,
			 uint32_t status, uint32_t length,
			 const struct slots *slots)
{
	for (unsigned int i = 0; i < slots->count; i++) {
		const struct ena_rx_buffer *buffer = &slots->buffers[i];
		uint32_t size = buffer->size < length ? buffer->size : length;
		uint64_t bits = status;

		if (!i)
			bits |= ENA_ETH_IO_RX_CDESC_FIRST;
		if (i + 1 == slots->count)
			bits |= ENA_ETH_IO_RX_CDESC_LAST;
		ena_rx_complete(nic, a->to, bits, size, buffer);
		length -= size;
	}
}

/* ---- Faults that are not in completions ---- */

/* More buffers for a packet than are allowed, if there are so many. */
static void add_useless_buffers(struct ena_nic *nic, uint16_t n,
				struct slots *slots)
{
	const struct ena_sq_state *sq = &nic->state->sq[n];
	unsigned int most = nic->profile->packet_descs + 3u;

	if (most > BUFFERS || !has_buffers(nic, n, most))
		return;
	for (; slots->count < most; slots->count++)
		read_buffer(nic, n, (uint16_t)(sq->consumed + slots->count),
			    &slots->buffers[slots->count]);
}

static void corrupt(const struct slots *slots, uint64_t at)
{
	for (unsigned int i = 0; i < slots->piece_count; i++) {
		const struct iovec *piece = &slots->pieces[i];

		if (at < piece->iov_len) {
			((uint8_t *)piece->iov_base)[at] ^= 0xff;
			return;
		}
		at -= piece->iov_len;
	}
}

static void spoil_frame(struct ena_nic *nic, uint16_t n, struct slots *slots)
{
	uint64_t value;

	if (ena_fault(nic, ena_fault_rx_corrupt, &value))
		corrupt(slots, value);
	if (ena_fault(nic, ena_fault_rx_descs, &value))
		add_useless_buffers(nic, n, slots);
}

/* ---- Frames ---- */

static void drop(struct tally *tally, const struct arrival *a, bool is_overrun)
{
	trace_ena_rx_dropped(a->to.queue, a->frame->length, is_overrun);
	tally->drops++;
	tally->overruns += is_overrun;
}

/* Most frames fit one buffer, and nothing is left to do to them. */
static bool give_simply(struct ena_nic *nic, const struct arrival *a,
			uint32_t status, struct tally *tally)
{
	const struct ena_frame *frame = a->frame;
	struct ena_sq_state *sq = &nic->state->sq[a->to.queue];

	if (!a->bytes || a->number != sq->consumed || sq->is_stopped)
		return false;
	ena_frame_put(frame, a->bytes);
	sq->consumed++;
	ena_rx_complete(nic, a->to,
			status | ENA_ETH_IO_RX_CDESC_FIRST |
				ENA_ETH_IO_RX_CDESC_LAST,
			frame->length, &a->buffer);
	tally->packets++;
	tally->bytes += frame->length;
	return true;
}

static void give(struct ena_nic *nic, const struct arrival *a, uint32_t status,
		 unsigned int segment, struct tally *tally)
{
	uint32_t length = ena_frame_wire_length(a->frame, segment);
	struct ena_sq_state *sq = &nic->state->sq[a->to.queue];
	struct ena_frame_room room;
	struct slots slots;
	enum room found = find_room(nic, a->to.queue, length, &slots);
	uint64_t ignored;

	if (found == ROOM && ena_fault(nic, ena_fault_rx_starve, &ignored))
		found = NO_BUFFER;
	/* Buffers that cannot be reached would be in the way for ever. */
	if (found == OUT_OF_REACH)
		sq->consumed = (uint16_t)(sq->consumed + slots.count);
	if (found != ROOM) {
		drop(tally, a, found == NO_BUFFER);
		return;
	}
	room = (struct ena_frame_room){ slots.pieces, slots.piece_count };
	ena_frame_put_wire(a->frame, segment, &room);
	if (nic->fn->faults.rule_count)
		spoil_frame(nic, a->to.queue, &slots);
	sq->consumed = (uint16_t)(sq->consumed + slots.count);
	post_buffers(nic, a, status, length, &slots);
	tally->packets++;
	tally->bytes += length;
}

/* How many frames it is on a wire, if they can be taken at all. */
static uint32_t count_frames(const struct ena_nic *nic, const struct arrival *a)
{
	uint32_t most =
		nic->max_mtu + ENA_ETHER_HEADER_BYTES + 2 * ENA_TAG_BYTES;
	const struct ena_frame *frame = a->frame;

	if (a->to.queue >= ENA_QUEUES || !nic->queues[a->to.queue].descs ||
	    !nic->queues[a->to.queue].entries || !frame->length)
		return 0;
	if (!(frame->flags & ENA_FRAME_LEFT_TO_DO))
		return frame->length <= most;
	return ena_frame_wire_length(frame, 0) <= most
		       ? ena_frame_wire_count(frame)
		       : 0;
}

static void take(struct ena_nic *nic, const struct arrival *a,
		 struct tally *tally)
{
	uint64_t ignored;
	uint32_t status;

	if (ena_fault(nic, ena_fault_rx_drop, &ignored))
		return;
	if (!a->count) {
		drop(tally, a, false);
		return;
	}
	status = status_of(a, tally);
	if (give_simply(nic, a, status, tally))
		return;
	for (unsigned int i = 0; i < a->count; i++)
		give(nic, a, status, i, tally);
}

/* ---- Waiting for buffers ---- */

/* As many as are of the size of the next; more than a ring has: no use. */
static uint32_t buffers_needed(const struct ena_nic *nic,
			       const struct arrival *a)
{
	uint32_t length = ena_frame_wire_length(a->frame, 0);
	const struct ena_sq_state *sq = &nic->state->sq[a->to.queue];
	struct ena_rx_buffer next;

	read_buffer(nic, a->to.queue, sq->consumed, &next);
	return a->count * ((length + next.size - 1) / next.size);
}

static bool is_full(struct ena_nic *nic, const struct arrival *a)
{
	const struct ena_sq_state *sq = &nic->state->sq[a->to.queue];
	uint16_t known = (uint16_t)(sq->doorbell - sq->consumed);
	uint32_t needs;

	/* What a burst takes at most, but for super-packets. */
	if (known >= ENA_BURST && known <= sq->depth &&
	    !(a->frame->flags & ENA_FRAME_TSO))
		return false;
	needs = buffers_needed(nic, a);
	if (needs >= sq->depth || has_buffers(nic, a->to.queue, needs))
		return false;
	nic->path->full.queue = a->to.queue;
	nic->path->full.needs = (uint16_t)needs;
	return true;
}

/* To go on for a frame or two would be to wait again at once. */
static uint16_t enough(const struct ena_nic *nic)
{
	const struct ena_path *path = nic->path;
	uint32_t depth = nic->state->sq[path->full.queue].depth;
	uint32_t some = depth / 8 < ENA_BURST ? depth / 8 : ENA_BURST;

	if (path->full.has_given_up)
		return (uint16_t)(depth / 4);
	return path->full.needs > some ? path->full.needs : (uint16_t)some;
}

/* Patience is had again with a driver that has given much. */
static void forgive(struct ena_nic *nic)
{
	struct ena_path *path = nic->path;

	if (path->full.has_given_up &&
	    ena_sq_look(nic, path->full.queue) >= enough(nic))
		path->full.has_given_up = false;
}

/* True: the frame stays with its sender. */
static bool must_wait(struct ena_nic *nic, const struct arrival *a)
{
	struct ena_path *path = nic->path;

	if (!a->count)
		return false;
	if (a->to.queue == path->full.queue)
		forgive(nic);
	if (!is_full(nic, a) || nic->state->sq[a->to.queue].is_stopped ||
	    path->full.has_given_up)
		return false;
	if (!path->full.is_waiting)
		rt_timer_start(nic->fn->loop, &path->full.patience,
			       rt_loop_now_ns(nic->fn->loop) + PATIENCE_NS);
	path->full.is_waiting = true;
	return true;
}

void ena_rx_end_wait(struct ena_nic *nic)
{
	struct ena_path *path = nic->path;

	if (!path->full.is_waiting)
		return;
	path->full.is_waiting = false;
	rt_timer_stop(nic->fn->loop, &path->full.patience);
	ena_port_resume(&nic->port);
}

void ena_rx_look(struct ena_nic *nic)
{
	if (ena_sq_look(nic, nic->path->full.queue) >= enough(nic))
		ena_rx_end_wait(nic);
}

void ena_rx_lost_patience(struct rt_timer *timer)
{
	struct ena_path *path =
		rt_container_of(timer, struct ena_path, full.patience);

	path->full.has_given_up = true;
	ena_rx_end_wait(path->nic);
}

/* ---- Bursts ---- */

/* Its buffer, which we ask the cache for: it is written soon. */
static void find_buffer(struct ena_nic *nic, struct arrival *a,
			unsigned int ahead)
{
	const struct ena_frame *frame = a->frame;
	const struct ena_sq_state *sq = &nic->state->sq[a->to.queue];
	uint64_t size = frame->length;

	if (frame->flags & ENA_FRAME_LEFT_TO_DO || nic->fn->faults.rule_count ||
	    !has_buffers(nic, a->to.queue, ahead + 1))
		return;
	a->number = (uint16_t)(sq->consumed + ahead);
	read_buffer(nic, a->to.queue, a->number, &a->buffer);
	if (a->buffer.size < size)
		return;
	a->bytes = pcie_dma_near(nic->fn, &nic->path->rx_near, a->buffer.iova,
				 &size);
	if (a->bytes && size < frame->length)
		a->bytes = NULL;
	__builtin_prefetch(a->bytes, 1);
}

static void add_up(struct ena_nic *nic, const struct tally *tally)
{
	struct ena_guest_counters *guest = &nic->state->counters;

	rt_counter_add(&nic->counters.rx_packets, tally->packets);
	rt_counter_add(&nic->counters.rx_bytes, tally->bytes);
	rt_counter_add(&guest->rx_packets, tally->packets);
	rt_counter_add(&guest->rx_bytes, tally->bytes);
	if (tally->bad)
		rt_counter_add(&nic->counters.rx_csum_errors, tally->bad);
	if (!tally->drops)
		return;
	rt_counter_add(&nic->counters.rx_drops, tally->drops);
	rt_counter_add(&nic->counters.rx_overruns, tally->overruns);
	rt_counter_add(&guest->rx_drops, tally->drops);
	rt_counter_add(&guest->rx_overruns, tally->overruns);
}

static unsigned int take_burst(struct ena_nic *nic,
			       const struct ena_frame *frames,
			       unsigned int count)
{
	struct arrival arrivals[ENA_BURST];
	uint8_t ahead[ENA_QUEUES] = { 0 };
	struct tally tally = { 0 };
	unsigned int taken;

	for (unsigned int i = 0; i < count; i++) {
		struct arrival *a = &arrivals[i];

		a->frame = &frames[i];
		a->info = a->frame->info ? a->frame->info : &a->own;
		if (a->info == &a->own)
			ena_frame_parse(a->frame, &a->own);
		a->to = ena_steer(nic, a->frame, a->info);
		a->count = count_frames(nic, a);
		a->bytes = NULL;
		if (a->count)
			find_buffer(nic, a, ahead[a->to.queue]++);
	}
	for (taken = 0; taken < count; taken++) {
		if (must_wait(nic, &arrivals[taken]))
			break;
		take(nic, &arrivals[taken], &tally);
	}
	ena_rx_publish(nic);
	add_up(nic, &tally);
	return taken;
}

bool ena_rx_is_deaf(struct ena_port *port)
{
	struct ena_nic *nic = rt_container_of(port, struct ena_nic, port);

	if (!nic->path)
		return true;
	if (nic->path->is_paused)
		return false; /* it refuses */
	if (!ena_is_working(nic) || nic->state->is_link_down ||
	    ena_rss_queue(nic, 0, false) == ENA_NO_QUEUE)
		return true;
	ena_path_locate(nic);
	forgive(nic);
	return nic->path->full.has_given_up;
}

unsigned int ena_rx_deliver(struct ena_port *port,
			    const struct ena_frame *frames, unsigned int count)
{
	struct ena_nic *nic = rt_container_of(port, struct ena_nic, port);
	unsigned int taken = 0, burst, n;

	if (nic->path && nic->path->is_paused)
		return 0;
	if (!nic->path || !ena_is_working(nic) || nic->state->is_link_down)
		return count;
	ena_path_locate(nic);
	do {
		burst = count - taken < ENA_BURST ? count - taken : ENA_BURST;
		n = take_burst(nic, frames + taken, burst);
		taken += n;
	} while (n == burst && taken < count);
	ena_path_worked(nic->path, rt_loop_now_ns(nic->fn->loop));
	return taken;
}
