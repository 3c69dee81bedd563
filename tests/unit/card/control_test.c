/* SPDX-License-Identifier: BSD-3-Clause */
/* The control socket as a client sees it, well-behaved and otherwise. */
#include "firmware/card/control.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/card/card.h"
#include "firmware/card/client.h"
#include "firmware/card/config.h"
#include "firmware/card/config_file.h"
#include "firmware/card/rpc.h"
#include "firmware/rt/clock.h"
#include "pcie-model/trace.h"
#include "tests/unit/card/fake.h"

#define PATIENCE_NS (5 * RT_NS_PER_S)

struct world {
	struct rt_loop *loop;
	struct card_config *config;
	struct card *card;
	struct card_control *control;
};

static const char two_functions[] =
	"card: { workers: 2 }\n"
	"functions:\n"
	"  - fake: { volume: { memory: 1MiB } }\n"
	"  - fake: { volume: { memory: 1MiB } }\n"
	"faults: [ { target: fake1, point: io_stall, skip: 3 } ]\n";

static void set_up_with(struct world *world, const char *text)
{
	struct card_source source = { 0 };

	cr_assert_eq(card_source_copy("test", text, strlen(text), &source), 0);
	cr_assert_eq(
		card_config_create(fake_types, &source, stderr, &world->config),
		0);
	cr_assert_eq(rt_loop_create(NULL, &world->loop), 0);
	cr_assert_eq(card_start(world->config, CARD_CHECK, &world->card), 0);
	cr_assert_eq(card_control_create(world->card, world->loop, NULL,
					 &world->control, NULL),
		     0);
}

static void set_up(struct world *world)
{
	set_up_with(world, two_functions);
}

static void tear_down(struct world *world)
{
	card_control_close(world->control);
	cr_assert(card_stop(&world->card));
	while (rt_loop_step(world->loop, 0) > 0)
		;
	card_control_destroy(&world->control);
	rt_loop_destroy(&world->loop);
	card_config_destroy(&world->config);
}

static int join(struct world *world)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	cr_assert_eq(card_control_attach(world->control, fds[0]), 0);
	return fds[1];
}

/* One line from the card; NULL: it hung up or says nothing. */
static json_t *hear(struct world *world, int fd)
{
	static char line[4 << 20];
	size_t size = 0;
	uint64_t start = rt_clock_now_ns(&(struct rt_clock){ 0 });
	ssize_t got;

	while (rt_clock_now_ns(&(struct rt_clock){ 0 }) - start < PATIENCE_NS) {
		rt_loop_step(world->loop, RT_NS_PER_MS);
		while ((got = recv(fd, line + size, 1, MSG_DONTWAIT)) == 1) {
			if (line[size] == '\n')
				return json_loadb(line, size, 0, NULL);
			size++;
		}
		if (!got)
			return NULL;
	}
	return NULL;
}

static void say(int fd, const char *line)
{
	cr_assert_eq(write(fd, line, strlen(line)), (ssize_t)strlen(line));
}

static json_t *ask(struct world *world, int fd, const char *line)
{
	say(fd, line);
	return hear(world, fd);
}

static int greeted(struct world *world)
{
	int fd = join(world);
	json_t *greeting = hear(world, fd);

	cr_assert_not_null(greeting);
	json_decref(greeting);
	return fd;
}

#define CALL(method)                                                           \
	"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"" method "\"}\n"
#define CALL_WITH(method, params)                                              \
	"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"" method                   \
	"\",\"params\":{" params "}}\n"

Test(card_control, every_client_is_greeted_first)
{
	struct world world;
	json_t *greeting;
	const char *event = "", *method = "";
	int fd;

	set_up(&world);
	fd = join(&world);
	greeting = hear(&world, fd);
	cr_assert_eq(json_unpack(greeting, "{s:s, s:{s:s}}", "method", &method,
				 "params", "event", &event),
		     0);
	cr_expect_str_eq(method, "event");
	cr_expect_str_eq(event, "hello");
	json_decref(greeting);
	close(fd);
	tear_down(&world);
}

struct answer_row {
	const char *name, *line;
	int code; /* 0: a result */
	const char *part;
};

