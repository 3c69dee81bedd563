/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes from a client of the control socket: the card answers in whole
 * lines of JSON, forgets the client when it goes, and has no calls left over.
 * One card serves all inputs, as it would serve many clients.
 */
#include <stdio.h>
#include <stdlib.h>
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
#include "tests/fuzz/input.h"
#include "tests/unit/card/fake.h"

#define PATIENCE_NS (60 * RT_NS_PER_S)

static const char text[] = "functions:\n"
			   "  - fake: { volume: { memory: 1MiB } }\n"
			   "  - fake: { volume: { memory: 1MiB } }\n";

static struct card_control *start(void)
{
	static const struct rt_trace_table *const traces[] = { &rt_trace_table,
							       NULL };
	struct card_source source = { 0 };
	struct card_config *config;
	struct card_control *control;
	struct rt_loop *loop;
	struct card *card;

	rt_log_set_level(RT_LOG_ERROR);
	if (rt_trace_init(traces) ||
	    card_source_copy("fuzz", text, sizeof text - 1, &source) ||
	    card_config_create(fake_types, &source, stderr, &config) ||
	    rt_loop_create(NULL, &loop) ||
	    card_start(config, CARD_CHECK, &card) ||
	    card_control_create(card, loop, NULL, &control, NULL))
		abort();
	return control;
}

/* What has come so far; whole lines are looked at. */
struct answers {
	char *bytes;
	size_t size, room;
};

static void check_lines(struct answers *answers)
{
	char *end;
	size_t length;
	json_t *line;

	while ((end = memchr(answers->bytes, '\n', answers->size))) {
		length = (size_t)(end - answers->bytes);
		line = json_loadb(answers->bytes, length, 0, NULL);
		if (!json_is_object(line))
			abort();
		json_decref(line);
		answers->size -= length + 1;
		memmove(answers->bytes, end + 1, answers->size);
	}
}

static void listen_to(int fd, struct answers *answers)
{
	ssize_t got;

	do {
		if (answers->room - answers->size < 65536) {
			answers->room += 1u << 20;
			answers->bytes = realloc(answers->bytes, answers->room);
			if (!answers->bytes)
				abort();
		}
		got = recv(fd, answers->bytes + answers->size, 65536,
			   MSG_DONTWAIT);
		if (got > 0)
			answers->size += (size_t)got;
	} while (got > 0);
	check_lines(answers);
}

static bool is_late(uint64_t start_ns)
{
	return rt_clock_now_ns(&(struct rt_clock){ 0 }) - start_ns >
	       PATIENCE_NS;
}

/* The first byte chooses whether the client waits for its answers. */
static void talk(struct card_control *control, const uint8_t *data, size_t size)
{
	struct answers answers = { 0 };
	bool waits = size && data[0] != '!';
	size_t sent = 0;
	ssize_t put;
	uint64_t start = rt_clock_now_ns(&(struct rt_clock){ 0 });
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) ||
	    card_control_attach(control, fds[0]))
		abort();
	for (int i = 0; control->client_count && !is_late(start); i++) {
		put = send(fds[1], data + sent, size - sent,
			   MSG_DONTWAIT | MSG_NOSIGNAL);
		if (put > 0)
			sent += (size_t)put;
		if (sent == size && (i || waits))
			(void)shutdown(fds[1], waits ? SHUT_WR : SHUT_RDWR);
		(void)rt_loop_step(control->loop, RT_NS_PER_MS / 10);
		listen_to(fds[1], &answers);
	}
	if (control->client_count || (waits && answers.size))
		abort();
	(void)close(fds[1]);
	free(answers.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct card_control *control;
	uint64_t begin;

	if (!control)
		control = start();
	talk(control, data, size);
	begin = rt_clock_now_ns(&(struct rt_clock){ 0 });
	while (!TAILQ_EMPTY(&control->calls) && !is_late(begin))
		(void)rt_loop_step(control->loop, RT_NS_PER_MS);
	if (!TAILQ_EMPTY(&control->calls))
		abort();
	return 0;
}
