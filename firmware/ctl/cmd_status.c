/* SPDX-License-Identifier: BSD-3-Clause */
/* nitroctl status, config, metrics, reset, stop: what the card says of itself.
 */
#include <string.h>

#include "firmware/ctl/ctl.h"

static enum ctl_exit get_functions(struct ctl *ctl, json_t **out)
{
	enum ctl_exit status;
	json_t *list, *function, *details;
	size_t i;

	status = ctl_call(ctl, "function.list", NULL, &list);
	if (status != CTL_DONE)
		return status;
	*out = json_array();
	json_array_foreach(json_object_get(list, "functions"), i, function)
	{
		status = ctl_call(ctl, "function.status",
				  json_pack("{s:s}", "function",
					    ctl_text(function, "name")),
				  &details);
		if (status != CTL_DONE)
			break;
		json_array_append_new(*out, details);
	}
	json_decref(list);
	if (status != CTL_DONE)
		json_decref(*out);
	return status;
}

static void add_number(struct ctl_table *table, json_int_t number)
{
	char text[32];

	snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, number);
	ctl_table_add(table, text);
}

static void add_function(struct ctl_table *table, const json_t *function)
{
	bool is_connected =
		json_is_true(json_object_get(function, "connected"));
	char ids[16];

	/* "0x1d0f" and "0x8061" as lspci writes them. */
	snprintf(ids, sizeof ids, "%.4s:%.4s",
		 ctl_text(function, "vendor") +
			 2 * !!ctl_text(function, "vendor")[0],
		 ctl_text(function, "device") +
			 2 * !!ctl_text(function, "device")[0]);
	ctl_table_add(table, ctl_text(function, "name"));
	ctl_table_add(table, ctl_text(function, "type"));
	ctl_table_add(table, ids);
	ctl_table_add(table, is_connected ? "connected" : "waiting");
	add_number(table, ctl_number(function, "messages"));
	add_number(table, ctl_number(function, "broken_rules"));
	ctl_table_add(table, ctl_text(function, "socket"));
}

static void print_tpm(const json_t *tpm)
{
	if (tpm)
		printf("%s: TPM 2.0 of %s, socket %s; more by `nitroctl tpm`\n",
		       ctl_text(tpm, "name"), ctl_text(tpm, "instance"),
		       ctl_text(tpm, "socket"));
}

/* "sandbox: enforce, files by Landlock 7, system calls by seccomp" */
static void print_sandbox(const json_t *sandbox)
{
	json_int_t landlock = ctl_number(sandbox, "landlock");

	if (!sandbox)
		return;
	printf("sandbox: %s", ctl_text(sandbox, "mode"));
	if (landlock)
		printf(", files by Landlock %" JSON_INTEGER_FORMAT, landlock);
	if (json_is_true(json_object_get(sandbox, "system_calls")))
		printf(", system calls by seccomp");
	if (json_is_true(json_object_get(sandbox, "no_capabilities")))
		printf(", no capabilities");
	printf("; %" JSON_INTEGER_FORMAT " refused\n",
	       ctl_number(sandbox, "refusals"));
}

/* The registers of a security module that hold something, and their locks. */
static void print_pcrs(const json_t *function)
{
	const json_t *details = json_object_get(function, "details");
	const char *data;
	json_t *pcr;
	size_t i;

	json_array_foreach(json_object_get(details, "pcrs"), i, pcr)
	{
		data = ctl_text(pcr, "data");
		if (data[strspn(data, "0")])
			printf("%s: PCR %zu, %s, %s\n",
			       ctl_text(function, "name"), i,
			       json_is_true(json_object_get(pcr, "lock"))
				       ? "locked"
				       : "open",
			       data);
	}
}

