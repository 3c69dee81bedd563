/* SPDX-License-Identifier: BSD-3-Clause */
/* nitroctl trace: which events there are, and what they tell. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "firmware/ctl/ctl.h"
#include "firmware/rt/scope.h"

#define POLL_NS 50000000 /* between two looks when nothing came */

struct trace_words {
	const char *verb;
	const char *pattern;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct trace_words *words = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (words->pattern)
			argp_usage(state);
		if (words->verb)
			words->pattern = arg;
		else
			words->verb = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "[list]\nenable PATTERN\ndisable PATTERN\nread\nfollow "
		    "[PATTERN]",
	.doc = "Events are recorded from `enable` on.  `read` prints what is "
	       "kept, `follow` what comes, until it is interrupted; with a "
	       "PATTERN it enables those events first.  A PATTERN is as in "
	       "the shell: 'ebs_*'.",
};

static enum ctl_exit list(struct ctl *ctl, const char *pattern)
{
	json_t *result, *event;
	enum ctl_exit status = ctl_call(ctl, "trace.list", NULL, &result);
	size_t i;

	(void)pattern;
	if (status == CTL_DONE && ctl->is_json)
		status = ctl_print_json(result);
	else
		json_array_foreach(json_object_get(result, "events"), i, event)
			printf("%-3s %-28s %s\n",
			       json_is_true(json_object_get(event, "enabled"))
				       ? "on"
				       : "off",
			       ctl_text(event, "name"),
			       ctl_text(event, "format"));
	json_decref(result);
	return status;
}

static enum ctl_exit enable_or_disable(struct ctl *ctl, const char *method,
				       const char *pattern, bool is_silent)
{
	enum ctl_exit status;
	json_t *result;

	if (!pattern) {
		ctl_complain("a PATTERN is missing; `nitroctl trace list` "
			     "names the events");
		return CTL_USAGE;
	}
	status = ctl_call(ctl, method, json_pack("{s:s}", "pattern", pattern),
			  &result);
	if (status == CTL_DONE && ctl->is_json && !is_silent)
		status = ctl_print_json(result);
	else if (status == CTL_DONE && !is_silent)
		printf("%" JSON_INTEGER_FORMAT " events\n",
		       ctl_number(result, "events"));
	json_decref(result);
	return status;
}

static enum ctl_exit enable(struct ctl *ctl, const char *pattern)
{
	return enable_or_disable(ctl, "trace.enable", pattern, false);
}

static enum ctl_exit disable(struct ctl *ctl, const char *pattern)
{
	return enable_or_disable(ctl, "trace.disable", pattern, false);
}

static void print_record(const struct ctl *ctl, const json_t *record)
{
	json_int_t time = ctl_number(record, "time_ns");

	if (ctl->is_json) {
		json_dumpf(record, stdout, JSON_COMPACT);
		putchar('\n');
		return;
	}
	printf("%lld.%09lld %s %s %s\n", (long long)time / 1000000000,
	       (long long)time % 1000000000, ctl_text(record, "source"),
	       ctl_text(record, "event"), ctl_text(record, "text"));
}

/* *out_count: how many records were printed. */
static enum ctl_exit print_some(struct ctl *ctl, bool skip, json_int_t *lost,
				size_t *out_count)
{
	json_t *result, *record;
	enum ctl_exit status =
		ctl_call(ctl, "trace.read",
			 json_pack("{s:b}", "skip", (int)skip), &result);
	const json_t *records = json_object_get(result, "records");
	size_t i;

	*out_count = json_array_size(records);
	json_array_foreach(records, i, record) print_record(ctl, record);
	/* What was overwritten before the first look is nobody's loss. */
	if (*lost < 0)
		*lost = ctl_number(result, "lost");
	if (status == CTL_DONE && ctl_number(result, "lost") > *lost) {
		ctl_complain("%" JSON_INTEGER_FORMAT
			     " records were overwritten before they were read",
			     ctl_number(result, "lost") - *lost);
		*lost = ctl_number(result, "lost");
	}
	json_decref(result);
	return status;
}

static enum ctl_exit read_all(struct ctl *ctl, const char *pattern)
{
	enum ctl_exit status;
	json_int_t lost = -1;
	size_t count;

	(void)pattern;
	do
		status = print_some(ctl, false, &lost, &count);
	while (status == CTL_DONE && count);
	return status;
}

static enum ctl_exit follow(struct ctl *ctl, const char *pattern)
{
	const struct timespec pause = { .tv_nsec = POLL_NS };
	enum ctl_exit status = CTL_DONE;
	json_int_t lost = -1;
	size_t count = 0;

	if (pattern)
		status = enable_or_disable(ctl, "trace.enable", pattern, true);
	if (status == CTL_DONE)
		status = print_some(ctl, true, &lost, &count);
	while (status == CTL_DONE) {
		if (!count && (fflush(stdout) || nanosleep(&pause, NULL)))
			break;
		status = print_some(ctl, false, &lost, &count);
	}
	return status;
}

struct verb {
	const char *name;
	enum ctl_exit (*run)(struct ctl *ctl, const char *pattern);
};

static const struct verb verbs[] = {
	{ "list", list },     { "enable", enable }, { "disable", disable },
	{ "read", read_all }, { "follow", follow },
};

enum ctl_exit ctl_trace(struct ctl *ctl, int argc, char **argv)
{
	struct trace_words words = { 0 };

	ctl_parse(ctl, &argp, argc, argv, &words);
	if (!words.verb)
		words.verb = "list";
	for (size_t i = 0; i < RT_COUNT(verbs); i++)
		if (!strcmp(verbs[i].name, words.verb))
			return verbs[i].run(ctl, words.pattern);
	ctl_complain("trace: '%s' is none of list, enable, disable, read and "
		     "follow",
		     words.verb);
	return CTL_USAGE;
}
