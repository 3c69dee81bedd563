/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the driver's doorbells are found, and how long the card looks for them
 * before it sleeps.  On the function's loop, or another lane's.
 * What comes by message for a queue of such a lane is stored in memory, too: in
 * the mapped page, or where there is none in a page of our own.
 *
 * A doorbell can arrive by three ways:
 *
 *   message   the client writes to BAR 0 through its socket, which wakes us;
 *   mapped    the client's guest stores into the page of doorbells that it
 *             shares with us: nothing tells us, so we look;
 *   shadow    the driver stores into a page of its own memory (NVMe Base 1.4,
 *             5.7, Doorbell Buffer Config), and also rings by message when the
 *             new value passes the EventIdx that we left there.
 *
 * While there is work the poller looks at every turn of the loop, and goes on
 * to look for RT_REST_SPIN_NS after the last of it.  Then
 *
 *   message   the card sleeps until the socket wakes it;
 *   shadow    it asks to be rung (arms every EventIdx), looks once more, and
 *             sleeps likewise;
 *   mapped    it rests, the longer the longer nothing rang (rt/rest.h).
 *
 * An EventIdx is one behind the doorbell while the card is awake: no new value
 * of a ring that is never overrun passes that.
 */
#include "ebs-nvme/controller.h"
#include "ebs-nvme/trace.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/rest.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

#define STRAY_PARTS 16u
#define STRAY_NS    RT_NS_PER_MS /* of quiet, then look for those */
#define PAGE_DOORS  (NVME_PAGE_BYTES / sizeof(uint32_t))

static size_t slot_of(uint16_t qid, bool is_cq)
{
	return 2u * qid + is_cq;
}

static uint32_t load_door(const volatile uint32_t *at)
{
	return le32toh(__atomic_load_n(at, __ATOMIC_ACQUIRE));
}

static void store_door(volatile uint32_t *at, uint32_t value)
{
	__atomic_store_n(at, htole32(value), __ATOMIC_RELEASE);
}

static volatile uint32_t *mapped_page(const struct ebs_controller *c)
{
	return (volatile uint32_t *)(volatile void *)pcie_bar_bytes(c->fn, 0);
}

bool ebs_shadow_is_on(const struct ebs_controller *c)
{
	return c->state->shadow_doorbells != 0;
}

/* --- The doors that there are --------------------------------------------- */

static uint32_t *seen_of(struct ebs_controller *c, uint16_t qid, bool is_cq)
{
	return is_cq ? &c->state->cq[qid].doorbell
		     : &c->state->sq[qid].doorbell;
}

static void add_door(struct ebs_lane *lane, uint16_t qid, bool is_cq)
{
	struct ebs_controller *c = lane->c;
	volatile uint32_t *page = mapped_page(c);
	size_t slot = slot_of(qid, is_cq);
	struct ebs_door door = { .qid = qid,
				 .is_cq = is_cq,
				 .seen = seen_of(c, qid, is_cq) };

	if (qid && ebs_shadow_is_on(c)) {
		door.at = lane->shadow ? &lane->shadow[slot] : NULL;
		door.event = lane->events ? &lane->events[slot] : NULL;
	} else if (page) {
		door.at = &page[slot];
	} else if (!ebs_is_home(lane)) {
		door.at = &c->rung[slot];
	}
	if (door.at)
		lane->doors[lane->door_count++] = door;
	else
		lane->is_direct = false;
}

static volatile uint32_t *find_page(struct ebs_controller *c, uint64_t iova)
{
	return pcie_dma_direct(c->fn, iova, NVME_PAGE_BYTES, true);
}

static void add_sq(struct ebs_lane *lane, uint16_t qid)
{
	const struct ebs_sq *sq = &lane->c->sq[qid];

	if (sq->lane != lane || !lane->c->state->sq[qid].size)
		return;
	lane->queues[lane->queue_count++] = qid;
	lane->is_direct &= sq->direct != NULL;
	add_door(lane, qid, false);
}

static void add_cq(struct ebs_lane *lane, uint16_t qid)
{
	const struct ebs_cq *cq = &lane->c->cq[qid];

	if (cq->lane != lane || !lane->c->state->cq[qid].size)
		return;
	lane->is_direct &= cq->direct != NULL;
	lane->has_interrupts |= lane->c->state->cq[qid].has_interrupt;
	add_door(lane, qid, true);
}

void ebs_doors_rebuild(struct ebs_lane *lane)
{
	struct ebs_controller *c = lane->c;

	lane->shadow = NULL;
	lane->events = NULL;
	if (ebs_shadow_is_on(c)) {
		lane->shadow = find_page(c, c->state->shadow_doorbells);
		lane->events = find_page(c, c->state->event_indexes);
	}
	lane->door_count = 0;
	lane->queue_count = 0;
	lane->is_direct = true;
	lane->has_interrupts = false;
	for (uint16_t qid = 0; qid <= c->pairs; qid++) {
		add_sq(lane, qid);
		add_cq(lane, qid);
	}
	if (lane->turn_queue >= lane->queue_count)
		lane->turn_queue = 0;
	lane->are_doors_armed = false;
}

