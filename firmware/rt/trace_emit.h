/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Expands RT_TRACE_DEF to the emitters trace_<room>_<name>(): included by a
 * room's trace.h, once per room, so it has no guard.  See trace.h.
 */
#include "firmware/rt/trace.h"

#if __has_include(<sys/sdt.h>)
#ifndef SDT_USE_VARIADIC
#define SDT_USE_VARIADIC
#endif
#include <sys/sdt.h>
#else
#define STAP_PROBEV(...) ((void)0)
#endif

#ifndef RT_TRACE_PASTE
#define RT_TRACE_PASTE_(a, b) a##b
#define RT_TRACE_PASTE(a, b)  RT_TRACE_PASTE_(a, b)
#endif

#define RT_TRACE_EVENTS RT_TRACE_PASTE(RT_TRACE_ROOM, _trace_events)

extern struct rt_trace_event RT_TRACE_EVENTS[];
extern const struct rt_trace_table RT_TRACE_PASTE(RT_TRACE_ROOM, _trace_table);

#define P(...) __VA_ARGS__
#define A(...) __VA_ARGS__

enum {
#define EVENT(room, name, params, args, format) room##_trace_number_##name,
#include RT_TRACE_DEF
#undef EVENT
};

#define EVENT(room, name, params, args, format)                                \
	static inline void trace_##room##_##name(params)                       \
	{                                                                      \
		const struct rt_trace_event *event =                           \
			&RT_TRACE_EVENTS[room##_trace_number_##name];          \
                                                                               \
		STAP_PROBEV(nitro, room##_##name, args);                       \
		if (atomic_load_explicit(&event->is_on, memory_order_relaxed)) \
			rt_trace_emit(event, (const uint64_t[]){ args });      \
	}
#ifdef __clang__ /* sys/sdt.h itself leaves out a macro argument */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif
#include RT_TRACE_DEF
#ifdef __clang__
#pragma clang diagnostic pop
#endif
#undef EVENT

#undef P
#undef A
#undef RT_TRACE_EVENTS
#undef RT_TRACE_ROOM
#undef RT_TRACE_DEF
