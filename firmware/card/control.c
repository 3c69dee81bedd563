/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket: who may connect, who is connected, and which calls are
 * under way.  A call outlives its client; its answer is then dropped.  The
 * socket's directory and mode are the access control, and who the client is:
 * the card's own user, or root.  Runs on the main loop;
 * owns clients and calls.
 *
 * syscalls: accept4 close unlink getsockopt
 */
#include "firmware/card/control.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/card/card.h"
#include "firmware/card/client.h"
#include "firmware/card/sandbox.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/listen.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"

#define REST_NS (100 * RT_NS_PER_MS)

static void forget_client(struct card_control *control,
			  const struct card_client *client)
{
	struct card_call *call;

	TAILQ_FOREACH (call, &control->calls, entry)
		if (call->client == client)
			call->client = NULL;
}

void card_control_drop(struct card_client *client)
{
	struct card_control *control = client->control;

	forget_client(control, client);
	TAILQ_REMOVE(&control->clients, client, entry);
	control->client_count--;
	card_client_destroy(client);
}

void card_control_answer(struct card_call *call)
{
	struct card_client *client = call->client;

	TAILQ_REMOVE(&call->control->calls, call, entry);
	if (client) {
		client->call_count--;
		card_client_send(client, card_call_reply(call));
	}
	card_call_destroy(call);
	if (client)
		card_client_advance(client);
}

int card_control_attach(struct card_control *control, int fd)
{
	struct card_client *client;
	int status;

	if (control->client_count == CARD_CLIENTS) {
		close(fd);
		return -EBUSY;
	}
	status = card_client_create(control, fd, &client);
	if (status)
		return status;
	TAILQ_INSERT_TAIL(&control->clients, client, entry);
	control->client_count++;
	card_client_advance(client);
	return 0;
}

/* The modes of files say so too, but a folder may be given away. */
static bool may_control(struct card_control *control, int fd)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t size = sizeof peer;

	if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) &&
	    (!peer.uid || peer.uid == geteuid()))
		return true;
	if (control->card && control->card->sandbox)
		card_sandbox_refuse(control->card->sandbox,
				    "refused process %d of user %u at the "
				    "control socket",
				    (int)peer.pid, (unsigned int)peer.uid);
	return false;
}

static void accept_client(struct rt_watch *watch, uint32_t events)
{
	struct card_control *control =
		rt_container_of(watch, struct card_control, watch);
	int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC);

	(void)events;
	if (fd >= 0) {
		if (may_control(control, fd))
			card_control_attach(control, fd);
		else
			close(fd);
		return;
	}
	if (errno != EMFILE && errno != ENFILE && errno != ENOMEM &&
	    errno != ENOBUFS)
		return;
	/* The client still waits, so the watch would fire without end. */
	rt_log_warn("control", "cannot accept a client: %s", strerror(errno));
	rt_watch_stop(control->loop, &control->watch);
	rt_timer_start(control->loop, &control->rest,
		       rt_loop_now_ns(control->loop) + REST_NS);
}

static void accept_again(struct rt_timer *timer)
{
	struct card_control *control =
		rt_container_of(timer, struct card_control, rest);

	rt_watch_start(control->loop, &control->watch, control->fd, POLLIN);
}

int card_control_create(struct card *card, struct rt_loop *loop,
			const char *path, struct card_control **out,
			struct rt_error *error)
{
	struct card_control *control = calloc(1, sizeof *control);
	int status = 0;

	if (!control)
		return rt_error_set(error, -ENOMEM, "out of memory");
	control->card = card;
	control->loop = loop;
	control->fd = -1;
	control->watch.ready = accept_client;
	control->rest.fired = accept_again;
	TAILQ_INIT(&control->clients);
	TAILQ_INIT(&control->calls);
	if (path) {
		control->path = strdup(path);
		status = rt_listen_unix(path, &control->fd, error);
	}
	if (!status && path)
		status = rt_watch_start(loop, &control->watch, control->fd,
					POLLIN);
	if (status) {
		free(control->path);
		control->path = NULL;
		card_control_destroy(&control);
		return status;
	}
	*out = control;
	return 0;
}

void card_control_close(struct card_control *control)
{
	while (!TAILQ_EMPTY(&control->clients))
		card_control_drop(TAILQ_FIRST(&control->clients));
	rt_timer_stop(control->loop, &control->rest);
	rt_watch_stop(control->loop, &control->watch);
	if (control->fd >= 0)
		close(control->fd);
	control->fd = -1;
	if (control->path)
		unlink(control->path);
}

void card_control_destroy(struct card_control **control)
{
	struct card_control *c = *control;
	struct card_call *call;

	card_control_close(c);
	while ((call = TAILQ_FIRST(&c->calls))) {
		TAILQ_REMOVE(&c->calls, call, entry);
		card_call_destroy(call);
	}
	free(c->path);
	free(c);
	*control = NULL;
}
