/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clients that ask three functions, two of them on one worker, all sorts of
 * things at once, for the thread sanitizer: a card, its control socket on this
 * thread, three clients on theirs.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/card/card.h"
#include "firmware/card/config.h"
#include "firmware/card/config_file.h"
#include "firmware/card/control.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/log.h"
#include "firmware/rt/trace.h"
#include "firmware/rt/trace_rt.h"
#include "tests/unit/card/fake.h"

#define CLIENTS 3
#define ROUNDS  200

static const char text[] = "card: { workers: 2 }\n"
			   "functions:\n"
			   "  - fake: { volume: { memory: 1MiB } }\n"
			   "  - fake: { volume: { memory: 1MiB } }\n"
			   "  - fake: { volume: { memory: 1MiB } }\n";

#define CALL(method, params)                                                   \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method                   \
	"\",\"params\":{" params "}}\n"

static const char *const calls[] = {
	CALL("registers.read", "\"function\":\"fake0\""),
	CALL("function.status", "\"function\":\"fake1\""),
	CALL("registers.read", "\"function\":\"fake2\""),
	CALL("fault.set", "\"target\":\"fake0\",\"point\":\"io_delay\""),
	CALL("fault.list", "\"function\":\"fake0\""),
	CALL("function.reset", "\"function\":\"fake0\""),
	CALL("metrics.read", ""),
	CALL("bugs.list", ""),
	CALL("trace.enable", "\"pattern\":\"*\""),
	CALL("trace.read", ""),
	CALL("trace.disable", "\"pattern\":\"*\""),
};

static _Atomic int left;

static void expect(bool is_true, const char *what)
{
	if (is_true)
		return;
	fprintf(stderr, "not so: %s\n", what);
	abort();
}

static void *ask(void *opaque)
{
	int fd = *(int *)opaque;
	FILE *stream = fdopen(fd, "r+");
	char *line = NULL;
	size_t room = 0;

	expect(stream && getline(&line, &room, stream) > 0, "a greeting");
	for (unsigned int i = 0; i < ROUNDS; i++) {
		fputs(calls[i % (sizeof calls / sizeof calls[0])], stream);
		fflush(stream);
		expect(getline(&line, &room, stream) > 0, "an answer");
		expect(strstr(line, "\"result\""), line);
	}
	free(line);
	fclose(stream);
	left--;
	return NULL;
}

int main(void)
{
	static const struct rt_trace_table *const traces[] = { &rt_trace_table,
							       NULL };
	struct card_source source = { 0 };
	struct card_config *config;
	struct card_control *control;
	struct rt_loop *loop;
	struct card *card;
	pthread_t threads[CLIENTS];
	int fds[CLIENTS][2];

	rt_log_set_level(RT_LOG_ERROR);
	expect(!rt_trace_init(traces) &&
		       !card_source_copy("race", text, sizeof text - 1,
					 &source) &&
		       !card_config_create(fake_types, &source, stderr,
					   &config) &&
		       !rt_loop_create(NULL, &loop) &&
		       !card_start(config, CARD_CHECK, &card) &&
		       !card_control_create(card, loop, NULL, &control, NULL),
	       "a card");
	left = CLIENTS;
	for (int i = 0; i < CLIENTS; i++) {
		expect(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds[i]) &&
			       !card_control_attach(control, fds[i][0]),
		       "a client");
		pthread_create(&threads[i], NULL, ask, &fds[i][1]);
	}
	while (left)
		rt_loop_step(loop, RT_NS_PER_MS);
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(threads[i], NULL);
	card_control_close(control);
	expect(card_stop(&card), "an end");
	while (rt_loop_step(loop, 0) > 0)
		;
	card_control_destroy(&control);
	rt_loop_destroy(&loop);
	card_config_destroy(&config);
	return 0;
}
