/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many threads post to one loop, which falls asleep and wakes all the time.
 * What a poster wrote before posting must be seen by the call, every posting
 * must be followed by a call, and no call may run twice at a time.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"

#define POSTERS 4
#define TASKS   3 /* of each poster */
#define ROUNDS  20000

struct job {
	struct rt_task task;
	_Atomic uint64_t wanted; /* the poster's latest round */
	uint64_t plain;          /* written by the poster while not posted */
	uint64_t seen;           /* the loop's */
	_Atomic uint64_t runs;
};

static struct rt_loop *loop;
static struct job jobs[POSTERS][TASKS];
static struct job single; /* posted by all, over and over */

static void run_job(struct rt_task *task)
{
	struct job *job = rt_container_of(task, struct job, task);

	job->seen = atomic_load_explicit(&job->wanted, memory_order_relaxed);
	atomic_fetch_add_explicit(&job->runs, 1, memory_order_relaxed);
}

/* Reads what the poster wrote without any other synchronisation. */
static void run_handed_over(struct rt_task *task)
{
	struct job *job = rt_container_of(task, struct job, task);

	job->seen = job->plain;
	atomic_fetch_add_explicit(&job->runs, 1, memory_order_release);
}

static void *post_many(void *jobs_of_thread)
{
	struct job *own = jobs_of_thread;

	for (uint64_t round = 1; round <= ROUNDS; round++) {
		struct job *job = &own[round % (TASKS - 1)];
		struct job *handed = &own[TASKS - 1];

		atomic_store_explicit(&job->wanted, round,
				      memory_order_relaxed);
		rt_loop_post(loop, &job->task);
		rt_loop_post(loop, &single.task);
		if (round % 64)
			continue;
		handed->plain = round;
		rt_loop_post(loop, &handed->task);
		while (atomic_load_explicit(&handed->runs,
					    memory_order_acquire) != round / 64)
			sched_yield();
	}
	return NULL;
}

static void *run_loop(void *result)
{
	*(int *)result = rt_loop_run(loop);
	return NULL;
}

static int check(const struct job *job, uint64_t wanted, const char *what)
{
	if (job->seen == wanted)
		return 0;
	fprintf(stderr, "%s saw %llu, not %llu\n", what,
		(unsigned long long)job->seen, (unsigned long long)wanted);
	return 1;
}

static int check_all(void)
{
	int wrong = 0;

	for (size_t i = 0; i < POSTERS; i++) {
		for (size_t j = 0; j < TASKS - 1; j++)
			wrong += check(&jobs[i][j], jobs[i][j].wanted, "a job");
		wrong += check(&jobs[i][TASKS - 1], ROUNDS / 64 * 64,
			       "a handed job");
	}
	if (!single.runs) {
		fprintf(stderr, "the shared job never ran\n");
		wrong++;
	}
	return wrong;
}

static void stop_loop(struct rt_task *task)
{
	(void)task;
	rt_loop_stop(loop);
}

int main(void)
{
	pthread_t runner, posters[POSTERS];
	struct rt_task last = { .run = stop_loop };
	int result = -1;

	single.task.run = run_job;
	for (size_t i = 0; i < POSTERS; i++)
		for (size_t j = 0; j < TASKS; j++)
			jobs[i][j].task.run =
				j == TASKS - 1 ? run_handed_over : run_job;
	if (rt_loop_create(NULL, &loop))
		return EXIT_FAILURE;
	pthread_create(&runner, NULL, run_loop, &result);
	for (size_t i = 0; i < POSTERS; i++)
		pthread_create(&posters[i], NULL, post_many, jobs[i]);
	for (size_t i = 0; i < POSTERS; i++)
		pthread_join(posters[i], NULL);
	rt_loop_post(loop, &last);
	pthread_join(runner, NULL);
	rt_loop_destroy(&loop);
	return result || check_all() ? EXIT_FAILURE : EXIT_SUCCESS;
}
