/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The user-mode network: a process of its own, nitro-user-net, is behind the
 * port.  See user_net.c for what it is made of, and why.
 *
 * Each frame is a message of a SOCK_SEQPACKET socket, so none is ever in part
 * there.  What the socket does not take waits where it is until it does.
 * Super-packets go whole: the process takes TCP segments of any length, and
 * cutting them would only make work.
 *
 * The process talks with the guest and with the world, so it may be turned
 * against us: what it sends is a frame or is dropped.
 *
 * syscalls: sendmmsg recvmmsg
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "ena/vpc/port_user.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"

#define DEFAULT_MTU 1500u

static struct ena_user *user_of(struct ena_port *port)
{
	return rt_container_of(port, struct ena_user, port);
}

/* ---- To the process ---- */

/* As it stands on a wire, but never cut. */
static bool put_whole(struct ena_user_outbox *out,
		      const struct ena_frame *frame, struct iovec *piece)
{
	uint8_t header[ENA_FRAME_HEADER_BYTES];
	struct ena_frame whole = *frame;

	*piece = (struct iovec){ out->pool + out->used, frame->length };
	if (frame->flags & ENA_FRAME_TSO)
		whole.l4_proto = IPPROTO_TCP;
	if (!ena_header_finish(frame, header))
		return false;
	whole.header = header;
	/* An L3 checksum alone is done by now. */
	whole.flags = frame->flags & (ENA_FRAME_LEFT_TO_DO & ~ENA_FRAME_L3_CSUM)
			      ? ENA_FRAME_L4_CSUM_PARTIAL
			      : 0;
	ena_frame_put_wire(&whole, 0, &(struct ena_frame_room){ piece, 1 });
	out->used += frame->length;
	return true;
}

static bool has_room(const struct ena_user_outbox *out,
		     const struct ena_frame *frame)
{
	return out->count < ENA_USER_BATCH &&
	       (!(frame->flags & ENA_FRAME_LEFT_TO_DO) ||
		ENA_USER_POOL_BYTES - out->used >= frame->length);
}

/* False: it cannot be sent at all. */
static bool add_message(struct ena_user_outbox *out,
			const struct ena_frame *frame)
{
	struct iovec *pieces = out->pieces[out->count];
	struct msghdr *message = &out->messages[out->count].msg_hdr;

	*message = (struct msghdr){ .msg_iov = pieces, .msg_iovlen = 1 };
	if (frame->flags & ENA_FRAME_LEFT_TO_DO) {
		if (!put_whole(out, frame, pieces))
			return false;
	} else {
		pieces[0] = (struct iovec){ (void *)(uintptr_t)frame->header,
					    frame->header_length };
		for (unsigned int i = 0; i < frame->part_count; i++)
			pieces[1 + i] = frame->parts[i];
		message->msg_iovlen += frame->part_count;
	}
	out->count++;
	return true;
}

static void watch_socket(struct ena_user *user, uint32_t events)
{
	rt_watch_stop(user->loop, &user->readable);
	if (events)
		rt_watch_start(user->loop, &user->readable, user->sock, events);
}

/* While a batch waits for the switch, nothing is read. */
static uint32_t wanted_events(const struct ena_user *user)
{
	return (user->inbox.count ? 0 : POLLIN) | (user->is_full ? POLLOUT : 0);
}

void ena_user_watch(struct ena_user *user)
{
	watch_socket(user, wanted_events(user));
}

/* Returns how many were dealt with; fewer: there is no room now. */
static unsigned int flush(struct ena_user *user)
{
	struct ena_user_outbox *out = &user->outbox;
	unsigned int done = 0;

	while (done < out->count) {
		int n = sendmmsg(user->sock, out->messages + done,
				 out->count - done,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			done += (unsigned int)n;
			continue;
		}
		if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
			break;
		if (n < 0 && errno == EINTR)
			continue;
		rt_counter_add(&user->port.counters.out_drops, 1);
		done++;
	}
	if (done < out->count) {
		user->is_full = true;
		ena_user_watch(user);
	}
	out->count = 0;
	out->used = 0;
	return done;
}

/* Returns how many of the frames are in the outbox, or dropped. */
static unsigned int fill(struct ena_user *user, const struct ena_frame *frames,
			 unsigned int count)
{
	struct ena_user_outbox *out = &user->outbox;
	unsigned int n = 0;

	while (n < count && has_room(out, &frames[n])) {
		if (!add_message(out, &frames[n])) {
			/* What is counted as sent must be in the outbox. */
			if (out->count)
				break;
			rt_counter_add(&user->port.counters.out_drops, 1);
			return 1;
		}
		n++;
	}
	return n;
}

