/* SPDX-License-Identifier: BSD-3-Clause */
/* What commands share: their common options, complaints, tables. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/ctl/ctl.h"
#include "firmware/rt/run_dir.h"
#include "firmware/rt/scope.h"

enum key {
	KEY_SOCKET_DIR = 's',
	KEY_JSON = 'j',
};

static const struct argp_option common_options[] = {
	{ "socket-dir", KEY_SOCKET_DIR, "DIR", 0,
	  "The card's sockets (default: $NITRO_SOCKET_DIR, or "
	  "/run/nitro-card for root, $XDG_RUNTIME_DIR/nitro-card for others)",
	  0 },
	{ "json", KEY_JSON, NULL, 0, "Print JSON, for programs", 0 },
	{ 0 },
};

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	struct ctl *ctl = state->input;

	switch (key) {
	case KEY_SOCKET_DIR:
		ctl->socket_dir = arg;
		return 0;
	case KEY_JSON:
		ctl->is_json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp ctl_common = {
	.options = common_options,
	.parser = parse_common,
};

/* A command's argp and the common one, side by side. */
struct both {
	struct ctl *ctl;
	void *input;
};

static error_t parse_both(int key, char *arg, struct argp_state *state)
{
	const struct both *both = state->input;

	(void)arg;
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = both->input;
	state->child_inputs[1] = both->ctl;
	return 0;
}

void ctl_parse(struct ctl *ctl, const struct argp *argp, int argc, char **argv,
	       void *input)
{
	const struct argp_child children[] = {
		{ argp, 0, NULL, 0 },
		{ &ctl_common, 0, "For all commands:", 1 },
		{ 0 },
	};
	const struct argp whole = {
		.parser = parse_both,
		.children = children,
	};
	struct both both = { ctl, input };
	char name[80];

	snprintf(name, sizeof name, "nitroctl %.60s", argv[0]);
	argv[0] = name;
	argp_program_version = NULL;
	argp_parse(&whole, argc, argv, 0, NULL, &both);
}

struct word {
	const char *value;
	bool is_optional;
};

static error_t parse_word(int key, char *arg, struct argp_state *state)
{
	struct word *word = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (word->value || !state->name)
			argp_usage(state);
		word->value = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		if (!word->is_optional)
			argp_error(state, "a word is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_nothing(int key, char *arg, struct argp_state *state)
{
	(void)arg;
	(void)state;
	(void)key;
	return ARGP_ERR_UNKNOWN;
}

const char *ctl_parse_word(struct ctl *ctl, int argc, char **argv,
			   const char *name, bool is_optional,
			   const char *sentence)
{
	struct word word = { NULL, is_optional };
	const struct argp argp = {
		.parser = name ? parse_word : parse_nothing,
		.args_doc = name,
		.doc = sentence,
	};

	ctl_parse(ctl, &argp, argc, argv, &word);
	return word.value;
}

void ctl_complain(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("nitroctl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

const char *ctl_socket_dir(const struct ctl *ctl)
{
	static char path[108]; /* as long as a socket's path may be */
	const char *given =
		ctl->socket_dir ? ctl->socket_dir : getenv("NITRO_SOCKET_DIR");

	if (given && given[0])
		return given;
	if (rt_run_dir(path, sizeof path)) {
		ctl_complain("$XDG_RUNTIME_DIR is too long; give "
			     "--socket-dir DIR");
		exit(CTL_USAGE);
	}
	return path;
}

const char *ctl_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

json_int_t ctl_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

enum ctl_exit ctl_print_json(const json_t *result)
{
	int status = json_dumpf(result, stdout,
				JSON_INDENT(2) | JSON_REAL_PRECISION(9) |
					JSON_ENCODE_ANY);

	putchar('\n');
	return status ? CTL_REFUSED : CTL_DONE;
}

void ctl_table_init(struct ctl_table *table, size_t columns)
{
	*table = (struct ctl_table){ .columns = columns };
}

void ctl_table_add(struct ctl_table *table, const char *text)
{
	size_t larger = table->room ? table->room * 2 : 64;
	char **moved;

	if (table->count == table->room) {
		moved = realloc(table->cells, larger * sizeof *moved);
		if (!moved)
			abort();
		table->cells = moved;
		table->room = larger;
	}
	table->cells[table->count++] = strdup(text);
}

static size_t width_of(const struct ctl_table *table, size_t column)
{
	size_t width = 0, length;

	for (size_t i = column; i < table->count; i += table->columns) {
		length = strlen(table->cells[i]);
		if (length > width)
			width = length;
	}
	return width;
}

void ctl_table_print(struct ctl_table *table)
{
	bool is_last;
	size_t column;

	for (size_t i = 0; i < table->count; i++) {
		column = i % table->columns;
		is_last = column + 1 == table->columns;
		printf("%-*s%s", is_last ? 0 : (int)width_of(table, column) + 2,
		       table->cells[i], is_last ? "\n" : "");
	}
	ctl_table_free(table);
}

void ctl_table_free(struct ctl_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct ctl_table){ 0 };
}
