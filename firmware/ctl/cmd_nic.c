/* SPDX-License-Identifier: BSD-3-Clause */
/* nitroctl link, capture, statistics and queues: what a NIC can be asked. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/ctl/ctl.h"
#include "firmware/rt/scope.h"

/* ---- words ---- */

struct nic_words {
	const char *function, *argument;
	bool takes_one;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct nic_words *words = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (!words->function)
			words->function = arg;
		else if (!words->argument && words->takes_one)
			words->argument = arg;
		else
			argp_usage(state);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "the name of a function is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* As the folder is ours and not the card's, a path is made whole here. */
static char *whole_path(const char *path)
{
	char *folder, *whole = NULL;

	if (path[0] == '/' || !strcmp(path, "stop"))
		return strdup(path);
	folder = realpath(".", NULL);
	if (!folder || asprintf(&whole, "%s/%s", folder, path) < 0)
		whole = NULL;
	free(folder);
	return whole;
}

static enum ctl_exit ask(struct ctl *ctl, const struct nic_words *words,
			 const char *verb, json_t **out)
{
	enum ctl_exit status = ctl_call(
		ctl, "function.do",
		json_pack("{s:s, s:s, s:s*}", "function", words->function,
			  "verb", verb, "argument", words->argument),
		out);

	if (status == CTL_DONE && ctl->is_json)
		status = ctl_print_json(*out);
	return status;
}

/* ---- link and capture ---- */

enum ctl_exit ctl_link(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "FUNCTION [up|down]",
		.doc = "Show a NIC's link, or take it up or down as if a cable "
		       "were put in or pulled.",
	};
	struct nic_words words = { .takes_one = true };
	enum ctl_exit status;
	json_t *result;

	ctl_parse(ctl, &argp, argc, argv, &words);
	status = ask(ctl, &words, "link", &result);
	if (status == CTL_DONE && !ctl->is_json)
		printf("%s: %s, %" JSON_INTEGER_FORMAT " Mb/s\n",
		       words.function, ctl_text(result, "link"),
		       ctl_number(result, "speed_mbps"));
	json_decref(result);
	return status;
}

enum ctl_exit ctl_capture(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "FUNCTION [FILE|stop]",
		.doc = "Write all packets of a NIC to FILE as pcapng, until "
		       "stop; without a word: is there a capture?",
	};
	struct nic_words words = { .takes_one = true };
	RT_FREE char *path = NULL;
	enum ctl_exit status;
	json_t *result;

	ctl_parse(ctl, &argp, argc, argv, &words);
	if (words.argument)
		words.argument = path = whole_path(words.argument);
	status = ask(ctl, &words, "capture", &result);
	if (status == CTL_DONE && !ctl->is_json)
		printf("%s: %s\n", words.function,
		       json_is_true(json_object_get(result, "capturing"))
			       ? "capturing"
			       : "not capturing");
	json_decref(result);
	return status;
}

/* ---- statistics ---- */

static void print_numbers(const char *title, const json_t *object)
{
	json_t *all = json_incref((json_t *)(uintptr_t)object);
	const char *key;
	json_t *value;

	if (object)
		printf("%s:\n", title);
	json_object_foreach(all, key, value)
	{
		if (json_is_integer(value))
			printf("  %-16s %" JSON_INTEGER_FORMAT "\n", key,
			       json_integer_value(value));
	}
	json_decref(all);
}

enum ctl_exit ctl_statistics(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "FUNCTION",
		.doc = "Show what passed a NIC, its port of the switch, and "
		       "its uplink.  In is what was sent into the switch "
		       "there.",
	};
	struct nic_words words = { 0 };
	enum ctl_exit status;
	json_t *result;

	ctl_parse(ctl, &argp, argc, argv, &words);
	status = ask(ctl, &words, "statistics", &result);
	if (status == CTL_DONE && !ctl->is_json) {
		print_numbers(words.function,
			      json_object_get(result, "counters"));
		print_numbers("port", json_object_get(result, "port"));
		print_numbers("uplink", json_object_get(result, "uplink"));
	}
	json_decref(result);
	return status;
}

