/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The split virtqueue (virtio 1.2, 2.7), one exchange at a time:
 *
 *   look ─► heads ─► describe … ─► fetch ─► (device) ─► deliver
 *    ▲                                                     │
 *    └────── tell ◄─ publish ◄─ element ◄─ element ◄───────┘
 *
 * Each arrow is a transfer of guest memory, which may wait for a message; a
 * step looks at what the last one brought and begins the next.  A driver that
 * offers a message but not yet the room for its answer is waited for.  The
 * chains of an exchange count as taken (next_avail) when used.index is about to
 * show them: what is stopped before that begins again with the same chains, and
 * what is stopped later shows the index again.
 *
 * Both used elements are written before the one change of used.index that shows
 * them, and that before the one interrupt: Linux's driver looks for both when
 * it is interrupted, and is stuck for good when one is not there.
 *
 * The driver is served as soon as the queue is enabled.  That is before
 * DRIVER_OK, which 3.1.1 forbids it; but Linux's driver registers its source of
 * random numbers in its probe, which asks for some at once.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "firmware/rt/scope.h"
#include "security-chip/nsm/trace.h"
#include "security-chip/nsm/virtio.h"

#define MESSAGE 0u
#define ANSWER  1u
#define CHAINS  2u

/* Exchanges in one turn of the loop, which has others to serve. */
#define TURNS 8u

static virtio_step_fn look, see, heads, head_came, describe, described, fetch,
	hand_over, deliver, element, publish, tell, told;

static struct virtio_queue_state *state_of(const struct virtio_queue *q)
{
	return &q->device->state->queue;
}

bool virtio_queue_is_live(const struct virtio_device *device)
{
	return device->state->queue.is_enabled &&
	       !(device->state->status &
		 (VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED));
}

/* ---- transfers ---- */

static int read_guest(struct virtio_queue *q, uint64_t at, void *to,
		      size_t size, virtio_step_fn *then)
{
	q->step = then;
	return pcie_dma_read(q->device->fn, &q->op, at, to, size);
}

static int write_guest(struct virtio_queue *q, uint64_t at, const void *from,
		       size_t size, virtio_step_fn *then)
{
	q->step = then;
	return pcie_dma_write(q->device->fn, &q->op, at, from, size);
}

/* False: it went wrong, or is cancelled, and nothing is to be done. */
static bool went_well(struct virtio_queue *q, int status)
{
	if (!status)
		return true;
	q->step = NULL;
	if (status != -ECANCELED)
		virtio_fail(q->device, NSM_RULE_QUEUE_MEMORY,
			    (uint64_t)-status);
	return false;
}

void virtio_queue_run(struct virtio_queue *q)
{
	int status = 0;

	if (q->is_running || q->is_transferring)
		return;
	q->is_running = true;
	while (q->step) {
		status = q->step(q);
		if (status == -EINPROGRESS) {
			q->is_transferring = true;
			break;
		}
		if (!went_well(q, status))
			break;
	}
	q->is_running = false;
}

static void transferred(struct pcie_dma_op *op, int status)
{
	struct virtio_queue *q = rt_container_of(op, struct virtio_queue, op);

	q->is_transferring = false;
	if (went_well(q, status))
		virtio_queue_run(q);
}

/* ---- chains in ---- */

static void start(struct virtio_queue *q)
{
	if (!q->step && !q->is_open && !q->turn.heap_slot)
		q->step = look;
	virtio_queue_run(q);
}

static int look(struct virtio_queue *q)
{
	q->step = NULL;
	if (!virtio_queue_is_live(q->device))
		return 0;
	return read_guest(q, state_of(q)->driver, &q->avail, sizeof q->avail,
			  see);
}

static void checked(struct pcie_dma_op *op, int status)
{
	struct virtio_queue *q =
		rt_container_of(op, struct virtio_queue, check);

	q->is_checking = false;
	if (status == -ESTALE)
		start(q);
}

/* A notification for nothing: is this the memory that the guest sees? */
static void check_memory(struct virtio_queue *q)
{
	if (q->has_checked || q->is_checking)
		return;
	q->has_checked = true;
	q->is_checking = true;
	q->check.done = checked;
	if (pcie_dma_check_shared(q->device->fn, &q->check, state_of(q)->driver,
				  sizeof q->avail) != -EINPROGRESS)
		q->is_checking = false;
}

static int see(struct virtio_queue *q)
{
	const struct virtio_queue_state *s = state_of(q);
	uint16_t offered = (uint16_t)(le16_get(q->avail.index) - s->next_avail);

	q->step = NULL;
	/* What the index covers is read after it. */
	atomic_thread_fence(memory_order_acquire);
	if (!offered && !s->next_avail)
		check_memory(q);
	if (offered > s->size)
		virtio_fail(q->device, NSM_RULE_AVAIL_INDEX,
			    le16_get(q->avail.index));
	else if (offered >= CHAINS)
		q->step = heads;
	q->found = 0;
	return 0;
}

