/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket: JSON-RPC 2.0, one JSON text to a line, several clients.
 * Everything on the main loop's thread.
 */
#ifndef FIRMWARE_CARD_CONTROL_H
#define FIRMWARE_CARD_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "firmware/card/rpc.h"
#include "firmware/rt/loop.h"

struct card;
struct card_control;

#define CARD_CLIENTS 32 /* at a time */

struct card_control {
	struct card *card; /* borrowed */
	struct rt_loop *loop;
	void (*stop)(void *opaque); /* what card.stop does */
	void *opaque;
	int fd;
	char *path;
	struct rt_watch watch;
	struct rt_timer rest; /* after accept() failed */
	TAILQ_HEAD(, card_client) clients;
	TAILQ_HEAD(, card_call) calls;
	unsigned int client_count;
};

/*
 * Listen at path (mode 0600).  A socket left by a dead card is replaced; a
 * living one is an error, -EADDRINUSE.  path NULL: clients come by
 * card_control_attach().
 */
int card_control_create(struct card *card, struct rt_loop *loop,
			const char *path, struct card_control **out,
			struct rt_error *error);

/* Hang up on everybody; what runs on functions' threads still comes back. */
void card_control_close(struct card_control *control);
/* After card_control_close(), when no function has a thread any more. */
void card_control_destroy(struct card_control **control);

/* Serve a connected stream socket; takes fd. */
int card_control_attach(struct card_control *control, int fd);

/* Hang up on a client; it is gone when this returns. */
void card_control_drop(struct card_client *client);

/* A call has come back. */
void card_control_answer(struct card_call *call);

#endif