/* ---- queues ---- */

static void add_value(struct ctl_table *table, const json_t *value)
{
	char text[32] = "-";

	if (json_is_string(value))
		snprintf(text, sizeof text, "%s", json_string_value(value));
	else if (json_is_boolean(value))
		snprintf(text, sizeof text, "%s",
			 json_is_true(value) ? "yes" : "no");
	else if (json_is_integer(value))
		snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT,
			 json_integer_value(value));
	ctl_table_add(table, text);
}

struct column {
	const char *heading, *key;
};

static void print_list(const json_t *list, const struct column *columns,
		       size_t count)
{
	struct ctl_table table;
	const json_t *row;
	size_t i;

	if (!json_array_size(list))
		return;
	ctl_table_init(&table, count);
	for (i = 0; i < count; i++)
		ctl_table_add(&table, columns[i].heading);
	json_array_foreach(list, i, row) for (size_t k = 0; k < count; k++)
		add_value(&table, json_object_get(row, columns[k].key));
	putchar('\n');
	ctl_table_print(&table);
}

static const struct column queue_columns[] = {
	{ "QUEUE", "queue" },       { "KIND", "direction" },
	{ "RING", "ring" },         { "PLACE", "placement" },
	{ "DEPTH", "depth" },       { "DOORBELL", "doorbell" },
	{ "CONSUMED", "consumed" }, { "WAITING", "waiting" },
	{ "POSTED", "posted" },     { "PHASE", "phase" },
	{ "VECTOR", "vector" },     { "STOPPED", "stopped" },
};

static const struct column vector_columns[] = {
	{ "VECTOR", "vector" },
	{ "MASKED", "masked" },
	{ "PENDING", "pending" },
	{ "DUE US", "due_us" },
	{ "RX DELAY US", "rx_delay_us" },
	{ "TX DELAY US", "tx_delay_us" },
	{ "MSI-X MASKED", "msix_masked" },
	{ "MSI-X PENDING", "msix_pending" },
};

/* One line for each object of plain values: "admin: base 0x1000, depth 32". */
static void print_object(const char *name, json_t *object)
{
	const char *comma = "", *key;
	json_t *value;

	printf("%s:", name);
	if (!json_object_size(object))
		printf(" none");
	json_object_foreach(object, key, value)
	{
		char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

		if (!json_is_array(value) && text) {
			printf("%s %s %s", comma, key,
			       json_is_string(value) ? json_string_value(value)
						     : text);
			comma = ",";
		}
		free(text);
	}
	putchar('\n');
}

static void print_view(json_t *view)
{
	const char *key;
	json_t *value;

	json_object_foreach(view, key, value)
	{
		if (json_is_object(value) || json_is_null(value))
			print_object(key, value);
		else if (json_is_string(value))
			printf("%s: %s\n", key, json_string_value(value));
		else if (json_is_integer(value))
			printf("%s: %" JSON_INTEGER_FORMAT "\n", key,
			       json_integer_value(value));
		else if (json_is_boolean(value))
			printf("%s: %s\n", key,
			       json_is_true(value) ? "yes" : "no");
	}
	print_list(json_object_get(view, "queues"), queue_columns,
		   RT_COUNT(queue_columns));
	print_list(json_object_get(view, "vectors"), vector_columns,
		   RT_COUNT(vector_columns));
}

enum ctl_exit ctl_queues(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "FUNCTION",
		.doc = "Show a NIC's own view: admin queue, events and their "
		       "credit, LLQ, RSS, I/O queues, doorbells and vectors.",
	};
	struct nic_words words = { 0 };
	enum ctl_exit status;
	json_t *result;

	ctl_parse(ctl, &argp, argc, argv, &words);
	status = ask(ctl, &words, "queues", &result);
	if (status == CTL_DONE && !ctl->is_json)
		print_view(result);
	json_decref(result);
	return status;
}