static const struct answer_row answers[] = {
	{ "describe", CALL("rpc.describe"), 0, "\"name\": \"fault.set\"" },
	{ "status", CALL("card.status"), 0, "\"functions\": 2" },
	{ "workers", CALL("card.status"), 0, "\"workers\": 2" },
	{ "config", CALL("card.config"), 0, "\"queue-entries\": 64" },
	{ "list", CALL("function.list"), 0, "\"name\": \"fake1\"" },
	{ "function's status",
	  CALL_WITH("function.status", "\"function\":\"fake0\""), 0,
	  "\"mood\": \"calm\"" },
	{ "registers", CALL_WITH("registers.read", "\"function\":\"fake0\""), 0,
	  "\"value\": \"0x1122334455667788\"" },
	{ "reset", CALL_WITH("function.reset", "\"function\":\"fake0\""), 0,
	  "\"result\": null" },
	{ "metrics", CALL("metrics.read"), 0,
	  "nitro_fake_reads_total{function=\\\"fake0\\\"}" },
	{ "bugs", CALL("bugs.list"), 0, "\"last_value\": \"0x42\"" },
	{ "bugs of nobody", CALL_WITH("bugs.list", "\"function\":\"x\""),
	  CARD_RPC_NO_OBJECT, "there is no function 'x'" },
	{ "faults as configured",
	  CALL_WITH("fault.list", "\"function\":\"fake1\""), 0, "\"skip\": 3" },
	{ "fault of a wrong point",
	  CALL_WITH("fault.set", "\"target\":\"fake0\",\"point\":\"x\""),
	  CARD_RPC_NO_OBJECT, "fake0 has no fault point 'x'" },
	{ "verbs", CALL_WITH("function.verbs", "\"function\":\"fake0\""), 0,
	  "\"argument\": \"a word\"" },
	{ "a verb",
	  CALL_WITH("function.do", "\"function\":\"fake0\",\"verb\":\"echo\""),
	  0, "\"fake0\": \"nothing\"" },
	{ "a verb with an argument",
	  CALL_WITH("function.do", "\"function\":\"fake1\",\"verb\":\"echo\","
				   "\"argument\":\"yes\""),
	  0, "\"fake1\": \"yes\"" },
	{ "a verb that fails",
	  CALL_WITH("function.do", "\"function\":\"fake1\",\"verb\":\"echo\","
				   "\"argument\":\"fail\""),
	  CARD_RPC_INVALID_PARAMS, "it was asked to fail" },
	{ "a verb that says too much",
	  CALL_WITH("function.do", "\"function\":\"fake1\",\"verb\":\"echo\","
				   "\"argument\":\"flood\""),
	  CARD_RPC_HOST_ERROR, "long" },
	{ "a verb whose answer is no JSON",
	  CALL_WITH("function.do", "\"function\":\"fake1\",\"verb\":\"echo\","
				   "\"argument\":\"\\\"\""),
	  CARD_RPC_HOST_ERROR, "" },
	{ "an unknown verb",
	  CALL_WITH("function.do", "\"function\":\"fake0\",\"verb\":\"sing\""),
	  CARD_RPC_NO_OBJECT, "fake0 knows no 'sing'" },
	{ "traces", CALL("trace.list"), 0, "\"events\"" },
	{ "trace of nothing", CALL_WITH("trace.enable", "\"pattern\":\"zzz*\""),
	  CARD_RPC_NO_OBJECT, "no event matches" },
	{ "trace read", CALL("trace.read"), 0, "\"records\"" },
	{ "no such function",
	  CALL_WITH("function.status", "\"function\":\"fake9\""),
	  CARD_RPC_NO_OBJECT, "there is no function 'fake9'" },
	{ "no JSON", "hello\n", CARD_RPC_PARSE_ERROR, "\"id\": null" },
	{ "repeated key", "{\"id\":1,\"id\":2}\n", CARD_RPC_PARSE_ERROR,
	  "duplicate" },
	{ "batch", "[{\"jsonrpc\":\"2.0\"}]\n", CARD_RPC_INVALID_REQUEST,
	  "one to a line" },
	{ "a number", "7\n", CARD_RPC_INVALID_REQUEST, "\"id\": null" },
	{ "no version", "{\"id\":1,\"method\":\"card.status\"}\n",
	  CARD_RPC_INVALID_REQUEST, "\"id\": 1" },
	{ "id is a list", "{\"jsonrpc\":\"2.0\",\"id\":[],\"method\":\"x\"}\n",
	  CARD_RPC_INVALID_REQUEST, "\"id\": null" },
	{ "params are a list",
	  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":[]}\n",
	  CARD_RPC_INVALID_REQUEST, "params" },
	{ "no such method", CALL("card.statsu"), CARD_RPC_NO_METHOD,
	  "did you mean 'card.status'?" },
	{ "unknown parameter", CALL_WITH("card.status", "\"x\":1"),
	  CARD_RPC_INVALID_PARAMS, "\"path\": \"x\"" },
	{ "mistyped parameter",
	  CALL_WITH("fault.set", "\"target\":\"fake0\",\"pint\":\"x\""),
	  CARD_RPC_INVALID_PARAMS, "did you mean 'point'?" },
	{ "missing parameter", CALL("function.reset"), CARD_RPC_INVALID_PARAMS,
	  "'function' is missing" },
	{ "out of range", CALL_WITH("trace.read", "\"count\":100000"),
	  CARD_RPC_INVALID_PARAMS, "at most 256" },
	{ "a string for a number", CALL_WITH("trace.read", "\"count\":\"1\""),
	  CARD_RPC_INVALID_PARAMS, "whole number" },
	{ "a probability",
	  CALL_WITH("fault.set", "\"target\":\"fake0\",\"point\":\"io_delay\","
				 "\"probability\":0.1,\"value\":5"),
	  0, "\"result\": null" },
	{ "and it was set", CALL_WITH("fault.list", "\"function\":\"fake0\""),
	  0, "\"probability\": 0.1," },
	{ "clear all", CALL_WITH("fault.clear", "\"target\":\"fake0\""), 0,
	  "\"result\": null" },
};

