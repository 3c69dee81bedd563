/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control channel's thread: one VMM at a time, which may leave and come
 * back.  When it leaves, the TPM's power goes off, as the machine's does.
 *
 * syscalls: accept4 fstat recvfrom[4=0] recvmsg poll
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/rt/log.h"
#include "firmware/rt/trace.h"
#include "security-chip/audit.h"
#include "security-chip/tpm/private.h"

#define FDS     4 /* that may come at once; one is meant */
#define REST_MS 100

/* Wait for the command that runs; it may take long, so it is told to end. */
static void switch_off(struct sec_tpm *tpm)
{
	sec_tpm_engine_cancel();
	pthread_mutex_lock(&tpm->lock);
	sec_tpm_engine_forget();
	if (sec_tpm_engine_is_on()) {
		sec_tpm_engine_off();
		sec_tpm_guest_powered(&tpm->guest, false);
	}
	pthread_mutex_unlock(&tpm->lock);
}

static void hang_up(struct sec_tpm *tpm)
{
	if (tpm->client < 0)
		return;
	close(tpm->client);
	tpm->client = -1;
	tpm->used = 0;
	sec_tpm_data_offer(tpm, -1);
	switch_off(tpm);
	sec_tpm_channel_reset(&tpm->channel);
	tpm->is_connected = false;
	rt_log_info(tpm->name, "the VMM has gone");
}

/* The client still waits, so poll() would return at once, again and again. */
static void rest(struct sec_tpm *tpm)
{
	struct pollfd end = { .fd = tpm->end, .events = POLLIN };

	if (errno != EMFILE && errno != ENFILE && errno != ENOMEM &&
	    errno != ENOBUFS)
		return;
	rt_log_warn(tpm->name, "cannot accept a VMM: %s", strerror(errno));
	poll(&end, 1, REST_MS);
}

static void take_client(struct sec_tpm *tpm)
{
	int fd = accept4(tpm->listener, NULL, NULL,
			 SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		rest(tpm);
		return;
	}
	if (tpm->client >= 0) {
		rt_rule_broken(&tpm->rules, SEC_TPM_RULE_SECOND_VMM, 0);
		close(fd);
		return;
	}
	tpm->client = fd;
	tpm->is_connected = true;
	rt_log_info(tpm->name, "a VMM is connected");
}

static void take_fd(struct sec_tpm *tpm, int fd)
{
	struct stat st = { 0 };

	if (!fstat(fd, &st) && S_ISSOCK(st.st_mode)) {
		sec_tpm_channel_give_fd(&tpm->channel, fd);
		return;
	}
	close(fd);
	rt_rule_broken(&tpm->rules, SEC_TPM_RULE_DESCRIPTOR, st.st_mode);
}

static void take_fds(struct sec_tpm *tpm, struct msghdr *header)
{
	struct cmsghdr *c;
	size_t count;
	int fd;

	for (c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof fd;
		for (size_t i = 0; i < count; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			take_fd(tpm, fd);
		}
	}
}

/* What recv() says. */
static ssize_t receive(struct sec_tpm *tpm)
{
	union {
		char bytes[CMSG_SPACE(FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { tpm->in + tpm->used,
			     SEC_TPM_CHANNEL_BYTES - tpm->used };
	struct msghdr header = { .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof control.bytes };
	ssize_t got =
		recvmsg(tpm->client, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (got > 0) {
		tpm->used += (size_t)got;
		take_fds(tpm, &header);
	}
	return got;
}

/* False: the client is to go. */
static bool answer(struct sec_tpm *tpm, size_t *done)
{
	struct sec_tpm_writer out = { tpm->out, 0, SEC_TPM_CHANNEL_BYTES,
				      false };
	ssize_t length = sec_tpm_channel_take(&tpm->channel, tpm->in + *done,
					      tpm->used - *done, &out);

	if (tpm->channel.data_fd >= 0) {
		sec_tpm_data_offer(tpm, tpm->channel.data_fd);
		tpm->channel.data_fd = -1;
	}
	if (!sec_tpm_send(tpm->client, tpm->end, out.bytes, out.used) ||
	    length < 0)
		return false;
	*done += (size_t)length;
	return true;
}

static bool serve(struct sec_tpm *tpm)
{
	size_t done = 0, before;
	ssize_t got = receive(tpm);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (got <= 0)
		return false;
	do {
		before = done;
		if (!answer(tpm, &done))
			return false;
	} while (done != before && !tpm->is_ending);
	tpm->used -= done;
	memmove(tpm->in, tpm->in + done, tpm->used);
	return true;
}

static void turn(struct sec_tpm *tpm)
{
	struct pollfd fds[] = { { .fd = tpm->end, .events = POLLIN },
				{ .fd = tpm->client,
				  .events = POLLIN | POLLRDHUP },
				{ .fd = tpm->listener, .events = POLLIN } };

	if (poll(fds, 3, -1) < 0)
		return;
	/* Whoever left makes room for who comes, whatever is left of it. */
	if (fds[2].revents && fds[1].revents & (POLLHUP | POLLRDHUP))
		hang_up(tpm);
	else if (fds[1].revents && !serve(tpm))
		hang_up(tpm);
	if (fds[2].revents)
		take_client(tpm);
}

/* The first start of an instance. */
static void make(struct sec_tpm *tpm)
{
	int status;

	if (tpm->guest.eks[0].size)
		return;
	pthread_mutex_lock(&tpm->lock);
	status = sec_tpm_eks_make(&tpm->guest, &tpm->store);
	pthread_mutex_unlock(&tpm->lock);
	if (status)
		rt_log_error(tpm->name, "cannot make endorsement keys: %s",
			     strerror(-status));
	else
		sec_audit("tpm.made", "instance %s", tpm->store.instance);
}

void *sec_tpm_control_run(void *opaque)
{
	struct sec_tpm *tpm = opaque;
	bool has_worker;

	pthread_setname_np(pthread_self(), "tpm");
	rt_trace_set_source(tpm->name);
	make(tpm);
	has_worker = !pthread_create(&tpm->worker, NULL, sec_tpm_data_run, tpm);
	if (!has_worker)
		rt_log_error(tpm->name, "cannot start a thread");
	while (has_worker && !tpm->is_ending)
		turn(tpm);
	if (has_worker)
		pthread_join(tpm->worker, NULL);
	hang_up(tpm);
	return NULL;
}
