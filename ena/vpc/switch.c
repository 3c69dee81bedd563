/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The switch.  Frames are looked at in runs: as long as source and destination
 * are those of the frame before, the next goes the same way, and a run is one
 * deliver().
 *
 * Switches are found by name in a list of the thread, which has one loop.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ena/port.h"
#include "ena/vpc/address.h"
#include "ena/vpc/uplink.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"

#define PATIENCE_NS  (100 * RT_NS_PER_MS) /* with a port that is full */
#define ADDRESS_MASK UINT64_C(0xffffffffffff)

struct ena_switch {
	struct rt_loop *loop;
	char name[64];
	unsigned int users;
	TAILQ_HEAD(, ena_port) list;
	struct ena_port *ports[ENA_SWITCH_PORTS];
	struct ena_port *uplink; /* if there is exactly one */
	struct rt_timer patience;
	LIST_ENTRY(ena_switch) entry;
	struct ena_addresses addresses;
};

static _Thread_local LIST_HEAD(, ena_switch) switches;

/* ---- Ports that are full, and who waits for them ---- */

/* By number: whoever is resumed may plug and unplug. */
static void resume_waiting(struct ena_switch *lan)
{
	for (unsigned int n = 0; n < ENA_SWITCH_PORTS; n++) {
		struct ena_port *port = lan->ports[n];

		if (!port || !port->is_waiting)
			continue;
		port->is_waiting = false;
		port->type->resume(port);
	}
}

static void be_patient(struct ena_switch *lan, uint64_t since_ns)
{
	if (!lan->patience.heap_slot)
		rt_timer_start(lan->loop, &lan->patience,
			       since_ns + PATIENCE_NS);
}

/* Nobody waits longer for one: others are behind those who wait. */
static void lose_patience(struct rt_timer *timer)
{
	struct ena_switch *lan =
		rt_container_of(timer, struct ena_switch, patience);
	uint64_t now_ns = rt_loop_now_ns(lan->loop);
	struct ena_port *port;

	TAILQ_FOREACH (port, &lan->list, entry) {
		if (!port->refused_ns || port->is_stuck)
			continue;
		port->is_stuck = now_ns - port->refused_ns >= PATIENCE_NS;
		if (!port->is_stuck)
			be_patient(lan, port->refused_ns);
	}
	resume_waiting(lan);
}

/* It did not take all.  True: no use to wait for that. */
static bool note_refusal(struct ena_port *port)
{
	if (port->is_stuck)
		return true;
	if (!port->refused_ns) {
		port->refused_ns = rt_loop_now_ns(port->lan->loop);
		be_patient(port->lan, port->refused_ns);
	}
	return false;
}

static void note_acceptance(struct ena_port *port)
{
	port->refused_ns = 0;
	port->is_stuck = false;
}

/* ---- Switches by name ---- */

static struct ena_switch *find_switch(const struct rt_loop *loop,
				      const char *name)
{
	struct ena_switch *lan;

	LIST_FOREACH (lan, &switches, entry) {
		if (lan->loop == loop && !strcmp(lan->name, name))
			return lan;
	}
	return NULL;
}

int ena_switch_get(struct rt_loop *loop, const char *name,
		   struct ena_switch **out)
{
	struct ena_switch *lan = find_switch(loop, name);

	if (strlen(name) >= sizeof lan->name)
		return -ENAMETOOLONG;
	if (!lan) {
		lan = calloc(1, sizeof *lan);
		if (!lan)
			return -ENOMEM;
		lan->loop = loop;
		lan->addresses.loop = loop;
		lan->patience.fired = lose_patience;
		snprintf(lan->name, sizeof lan->name, "%s", name);
		TAILQ_INIT(&lan->list);
		LIST_INSERT_HEAD(&switches, lan, entry);
	}
	lan->users++;
	*out = lan;
	return 0;
}

void ena_switch_put(struct ena_switch **lan)
{
	struct ena_switch *last = *lan;

	*lan = NULL;
	if (!last || --last->users)
		return;
	LIST_REMOVE(last, entry);
	rt_timer_stop(last->loop, &last->patience);
	free(last);
}

const char *ena_switch_name(const struct ena_switch *lan)
{
	return lan->name;
}

struct rt_loop *ena_switch_loop(const struct ena_switch *lan)
{
	return lan->loop;
}

struct ena_port *ena_switch_next_port(const struct ena_switch *lan,
				      const struct ena_port *port)
{
	return port ? TAILQ_NEXT(port, entry) : TAILQ_FIRST(&lan->list);
}

/* ---- Addresses ---- */

/* Eight bytes may be read at it. */
static uint64_t address_at(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof word);
	return le64toh(word) & ADDRESS_MASK;
}

int ena_port_own_address(struct ena_port *port,
			 const uint8_t address[ENA_ETHER_ADDR_BYTES])
{
	uint8_t bytes[8] = { 0 };

	memcpy(bytes, address, ENA_ETHER_ADDR_BYTES);
	ena_addresses_begin(&port->lan->addresses);
	return ena_addresses_own(&port->lan->addresses, address_at(bytes),
				 port->number);
}

