/* SPDX-License-Identifier: BSD-3-Clause */
/* Captures: what the file says, block by block, and to tshark. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ena/wire.h"
#include "firmware/rt/error.h"
#include "rig.h"

static char path[64];
static struct end a, b, up;
static struct rt_error error;

static void make(void)
{
	rig_make();
	snprintf(path, sizeof path, "/tmp/capture-test-%d.pcapng", getpid());
	end_plug(&a, "eth0", 1);
	end_plug(&b, "eth1", 2);
	end_plug_uplink(&up, "lan.tap0");
}

static void drop(void)
{
	ena_port_unplug(&a.port);
	ena_port_unplug(&b.port);
	ena_port_unplug(&up.port);
	unlink(path);
	rig_drop();
}

TestSuite(ena_capture, .init = make, .fini = drop);

/* ---- The file, block by block ---- */

static uint8_t file[8 << 20];
static size_t file_size;

static void read_file(void)
{
	FILE *stream = fopen(path, "re");

	cr_assert_not_null(stream);
	file_size = fread(file, 1, sizeof file, stream);
	fclose(stream);
}

static uint32_t word(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof value);
	return value;
}

/* The block after it, NULL: the first.  Its two lengths agree. */
static const uint8_t *next_block(const uint8_t *block)
{
	const uint8_t *next = block ? block + word(block + 4) : file;
	uint32_t size;

	if (next == file + file_size)
		return NULL;
	cr_assert_geq(file + file_size - next, 12);
	size = word(next + 4);
	cr_assert_eq(size % 4, 0);
	cr_assert_leq(size, file + file_size - next);
	cr_assert_eq(word(next + size - 4), size);
	return next;
}

/* Block number n of that type. */
static const uint8_t *find_block(uint32_t type, unsigned int n)
{
	const uint8_t *block = NULL;

	while ((block = next_block(block))) {
		if (word(block) == type && !n--)
			return block;
	}
	return NULL;
}

#define INTERFACE 1
#define STATISTIC 5
#define PACKET    6

static uint32_t packet_length(const uint8_t *packet)
{
	cr_expect_eq(word(packet + 20), word(packet + 24), "captured whole");
	return word(packet + 24);
}

static uint32_t packet_direction(const uint8_t *packet)
{
	const uint8_t *options =
		packet + 28 + (packet_length(packet) + 3) / 4 * 4;

	cr_expect_eq(word(options), 2 | 4 << 16);
	return word(options + 4);
}

static void capture(struct end *end)
{
	cr_assert_eq(ena_port_capture(&end->port, path, &error), 0, "%s",
		     error.text);
}

Test(ena_capture, has_an_interface_with_a_name_and_nanoseconds_for_each_port)
{
	const uint8_t *block;

	capture(&a);
	capture(&b);
	ena_port_capture_end(&a.port);
	ena_port_capture_end(&b.port);
	read_file();
	block = find_block(0x0a0d0d0a, 0);
	cr_assert_eq(block, file);
	cr_expect_eq(word(block + 8), 0x1a2b3c4d);
	for (unsigned int i = 0; i < 2; i++) {
		static const char *const names[] = { "eth0", "eth1" };

		block = find_block(INTERFACE, i);
		cr_assert_not_null(block);
		cr_expect_eq(word(block + 8), 1, "Ethernet");
		cr_expect_eq(word(block + 12), 0, "whole frames");
		cr_expect_eq(word(block + 16), 2 | 4 << 16);
		cr_expect(!memcmp(block + 20, names[i], 4));
		cr_expect_eq(word(block + 24), 9 | 1 << 16);
		cr_expect_eq(block[28], 9);
	}
	cr_expect_null(find_block(INTERFACE, 2));
	cr_expect_not_null(find_block(STATISTIC, 1));
}

