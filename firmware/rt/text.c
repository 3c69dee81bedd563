/* SPDX-License-Identifier: BSD-3-Clause */
/* Text that grows: see text.h. */
#include "firmware/rt/text.h"

#include <stdarg.h>
#include <stdio.h>

void rt_text_put(struct rt_text *text, const char *format, ...)
{
	size_t room = text->length < text->size ? text->size - text->length : 0;
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(room ? text->bytes + text->length : NULL, room,
			   format, args);
	va_end(args);
	text->length += length > 0 ? (size_t)length : 0;
}
