/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls to a card's control socket: JSON-RPC 2.0, a line each way.  One thread.
 */
#ifndef FIRMWARE_RT_CALL_H
#define FIRMWARE_RT_CALL_H

#include <jansson.h>
#include <stdio.h>

struct rt_caller {
	FILE *stream; /* NULL: not connected */
	unsigned int next_id;
};

/*
 * Connect to the UNIX socket at path and hear the card's greeting.  A negative
 * errno: of connect(), or -EPROTO when nobody speaks there.
 */
int rt_caller_open(struct rt_caller *caller, const char *path);
void rt_caller_close(struct rt_caller *caller);

/*
 * Call a method.  params is taken; NULL: none.  On 0, *out_answer is the
 * caller's: an object with "result" or "error".  -ECONNRESET: the card has hung
 * up; -ETIMEDOUT: it does not answer.
 */
int rt_caller_call(struct rt_caller *caller, const char *method, json_t *params,
		   json_t **out_answer);

#endif
