/* SPDX-License-Identifier: BSD-3-Clause */
/* The switch: where frames go, in which order, and what is counted. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "rig.h"

TestSuite(ena_switch, .init = rig_make_virtual, .fini = rig_drop);

static struct end a, b, c, up, up2;

#define COUNT(end, what) rt_counter_read(&(end).port.counters.what)

static void plug_all(void)
{
	end_plug(&a, "a", 1);
	end_plug(&b, "b", 2);
	end_plug(&c, "c", 3);
	end_plug_uplink(&up, "up");
}

static void unplug_all(void)
{
	ena_port_unplug(&a.port);
	ena_port_unplug(&b.port);
	ena_port_unplug(&c.port);
	ena_port_unplug(&up.port);
}

Test(ena_switch, is_the_same_one_by_name_on_one_loop)
{
	struct ena_switch *same, *other;

	cr_expect_eq(ena_switch_get(loop, "lan", &same), 0);
	cr_expect_eq(same, lan);
	cr_expect_eq(ena_switch_get(loop, "wan", &other), 0);
	cr_expect_neq(other, lan);
	cr_expect_str_eq(ena_switch_name(other), "wan");
	ena_switch_put(&other);
	ena_switch_put(&same);
	cr_expect_str_eq(ena_switch_name(lan), "lan", "it has one user left");
}

Test(ena_switch, brings_a_frame_to_the_nic_that_has_its_address_only)
{
	plug_all();
	cr_expect_eq(send_one(&a, 1, 2, 7), 1);
	cr_expect_eq(b.count, 1);
	cr_expect_eq(b.tag[0], 7);
	cr_expect_eq(a.count + c.count + up.count, 0);
	cr_expect_eq(COUNT(a, in_frames), 1);
	cr_expect_eq(COUNT(a, in_bytes), 60);
	cr_expect_eq(COUNT(b, out_frames), 1);
	cr_expect_eq(COUNT(b, out_bytes), 60);
	unplug_all();
}

Test(ena_switch, brings_group_frames_to_all_others)
{
	plug_all();
	cr_expect_eq(send_one(&a, 1, ALL, 7), 1);
	cr_expect_eq(a.count, 0);
	cr_expect_eq(b.count + c.count + up.count, 3);
	unplug_all();
}

Test(ena_switch, brings_unknown_addresses_to_the_uplinks_only)
{
	plug_all();
	send_one(&a, 1, 99, 7);
	cr_expect_eq(up.count, 1);
	cr_expect_eq(b.count + c.count, 0);
	cr_expect_eq(COUNT(a, in_drops), 0);
	unplug_all();
}

/* Of two, one that is full does not hold up the other. */
Test(ena_switch, waits_for_an_uplink_that_is_full_if_it_is_the_only_one)
{
	plug_all();
	up.room = 0;
	cr_expect_eq(send_one(&a, 1, 99, 7), 0);
	cr_expect_eq(COUNT(up, out_drops), 0);
	ena_port_resume(&up.port);
	cr_expect_eq(a.resumed, 1);
	end_plug_uplink(&up2, "up2");
	cr_expect_eq(send_one(&a, 1, 99, 7), 1);
	cr_expect_eq(up2.count, 1);
	cr_expect_eq(COUNT(up, out_drops), 1);
	ena_port_unplug(&up2.port);
	cr_expect_eq(send_one(&a, 1, 99, 7), 0);
	unplug_all();
}

Test(ena_switch, counts_what_leads_nowhere)
{
	end_plug(&a, "a", 1);
	cr_expect_eq(send_one(&a, 1, 99, 7), 1, "it is dealt with");
	cr_expect_eq(COUNT(a, in_drops), 1);
	send_one(&a, 1, 1, 7);
	cr_expect_eq(COUNT(a, in_drops), 2, "to itself");
	send_one(&a, 1, ALL, 7);
	cr_expect_eq(COUNT(a, in_drops), 2, "a group of none is no drop");
	ena_port_unplug(&a.port);
}