Test(ena_capture, has_frames_both_ways_as_their_sender_and_receiver_see_them)
{
	uint64_t stamp_ns, now_ns;
	const uint8_t *packet;

	capture(&a);
	send_one(&a, 1, 2, 0x51);
	send_one(&b, 2, 1, 0x52);
	send_one(&b, 2, 99, 0x53);
	ena_port_capture_end(&a.port);
	read_file();
	packet = find_block(PACKET, 0);
	cr_assert_not_null(packet);
	cr_expect_eq(packet_length(packet), 60);
	cr_expect_eq(packet[28 + 59], 0x51);
	cr_expect_eq(packet_direction(packet), 2, "outbound");
	stamp_ns = (uint64_t)word(packet + 12) << 32 | word(packet + 16);
	now_ns = (uint64_t)time(NULL) * RT_NS_PER_S;
	cr_expect_lt(now_ns - stamp_ns + 2 * RT_NS_PER_S, 4 * RT_NS_PER_S);
	packet = find_block(PACKET, 1);
	cr_assert_not_null(packet);
	cr_expect_eq(packet[28 + 59], 0x52);
	cr_expect_eq(packet_direction(packet), 1, "inbound");
	cr_expect_null(find_block(PACKET, 2), "not what passed elsewhere");
}

Test(ena_capture, has_a_super_packet_as_segments_with_checksums)
{
	struct ena_frame frame = make_tso(1, 2, 2500, 1000);

	capture(&b);
	ena_port_send(&a.port, &frame, 1);
	ena_port_capture_end(&b.port);
	read_file();
	for (unsigned int i = 0; i < 3; i++) {
		static const uint32_t sizes[] = { 1054, 1054, 554 };
		const uint8_t *packet = find_block(PACKET, i);
		struct ena_frame segment = { 0 };
		struct ena_frame_info info;
		struct iovec rest;

		cr_assert_not_null(packet);
		cr_assert_eq(packet_length(packet), sizes[i]);
		rest = (struct iovec){ (void *)(packet + 28 + 100),
				       sizes[i] - 100 };
		segment = (struct ena_frame){ .header = packet + 28,
					      .header_length = 100,
					      .length = sizes[i],
					      .parts = &rest,
					      .part_count = 1 };
		ena_frame_parse(&segment, &info);
		cr_expect(ena_frame_l3_csum_is_good(&segment, &info));
		cr_expect(ena_frame_l4_csum_is_good(&segment, &info));
	}
	cr_expect_null(find_block(PACKET, 3));
}

Test(ena_capture, has_what_was_sent_before_what_was_received)
{
	capture(&a);
	capture(&b);
	send_one(&b, 2, 1, 1);
	send_one(&a, 1, 2, 2);
	send_one(&b, 2, ALL, 3);
	ena_port_capture_end(&a.port);
	ena_port_capture_end(&b.port);
	read_file();
	for (unsigned int i = 0; i < 6; i++) {
		const uint8_t *packet = find_block(PACKET, i);

		cr_assert_not_null(packet);
		cr_expect_eq(packet[28 + 59], i / 2 + 1);
		cr_expect_eq(packet_direction(packet), i % 2 ? 1 : 2);
	}
}

Test(ena_capture, reaches_the_file_soon_without_more_traffic)
{
	struct stat status;

	capture(&a);
	send_one(&a, 1, 2, 1);
	cr_expect(until(!stat(path, &status) && status.st_size > 100));
	read_file();
	cr_expect_not_null(find_block(PACKET, 0));
	ena_port_capture_end(&a.port);
}

Test(ena_capture, sets_no_timer_while_nothing_passes)
{
	capture(&a);
	for (int i = 0; i < 30; i++)
		rt_loop_step(loop, 10 * RT_NS_PER_MS);
	cr_expect_eq(rt_loop_step(loop, 200 * RT_NS_PER_MS), 0);
	ena_port_capture_end(&a.port);
}

Test(ena_capture, of_a_torrent_has_or_counts_each_frame)
{
	uint64_t packets = 0, missing = 0;
	const uint8_t *block = NULL;

	capture(&b);
	for (unsigned int i = 0; i < 100; i++) {
		struct ena_frame frames[32];

		for (unsigned int k = 0; k < 32; k++)
			frames[k] = make_frame(1, 2, 1514, 0);
		cr_assert_eq(ena_port_send(&a.port, frames, 32), 32);
	}
	ena_port_capture_end(&b.port);
	read_file();
	while ((block = next_block(block))) {
		packets += word(block) == PACKET;
		if (word(block) == STATISTIC)
			memcpy(&missing, block + 24, 8);
	}
	cr_expect_eq(packets + missing, 3200);
	cr_expect_gt(packets, 600, "two buffers' worth at least");
}

