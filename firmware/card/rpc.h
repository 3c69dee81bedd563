/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls of JSON-RPC 2.0 and the methods that answer them.
 *
 * A call is made on the main thread.  A method with `run_there` is handed to
 * the function that its first parameter names: run_there() is called on that
 * function's thread.  Either way the method sets call->result or calls
 * card_call_fail(), and ends, now or later, with card_call_done() on the thread
 * it ran on; the answer goes out on the main thread.
 */
#ifndef FIRMWARE_CARD_RPC_H
#define FIRMWARE_CARD_RPC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "firmware/rt/error.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/option.h"

struct card_call;
struct card_client;
struct card_control;
struct card_function;

#define CARD_RPC_VERSION "1.0"

enum card_rpc_code { /* JSON-RPC 2.0, 5.1; below -32000 it is ours */
		     CARD_RPC_PARSE_ERROR = -32700,
		     CARD_RPC_INVALID_REQUEST = -32600,
		     CARD_RPC_NO_METHOD = -32601,
		     CARD_RPC_INVALID_PARAMS = -32602,
		     CARD_RPC_INTERNAL = -32603,
		     CARD_RPC_REFUSED = -32000,   /* not in this state */
		     CARD_RPC_NO_OBJECT = -32001, /* nothing of that name */
		     CARD_RPC_HOST_ERROR = -32002,
};

struct card_method {
	const char *name;
	void (*run)(struct card_call *call);
	void (*run_there)(struct card_call *call);
	const struct rt_option *params; /* NULL: it takes none */
	size_t params_size;
	const char *result;   /* what comes back, in words */
	const char *sentence; /* what it does */
};

extern const struct card_method card_methods[];
extern const size_t card_method_count;

struct card_call {
	struct card_control *control;
	struct card_client *client; /* NULL: it has gone */
	const struct card_method *method;
	void *params;                   /* method->params_size bytes, or NULL */
	json_t *id;                     /* NULL: a notification, no answer */
	struct card_function *function; /* NULL: not of a function */
	json_t *result;
	enum card_rpc_code code; /* 0: no error */
	struct rt_error error;
	/* the machinery's */
	struct rt_task task;
	TAILQ_ENTRY(card_call) entry;
};

/* A negative errno as the code of an answer. */
enum card_rpc_code card_rpc_code_of(int status);

void card_call_fail(struct card_call *call, enum card_rpc_code code,
		    const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void card_call_done(struct card_call *call);

/*
 * A call from one line, without its newline.  *out_reply: the answer when there
 * is something wrong with the line, to be sent at once.  NULL in both: no
 * memory.
 */
struct card_call *card_call_create(struct card_control *control,
				   const char *line, size_t size,
				   json_t **out_reply);
void card_call_destroy(struct card_call *call);

/* Start it: it may be done before this returns. */
void card_call_run(struct card_call *call);
/* The answer; NULL when none is due. */
json_t *card_call_reply(const struct card_call *call);

/* The greeting that every client gets first. */
json_t *card_rpc_greeting(void);

#endif
