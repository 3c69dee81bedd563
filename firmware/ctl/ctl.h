/* SPDX-License-Identifier: BSD-3-Clause */
/* nitroctl: what its commands share. */
#ifndef FIRMWARE_CTL_CTL_H
#define FIRMWARE_CTL_CTL_H

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "firmware/rt/call.h"

enum ctl_exit {
	CTL_DONE = 0,
	CTL_REFUSED = 1, /* the card said no, or the host did */
	CTL_USAGE = 2,
	CTL_UNREACHABLE = 3, /* no card there, or it does not answer */
};

/* One run of nitroctl. */
struct ctl {
	const char *socket_dir; /* NULL: the environment's or the default */
	bool is_json;           /* print what the card said, as it is */
	struct rt_caller card;  /* made by the first call */
};

struct ctl_command {
	const char *name;
	const char *summary; /* one line for the list of commands */
	enum ctl_exit (*run)(struct ctl *ctl, int argc, char **argv);
};

extern const struct ctl_command ctl_commands[];
extern const size_t ctl_command_count;

/*
 * Parse a command's words; the options that all commands take come with it.
 * argv[0] is the command.  Ends the process after --help and mistakes.
 */
void ctl_parse(struct ctl *ctl, const struct argp *argp, int argc, char **argv,
	       void *input);
/* The options that all commands take; also those of nitroctl itself. */
extern const struct argp ctl_common;

/* Of a command that takes one word, or none, and nothing else. */
const char *ctl_parse_word(struct ctl *ctl, int argc, char **argv,
			   const char *word, bool is_optional,
			   const char *sentence);

/* "nitroctl: …" on stderr. */
void ctl_complain(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* The directory that is meant; ends the process when there is none. */
const char *ctl_socket_dir(const struct ctl *ctl);

/*
 * Call a method.  params is taken; NULL: none.  What went wrong has been said
 * when this is not CTL_DONE; otherwise *out_result is the caller's.
 */
enum ctl_exit ctl_call(struct ctl *ctl, const char *method, json_t *params,
		       json_t **out_result);
void ctl_disconnect(struct ctl *ctl);

/* Members of objects: "" and 0 for what is not there. */
const char *ctl_text(const json_t *object, const char *key);
json_int_t ctl_number(const json_t *object, const char *key);

/* JSON for people and programs; result is borrowed. */
enum ctl_exit ctl_print_json(const json_t *result);

/*
 * A table on stdout: count columns, their headings, and for each row that many
 * strings, as wide as they need to be.
 */
struct ctl_table {
	size_t columns, count, room;
	char **cells;
};
void ctl_table_init(struct ctl_table *table, size_t columns);
/* One cell after the other; text is copied. */
void ctl_table_add(struct ctl_table *table, const char *text);
/* Prints and frees it. */
void ctl_table_print(struct ctl_table *table);
void ctl_table_free(struct ctl_table *table);

/* The commands, one function each. */
enum ctl_exit ctl_attest(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_boot(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_boot_status(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_bugs(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_capture(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_config(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_faults(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_firmware(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_help(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_link(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_metrics(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_qemu_args(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_queues(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_regs(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_reset(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_statistics(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_status(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_stop(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_tpm(struct ctl *ctl, int argc, char **argv);
enum ctl_exit ctl_trace(struct ctl *ctl, int argc, char **argv);

#endif
