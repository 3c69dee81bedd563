/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A table of configuration keys.  Each room describes its own keys; the card
 * program turns them into parsing, checking, the printed schema and the manual.
 */
#ifndef FIRMWARE_RT_OPTION_H
#define FIRMWARE_RT_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/rt/sandbox.h"

enum rt_option_kind {
	RT_OPTION_STRING, /* char *, owned by the config; NULL when absent */
	RT_OPTION_PATH,   /* the same; relative to the configuration's folder */
	RT_OPTION_BOOL,   /* bool */
	RT_OPTION_NUMBER, /* uint64_t, min to max */
	RT_OPTION_SIZE,   /* uint64_t bytes, "8GiB", "512MB", min to max */
	RT_OPTION_CHOICE, /* unsigned int, index in choices */
	RT_OPTION_CHANCE, /* uint32_t parts per million, written 0.0 to 1.0 */
	RT_OPTION_OBJECT, /* a nested struct described by fields */
};

struct rt_option {
	const char *name; /* as in the file: "volume-id" */
	enum rt_option_kind kind;
	size_t offset;        /* of the value in the struct it fills */
	const char *sentence; /* for the schema and the manual */
	const char *fallback; /* default as the user would write it, or NULL */
	bool is_required;
	uint64_t min, max;              /* max 0: no upper limit */
	const char *const *choices;     /* NULL-terminated */
	const struct rt_option *fields; /* ends with a row whose name is NULL */
	/* Of a path: what the card does with it; all else is kept from it. */
	enum rt_sandbox_use use;
	const char *read_if; /* a key beside it: when true, it is only read */
	/* Of a bool: a program is started.  Of a path: that reads it. */
	bool of_program;
};

#endif
