/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Appending to the audit log.  Threads of this process take turns by the mutex,
 * cards of one installation by a lock on the file; so the last record is read
 * from audit.head each time.  How a line is made and checked: audit_chain.c.
 *
 * syscalls: flock
 */
#include "security-chip/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "firmware/rt/clock.h"
#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "security-chip/audit_chain.h"
#include "security-chip/chip.h"

#define WINDOW_NS (10 * RT_NS_PER_S)
#define WINDOW    1000

static struct {
	pthread_mutex_t mutex;
	int log, head; /* -1: closed */
	uint64_t window_start_ns, lines, held_back;
} audit = { .mutex = PTHREAD_MUTEX_INITIALIZER, .log = -1, .head = -1 };

static int open_file(int dir, const char *name, int flags, int *out,
		     struct rt_error *error)
{
	*out = openat(dir, name,
		      O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
	if (*out >= 0)
		return 0;
	return rt_error_set(error, -errno, "security-chip/%s: %s", name,
			    strerror(errno));
}

/* Not while another card writes it. */
static int check_head(void)
{
	struct sec_audit_head head;
	int status;

	if (flock(audit.log, LOCK_SH))
		return -errno;
	status = sec_audit_head_read(audit.log, audit.head, &head);
	flock(audit.log, LOCK_UN);
	return status;
}

int sec_audit_open(int dir, struct rt_error *error)
{
	int status;

	pthread_mutex_lock(&audit.mutex);
	status = open_file(dir, "audit.log", O_APPEND, &audit.log, error);
	if (!status)
		status = open_file(dir, "audit.head", 0, &audit.head, error);
	if (!status && check_head()) {
		status = rt_error_set(error, -EBADMSG,
				      "the audit log was tampered with: "
				      "security-chip/audit.head is damaged");
		rt_error_hint(error, "put audit.log and audit.head away to "
				     "look into it; a new log is begun then");
	}
	audit.window_start_ns = 0;
	pthread_mutex_unlock(&audit.mutex);
	return status;
}

void sec_audit_close(void)
{
	pthread_mutex_lock(&audit.mutex);
	if (audit.log >= 0)
		close(audit.log);
	if (audit.head >= 0)
		close(audit.head);
	audit.log = audit.head = -1;
	pthread_mutex_unlock(&audit.mutex);
}

/* Whether a record may be written now. */
static bool has_room(void)
{
	uint64_t now = rt_clock_now_ns(&(struct rt_clock){ 0 });

	if (!audit.window_start_ns ||
	    now - audit.window_start_ns >= WINDOW_NS) {
		audit.window_start_ns = now;
		audit.lines = 0;
	}
	if (audit.lines == WINDOW) {
		audit.held_back++;
		return false;
	}
	audit.lines++;
	return true;
}

/* "2026-11-22T02:16:03.123Z" */
static void print_time(char *text, size_t size)
{
	uint64_t ms = rt_wall_clock_ms();
	time_t s = (time_t)(ms / 1000);
	struct tm parts;
	char seconds[32];

	gmtime_r(&s, &parts);
	strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(text, size, "%s.%03uZ", seconds, (unsigned int)(ms % 1000));
}

static int write_record(const char *event, const char *text)
{
	char body[SEC_AUDIT_BODY], time[48], held[48] = "";
	struct sec_audit_head head;
	int status = sec_audit_head_read(audit.log, audit.head, &head);

	if (status)
		return status;
	print_time(time, sizeof time);
	if (audit.held_back)
		snprintf(held, sizeof held, " (%llu records held back)",
			 (unsigned long long)audit.held_back);
	snprintf(body, sizeof body, "%llu %s %.40s %.400s%s",
		 (unsigned long long)head.count + 1, time, event, text, held);
	for (char *c = body; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	status = sec_audit_append(audit.log, audit.head, &head, body);
	if (!status)
		audit.held_back = 0;
	return status;
}

static int record(const char *event, const char *text)
{
	int status;

	if (audit.log < 0 || !has_room())
		return 0;
	if (flock(audit.log, LOCK_EX))
		return -errno;
	status = write_record(event, text);
	flock(audit.log, LOCK_UN);
	return status;
}

void sec_audit(const char *event, const char *format, ...)
{
	char text[401];
	va_list args;
	int status;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	pthread_mutex_lock(&audit.mutex);
	status = record(event, text);
	pthread_mutex_unlock(&audit.mutex);
	rt_log_notice("audit", "%s: %s", event, text);
	if (status)
		rt_log_error("audit", "a record cannot be written: %s",
			     strerror(-status));
}

int sec_audit_check(uint64_t *out_records, struct rt_error *error)
{
	int status;

	*out_records = 0;
	pthread_mutex_lock(&audit.mutex);
	if (audit.log < 0)
		status = rt_error_set(error, -ENODEV,
				      "no security chip is open");
	else if (flock(audit.log, LOCK_EX))
		status = rt_error_set(error, -errno, "audit.log: %s",
				      strerror(errno));
	else
		status = sec_audit_chain_check(audit.log, audit.head,
					       out_records, error);
	if (audit.log >= 0)
		flock(audit.log, LOCK_UN);
	pthread_mutex_unlock(&audit.mutex);
	return status;
}