bool ena_port_reaches(const struct ena_port *port,
		      const uint8_t address[ENA_ETHER_ADDR_BYTES])
{
	struct ena_switch *lan = port->lan;
	uint8_t bytes[8] = { 0 };
	struct ena_port *to;
	int number;

	memcpy(bytes, address, ENA_ETHER_ADDR_BYTES);
	ena_addresses_begin(&lan->addresses);
	number = ena_addresses_find(&lan->addresses, address_at(bytes));
	if (number < 0)
		return false;
	to = lan->ports[number];
	return to != port && !(to->type->is_deaf && to->type->is_deaf(to));
}

unsigned int ena_switch_address_count(const struct ena_switch *lan)
{
	return ena_addresses_count(&lan->addresses);
}

/* ---- Ports ---- */

/* With one only, what goes there may wait as for any other port. */
static void find_only_uplink(struct ena_switch *lan)
{
	unsigned int uplinks = 0;
	struct ena_port *port;

	lan->uplink = NULL;
	TAILQ_FOREACH (port, &lan->list, entry) {
		if (port->is_uplink)
			lan->uplink = uplinks++ ? NULL : port;
	}
}

int ena_port_plug(struct ena_port *port, struct ena_switch *lan)
{
	for (uint16_t n = 0; n < ENA_SWITCH_PORTS; n++) {
		if (lan->ports[n])
			continue;
		lan->ports[n] = port;
		port->number = n;
		port->lan = lan;
		port->is_waiting = false;
		note_acceptance(port);
		TAILQ_INSERT_TAIL(&lan->list, port, entry);
		find_only_uplink(lan);
		return 0;
	}
	return -ENOSPC;
}

void ena_port_unplug(struct ena_port *port)
{
	struct ena_switch *lan = port->lan;

	if (!lan)
		return;
	ena_port_capture_end(port);
	ena_addresses_forget(&lan->addresses, port->number);
	lan->ports[port->number] = NULL;
	TAILQ_REMOVE(&lan->list, port, entry);
	find_only_uplink(lan);
	port->lan = NULL;
	resume_waiting(lan); /* nobody waits for it any more */
}

void ena_port_resume(struct ena_port *port)
{
	note_acceptance(port);
	if (port->lan)
		resume_waiting(port->lan);
}

/* ---- Frames ---- */

/* Where a run of frames goes. */
struct route {
	enum { NOWHERE, ONE, UPLINKS, ALL } kind;
	struct ena_port *port;
	bool is_counted; /* as a drop, if nowhere */
};

/* Where that leads which nobody has. */
static struct route find_route_of_stranger(const struct ena_port *from)
{
	struct ena_port *uplink = from->lan->uplink;

	if (from->is_hub)
		return (struct route){ .kind = ALL };
	if (uplink && !from->is_uplink)
		return (struct route){ .kind = ONE, .port = uplink };
	return (struct route){ .kind = UPLINKS };
}

static struct route find_route(struct ena_switch *lan, struct ena_port *from,
			       const struct ena_frame *frame)
{
	static const struct route lost = { .is_counted = true };
	struct ena_addresses *addresses = &lan->addresses;
	struct ena_port *port;
	uint64_t to;
	int number;

	if (frame->header_length < ENA_ETHER_HEADER_BYTES ||
	    !ena_addresses_hear(
		    addresses, address_at(frame->header + ENA_ETHER_ADDR_BYTES),
		    from->number))
		return lost;
	to = address_at(frame->header);
	if (to & ENA_ADDRESS_GROUP)
		return (struct route){ .kind = ALL };
	number = ena_addresses_find(addresses, to);
	if (number < 0)
		return find_route_of_stranger(from);
	port = lan->ports[number];
	if (port == from)
		return (struct route){ .is_counted = !from->is_uplink };
	if (from->is_uplink && port->is_uplink)
		return lost;
	return (struct route){ .kind = ONE, .port = port };
}

/* Whether what it says is left to do can be done. */
static bool is_sound(const struct ena_frame *frame)
{
	return !(frame->flags & ENA_FRAME_LEFT_TO_DO) ||
	       ena_frame_wire_count(frame);
}

static bool has_same_addresses(const struct ena_frame *a,
			       const struct ena_frame *b)
{
	return b->header_length >= ENA_ETHER_HEADER_BYTES &&
	       !memcmp(a->header, b->header, (size_t)2 * ENA_ETHER_ADDR_BYTES);
}

/* The first is sound, and has its addresses. */
static unsigned int run_length(const struct ena_frame *frames,
			       unsigned int count)
{
	unsigned int n = 1;

	while (n < count && has_same_addresses(frames, &frames[n]) &&
	       is_sound(&frames[n]))
		n++;
	return n;
}

struct sum {
	uint64_t frames, bytes;
};