static int heads(struct virtio_queue *q)
{
	const struct virtio_queue_state *s = state_of(q);
	uint16_t slot = (uint16_t)(s->next_avail + q->found) % s->size;

	return read_guest(q,
			  s->driver + sizeof(struct virtio_avail) +
				  slot * sizeof(le16),
			  &q->heads[q->found], sizeof(le16), head_came);
}

static int head_came(struct virtio_queue *q)
{
	virtio_chain_begin(&q->chains[q->found], le16_get(q->heads[q->found]));
	q->found++;
	q->walked = q->chains;
	q->step = q->found < CHAINS ? heads : describe;
	return 0;
}

static int describe(struct virtio_queue *q)
{
	const struct virtio_queue_state *s = state_of(q);
	uint16_t next = q->walked->next;

	if (next >= s->size) {
		q->step = NULL;
		virtio_fail(q->device, NSM_RULE_DESC_INDEX, next);
		return 0;
	}
	return read_guest(q, s->desc + next * sizeof q->desc, &q->desc,
			  sizeof q->desc, described);
}

static int described(struct virtio_queue *q)
{
	q->step = NULL;
	if (!virtio_chain_add(q, q->walked, &q->desc))
		return 0;
	if (!q->walked->has_next)
		q->walked++;
	q->step = q->walked == q->chains + CHAINS ? fetch : describe;
	return 0;
}

/* ---- the message and its answer ---- */

static bool chains_are_a_pair(struct virtio_queue *q)
{
	const struct virtio_chain *message = &q->chains[MESSAGE];
	const struct virtio_chain *answer = &q->chains[ANSWER];

	if (message->readable != message->count || !message->readable_bytes) {
		virtio_fail(q->device, NSM_RULE_REQUEST_CHAIN, message->head);
		return false;
	}
	if (answer->readable) {
		virtio_fail(q->device, NSM_RULE_RESPONSE_CHAIN, answer->head);
		return false;
	}
	return true;
}

/* The first `size` bytes of the chain only. */
static unsigned int cut(struct virtio_chain *chain, uint64_t size)
{
	unsigned int i;

	for (i = 0; i < chain->count && size; i++) {
		if (chain->ranges[i].size > size)
			chain->ranges[i].size = size;
		size -= chain->ranges[i].size;
	}
	return i;
}

static int fetch(struct virtio_queue *q)
{
	struct virtio_device *device = q->device;
	struct virtio_chain *chain = &q->chains[MESSAGE];

	q->step = NULL;
	if (!chains_are_a_pair(q))
		return 0;
	chain->count = cut(chain, device->message_room);
	q->op.done = transferred;
	q->step = hand_over;
	return pcie_dma_readv(device->fn, &q->op, chain->ranges, chain->count,
			      device->message);
}

static int hand_over(struct virtio_queue *q)
{
	const struct virtio_chain *chains = q->chains;

	q->step = NULL;
	q->is_open = true;
	trace_nsm_request(chains[MESSAGE].head,
			  (uint32_t)chains[MESSAGE].readable_bytes);
	q->device->ops->message(q->device, chains[MESSAGE].readable_bytes,
				chains[ANSWER].writable_bytes);
	return 0;
}

static int deliver(struct virtio_queue *q)
{
	struct virtio_chain *chain = &q->chains[ANSWER];

	q->step = element;
	if (!chain->count)
		return 0;
	return pcie_dma_writev(q->device->fn, &q->op, chain->ranges,
			       chain->count, q->device->answer);
}

/* ---- used elements out ---- */

static void fill_used(struct virtio_queue *q, uint64_t size)
{
	unsigned int answer = q->mishap.is_swapped ? 0 : 1;
	uint32_t id = q->mishap.has_id ? q->mishap.id : q->chains[ANSWER].head;

	q->used[1 - answer] =
		(struct virtio_used_entry){ le32_put(q->chains[MESSAGE].head),
					    le32_put(0) };
	q->used[answer] =
		(struct virtio_used_entry){ le32_put(id),
					    le32_put((uint32_t)size) };
	q->published = 0;
}

void virtio_answer(struct virtio_device *device, uint64_t size,
		   const struct virtio_mishap *mishap)
{
	struct virtio_queue *q = &device->queue;
	struct virtio_chain *chain = &q->chains[ANSWER];

	if (!q->is_open)
		return;
	q->is_open = false;
	if (size > chain->writable_bytes)
		size = chain->writable_bytes;
	trace_nsm_response(chain->head, (uint32_t)size);
	chain->count = cut(chain, size);
	q->mishap = *mishap;
	fill_used(q, size);
	q->step = deliver;
	virtio_queue_run(q);
}

