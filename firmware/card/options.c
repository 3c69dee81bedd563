/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of nitro-card: one table, from which argp makes the help. */
#include "firmware/card/options.h"

#include <argp.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "firmware/rt/log.h"

#define EXIT_USAGE 2

enum key {
	KEY_CONFIG = 'c',
	KEY_SOCKET_DIR = 's',
	KEY_LOG_LEVEL = 'l',
	KEY_HANDOVER = 0x80,
	KEY_ACTION = 0x100, /* and from there an enum card_action */
};

#define ACTION(word, action, sentence)                                         \
	{                                                                      \
		word, KEY_ACTION + (action), NULL, 0, sentence, 2              \
	}

static const struct argp_option table[] = {
	{ NULL, 0, NULL, 0, "Run a card:", 1 },
	{ "config", KEY_CONFIG, "FILE", 0,
	  "YAML or JSON; - is standard input (default: one volume of 1 GiB "
	  "in memory)",
	  1 },
	{ "socket-dir", KEY_SOCKET_DIR, "DIR", 0,
	  "Where the sockets are (default: card.socket-dir of FILE, or "
	  "/run/nitro-card for root, $XDG_RUNTIME_DIR/nitro-card for others)",
	  1 },
	{ "log-level", KEY_LOG_LEVEL, "LEVEL", 0,
	  "error, warn, notice, info or debug (default: card.log-level of "
	  "FILE, or info)",
	  1 },
	/* nitro-rom's, and nobody else's. */
	{ "handover", KEY_HANDOVER, "FD", OPTION_HIDDEN, NULL, 1 },
	{ NULL, 0, NULL, 0, "Instead of running:", 2 },
	ACTION("check", CARD_ACTION_CHECK,
	       "Check FILE, try all volumes, say what is wrong"),
	ACTION("print-config", CARD_ACTION_PRINT_CONFIG,
	       "Print FILE with all defaults, as JSON"),
	ACTION("print-schema", CARD_ACTION_PRINT_SCHEMA,
	       "Print the JSON Schema of configurations"),
	ACTION("print-capabilities", CARD_ACTION_PRINT_CAPABILITIES,
	       "Print what this program can do, as JSON"),
	ACTION("example", CARD_ACTION_EXAMPLE,
	       "Print a configuration that explains itself"),
	{ NULL, 0, NULL, 0, "Help:", -1 },
	{ 0 },
};

static error_t set_log_level(const char *word, struct card_options *options,
			     const struct argp_state *state)
{
	enum rt_log_level level;

	if (rt_log_level_parse(word, &level))
		argp_error(state,
			   "--log-level '%s' is none of error, warn, notice, "
			   "info and debug",
			   word);
	options->log_level = word;
	return 0;
}

static error_t set_config(char *path, struct card_options *options,
			  const struct argp_state *state)
{
	if (options->config)
		argp_error(state, "there can be only one configuration");
	options->config = path;
	return 0;
}

static error_t set_handover(const char *word, struct card_options *options,
			    const struct argp_state *state)
{
	char *end;
	long fd = strtol(word, &end, 10);

	if (!*word || *end || fd <= STDERR_FILENO || fd > INT_MAX)
		argp_error(state, "--handover is for nitro-rom alone");
	options->handover = (int)fd;
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct card_options *options = state->input;

	switch (key) {
	case KEY_CONFIG:
	case ARGP_KEY_ARG:
		return set_config(arg, options, state);
	case KEY_SOCKET_DIR:
		options->socket_dir = arg;
		return 0;
	case KEY_HANDOVER:
		return set_handover(arg, options, state);
	case KEY_LOG_LEVEL:
		return set_log_level(arg, options, state);
	default:
		if (key < KEY_ACTION || key > KEY_ACTION + CARD_ACTION_EXAMPLE)
			return ARGP_ERR_UNKNOWN;
		options->action = (enum card_action)(key - KEY_ACTION);
		return 0;
	}
}

static const struct argp argp = {
	.options = table,
	.parser = parse,
	.args_doc = "[FILE]",
	.doc = "nitro-card serves PCIe functions, such as NVMe volumes, to "
	       "virtual machines: one vfio-user socket for each."
	       "\vTry it:  nitro-card --example >card.yaml && nitro-card "
	       "card.yaml\n"
	       "Then:    nitroctl status; nitroctl qemu-args; man nitro-card",
};

void card_options_parse(int argc, char **argv, struct card_options *options)
{
	argp_err_exit_status = EXIT_USAGE;
	argp_program_version = "nitro-card " NITRO_VERSION;
	*options = (struct card_options){ .handover = -1 };
	argp_parse(&argp, argc, argv, 0, NULL, options);
}
