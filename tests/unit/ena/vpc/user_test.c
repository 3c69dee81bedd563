/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The user-mode network, with a guest that is made by hand, and its process,
 * with one that is not what it should be.  tap_test.c has put this program into
 * a network namespace that leads nowhere, which must not matter.
 */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <sys/wait.h>

#include "ena/vpc/port_user.c" /* the test plays its process */
#include "ena/wire.h"
#include "rig.h"

static struct end nic;
static struct ena_port *port;
static struct ena_user *user;
static struct rt_error error;
static char folder[64];

static int open_user(const struct ena_uplink_config *config)
{
	return ena_uplink_open(loop, lan, config, &port, &error);
}

static void make(void)
{
	struct ena_uplink_config config = { .is_user = true,
					    .tftp = folder,
					    .bootfile = "boot.efi" };

	rig_make();
	snprintf(folder, sizeof folder, "/tmp/user-test-XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
	cr_assert_eq(chmod(folder, 0755), 0);
	cr_assert_eq(open_user(&config), 0, "%s", error.text);
	user = user_of(port);
	end_plug(&nic, "nic", 1);
}

static void drop(void)
{
	ena_port_unplug(&nic.port);
	ena_uplink_close(&port);
	rmdir(folder);
	rig_drop();
}

TestSuite(ena_user, .init = make, .fini = drop);

/* ---- Frames of a guest ---- */

static const uint8_t gateway[] = { 0x52, 0x55, 10, 0, 2, 2 };
#define GUEST 0x0a00020fu
#define HOST  0x0a000202u

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, v >> 16);
	put16(at + 2, v);
}

static uint32_t wire32(const uint8_t *at)
{
	return (uint32_t)ena_wire16(at) << 16 | ena_wire16(at + 2);
}

static uint8_t *bytes_of(const struct ena_frame *frame)
{
	return (uint8_t *)(uintptr_t)frame->header;
}

/* UDP from the guest with all checksums left to do. */
static struct ena_frame make_udp(uint32_t from, uint32_t to, uint16_t sport,
				 uint16_t dport, const void *payload,
				 uint32_t size)
{
	struct ena_frame f = make_tso(1, ALL, size - 12, 0);
	uint8_t *b = bytes_of(&f);

	f.flags = ENA_FRAME_L3_CSUM | ENA_FRAME_L4_CSUM_FULL;
	f.l4_proto = IPPROTO_UDP;
	put16(b + 16, size + 28);
	b[23] = IPPROTO_UDP;
	put32(b + 26, from);
	put32(b + 30, to);
	put16(b + 34, sport);
	put16(b + 36, dport);
	put16(b + 38, size + 8);
	memcpy(b + 42, payload, size);
	return f;
}

static void send_frame(const struct ena_frame *frame)
{
	cr_assert_eq(ena_port_send(&nic.port, frame, 1), 1);
}

/* Is the last frame that the guest has got UDP to that port? */
static bool is_udp_to(uint16_t dport)
{
	return nic.last && nic.last_length > 42 &&
	       ena_wire16(nic.last + 12) == 0x800 && nic.last[23] == 17 &&
	       ena_wire16(nic.last + 36) == dport;
}

static void send_dhcp(uint8_t type)
{
	uint8_t m[300] = { 1, 1, 6, 0, 1, 2, 3, 4 };
	static const uint8_t options[] = { 99, 130, 83, 99, 53, 1, 0, 255 };
	struct ena_frame f;

	m[28] = 2;
	m[33] = 1; /* 02:00:00:00:00:01 */
	memcpy(m + 236, options, sizeof options);
	m[242] = type;
	f = make_udp(0, 0xffffffff, 68, 67, m, sizeof m);
	send_frame(&f);
}

static const uint8_t *find_option(const uint8_t *message, size_t size,
				  uint8_t code)
{
	const uint8_t *at = message + 240;

	while (at + 2 < message + size && *at != 255) {
		if (*at == code)
			return at + 1;
		at += *at ? 2 + at[1] : 1;
	}
	return NULL;
}

Test(ena_user, gives_an_address_by_dhcp)
{
	const uint8_t *m, *option;

	send_dhcp(1);
	cr_assert(until(is_udp_to(68)));
	m = nic.last + 42;
	cr_expect_eq(wire32(m + 16), GUEST);
	option = find_option(m, nic.last_length - 42, 3);
	cr_assert_not_null(option, "a router");
	cr_expect(!memcmp(option, "\4\12\0\2\2", 5));
	option = find_option(m, nic.last_length - 42, 6);
	cr_assert_not_null(option, "a name server");
	cr_expect(!memcmp(option, "\4\12\0\2\3", 5));
	cr_expect(!strncmp((const char *)m + 108, "boot.efi", 9));
}

