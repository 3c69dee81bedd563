/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the driver's doorbells are found, and how long the card looks for them
 * before it sleeps.  On the function's loop.
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
 * to look for SPIN_NS after the last of it.  Then
 *
 *   message   the card sleeps until the socket wakes it;
 *   shadow    it asks to be rung (arms every EventIdx), looks once more, and
 *             sleeps likewise;
 *   mapped    it rests, the longer the longer nothing rang: a quarter of that
 *             time, but no more than 8.4 ms in the first second, then 1/128 of
 *             it, 134 ms at most.  Rests are powers of two and end at multiples
 *             of them, so that all idle volumes of a thread are looked at in
 *             one waking.
 *
 * An EventIdx is one behind the doorbell while the card is awake: no new value
 * of a ring that is never overrun passes that.
 */
#include "ebs-nvme/controller.h"
#include "ebs-nvme/trace.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

#define SPIN_NS     (200 * RT_NS_PER_US)
#define REST_MIN_NS (UINT64_C(1) << 15) /* 33 us */
#define REST_NAP_NS (UINT64_C(1) << 23) /* 8.4 ms */
#define REST_MAX_NS (UINT64_C(1) << 27) /* 134 ms */
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

static void add_door(struct ebs_controller *c, uint16_t qid, bool is_cq)
{
	volatile uint32_t *page = mapped_page(c);
	size_t slot = slot_of(qid, is_cq);
	struct ebs_door door = { .qid = qid,
				 .is_cq = is_cq,
				 .seen = seen_of(c, qid, is_cq) };

	if (qid && ebs_shadow_is_on(c)) {
		door.at = c->shadow ? &c->shadow[slot] : NULL;
		door.event = c->events ? &c->events[slot] : NULL;
	} else if (page) {
		door.at = &page[slot];
	}
	if (door.at)
		c->doors[c->door_count++] = door;
}

static volatile uint32_t *find_page(struct ebs_controller *c, uint64_t iova)
{
	return pcie_dma_direct(c->fn, iova, NVME_PAGE_BYTES, true);
}

void ebs_doors_rebuild(struct ebs_controller *c)
{
	c->shadow = NULL;
	c->events = NULL;
	if (ebs_shadow_is_on(c)) {
		c->shadow = find_page(c, c->state->shadow_doorbells);
		c->events = find_page(c, c->state->event_indexes);
	}
	c->door_count = 0;
	for (uint16_t qid = 0; qid <= c->pairs; qid++) {
		if (c->state->sq[qid].size)
			add_door(c, qid, false);
		if (c->state->cq[qid].size)
			add_door(c, qid, true);
	}
	c->are_doors_armed = false;
}

/* A new queue's doorbells are 0, whatever was there before. */
void ebs_door_open(struct ebs_controller *c, uint16_t qid, bool is_cq)
{
	volatile uint32_t *page = mapped_page(c);
	size_t slot = slot_of(qid, is_cq);

	*seen_of(c, qid, is_cq) = 0;
	if (page)
		store_door(&page[slot], 0);
	if (qid && c->shadow)
		store_door(&c->shadow[slot], 0);
	ebs_doors_rebuild(c);
}

void ebs_doors_reset(struct ebs_controller *c)
{
	volatile uint32_t *page = mapped_page(c);

	for (size_t i = 0; page && i < PAGE_DOORS; i++)
		if (page[i])
			store_door(&page[i], 0);
	c->state->shadow_doorbells = 0;
	c->state->event_indexes = 0;
	ebs_doors_rebuild(c);
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
	ebs_doors_rebuild(c);
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

static bool look_at(struct ebs_controller *c, struct ebs_door *door)
{
	uint32_t value = load_door(door->at), before = *door->seen;

	if (value == before)
		return false;
	*door->seen = value;
	keep_quiet(door);
	if (!ebs_doorbell_rang(c, door->qid, door->is_cq, value) &&
	    !door->event)
		take_back(door, value, before);
	return true;
}

static void disarm(struct ebs_controller *c)
{
	for (unsigned int i = 0; i < c->door_count; i++)
		keep_quiet(&c->doors[i]);
	c->are_doors_armed = false;
}

/*
 * True: nothing rang meanwhile, so whatever comes next wakes us.  The driver
 * stores its doorbell and then loads EventIdx, we do it the other way round:
 * the exchange keeps our load behind our store.
 */
static bool arm(struct ebs_controller *c)
{
	bool is_quiet = true;

	c->are_doors_armed = true;
	for (unsigned int i = 0; i < c->door_count; i++) {
		struct ebs_door *door = &c->doors[i];

		if (door->event)
			__atomic_exchange_n(door->event,
					    htole32((uint16_t)*door->seen),
					    __ATOMIC_SEQ_CST);
		is_quiet &= load_door(door->at) == *door->seen;
	}
	return is_quiet;
}

unsigned int ebs_doors_look(struct ebs_controller *c)
{
	unsigned int count = 0;

	if (!ebs_controller_is_working(c))
		return 0;
	if (c->are_doors_armed)
		disarm(c);
	for (unsigned int i = 0; i < c->door_count; i++)
		count += look_at(c, &c->doors[i]);
	return count;
}

/* --- Sleeping ---------------------------------------------------------------
 */

static uint64_t floor_power_of_two(uint64_t value)
{
	return UINT64_C(1) << (63 - __builtin_clzll(value));
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
	if (value < least)
		return least;
	return value < most ? value : most;
}

/* How long to leave mapped doorbells alone. */
static uint64_t rest_ns(uint64_t now_ns, uint64_t idle_ns)
{
	uint64_t nap = clamp(idle_ns / 4, REST_MIN_NS, REST_NAP_NS);
	uint64_t rest =
		floor_power_of_two(clamp(idle_ns / 128, nap, REST_MAX_NS));

	return rest - now_ns % rest;
}

static bool has_only_mapped_doors(const struct ebs_controller *c)
{
	return mapped_page(c) != NULL;
}

uint64_t ebs_doors_rest(struct ebs_controller *c, uint64_t now_ns)
{
	uint64_t idle_ns = now_ns - c->worked_ns;

	if (!ebs_controller_is_working(c))
		return UINT64_MAX;
	if (c->polling == EBS_POLLING_ALWAYS)
		return RT_POLL_SPIN;
	if (c->polling == EBS_POLLING_AUTO && idle_ns < SPIN_NS)
		return RT_POLL_SPIN;
	if (!has_only_mapped_doors(c))
		return arm(c) ? UINT64_MAX : 0;
	if (idle_ns >= STRAY_NS)
		find_some_strays(c);
	return rest_ns(now_ns, idle_ns);
}

/* --- Doorbell Buffer Config, 5.7 --------------------------------------------
 */

/* The queues that exist go on where they are. */
static void copy_doors(struct ebs_controller *c)
{
	for (uint16_t qid = 1; qid <= c->pairs; qid++) {
		store_door(&c->shadow[slot_of(qid, false)],
			   c->state->sq[qid].tail);
		store_door(&c->shadow[slot_of(qid, true)],
			   c->state->cq[qid].head);
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
	ebs_doors_rebuild(c);
	copy_doors(c);
	disarm(c);
	return NVME_SUCCESS;
}
