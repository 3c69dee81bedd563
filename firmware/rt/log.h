/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operator's log: state changes, one line each, on stderr.  Nothing per
 * request and nothing a guest can repeat without bound: each call site is
 * limited to 10 lines in 10 seconds and then says how many it held back.
 * Any thread.
 */
#ifndef FIRMWARE_RT_LOG_H
#define FIRMWARE_RT_LOG_H

#include <stdatomic.h>
#include <stdint.h>

enum rt_log_level {
	RT_LOG_ERROR,
	RT_LOG_WARN,
	RT_LOG_NOTICE,
	RT_LOG_INFO,
	RT_LOG_DEBUG,
};

struct rt_log_site {
	_Atomic uint64_t window_start_ns;
	_Atomic uint32_t lines, held_back;
};

/* Lines above level are dropped.  The default is RT_LOG_INFO. */
void rt_log_set_level(enum rt_log_level level);
int rt_log_level_parse(const char *word, enum rt_log_level *out);

/* who: the function's or program's name, e.g. "ebs0". */
void rt_log_write(struct rt_log_site *site, enum rt_log_level level,
		  const char *who, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#define rt_log(level, who, ...)                                                \
	do {                                                                   \
		static struct rt_log_site rt_log_here;                         \
		rt_log_write(&rt_log_here, level, who, __VA_ARGS__);           \
	} while (0)
#define rt_log_error(who, ...)  rt_log(RT_LOG_ERROR, who, __VA_ARGS__)
#define rt_log_warn(who, ...)   rt_log(RT_LOG_WARN, who, __VA_ARGS__)
#define rt_log_notice(who, ...) rt_log(RT_LOG_NOTICE, who, __VA_ARGS__)
#define rt_log_info(who, ...)   rt_log(RT_LOG_INFO, who, __VA_ARGS__)
#define rt_log_debug(who, ...)  rt_log(RT_LOG_DEBUG, who, __VA_ARGS__)

#endif
