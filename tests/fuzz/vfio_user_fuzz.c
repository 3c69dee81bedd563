/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile vfio-user client: any bytes, any descriptors, at any moment, and
 * any answer to what the server asks.  The server runs between the input's
 * steps, on a clock that only the input moves.  However it goes, when the
 * client has hung up the function becomes quiet.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/rt/clock.h"
#include "firmware/rt/error.h"
#include "firmware/rt/guard.h"
#include "firmware/rt/log.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"
#include "pcie-model/vfio-user/abi.h"
#include "pcie-model/vfio-user/server.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/toy_function.h"

#define MAX_ACTIONS 256
#define MAX_FDS     20
#define MESSAGE     4200

struct client {
	int fd;
	struct pcie_function *fn;
	struct pcie_server *server;
	struct input in;
};

static struct rt_clock the_clock;
static struct rt_loop *loop;

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void start_once(void)
{
	if (loop)
		return;
	rt_log_set_level(RT_LOG_ERROR);
	must(rt_guard_install() == 0);
	rt_clock_make_virtual(&the_clock, RT_NS_PER_S);
	must(rt_loop_create(&the_clock, &loop) == 0);
}

static void step(unsigned int turns)
{
	while (turns-- > 0 && rt_loop_step(loop, 0) > 0)
		;
}

/* --- Descriptors of every kind -------------------------------------------- */

static int memory_fd(unsigned int seals, off_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	must(fd >= 0 && ftruncate(fd, size) == 0);
	(void)fcntl(fd, F_ADD_SEALS, seals);
	return fd;
}

static int pipe_fd(void)
{
	int ends[2];

	must(pipe(ends) == 0);
	close(ends[0]);
	return ends[1];
}

static int make_fd(uint8_t kind)
{
	switch (kind % 8) {
	case 0:
		return memory_fd(F_SEAL_SHRINK | F_SEAL_GROW, 0x10000);
	case 1:
		return memory_fd(0, 0x10000);
	case 2:
		return eventfd(0, EFD_CLOEXEC);
	case 3:
		return pipe_fd();
	case 4:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 5:
		return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case 6:
		return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	default:
		return memory_fd(0, 0);
	}
}

/* --- Sending -------------------------------------------------------------- */

