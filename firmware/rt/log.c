/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operator's log.  A line is made in one buffer and written with one call,
 * so lines of several threads do not mix.  The limit of a call site is counted
 * with atomics only: two threads at one site in the moment of a new window may
 * let a line too many pass, which does no harm.
 *
 * syscalls: write
 */
#include "firmware/rt/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"

#define LINES_PER_WINDOW 10
#define WINDOW_NS        (10 * RT_NS_PER_S)

static const char *const level_words[] = {
	[RT_LOG_ERROR] = "error",   [RT_LOG_WARN] = "warning",
	[RT_LOG_NOTICE] = "notice", [RT_LOG_INFO] = "info",
	[RT_LOG_DEBUG] = "debug",
};

/* As options and configurations have them. */
static const char *const level_keys[] = {
	[RT_LOG_ERROR] = "error",   [RT_LOG_WARN] = "warn",
	[RT_LOG_NOTICE] = "notice", [RT_LOG_INFO] = "info",
	[RT_LOG_DEBUG] = "debug",
};

static _Atomic int log_level = RT_LOG_INFO;

void rt_log_set_level(enum rt_log_level level)
{
	atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

int rt_log_level_parse(const char *word, enum rt_log_level *out)
{
	for (size_t i = 0; i < RT_COUNT(level_words); i++) {
		if (strcmp(word, level_words[i]) && strcmp(word, level_keys[i]))
			continue;
		*out = (enum rt_log_level)i;
		return 0;
	}
	return -EINVAL;
}

/* True: the line may be written; *held_back: how many before it were not. */
static bool site_admits(struct rt_log_site *site, uint32_t *held_back)
{
	static const struct rt_clock host;
	/* Zero is a site that was never used. */
	uint64_t now = rt_clock_now_ns(&host) | 1;
	uint64_t start = atomic_load(&site->window_start_ns);

	*held_back = 0;
	if ((!start || now - start >= WINDOW_NS) &&
	    atomic_compare_exchange_strong(&site->window_start_ns, &start,
					   now)) {
		atomic_store(&site->lines, 0);
		*held_back = atomic_exchange(&site->held_back, 0);
	}
	if (atomic_fetch_add(&site->lines, 1) < LINES_PER_WINDOW)
		return true;
	/* Not to come round to zero after 2^32 lines. */
	atomic_store(&site->lines, LINES_PER_WINDOW);
	atomic_fetch_add(&site->held_back, 1);
	return false;
}

static size_t stamp(char *line, size_t size)
{
	uint64_t now_ms = rt_wall_clock_ms();
	time_t seconds = (time_t)(now_ms / 1000);
	struct tm utc;
	char date[32];

	gmtime_r(&seconds, &utc);
	strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
	return (size_t)snprintf(line, size, "%s.%03uZ ", date,
				(unsigned int)(now_ms % 1000));
}

/* What is not printable must not reach the operator's terminal. */
static void tame(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++)
		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
}

static void write_line(enum rt_log_level level, const char *who,
		       const char *text)
{
	char line[1024];
	size_t length = stamp(line, sizeof line);

	length += (size_t)snprintf(line + length, sizeof line - length,
				   "%s %s: %s", level_words[level], who, text);
	if (length > sizeof line - 2)
		length = sizeof line - 2;
	line[length] = '\0';
	tame(line);
	line[length++] = '\n';
	/* Nobody to tell when the log itself cannot be written. */
	while (write(STDERR_FILENO, line, length) < 0 && errno == EINTR)
		;
}

void rt_log_write(struct rt_log_site *site, enum rt_log_level level,
		  const char *who, const char *format, ...)
{
	char text[896];
	uint32_t held_back;
	va_list args;

	if ((int)level > atomic_load_explicit(&log_level, memory_order_relaxed))
		return;
	if (!site_admits(site, &held_back))
		return;
	if (held_back) {
		snprintf(text, sizeof text, "%u more lines like the next one",
			 held_back);
		write_line(level, who, text);
	}
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	write_line(level, who, text);
}
