/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tap, against the kernel: the tests have a network namespace of their own,
 * so they need no rights on the machine.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ena/wire.h"
#include "firmware/rt/error.h"
#include "rig.h"

static struct end nic;
static struct ena_port *tap;
static struct rt_error error;
static bool can_run;

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		cr_log_warn("%s: %s", path, strerror(errno));
	close(fd);
}

static int namespace_errno;
static bool has_one_user; /* the namespace */

/*
 * As root of a new user namespace, where the user is not root already: before
 * there is a second thread, which the kernel would not have.
 */
static void __attribute__((constructor)) enter_namespaces(void)
{
	char map[32];
	uid_t uid = geteuid();

	if (!unshare(CLONE_NEWNET))
		return;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET)) {
		namespace_errno = errno;
		return;
	}
	snprintf(map, sizeof map, "0 %u 1", uid);
	write_file("/proc/self/uid_map", map);
	has_one_user = true;
}

static void make(void)
{
	int fd;

	rig_make_virtual(); /* so nobody loses patience */
	fd = open("/dev/net/tun", O_RDWR);
	can_run = fd >= 0 && !namespace_errno;
	if (!can_run)
		cr_log_warn("no tap here: %s",
			    strerror(fd < 0 ? errno : namespace_errno));
	close(fd);
}

TestSuite(ena_tap, .init = make, .fini = rig_drop);

static int open_tap(const char *name, uint64_t mtu)
{
	struct ena_uplink_config config = { .tap = (char *)name, .mtu = mtu };

	return ena_uplink_open(loop, lan, &config, &tap, &error);
}

static void plug(uint64_t mtu)
{
	cr_assert_eq(open_tap("tap0", mtu), 0, "%s", error.text);
	end_plug(&nic, "nic", 1);
}

static void unplug(void)
{
	ena_port_unplug(&nic.port);
	ena_uplink_close(&tap);
}

/* 10.0.0.2/24 and the guest 10.0.0.1 at 02:00:00:00:00:01, without ARP. */
static void give_address(void)
{
	cr_assert_eq(system("ip addr add 10.0.0.2/24 dev tap0 && ip neigh add "
			    "10.0.0.1 lladdr 02:00:00:00:00:01 dev tap0"),
		     0);
}

static unsigned int tap_mtu(void)
{
	struct ifreq request = { .ifr_name = "tap0" };
	int sock = socket(AF_INET, SOCK_DGRAM, 0);

	cr_expect_eq(ioctl(sock, SIOCGIFMTU, &request), 0);
	close(sock);
	return request.ifr_mtu;
}

static void address_of_tap(uint8_t *out)
{
	struct ifreq request = { .ifr_name = "tap0" };
	int sock = socket(AF_INET, SOCK_DGRAM, 0);

	cr_expect_eq(ioctl(sock, SIOCGIFHWADDR, &request), 0);
	memcpy(out, request.ifr_hwaddr.sa_data, 6);
	close(sock);
}

Test(ena_tap, is_made_and_goes_with_the_card)
{
	if (!can_run)
		return;
	plug(0);
	cr_expect_str_eq(tap->name, "lan.tap0");
	cr_expect_neq(if_nametoindex("tap0"), 0);
	cr_expect_eq(tap_mtu(), 1500);
	unplug();
	cr_expect_eq(if_nametoindex("tap0"), 0);
}

Test(ena_tap, has_the_mtu_that_is_asked_for)
{
	if (!can_run)
		return;
	plug(9001);
	cr_expect_eq(tap_mtu(), 9001);
	unplug();
}

Test(ena_tap, that_is_there_stays_as_it_is)
{
	if (!can_run)
		return;
	cr_assert_eq(system("ip tuntap add tap0 mode tap && "
			    "ip link set tap0 mtu 4000"),
		     0);
	plug(0);
	cr_expect_eq(tap_mtu(), 4000);
	unplug();
	cr_expect_neq(if_nametoindex("tap0"), 0);
}

Test(ena_tap, for_several_queues_is_opened_too)
{
	if (!can_run)
		return;
	cr_assert_eq(system("ip tuntap add tap0 mode tap multi_queue"), 0);
	plug(0);
	unplug();
}