Test(ena_capture, refuses_what_it_cannot_share)
{
	struct ena_switch *lan2;
	struct rt_loop *loop2;
	struct end other;

	capture(&a);
	cr_expect_eq(ena_port_capture(&a.port, path, &error), -EBUSY);
	cr_expect_eq(ena_port_capture(&b.port, "/dev/null", &error), -EINVAL);
	cr_expect_eq(ena_port_capture(&b.port, "/no/where", &error), -ENOENT);
	cr_expect_null(b.port.capture);

	cr_assert_eq(rt_loop_create(NULL, &loop2), 0);
	cr_assert_eq(ena_switch_get(loop2, "lan", &lan2), 0);
	memset(&other, 0, sizeof other);
	other.port.type = a.port.type;
	cr_assert_eq(ena_port_plug(&other.port, lan2), 0);
	cr_expect_eq(ena_port_capture(&other.port, path, &error), -EBUSY);
	cr_expect(strstr(error.hint, "another capture"));
	ena_port_unplug(&other.port);
	ena_switch_put(&lan2);
	rt_loop_destroy(&loop2);
}

Test(ena_capture, of_a_full_disk_ends_with_a_whole_block_and_traffic_goes_on)
{
	struct rlimit limit = { 100000, RLIM_INFINITY };

	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	capture(&b);
	send_one(&a, 1, 2, 1);
	for (int i = 0; i < 30; i++)
		rt_loop_step(loop, 10 * RT_NS_PER_MS);
	for (unsigned int i = 0; i < 3000; i++) {
		struct ena_frame frame = make_frame(1, 2, 1514, 0);

		cr_assert_eq(ena_port_send(&a.port, &frame, 1), 1);
	}
	ena_port_capture_end(&b.port);
	read_file();
	cr_expect_not_null(find_block(PACKET, 0));
	cr_expect_eq(b.count, 3001);
}

Test(ena_capture, belongs_to_its_user_only)
{
	struct stat status;

	capture(&a);
	cr_assert_eq(stat(path, &status), 0);
	cr_expect_eq(status.st_mode & 0777, 0600);
}

Test(ena_capture, opens_in_tshark_without_complaint)
{
	struct ena_frame frame = make_tso(1, 2, 2500, 1000);
	struct {
		const char *want; /* interface, direction, checksum is good */
		unsigned int count;
	} lines[] = { { "eth0,0x00000002,1\n", 0 },
		      { "eth1,0x00000001,1\n", 0 },
		      { "eth1,0x00000002,\n", 0 },
		      { "eth0,0x00000001,\n", 0 } };
	char command[256], line[256];
	FILE *pipe;

	if (system("command -v tshark >/dev/null")) {
		cr_log_warn("tshark is not installed");
		return;
	}
	capture(&a);
	capture(&b);
	ena_port_send(&a.port, &frame, 1);
	send_one(&b, 2, ALL, 1);
	ena_port_capture_end(&a.port);
	ena_port_capture_end(&b.port);
	snprintf(command, sizeof command,
		 "tshark -r %s -o tcp.check_checksum:TRUE -T fields -E "
		 "separator=, -e frame.interface_name -e "
		 "frame.packet_flags_direction "
		 "-e tcp.checksum.status 2>&1 | grep -v 'Running as'",
		 path);
	pipe = popen(command, "r");
	cr_assert_not_null(pipe);
	while (fgets(line, sizeof line, pipe)) {
		unsigned int n = 0;

		while (n < 4 && strcmp(line, lines[n].want))
			n++;
		cr_assert_lt(n, 4, "%s", line);
		lines[n].count++;
	}
	for (unsigned int n = 0; n < 4; n++)
		cr_expect_eq(lines[n].count, n < 2 ? 3 : 1, "%s",
			     lines[n].want);
	cr_expect_eq(pclose(pipe), 0);
}
