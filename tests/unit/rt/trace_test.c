/* SPDX-License-Identifier: BSD-3-Clause */
/* Trace events: emitting, reading, formatting. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/trace_rt.h"

#define RT_TRACE_ROOM test
#define RT_TRACE_DEF  "tests/unit/rt/trace_test.def"
#include "firmware/rt/trace_emit.h"
#define RT_TRACE_ROOM test
#define RT_TRACE_DEF  "tests/unit/rt/trace_test.def"
#include "firmware/rt/trace_define.h"

static const struct rt_trace_table *const tables[] = { &rt_trace_table,
						       &test_trace_table,
						       NULL };

static struct rt_trace_cursor cursor;
static struct rt_trace_record records[2 * RT_TRACE_RING_RECORDS];

static void set_up(void)
{
	cr_assert_eq(rt_trace_init(tables), 0);
	cr_assert_eq(rt_trace_set_source("test0"), 0);
}

static size_t read_all(void)
{
	return rt_trace_read(&cursor, records,
			     sizeof records / sizeof *records);
}

Test(rt_trace, an_event_that_is_off_leaves_nothing, .init = set_up)
{
	trace_test_one(1);
	cr_expect_eq(read_all(), 0);
}

Test(rt_trace, an_event_that_is_on_is_recorded, .init = set_up)
{
	cr_assert_eq(rt_trace_enable("test_four", true), 1);
	trace_test_one(1);
	trace_test_four(1, 2, 3, UINT64_MAX);
	cr_assert_eq(read_all(), 1);
	cr_expect_str_eq(records[0].event->name, "test_four");
	cr_expect_str_eq(records[0].source, "test0");
	cr_expect_eq(records[0].args[0], 1);
	cr_expect_eq(records[0].args[3], UINT64_MAX);
	cr_expect_gt(records[0].time_ns, 0);
	cr_expect_eq(read_all(), 0, "a record is read once");
}

Test(rt_trace, a_pattern_switches_all_that_match, .init = set_up)
{
	cr_expect_eq(rt_trace_enable("test_*", true), 3);
	cr_expect_eq(rt_trace_enable("test_[ef]*", false), 2);
	cr_expect_eq(rt_trace_enable("nothing*", true), 0);
	trace_test_one(1);
	trace_test_four(1, 2, 3, 4);
	cr_expect_eq(read_all(), 1);
}

Test(rt_trace, events_of_all_rooms_are_listed_in_order, .init = set_up)
{
	size_t count = rt_trace_table.count;

	cr_expect_str_eq(rt_trace_event_at(0)->name, "rt_rule_broken");
	cr_expect_str_eq(rt_trace_event_at(0)->arg_names, "rule, value");
	cr_expect_str_eq(rt_trace_event_at(count)->name, "test_one");
	cr_expect_str_eq(rt_trace_event_at(count + 2)->name, "test_eight");
	cr_expect_eq(rt_trace_event_at(count + 2)->arg_count, 8);
	cr_expect_null(rt_trace_event_at(count + 3));
}

Test(rt_trace, a_slow_reader_loses_the_oldest_and_is_told, .init = set_up)
{
	rt_trace_enable("test_eight", true);
	for (uint64_t i = 0; i < RT_TRACE_RING_RECORDS + 10; i++)
		trace_test_eight(i, 0, 0, 0, 0, 0, 0, 0);
	cr_assert_eq(read_all(), RT_TRACE_RING_RECORDS);
	cr_expect_eq(cursor.lost, 10);
	cr_expect_eq(records[0].args[0], 10);
	cr_expect_eq(records[RT_TRACE_RING_RECORDS - 1].args[0],
		     RT_TRACE_RING_RECORDS + 9);
}

Test(rt_trace, reading_in_pieces_gives_each_record_once, .init = set_up)
{
	uint64_t expected = 0;
	size_t count;

	rt_trace_enable("test_eight", true);
	for (uint64_t i = 0; i < 100; i++)
		trace_test_eight(i, 0, 0, 0, 0, 0, 0, 0);
	while ((count = rt_trace_read(&cursor, records, 7)))
		for (size_t i = 0; i < count; i++)
			cr_assert_eq(records[i].args[0], expected++);
	cr_expect_eq(expected, 100);
}

Test(rt_trace, seeking_to_the_end_skips_what_was_written, .init = set_up)
{
	rt_trace_enable("test_one", true);
	trace_test_one(1);
	rt_trace_seek_end(&cursor);
	trace_test_one(2);
	cr_assert_eq(read_all(), 1);
	cr_expect_eq(records[0].args[0], 2);
}

Test(rt_trace, a_source_in_use_goes_before_the_threads_own, .init = set_up)
{
	const char *source = rt_trace_source("one");

	rt_trace_enable("test_one", true);
	cr_expect_eq(rt_trace_source("one"), source);
	cr_expect_neq(rt_trace_source("on"), source);
	rt_trace_use(source);
	trace_test_one(1);
	rt_trace_use(NULL);
	trace_test_one(2);
	cr_assert_eq(read_all(), 2);
	cr_expect_eq(records[0].source, source);
	cr_expect_str_eq(records[1].source, "test0");
}

/* What each callback below emits. */
enum { OF_WATCH, OF_TIMER, OF_IO, OF_TASK, OF_POLLER, OF_KINDS };

