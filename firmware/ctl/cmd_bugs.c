/* SPDX-License-Identifier: BSD-3-Clause */
/* nitroctl bugs and faults: what guests did wrong, and what we do wrong. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/ctl/ctl.h"
#include "firmware/rt/scope.h"

static void print_bugs(const json_t *bugs)
{
	const json_t *bug;
	size_t i;

	if (!json_array_size(bugs))
		puts("no rule has been broken");
	json_array_foreach(bugs, i, bug)
		printf("%s: %s, %" JSON_INTEGER_FORMAT
		       " times, last with %s\n    %s (%s)\n",
		       ctl_text(bug, "function"), ctl_text(bug, "rule"),
		       ctl_number(bug, "count"), ctl_text(bug, "last_value"),
		       ctl_text(bug, "sentence"), ctl_text(bug, "clause"));
}

enum ctl_exit ctl_bugs(struct ctl *ctl, int argc, char **argv)
{
	const char *function = ctl_parse_word(
		ctl, argc, argv, "[FUNCTION]", true,
		"List the rules of the specifications that a guest or its "
		"hypervisor has broken, with their clauses.");
	json_t *params = json_object(), *result;
	enum ctl_exit status;

	if (function)
		json_object_set_new(params, "function", json_string(function));
	status = ctl_call(ctl, "bugs.list", params, &result);
	if (status == CTL_DONE && ctl->is_json)
		status = ctl_print_json(result);
	else if (status == CTL_DONE)
		print_bugs(json_object_get(result, "bugs"));
	json_decref(result);
	return status;
}

enum fault_key {
	KEY_VALUE = 'v',
	KEY_PROBABILITY = 'p',
	KEY_SKIP = 0x100,
	KEY_LIMIT,
	KEY_SEED,
};

static const struct argp_option fault_options[] = {
	{ NULL, 0, NULL, 0, "For set:", 0 },
	{ "value", KEY_VALUE, "N", 0,
	  "What the point makes of it: microseconds, a status", 0 },
	{ "probability", KEY_PROBABILITY, "P", 0,
	  "Chance of going wrong, 0.0 to 1.0 (default: 1.0)", 0 },
	{ "skip", KEY_SKIP, "N", 0, "How many times all goes well first", 0 },
	{ "limit", KEY_LIMIT, "N", 0, "How many faults at most", 0 },
	{ "seed", KEY_SEED, "N", 0, "Of the random choice", 0 },
	{ 0 },
};

struct fault_words {
	const char *words[3]; /* list|set|clear, function, point */
	size_t count;
	json_t *params;
};

static error_t set_number(const struct argp_state *state, const char *key,
			  const char *text)
{
	const struct fault_words *input = state->input;
	char *end;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 0);
	if (!*text || *end || errno || number < 0)
		argp_error(state, "--%s must be a number, not '%s'", key, text);
	json_object_set_new(input->params, key, json_integer(number));
	return 0;
}

static error_t set_probability(const struct argp_state *state, const char *text)
{
	const struct fault_words *input = state->input;
	char *end;
	double value = strtod(text, &end);

	if (!*text || *end || !(value >= 0 && value <= 1))
		argp_error(state, "--probability is from 0.0 to 1.0, not '%s'",
			   text);
	json_object_set_new(input->params, "probability", json_real(value));
	return 0;
}

