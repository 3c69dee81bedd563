/* SPDX-License-Identifier: BSD-3-Clause */
/* See fake_server.h.  One thread.  Owns its end of the socket and BAR 0. */
#include "tests/unit/host-driver/fake_server.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM 8192u

struct message {
	struct vfio_user_header header;
	uint8_t payload[ROOM];
	int fds[16];
	unsigned int fd_count;
};

int fake_server_start(struct fake_server *s)
{
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	s->fd = ends[0];
	if (s->bar_fd >= 0) {
		s->bar_fd = memfd_create("bar", 0);
		cr_assert_eq(ftruncate(s->bar_fd, 2 * FAKE_AREA), 0);
	}
	return ends[1];
}

void fake_server_stop(struct fake_server *s)
{
	if (s->fd >= 0)
		close(s->fd);
	if (s->bar_fd >= 0)
		close(s->bar_fd);
	s->fd = s->bar_fd = -1;
}

static void take_fds(struct message *m, struct msghdr *head)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(head);

	m->fd_count = 0;
	if (!control)
		return;
	m->fd_count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(m->fds, CMSG_DATA(control), m->fd_count * sizeof(int));
}

/* Small messages come whole. */
static bool receive(struct fake_server *s, struct message *m)
{
	char control[CMSG_SPACE(sizeof m->fds)];
	struct iovec iov = { &m->header, sizeof m->header };
	struct msghdr head = { .msg_iov = &iov,
			       .msg_iovlen = 1,
			       .msg_control = control,
			       .msg_controllen = sizeof control };
	ssize_t left;

	if (recvmsg(s->fd, &head, MSG_DONTWAIT) != sizeof m->header)
		return false;
	take_fds(m, &head);
	left = m->header.size - sizeof m->header;
	cr_assert_leq(left, (ssize_t)ROOM);
	return left == 0 || recv(s->fd, m->payload, (size_t)left, 0) == left;
}

static void reply(struct fake_server *s, struct message *m, size_t size,
		  const int *fds, unsigned int fd_count)
{
	char control[CMSG_SPACE(2 * sizeof(int))] = { 0 };
	struct iovec iov = { &m->header, sizeof m->header + size };
	struct msghdr head = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *rights;

	m->header.flags |= VFIO_USER_TYPE_REPLY;
	m->header.size = (uint32_t)(sizeof m->header + size);
	if (fd_count > 0) {
		head.msg_control = control;
		head.msg_controllen = CMSG_SPACE(fd_count * sizeof *fds);
		rights = CMSG_FIRSTHDR(&head);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(fd_count * sizeof *fds);
		memcpy(CMSG_DATA(rights), fds, fd_count * sizeof *fds);
	}
	cr_assert_eq(sendmsg(s->fd, &head, MSG_NOSIGNAL), (ssize_t)iov.iov_len);
}

static void answer_version(struct fake_server *s, struct message *m)
{
	size_t size = sizeof(struct vfio_user_version);

	memset(m->payload, 0, size);
	if (s->version_text) {
		strcpy((char *)m->payload + size, s->version_text);
		size += strlen(s->version_text) + 1;
	}
	reply(s, m, size, NULL, 0);
}

struct region_reply {
	struct vfio_region_info info;
	struct vfio_region_info_cap_sparse_mmap cap;
	struct vfio_region_sparse_mmap_area area;
};

/* As servers do it: the first time only how much room it takes. */
static void answer_region(struct fake_server *s, struct message *m)
{
	struct vfio_region_info *asked = (void *)m->payload;
	struct region_reply r = {
		.info = { .argsz = sizeof r, .index = asked->index, .flags = 3 }
	};
	uint32_t room = asked->argsz;

	if (asked->index == 0)
		r.info.size = 2 * FAKE_AREA;
	if (asked->index != 0 || s->bar_fd < 0) {
		r.info.argsz = sizeof r.info;
		memcpy(m->payload, &r, sizeof r.info);
		reply(s, m, sizeof r.info, NULL, 0);
		return;
	}
	r.info.flags |= VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS;
	r.info.cap_offset = sizeof r.info;
	r.cap.header.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP;
	r.cap.nr_areas = 1;
	r.area.offset = r.area.size = FAKE_AREA;
	if (room < sizeof r)
		r.info.cap_offset = 0;
	memcpy(m->payload, &r, sizeof r);
	/* One that nobody asked for comes along. */
	reply(s, m, room < sizeof r ? sizeof r.info : sizeof r,
	      (int[]){ s->bar_fd, s->fd }, 2);
}

static void answer_irqs(struct fake_server *s, struct message *m)
{
	struct vfio_irq_set set;

	memcpy(&set, m->payload, sizeof set);
	s->irq_start = set.start;
	s->irq_count += set.count;
	s->irq_fds += m->fd_count;
	reply(s, m, 0, NULL, 0);
}

static void answer_info(struct fake_server *s, struct message *m)
{
	struct vfio_user_device_info info = {
		.argsz = sizeof info,
		.flags = VFIO_DEVICE_FLAGS_PCI,
		.num_regions = VFIO_USER_REGIONS,
		.num_irqs = VFIO_USER_IRQS,
	};

	memcpy(m->payload, &info, sizeof info);
	reply(s, m, sizeof info, NULL, 0);
}

static void answer(struct fake_server *s, struct message *m)
{
	switch (m->header.command) {
	case VFIO_USER_VERSION:
		answer_version(s, m);
		break;
	case VFIO_USER_DEVICE_GET_INFO:
		answer_info(s, m);
		break;
	case VFIO_USER_DEVICE_GET_REGION_INFO:
		answer_region(s, m);
		break;
	case VFIO_USER_DEVICE_SET_IRQS:
		answer_irqs(s, m);
		break;
	case VFIO_USER_DMA_MAP:
		memcpy(&s->map, m->payload, sizeof s->map);
		s->had_fd = m->fd_count == 1;
		reply(s, m, 0, NULL, 0);
		break;
	default:
		reply(s, m, m->header.size - sizeof m->header, NULL, 0);
	}
}

void fake_server_run(void *opaque)
{
	struct fake_server *s = opaque;
	struct message m;

	while (s->fd >= 0 && receive(s, &m)) {
		s->commands[m.header.command % 32]++;
		if (s->mute == m.header.command) {
			close(s->fd);
			s->fd = -1;
		} else if (s->failing == m.header.command) {
			m.header.flags |= VFIO_USER_ERROR;
			m.header.error = s->errno_value;
			reply(s, &m, 0, NULL, 0);
		} else {
			answer(s, &m);
		}
		while (m.fd_count > 0)
			close(m.fds[--m.fd_count]);
	}
}
