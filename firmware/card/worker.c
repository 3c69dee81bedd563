/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads for functions.  The loop belongs to the thread that made it, so the
 * worker makes and destroys it itself:
 *
 *   main:    create thread → wait `started` …… post stop, `released` → wait
 *            `ended`, join
 *   worker:  make loop → `started` → run → wait `released`, destroy the loop →
 *            `ended`
 */
#include "firmware/card/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/trace.h"

#define ENOUGH 8u /* for the queues of a function or two */

void card_wait(sem_t *semaphore)
{
	while (sem_wait(semaphore) && errno == EINTR)
		;
}

bool card_wait_until(sem_t *semaphore, const struct timespec *deadline)
{
	int status;

	do
		status = sem_clockwait(semaphore, CLOCK_MONOTONIC, deadline);
	while (status && errno == EINTR);
	return !status;
}

/* Half of the processors: guests, or the other half of a test, need some. */
unsigned int card_worker_choice(size_t functions)
{
	unsigned int half = CARD_WORKERS;
	cpu_set_t set;

	if (!sched_getaffinity(0, sizeof set, &set))
		half = (unsigned int)CPU_COUNT(&set) / 2;
	if (half > CARD_WORKERS)
		half = CARD_WORKERS;
	if (half > functions && half > ENOUGH)
		half = functions > ENOUGH ? (unsigned int)functions : ENOUGH;
	return half ? half : 1;
}

static void stop_loop(struct rt_task *task)
{
	struct card_worker *worker =
		rt_container_of(task, struct card_worker, stop);

	rt_loop_stop(worker->loop);
}

static void make_mark(struct rt_task *task)
{
	sem_post(&rt_container_of(task, struct card_worker, mark)->marked);
}

static void run_until_stopped(struct card_worker *worker)
{
	int status = rt_loop_run(worker->loop);

	if (status) /* it stays: others may still post */
		rt_log_error(worker->name, "the loop failed: %s",
			     strerror(-status));
	/* Whoever posted the last call may not have returned from posting. */
	card_wait(&worker->released);
	if (!status)
		rt_loop_destroy(&worker->loop);
}

static void *run_worker(void *opaque)
{
	struct card_worker *worker = opaque;

	pthread_setname_np(pthread_self(), worker->name);
	/* The host may not add 50 us to the naps of a card that was busy. */
	prctl(PR_SET_TIMERSLACK, 1);
	rt_trace_set_source(worker->name);
	worker->status = rt_loop_create(NULL, &worker->loop);
	sem_post(&worker->started);
	if (!worker->status)
		run_until_stopped(worker);
	sem_post(&worker->ended);
	return NULL;
}

int card_worker_start(struct card_worker *worker, unsigned int number)
{
	int status;

	snprintf(worker->name, sizeof worker->name, "worker%u", number);
	sem_init(&worker->started, 0, 0);
	sem_init(&worker->marked, 0, 0);
	sem_init(&worker->released, 0, 0);
	sem_init(&worker->ended, 0, 0);
	worker->stop.run = stop_loop;
	worker->mark.run = make_mark;
	status = -pthread_create(&worker->thread, NULL, run_worker, worker);
	if (status)
		return worker->status = status;
	worker->has_thread = true;
	card_wait(&worker->started);
	return worker->status;
}

void card_worker_ask_for_mark(struct card_worker *worker)
{
	rt_loop_post(worker->loop, &worker->mark);
}

bool card_worker_wait_for_mark(struct card_worker *worker,
			       const struct timespec *deadline)
{
	return card_wait_until(&worker->marked, deadline);
}

void card_worker_ask_to_end(struct card_worker *worker)
{
	rt_loop_post(worker->loop, &worker->stop);
	sem_post(&worker->released);
}

bool card_worker_wait(struct card_worker *worker,
		      const struct timespec *deadline)
{
	if (!worker->has_thread)
		return true;
	if (!card_wait_until(&worker->ended, deadline))
		return false;
	pthread_join(worker->thread, NULL);
	sem_destroy(&worker->started);
	sem_destroy(&worker->marked);
	sem_destroy(&worker->released);
	sem_destroy(&worker->ended);
	return true;
}