static error_t parse_fault(int key, char *arg, struct argp_state *state)
{
	struct fault_words *input = state->input;

	switch (key) {
	case KEY_VALUE:
		return set_number(state, "value", arg);
	case KEY_PROBABILITY:
		return set_probability(state, arg);
	case KEY_SKIP:
		return set_number(state, "skip", arg);
	case KEY_LIMIT:
		return set_number(state, "limit", arg);
	case KEY_SEED:
		return set_number(state, "seed", arg);
	case ARGP_KEY_ARG:
		if (input->count == RT_COUNT(input->words))
			argp_usage(state);
		input->words[input->count++] = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp fault_argp = {
	.options = fault_options,
	.parser = parse_fault,
	.args_doc = "[list [FUNCTION]]\nset FUNCTION POINT\n"
		    "clear FUNCTION [POINT]",
	.doc = "List the places where a function can be made to go wrong, and "
	       "make it so.",
};

static void add_fault(struct ctl_table *table, const char *function,
		      const json_t *fault)
{
	const json_t *rule = json_object_get(fault, "rule");
	char text[160] = "-";

	ctl_table_add(table, function);
	ctl_table_add(table, ctl_text(fault, "point"));
	if (json_is_object(rule))
		snprintf(
			text, sizeof text,
			"p=%g value=%" JSON_INTEGER_FORMAT
			" made=%" JSON_INTEGER_FORMAT "/%" JSON_INTEGER_FORMAT,
			json_number_value(json_object_get(rule, "probability")),
			ctl_number(rule, "value"), ctl_number(fault, "made"),
			ctl_number(fault, "asked"));
	ctl_table_add(table, text);
	snprintf(text, sizeof text, "%s%s%s%s", ctl_text(fault, "sentence"),
		 ctl_text(fault, "value_means")[0] ? " Value: " : "",
		 ctl_text(fault, "value_means"),
		 ctl_text(fault, "value_means")[0] ? "." : "");
	ctl_table_add(table, text);
}

static enum ctl_exit list_of(struct ctl *ctl, const char *function,
			     struct ctl_table *table, json_t *all)
{
	json_t *result, *fault;
	enum ctl_exit status;
	size_t i;

	status = ctl_call(ctl, "fault.list",
			  json_pack("{s:s}", "function", function), &result);
	if (status != CTL_DONE)
		return status;
	json_array_foreach(json_object_get(result, "faults"), i, fault)
		add_fault(table, function, fault);
	json_object_set(all, function, json_object_get(result, "faults"));
	json_decref(result);
	return CTL_DONE;
}

static enum ctl_exit list_all(struct ctl *ctl, struct ctl_table *table,
			      json_t *all)
{
	json_t *result, *function;
	enum ctl_exit status;
	size_t i;

	status = ctl_call(ctl, "function.list", NULL, &result);
	json_array_foreach(json_object_get(result, "functions"), i,
			   function) if (status == CTL_DONE) status =
		list_of(ctl, ctl_text(function, "name"), table, all);
	json_decref(result);
	return status;
}

static enum ctl_exit list_faults(struct ctl *ctl, const char *function)
{
	static const char *const headings[] = { "FUNCTION", "POINT", "RULE",
						"WHAT GOES WRONG" };
	json_t *all = json_object();
	struct ctl_table table;
	enum ctl_exit status;

	ctl_table_init(&table, RT_COUNT(headings));
	for (size_t i = 0; i < RT_COUNT(headings); i++)
		ctl_table_add(&table, headings[i]);
	status = function ? list_of(ctl, function, &table, all)
			  : list_all(ctl, &table, all);
	if (status == CTL_DONE && ctl->is_json)
		status = ctl_print_json(all);
	else if (status == CTL_DONE)
		ctl_table_print(&table);
	ctl_table_free(&table);
	json_decref(all);
	return status;
}

static enum ctl_exit change(struct ctl *ctl, const char *method,
			    const struct fault_words *input)
{
	json_t *nothing;
	enum ctl_exit status;

	json_object_set_new(input->params, "target",
			    json_string(input->words[1]));
	if (input->count > 2)
		json_object_set_new(input->params, "point",
				    json_string(input->words[2]));
	status = ctl_call(ctl, method, json_incref(input->params), &nothing);
	if (status == CTL_DONE && ctl->is_json)
		status = ctl_print_json(nothing);
	json_decref(nothing);
	return status;
}

enum ctl_exit ctl_faults(struct ctl *ctl, int argc, char **argv)
{
	struct fault_words input = { .params = json_object() };
	enum ctl_exit status = CTL_USAGE;
	const char *verb;

	ctl_parse(ctl, &fault_argp, argc, argv, &input);
	verb = input.count ? input.words[0] : "list";
	if (!strcmp(verb, "list") && input.count < 3)
		status = list_faults(ctl, input.words[1]);
	else if (!strcmp(verb, "set") && input.count == 3)
		status = change(ctl, "fault.set", &input);
	else if (!strcmp(verb, "clear") && input.count >= 2)
		status = change(ctl, "fault.clear", &input);
	else
		ctl_complain("that is none of: faults list [FUNCTION], faults "
			     "set FUNCTION POINT, faults clear FUNCTION "
			     "[POINT]");
	json_decref(input.params);
	return status;
}