Test(ena_user, serves_its_folder_by_tftp)
{
	static const char request[] = "\0\1hello.txt\0octet";
	char path[96];
	struct ena_frame f;
	FILE *file;

	snprintf(path, sizeof path, "%s/hello.txt", folder);
	file = fopen(path, "we");
	fputs("hello, iPXE", file);
	fclose(file);
	send_dhcp(1);
	cr_assert(until(is_udp_to(68)));
	f = make_udp(GUEST, HOST, 2000, 69, request, sizeof request);
	send_frame(&f);
	cr_assert(until(is_udp_to(2000)));
	cr_expect_eq(ena_wire16(nic.last + 42), 3, "data");
	cr_expect(!memcmp(nic.last + 46, "hello, iPXE", 11));
	unlink(path);
}

/* ---- TCP to a server on the host ---- */

static struct ena_frame make_tcp(uint32_t seq, uint32_t ack, uint8_t flags,
				 uint16_t dport, uint32_t payload, uint16_t mss)
{
	struct ena_frame f = make_tso(1, 9, payload, mss);
	uint8_t *b = bytes_of(&f);

	memcpy(b, gateway, 6);
	put32(b + 26, GUEST);
	put32(b + 30, HOST);
	put16(b + 34, 4000);
	put16(b + 36, dport);
	put32(b + 38, seq);
	put32(b + 42, ack);
	b[47] = flags;
	if (!mss) {
		put16(b + 16, payload + 40);
		f.flags = ENA_FRAME_L3_CSUM | ENA_FRAME_L4_CSUM_FULL;
	}
	return f;
}

static bool is_tcp_with(uint8_t flags)
{
	return nic.last && nic.last_length >= 54 &&
	       ena_wire16(nic.last + 12) == 0x800 && nic.last[23] == 6 &&
	       (nic.last[47] & flags) == flags;
}

static int listen_at(uint16_t *out_port)
{
	struct sockaddr_in here = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof here;
	int sock = socket(AF_INET, SOCK_STREAM, 0), bytes = 1 << 20;

	if (system("ip link set lo up"))
		cr_log_warn("lo is down");
	setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
	cr_assert_eq(bind(sock, (void *)&here, sizeof here), 0);
	cr_assert_eq(listen(sock, 1), 0);
	getsockname(sock, (void *)&here, &size);
	*out_port = ntohs(here.sin_port);
	return sock;
}

/* libslirp learns where the guest is from ARP and DHCP. */
Test(ena_user, connects_to_the_host_and_takes_super_packets_whole)
{
	static uint8_t got[1 << 16];
	struct timeval patience = { 5, 0 };
	size_t size = 0, want = 40000;
	uint32_t theirs;
	struct ena_frame f;
	int listener, sock;
	uint16_t dport;

	send_dhcp(1);
	cr_assert(until(is_udp_to(68)));
	listener = listen_at(&dport);
	f = make_tcp(1000, 0, 2, dport, 0, 0);
	send_frame(&f);
	cr_assert(until(is_tcp_with(0x12)), "SYN, ACK");
	theirs = wire32(nic.last + 38) + 1;
	f = make_tcp(1001, theirs, 0x10, dport, 0, 0);
	send_frame(&f);
	f = make_tcp(1001, theirs, 0x18, dport, (uint32_t)want, 1460);
	send_frame(&f);
	sock = accept(listener, NULL, NULL);
	cr_assert_geq(sock, 0);
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	while (size < want) {
		ssize_t n = recv(sock, got + size, sizeof got - size, 0);

		cr_assert_gt(n, 0, "%zu of %zu", size, want);
		size += (size_t)n;
	}
	for (size_t i = 0; i < size; i++)
		cr_assert_eq(got[i], (uint8_t)i);
	cr_expect_eq(rt_counter_read(&port->counters.out_drops), 0);
	close(sock);
	close(listener);
}

/* ---- Its process ---- */

Test(ena_user, is_started_again_after_a_second_when_it_dies)
{
	pid_t first = user->pid;

	kill(first, SIGTERM);
	cr_assert(until(user->sock < 0));
	send_dhcp(1);
	cr_expect_eq(rt_counter_read(&port->counters.out_drops), 1);
	cr_assert(until(user->sock >= 0));
	cr_expect_neq(user->pid, first);
	send_dhcp(1);
	cr_expect(until(is_udp_to(68)));
}

