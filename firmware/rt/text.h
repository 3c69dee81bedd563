/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text that grows in a buffer of the caller's, which may be too small for it.
 * Any thread.
 */
#ifndef FIRMWARE_RT_TEXT_H
#define FIRMWARE_RT_TEXT_H

#include <stddef.h>

struct rt_text {
	char *bytes;   /* end with a NUL byte once something was put */
	size_t size;   /* of the buffer */
	size_t length; /* of all that was put, had there been room */
};

/* What does not fit is cut off, and counted. */
void rt_text_put(struct rt_text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
