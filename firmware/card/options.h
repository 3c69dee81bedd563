/* SPDX-License-Identifier: BSD-3-Clause */
/* What nitro-card was asked for on its command line. */
#ifndef FIRMWARE_CARD_OPTIONS_H
#define FIRMWARE_CARD_OPTIONS_H

enum card_action {
	CARD_ACTION_SERVE,
	CARD_ACTION_CHECK,
	CARD_ACTION_PRINT_CONFIG,
	CARD_ACTION_PRINT_SCHEMA,
	CARD_ACTION_PRINT_CAPABILITIES,
	CARD_ACTION_EXAMPLE,
};

struct card_options {
	enum card_action action;
	const char *config;     /* NULL: none given */
	const char *socket_dir; /* NULL: as configured */
	const char *log_level;
	int handover; /* descriptor of the first stage; -1: started by hand */
};

/*
 * Ends the process after --help, --version (0) and mistakes (2).
 */
void card_options_parse(int argc, char **argv, struct card_options *options);

#endif
