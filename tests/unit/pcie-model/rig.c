/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"
#include "tests/unit/pcie-model/rig.h"

#define HEADER sizeof(struct vfio_user_header)

struct rig rig = { .fd = -1 };

static uint8_t incoming[HEADER + RIG_PAYLOAD_MAX];
static int incoming_fd = -1;

/* Nothing to do twice in a row, because a wake-up may be on its way. */
void rig_turn(void)
{
	for (int idle = 0; idle < 2;) {
		int did = rt_loop_step(rig.loop, RT_NS_PER_MS / 2);

		cr_assert(did >= 0);
		idle = did ? 0 : idle + 1;
	}
}

void rig_wait(uint64_t ms)
{
	rt_clock_advance(&rig.clock, ms * RT_NS_PER_MS);
	rig_turn();
}

void rig_connect(void)
{
	int ends[2];

	if (rig.fd >= 0)
		close(rig.fd);
	cr_assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
	rig.fd = ends[0];
	cr_assert_eq(pcie_server_attach(rig.server, ends[1]), 0);
}

void rig_start(void)
{
	struct rt_error error;

	rt_clock_make_virtual(&rig.clock, 1000);
	cr_assert_eq(rt_loop_create(&rig.clock, &rig.loop), 0);
	rig.fn = fake_create_on(NULL, rig.loop);
	cr_assert_eq(pcie_server_create(rig.fn, NULL, &rig.server, &error), 0);
	rig_connect();
}

void rig_start_versioned(void)
{
	rig_start();
	rig_negotiate();
}

static void ended(void *opaque)
{
	*(bool *)opaque = true;
}

void rig_stop(void)
{
	bool is_over = false;

	if (incoming_fd >= 0)
		close(incoming_fd);
	incoming_fd = -1;
	if (rig.fd >= 0)
		close(rig.fd);
	rig.fd = -1;
	fake_of(rig.fn)->holds_quiesce = false;
	if (pcie_function_is_resetting(rig.fn))
		pcie_function_quiesced(rig.fn);
	if (rig.server) {
		pcie_server_destroy(&rig.server, ended, &is_over);
		rig_turn();
		cr_assert(is_over);
	}
	fake_destroy(rig.fn);
	rt_loop_destroy(&rig.loop);
}

void rig_send(const void *bytes, size_t size, const int *fds, unsigned int n)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(253 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)bytes, size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(n * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n * sizeof(int));
	}
	while (iov.iov_len) {
		ssize_t sent =
			sendmsg(rig.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EAGAIN) {
			rig_turn();
			continue;
		}
		if (sent < 0)
			return; /* hung up: the test will see */
		iov.iov_base = (uint8_t *)iov.iov_base + sent;
		iov.iov_len -= (size_t)sent;
		message.msg_controllen = 0;
	}
}

static void send_message(struct vfio_user_header header, const void *payload,
			 size_t size, const int *fds, unsigned int n)
{
	RT_FREE uint8_t *bytes = malloc(HEADER + size);

	header.size = (uint32_t)(HEADER + size);
	memcpy(bytes, &header, HEADER);
	if (size)
		memcpy(bytes + HEADER, payload, size);
	rig_send(bytes, HEADER + size, fds, n);
}

uint16_t rig_send_command(uint16_t command, uint32_t flags, const void *payload,
			  size_t size, const int *fds, unsigned int n)
{
	struct vfio_user_header header = { .id = rig.next_id++,
					   .command = command,
					   .flags = flags };

	send_message(header, payload, size, fds, n);
	return header.id;
}

uint16_t rig_post(uint16_t command, const void *payload, size_t size)
{
	return rig_send_command(command, VFIO_USER_NO_REPLY, payload, size,
				NULL, 0);
}

void rig_send_reply(const struct vfio_user_header *to, uint32_t flags,
		    uint32_t error, const void *payload, size_t size)
{
	struct vfio_user_header header = { .id = to->id,
					   .command = to->command,
					   .flags =
						   VFIO_USER_TYPE_REPLY | flags,
					   .error = error };

	send_message(header, payload, size, NULL, 0);
}

