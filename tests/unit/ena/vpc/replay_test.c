/* SPDX-License-Identifier: BSD-3-Clause */
/* Replay: what comes out of a file, when, and what does not. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "rig.h"

static char path[64];
static struct end a;
static struct rt_error error;
static FILE *out;

static void put(const void *bytes, size_t size)
{
	cr_assert_eq(fwrite(bytes, 1, size, out), size);
}

/* A pcap file of that link type. */
static void begin_file(uint32_t link_type)
{
	const uint32_t header[] = { 0xa1b2c3d4, 4 << 16 | 2, 0,
				    0,          262144,      link_type };

	out = fopen(path, "we");
	cr_assert_not_null(out);
	put(header, sizeof header);
}

static void add_frame(uint32_t us, uint8_t to, uint32_t length, uint8_t tag,
		      uint32_t cut)
{
	const uint32_t header[] = { 1000000 + us / 1000000, us % 1000000,
				    length - cut, length };
	struct ena_frame frame = make_frame(77, to, length, tag);
	uint8_t bytes[2048];

	ena_frame_copy(&frame, 0, bytes, length);
	put(header, sizeof header);
	put(bytes, length - cut);
}

static void end_file(void)
{
	fclose(out);
}

static void make_on(void (*rig)(void))
{
	rig();
	snprintf(path, sizeof path, "/tmp/replay-test-%d.pcap", getpid());
	end_plug(&a, "a", 1);
}

static void make(void)
{
	make_on(rig_make);
}

static void make_virtual(void)
{
	make_on(rig_make_virtual);
}

static void drop(void)
{
	ena_port_unplug(&a.port);
	unlink(path);
	rig_drop();
}

TestSuite(ena_replay, .init = make, .fini = drop);
TestSuite(ena_replay_time, .init = make_virtual, .fini = drop);

static struct ena_port *replay(unsigned int pace, bool is_repeated)
{
	struct ena_uplink_config config = { .replay = path,
					    .replay_pace = pace,
					    .is_replay_repeated = is_repeated };
	struct ena_port *port;

	cr_assert_eq(ena_uplink_open(loop, lan, &config, &port, &error), 0,
		     "%s", error.text);
	return port;
}

static void turn(unsigned int times)
{
	while (times--)
		rt_loop_step(loop, 0);
}

Test(ena_replay_time, keeps_the_pace_of_the_time_stamps)
{
	struct ena_port *port;

	begin_file(1);
	add_frame(0, 1, 60, 1, 0);
	add_frame(10, 1, 1514, 2, 0);
	add_frame(3000000, 1, 60, 3, 0);
	add_frame(7000000, 1, 60, 4, 0);
	end_file();
	port = replay(ENA_REPLAY_RECORDED, false);
	turn(4);
	cr_expect_eq(a.count, 1);
	rig_pass(1);
	turn(4);
	cr_expect_eq(a.count, 2);
	cr_expect_eq(a.length[1], 1514);
	rig_pass(1);
	turn(4);
	cr_expect_eq(a.count, 2);
	rig_pass(1);
	turn(4);
	cr_expect_eq(a.count, 3);
	rig_pass(10);
	turn(4);
	cr_expect_eq(a.count, 4);
	rig_pass(100);
	turn(4);
	cr_expect_eq(a.count, 4, "once");
	for (unsigned int i = 0; i < 4; i++)
		cr_expect_eq(a.tag[i], i + 1);
	ena_uplink_close(&port);
}

Test(ena_replay_time, begins_anew_when_it_is_to_repeat)
{
	struct ena_port *port;

	begin_file(1);
	add_frame(0, 1, 60, 1, 0);
	add_frame(1000000, 1, 60, 2, 0);
	end_file();
	port = replay(ENA_REPLAY_RECORDED, true);
	for (int i = 0; i < 20; i++) {
		turn(4);
		rig_pass(1);
	}
	cr_expect_geq(a.count, 19);
	cr_expect_leq(a.count, 21, "a pause between passes");
	ena_uplink_close(&port);
}

