/* SPDX-License-Identifier: BSD-3-Clause */
/* What a user is told when the host or the user erred: text, place, remedy. */
#ifndef FIRMWARE_RT_ERROR_H
#define FIRMWARE_RT_ERROR_H

struct rt_error {
	int code;        /* negative errno; 0: nothing went wrong */
	char text[512];  /* one sentence, no full stop, no newline */
	char place[256]; /* "card.yaml:8:5" or "functions[1].ebs.volume", or ""
			  */
	char hint[256];  /* what to do about it, or "" */
};

/*
 * Fill *error (which may be NULL) and return code, so that a function can
 * `return rt_error_set(error, -EINVAL, "…")`.  code is a negative errno.
 */
int rt_error_set(struct rt_error *error, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void rt_error_place(struct rt_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void rt_error_hint(struct rt_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* "EINVAL" for -EINVAL or EINVAL. */
const char *rt_errno_name(int code);

#endif
