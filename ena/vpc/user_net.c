/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nitro-user-net: a network for a guest that needs no privileges: DHCP, DNS,
 * TFTP, and what the guest connects to is connected to by this process.
 *
 * libslirp does the work, in a process of its own.  Both passt and libslirp
 * were tried on Debian 12.  passt does not start where the machine has no
 * default route, nor where it may not make a user namespace, as in a container
 * with the usual filters; it has no TFTP; and it gives the guest the host's own
 * addresses.  libslirp starts everywhere.  But it reads what a guest wrote, in
 * C with a history, it asserts, and it opens connections: so it is not linked
 * into the card.  The kernel keeps the two apart, a crash is a network that
 * comes back after a second, and the card itself needs no right to connect.
 *
 * What it does not need it gives away before it reads the first byte: root,
 * capabilities, new processes, and all files but those of name resolution and
 * the folder for TFTP.  Guests see what QEMU's -netdev user gives: 10.0.2.15 by
 * DHCP, the host at 10.0.2.2, names at 10.0.2.3, fec0::/64.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <poll.h>
#include <signal.h>
#include <slirp/libslirp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ena/vpc/user.h"

#define NOBODY      65534u
#define BATCH       16u
#define FRAME_BYTES (65535u + 22u)
#define MOST_FILES  4096u
#define PATIENCE_MS 50 /* with a card that does not read */
#define IDLE_MS     3600000u
#define TIMERS      4u
#define NS_PER_MS   1000000
#define FILE_READING                                                           \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

struct options {
	unsigned long mtu;
	const char *tftp, *bootfile;
};

struct timer {
	SlirpTimerCb fired;
	void *opaque;
	int64_t due_ms; /* -1: not started */
};

static Slirp *slirp;
static struct timer timers[TIMERS];
static struct pollfd *polled;
static size_t polled_count, polled_room;
static bool is_ended;

/* ---- Nothing that is not needed ---- */

static void drop_root(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct none[2] = { 0 };

	if (!geteuid() && !setgroups(0, NULL) &&
	    !setresgid(NOBODY, NOBODY, NOBODY) &&
	    setresuid(NOBODY, NOBODY, NOBODY))
		fprintf(stderr, "still root: %s\n", strerror(errno));
	syscall(SYS_capset, &header, none);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	/* Should it hang: it ends with its socket, and at last with the card.
	 */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void limit(int what, rlim_t most)
{
	struct rlimit limits;

	if (getrlimit(what, &limits))
		return;
	if (limits.rlim_max > most)
		limits.rlim_max = most;
	limits.rlim_cur = limits.rlim_max;
	setrlimit(what, &limits);
}

static void allow(int rules, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr beneath = {
		.allowed_access = access,
		.parent_fd = open(path, O_PATH | O_CLOEXEC),
	};

	if (beneath.parent_fd < 0)
		return;
	syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH,
		&beneath, 0);
	close(beneath.parent_fd);
}

static void allow_folder_of(int rules, const char *path)
{
	char *file = realpath(path, NULL);
	char *slash = file ? strrchr(file, '/') : NULL;

	if (slash && slash > file) {
		*slash = 0;
		allow(rules, file, FILE_READING);
	}
	free(file);
}

/* Where the kernel does not know how, the rest must do. */
static void drop_files(const char *tftp)
{
	struct landlock_ruleset_attr all = {
		.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1,
	};
	int rules =
		(int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);

	if (rules < 0)
		return;
	allow(rules, "/etc", FILE_READING);
	allow_folder_of(rules, "/etc/resolv.conf"); /* often a link */
	if (tftp)
		allow(rules, tftp, FILE_READING);
	syscall(SYS_landlock_restrict_self, rules, 0);
	close(rules);
}

static void drop_rights(const char *tftp)
{
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_NOFILE, MOST_FILES);
	drop_root();
	limit(RLIMIT_NPROC, 0);
	drop_files(tftp);
}

/* ---- What libslirp asks for ---- */