static void check_answer(const struct answer_row *row, const json_t *answer)
{
	char *text = json_dumps(answer, JSON_REAL_PRECISION(9));
	json_int_t code = json_integer_value(
		json_object_get(json_object_get(answer, "error"), "code"));

	cr_expect_not_null(answer, "row %s: no answer", row->name);
	if (!text)
		return;
	cr_expect_eq(code, row->code, "row %s: %s", row->name, text);
	cr_expect(strstr(text, row->part), "row %s: %s", row->name, text);
	free(text);
}

Test(card_control, calls_are_answered_as_the_standard_says)
{
	struct world world;
	int fd;

	set_up(&world);
	fd = greeted(&world);
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
		json_t *answer = ask(&world, fd, answers[i].line);

		check_answer(&answers[i], answer);
		json_decref(answer);
	}
	close(fd);
	tear_down(&world);
}

Test(card_control, a_notification_gets_no_answer)
{
	struct world world;
	json_t *answer;
	int fd;

	set_up(&world);
	fd = greeted(&world);
	say(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"card.status\"}\n\n  \n");
	answer = ask(&world, fd, CALL("card.config"));
	cr_expect_not_null(
		json_object_get(json_object_get(answer, "result"), "card"));
	json_decref(answer);
	close(fd);
	tear_down(&world);
}

Test(card_control, a_slow_function_holds_up_no_other_worker)
{
	struct world world;
	json_t *answer;
	int fd, other;

	set_up(&world);
	fd = greeted(&world);
	other = greeted(&world);
	fake_is_stuck = true;
	say(fd, CALL_WITH("registers.read", "\"function\":\"fake0\""));
	answer = ask(&world, fd, CALL("card.status"));
	cr_expect_not_null(json_object_get(answer, "result"));
	json_decref(answer);
	answer = ask(&world, other,
		     CALL_WITH("function.status", "\"function\":\"fake1\""));
	cr_expect_not_null(json_object_get(answer, "result"));
	json_decref(answer);
	fake_is_stuck = false;
	answer = hear(&world, fd);
	cr_expect_not_null(json_object_get(json_object_get(answer, "result"),
					   "registers"));
	json_decref(answer);
	close(fd);
	close(other);
	tear_down(&world);
}

