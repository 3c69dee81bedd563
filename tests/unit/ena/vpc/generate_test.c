/* SPDX-License-Identifier: BSD-3-Clause */
/* The load: what its frames are, and when it rests. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "ena/abi.h"
#include "ena/wire.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "rig.h"

static struct end a, b;
static struct rt_error error;

static void make(void)
{
	rig_make_virtual();
	end_plug(&a, "a", 1);
	end_plug(&b, "b", 2);
}

static void drop(void)
{
	ena_port_unplug(&a.port);
	ena_port_unplug(&b.port);
	rig_drop();
}

TestSuite(ena_generate, .init = make, .fini = drop);

/* To the first of them. */
static struct ena_port *generate(uint64_t size)
{
	struct ena_frame to_a = make_frame(2, 1, 60, 0);
	struct ena_uplink_config config = { .generate = size };
	struct ena_port *port;

	memcpy(config.address, to_a.header, sizeof config.address);
	cr_assert_eq(ena_uplink_open(loop, lan, &config, &port, &error), 0,
		     "%s", error.text);
	return port;
}

static void turn(unsigned int times)
{
	while (times--)
		rt_loop_step(loop, 0);
}

static void expect_right(uint32_t size)
{
	struct ena_frame frame = { .header = a.last,
				   .header_length = ENA_FRAME_HEADER_BYTES,
				   .length = size };
	struct iovec rest = { a.last + ENA_FRAME_HEADER_BYTES,
			      size - ENA_FRAME_HEADER_BYTES };
	struct ena_frame_info info;

	if (size <= ENA_FRAME_HEADER_BYTES)
		frame.header_length = (uint16_t)size;
	frame.part_count = size > ENA_FRAME_HEADER_BYTES;
	frame.parts = &rest;
	ena_frame_parse(&frame, &info);
	cr_expect(info.is_whole);
	cr_expect_eq(info.l4_proto, ENA_ETH_IO_L4_PROTO_UDP);
	cr_expect_eq(info.l3_length, size - ENA_ETHER_HEADER_BYTES);
	cr_expect(ena_frame_l3_csum_is_good(&frame, &info), "of %u", size);
	cr_expect(ena_frame_l4_csum_is_good(&frame, &info), "of %u", size);
}

Test(ena_generate, sends_frames_that_are_right_from_256_ports)
{
	static const uint32_t sizes[] = { 60, 61, 256, 257, 1514, 9214 };

	for (unsigned int i = 0; i < RT_COUNT(sizes); i++) {
		struct ena_port *port = generate(sizes[i]);
		bool has_come[256] = { 0 };
		unsigned int flows = 0;

		for (unsigned int n = 0; n < 512; n++) {
			unsigned int from;

			a.room = 1;
			ena_port_resume(&a.port);
			turn(1);
			cr_assert_eq(a.last_length, sizes[i]);
			expect_right(sizes[i]);
			cr_expect_eq(a.flags[(a.count - 1) % RIG_FRAMES],
				     ENA_FRAME_L3_CSUM_GOOD |
					     ENA_FRAME_L4_CSUM_GOOD);
			from = ena_wire16(a.last + 34) % 256;
			flows += !has_come[from];
			has_come[from] = true;
		}
		cr_expect_eq(flows, 256);
		ena_uplink_close(&port);
	}
	cr_expect_eq(b.count, 0, "only who has the uplink gets them");
}

Test(ena_generate, waits_for_a_receiver_that_is_full)
{
	struct ena_port *port;

	a.room = 100;
	port = generate(60);
	turn(20);
	cr_expect_eq(a.count, 100);
	cr_expect_neq(rt_loop_step(loop, 0), 1);
	a.room = 200;
	ena_port_resume(&a.port);
	turn(20);
	cr_expect_eq(a.count, 300);
	cr_expect_eq(rt_counter_read(&a.port.counters.out_drops), 0);
	ena_uplink_close(&port);
}

static uint64_t spin(struct rt_poller *poller, uint64_t now_ns)
{
	(void)poller;
	(void)now_ns;
	return RT_POLL_SPIN;
}

Test(ena_generate, goes_on_beside_a_receiver_that_spins)
{
	struct rt_poller spins = { .poll = spin };
	struct ena_port *port;

	a.room = 100;
	port = generate(60);
	rt_poller_start(loop, &spins);
	turn(20);
	a.room = 200;
	ena_port_resume(&a.port);
	turn(20);
	cr_expect_eq(a.count, 300);
	rt_poller_stop(loop, &spins);
	ena_uplink_close(&port);
}

Test(ena_generate, rests_while_nobody_listens)
{
	struct ena_port *port;

	a.is_deaf = true;
	port = generate(60);
	turn(20);
	cr_expect_eq(a.calls, 0);
	a.is_deaf = false;
	rig_pass(1);
	turn(2);
	cr_expect_gt(a.count, 0);
	ena_uplink_close(&port);
}

Test(ena_generate, is_one_kind_of_uplink)
{
	struct ena_uplink_config config = { .generate = 60, .is_null = true };
	struct ena_port *port;

	cr_expect_eq(ena_uplink_open(loop, lan, &config, &port, &error),
		     -EINVAL);
	cr_expect_null(port);
}