static void send_with_fds(struct client *c, const void *data, size_t size,
			  const int *fds, unsigned int count)
{
	char control[CMSG_SPACE(MAX_FDS * sizeof(int))] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)data, size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *head;

	if (size == 0)
		return;
	if (count > 0) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(head), fds, count * sizeof(int));
	}
	if (sendmsg(c->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		step(8); /* full: let the server read */
}

/* A file that the server has mapped becomes shorter. */
static void shorten(int fd, uint8_t decision)
{
	/* It may refuse: a sealed file stays as long as it is. */
	if (decision & 0x80 && ftruncate(fd, (off_t)(decision & 0x7f) * 0x1000))
		return;
}

static void send_fds(struct client *c, const void *data, size_t size)
{
	uint8_t decision = input_u8(&c->in);
	/* Mostly none or one; sometimes more than the server said it takes. */
	unsigned int count = decision < 128   ? 0
			     : decision < 224 ? 1
					      : decision % MAX_FDS;
	uint8_t kinds = count > 0 ? input_u8(&c->in) : 0;
	int fds[MAX_FDS] = { 0 };

	for (unsigned int i = 0; i < count; i++) {
		fds[i] = make_fd((uint8_t)(kinds + i / 4));
		must(fds[i] >= 0);
	}
	send_with_fds(c, data, size, fds, count);
	if (count > 0 && kinds & 0x40)
		step(4);
	for (unsigned int i = 0; i < count; i++) {
		if ((kinds & 7) == 1)
			shorten(fds[i], kinds);
		close(fds[i]);
	}
}

static void send_raw(struct client *c)
{
	uint8_t bytes[256];
	size_t size = input_bytes(&c->in, bytes, input_u8(&c->in));

	send_fds(c, bytes, size);
}

/* A header that is right, about a payload that need not be. */
static size_t build_message(struct client *c, uint8_t *bytes)
{
	static const uint32_t flags[] = { 0,
					  0,
					  0,
					  VFIO_USER_NO_REPLY,
					  VFIO_USER_TYPE_REPLY,
					  VFIO_USER_TYPE_REPLY |
						  VFIO_USER_ERROR };
	uint8_t command = input_u8(&c->in);
	uint8_t size = input_u8(&c->in);
	struct vfio_user_header header = {
		.id = (uint16_t)(command & 0xe0),
		.command = command & 0x1f,
		.flags = flags[(command >> 5) % RT_COUNT(flags)],
	};
	/* The rest of a long one is zeros. */
	size_t payload = size < 200 ? size : (size - 199u) * 72u;

	header.size = (uint32_t)(sizeof header + payload);
	memcpy(bytes, &header, sizeof header);
	memset(bytes + sizeof header, 0, payload);
	input_bytes(&c->in, bytes + sizeof header, size < 200 ? size : 64);
	return sizeof header + payload;
}

static void send_message(struct client *c)
{
	uint8_t bytes[MESSAGE];

	send_fds(c, bytes, build_message(c, bytes));
}

static void send_in_two(struct client *c)
{
	uint8_t bytes[MESSAGE];
	size_t size = build_message(c, bytes);
	size_t cut = input_u8(&c->in) % size;

	send_with_fds(c, bytes, cut, NULL, 0);
	step(2);
	send_with_fds(c, bytes + cut, size - cut, NULL, 0);
}

/* The commands that get furthest, with plausible values. */
static void send_command(struct client *c, uint16_t command,
			 const void *payload, size_t size, const int *fds,
			 unsigned int count)
{
	uint8_t bytes[256];
	struct vfio_user_header header = {
		.command = command,
		.size = (uint32_t)(sizeof header + size),
	};

	memcpy(bytes, &header, sizeof header);
	memcpy(bytes + sizeof header, payload, size);
	send_with_fds(c, bytes, sizeof header + size, fds, count);
}

static void send_version(struct client *c)
{
	static const char text[] =
		"\0\0\0\0{\"capabilities\":{\"write_multiple\":true}}";

	send_command(c, VFIO_USER_VERSION, text, sizeof text, NULL, 0);
}

static void send_map(struct client *c)
{
	uint8_t choice = input_u8(&c->in);
	struct vfio_user_dma_map map = {
		.argsz = sizeof map,
		.flags = choice & 3,
		.offset = (choice >> 2 & 3) * UINT64_C(0x1000),
		.address = input_u8(&c->in) * UINT64_C(0x1000),
		.size = (input_u8(&c->in) & 0x1f) * UINT64_C(0x1000),
	};
	int fd = choice & 0x10 ? make_fd(choice >> 5) : -1;

	send_command(c, VFIO_USER_DMA_MAP, &map, sizeof map, &fd, fd >= 0);
	step(4);
	if (fd < 0)
		return;
	if (choice >> 5 == 1)
		shorten(fd, input_u8(&c->in));
	close(fd);
}

static void send_unmap(struct client *c)
{
	struct vfio_user_dma_unmap unmap = {
		.argsz = sizeof unmap,
		.address = input_u8(&c->in) * UINT64_C(0x1000),
		.size = input_u8(&c->in) * UINT64_C(0x1000),
	};

	if (unmap.address == 0 && unmap.size == 0)
		unmap.flags = VFIO_DMA_UNMAP_FLAG_ALL;
	send_command(c, VFIO_USER_DMA_UNMAP, &unmap, sizeof unmap, NULL, 0);
}

static void send_store(struct client *c)
{
	static const uint32_t regions[] = { 7, 7, 0, 0, 2, 1, 6, 9 };
	uint8_t choice = input_u8(&c->in);
	struct {
		struct vfio_user_region_access access;
		uint8_t data[8];
	} store = { .access = { .offset = input_u16(&c->in),
				.region = regions[choice & 7],
				.count = 1u << (choice >> 3 & 3) } };

	/* Where the capabilities are. */
	if (store.access.region == 7 && !(choice & 0x40))
		store.access.offset %= 0x200;

	input_bytes(&c->in, store.data, store.access.count);
	send_command(
		c,
		choice & 0x20 ? VFIO_USER_REGION_READ : VFIO_USER_REGION_WRITE,
		&store,
		sizeof store.access + (choice & 0x20 ? 0 : store.access.count),
		NULL, 0);
}

static void send_irqs(struct client *c)
{
	uint8_t choice = input_u8(&c->in);
	struct vfio_irq_set set = {
		.argsz = sizeof set,
		.flags = 1u << (choice & 3) % 3 | 8u << (choice >> 2 & 3) % 3,
		.index = choice >> 4 & 7,
		.start = input_u8(&c->in),
		.count = input_u8(&c->in) % 12,
	};
	unsigned int count = choice & 0x80 ? set.count : 0;
	int fds[12] = { 0 };

	for (unsigned int i = 0; i < count; i++)
		fds[i] = make_fd(2);
	send_command(c, VFIO_USER_DEVICE_SET_IRQS, &set, sizeof set, fds,
		     count);
	for (unsigned int i = 0; i < count; i++)
		close(fds[i]);
}

/* --- Receiving ------------------------------------------------------------ */

/* Answer a DMA message as decision says: rightly, or in one of many ways. */
static void answer(struct client *c, struct vfio_user_header header,
		   const uint8_t *payload, uint8_t decision)
{
	static uint8_t bytes[16 + 16 + PCIE_DMA_MESSAGE_BYTES];
	struct vfio_user_dma_access access;
	size_t size = sizeof header + sizeof access;

	memcpy(&access, payload, sizeof access);
	if (header.command == VFIO_USER_DMA_READ)
		size += access.count <= PCIE_DMA_MESSAGE_BYTES ? access.count
							       : 0;
	header.flags = VFIO_USER_TYPE_REPLY;
	switch (decision % 8) {
	case 3:
		header.flags |= VFIO_USER_ERROR;
		header.error = decision;
		size = sizeof header;
		break;
	case 4:
		header.id ^= 1;
		break;
	case 5:
		size -= size > 32 ? 1 : 0;
		break;
	case 6:
		access.count += decision;
		break;
	case 7:
		return;
	default:
		break;
	}
	header.size = (uint32_t)size;
	memcpy(bytes, &header, sizeof header);
	if (size >= sizeof header + sizeof access)
		memcpy(bytes + sizeof header, &access, sizeof access);
	send_with_fds(c, bytes, size, NULL, 0);
}

static void receive(struct client *c)
{
	uint8_t decision = input_u8(&c->in);
	struct vfio_user_header header;
	static uint8_t payload[2 * 1024 * 1024];
	ssize_t n;

	for (int i = 0; i < 16; i++) {
		n = recv(c->fd, &header, sizeof header, MSG_DONTWAIT);
		if (n != sizeof header)
			return;
		must(header.size >= sizeof header);
		must(header.size - sizeof header <= sizeof payload);
		n = recv(c->fd, payload, header.size - sizeof header,
			 MSG_DONTWAIT);
		if ((header.flags & VFIO_USER_TYPE) == VFIO_USER_TYPE_COMMAND &&
		    n >= 16)
			answer(c, header, payload, decision);
	}
}

/* --- The device's side ---------------------------------------------------- */

static void start_dma(struct client *c)
{
	struct toy *toy = c->fn->device;
	uint8_t choice = input_u8(&c->in);
	uint64_t iova = input_u8(&c->in) * UINT64_C(0x1000) + (choice & 0xf0);
	uint32_t size = input_u16(&c->in) * 3u;

	if (choice & 2)
		toy_hold(toy, iova, size, choice & 1);
	else
		toy_start_dma(toy, choice >> 2 & 3, iova, size);
}

static void raise_interrupt(struct client *c)
{
	uint8_t choice = input_u8(&c->in);

	if (choice & 0x80)
		pcie_intx_set(c->fn, choice & 1);
	else
		pcie_interrupt_raise(c->fn, choice % 70);
}

static void let_run(struct client *c)
{
	step(input_u8(&c->in));
}

static void let_time_pass(struct client *c)
{
	rt_clock_advance(&the_clock, RT_NS_PER_MS << (input_u8(&c->in) % 16));
	step(4);
}

static void release(struct client *c)
{
	toy_release(c->fn->device);
}

static void (*const actions[])(struct client *) = {
	send_raw,      send_message, send_version, send_map,
	send_unmap,    send_store,   send_irqs,    send_in_two,
	receive,       let_run,      start_dma,    raise_interrupt,
	let_time_pass, release,      receive,      send_store,
};

/* --- A run ---------------------------------------------------------------- */

static void connect_client(struct client *c)
{
	int ends[2];

	must(pcie_function_create(&toy_function, "toy0", loop, NULL, &c->fn,
				  NULL) == 0);
	must(pcie_server_create(c->fn, NULL, &c->server, NULL) == 0);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	must(pcie_server_attach(c->server, ends[0]) == 0);
	c->fd = ends[1];
}

static void mark_gone(void *opaque)
{
	*(bool *)opaque = true;
}

/* What is ready is done at once; sleep only when that is not enough. */
static void wait_a_little(int round)
{
	(void)rt_loop_step(loop, round < 100 ? 0 : RT_NS_PER_MS);
}

static void hang_up(struct client *c)
{
	bool is_gone = false;

	close(c->fd);
	for (int i = 0; i < 1000 && pcie_server_has_client(c->server); i++)
		wait_a_little(i);
	must(!pcie_server_has_client(c->server));
	pcie_server_destroy(&c->server, mark_gone, &is_gone);
	for (int i = 0; i < 1000 && !is_gone; i++)
		wait_a_little(i);
	must(is_gone);
	pcie_function_destroy(&c->fn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct client c = { .in = { data, size } };

	start_once();
	connect_client(&c);
	for (int i = 0; i < MAX_ACTIONS && !input_is_empty(&c.in); i++) {
		actions[input_u8(&c.in) % RT_COUNT(actions)](&c);
		step(2);
	}
	hang_up(&c);
	return 0;
}