static void ready(struct rt_watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
	trace_test_one(OF_WATCH);
}

static void fired(struct rt_timer *timer)
{
	(void)timer;
	trace_test_one(OF_TIMER);
}

static void done(struct rt_io *io, int result)
{
	(void)io;
	(void)result;
	trace_test_one(OF_IO);
}

static void run(struct rt_task *task)
{
	(void)task;
	trace_test_one(OF_TASK);
}

static uint64_t look(struct rt_poller *poller, uint64_t now_ns)
{
	(void)poller;
	(void)now_ns;
	trace_test_one(OF_POLLER);
	return UINT64_MAX;
}

static const char *const kinds[OF_KINDS] = { "watch", "timer", "io", "task",
					     "poller" };

/* Start one of each, each for another source. */
static void start_all(struct rt_loop *loop, int readable, int file)
{
	static struct rt_watch watch = { .ready = ready };
	static struct rt_timer timer = { .fired = fired };
	static struct rt_io io = { .done = done };
	static struct rt_task task = { .run = run };
	static struct rt_poller poller = { .poll = look };
	static char bytes[4];
	static const struct iovec iov = { bytes, sizeof bytes };

	rt_trace_use(rt_trace_source("watch"));
	rt_watch_start(loop, &watch, readable, POLLIN);
	rt_trace_use(rt_trace_source("timer"));
	rt_timer_start(loop, &timer, 0);
	rt_trace_use(rt_trace_source("io"));
	rt_io_readv(loop, &io, file, &iov, 1, 0);
	rt_trace_use(rt_trace_source("task"));
	rt_loop_post(loop, &task);
	rt_trace_use(rt_trace_source("poller"));
	rt_poller_start(loop, &poller);
}

Test(rt_trace, what_a_callback_emits_is_of_the_source_that_started_it,
     .init = set_up)
{
	RT_FD int file = memfd_create("file", MFD_CLOEXEC);
	unsigned int seen[OF_KINDS] = { 0 };
	struct rt_loop *loop;
	int fds[2];
	size_t count;

	rt_trace_enable("test_one", true);
	rt_trace_enable("rt_loop_turn", true);
	cr_assert_eq(rt_loop_create(NULL, &loop), 0);
	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(write(fds[1], "x", 1), 1);
	start_all(loop, fds[0], file);
	rt_trace_use(rt_trace_source("caller"));
	while (!seen[OF_IO] || !seen[OF_WATCH]) {
		rt_loop_step(loop, 0);
		cr_expect_str_eq(rt_trace_in_use, "caller");
		count = read_all();
		for (size_t i = 0; i < count; i++) {
			const struct rt_trace_record *r = &records[i];
			bool is_test = r->event->name[0] == 't';

			cr_expect_str_eq(r->source, is_test ? kinds[r->args[0]]
							    : "caller");
			if (is_test)
				seen[r->args[0]]++;
		}
	}
	for (size_t i = 0; i < OF_KINDS; i++)
		cr_expect(seen[i], "%s", kinds[i]);
	rt_loop_destroy(&loop);
	close(fds[0]);
	close(fds[1]);
}

static void *emit_as(void *name)
{
	rt_trace_set_source(name);
	trace_test_one(2);
	return NULL;
}

static void emit_on_thread(const char *name)
{
	pthread_t thread;

	cr_assert_eq(
		pthread_create(&thread, NULL, emit_as, (void *)(uintptr_t)name),
		0);
	pthread_join(thread, NULL);
}

