/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A tap: the host's kernel is behind the port.
 *
 * Each frame has a virtio_net_hdr (virtio 1.2, 5.1.6; tun.h), so TSO and L4
 * checksums stay left to do in both directions: the guest's super-packets go
 * into the kernel whole, and the kernel's come out whole.  What the header
 * cannot say is done here: IPv4 checksums, and lengths and sums in the headers
 * of a super-packet.
 *
 * The kernel has the queues.  To it: what it does not take at once is dropped
 * and counted.  From it: what the switch does not take stays here, up to a
 * batch, and nothing more is read until it does.
 *
 * syscalls: read writev close
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "ena/abi.h"
#include "ena/vpc/uplink.h"
#include "ena/wire.h"
#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"

#define OFFLOADS    (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
#define DEFAULT_MTU 1500u
#define SLOT_BYTES  (sizeof(struct virtio_net_hdr) + ENA_FRAME_MAX_BYTES)

struct tap {
	struct ena_port port;
	struct rt_loop *loop;
	struct rt_watch watch;
	char name[IFNAMSIZ];
	int fd;
	bool is_gone;
	struct ena_inbox inbox;
	uint8_t slots[ENA_INBOX_FRAMES][SLOT_BYTES];
};

static struct tap *tap_of(struct ena_port *port)
{
	return rt_container_of(port, struct tap, port);
}

static bool has_to_sum(const struct ena_frame *frame)
{
	return frame->flags & (ENA_FRAME_TSO | ENA_FRAME_L4_CSUM_PARTIAL |
			       ENA_FRAME_L4_CSUM_FULL);
}

/* ---- To the kernel ---- */

static void say_tso(struct virtio_net_hdr *say, const struct ena_frame *frame)
{
	const uint8_t *tcp = frame->header + frame->l4_offset;
	bool is_v6 = frame->header[frame->l3_offset] >> 4 == 6;

	say->gso_type =
		is_v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	if (tcp[ENA_TCP_FLAGS] & ENA_TCP_CWR)
		say->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	say->gso_size = htole16(frame->mss);
	say->hdr_len = htole16((uint16_t)(frame->l4_offset + frame->l4_length));
}

static struct virtio_net_hdr say_what_is_left(const struct ena_frame *frame)
{
	struct virtio_net_hdr say = { 0 };

	if (!has_to_sum(frame)) {
		if (frame->flags & ENA_FRAME_L4_CSUM_GOOD)
			say.flags = VIRTIO_NET_HDR_F_DATA_VALID;
		return say;
	}
	say.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	say.csum_start = htole16(frame->l4_offset);
	say.csum_offset = htole16((uint16_t)ena_l4_csum_offset(frame));
	/* A segment of its own is a frame as any other. */
	if (frame->flags & ENA_FRAME_TSO && ena_frame_wire_count(frame) > 1)
		say_tso(&say, frame);
	return say;
}

/* 0, or a negative errno. */
static int put(const struct tap *tap, const struct ena_frame *frame)
{
	struct virtio_net_hdr say = say_what_is_left(frame);
	uint8_t finished[ENA_FRAME_HEADER_BYTES];
	struct iovec out[2 + ENA_FRAME_MAX_PARTS] = {
		{ &say, sizeof say },
		{ (void *)(uintptr_t)frame->header, frame->header_length },
	};

	if (frame->flags & ENA_FRAME_LEFT_TO_DO) {
		if (!ena_header_finish(frame, finished))
			return -EMSGSIZE;
		out[1].iov_base = finished;
	}
	for (unsigned int i = 0; i < frame->part_count; i++)
		out[2 + i] = frame->parts[i];
	if (writev(tap->fd, out, 2 + frame->part_count) < 0)
		return -errno;
	return 0;
}

static unsigned int tap_deliver(struct ena_port *port,
				const struct ena_frame *frames,
				unsigned int count)
{
	const struct tap *tap = tap_of(port);

	for (unsigned int i = 0; i < count; i++) {
		if (tap->is_gone || put(tap, &frames[i]))
			rt_counter_add(&port->counters.out_drops,
				       ena_frame_wire_count(&frames[i]));
	}
	return count;
}

/* ---- From the kernel ---- */

/* Of what is no TCP or UDP that we know: here and now. */
static bool sum_up(uint8_t *bytes, uint32_t size, uint32_t start,
		   uint32_t offset)
{
	uint16_t sum;

	if (start >= size || offset + 2 > size - start)
		return false;
	sum = (uint16_t)~ena_sum_fold(ena_sum(bytes + start, size - start, 0));
	bytes[start + offset] = (uint8_t)(sum >> 8);
	bytes[start + offset + 1] = (uint8_t)sum;
	return true;
}

static bool is_l4_at(const struct ena_frame_info *info, uint32_t start,
		     uint32_t offset)
{
	if (info->l4_offset != start)
		return false;
	if (info->l4_proto == ENA_ETH_IO_L4_PROTO_TCP)
		return offset == ENA_TCP_CSUM;
	return info->l4_proto == ENA_ETH_IO_L4_PROTO_UDP &&
	       offset == ENA_UDP_CSUM;
}

