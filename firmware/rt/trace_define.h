/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Expands RT_TRACE_DEF to the room's event descriptors and their table:
 * included by one .c of the room, after its trace.h.  See trace.h.
 */
#include <assert.h>

#include "firmware/rt/trace.h"

/* How many arguments stand in A(...), 1 to 8; more do not compile. */
#define RT_TRACE_NINTH(a, b, c, d, e, f, g, h, n, ...) n
#define RT_TRACE_COUNT(...)                                                    \
	RT_TRACE_NINTH(__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define RT_TRACE_WORDS_(...) #__VA_ARGS__
#define RT_TRACE_WORDS(...)  RT_TRACE_WORDS_(__VA_ARGS__)

#define P(...) __VA_ARGS__
#define A(...) __VA_ARGS__

struct rt_trace_event RT_TRACE_PASTE(RT_TRACE_ROOM, _trace_events)[] = {
#define EVENT(room, event, params, args, text)                                 \
	{ .name = #room "_" #event,                                            \
	  .arg_names = RT_TRACE_WORDS(args),                                   \
	  .format = text,                                                      \
	  .arg_count = RT_TRACE_COUNT(args) },
#include RT_TRACE_DEF
#undef EVENT
};

const struct rt_trace_table RT_TRACE_PASTE(RT_TRACE_ROOM, _trace_table) = {
	.events = RT_TRACE_PASTE(RT_TRACE_ROOM, _trace_events),
	.count = sizeof RT_TRACE_PASTE(RT_TRACE_ROOM, _trace_events) /
		 sizeof(struct rt_trace_event),
};

#undef P
#undef A
#undef RT_TRACE_ROOM
#undef RT_TRACE_DEF