Test(ena_tap, in_use_says_so)
{
	struct ena_port *first;

	if (!can_run)
		return;
	cr_assert_eq(open_tap("tap0", 0), 0);
	first = tap;
	cr_expect_eq(open_tap("tap0", 0), -EBUSY);
	cr_expect(strstr(error.text, "tap0"));
	cr_expect_neq(error.hint[0], 0);
	cr_expect_null(tap);
	ena_uplink_close(&first);
}

Test(ena_tap, refuses_names_that_cannot_be)
{
	cr_expect_eq(open_tap("", 0), -EINVAL);
	cr_expect_eq(open_tap("a/b", 0), -EINVAL);
	cr_expect_eq(open_tap("tap%d", 0), -EINVAL);
	cr_expect_eq(open_tap("0123456789abcdef", 0), -EINVAL);
	if (!can_run)
		return;
	cr_expect_eq(open_tap("lo", 0), -EINVAL);
	cr_expect(strstr(error.hint, "must be a tap"));
}

/* Anybody may have one that was made for them; nobody else may make one. */
Test(ena_tap, without_rights_opens_its_own_and_says_how_to_make_one)
{
	if (!can_run || has_one_user)
		return;
	cr_assert_eq(system("ip tuntap add tap0 mode tap user 65534 && "
			    "ip link set tap0 up mtu 9001"),
		     0);
	cr_assert_eq(setresuid(65534, 65534, 65534), 0);
	plug(0);
	unplug();
	cr_expect_eq(open_tap("tap0", 1500), -EPERM, "another MTU");
	cr_expect(strstr(error.hint, "mtu 1500"), "%s", error.hint);
	cr_expect_eq(open_tap("tap1", 0), -EPERM);
	cr_expect(strstr(error.hint, "ip tuntap add tap1"), "%s", error.hint);
}

/* ---- To the kernel ---- */

/* A TCP connection whose guest side is made by hand. */
struct talk {
	int listener, sock;
	uint32_t our_seq, their_seq;
};

static void store16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void store32(uint8_t *at, uint32_t v)
{
	store16(at, v >> 16);
	store16(at + 2, v);
}

/* A segment to 10.0.0.2:5001 with checksums left to do. */
static struct ena_frame make_segment(const struct talk *talk, uint8_t flags,
				     uint32_t payload, uint16_t mss)
{
	struct ena_frame f = make_tso(1, 9, payload, mss);
	uint8_t *bytes = (uint8_t *)(uintptr_t)f.header;

	address_of_tap(bytes);
	store16(bytes + 34, 4000);
	store16(bytes + 36, 5001);
	store32(bytes + 38, talk->our_seq);
	store32(bytes + 42, talk->their_seq);
	bytes[47] = flags;
	if (!mss) {
		store16(bytes + 16, f.length - 14);
		f.flags = ENA_FRAME_L3_CSUM | ENA_FRAME_L4_CSUM_FULL;
	}
	return f;
}

static void send_segment(struct talk *talk, uint8_t flags, uint32_t payload,
			 uint16_t mss)
{
	struct ena_frame f = make_segment(talk, flags, payload, mss);

	cr_assert_eq(ena_port_send(&nic.port, &f, 1), 1);
	talk->our_seq += payload + (flags & 2 ? 1 : 0);
}

/* Until the kernel's TCP has said something; other things are ignored. */
static void hear_segment(struct talk *talk)
{
	for (int turns = 0; turns < 500; turns++) {
		nic.last_length = 0;
		rt_loop_step(loop, 10 * RT_NS_PER_MS);
		if (nic.last_length < 54 ||
		    ena_wire16(nic.last + 12) != 0x800 ||
		    nic.last[23] != IPPROTO_TCP)
			continue;
		talk->their_seq = (uint32_t)ena_wire16(nic.last + 38) << 16 |
				  ena_wire16(nic.last + 40);
		return;
	}
	cr_assert_fail("the kernel said nothing");
}

static struct talk connect_talk(void)
{
	struct sockaddr_in here = { .sin_family = AF_INET,
				    .sin_port = htons(5001) };
	struct talk talk = { .our_seq = 1000 };
	int bytes = 1 << 20;

