/* SPDX-License-Identifier: BSD-3-Clause */
/* Errors as a user reads them.  Any thread; an error belongs to its caller. */
#include "firmware/rt/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int rt_error_set(struct rt_error *error, int code, const char *format, ...)
{
	va_list args;

	if (!error)
		return code;
	memset(error, 0, sizeof *error);
	error->code = code;
	va_start(args, format);
	vsnprintf(error->text, sizeof error->text, format, args);
	va_end(args);
	return code;
}

void rt_error_place(struct rt_error *error, const char *format, ...)
{
	va_list args;

	if (!error)
		return;
	va_start(args, format);
	vsnprintf(error->place, sizeof error->place, format, args);
	va_end(args);
}

void rt_error_hint(struct rt_error *error, const char *format, ...)
{
	va_list args;

	if (!error)
		return;
	va_start(args, format);
	vsnprintf(error->hint, sizeof error->hint, format, args);
	va_end(args);
}

const char *rt_errno_name(int code)
{
	const char *name = strerrorname_np(code < 0 ? -code : code);

	return name ? name : "unknown error";
}
