/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data channel's thread: a guest's commands one after the other, and the
 * card's own jobs between them.
 *
 * A VMM sends a command as the guest has written it, cut to its buffer, so the
 * size in a header may be anything.  A command ends where its header says if
 * that can be, or else with what has come; the TPM then says what is wrong.
 *
 * syscalls: recvfrom[4=0] poll
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/rt/secret.h"
#include "firmware/rt/trace.h"
#include "security-chip/tpm/private.h"

#define GRACE_MS 1000 /* for the rest of a command */

void sec_tpm_data_offer(struct sec_tpm *tpm, int fd)
{
	pthread_mutex_lock(&tpm->post_lock);
	if (tpm->has_offer && tpm->offered >= 0)
		close(tpm->offered);
	tpm->offered = fd;
	tpm->has_offer = true;
	pthread_mutex_unlock(&tpm->post_lock);
	eventfd_write(tpm->wake, 1);
}

void sec_tpm_post(struct sec_tpm *tpm, struct sec_tpm_job *job)
{
	pthread_mutex_lock(&tpm->post_lock);
	STAILQ_INSERT_TAIL(&tpm->jobs, job, entry);
	pthread_mutex_unlock(&tpm->post_lock);
	eventfd_write(tpm->wake, 1);
}

static void hang_up(struct sec_tpm_data *data)
{
	if (data->fd >= 0)
		close(data->fd);
	data->fd = -1;
	rt_erase(data->in, data->used);
	data->used = 0;
}

static struct sec_tpm_job *next_job(struct sec_tpm *tpm)
{
	struct sec_tpm_job *job;

	pthread_mutex_lock(&tpm->post_lock);
	job = STAILQ_FIRST(&tpm->jobs);
	if (job)
		STAILQ_REMOVE_HEAD(&tpm->jobs, entry);
	if (tpm->has_offer) {
		hang_up(&tpm->data);
		tpm->data.fd = tpm->offered;
		tpm->has_offer = false;
	}
	pthread_mutex_unlock(&tpm->post_lock);
	return job;
}

static void look_around(struct sec_tpm *tpm)
{
	struct sec_tpm_job *job;
	eventfd_t count;

	eventfd_read(tpm->wake, &count);
	while ((job = next_job(tpm))) {
		pthread_mutex_lock(&tpm->lock);
		job->run(job, tpm);
		pthread_mutex_unlock(&tpm->lock);
	}
}

/* Bytes of the first command; 0: it is not all there. */
static size_t length_of(struct sec_tpm *tpm)
{
	const struct sec_tpm_data *data = &tpm->data;
	size_t size = sec_tpm_size_of(data->in, data->used);

	if (data->used < TPM_HEADER_BYTES)
		return 0;
	if (size < TPM_HEADER_BYTES || size > sizeof data->in) {
		rt_rule_broken(&tpm->rules, SEC_TPM_RULE_COMMAND_SIZE, size);
		return data->used;
	}
	return data->used < size ? 0 : size;
}

/* The VMM has gone since, or another one came. */
static bool is_withdrawn(struct sec_tpm *tpm)
{
	bool is_so;

	pthread_mutex_lock(&tpm->post_lock);
	is_so = tpm->has_offer;
	pthread_mutex_unlock(&tpm->post_lock);
	return is_so;
}

/* The first command has been done: both it and what it made are secrets. */
static void forget_first(struct sec_tpm_data *data, size_t size)
{
	data->used -= size;
	memmove(data->in, data->in + size, data->used);
	rt_erase(data->in + data->used, size);
}

static void run_command(struct sec_tpm *tpm, size_t size)
{
	struct sec_tpm_data *data = &tpm->data;
	uint8_t answer[SEC_TPM_MESSAGE_BYTES];
	size_t answered = 0;

	pthread_mutex_lock(&tpm->lock);
	if (!is_withdrawn(tpm))
		answered = sec_tpm_guest_run(&tpm->guest, tpm->channel.locality,
					     data->in, size, answer);
	pthread_mutex_unlock(&tpm->lock);
	forget_first(data, size);
	if (!answered || !sec_tpm_send(data->fd, tpm->end, answer, answered))
		hang_up(data);
	rt_erase(answer, answered);
}

static void receive(struct sec_tpm *tpm)
{
	struct sec_tpm_data *data = &tpm->data;
	ssize_t got = recv(data->fd, data->in + data->used,
			   sizeof data->in - data->used, MSG_DONTWAIT);
	size_t size;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		hang_up(data);
		return;
	}
	data->used += (size_t)got;
	while (data->fd >= 0 && !tpm->is_ending && (size = length_of(tpm))) {
		run_command(tpm, size);
		/* A VMM that sends many at once does not keep others waiting.
		 */
		look_around(tpm);
	}
}

/* Nothing more has come of it. */
static void run_rest(struct sec_tpm *tpm)
{
	rt_rule_broken(&tpm->rules, SEC_TPM_RULE_COMMAND_CUT, tpm->data.used);
	run_command(tpm, tpm->data.used);
}

static void turn(struct sec_tpm *tpm)
{
	struct sec_tpm_data *data = &tpm->data;
	struct pollfd fds[] = { { .fd = tpm->wake, .events = POLLIN },
				{ .fd = data->fd, .events = POLLIN } };
	int count = poll(fds, 2, data->used ? GRACE_MS : -1);

	if (count < 0)
		return;
	if (fds[0].revents)
		look_around(tpm);
	else if (fds[1].revents)
		receive(tpm);
	else if (data->used)
		run_rest(tpm);
}

void *sec_tpm_data_run(void *opaque)
{
	struct sec_tpm *tpm = opaque;

	pthread_setname_np(pthread_self(), "tpm-data");
	rt_trace_set_source(tpm->name);
	while (!tpm->is_ending)
		turn(tpm);
	/* Who posted a job waits for it. */
	look_around(tpm);
	hang_up(&tpm->data);
	return NULL;
}
