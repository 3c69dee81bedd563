/* SPDX-License-Identifier: BSD-3-Clause */
/* A thread that does one thing, beside those that have a loop. */
#ifndef FIRMWARE_RT_THREAD_H
#define FIRMWARE_RT_THREAD_H

#include <pthread.h>

/*
 * Start one that takes no signals but those of its own mistakes: others are for
 * the threads that wait for them.  It names itself; from outside, a sandbox
 * would have to be asked.  0 or a negative errno.
 */
int rt_thread_start(pthread_t *out, void *(*run)(void *), void *opaque);

#endif