	talk.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(talk.listener, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
	cr_assert_eq(bind(talk.listener, (void *)&here, sizeof here), 0);
	cr_assert_eq(listen(talk.listener, 1), 0);
	send_segment(&talk, 2, 0, 0); /* SYN */
	hear_segment(&talk);
	talk.their_seq++;
	send_segment(&talk, 0x10, 0, 0);
	talk.sock = accept(talk.listener, NULL, NULL);
	cr_assert_geq(talk.sock, 0);
	return talk;
}

static void end_talk(struct talk *talk)
{
	close(talk->sock);
	close(talk->listener);
}

/* Exactly those bytes that make_tso() puts there. */
static void expect_payload(int sock, uint32_t size)
{
	static uint8_t bytes[1 << 16];
	uint32_t got = 0;

	while (got < size) {
		ssize_t n = recv(sock, bytes + got, sizeof bytes - got,
				 MSG_DONTWAIT);

		cr_assert_gt(n, 0, "only %u of %u", got, size);
		got += (uint32_t)n;
	}
	cr_expect_eq(got, size);
	for (uint32_t i = 0; i < size; i++)
		cr_assert_eq(bytes[i], (uint8_t)i, "byte %u", i);
}

Test(ena_tap, brings_a_super_packet_of_40_kib_to_a_socket)
{
	struct talk talk;

	if (!can_run)
		return;
	plug(0);
	give_address();
	talk = connect_talk();
	send_segment(&talk, 0x18, 40 * 1024, 1448);
	expect_payload(talk.sock, 40 * 1024);
	cr_expect_eq(rt_counter_read(&tap->counters.out_drops), 0);
	cr_expect_eq(rt_counter_read(&tap->counters.out_frames), 2 + 29);
	end_talk(&talk);
	unplug();
}

Test(ena_tap, brings_a_super_packet_of_one_segment)
{
	struct talk talk;

	if (!can_run)
		return;
	plug(0);
	give_address();
	talk = connect_talk();
	send_segment(&talk, 0x18, 100, 1448);
	expect_payload(talk.sock, 100);
	end_talk(&talk);
	unplug();
}

/* Each way in which a checksum may be left to do. */
Test(ena_tap, leaves_checksums_to_the_kernel)
{
	struct talk talk;

	if (!can_run)
		return;
	plug(0);
	give_address();
	talk = connect_talk();
	for (unsigned int way = 0; way < 3; way++) {
		struct ena_frame f = make_segment(&talk, 0x18, 999, 0);
		uint8_t *bytes = (uint8_t *)(uintptr_t)f.header;
		uint8_t *wire = malloc(f.length);
		struct iovec piece = { wire, f.length };

		if (way == 1) { /* the pseudo-header is in the field */
			store16(bytes + 50,
				ena_sum_fold(ena_sum_pseudo(
					bytes + 14, IPPROTO_TCP, 20 + 999)));
			f.flags = ENA_FRAME_L3_CSUM | ENA_FRAME_L4_CSUM_PARTIAL;
		}
		if (way == 2) { /* all is done */
			ena_frame_put_wire(
				&f, 0, &(struct ena_frame_room){ &piece, 1 });
			f = (struct ena_frame){ .header = wire,
						.header_length = 54,
						.length = f.length,
						.parts = &piece,
						.part_count = 1 };
			piece = (struct iovec){ wire + 54, 999 };
		}
		cr_assert_eq(ena_port_send(&nic.port, &f, 1), 1);
		talk.our_seq += 999;
		expect_payload(talk.sock, 999);
		free(wire);
	}
	end_talk(&talk);
	unplug();
}

Test(ena_tap, counts_what_the_kernel_does_not_take)
{
	if (!can_run)
		return;
	plug(0);
	cr_assert_eq(system("ip link set tap0 down"), 0);
	cr_expect_eq(send_one(&nic, 1, 9, 0), 1);
	cr_expect_eq(rt_counter_read(&tap->counters.out_drops), 1);
	unplug();
}

Test(ena_tap, that_is_deleted_is_told_once_and_drops)
{
	if (!can_run)
		return;
	plug(0);
	cr_assert_eq(system("ip link del tap0"), 0);
	for (int i = 0; i < 5; i++)
		rt_loop_step(loop, 0);
	cr_expect_eq(rt_loop_step(loop, 50 * RT_NS_PER_MS), 0, "no spinning");
	cr_expect_eq(send_one(&nic, 1, 9, 0), 1);
	cr_expect_eq(rt_counter_read(&tap->counters.out_drops), 1);
	unplug();
}

/* ---- From the kernel ---- */

/* What the NIC has got of TCP payload, as segments on a wire would have it. */
Test(ena_tap, hands_on_super_packets_of_the_kernel)
{
	static uint8_t bytes[100000];
	uint64_t got = 0;
	bool has_tso = false;
	struct talk talk;

	if (!can_run)
		return;
	plug(0);
	give_address();
	talk = connect_talk();
	nic.count = 0;
	cr_assert_gt(send(talk.sock, bytes, sizeof bytes, MSG_DONTWAIT), 20000);
	cr_expect(until(nic.count > 0));
	for (unsigned int i = 0; i < nic.count; i++) {
		has_tso |= nic.flags[i] & ENA_FRAME_TSO;
		cr_expect(nic.flags[i] & ENA_FRAME_L4_CSUM_GOOD);
		got += nic.length[i] - 54;
	}
	cr_expect(has_tso);
	cr_expect_gt(got, 5000);
	/* The first segment of the last of them, on a wire. */
	{
		struct ena_frame f = { .header = nic.last,
				       .header_length = 54,
				       .length = nic.last_length };
		struct iovec rest = { nic.last + 54, nic.last_length - 54 };
		struct ena_frame_info info;

		f.parts = &rest;
		f.part_count = nic.last_length > 54;
		ena_frame_parse(&f, &info);
		cr_expect_leq(nic.last_length, 1514);
		cr_expect(ena_frame_l3_csum_is_good(&f, &info));
		cr_expect(ena_frame_l4_csum_is_good(&f, &info));
	}
	end_talk(&talk);
	unplug();
}

Test(ena_tap, hands_on_datagrams_whose_checksum_is_left_to_do)
{
	struct sockaddr_in guest = { .sin_family = AF_INET,
				     .sin_port = htons(7) };
	struct ena_frame f = { .header_length = 42, .part_count = 1 };
	struct ena_frame_info info;
	struct iovec rest;
	int sock;

	if (!can_run)
		return;
	plug(0);
	give_address();
	inet_pton(AF_INET, "10.0.0.1", &guest.sin_addr);
	sock = socket(AF_INET, SOCK_DGRAM, 0);
	cr_assert_eq(sendto(sock, "hello world", 11, 0, (void *)&guest,
			    sizeof guest),
		     11);
	cr_expect(until(nic.count && nic.last_length == 53));
	f.header = nic.last;
	f.length = 53;
	rest = (struct iovec){ nic.last + 42, 11 };
	f.parts = &rest;
	ena_frame_parse(&f, &info);
	cr_expect(ena_frame_l4_csum_is_good(&f, &info));
	close(sock);
	unplug();
}

#define DATAGRAM 43u /* one byte of UDP over IPv4 */

/* Which of them have come, in order; the kernel says other things too. */
static unsigned int count_datagrams(void)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < nic.count; i++) {
		if (nic.length[i] == DATAGRAM)
			cr_assert_eq(nic.tag[i], count++);
	}
	return count;
}

/* The kernel's queue is the buffer: nothing is lost here. */
Test(ena_tap, reads_no_more_while_the_nic_is_full)
{
	struct sockaddr_in guest = { .sin_family = AF_INET,
				     .sin_port = htons(7) };
	int sock;

	if (!can_run)
		return;
	plug(0);
	give_address();
	inet_pton(AF_INET, "10.0.0.1", &guest.sin_addr);
	sock = socket(AF_INET, SOCK_DGRAM, 0);
	nic.room = 5;
	for (uint8_t i = 0; i < 100; i++)
		sendto(sock, &i, 1, 0, (void *)&guest, sizeof guest);
	for (int i = 0; i < 20; i++)
		rt_loop_step(loop, 0);
	cr_expect_eq(nic.count, 5);
	cr_expect_eq(rt_loop_step(loop, 50 * RT_NS_PER_MS), 0, "no spinning");
	nic.room = 1000;
	ena_port_resume(&nic.port);
	cr_expect(until(count_datagrams() == 100));
	close(sock);
	unplug();
}
