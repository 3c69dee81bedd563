/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that a process starts again and again.  A process in a sandbox may
 * start none; it has a spawner instead, made before: a small process that
 * starts this one program for it, with what the sandbox allows to *them*.
 */
#ifndef FIRMWARE_RT_SPAWN_H
#define FIRMWARE_RT_SPAWN_H

#include <sys/types.h>

struct rt_program {
	char path[512];
	int fd; /* borrowed; it is started from this if it is not -1 */
};

struct rt_spawn {
	struct rt_program program;
	char *const *arguments; /* ends with NULL; 4000 bytes in all */
	int errors_fd;          /* becomes its stderr */
	int socket_fd;          /* becomes its descriptor 3 */
};

/*
 * Make the spawner; before the first thread.  It calls prepare(opaque) and then
 * waits for orders until this process ends.  Nobody can make it start anything
 * but that program.
 */
int rt_spawner_start(const struct rt_program *program,
		     void (*prepare)(void *opaque), void *opaque);

/*
 * Start a program, which is this process's child: stdin and stdout are
 * /dev/null, no other descriptor reaches it, no signal is blocked, and a Ctrl-C
 * is not for it.  By the spawner, if there is one, and then its program.  Any
 * thread; returns once the program runs, or with why it does not.
 */
int rt_spawn(const struct rt_spawn *what, pid_t *out);

#endif
