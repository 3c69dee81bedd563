/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The addresses of a switch, in a table of fixed size.  A place for one is
 * sought in a short window that its hash gives; there the oldest goes when
 * nothing is free, but never a NIC's own, and what a port may have learned is
 * limited, so that a guest that makes addresses up makes the switch forget its
 * own only.
 */
#include "ena/vpc/address.h"

#include <errno.h>
#include <stddef.h>

#include "firmware/rt/clock.h"
#include "firmware/rt/loop.h"

#define WINDOW      8u   /* slots where an address may be */
#define LEARNED     256u /* of one port */
#define FORGET_S    300u /* after it was last heard */
#define HASH_FACTOR UINT64_C(0x9e3779b97f4a7c15)
#define SLOT_BITS   11u

static struct ena_address *slot_at(struct ena_addresses *t, uint64_t address,
				   unsigned int i)
{
	uint64_t first = (address * HASH_FACTOR) >> (64 - SLOT_BITS);

	return &t->slots[(first + i) % ENA_ADDRESS_SLOTS];
}

/* The clock is read once in a call, if at all. */
static uint32_t now_s(struct ena_addresses *t)
{
	if (!t->now_s)
		t->now_s =
			(uint32_t)(rt_loop_now_ns(t->loop) / RT_NS_PER_S) + 1;
	return t->now_s;
}

static bool is_stale(struct ena_addresses *t, const struct ena_address *slot)
{
	return !slot->is_own && now_s(t) - slot->heard_s > FORGET_S;
}

static void forget(struct ena_addresses *t, struct ena_address *slot)
{
	if (!slot->is_own)
		t->learned[slot->port]--;
	*slot = (struct ena_address){ 0 };
}

static struct ena_address *find_slot(struct ena_addresses *t, uint64_t address)
{
	for (unsigned int i = 0; i < WINDOW; i++) {
		struct ena_address *slot = slot_at(t, address, i);

		if (slot->address != address)
			continue;
		if (!is_stale(t, slot))
			return slot;
		forget(t, slot);
		return NULL;
	}
	return NULL;
}

/*
 * A free slot, or the one heard longest ago; of that port only, when it has as
 * many as it may.  NULL: there is none.
 */
static struct ena_address *make_room(struct ena_addresses *t, uint64_t address,
				     uint16_t port, bool is_own)
{
	bool is_full = !is_own && t->learned[port] >= LEARNED;
	struct ena_address *oldest = NULL;

	for (unsigned int i = 0; i < WINDOW; i++) {
		struct ena_address *slot = slot_at(t, address, i);

		if (!slot->address && !is_full)
			return slot;
		if (!slot->address || slot->is_own ||
		    (is_full && slot->port != port))
			continue;
		if (!oldest || slot->heard_s < oldest->heard_s)
			oldest = slot;
	}
	if (oldest)
		forget(t, oldest);
	return oldest;
}

static void learn(struct ena_addresses *t, uint64_t address, uint16_t port)
{
	struct ena_address *slot = make_room(t, address, port, false);

	if (!slot)
		return;
	*slot = (struct ena_address){ .address = address,
				      .heard_s = now_s(t),
				      .port = port };
	t->learned[port]++;
}

/* False: the source cannot be at this port. */
bool ena_addresses_hear(struct ena_addresses *t, uint64_t source, uint16_t port)
{
	struct ena_address *slot;

	if (source & ENA_ADDRESS_GROUP)
		return false;
	if (!source)
		return true;
	slot = find_slot(t, source);
	if (slot && slot->port == port) {
		if (!slot->is_own)
			slot->heard_s = now_s(t);
		return true;
	}
	if (slot && slot->is_own)
		return false;
	if (slot)
		forget(t, slot); /* it has moved */
	learn(t, source, port);
	return true;
}

int ena_addresses_find(struct ena_addresses *t, uint64_t address)
{
	const struct ena_address *slot = find_slot(t, address);

	return slot ? slot->port : -1;
}

int ena_addresses_own(struct ena_addresses *t, uint64_t address, uint16_t port)
{
	struct ena_address *slot;

	if (!address || address & ENA_ADDRESS_GROUP)
		return -EINVAL;
	slot = find_slot(t, address);
	if (slot && slot->is_own)
		return slot->port == port ? 0 : -EADDRINUSE;
	if (slot)
		forget(t, slot);
	slot = make_room(t, address, port, true);
	if (!slot)
		return -ENOSPC;
	*slot = (struct ena_address){ .address = address,
				      .port = port,
				      .is_own = true };
	return 0;
}

void ena_addresses_forget(struct ena_addresses *t, uint16_t port)
{
	for (unsigned int i = 0; i < ENA_ADDRESS_SLOTS; i++) {
		struct ena_address *slot = &t->slots[i];

		if (slot->address && slot->port == port)
			forget(t, slot);
	}
}

unsigned int ena_addresses_count(const struct ena_addresses *t)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < ENA_ADDRESS_SLOTS; i++)
		count += t->slots[i].address != 0;
	return count;
}