static void rebuild_all(struct ebs_controller *c)
{
	for (unsigned int i = 0; i < c->lane_count; i++) {
		ebs_doors_rebuild(c->lanes[i]);
		ebs_kick(c->lanes[i]);
	}
}

static void clear_shadow(struct ebs_controller *c, size_t slot)
{
	volatile uint32_t *page = find_page(c, c->state->shadow_doorbells);

	if (page)
		store_door(&page[slot], 0);
}

/* Of a queue that comes or has gone: it is 0, whatever was there before. */
void ebs_door_clear(struct ebs_controller *c, uint16_t qid, bool is_cq)
{
	volatile uint32_t *page = mapped_page(c);
	size_t slot = slot_of(qid, is_cq);

	*seen_of(c, qid, is_cq) = 0;
	if (page)
		store_door(&page[slot], 0);
	store_door(&c->rung[slot], 0);
	if (qid && ebs_shadow_is_on(c))
		clear_shadow(c, slot);
	rebuild_all(c);
}

void ebs_doors_reset(struct ebs_controller *c)
{
	volatile uint32_t *page = mapped_page(c);

	for (size_t i = 0; page && i < PAGE_DOORS; i++)
		if (page[i])
			store_door(&page[i], 0);
	c->state->shadow_doorbells = 0;
	c->state->event_indexes = 0;
	rebuild_all(c);
}

/* Fresh memory: what the driver rang is only in the state. */
static void fill_page(struct ebs_controller *c, volatile uint32_t *page)
{
	for (uint16_t qid = 0; qid <= c->pairs; qid++) {
		store_door(&page[slot_of(qid, false)],
			   c->state->sq[qid].doorbell);
		store_door(&page[slot_of(qid, true)],
			   c->state->cq[qid].doorbell);
	}
}

void ebs_doors_restore(struct ebs_controller *c)
{
	volatile uint32_t *page = mapped_page(c);

	if (page && c->fn->is_restored && !pcie_bar_is_adopted(c->fn, 0))
		fill_page(c, page);
	fill_page(c, c->rung);
	rebuild_all(c);
}

static bool is_there(const struct ebs_controller *c, size_t slot)
{
	size_t qid = slot / 2;

	if (qid >= EBS_QUEUES)
		return false;
	return slot % 2 ? c->state->cq[qid].size : c->state->sq[qid].size;
}

static void find_strays(struct ebs_controller *c, size_t first, size_t count)
{
	volatile uint32_t *page = mapped_page(c);

	for (size_t i = first; page && i < first + count; i++) {
		uint32_t value = page[i];

		if (!value || is_there(c, i))
			continue;
		store_door(&page[i], 0);
		ebs_doorbell_write(c, NVME_REG_DOORBELLS + i * sizeof value,
				   le32toh(value));
	}
}

void ebs_doors_find_strays(struct ebs_controller *c)
{
	find_strays(c, 0, PAGE_DOORS);
}

/* A part of the page at each rest: many idle volumes stay cheap. */
static void find_some_strays(struct ebs_controller *c)
{
	const size_t part = PAGE_DOORS / STRAY_PARTS;

	find_strays(c, c->stray_part * part, part);
	c->stray_part = (c->stray_part + 1) % STRAY_PARTS;
}

/* --- Looking ---------------------------------------------------------------
 */

static void keep_quiet(struct ebs_door *door)
{
	if (door->event)
		store_door(door->event, (uint16_t)(*door->seen - 1));
}

/*
 * Not the driver's next value, if that is there already.  A wrong one that is
 * rung again is found again.
 */
static void take_back(struct ebs_door *door, uint32_t wrong, uint32_t before)
{
	uint32_t expected = htole32(wrong);

	if (__atomic_compare_exchange_n(door->at, &expected, htole32(before),
					false, __ATOMIC_ACQ_REL,
					__ATOMIC_RELAXED))
		*door->seen = before;
}

static bool look_at(struct ebs_lane *lane, struct ebs_door *door)
{
	struct ebs_controller *c = lane->c;
	uint32_t value = load_door(door->at), before = *door->seen;

	if (value == before)
		return false;
	if (lane->is_away &&
	    !ebs_doorbell_fits(c, door->qid, door->is_cq, value)) {
		ebs_lane_ask_home(lane); /* it will find it there, too */
		return false;
	}
	*door->seen = value;
	keep_quiet(door);
	if (!ebs_doorbell_rang(c, door->qid, door->is_cq, value) &&
	    !door->event)
		take_back(door, value, before);
	return true;
}

/* Whoever does so takes a turn afterwards, before which nobody sleeps. */
static void disarm(struct ebs_lane *lane)
{
	ebs_kick(lane);
	for (unsigned int i = 0; i < lane->door_count; i++)
		keep_quiet(&lane->doors[i]);
	lane->are_doors_armed = false;
}