Test(ena_switch, keeps_uplinks_apart)
{
	plug_all();
	end_plug_uplink(&up2, "up2");
	send_one(&up, 50, ALL, 1);
	cr_expect_eq(up2.count, 0);
	cr_expect_eq(a.count + b.count + c.count, 3);
	send_one(&up, 50, 60, 2);
	cr_expect_eq(up2.count, 0);
	send_one(&up2, 60, 1, 3);
	send_one(&up, 50, 60, 4);
	cr_expect_eq(up2.count, 0, "not even when the address is known");
	cr_expect_eq(COUNT(up, in_drops), 2);
	ena_port_unplug(&up2.port);
	unplug_all();
}

Test(ena_switch, brings_all_to_all_from_a_hub)
{
	plug_all();
	up.port.is_hub = true;
	send_one(&up, 50, 60, 1);
	cr_expect_eq(a.count + b.count + c.count, 3);
	send_one(&up, 50, 2, 1);
	cr_expect_eq(a.count + c.count, 2, "but not what a NIC has");
	unplug_all();
}

Test(ena_switch, learns_where_an_address_is_and_that_it_moves)
{
	plug_all();
	send_one(&b, 50, ALL, 0);
	a.count = b.count = c.count = up.count = 0;
	send_one(&a, 1, 50, 1);
	cr_expect_eq(b.count, 1);
	send_one(&c, 50, 1, 2);
	send_one(&a, 1, 50, 3);
	cr_expect_eq(b.count, 1);
	cr_expect_eq(c.count, 1);
	unplug_all();
}

Test(ena_switch, forgets_an_address_that_is_silent_for_five_minutes)
{
	plug_all();
	send_one(&b, 50, ALL, 0);
	up.count = 0;
	rig_pass(299);
	send_one(&a, 1, 50, 1);
	cr_expect_eq(up.count, 0);
	send_one(&b, 50, 1, 1);
	rig_pass(299);
	send_one(&a, 1, 50, 1);
	cr_expect_eq(up.count, 0, "it was heard again");
	rig_pass(303);
	send_one(&a, 1, 50, 1);
	cr_expect_eq(up.count, 1);
	unplug_all();
}

Test(ena_switch, never_forgets_a_nics_own_address)
{
	plug_all();
	rig_pass(100000);
	send_one(&a, 1, 2, 1);
	cr_expect_eq(b.count, 1);
	unplug_all();
}

Test(ena_switch, does_not_hear_who_speaks_with_the_address_of_another_nic)
{
	plug_all();
	send_one(&b, 1, ALL, 1);
	cr_expect_eq(a.count + c.count + up.count, 0);
	cr_expect_eq(COUNT(b, in_drops), 1);
	send_one(&b, 2, 1, 1);
	cr_expect_eq(a.count, 1, "and it did not move");
	unplug_all();
}

Test(ena_switch, refuses_an_address_that_is_taken)
{
	static const uint8_t taken[] = { 2, 0, 0, 0, 0, 1 };
	static const uint8_t group[] = { 3, 0, 0, 0, 0, 1 };

	plug_all();
	cr_expect_eq(ena_port_own_address(&b.port, taken), -EADDRINUSE);
	cr_expect_eq(ena_port_own_address(&a.port, taken), 0);
	cr_expect_eq(ena_port_own_address(&a.port, group), -EINVAL);
	ena_port_unplug(&a.port);
	cr_expect_eq(ena_port_own_address(&b.port, taken), 0,
		     "it went with its port");
	cr_expect_eq(ena_port_plug(&a.port, lan), 0);
	unplug_all();
}

