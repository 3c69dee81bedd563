/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes to lines to calls, and answers back to bytes.  Runs on the main loop.
 * Whatever ends a client goes through card_control_drop(), at the end of a
 * callback, so nothing below it may touch the client again.
 *
 * syscalls: recvfrom[4=0] sendto[4=0] close
 */
#include "firmware/card/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/card/control.h"
#include "firmware/card/rpc.h"
#include "firmware/rt/scope.h"

#define READ_BYTES (64u << 10) /* at a time, and kept when there is no more */

static bool make_room(char **buffer, size_t *room, size_t needed)
{
	size_t larger = *room ? *room : 1024;
	char *moved;

	if (needed <= *room)
		return true;
	while (larger < needed)
		larger *= 2;
	moved = realloc(*buffer, larger);
	if (!moved)
		return false;
	*buffer = moved;
	*room = larger;
	return true;
}

static bool may_take(const struct card_client *client)
{
	return client->call_count < CARD_CLIENT_CALLS &&
	       client->out_end - client->out_start < CARD_UNREAD_BYTES;
}

static void take_line(struct card_client *client, const char *line, size_t size)
{
	struct card_control *control = client->control;
	struct card_call *call;
	json_t *reply;

	if (strspn(line, " \t\r\n") >= size)
		return;
	call = card_call_create(control, line, size, &reply);
	if (!call) {
		card_client_send(client, reply);
		return;
	}
	call->client = client;
	client->call_count++;
	TAILQ_INSERT_TAIL(&control->calls, call, entry);
	card_call_run(call);
}

/* The length of the line at start without its newline, or -1. */
static ssize_t find_line(struct card_client *client, size_t start)
{
	size_t left = client->in_size - client->in_scanned;
	const char *newline =
		left ? memchr(client->in + client->in_scanned, '\n', left)
		     : NULL;

	if (newline)
		return newline - client->in - (ssize_t)start;
	client->in_scanned = client->in_size;
	/* What ends without a newline is a line too. */
	return client->has_ended && client->in_size > start
		       ? (ssize_t)(client->in_size - start)
		       : -1;
}

/* Forget the lines before start, all at once. */
static void forget_lines(struct card_client *client, size_t start)
{
	if (start > client->in_size)
		start = client->in_size;
	client->in_size -= start;
	client->in_scanned -=
		start < client->in_scanned ? start : client->in_scanned;
	if (client->in_size)
		memmove(client->in, client->in + start, client->in_size);
}

/* True: there was no more to take. */
static bool take_lines(struct card_client *client)
{
	ssize_t length = 0;
	size_t start = 0;

	while (may_take(client)) {
		length = find_line(client, start);
		if (length < 0)
			break;
		/* There is always room for this terminator. */
		client->in[start + (size_t)length] = '\0';
		take_line(client, client->in + start, (size_t)length);
		start += (size_t)length + 1;
		client->in_scanned =
			start < client->in_size ? start : client->in_size;
	}
	forget_lines(client, start);
	return length < 0;
}

static void complain_too_long(struct card_client *client)
{
	json_t *reply = NULL;
	static const char cut[] = "a line may have 1 MiB at most";

	reply = json_pack("{s:s, s:n, s:{s:i, s:s}}", "jsonrpc", "2.0", "id",
			  "error", "code", (int)CARD_RPC_PARSE_ERROR, "message",
			  cut);
	card_client_send(client, reply);
	client->in_size = client->in_scanned = 0;
	client->has_ended = true;
}

/* False: the connection is gone. */
static bool read_some(struct card_client *client)
{
	size_t wanted = client->in_size + READ_BYTES;
	ssize_t got;

	if (wanted > CARD_LINE_BYTES + 1)
		wanted = CARD_LINE_BYTES + 1;
	if (client->in_size >= wanted) {
		complain_too_long(client);
		return true;
	}
	if (!make_room(&client->in, &client->in_room, wanted + 1))
		return false;
	got = recv(client->fd, client->in + client->in_size,
		   wanted - client->in_size, MSG_DONTWAIT);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	if (!got)
		client->has_ended = true;
	client->in_size += (size_t)got;
	return true;
}

static bool write_some(struct card_client *client)
{
	ssize_t sent;

	while (client->out_start < client->out_end) {
		sent = send(client->fd, client->out + client->out_start,
			    client->out_end - client->out_start,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0)
			return errno == EAGAIN || errno == EINTR;
		client->out_start += (size_t)sent;
	}
	client->out_start = client->out_end = 0;
	return true;
}

/* What a long line needed is given back. */
static void shrink(struct card_client *client)
{
	if (!client->in_size && client->in_room > 2 * READ_BYTES) {
		free(client->in);
		client->in = NULL;
		client->in_room = 0;
	}
	if (!client->out_end && client->out_room > 2 * READ_BYTES) {
		free(client->out);
		client->out = NULL;
		client->out_room = 0;
	}
}

static void poll_for(struct card_client *client, uint32_t events)
{
	struct rt_loop *loop = client->control->loop;

	if (client->watch.token && client->polled == events)
		return;
	rt_watch_stop(loop, &client->watch);
	client->polled = events;
	rt_watch_start(loop, &client->watch, client->fd, events);
}

static bool is_finished(const struct card_client *client)
{
	return client->has_ended && !client->in_size && !client->call_count &&
	       client->out_start == client->out_end;
}

void card_client_advance(struct card_client *client)
{
	bool is_connected, is_done;
	uint32_t events = 0;

	/* Writing makes room for the answers to more lines. */
	do {
		is_done = take_lines(client);
		is_connected = write_some(client);
	} while (is_connected && !is_done && may_take(client));
	if (!is_connected || is_finished(client)) {
		card_control_drop(client);
		return;
	}
	shrink(client);
	if (!client->has_ended && may_take(client))
		events |= POLLIN;
	if (client->out_start < client->out_end)
		events |= POLLOUT;
	poll_for(client, events);
}

static void ready(struct rt_watch *watch, uint32_t events)
{
	struct card_client *client =
		rt_container_of(watch, struct card_client, watch);
	bool is_gone = events & (POLLERR | POLLNVAL);

	if (events & POLLIN)
		is_gone |= !read_some(client);
	else if (events & POLLHUP)
		is_gone = true;
	if (is_gone)
		card_control_drop(client);
	else
		card_client_advance(client);
}

void card_client_send(struct card_client *client, json_t *line)
{
	RT_FREE char *text = NULL;
	size_t size;

	if (!line)
		return;
	text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(line);
	size = text ? strlen(text) : 0;
	if (client->out_start) {
		memmove(client->out, client->out + client->out_start,
			client->out_end - client->out_start);
		client->out_end -= client->out_start;
		client->out_start = 0;
	}
	if (!text || !make_room(&client->out, &client->out_room,
				client->out_end + size + 1)) {
		/* A client cannot go on without its answer. */
		client->has_ended = true;
		return;
	}
	memcpy(client->out + client->out_end, text, size);
	client->out[client->out_end + size] = '\n';
	client->out_end += size + 1;
}

int card_client_create(struct card_control *control, int fd,
		       struct card_client **out)
{
	struct card_client *client = calloc(1, sizeof *client);

	if (!client) {
		close(fd);
		return -ENOMEM;
	}
	client->control = control;
	client->fd = fd;
	client->watch.ready = ready;
	card_client_send(client, card_rpc_greeting());
	*out = client;
	return 0;
}

void card_client_destroy(struct card_client *client)
{
	rt_watch_stop(client->control->loop, &client->watch);
	close(client->fd);
	free(client->in);
	free(client->out);
	free(client);
}
