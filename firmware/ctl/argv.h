/* SPDX-License-Identifier: BSD-3-Clause */
/* A growing list of words for exec(). */
#ifndef FIRMWARE_CTL_ARGV_H
#define FIRMWARE_CTL_ARGV_H

#include <stddef.h>
#include <stdio.h>

struct ctl_argv {
	char **words; /* NULL-terminated once there is one */
	size_t count;
};

/* Out of memory ends the process: there is nothing to undo yet. */
void ctl_argv_add(struct ctl_argv *argv, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* A path as QEMU's key=value lists want it: its commas doubled. */
void ctl_argv_add_path(struct ctl_argv *argv, const char *before,
		       const char *path, const char *after);
void ctl_argv_free(struct ctl_argv *argv);

/* As a shell would want to read it. */
void ctl_quote(FILE *out, const char *word);

#endif