Test(ena_replay, gives_all_at_full_pace_in_order)
{
	struct ena_port *port;

	begin_file(1);
	for (unsigned int i = 0; i < 1000; i++)
		add_frame(i * 1000000, 1, 60, (uint8_t)i, 0);
	end_file();
	port = replay(ENA_REPLAY_FULL, false);
	cr_expect(until(a.count == 1000));
	for (unsigned int i = 0; i < 1000; i++)
		cr_expect_eq(a.tag[i], i % 256);
	turn(10);
	cr_expect_eq(a.count, 1000);
	ena_uplink_close(&port);
}

Test(ena_replay_time, waits_for_a_receiver_that_is_full)
{
	struct ena_port *port;

	begin_file(1);
	for (unsigned int i = 0; i < 100; i++)
		add_frame(i, 1, 60, (uint8_t)i, 0);
	end_file();
	a.room = 10;
	port = replay(ENA_REPLAY_FULL, false);
	turn(20);
	cr_expect_eq(a.count, 10);
	a.room = 1000;
	ena_port_resume(&a.port);
	cr_expect(until(a.count == 100));
	for (unsigned int i = 0; i < 100; i++)
		cr_expect_eq(a.tag[i], i);
	ena_uplink_close(&port);
}

Test(ena_replay, gives_frames_to_strangers_to_all)
{
	struct ena_port *port;

	begin_file(1);
	add_frame(0, 99, 60, 1, 0);
	end_file();
	port = replay(ENA_REPLAY_FULL, false);
	cr_expect(until(a.count == 1));
	ena_uplink_close(&port);
}

Test(ena_replay, leaves_out_what_was_cut_short_and_counts_it)
{
	struct ena_port *port;

	begin_file(1);
	add_frame(0, 1, 1000, 1, 900);
	add_frame(0, 1, 60, 2, 0);
	end_file();
	port = replay(ENA_REPLAY_FULL, false);
	cr_expect(until(a.count == 1));
	cr_expect_eq(a.tag[0], 2);
	cr_expect_eq(rt_counter_read(&port->counters.in_drops), 1);
	ena_uplink_close(&port);
}

Test(ena_replay, of_an_empty_or_damaged_file_ends)
{
	struct ena_port *port;

	begin_file(1);
	end_file();
	port = replay(ENA_REPLAY_FULL, true);
	turn(5);
	cr_expect_eq(rt_loop_step(loop, 100 * RT_NS_PER_MS), 0);
	ena_uplink_close(&port);

	begin_file(1);
	add_frame(0, 1, 60, 1, 0);
	put("\1\2\3\4\5\6\7", 7);
	end_file();
	port = replay(ENA_REPLAY_FULL, false);
	cr_expect(until(a.count == 1));
	turn(5);
	cr_expect_eq(a.count, 1);
	ena_uplink_close(&port);
}

Test(ena_replay, refuses_what_is_no_capture_of_ethernet)
{
	struct ena_uplink_config config = { .replay = path };
	struct ena_port *port;

	cr_expect_eq(ena_uplink_open(loop, lan, &config, &port, &error),
		     -EINVAL);
	cr_expect(strstr(error.text, path), "%s", error.text);
	begin_file(101); /* IP without Ethernet */
	end_file();
	cr_expect_eq(ena_uplink_open(loop, lan, &config, &port, &error),
		     -EINVAL);
	cr_expect_null(port);
}

Test(ena_replay, reads_what_a_capture_wrote)
{
	static struct end b;
	struct ena_port *port;

	end_plug(&b, "b", 2);
	cr_assert_eq(ena_port_capture(&b.port, path, &error), 0);
	for (uint8_t i = 0; i < 50; i++)
		send_one(&b, 50, 1, i);
	ena_port_unplug(&b.port);
	a.count = 0;
	port = replay(ENA_REPLAY_FULL, false);
	cr_expect(until(a.count == 50));
	for (unsigned int i = 0; i < 50; i++)
		cr_expect_eq(a.tag[i], i);
	ena_uplink_close(&port);
}