static unsigned int user_deliver(struct ena_port *port,
				 const struct ena_frame *frames,
				 unsigned int count)
{
	struct ena_user *user = user_of(port);
	unsigned int done = 0;

	if (user->sock < 0) {
		rt_counter_add(&port->counters.out_drops, count);
		return count;
	}
	while (done < count && !user->is_full) {
		unsigned int n = fill(user, frames + done, count - done);

		if (user->outbox.count)
			n = flush(user);
		done += n;
	}
	return done;
}

/* ---- From the process ---- */

static unsigned int receive(struct ena_user *user)
{
	struct mmsghdr messages[ENA_INBOX_FRAMES];
	struct iovec pieces[ENA_INBOX_FRAMES];
	int n;

	for (unsigned int i = 0; i < ENA_INBOX_FRAMES; i++) {
		pieces[i] =
			(struct iovec){ user->slots[i], ENA_USER_SLOT_BYTES };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &pieces[i],
						       .msg_iovlen = 1 };
	}
	n = recvmmsg(user->sock, messages, ENA_INBOX_FRAMES, MSG_DONTWAIT,
		     NULL);
	for (int i = 0; i < n; i++) {
		unsigned int size = messages[i].msg_len;

		if (!size)
			return 0; /* the end */
		if (size >= ENA_USER_SLOT_BYTES ||
		    size < ENA_ETHER_HEADER_BYTES)
			rt_counter_add(&user->port.counters.in_drops, 1);
		else
			ena_inbox_add(&user->inbox, user->slots[i], size);
	}
	return n < 0 ? 1 : (unsigned int)n;
}

static void user_is_readable(struct rt_watch *watch, uint32_t events)
{
	struct ena_user *user =
		rt_container_of(watch, struct ena_user, readable);
	bool had_no_room = user->is_full;

	if (events & (POLLIN | POLLHUP | POLLERR) && !user->inbox.count &&
	    !receive(user)) {
		watch_socket(user, 0);
		/* It is ending, or must. */
		pidfd_send_signal(user->pid_fd, SIGKILL, NULL, 0);
		return;
	}
	if (user->inbox.count)
		ena_inbox_send(&user->inbox, &user->port);
	if (events & POLLOUT)
		user->is_full = false;
	ena_user_watch(user);
	if (had_no_room && !user->is_full)
		ena_port_resume(&user->port);
}

static void user_resume(struct ena_port *port)
{
	struct ena_user *user = user_of(port);

	if (ena_inbox_send(&user->inbox, port) && user->sock >= 0)
		ena_user_watch(user);
}

/* ---- The port ---- */

static void free_user(struct ena_user *user)
{
	free(user->tftp);
	free(user->bootfile);
	free(user);
}

static void user_close(struct ena_port *port)
{
	struct ena_user *user = user_of(port);

	ena_user_end(user);
	free_user(user);
}

static const struct ena_uplink_type user_type = {
	.port = { .name = "user",
		  .deliver = user_deliver,
		  .resume = user_resume,
		  .close = user_close },
};

static int check_tftp(const char *path, struct rt_error *error)
{
	struct stat status;

	if (!path)
		return 0;
	if (stat(path, &status))
		return rt_error_set(error, -errno, "cannot serve %s: %s", path,
				    strerror(errno));
	if (!S_ISDIR(status.st_mode))
		return rt_error_set(error, -ENOTDIR,
				    "cannot serve %s: it is no folder", path);
	return 0;
}

static char *copy_of(const char *text)
{
	return text ? strdup(text) : NULL;
}

static struct ena_user *alloc_user(struct rt_loop *loop,
				   const struct ena_uplink_config *config)
{
	struct ena_user *user = malloc(sizeof *user);

	if (!user)
		return NULL;
	memset(user, 0, offsetof(struct ena_user, inbox));
	user->inbox.next = user->inbox.count = 0;
	user->outbox.count = 0;
	user->outbox.used = 0;
	user->loop = loop;
	user->pid_fd = user->sock = user->log_fd = -1;
	user->readable.ready = user_is_readable;
	user->tftp = copy_of(config->tftp);
	user->bootfile = copy_of(config->bootfile);
	snprintf(user->mtu, sizeof user->mtu, "%u",
		 config->mtu ? (unsigned int)config->mtu : DEFAULT_MTU);
	user->port.type = &user_type.port;
	return user;
}

int ena_user_make(struct rt_loop *loop, const struct ena_uplink_config *config,
		  struct ena_port **out, struct rt_error *error)
{
	int err = check_tftp(config->tftp, error);
	struct ena_user *user;

	if (err)
		return err;
	user = alloc_user(loop, config);
	if (!user)
		return rt_error_set(error, -ENOMEM, "no memory is left");
	err = ena_user_start(user, error);
	if (err) {
		free_user(user);
		return err;
	}
	*out = &user->port;
	return 0;
}