/* size bytes that are there or come without the clock moving. */
static size_t get(uint8_t *at, size_t size)
{
	char control[CMSG_SPACE(sizeof(int))];
	size_t have = 0;
	bool has_turned = false;

	while (have < size) {
		struct iovec iov = { at + have, size - have };
		struct msghdr message = { .msg_iov = &iov,
					  .msg_iovlen = 1,
					  .msg_control = control,
					  .msg_controllen = sizeof control };
		ssize_t got = recvmsg(rig.fd, &message,
				      MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (got <= 0 && has_turned)
			break;
		has_turned = got <= 0;
		if (got <= 0) {
			rig_turn();
			continue;
		}
		have += (size_t)got;
		if (message.msg_controllen)
			memcpy(&incoming_fd, CMSG_DATA(CMSG_FIRSTHDR(&message)),
			       sizeof incoming_fd);
	}
	return have;
}

bool rig_receive(struct rig_message *out)
{
	size_t rest;

	if (incoming_fd >= 0)
		close(incoming_fd);
	incoming_fd = -1;
	*out = (struct rig_message){ .payload = incoming + HEADER, .fd = -1 };
	if (get(incoming, HEADER) < HEADER)
		return false;
	memcpy(&out->header, incoming, HEADER);
	rest = out->header.size - HEADER;
	cr_assert(rest <= RIG_PAYLOAD_MAX);
	cr_assert_eq(get(incoming + HEADER, rest), rest);
	out->size = rest;
	out->fd = incoming_fd;
	return true;
}

bool rig_is_hung_up(void)
{
	struct pollfd state = { .fd = rig.fd, .events = POLLRDHUP };

	rig_turn();
	return poll(&state, 1, 0) > 0;
}

int rig_ask_fds(uint16_t command, const void *payload, size_t size,
		const int *fds, unsigned int n, struct rig_message *reply)
{
	struct rig_message ignored;
	struct rig_message *message = reply ? reply : &ignored;
	uint16_t id = rig_send_command(command, 0, payload, size, fds, n);

	if (!rig_receive(message))
		return -1;
	cr_expect_eq(message->header.id, id);
	cr_expect_eq(message->header.command, command);
	if (message->header.flags == VFIO_USER_TYPE_REPLY)
		return 0;
	cr_expect_eq(message->header.flags,
		     VFIO_USER_TYPE_REPLY | VFIO_USER_ERROR);
	cr_expect_eq(message->size, 0);
	return (int)message->header.error;
}

int rig_ask(uint16_t command, const void *payload, size_t size,
	    struct rig_message *reply)
{
	return rig_ask_fds(command, payload, size, NULL, 0, reply);
}

/* What QEMU 11.1 sends. */
void rig_negotiate(void)
{
	static const char text[] =
		"{\"capabilities\": {\"pgsizes\": 4096, \"max_msg_fds\": 16, "
		"\"max_dma_maps\": 65535, \"max_data_xfer_size\": 1048576, "
		"\"migration\": {\"max_bitmap_size\": 268435456, \"pgsize\": "
		"4096}, \"write_multiple\": true}}";
	uint8_t payload[sizeof(struct vfio_user_version) + sizeof text] = { 0 };

	memcpy(payload + sizeof(struct vfio_user_version), text, sizeof text);
	cr_assert_eq(rig_ask(VFIO_USER_VERSION, payload, sizeof payload, NULL),
		     0);
}

int rig_map(uint64_t address, uint64_t size, uint32_t flags, int fd,
	    uint64_t offset)
{
	struct vfio_user_dma_map map = { sizeof map, flags, offset, address,
					 size };

	return rig_ask_fds(VFIO_USER_DMA_MAP, &map, sizeof map, &fd, fd >= 0,
			   NULL);
}

int rig_unmap(uint64_t address, uint64_t size, uint32_t flags)
{
	struct vfio_user_dma_unmap unmap = { sizeof unmap, flags, address,
					     size };

	return rig_ask(VFIO_USER_DMA_UNMAP, &unmap, sizeof unmap, NULL);
}

int rig_region_write(uint32_t region, uint64_t offset, const void *data,
		     uint32_t count)
{
	struct vfio_user_region_access access = { offset, region, count };
	RT_FREE uint8_t *payload = malloc(sizeof access + count);

	memcpy(payload, &access, sizeof access);
	memcpy(payload + sizeof access, data, count);
	return rig_ask(VFIO_USER_REGION_WRITE, payload, sizeof access + count,
		       NULL);
}

int rig_region_read(uint32_t region, uint64_t offset, void *data,
		    uint32_t count)
{
	struct vfio_user_region_access access = { offset, region, count };
	struct rig_message reply;
	int error =
		rig_ask(VFIO_USER_REGION_READ, &access, sizeof access, &reply);

	if (error)
		return error;
	cr_assert_eq(reply.size, sizeof access + count);
	cr_expect_arr_eq(reply.payload, &access, sizeof access);
	memcpy(data, reply.payload + sizeof access, count);
	return 0;
}

void rig_set_command(uint16_t value)
{
	cr_assert_eq(rig_region_write(PCIE_CONFIG_REGION, PCI_COMMAND, &value,
				      sizeof value),
		     0);
}

unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}