/* False: it makes no sense. */
static bool take_csum(struct ena_frame *frame, uint8_t *bytes,
		      const struct virtio_net_hdr *said)
{
	uint32_t start = le16toh(said->csum_start);
	uint32_t offset = le16toh(said->csum_offset);
	struct ena_frame_info info;

	ena_frame_parse(frame, &info);
	if (!is_l4_at(&info, start, offset))
		return sum_up(bytes, frame->length, start, offset);
	frame->flags = ENA_FRAME_L4_CSUM_PARTIAL | ENA_FRAME_L4_CSUM_GOOD;
	frame->l3_offset = (uint8_t)info.l3_offset;
	frame->l4_offset = info.l4_offset;
	frame->l4_length = (uint16_t)(info.payload_offset - info.l4_offset);
	frame->l4_proto = info.l4_proto == ENA_ETH_IO_L4_PROTO_TCP
				  ? IPPROTO_TCP
				  : IPPROTO_UDP;
	return true;
}

static bool take_tso(struct ena_frame *frame, const struct virtio_net_hdr *said)
{
	uint8_t type = said->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	if (type != VIRTIO_NET_HDR_GSO_TCPV4 &&
	    type != VIRTIO_NET_HDR_GSO_TCPV6)
		return false; /* not what we have offered */
	frame->mss = le16toh(said->gso_size);
	frame->flags |= ENA_FRAME_TSO;
	return frame->l4_proto == IPPROTO_TCP && ena_frame_wire_count(frame);
}

static bool take_what_is_left(struct ena_frame *frame, uint8_t *bytes,
			      const struct virtio_net_hdr *said)
{
	if (said->flags & VIRTIO_NET_HDR_F_DATA_VALID)
		frame->flags |= ENA_FRAME_L4_CSUM_GOOD;
	if (said->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM &&
	    !take_csum(frame, bytes, said))
		return false;
	return said->gso_type == VIRTIO_NET_HDR_GSO_NONE ||
	       take_tso(frame, said);
}

static void take(struct tap *tap, uint8_t *slot, size_t size)
{
	struct virtio_net_hdr said;
	struct ena_frame *frame;

	if (size <= sizeof said)
		return;
	memcpy(&said, slot, sizeof said);
	slot += sizeof said;
	frame = ena_inbox_add(&tap->inbox, slot,
			      (uint32_t)(size - sizeof said));
	if (take_what_is_left(frame, slot, &said))
		return;
	tap->inbox.count--;
	rt_counter_add(&tap->port.counters.in_drops, 1);
}

static void lose(struct tap *tap, int code)
{
	tap->is_gone = true;
	rt_watch_stop(tap->loop, &tap->watch);
	rt_log_error(tap->port.name, "the tap %s cannot be read any more: %s",
		     tap->name, strerror(code));
}

/* What is there, up to a batch. */
static void fetch(struct tap *tap)
{
	unsigned int tries = ENA_INBOX_FRAMES;

	while (tries-- && tap->inbox.count < ENA_INBOX_FRAMES) {
		uint8_t *slot = tap->slots[tap->inbox.count];
		ssize_t size = read(tap->fd, slot, SLOT_BYTES);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno != EAGAIN)
			lose(tap, errno);
		if (size < 0)
			return;
		take(tap, slot, (size_t)size);
	}
}

static void tap_resume(struct ena_port *port)
{
	struct tap *tap = tap_of(port);

	if (ena_inbox_send(&tap->inbox, port) && !tap->is_gone)
		rt_watch_start(tap->loop, &tap->watch, tap->fd, POLLIN);
}

static void tap_is_ready(struct rt_watch *watch, uint32_t events)
{
	struct tap *tap = rt_container_of(watch, struct tap, watch);

	/* It was deleted; one that is down reports nothing. */
	if (events & (POLLERR | POLLNVAL) && !(events & POLLIN)) {
		lose(tap, ENODEV);
		return;
	}
	fetch(tap);
	if (tap->inbox.count && !ena_inbox_send(&tap->inbox, &tap->port))
		rt_watch_stop(tap->loop, &tap->watch);
}

static void tap_start(struct ena_port *port)
{
	struct tap *tap = tap_of(port);

	rt_watch_start(tap->loop, &tap->watch, tap->fd, POLLIN);
}

static void tap_close(struct ena_port *port)
{
	struct tap *tap = tap_of(port);

	rt_watch_stop(tap->loop, &tap->watch);
	if (tap->fd >= 0)
		close(tap->fd);
	free(tap);
}

static const struct ena_uplink_type tap_type = {
	.port = { .name = "tap",
		  .deliver = tap_deliver,
		  .resume = tap_resume,
		  .close = tap_close },
	.start = tap_start,
};

/* ---- Opening ---- */

