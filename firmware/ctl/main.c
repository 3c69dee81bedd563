/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nitroctl: the human's tool.  It knows nothing about a card but what the
 * control socket tells it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/ctl/ctl.h"
#include "firmware/rt/scope.h"

const struct ctl_command ctl_commands[] = {
	{ "attest", "Attestation documents and their root", ctl_attest },
	{ "boot", "Start QEMU with the card's functions attached", ctl_boot },
	{ "boot-status",
	  "How the card came to run: verified, measured, or held",
	  ctl_boot_status },
	{ "bugs", "Rules that a guest or client has broken", ctl_bugs },
	{ "capture", "Write a NIC's packets to a file", ctl_capture },
	{ "config", "The card's configuration, with all defaults", ctl_config },
	{ "faults", "List, set and clear faults made to order", ctl_faults },
	{ "firmware", "Sign firmware, and write it into a card's flash",
	  ctl_firmware },
	{ "help", "This list, or the help of a command", ctl_help },
	{ "link", "Show a NIC's link, or take it down or up", ctl_link },
	{ "metrics", "All counters, as OpenMetrics", ctl_metrics },
	{ "qemu-args", "The arguments that attach the card to QEMU",
	  ctl_qemu_args },
	{ "queues", "A NIC's own view of its queues", ctl_queues },
	{ "regs", "A function's registers, decoded by name", ctl_regs },
	{ "reset", "Reset a function", ctl_reset },
	{ "statistics", "What passed a NIC", ctl_statistics },
	{ "status", "The card and its functions", ctl_status },
	{ "stop", "End the card", ctl_stop },
	{ "tpm", "The card's TPM, its PCRs and endorsement keys", ctl_tpm },
	{ "trace", "List, enable and follow events", ctl_trace },
};
const size_t ctl_command_count = RT_COUNT(ctl_commands);

static const struct ctl_command *find_command(const char *name)
{
	for (size_t i = 0; i < ctl_command_count; i++)
		if (!strcmp(ctl_commands[i].name, name))
			return &ctl_commands[i];
	return NULL;
}

/* The words after nitroctl's own options. */
struct words {
	struct ctl *ctl;
	int first; /* index of the command */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct words *words = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = words->ctl;
		return 0;
	case ARGP_KEY_ARG:
		if (!find_command(arg))
			argp_error(state,
				   "there is no command '%s'; `nitroctl help` "
				   "lists them",
				   arg);
		/* The rest is the command's own. */
		words->first = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* argp's filter for the end of the help: the commands. */
static char *list_commands(int key, const char *text, void *input)
{
	char *list = NULL;
	size_t size;
	FILE *out;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)(uintptr_t)text;
	out = open_memstream(&list, &size);
	if (!out)
		return NULL;
	fputs("Commands:\n", out);
	for (size_t i = 0; i < ctl_command_count; i++)
		fprintf(out, "  %-12s%s\n", ctl_commands[i].name,
			ctl_commands[i].summary);
	fputs("\n`nitroctl COMMAND --help` tells more about each.", out);
	fclose(out);
	return list;
}

static const struct argp_child children[] = {
	{ &ctl_common, 0, NULL, 0 },
	{ 0 },
};

static const struct argp argp = {
	.parser = parse,
	.args_doc = "COMMAND [ARG...]",
	.doc = "nitroctl shows and steers a running nitro-card.\v",
	.children = children,
	.help_filter = list_commands,
};

enum ctl_exit ctl_help(struct ctl *ctl, int argc, char **argv)
{
	char *words[] = { argc > 1 ? argv[1] : NULL,
			  (char *)(uintptr_t) "--help", NULL };
	const struct ctl_command *command =
		argc > 1 ? find_command(argv[1]) : NULL;

	if (command && command->run != ctl_help)
		return command->run(ctl, 2, words);
	if (argc > 1 && !command) {
		ctl_complain("there is no command '%s'; `nitroctl help` lists "
			     "them",
			     argv[1]);
		return CTL_USAGE;
	}
	argp_help(&argp, stdout, ARGP_HELP_STD_HELP & ~ARGP_HELP_EXIT_OK,
		  (char *)(uintptr_t) "nitroctl");
	return CTL_DONE;
}

int main(int argc, char **argv)
{
	struct ctl ctl = { 0 };
	struct words words = { .ctl = &ctl };
	enum ctl_exit status;

	argp_err_exit_status = CTL_USAGE;
	argp_program_version = "nitroctl " NITRO_VERSION;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &words);
	status = find_command(argv[words.first])
			 ->run(&ctl, argc - words.first, argv + words.first);
	ctl_disconnect(&ctl);
	if ((fflush(stdout) || ferror(stdout)) && status == CTL_DONE)
		status = CTL_REFUSED;
	return status;
}
