/* SPDX-License-Identifier: BSD-3-Clause */
/* nitroctl qemu-args: for people who start QEMU themselves. */
#include <stdlib.h>
#include <string.h>

#include "firmware/ctl/ctl.h"
#include "firmware/ctl/qemu.h"
#include "firmware/ctl/size.h"

struct qemu_words {
	uint64_t memory;
	bool is_one_line;
};

static const struct argp_option options[] = {
	{ "memory", 'm', "SIZE", 0, "Of the guest (default: 1GiB)", 0 },
	{ "one-line", '1', NULL, 0, "All arguments on one line", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct qemu_words *words = state->input;

	switch (key) {
	case 'm':
		if (!ctl_parse_memory(arg, &words->memory))
			argp_error(state, CTL_MEMORY_RULE, arg);
		return 0;
	case '1':
		words->is_one_line = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "Print the arguments that attach all functions of the card, and "
	       "its TPM, to "
	       "QEMU 10.1 or newer, quoted for a shell:"
	       "\vsh -c \"qemu-system-x86_64 -M q35 $(nitroctl qemu-args -1)\"",
};

static void print_words(const struct ctl_argv *argv, bool is_one_line)
{
	/* An option and its value belong on the same line. */
	for (size_t i = 0; i < argv->count; i++) {
		ctl_quote(stdout, argv->words[i]);
		putchar(i % 2 && !is_one_line ? '\n' : ' ');
	}
	if (is_one_line)
		putchar('\n');
}

static json_t *to_json(const struct ctl_argv *argv)
{
	json_t *list = json_array();

	for (size_t i = 0; i < argv->count; i++)
		json_array_append_new(list, json_string(argv->words[i]));
	return list;
}

enum ctl_exit ctl_qemu_args(struct ctl *ctl, int argc, char **argv)
{
	struct qemu_words words = { .memory = UINT64_C(1) << 30 };
	struct ctl_argv arguments = { 0 };
	enum ctl_exit status;
	json_t *result, *json, *card;

	ctl_parse(ctl, &argp, argc, argv, &words);
	status = ctl_call(ctl, "function.list", NULL, &result);
	if (status != CTL_DONE)
		return status;
	status = ctl_call(ctl, "card.status", NULL, &card);
	if (status != CTL_DONE) {
		json_decref(result);
		return status;
	}
	ctl_qemu_add_memory(&arguments, words.memory);
	ctl_qemu_add_tpm(&arguments, card);
	json_decref(card);
	ctl_qemu_add_devices(&arguments, json_object_get(result, "functions"),
			     false);
	if (ctl->is_json) {
		json = to_json(&arguments);
		status = ctl_print_json(json);
		json_decref(json);
	} else {
		print_words(&arguments, words.is_one_line);
	}
	ctl_argv_free(&arguments);
	json_decref(result);
	return status;
}