static int say_why(struct rt_error *error, const char *name, int code)
{
	rt_error_set(error, code, "cannot open the tap %s: %s", name,
		     strerror(-code));
	if (code == -EPERM)
		rt_error_hint(error,
			      "make it once, as root: ip tuntap add %s mode "
			      "tap user $USER && ip link set %s up",
			      name, name);
	if (code == -EBUSY)
		rt_error_hint(error, "another card or QEMU has it; give each "
				     "its own");
	if (code == -ENOENT || code == -ENODEV || code == -ENXIO)
		rt_error_hint(error, "load the kernel's module: modprobe tun");
	if (code == -EINVAL)
		rt_error_hint(error,
			      "%s must be a tap, not another kind of "
			      "interface",
			      name);
	return code;
}

/* One that was made for several queues is opened as such. */
static int attach(int fd, const char *name)
{
	static const short kinds[] = { 0, IFF_MULTI_QUEUE };
	int code = 0;

	for (size_t i = 0; i < RT_COUNT(kinds); i++) {
		struct ifreq request = {
			.ifr_flags = (short)(IFF_TAP | IFF_NO_PI |
					     IFF_VNET_HDR | kinds[i])
		};

		memcpy(request.ifr_name, name, strlen(name));
		if (!ioctl(fd, TUNSETIFF, &request))
			return 0;
		code = -errno;
		if (code != -EINVAL || !if_nametoindex(name))
			break;
	}
	return code;
}

static int agree_on_headers(int fd)
{
	int size = sizeof(struct virtio_net_hdr), yes = 1;

	if (ioctl(fd, TUNSETVNETHDRSZ, &size) || ioctl(fd, TUNSETVNETLE, &yes))
		return -errno;
	return ioctl(fd, TUNSETOFFLOAD, OFFLOADS) ? -errno : 0;
}

static int set_mtu(int sock, const char *name, uint64_t mtu,
		   struct rt_error *error)
{
	struct ifreq request = { 0 };
	int code;

	memcpy(request.ifr_name, name, strlen(name));
	if (!ioctl(sock, SIOCGIFMTU, &request) && request.ifr_mtu == (int)mtu)
		return 0;
	request.ifr_mtu = (int)mtu;
	if (!ioctl(sock, SIOCSIFMTU, &request))
		return 0;
	code = rt_error_set(error, -errno, "cannot set the MTU of %s: %s", name,
			    strerror(errno));
	rt_error_hint(error,
		      "leave mtu out, or do it as root: ip link set %s "
		      "mtu %u",
		      name, (unsigned int)mtu);
	return code;
}

static void bring_up(int sock, const char *name)
{
	struct ifreq request = { 0 };

	memcpy(request.ifr_name, name, strlen(name));
	if (ioctl(sock, SIOCGIFFLAGS, &request) || request.ifr_flags & IFF_UP)
		return;
	request.ifr_flags |= IFF_UP;
	if (ioctl(sock, SIOCSIFFLAGS, &request))
		rt_log_warn(name, "the tap is down: ip link set %s up", name);
}

static int set_up_link(const char *name, uint64_t mtu, bool is_new,
		       struct rt_error *error)
{
	RT_FD int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = 0;

	if (sock < 0)
		return say_why(error, name, -errno);
	if (!mtu && is_new)
		mtu = DEFAULT_MTU;
	if (mtu)
		err = set_mtu(sock, name, mtu, error);
	if (!err)
		bring_up(sock, name);
	return err;
}

static int open_tap(const char *name, uint64_t mtu, int *out,
		    struct rt_error *error)
{
	bool is_new = !if_nametoindex(name);
	RT_FD int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int err;

	if (fd < 0)
		return say_why(error, name, -errno);
	err = attach(fd, name);
	if (!err)
		err = agree_on_headers(fd);
	if (err)
		return say_why(error, name, err);
	err = set_up_link(name, mtu, is_new, error);
	if (err)
		return err;
	*out = rt_take_fd(&fd);
	return 0;
}

static int check_name(const char *name, struct rt_error *error)
{
	if (*name && strlen(name) < IFNAMSIZ && !strpbrk(name, "/%: \t"))
		return 0;
	return rt_error_set(error, -EINVAL,
			    "\"%s\" is no name for a tap: it has 1 to %d "
			    "characters, and none of / %% :",
			    name, IFNAMSIZ - 1);
}

int ena_tap_make(struct rt_loop *loop, const struct ena_uplink_config *config,
		 struct ena_port **out, struct rt_error *error)
{
	struct tap *tap;
	int err = check_name(config->tap, error);

	if (err)
		return err;
	tap = malloc(sizeof *tap); /* the slots cost nothing until used */
	if (!tap)
		return rt_error_set(error, -ENOMEM, "no memory is left");
	memset(tap, 0, offsetof(struct tap, slots));
	err = open_tap(config->tap, config->mtu, &tap->fd, error);
	if (err) {
		free(tap);
		return err;
	}
	tap->loop = loop;
	tap->watch.ready = tap_is_ready;
	tap->port.type = &tap_type.port;
	snprintf(tap->name, sizeof tap->name, "%s", config->tap);
	*out = &tap->port;
	return 0;
}
