/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traces: what a developer wants to see, per request, at the cost of a nop and
 * one byte compared when nobody looks.
 *
 * A room lists its events in <room>/trace.def, one line each:
 *
 *   EVENT(ebs, cmd_begin, P(uint16_t sqid, uint8_t opcode), A(sqid, opcode),
 *         "sq %u opcode %#x")
 *
 * The arguments are one to eight unsigned integers of any width; the format has
 * one %u, %x, %#x or %d for each, widths and zeros as in printf; a length
 * modifier is not needed.  Then the room has a <room>/trace.h with, inside its
 * guard,
 *
 *   #define RT_TRACE_ROOM ebs
 *   #define RT_TRACE_DEF  "ebs-nvme/trace.def"
 *   #include "firmware/rt/trace_emit.h"
 *
 * and one <room>/trace.c with
 *
 *   #include "ebs-nvme/trace.h"
 *   #define RT_TRACE_ROOM ebs
 *   #define RT_TRACE_DEF  "ebs-nvme/trace.def"
 *   #include "firmware/rt/trace_define.h"
 *
 * which gives trace_ebs_cmd_begin(sqid, opcode) to call, the USDT probe
 * nitro:ebs_cmd_begin, and ebs_trace_table for the program to hand to
 * rt_trace_init().
 *
 * Emitting is for any thread that has called rt_trace_set_source(); what other
 * threads emit reaches the USDT probe only.  A thread that works for several
 * functions says for which with rt_trace_use(): the loop does so before each
 * callback, with the source that was in use when it was started or posted.
 * Everything else here is called on one thread at a time (the main loop's).
 */
#ifndef FIRMWARE_RT_TRACE_H
#define FIRMWARE_RT_TRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RT_TRACE_ARGS         8    /* of an event, at most */
#define RT_TRACE_RING_RECORDS 4096 /* kept per thread; then the oldest go */
#define RT_TRACE_RINGS        64   /* threads that trace, at most */
#define RT_TRACE_SOURCE_SIZE  32   /* bytes of a label with its NUL */

struct rt_trace_event {
	const char *name;      /* "ebs_cmd_begin" */
	const char *arg_names; /* "sqid, opcode" */
	const char *format;
	unsigned int arg_count;
	_Atomic bool is_on;
};

struct rt_trace_table {
	struct rt_trace_event *events;
	size_t count;
};

struct rt_trace_record {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	const struct rt_trace_event *event;
	const char *source; /* "ebs0"; stays valid */
	uint64_t args[RT_TRACE_ARGS];
};

/* Where a reader is.  Zeroed: at the oldest record that is kept. */
struct rt_trace_cursor {
	uint64_t next[RT_TRACE_RINGS];
	uint64_t lost; /* records overwritten before they were read */
};

/*
 * The rooms' tables, NULL-terminated and kept.  -EINVAL: an event's format does
 * not fit its arguments (rt_log_error() says which).
 */
int rt_trace_init(const struct rt_trace_table *const *tables);

/*
 * Name the calling thread in its records from now on, where no other source is
 * in use.  -ENOMEM, -ENOSPC (too many threads or too many names).
 */
int rt_trace_set_source(const char *name);

/*
 * A label for records, such as a function's name: the same one for the same
 * name, and kept for ever.  NULL: there are too many.  Any thread.
 */
const char *rt_trace_source(const char *name);

/* What the calling thread's records are about; NULL: the thread. */
extern _Thread_local const char *rt_trace_in_use;

static inline void rt_trace_use(const char *source)
{
	rt_trace_in_use = source;
}

/* Switch all events that match the shell pattern; returns how many do. */
size_t rt_trace_enable(const char *pattern, bool is_on);

/* Event number i of all tables; NULL after the last. */
const struct rt_trace_event *rt_trace_event_at(size_t i);

/*
 * The next records of all threads, up to count, oldest first as far as they
 * have been written.  Returns how many.
 */
size_t rt_trace_read(struct rt_trace_cursor *cursor,
		     struct rt_trace_record *records, size_t count);
/* Skip everything that was written before now. */
void rt_trace_seek_end(struct rt_trace_cursor *cursor);

/*
 * One record without a newline, as snprintf() would: always terminated, and the
 * length that it would have had is returned.
 * "12.345678901 ebs0 ebs_cmd_begin sq 1 opcode 0x2" and
 * {"time_ns":12345678901,"source":"ebs0","event":"ebs_cmd_begin",
 *  "args":{"sqid":1,"opcode":2},"text":"sq 1 opcode 0x2"} (on one line).
 */
size_t rt_trace_format_text(const struct rt_trace_record *record, char *text,
			    size_t size);
size_t rt_trace_format_json(const struct rt_trace_record *record, char *text,
			    size_t size);

/* For the emitters of trace_emit.h. */
void rt_trace_emit(const struct rt_trace_event *event, const uint64_t *args);

#endif
