/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nitro-probe: what a PCIe function is, and whether it keeps the rules.  The
 * command line, the start and the end; see probe.h for the rest.
 */
#include "host-driver/probe/probe.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>

#include "firmware/rt/error.h"

#define EXIT_BROKEN_NOT_RUN 2
#define TIMEOUT_MS          10000u
#define TIMEOUT_MAX_MS      600000u

enum key {
	KEY_JSON = 'j',
	KEY_LIST = 'l',
	KEY_ONLY = 'o',
	KEY_PEER = 'p',
	KEY_TIMEOUT = 't',
	KEY_WRITE = 'w',
};

static const struct argp_option table[] = {
	{ "json", KEY_JSON, NULL, 0, "Print one JSON object, at the end", 1 },
	{ "list", KEY_LIST, NULL, 0,
	  "Print the rules instead of trying them; needs no ADDRESS", 1 },
	{ "only", KEY_ONLY, "PATTERN", 0,
	  "Only rules whose names match the shell pattern; can be repeated",
	  1 },
	{ "peer", KEY_PEER, "ADDRESS", 0,
	  "Another network adapter on the same network, to talk to", 1 },
	{ "timeout", KEY_TIMEOUT, "MS", 0,
	  "Patience for a command or a reset (default: 10000)", 1 },
	{ "write", KEY_WRITE, NULL, 0,
	  "Try rules that write: some blocks at the end of the namespace, "
	  "which are put back; PCRs, which are not",
	  1 },
	{ NULL, 0, NULL, 0, "Help:", -1 },
	{ 0 },
};

static void add_pattern(struct probe_options *options, const char *pattern,
			const struct argp_state *state)
{
	if (options->pattern_count == PROBE_PATTERNS)
		argp_error(state, "more than %u patterns", PROBE_PATTERNS);
	options->patterns[options->pattern_count++] = pattern;
}

static void set_timeout(struct probe_options *options, const char *text,
			const struct argp_state *state)
{
	char *end;
	unsigned long ms = strtoul(text, &end, 10);

	if (*end || end == text || ms == 0 || ms > TIMEOUT_MAX_MS)
		argp_error(state,
			   "--timeout '%s' is not a number of milliseconds "
			   "from 1 to %u",
			   text, TIMEOUT_MAX_MS);
	options->timeout_ms = (unsigned int)ms;
}

static void set_address(struct probe_options *options, const char *address,
			const struct argp_state *state)
{
	if (options->address)
		argp_error(state, "there can be only one address");
	options->address = address;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct probe_options *options = state->input;

	switch (key) {
	case KEY_JSON:
		options->is_json = true;
		return 0;
	case KEY_LIST:
		options->is_list = true;
		return 0;
	case KEY_ONLY:
		add_pattern(options, arg, state);
		return 0;
	case KEY_PEER:
		options->peer = arg;
		return 0;
	case KEY_TIMEOUT:
		set_timeout(options, arg, state);
		return 0;
	case KEY_WRITE:
		options->may_write = true;
		return 0;
	case ARGP_KEY_ARG:
		set_address(options, arg, state);
		return 0;
	case ARGP_KEY_END:
		if (!options->address && !options->is_list)
			argp_error(state, "an address is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = table,
	.parser = parse,
	.args_doc = "ADDRESS",
	.doc = "nitro-probe tells what a PCIe function is and whether it keeps "
	       "the rules of PCI, of vfio-user, and of NVM Express, the "
	       "Elastic Network Adapter, or virtio and the Nitro Secure "
	       "Module."
	       "\vADDRESS is a vfio-user socket (a directory means its "
	       "\"cntrl\"), or the address of a PCI function of this machine "
	       "that is bound to vfio-pci: 0000:00:04.0.\n\n"
	       "The function is reset many times, so nothing else can use it "
	       "meanwhile.  Data is only read, but for --write.\n\n"
	       "Exit status: 0 all rules hold, 1 some are broken, 2 they could "
	       "not be tried.",
};

static void complain(const struct rt_error *error)
{
	fprintf(stderr, "nitro-probe: %s%s%s\n", error->text,
		error->hint[0] ? "; " : "", error->hint);
}

/* Is there a rule at all?  A pattern that matches none is a mistake. */
static bool is_any_chosen(const struct probe *p)
{
	for (size_t i = 0; i < probe_rule_count; i++)
		if (probe_is_chosen(p, &probe_rules[i]))
			return true;
	fprintf(stderr, "nitro-probe: no rule is called that; "
			"nitro-probe --list prints them\n");
	return false;
}

static int run(struct probe *p)
{
	struct probe_report *report = probe_report_begin(p);

	for (size_t i = 0; i < probe_rule_count; i++)
		if (probe_is_chosen(p, &probe_rules[i]) &&
		    probe_is_about(p, &probe_rules[i]))
			probe_report_rule(report, p, &probe_rules[i],
					  probe_run(p, &probe_rules[i]));
	return probe_report_end(report);
}

int main(int argc, char **argv)
{
	static struct probe probe = { .options.timeout_ms = TIMEOUT_MS };
	struct rt_error error = { 0 };
	int status = EXIT_BROKEN_NOT_RUN;

	argp_err_exit_status = EXIT_BROKEN_NOT_RUN;
	argp_program_version = "nitro-probe " NITRO_VERSION;
	argp_parse(&argp, argc, argv, 0, NULL, &probe.options);
	if (!is_any_chosen(&probe))
		return EXIT_BROKEN_NOT_RUN;
	if (probe.options.is_list) {
		probe_report_list(&probe);
		return 0;
	}
	if (probe_open(&probe, &error) < 0)
		complain(&error);
	else
		status = run(&probe);
	probe_close(&probe);
	probe_peer_close(&probe);
	return status;
}