static void print_status(const json_t *card, const json_t *functions)
{
	static const char *const headings[] = { "FUNCTION", "TYPE",
						"PCI ID",   "GUEST",
						"MESSAGES", "BUGS",
						"SOCKET" };
	const size_t columns = sizeof headings / sizeof headings[0];
	struct ctl_table table;
	json_t *function;
	size_t i;

	printf("%s: nitro-card %s, process %" JSON_INTEGER_FORMAT
	       ", up for %" JSON_INTEGER_FORMAT " s, sockets in %s\n",
	       ctl_text(card, "name"), ctl_text(card, "version"),
	       ctl_number(card, "pid"), ctl_number(card, "uptime_s"),
	       ctl_text(card, "socket_dir"));
	print_sandbox(json_object_get(card, "sandbox"));
	print_tpm(json_object_get(card, "tpm"));
	ctl_table_init(&table, columns);
	for (i = 0; i < columns; i++)
		ctl_table_add(&table, headings[i]);
	json_array_foreach(functions, i, function)
		add_function(&table, function);
	ctl_table_print(&table);
	json_array_foreach(functions, i, function) print_pcrs(function);
}

enum ctl_exit ctl_status(struct ctl *ctl, int argc, char **argv)
{
	json_t *card, *functions;
	enum ctl_exit status;

	ctl_parse_word(ctl, argc, argv, NULL, true,
		       "Show the card and its functions.");
	status = ctl_call(ctl, "card.status", NULL, &card);
	if (status != CTL_DONE)
		return status;
	status = get_functions(ctl, &functions);
	if (status == CTL_DONE && ctl->is_json) {
		json_object_set(card, "functions", functions);
		status = ctl_print_json(card);
	} else if (status == CTL_DONE) {
		print_status(card, functions);
	}
	if (status == CTL_DONE)
		json_decref(functions);
	json_decref(card);
	return status;
}

enum ctl_exit ctl_config(struct ctl *ctl, int argc, char **argv)
{
	enum ctl_exit status;
	json_t *config;

	ctl_parse_word(ctl, argc, argv, NULL, true,
		       "Print the card's configuration with all its defaults, "
		       "as JSON that nitro-card --config takes.");
	status = ctl_call(ctl, "card.config", NULL, &config);
	if (status == CTL_DONE)
		status = ctl_print_json(config);
	json_decref(config);
	return status;
}

enum ctl_exit ctl_metrics(struct ctl *ctl, int argc, char **argv)
{
	enum ctl_exit status;
	json_t *metrics;

	ctl_parse_word(ctl, argc, argv, NULL, true,
		       "Print all counters, as OpenMetrics text.");
	status = ctl_call(ctl, "metrics.read", NULL, &metrics);
	if (status == CTL_DONE && ctl->is_json)
		status = ctl_print_json(metrics);
	else if (status == CTL_DONE)
		fputs(ctl_text(metrics, "text"), stdout);
	json_decref(metrics);
	return status;
}

enum ctl_exit ctl_reset(struct ctl *ctl, int argc, char **argv)
{
	const char *function = ctl_parse_word(
		ctl, argc, argv, "FUNCTION", false,
		"Reset a function, as a device does that finds itself ill: its "
		"registers and queues begin anew, and nobody tells its driver. "
		"Returns when it is quiet and reset.");
	enum ctl_exit status;
	json_t *nothing;

	status = ctl_call(ctl, "function.reset",
			  json_pack("{s:s}", "function", function), &nothing);
	if (status == CTL_DONE && ctl->is_json)
		status = ctl_print_json(nothing);
	json_decref(nothing);
	return status;
}

enum ctl_exit ctl_stop(struct ctl *ctl, int argc, char **argv)
{
	enum ctl_exit status;
	json_t *nothing;

	ctl_parse_word(ctl, argc, argv, NULL, true,
		       "End the card: its guests lose their devices.");
	status = ctl_call(ctl, "card.stop", NULL, &nothing);
	if (status == CTL_DONE && ctl->is_json)
		status = ctl_print_json(nothing);
	json_decref(nothing);
	return status;
}
