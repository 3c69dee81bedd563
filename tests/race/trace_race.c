/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads write their trace rings as fast as they can while another reads them
 * and switches the event: each record that is read must be one that was
 * written, whole, in order, and none may be missing without being counted.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/scope.h"

#define RT_TRACE_ROOM race
#define RT_TRACE_DEF  "tests/race/race.def"
#include "firmware/rt/trace_emit.h"
#define RT_TRACE_ROOM race
#define RT_TRACE_DEF  "tests/race/race.def"
#include "firmware/rt/trace_define.h"

#define WRITERS 3
#define EVENTS  UINT64_C(200000)

static const struct rt_trace_table *const tables[] = { &race_trace_table,
						       NULL };
static const char *const names[WRITERS] = { "ebs0", "ebs1", "ena0" };
static _Atomic unsigned int writers_left = WRITERS;
static uint64_t next_number[WRITERS];
static uint64_t read_count;

static void *write_ring(void *name)
{
	rt_trace_set_source("thread");
	for (uint64_t n = 0; n < EVENTS; n++) {
		/* As a loop and a starting function do it. */
		rt_trace_use(n % 1024 ? rt_trace_in_use
				      : rt_trace_source(name));
		trace_race_step(n, n * 2, ~n, n * n, n + 1, n + 2, n + 3,
				n + 4);
	}
	atomic_fetch_sub(&writers_left, 1);
	return NULL;
}

static int is_whole(const struct rt_trace_record *record)
{
	uint64_t n = record->args[0];

	return record->event == &race_trace_events[0] &&
	       record->args[1] == n * 2 && record->args[2] == ~n &&
	       record->args[3] == n * n && record->args[4] == n + 1 &&
	       record->args[7] == n + 4;
}

static int find_writer(const char *source)
{
	for (int i = 0; i < WRITERS; i++)
		if (!strcmp(source, names[i]))
			return i;
	return -1;
}

static int check(const struct rt_trace_record *record)
{
	int writer = find_writer(record->source);

	if (writer >= 0 && is_whole(record) &&
	    record->args[0] >= next_number[writer]) {
		next_number[writer] = record->args[0] + 1;
		read_count++;
		return 0;
	}
	fprintf(stderr, "torn or out of order: %s %llu\n", record->source,
		(unsigned long long)record->args[0]);
	return 1;
}

static int read_rings(struct rt_trace_cursor *cursor)
{
	struct rt_trace_record records[100];
	size_t count;
	int wrong = 0;

	do {
		count = rt_trace_read(cursor, records, RT_COUNT(records));
		for (size_t i = 0; i < count; i++)
			wrong += check(&records[i]);
	} while (count);
	return wrong;
}

static int race(void)
{
	struct rt_trace_cursor cursor = { 0 };
	pthread_t threads[WRITERS];
	int wrong = 0;

	for (size_t i = 0; i < WRITERS; i++)
		pthread_create(&threads[i], NULL, write_ring,
			       (void *)(uintptr_t)names[i]);
	while (atomic_load(&writers_left))
		wrong += read_rings(&cursor);
	for (size_t i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	wrong += read_rings(&cursor);
	if (read_count + cursor.lost != WRITERS * EVENTS) {
		fprintf(stderr, "%llu read and %llu lost of %llu\n",
			(unsigned long long)read_count,
			(unsigned long long)cursor.lost,
			(unsigned long long)(WRITERS * EVENTS));
		wrong++;
	}
	return wrong;
}

static void *write_once(void *name)
{
	write_ring(name);
	return NULL;
}

/* Switching while others emit loses records, but harms none. */
static int race_with_switching(void)
{
	struct rt_trace_cursor cursor = { 0 };
	pthread_t thread;
	int wrong = 0;

	rt_trace_seek_end(&cursor);
	memset(next_number, 0, sizeof next_number);
	atomic_store(&writers_left, 1);
	pthread_create(&thread, NULL, write_once, (void *)(uintptr_t)names[0]);
	for (unsigned int i = 0; atomic_load(&writers_left); i++) {
		rt_trace_enable("race_*", i % 2);
		wrong += read_rings(&cursor);
	}
	pthread_join(thread, NULL);
	return wrong;
}

int main(void)
{
	int wrong;

	if (rt_trace_init(tables) || rt_trace_enable("*", true) != 1)
		return EXIT_FAILURE;
	wrong = race();
	wrong += race_with_switching();
	return wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}