Test(rt_trace, records_of_all_threads_come_in_the_order_of_time, .init = set_up)
{
	rt_trace_enable("test_one", true);
	trace_test_one(1);
	emit_on_thread("other");
	trace_test_one(3);
	cr_assert_eq(read_all(), 3);
	for (uint64_t i = 0; i < 3; i++)
		cr_expect_eq(records[i].args[0], i + 1);
	cr_expect_str_eq(records[1].source, "other");
	cr_expect_str_eq(records[2].source, "test0");
}

Test(rt_trace, threads_that_end_leave_their_rings_to_others, .init = set_up)
{
	rt_trace_enable("test_one", true);
	for (int i = 0; i < 3 * RT_TRACE_RINGS; i++)
		emit_on_thread("short");
	cr_expect_eq(read_all(), 3 * RT_TRACE_RINGS);
}

static void *emit_without_source(void *unused)
{
	trace_test_one(9);
	return unused;
}

Test(rt_trace, a_thread_without_a_source_records_nothing, .init = set_up)
{
	pthread_t thread;

	rt_trace_enable("test_one", true);
	pthread_create(&thread, NULL, emit_without_source, NULL);
	pthread_join(thread, NULL);
	cr_expect_eq(read_all(), 0);
}

static const struct rt_trace_record four = {
	.time_ns = 12000345678,
	.event = &test_trace_events[1],
	.source = "ebs\"0",
	.args = { 7, 0xab, 0xbeef, UINT64_MAX },
};

Test(rt_trace, a_record_reads_as_text)
{
	static const char expected[] =
		"12.000345678 ebs\"0 test_four "
		"a 7 b 0x00ab 100% c 0000BEEF d 18446744073709551615";
	char text[200];

	cr_expect_eq(rt_trace_format_text(&four, text, sizeof text),
		     sizeof expected - 1);
	cr_expect_str_eq(text, expected);
}

Test(rt_trace, a_record_reads_as_json)
{
	static const char expected[] =
		"{\"time_ns\":12000345678,\"source\":\"ebs\\\"0\","
		"\"event\":\"test_four\",\"args\":{\"a\":7,\"b\":171,"
		"\"c\":48879,\"d\":18446744073709551615},"
		"\"text\":\"a 7 b 0x00ab 100% c 0000BEEF "
		"d 18446744073709551615\"}";
	char text[400];

	cr_expect_eq(rt_trace_format_json(&four, text, sizeof text),
		     sizeof expected - 1);
	cr_expect_str_eq(text, expected);
}

Test(rt_trace, quotes_in_a_format_are_escaped_in_json)
{
	struct rt_trace_record eight = { .event = &test_trace_events[2],
					 .source = "x" };
	char text[400];

	rt_trace_format_json(&eight, text, sizeof text);
	cr_expect(strstr(text, "0 \\\"0\\\"\""), "%s", text);
}

Test(rt_trace, a_short_buffer_is_filled_and_terminated)
{
	char text[8] = "xxxxxxx";

	cr_expect_gt(rt_trace_format_text(&four, text, sizeof text), 8);
	cr_expect_str_eq(text, "12.0003");
	cr_expect_gt(rt_trace_format_json(&four, text, sizeof text), 8);
	cr_expect_str_eq(text, "{\"time_");
	cr_expect_gt(rt_trace_format_text(&four, NULL, 0), 8);
}

Test(rt_trace, a_format_that_does_not_fit_is_refused)
{
	static const struct {
		const char *format;
		unsigned int arg_count;
		int result;
	} rows[] = {
		{ "%u", 1, 0 },
		{ "100%% %x", 1, 0 },
		{ "%u", 2, -EINVAL },
		{ "%u %u", 1, -EINVAL },
		{ "%s", 1, -EINVAL },
		{ "%", 1, -EINVAL },
		{ "%n", 1, -EINVAL },
		{ "%*u", 1, -EINVAL },
		{ "%00000000000u", 1, -EINVAL },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rt_trace_event event = { .name = "bad_event",
						.arg_names = "a",
						.format = rows[i].format,
						.arg_count =
							rows[i].arg_count };
		struct rt_trace_table table = { &event, 1 };
		const struct rt_trace_table *const bad[] = { &table, NULL };

		cr_expect_eq(rt_trace_init(bad), rows[i].result, "format %s",
			     rows[i].format);
	}
	rt_trace_init(tables);
}
