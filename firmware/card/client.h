/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One client of the control socket.  Lines are taken only while its calls and
 * its unread answers are few, so neither a fast nor a slow client can make the
 * card hold much.  On the main loop's thread.
 */
#ifndef FIRMWARE_CARD_CLIENT_H
#define FIRMWARE_CARD_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "firmware/rt/loop.h"
#include "firmware/rt/trace.h"

struct card_control;

#define CARD_LINE_BYTES   (1u << 20)   /* of a request, at most */
#define CARD_UNREAD_BYTES (256u << 10) /* of answers; then it must read */
#define CARD_CLIENT_CALLS 16           /* under way */

struct card_client {
	struct card_control *control;
	int fd; /* owned */
	struct rt_watch watch;
	uint32_t polled; /* what the watch waits for */
	char *in;        /* CARD_LINE_BYTES + 1 at most */
	size_t in_size, in_room, in_scanned;
	char *out;
	size_t out_start, out_end, out_room;
	unsigned int call_count;
	bool has_ended;                /* it sends no more */
	struct rt_trace_cursor cursor; /* of trace.read */
	TAILQ_ENTRY(card_client) entry;
};

/* Takes fd, and greets.  -ENOMEM. */
int card_client_create(struct card_control *control, int fd,
		       struct card_client **out);
/* Its calls must have forgotten it. */
void card_client_destroy(struct card_client *client);

/* An answer or event; line is taken; NULL: nothing to send. */
void card_client_send(struct card_client *client, json_t *line);

/* Go on after a call has ended; may end the client. */
void card_client_advance(struct card_client *client);

#endif