/* From here on the chains are the driver's again, whatever comes between. */
static void take_chains(struct virtio_queue *q)
{
	state_of(q)->next_avail += CHAINS;
	q->device->ops->reset(q->device);
}

static void end_exchange(struct virtio_queue *q)
{
	struct virtio_device *device = q->device;

	q->step = NULL;
	if (++q->turns % TURNS)
		q->step = look;
	else
		rt_timer_start(device->fn->loop, &q->turn,
			       rt_loop_now_ns(device->fn->loop));
}

static int element(struct virtio_queue *q)
{
	const struct virtio_queue_state *s = state_of(q);
	uint16_t slot = (uint16_t)(s->used + q->published) % s->size;
	uint64_t at = s->device + sizeof(struct virtio_used) +
		      slot * sizeof(struct virtio_used_entry);
	unsigned int n = q->published;

	if (q->mishap.is_dropped) {
		take_chains(q);
		end_exchange(q);
		return 0;
	}
	q->published++;
	return write_guest(q, at, &q->used[n], sizeof q->used[n],
			   q->published < CHAINS && !q->mishap.is_early
				   ? element
				   : publish);
}

/* One store, after what it shows. */
static int publish(struct virtio_queue *q)
{
	struct virtio_queue_state *s = state_of(q);
	uint64_t at = s->device + offsetof(struct virtio_used, index);
	uint16_t *direct =
		pcie_dma_direct(q->device->fn, at, sizeof *direct, true);

	if (q->published == CHAINS) {
		take_chains(q);
		s->used += CHAINS;
		s->is_showing = true;
		q->published = 0;
	}
	q->index = le16_put((uint16_t)(s->used + q->published));
	q->step = tell;
	if (!direct || !pcie_bus_master_is_on(q->device->fn))
		return write_guest(q, at, &q->index, sizeof q->index, tell);
	__atomic_store_n(direct, q->index.raw, __ATOMIC_RELEASE);
	return 0;
}

/* The driver's wish is read after the index is there to be seen (2.7.7). */
static int tell(struct virtio_queue *q)
{
	atomic_thread_fence(memory_order_seq_cst);
	return read_guest(q, state_of(q)->driver, &q->avail, sizeof q->avail,
			  told);
}

/* The mishap: the response comes when the driver has looked for it. */
static void complete_late(struct virtio_queue *q)
{
	struct rt_loop *loop = q->device->fn->loop;

	q->mishap.is_early = false;
	q->later = element;
	rt_timer_start(loop, &q->turn,
		       rt_loop_now_ns(loop) + q->mishap.early_ns);
}

static int told(struct virtio_queue *q)
{
	if (!(le16_get(q->avail.flags) & VIRTIO_AVAIL_NO_INTERRUPT) &&
	    !q->mishap.is_silent)
		virtio_interrupt(q->device, state_of(q)->vector,
				 VIRTIO_ISR_QUEUE);
	q->step = NULL;
	if (state_of(q)->is_showing) {
		state_of(q)->is_showing = false;
		end_exchange(q);
	} else {
		complete_late(q);
	}
	return 0;
}

/* ---- from outside ---- */

void virtio_queue_notify(struct virtio_device *device, uint64_t queue)
{
	bool is_early = !(device->state->status & VIRTIO_STATUS_DRIVER_OK);

	rt_counter_add(&device->counters.notifications, 1);
	trace_nsm_notified(device->state->queue.next_avail, is_early);
	if (queue || !device->state->queue.is_enabled) {
		virtio_broke(device, NSM_RULE_NOTIFY_QUEUE, queue);
		return;
	}
	if (is_early)
		virtio_broke(device, NSM_RULE_NOTIFY_EARLY,
			     device->state->status);
	start(&device->queue);
}

static void go_on(struct rt_timer *timer)
{
	struct virtio_queue *q =
		rt_container_of(timer, struct virtio_queue, turn);

	q->step = q->later;
	q->later = NULL;
	start(q);
}

void virtio_queue_stop(struct virtio_queue *q)
{
	rt_timer_stop(q->device->fn->loop, &q->turn);
	q->step = NULL;
	if (q->is_transferring || q->is_checking)
		pcie_dma_cancel_all(q->device->fn);
	q->step = NULL;
	q->later = NULL;
	q->is_open = false;
	q->has_checked = false;
}

void virtio_resume(struct virtio_device *device)
{
	/* Its store may not have come to the driver: again. */
	if (device->state->queue.is_showing && virtio_queue_is_live(device))
		device->queue.step = publish;
	start(&device->queue);
}

void virtio_init(struct virtio_device *device)
{
	struct virtio_queue *q = &device->queue;

	q->device = device;
	q->op.done = transferred;
	q->turn.fired = go_on;
}
