/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker: a thread that runs a loop, on which any number of functions live.
 * Everything here is called on the main thread.
 */
#ifndef FIRMWARE_CARD_WORKER_H
#define FIRMWARE_CARD_WORKER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "firmware/rt/loop.h"

#define CARD_WORKERS 64 /* at most */

struct card_worker {
	char name[16];        /* "worker0"; of the thread and in its traces */
	struct rt_loop *loop; /* NULL: it did not start */
	/* the worker's own */
	int status;
	pthread_t thread;
	bool has_thread;
	struct rt_task stop, mark;
	sem_t started, marked, released, ended;
};

/* How many to have when the user does not say; at least 1. */
unsigned int card_worker_choice(size_t functions);

/* Start it and wait until it runs. */
int card_worker_start(struct card_worker *worker, unsigned int number);

/*
 * Ask for a mark behind all that has been posted to it, and wait for that.
 * False: it was not there before the deadline.
 */
void card_worker_ask_for_mark(struct card_worker *worker);
bool card_worker_wait_for_mark(struct card_worker *worker,
			       const struct timespec *deadline);

/*
 * End it and its loop, on which nothing is left.  Asking is only for one that
 * has started, once, and nothing is posted to it any more.  False: it did not
 * end before the deadline.  Waiting for one that never started is no wait.
 */
void card_worker_ask_to_end(struct card_worker *worker);
bool card_worker_wait(struct card_worker *worker,
		      const struct timespec *deadline);

/* Wait for a semaphore; the second returns false after the deadline. */
void card_wait(sem_t *semaphore);
bool card_wait_until(sem_t *semaphore, const struct timespec *deadline);

#endif