Test(card_control, functions_of_one_worker_trace_each_under_its_name)
{
	static const struct rt_trace_table *const tables[] = {
		&pcie_trace_table, NULL
	};
	static const char *const calls[] = {
		CALL_WITH("function.reset", "\"function\":\"fake1\""),
		CALL_WITH("function.reset", "\"function\":\"fake0\""),
	};
	struct rt_trace_cursor cursor = { 0 };
	struct rt_trace_record records[4];
	struct world world;
	int fd;

	cr_assert_eq(rt_trace_init(tables), 0);
	set_up_with(&world, "card: { workers: 1 }\n"
			    "functions: [ { fake: { volume: {} } },"
			    " { fake: { volume: {} } } ]\n");
	fd = greeted(&world);
	cr_expect_eq(rt_trace_enable("pcie_reset_end", true), 1);
	for (int i = 0; i < 2; i++)
		json_decref(ask(&world, fd, calls[i]));
	cr_assert_eq(rt_trace_read(&cursor, records, 4), 2);
	cr_expect_str_eq(records[0].source, "fake1");
	cr_expect_str_eq(records[1].source, "fake0");
	close(fd);
	tear_down(&world);
}

Test(card_control, an_answer_for_a_client_that_left_is_dropped)
{
	struct world world;
	json_t *answer;
	int fd;

	set_up(&world);
	fd = greeted(&world);
	fake_is_stuck = true;
	say(fd, CALL_WITH("registers.read", "\"function\":\"fake0\""));
	rt_loop_step(world.loop, RT_NS_PER_MS);
	close(fd);
	for (int i = 0; i < 20 && world.control->client_count; i++)
		rt_loop_step(world.loop, RT_NS_PER_MS);
	cr_expect_eq(world.control->client_count, 0);
	cr_expect_not(TAILQ_EMPTY(&world.control->calls));
	fake_is_stuck = false;
	fd = greeted(&world);
	answer = ask(&world, fd,
		     CALL_WITH("function.status", "\"function\":\"fake0\""));
	cr_expect_not_null(answer);
	json_decref(answer);
	cr_expect(TAILQ_EMPTY(&world.control->calls));
	close(fd);
	tear_down(&world);
}

