/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thread that signs.
 *
 * Theory.  A job is the loop's until it is handed over, the thread's until its
 * task comes back by post, and then the loop's again: so neither locks it but
 * for the handing over.  What is asked for meanwhile waits in `next`; what is
 * cancelled goes its way and is not told.
 */
#include "security-chip/nsm/sign.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/error.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/thread.h"

struct job {
	uint8_t message[NSM_REQUEST_BYTES];
	struct sec_attest_request fields; /* into message */
	struct sec_pcrs pcrs;
	unsigned int faults;
};

struct nsm_signer {
	struct rt_loop *loop;
	struct sec_attester *attester;
	nsm_signed_fn *done;
	void *opaque;

	/* The loop's. */
	bool is_busy;   /* `now` is with the thread */
	bool is_wanted; /* whoever began it waits for it */
	bool has_next;
	struct job next;

	/* With the thread while it is busy. */
	struct job now;
	uint8_t document[NSM_RESPONSE_BYTES];
	size_t size;
	int status;
	struct rt_task task;

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool has_work, is_stopping; /* under the lock */
};

/* ---- the thread ---- */

static bool wait_for_work(struct nsm_signer *s)
{
	bool has_work;

	pthread_mutex_lock(&s->lock);
	while (!s->has_work && !s->is_stopping)
		pthread_cond_wait(&s->changed, &s->lock);
	has_work = s->has_work;
	s->has_work = false;
	pthread_mutex_unlock(&s->lock);
	return has_work;
}

static void *run(void *opaque)
{
	struct nsm_signer *s = opaque;

	pthread_setname_np(pthread_self(), "nsm-sign");
	while (wait_for_work(s)) {
		sec_attester_set_faults(s->attester, s->now.faults);
		s->status =
			sec_attest(s->attester, &s->now.fields, &s->now.pcrs,
				   s->document, sizeof s->document, &s->size);
		rt_loop_post(s->loop, &s->task);
	}
	return NULL;
}

/* ---- the loop ---- */

static const uint8_t *moved(const uint8_t *field, const uint8_t *from,
			    const uint8_t *to)
{
	return field ? to + (field - from) : NULL;
}

static void copy_job(struct job *job,
		     const struct nsm_document_request *request)
{
	const uint8_t *from = request->message, *to = job->message;

	memcpy(job->message, from, request->message_bytes);
	job->fields = request->fields;
	job->fields.user_data = moved(request->fields.user_data, from, to);
	job->fields.nonce = moved(request->fields.nonce, from, to);
	job->fields.public_key = moved(request->fields.public_key, from, to);
	job->pcrs = request->pcrs;
	job->faults = request->faults;
}

static void hand_over(struct nsm_signer *s)
{
	s->is_busy = true;
	s->is_wanted = true;
	pthread_mutex_lock(&s->lock);
	s->has_work = true;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void release(struct nsm_signer *s)
{
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	sec_attester_destroy(&s->attester);
	free(s);
}

/* Pointers into one job's message to the same places of the other's. */
static void take_next(struct nsm_signer *s)
{
	struct nsm_document_request request = {
		.fields = s->next.fields,
		.message = s->next.message,
		.message_bytes = sizeof s->next.message,
		.pcrs = s->next.pcrs,
		.faults = s->next.faults,
	};

	s->has_next = false;
	copy_job(&s->now, &request);
	hand_over(s);
}

static void came_back(struct rt_task *task)
{
	struct nsm_signer *s = rt_container_of(task, struct nsm_signer, task);
	bool is_wanted = s->is_wanted;

	if (!s->done) { /* it was destroyed meanwhile */
		release(s);
		return;
	}
	s->is_busy = false;
	s->is_wanted = false;
	if (s->has_next)
		take_next(s);
	else if (is_wanted)
		s->done(s->opaque, s->status, s->document, s->size);
}

void nsm_signer_start(struct nsm_signer *s,
		      const struct nsm_document_request *request)
{
	if (s->is_busy) {
		copy_job(&s->next, request);
		s->has_next = true;
		return;
	}
	copy_job(&s->now, request);
	hand_over(s);
}

void nsm_signer_cancel(struct nsm_signer *s)
{
	s->has_next = false;
	s->is_wanted = false;
}

/* ---- life ---- */

int nsm_signer_create(struct rt_loop *loop, struct sec_attester *attester,
		      nsm_signed_fn *done, void *opaque,
		      struct nsm_signer **out, struct rt_error *error)
{
	struct nsm_signer *s = calloc(1, sizeof *s);
	int status;

	if (!s) {
		sec_attester_destroy(&attester);
		return rt_error_set(error, -ENOMEM, "no memory for documents");
	}
	s->loop = loop;
	s->attester = attester;
	s->done = done;
	s->opaque = opaque;
	s->task.run = came_back;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	status = rt_thread_start(&s->thread, run, s);
	if (status) {
		release(s);
		return rt_error_set(error, status,
				    "no thread to sign documents: %s",
				    strerror(-status));
	}
	*out = s;
	return 0;
}

void nsm_signer_destroy(struct nsm_signer **signer)
{
	struct nsm_signer *s = *signer;

	if (!s)
		return;
	*signer = NULL;
	pthread_mutex_lock(&s->lock);
	s->is_stopping = true;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	s->done = NULL;
	/* What it has posted last is still to come, and frees it. */
	if (!s->is_busy)
		release(s);
}
