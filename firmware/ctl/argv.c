/* SPDX-License-Identifier: BSD-3-Clause */
/* Words for exec() and for shells. */
#include "firmware/ctl/argv.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void ctl_argv_add(struct ctl_argv *argv, const char *format, ...)
{
	char **moved =
		realloc(argv->words, (argv->count + 2) * sizeof *argv->words);
	va_list args;
	char *word;

	va_start(args, format);
	if (!moved || vasprintf(&word, format, args) < 0)
		abort();
	va_end(args);
	argv->words = moved;
	argv->words[argv->count++] = word;
	argv->words[argv->count] = NULL;
}

void ctl_argv_add_path(struct ctl_argv *argv, const char *before,
		       const char *path, const char *after)
{
	char text[2 * PATH_MAX];
	size_t used = 0;

	for (; *path && used + 2 < sizeof text; path++) {
		if (*path == ',')
			text[used++] = ',';
		text[used++] = *path;
	}
	text[used] = '\0';
	ctl_argv_add(argv, "%s%s%s", before, text, after);
}

void ctl_argv_free(struct ctl_argv *argv)
{
	for (size_t i = 0; i < argv->count; i++)
		free(argv->words[i]);
	free(argv->words);
	*argv = (struct ctl_argv){ 0 };
}

void ctl_quote(FILE *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-_=+,./:@%";

	if (word[0] && strspn(word, plain) == strlen(word)) {
		fputs(word, out);
		return;
	}
	fputc('\'', out);
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", out);
		else
			fputc(*word, out);
	}
	fputc('\'', out);
}