/* With any number of source addresses it has its share of the table. */
Test(ena_switch, lets_a_port_that_makes_addresses_up_forget_its_own_only)
{
	plug_all();
	send_one(&c, 50, ALL, 0);
	for (unsigned int i = 0; i < 20000; i++) {
		struct ena_frame frame = make_frame(7, 2, 60, 0);
		uint8_t *source = (uint8_t *)(uintptr_t)frame.header + 6;

		memcpy(source + 1, &i, sizeof i);
		ena_port_send(&b.port, &frame, 1);
	}
	cr_expect_leq(ena_switch_address_count(lan), 3 + 1 + 256);
	c.count = 0;
	send_one(&a, 1, 50, 1);
	send_one(&a, 1, 3, 1);
	cr_expect_eq(c.count, 2);
	unplug_all();
	cr_expect_eq(ena_switch_address_count(lan), 0);
}

Test(ena_switch, delivers_neighbours_for_the_same_port_at_once)
{
	struct ena_frame frames[6] = {
		make_frame(1, 2, 60, 0), make_frame(1, 2, 61, 1),
		make_frame(1, 2, 62, 2), make_frame(1, 3, 60, 3),
		make_frame(1, 2, 60, 4), make_frame(1, 2, 60, 5),
	};

	plug_all();
	cr_expect_eq(ena_port_send(&a.port, frames, 6), 6);
	cr_expect_eq(b.count, 5);
	cr_expect_eq(b.calls, 2);
	cr_expect_eq(c.calls, 1);
	cr_expect_eq(COUNT(a, in_bytes), 60 + 61 + 62 + 3 * 60);
	unplug_all();
}

Test(ena_switch, keeps_the_order_when_a_port_is_full)
{
	struct ena_frame frames[6] = {
		make_frame(1, 2, 60, 0), make_frame(1, 2, 60, 1),
		make_frame(1, 2, 60, 2), make_frame(1, 3, 60, 3),
		make_frame(1, 2, 60, 4), make_frame(1, 2, 60, 5),
	};
	unsigned int done;

	plug_all();
	b.room = 2;
	done = ena_port_send(&a.port, frames, 6);
	cr_expect_eq(done, 2);
	cr_expect_eq(c.count, 0, "what is behind waits too");
	cr_expect_eq(COUNT(a, in_frames), 2);
	cr_expect_eq(a.resumed, 0);
	b.room = 100;
	ena_port_resume(&b.port);
	cr_expect_eq(a.resumed, 1);
	cr_expect_eq(c.resumed, 0, "it does not wait");
	cr_expect_eq(ena_port_send(&a.port, frames + done, 6 - done), 4);
	for (unsigned int i = 0; i < b.count; i++)
		cr_expect_eq(b.tag[i], i < 3 ? i : i + 1);
	ena_port_resume(&b.port);
	cr_expect_eq(a.resumed, 1, "once");
	unplug_all();
}

Test(ena_switch, waits_no_longer_for_a_port_that_is_stuck)
{
	plug_all();
	b.room = 0;
	cr_expect_eq(send_one(&a, 1, 2, 0), 0);
	rt_loop_step(loop, 0);
	cr_expect_eq(a.resumed, 0);
	rig_pass(1);
	rt_loop_step(loop, 0);
	cr_expect_eq(a.resumed, 1);
	cr_expect_eq(send_one(&a, 1, 2, 1), 1);
	cr_expect_eq(send_one(&c, 3, 2, 2), 1, "at once");
	cr_expect_eq(COUNT(b, out_drops), 2);
	cr_expect_eq(COUNT(b, out_frames), 0);
	b.room = 1;
	ena_port_resume(&b.port);
	cr_expect_eq(send_one(&a, 1, 2, 3), 1);
	cr_expect_eq(b.tag[0], 3);
	cr_expect_eq(send_one(&a, 1, 2, 4), 0, "it has patience again");
	cr_expect_eq(COUNT(b, out_drops), 2);
	unplug_all();
}

Test(ena_switch, delivers_to_others_past_who_is_stuck)
{
	struct ena_frame frames[4] = { make_frame(1, 2, 60, 0),
				       make_frame(1, 3, 60, 1),
				       make_frame(1, 2, 60, 2),
				       make_frame(1, 3, 60, 3) };

	plug_all();
	b.room = 0;
	cr_expect_eq(ena_port_send(&a.port, frames, 4), 0);
	rig_pass(1);
	rt_loop_step(loop, 0);
	cr_expect_eq(ena_port_send(&a.port, frames, 4), 4);
	cr_expect_eq(c.count, 2);
	cr_expect_eq(COUNT(b, out_drops), 2);
	unplug_all();
}

