/* SPDX-License-Identifier: BSD-3-Clause */
/* Processes that live no longer than this one. */
#ifndef FIRMWARE_CTL_CHILD_H
#define FIRMWARE_CTL_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct ctl_child {
	const char *name; /* for messages: "QEMU" */
	pid_t pid;        /* 0: it does not run */
	int status;       /* as from wait(), once it has ended */
};

/*
 * Start words[0].  It is sent SIGTERM should this process end first.  output
 * (-1: the same as ours) gets its stdout and stderr.  A background child is out
 * of reach of the terminal's keys.  False: it has been said why.
 */
bool ctl_child_start(struct ctl_child *child, char *const *words, int output,
		     bool is_background);

/* Of our own programs: beside this one, or else where the shell would look. */
void ctl_find_program(const char *name, char *path, size_t size);

/* Take note if it has ended. */
void ctl_child_look(struct ctl_child *child);

/* SIGTERM, and after patience_ms SIGKILL; returns when it has ended. */
void ctl_child_stop(struct ctl_child *child, unsigned int patience_ms);

/* It ended with status 0; otherwise says how it did. */
bool ctl_child_succeeded(const struct ctl_child *child);

/* Blocked here and taken by ctl_wait_signal(), but not in children. */
void ctl_take_signals(void);
/* SIGCHLD, or one that asks us to end; 0: none within timeout_ms. */
int ctl_wait_signal(unsigned int timeout_ms);

#endif