/*
 * True: nothing rang meanwhile, so whatever comes next wakes us.  The driver
 * stores its doorbell and then loads EventIdx, we do it the other way round:
 * the exchange keeps our load behind our store.
 */
static bool arm(struct ebs_lane *lane)
{
	struct ebs_door *door = lane->doors;
	bool is_quiet = true;

	lane->are_doors_armed = true;
	for (unsigned int i = 0; i < lane->door_count; i++) {
		if (door[i].event)
			__atomic_exchange_n(door[i].event,
					    htole32((uint16_t)*door[i].seen),
					    __ATOMIC_SEQ_CST);
		is_quiet &= load_door(door[i].at) == *door[i].seen;
	}
	return is_quiet;
}

unsigned int ebs_doors_look(struct ebs_lane *lane)
{
	unsigned int count = 0;

	if (!ebs_controller_is_working(lane->c))
		return 0;
	if (lane->are_doors_armed)
		disarm(lane);
	for (unsigned int i = 0; i < lane->door_count; i++)
		count +=
			look_at(lane, &lane->doors[i]) && !lane->doors[i].is_cq;
	return count;
}

static bool is_of_message(const struct ebs_controller *c,
			  const struct ebs_door *door)
{
	return door->at >= c->rung && door->at < c->rung + RT_COUNT(c->rung);
}

void ebs_doors_absorb(struct ebs_controller *c)
{
	for (unsigned int i = 1; i < c->lane_count; i++) {
		struct ebs_lane *lane = c->lanes[i];

		for (unsigned int n = 0; n < lane->door_count; n++)
			if (is_of_message(c, &lane->doors[n]))
				look_at(lane, &lane->doors[n]);
	}
}

void ebs_door_ring(struct ebs_lane *lane, uint16_t qid, bool is_cq,
		   uint32_t value)
{
	struct ebs_controller *c = lane->c;

	/* Elsewhere it stands already. */
	if (!mapped_page(c) && !ebs_shadow_is_on(c))
		store_door(&c->rung[slot_of(qid, is_cq)], value);
	ebs_lane_ring(lane);
}

/* --- Sleeping ---------------------------------------------------------------
 */

static bool has_only_mapped_doors(const struct ebs_controller *c)
{
	return mapped_page(c) != NULL;
}

uint64_t ebs_doors_rest(struct ebs_lane *lane, uint64_t now_ns)
{
	struct ebs_controller *c = lane->c;
	uint64_t idle_ns = now_ns - lane->worked_ns;

	if (!ebs_controller_is_working(c))
		return UINT64_MAX;
	if (c->polling == EBS_POLLING_ALWAYS)
		return RT_POLL_SPIN;
	if (c->polling == EBS_POLLING_AUTO && idle_ns < RT_REST_SPIN_NS)
		return RT_POLL_SPIN;
	if (!has_only_mapped_doors(c))
		return arm(lane) ? UINT64_MAX : 0;
	if (ebs_is_home(lane) && idle_ns >= STRAY_NS)
		find_some_strays(c);
	return rt_rest_ns(now_ns, idle_ns);
}

/* --- Doorbell Buffer Config, 5.7 --------------------------------------------
 */

/* The queues that exist go on where they are. */
static void copy_doors(struct ebs_controller *c)
{
	volatile uint32_t *shadow = c->home.shadow;

	for (uint16_t qid = 1; qid <= c->pairs; qid++) {
		store_door(&shadow[slot_of(qid, false)],
			   c->state->sq[qid].tail);
		store_door(&shadow[slot_of(qid, true)], c->state->cq[qid].head);
		c->state->sq[qid].doorbell = c->state->sq[qid].tail;
		c->state->cq[qid].doorbell = c->state->cq[qid].head;
	}
}

nvme_status ebs_admin_doorbell_buffer(struct ebs_request *r)
{
	struct ebs_controller *c = r->c;
	uint64_t shadow = le64_get(r->cmd.prp1);
	uint64_t events = le64_get(r->cmd.prp2);

	if (!c->profile->has_shadow_doorbells)
		return ebs_guest_error(r, EBS_RULE_OPCODE, NVME_INVALID_OPCODE,
				       0, 0);
	if ((shadow | events) % NVME_PAGE_BYTES || !shadow || !events ||
	    shadow == events)
		return ebs_guest_error(r, EBS_RULE_DOORBELL_BUFFER,
				       NVME_INVALID_FIELD, EBS_BYTE_PRP1, 0);
	/* Memory that is reached by message cannot be watched. */
	if (!find_page(c, shadow) || !find_page(c, events))
		return ebs_not_offered(r, NVME_DATA_TRANSFER_ERROR,
				       EBS_BYTE_PRP1);
	c->state->shadow_doorbells = shadow;
	c->state->event_indexes = events;
	rebuild_all(c);
	copy_doors(c);
	for (unsigned int i = 0; i < c->lane_count; i++)
		disarm(c->lanes[i]);
	return NVME_SUCCESS;
}