Test(ena_switch, floods_without_those_who_have_no_room)
{
	struct ena_frame frames[2] = { make_frame(1, ALL, 60, 0),
				       make_frame(1, ALL, 60, 1) };

	plug_all();
	b.room = 1;
	cr_expect_eq(ena_port_send(&a.port, frames, 2), 2);
	cr_expect_eq(b.count, 1);
	cr_expect_eq(c.count, 2);
	cr_expect_eq(COUNT(b, out_drops), 1);
	cr_expect_eq(COUNT(a, in_frames), 2);
	unplug_all();
}

Test(ena_switch, resumes_who_waits_for_a_port_that_goes)
{
	plug_all();
	b.room = 0;
	cr_expect_eq(send_one(&a, 1, 2, 0), 0);
	ena_port_unplug(&b.port);
	cr_expect_eq(a.resumed, 1);
	cr_expect_eq(send_one(&a, 1, 2, 0), 1);
	cr_expect_eq(up.count, 1);
	unplug_all();
}

Test(ena_switch, counts_a_super_packet_as_its_segments)
{
	struct ena_frame frame = make_tso(1, 2, 2500, 1000);

	plug_all();
	cr_expect_eq(ena_port_send(&a.port, &frame, 1), 1);
	cr_expect_eq(COUNT(b, out_frames), 3);
	cr_expect_eq(COUNT(b, out_bytes), 2500 + 3 * 54);
	unplug_all();
}

Test(ena_switch, drops_what_cannot_be_and_goes_on)
{
	struct ena_frame frames[4] = {
		make_tso(1, 2, 2500, 0), /* segments of nothing */
		make_frame(1, 2, 13, 1), /* no Ethernet header */
		make_frame(1, 2, 60, 2),
		make_tso(1, 2, 2500, 0),
	};

	plug_all();
	cr_expect_eq(ena_port_send(&a.port, frames, 4), 4);
	cr_expect_eq(b.count, 1);
	cr_expect_eq(b.tag[0], 2);
	cr_expect_eq(COUNT(a, in_drops), 3);
	unplug_all();
}

Test(ena_switch, has_room_for_256_ports)
{
	static struct ena_port ports[257];
	struct ena_port *port = NULL;
	unsigned int seen = 0;

	for (unsigned int i = 0; i < 257; i++) {
		ports[i].type = &(const struct ena_port_type){ .name = "x" };
		cr_expect_eq(ena_port_plug(&ports[i], lan),
			     i < 256 ? 0 : -ENOSPC);
	}
	while ((port = ena_switch_next_port(lan, port)))
		seen++;
	cr_expect_eq(seen, 256);
	for (unsigned int i = 0; i < 256; i++)
		ena_port_unplug(&ports[i]);
}

Test(ena_switch, takes_one_uplink_of_a_configuration_or_none)
{
	struct ena_uplink_config none = { 0 }, null = { .is_null = true },
				 two = { .is_null = true, .is_user = true };
	struct rt_error *error = NULL;
	struct ena_port *port;

	cr_expect_eq(ena_uplink_open(loop, lan, &none, &port, error), 0);
	cr_expect_null(port);
	cr_expect_eq(ena_uplink_open(loop, lan, &two, &port, error), -EINVAL);
	cr_expect_eq(ena_uplink_open(loop, lan, &null, &port, error), 0);
	cr_assert_not_null(port);
	cr_expect_str_eq(port->name, "lan.null");
	end_plug(&a, "a", 1);
	send_one(&a, 1, 99, 1);
	cr_expect_eq(rt_counter_read(&port->counters.out_frames), 1);
	cr_expect_eq(COUNT(a, in_drops), 0);
	ena_port_unplug(&a.port);
	ena_uplink_close(&port);
	cr_expect_null(port);
}
