/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads that ring a loop in both ways there are: by memory that a poller
 * looks at, and by a call, which must also reach a loop that its poller keeps
 * awake, lets nap, or lets sleep for good.  What was written before the ring
 * must be seen after it, and nothing may be lost.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"

#define RINGERS 3
#define ROUNDS  3000

struct bell {
	struct rt_poller poller;
	struct rt_task task;
	uint64_t plain;        /* written before a ring */
	_Atomic uint64_t rung; /* by memory */
	_Atomic uint64_t heard, calls;
	uint64_t looks;
};

static struct rt_loop *loop;
static struct bell bells[RINGERS];
static _Atomic int wrong;

static void hear(struct bell *bell, uint64_t round)
{
	if (bell->plain != round)
		wrong++;
	atomic_store_explicit(&bell->heard, round, memory_order_release);
}

/* In turns: at once, spinning, after a nap, and not before something comes. */
static uint64_t look(struct rt_poller *poller, uint64_t now_ns)
{
	static const uint64_t answers[] = { 0, RT_POLL_SPIN, 20000,
					    UINT64_MAX };
	struct bell *bell = rt_container_of(poller, struct bell, poller);
	uint64_t round =
		atomic_load_explicit(&bell->rung, memory_order_acquire);

	(void)now_ns;
	if (round > atomic_load_explicit(&bell->heard, memory_order_relaxed))
		hear(bell, round);
	return answers[bell->looks++ / 8 % RT_COUNT(answers)];
}

static void called(struct rt_task *task)
{
	struct bell *bell = rt_container_of(task, struct bell, task);

	hear(bell, bell->calls + 1);
	atomic_fetch_add_explicit(&bell->calls, 1, memory_order_release);
}

static void wait_for(_Atomic uint64_t *count, uint64_t round)
{
	while (atomic_load_explicit(count, memory_order_acquire) != round)
		sched_yield();
}

/* A loop that sleeps for good hears no ring by memory: a call follows it. */
static void *ring(void *opaque)
{
	struct bell *bell = opaque;

	for (uint64_t round = 1; round <= ROUNDS; round++) {
		bell->plain = round;
		if (round % 3)
			atomic_store_explicit(&bell->rung, round,
					      memory_order_release);
		rt_loop_post(loop, &bell->task);
		wait_for(&bell->heard, round);
		wait_for(&bell->calls, round);
	}
	return NULL;
}

static void *run(void *unused)
{
	for (int i = 0; i < RINGERS; i++)
		rt_poller_start(loop, &bells[i].poller);
	if (rt_loop_run(loop))
		wrong++;
	return unused;
}

static void stop_polling(struct rt_task *task)
{
	(void)task;
	for (int i = 0; i < RINGERS; i++)
		rt_poller_stop(loop, &bells[i].poller);
	rt_loop_stop(loop);
}

int main(void)
{
	struct rt_task last = { .run = stop_polling };
	pthread_t runner, ringers[RINGERS];

	if (rt_loop_create(NULL, &loop))
		return EXIT_FAILURE;
	for (int i = 0; i < RINGERS; i++) {
		bells[i].poller.poll = look;
		bells[i].task.run = called;
	}
	pthread_create(&runner, NULL, run, NULL);
	for (int i = 0; i < RINGERS; i++)
		pthread_create(&ringers[i], NULL, ring, &bells[i]);
	for (int i = 0; i < RINGERS; i++)
		pthread_join(ringers[i], NULL);
	rt_loop_post(loop, &last);
	pthread_join(runner, NULL);
	rt_loop_destroy(&loop);
	if (wrong)
		fprintf(stderr, "%d rings were heard wrong\n", (int)wrong);
	return wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}
