/* SPDX-License-Identifier: BSD-3-Clause */
/* Nothing is kept: the mask is inherited by the one, and put back. */
#include "firmware/rt/thread.h"

#include <signal.h>
#include <stddef.h>

#include "firmware/rt/scope.h"

/* Blocked, these would end the process without a word: guard.c, sandbox.h. */
static const int own_mistakes[] = { SIGSYS, SIGBUS, SIGSEGV, SIGFPE, SIGILL };

int rt_thread_start(pthread_t *out, void *(*run)(void *), void *opaque)
{
	sigset_t others, before;
	int code;

	sigfillset(&others);
	for (size_t i = 0; i < RT_COUNT(own_mistakes); i++)
		sigdelset(&others, own_mistakes[i]);
	pthread_sigmask(SIG_SETMASK, &others, &before);
	code = pthread_create(out, NULL, run, opaque);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -code;
}