Test(ena_user, leaves_no_process_behind)
{
	pid_t pid = user->pid;

	ena_uplink_close(&port);
	cr_expect_eq(kill(pid, 0), -1);
	cr_expect_eq(errno, ESRCH);
}

Test(ena_user, ends_with_a_card_that_was_killed)
{
	siginfo_t info;

	shutdown(user->sock, SHUT_RDWR);
	cr_assert_eq(
		waitid(P_PIDFD, (id_t)user->pid_fd, &info, WEXITED | WNOWAIT),
		0);
}

/* A hostile process: our end of a socket in place of it. */
static int take_its_place(void)
{
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	watch_socket(user, 0);
	close(user->sock);
	user->sock = pair[0];
	/* That of it which is at its end must not be noticed. */
	rt_watch_stop(loop, &user->ended);
	ena_user_watch(user);
	return pair[1];
}

Test(ena_user, drops_what_is_no_frame)
{
	static uint8_t bytes[100000];
	static const uint32_t sizes[] = { 1, 13, 9231, 9300, 65535, 100000 };
	int sock = take_its_place();

	for (size_t i = 0; i < RT_COUNT(sizes); i++)
		cr_assert_eq(send(sock, bytes, sizes[i], 0), sizes[i]);
	memset(bytes, 0xff, 6);
	bytes[6] = 2;
	cr_assert_eq(send(sock, bytes, 14, 0), 14);
	cr_assert_eq(send(sock, bytes, 9230, 0), 9230);
	cr_expect(until(nic.count == 2));
	cr_expect_eq(nic.length[0], 14);
	cr_expect_eq(nic.length[1], 9230);
	cr_expect_eq(rt_counter_read(&port->counters.in_drops), 6);
	close(sock);
}

Test(ena_user, survives_noise)
{
	uint8_t bytes[512];
	int sock = take_its_place();

	srandom(1);
	for (unsigned int i = 0; i < 20000; i++) {
		size_t size = 1 + (size_t)random() % sizeof bytes;

		for (size_t k = 0; k < size; k++)
			bytes[k] = (uint8_t)random();
		if (send(sock, bytes, size, MSG_DONTWAIT) < 0)
			rt_loop_step(loop, 0);
	}
	while (rt_loop_step(loop, 0) > 0)
		;
	cr_expect_gt(rt_counter_read(&port->counters.in_frames), 1000);
	close(sock);
}

Test(ena_user, that_sends_nothing_at_all_is_ended)
{
	pid_t pid = user->pid;
	int sock = take_its_place();

	cr_assert_eq(send(sock, "", 0, 0), 0);
	rt_loop_step(loop, 100 * RT_NS_PER_MS);
	rt_watch_start(loop, &user->ended, user->pid_fd, POLLIN);
	cr_expect(until(user->sock < 0));
	cr_assert(until(user->sock >= 0));
	cr_expect_neq(user->pid, pid);
	close(sock);
}

Test(ena_user, holds_back_what_it_does_not_read_in_order)
{
	int sock = take_its_place();
	unsigned int sent = 0, got = 0;
	uint8_t bytes[2048];

	while (sent < 100000) {
		struct ena_frame f = make_frame(1, 99, 1500, (uint8_t)sent);

		if (!ena_port_send(&nic.port, &f, 1))
			break;
		sent++;
	}
	cr_expect_gt(sent, 50);
	cr_assert_lt(sent, 100000);
	for (int i = 0; i < 20; i++) {
		rt_loop_step(loop, 0);
		port->refused_ns = 0; /* no one loses patience here */
	}
	cr_expect_eq(nic.resumed, 0);
	cr_expect_eq(rt_loop_step(loop, 0), 0, "no spinning");
	for (;; got++) {
		ssize_t n = recv(sock, bytes, sizeof bytes, MSG_DONTWAIT);

		if (n < 0)
			break;
		cr_assert_eq(n, 1500);
		cr_assert_eq(bytes[1499], (uint8_t)got);
	}
	cr_expect_eq(got, sent);
	cr_expect(until(nic.resumed == 1));
	cr_expect_eq(send_one(&nic, 1, 99, 1), 1);
	cr_expect_eq(rt_counter_read(&port->counters.out_drops), 0);
	close(sock);
}

Test(ena_user, refuses_a_folder_that_is_not_there)
{
	struct ena_uplink_config config = { .is_user = true,
					    .tftp = "/no/such" };
	struct ena_uplink_config lost = { .is_null = true, .tftp = "/tmp" };
	struct ena_port *mine = port;

	cr_expect_eq(open_user(&config), -ENOENT);
	cr_expect_eq(open_user(&lost), -EINVAL);
	port = mine;
}
