/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The card's sandbox: what of firmware/rt/sandbox.h it uses, with which paths,
 * and what becomes of refusals.  Main thread.
 *
 *   one thread:    card_sandbox_prepare(), then card_sandbox_begin()
 *   functions made, sockets open: card_sandbox_finish()
 */
#ifndef FIRMWARE_CARD_SANDBOX_H
#define FIRMWARE_CARD_SANDBOX_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "firmware/rt/counter.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/sandbox.h"
#include "firmware/rt/spawn.h"

struct card_config;

struct card_sandbox {
	/* Set by the owner, before card_sandbox_prepare(). */
	const struct card_config *config;
	/* The calls that the program's files declare; returns how many. */
	size_t (*calls)(struct rt_sandbox_call *out, size_t room);
	/* The one program that functions start; false: it is not there. */
	bool (*find_program)(struct rt_program *out);
	/* A further record for the audit log; NULL: there is none. */
	void (*audit)(const char *event, const char *text);

	struct rt_program program;

	/* What is in force. */
	enum rt_sandbox_mode mode;
	int files_version; /* Landlock's; 0: files are not restricted */
	bool has_calls, has_no_capabilities, has_no_dump;
	struct rt_counter refusals;

	struct rt_loop *loop;
	struct rt_watch watch;
	int fd; /* refusals come from it; -1: none can */
};

extern const char *const card_sandbox_words[]; /* enum rt_sandbox_mode */

/*
 * Make the spawner, if a function is configured that starts a program.  Before
 * the first thread and loop.
 */
int card_sandbox_prepare(struct card_sandbox *sandbox);

/*
 * Give away files, core dumps and new privileges.  Before the first thread; the
 * socket folder exists.  What the kernel lacks is logged, a line each.
 */
void card_sandbox_begin(struct card_sandbox *sandbox);

/* Give away capabilities and system calls, on all threads. */
void card_sandbox_finish(struct card_sandbox *sandbox, struct rt_loop *loop);

/* Stop listening for refusals; the rest is for good. */
void card_sandbox_end(struct card_sandbox *sandbox);

/* A refusal that is not a system call's: logged, counted, audited. */
void card_sandbox_refuse(struct card_sandbox *sandbox, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* What card.status says of it. */
json_t *card_sandbox_status(const struct card_sandbox *sandbox);

#endif