static int64_t clock_ns(void *opaque)
{
	struct timespec now;

	(void)opaque;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void *timer_new(SlirpTimerCb fired, void *timer_opaque, void *opaque)
{
	(void)opaque;
	for (unsigned int i = 0; i < TIMERS; i++) {
		if (timers[i].fired)
			continue;
		timers[i] = (struct timer){ fired, timer_opaque, -1 };
		return &timers[i];
	}
	return NULL;
}

static void timer_free(void *timer, void *opaque)
{
	(void)opaque;
	if (timer)
		*(struct timer *)timer = (struct timer){ 0 };
}

static void timer_mod(void *timer, int64_t due_ms, void *opaque)
{
	(void)opaque;
	if (timer)
		((struct timer *)timer)->due_ms = due_ms;
}

static void nothing_fd(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

static void nothing(void *opaque)
{
	(void)opaque;
}

static void guest_error(const char *text, void *opaque)
{
	(void)opaque;
	fprintf(stderr, "%s\n", text);
}

/* To the card, which may have no room: TCP suffers less from a pause. */
static ssize_t send_packet(const void *bytes, size_t size, void *opaque)
{
	struct pollfd room = { ENA_USER_SOCKET, POLLOUT, 0 };

	(void)opaque;
	for (int tries = 0; tries < 2; tries++) {
		ssize_t n = send(ENA_USER_SOCKET, bytes, size,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0)
			return n;
		if (errno != EAGAIN && errno != ENOBUFS)
			break;
		poll(&room, 1, PATIENCE_MS);
	}
	return (ssize_t)size; /* lost, as on any network */
}

static const SlirpCb callbacks = {
	.send_packet = send_packet,
	.guest_error = guest_error,
	.clock_get_ns = clock_ns,
	.timer_new = timer_new,
	.timer_free = timer_free,
	.timer_mod = timer_mod,
	.register_poll_fd = nothing_fd,
	.unregister_poll_fd = nothing_fd,
	.notify = nothing,
};

static Slirp *make_network(const struct options *options)
{
	SlirpConfig config = {
		.version = 3,
		.in_enabled = true,
		.vnetwork.s_addr = inet_addr("10.0.2.0"),
		.vnetmask.s_addr = inet_addr("255.255.255.0"),
		.vhost.s_addr = inet_addr("10.0.2.2"),
		.vdhcp_start.s_addr = inet_addr("10.0.2.15"),
		.vnameserver.s_addr = inet_addr("10.0.2.3"),
		.in6_enabled = true,
		.vprefix_len = 64,
		.tftp_path = options->tftp,
		.bootfile = options->bootfile,
		.if_mtu = options->mtu,
		.if_mru = options->mtu,
	};

	inet_pton(AF_INET6, "fec0::", &config.vprefix_addr6);
	inet_pton(AF_INET6, "fec0::2", &config.vhost6);
	inet_pton(AF_INET6, "fec0::3", &config.vnameserver6);
	return slirp_new(&config, &callbacks, NULL);
}

/* ---- The loop ---- */

static int add_poll(int fd, int events, void *opaque)
{
	struct pollfd *more;

	(void)opaque;
	if (polled_count == polled_room) {
		more = realloc(polled, (polled_room + 64) * sizeof *more);
		if (!more)
			return -1;
		polled = more;
		polled_room += 64;
	}
	polled[polled_count] = (struct pollfd){
		.fd = fd,
		.events = (short)((events & SLIRP_POLL_IN ? POLLIN : 0) |
				  (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
				  (events & SLIRP_POLL_PRI ? POLLPRI : 0)),
	};
	return (int)polled_count++;
}

static int events_of(int i, void *opaque)
{
	int events;

	(void)opaque;
	if (i < 0 || (size_t)i >= polled_count)
		return 0;
	events = polled[i].revents;
	return (events & POLLIN ? SLIRP_POLL_IN : 0) |
	       (events & POLLOUT ? SLIRP_POLL_OUT : 0) |
	       (events & POLLPRI ? SLIRP_POLL_PRI : 0) |
	       (events & POLLERR ? SLIRP_POLL_ERR : 0) |
	       (events & POLLHUP ? SLIRP_POLL_HUP : 0);
}

/* What the guest sent. */
static void receive(void)
{
	static uint8_t slots[BATCH][FRAME_BYTES];
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec pieces[BATCH];
	int n;

	for (unsigned int i = 0; i < BATCH; i++) {
		pieces[i] = (struct iovec){ slots[i], sizeof slots[i] };
		messages[i].msg_hdr.msg_iov = &pieces[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	n = recvmmsg(ENA_USER_SOCKET, messages, BATCH, MSG_DONTWAIT, NULL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		is_ended = true;
	for (int i = 0; i < n && !is_ended; i++) {
		if (messages[i].msg_len)
			slirp_input(slirp, slots[i], (int)messages[i].msg_len);
		else
			is_ended = true;
	}
}

static uint32_t until_timers_ms(uint32_t most)
{
	int64_t now_ms = clock_ns(NULL) / NS_PER_MS;

	for (unsigned int i = 0; i < TIMERS; i++) {
		const struct timer *timer = &timers[i];

		if (!timer->fired || timer->due_ms < 0)
			continue;
		if (timer->due_ms <= now_ms)
			return 0;
		if (timer->due_ms - now_ms < most)
			most = (uint32_t)(timer->due_ms - now_ms);
	}
	return most;
}

static void fire_timers(void)
{
	int64_t now_ms = clock_ns(NULL) / NS_PER_MS;

	for (unsigned int i = 0; i < TIMERS; i++) {
		struct timer *timer = &timers[i];

		if (!timer->fired || timer->due_ms < 0 ||
		    timer->due_ms > now_ms)
			continue;
		timer->due_ms = -1;
		timer->fired(timer->opaque);
	}
}

static void turn(void)
{
	uint32_t timeout_ms = IDLE_MS;
	int n;

	polled_count = 0;
	add_poll(ENA_USER_SOCKET, SLIRP_POLL_IN, NULL);
	slirp_pollfds_fill(slirp, &timeout_ms, add_poll, NULL);
	n = poll(polled, polled_count, (int)until_timers_ms(timeout_ms));
	slirp_pollfds_poll(slirp, n < 0, events_of, NULL);
	fire_timers();
	if (n > 0 && polled[0].revents)
		receive();
}

/* ---- Starting ---- */

static bool parse(int argc, char **argv, struct options *out)
{
	static const struct option words[] = {
		{ "mtu", required_argument, NULL, 'm' },
		{ "tftp", required_argument, NULL, 't' },
		{ "bootfile", required_argument, NULL, 'b' },
		{ 0 },
	};
	int word;

	*out = (struct options){ .mtu = 1500 };
	while ((word = getopt_long(argc, argv, "", words, NULL)) != -1) {
		if (word == 'm')
			out->mtu = strtoul(optarg, NULL, 10);
		else if (word == 't')
			out->tftp = optarg;
		else if (word == 'b')
			out->bootfile = optarg;
		else
			return false;
	}
	return optind == argc && out->mtu >= 576 && out->mtu <= 65521;
}

int main(int argc, char **argv)
{
	struct options options;
	socklen_t size = sizeof(int);
	int type;

	if (!parse(argc, argv, &options) ||
	    getsockopt(ENA_USER_SOCKET, SOL_SOCKET, SO_TYPE, &type, &size) ||
	    type != SOCK_SEQPACKET) {
		fprintf(stderr, "%s: this is started by nitro-card\n",
			ENA_USER_PROGRAM);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	drop_rights(options.tftp);
	slirp = make_network(&options);
	if (!slirp) {
		fprintf(stderr, "libslirp does not start\n");
		return 1;
	}
	while (!is_ended)
		turn();
	/* All goes with the process; nothing is worth a clean-up. */
	_exit(0);
}