/* Each segment of a TSO has the headers again. */
static struct sum sum_up(const struct ena_frame *frames, unsigned int count)
{
	struct sum sum = { .frames = count };

	for (unsigned int i = 0; i < count; i++) {
		const struct ena_frame *frame = &frames[i];
		unsigned int more;

		sum.bytes += frame->length;
		if (!(frame->flags & ENA_FRAME_TSO))
			continue;
		more = ena_frame_wire_count(frame) - 1;
		sum.frames += more;
		sum.bytes +=
			(uint64_t)more * (frame->l4_offset + frame->l4_length);
	}
	return sum;
}

static void capture(struct ena_port *port, const struct ena_frame *frames,
		    unsigned int count, bool is_sent)
{
	if (port->capture && count)
		ena_capture_write(port, frames, count, is_sent);
}

/*
 * Returns how many it took.  In captures a frame is sent before it is received:
 * the sender is told where that is not known before.
 */
static unsigned int deliver(struct ena_port *sender, struct ena_port *port,
			    const struct ena_frame *frames, unsigned int count,
			    const struct sum *whole)
{
	unsigned int taken = port->type->deliver(port, frames, count);
	struct sum sum = taken == count ? *whole : sum_up(frames, taken);

	rt_counter_add(&port->counters.out_frames, sum.frames);
	rt_counter_add(&port->counters.out_bytes, sum.bytes);
	if (sender)
		capture(sender, frames, taken, true);
	capture(port, frames, taken, false);
	return taken;
}

/* Whoever has no room now goes without.  Returns how many ports it was for. */
static unsigned int flood(struct ena_port *from, const struct route *route,
			  const struct ena_frame *frames, unsigned int count,
			  const struct sum *whole)
{
	unsigned int reached = 0;
	struct ena_port *port;

	TAILQ_FOREACH (port, &from->lan->list, entry) {
		unsigned int taken;
		struct sum rest;

		if (port == from || (from->is_uplink && port->is_uplink) ||
		    (route->kind == UPLINKS && !port->is_uplink))
			continue;
		reached++;
		taken = deliver(NULL, port, frames, count, whole);
		rest = sum_up(frames + taken, count - taken);
		rt_counter_add(&port->counters.out_drops, rest.frames);
	}
	return reached;
}

/* To one port, which may leave some.  Returns how many were dealt with. */
static unsigned int send_to_one(struct ena_port *from, struct ena_port *to,
				const struct ena_frame *frames,
				unsigned int count, struct sum *sum)
{
	unsigned int done = deliver(from, to, frames, count, sum);

	if (done == count) {
		note_acceptance(to);
	} else if (note_refusal(to)) {
		rt_counter_add(&to->counters.out_drops,
			       sum_up(frames + done, count - done).frames);
		done = count;
	} else {
		*sum = sum_up(frames, done);
	}
	return done;
}

static void send_to_many(struct ena_port *from, const struct route *route,
			 const struct ena_frame *frames, unsigned int count,
			 const struct sum *sum)
{
	bool is_lost = route->kind == NOWHERE && route->is_counted;

	capture(from, frames, count, true);
	if (route->kind != NOWHERE)
		is_lost = !flood(from, route, frames, count, sum) &&
			  route->kind == UPLINKS;
	if (is_lost)
		rt_counter_add(&from->counters.in_drops, sum->frames);
}

/* Returns how many were dealt with. */
static unsigned int send_run(struct ena_port *from, const struct route *route,
			     const struct ena_frame *frames, unsigned int count)
{
	struct sum sum = sum_up(frames, count);
	unsigned int done = count;

	if (route->kind == ONE)
		done = send_to_one(from, route->port, frames, count, &sum);
	else
		send_to_many(from, route, frames, count, &sum);
	rt_counter_add(&from->counters.in_frames, sum.frames);
	rt_counter_add(&from->counters.in_bytes, sum.bytes);
	return done;
}

static void drop(struct ena_port *from, unsigned int count)
{
	rt_counter_add(&from->counters.in_drops, count);
}

static unsigned int send_frames(struct ena_port *from,
				const struct ena_frame *frames,
				unsigned int count)
{
	unsigned int done = 0;

	while (done < count) {
		const struct ena_frame *first = &frames[done];
		unsigned int length, sent;
		struct route route;

		if (!is_sound(first)) {
			drop(from, 1);
			done++;
			continue;
		}
		route = find_route(from->lan, from, first);
		length = first->header_length < ENA_ETHER_HEADER_BYTES
				 ? 1
				 : run_length(first, count - done);
		sent = send_run(from, &route, first, length);
		done += sent;
		if (sent < length)
			break;
	}
	return done;
}

unsigned int ena_port_send(struct ena_port *port,
			   const struct ena_frame *frames, unsigned int count)
{
	unsigned int done;

	ena_addresses_begin(&port->lan->addresses);
	done = send_frames(port, frames, count);
	if (done == count)
		return done;
	if (port->type->resume) {
		port->is_waiting = true;
		return done;
	}
	drop(port, count - done);
	return count;
}