Test(card_control, a_line_that_never_ends_is_cut_off)
{
	static char junk[1 << 16];
	struct world world;
	size_t sent = 0;
	json_t *answer;
	ssize_t put;
	int fd;

	set_up(&world);
	fd = greeted(&world);
	memset(junk, 'x', sizeof junk);
	while (sent < 2 * CARD_LINE_BYTES) {
		put = send(fd, junk, sizeof junk, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (put > 0)
			sent += (size_t)put;
		else if (rt_loop_step(world.loop, RT_NS_PER_MS) < 0 ||
			 !world.control->client_count)
			break;
	}
	answer = hear(&world, fd);
	cr_expect_eq(json_integer_value(json_object_get(
			     json_object_get(answer, "error"), "code")),
		     CARD_RPC_PARSE_ERROR);
	json_decref(answer);
	cr_expect_null(hear(&world, fd));
	cr_expect_eq(world.control->client_count, 0);
	close(fd);
	tear_down(&world);
}

Test(card_control, a_million_wrong_parameters_are_refused_at_once)
{
	static char line[CARD_LINE_BYTES];
	struct world world;
	uint64_t start;
	json_t *answer;
	size_t size;
	int fd, end;

	set_up(&world);
	fd = greeted(&world);
	size = (size_t)snprintf(line, sizeof line,
				"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
				"\"card.status\",\"params\":{\"a\":0");
	for (unsigned int i = 0; size < sizeof line - 20; i++)
		size += (size_t)snprintf(line + size, sizeof line - size,
					 ",\"k%x\":0", i);
	end = snprintf(line + size, sizeof line - size, "}}\n");
	size += (size_t)end;
	start = rt_clock_now_ns(&(struct rt_clock){ 0 });
	for (size_t sent = 0; sent < size;) {
		ssize_t put = send(fd, line + sent, size - sent, MSG_DONTWAIT);

		sent += put > 0 ? (size_t)put : 0;
		rt_loop_step(world.loop, 0);
	}
	answer = hear(&world, fd);
	cr_expect_eq(json_integer_value(json_object_get(
			     json_object_get(answer, "error"), "code")),
		     CARD_RPC_INVALID_PARAMS);
	cr_expect_lt(rt_clock_now_ns(&(struct rt_clock){ 0 }) - start,
		     10 * RT_NS_PER_S);
	json_decref(answer);
	close(fd);
	tear_down(&world);
}

Test(card_control, who_does_not_read_is_not_read)
{
	struct world world;
	const struct card_client *client;
	json_t *answer;
	size_t asked = 0, heard = 0;
	int fd;

	set_up(&world);
	fd = greeted(&world);
	client = TAILQ_FIRST(&world.control->clients);
	for (int idle = 0; idle < 50; idle++) {
		while (send(fd, CALL("rpc.describe"),
			    strlen(CALL("rpc.describe")),
			    MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
			asked++;
			idle = 0;
		}
		rt_loop_step(world.loop, RT_NS_PER_MS);
		cr_assert_lt(client->out_room, 4 * CARD_UNREAD_BYTES);
	}
	cr_expect_gt(asked, 100);
	while (heard < asked && (answer = hear(&world, fd))) {
		json_decref(answer);
		heard++;
	}
	cr_expect_eq(heard, asked, "%zu of %zu", heard, asked);
	close(fd);
	tear_down(&world);
}

/* Answers that are more than may stay unread, but all fit into the socket. */
Test(card_control, lines_behind_many_answers_are_answered_too)
{
	enum { COUNT = 10000 };
	const int room = 8 << 20;
	static char lines[2 * COUNT];
	struct world world;
	json_t *answer;
	int fd, heard = 0;

	set_up(&world);
	fd = greeted(&world);
	setsockopt(TAILQ_FIRST(&world.control->clients)->fd, SOL_SOCKET,
		   SO_SNDBUFFORCE, &room, sizeof room);
	for (size_t i = 0; i < COUNT; i++)
		memcpy(lines + 2 * i, "x\n", 2);
	cr_assert_eq(write(fd, lines, sizeof lines), (ssize_t)sizeof lines);
	while (heard < COUNT && (answer = hear(&world, fd))) {
		json_decref(answer);
		heard++;
	}
	cr_expect_eq(heard, COUNT, "%d", heard);
	close(fd);
	tear_down(&world);
}

Test(card_control, the_last_line_needs_no_newline)
{
	struct world world;
	json_t *answer;
	int fd;

	set_up(&world);
	fd = greeted(&world);
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"card.status\"}");
	shutdown(fd, SHUT_WR);
	answer = hear(&world, fd);
	cr_expect_not_null(json_object_get(answer, "result"));
	json_decref(answer);
	cr_expect_null(hear(&world, fd));
	cr_expect_eq(world.control->client_count, 0);
	close(fd);
	tear_down(&world);
}

Test(card_control, one_client_too_many_is_refused)
{
	struct world world;
	int fds[CARD_CLIENTS], pair[2];

	set_up(&world);
	for (size_t i = 0; i < CARD_CLIENTS; i++)
		fds[i] = greeted(&world);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	cr_expect_eq(card_control_attach(world.control, pair[0]), -EBUSY);
	cr_expect_null(hear(&world, pair[1]));
	close(pair[1]);
	for (size_t i = 0; i < CARD_CLIENTS; i++)
		close(fds[i]);
	tear_down(&world);
}

Test(card_control, a_dead_socket_is_replaced_and_a_living_one_is_not)
{
	char dir[] = "/tmp/control-test-XXXXXX", path[64];
	struct card_control *first, *second;
	struct rt_error error = { 0 };
	struct rt_loop *loop;
	struct stat status;

	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/control.sock", dir);
	cr_assert_eq(rt_loop_create(NULL, &loop), 0);
	cr_assert_eq(card_control_create(NULL, loop, path, &first, &error), 0);
	cr_expect_eq(stat(path, &status), 0);
	cr_expect_eq(status.st_mode & 0777, 0600);
	cr_expect_eq(card_control_create(NULL, loop, path, &second, &error),
		     -EADDRINUSE);
	cr_expect(strstr(error.text, "another card is running"));
	/* As after kill -9: the file stays, nobody listens. */
	close(first->fd);
	first->fd = -1;
	rt_watch_stop(loop, &first->watch);
	for (int i = 0; i < 10; i++)
		rt_loop_step(loop, RT_NS_PER_MS);
	cr_expect_eq(card_control_create(NULL, loop, path, &second, &error), 0,
		     "%s", error.text);
	free(first->path);
	first->path = NULL;
	card_control_destroy(&first);
	card_control_destroy(&second);
	cr_expect_neq(stat(path, &status), 0);
	rt_loop_destroy(&loop);
	rmdir(dir);
}
