/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a process gives away before it serves the first guest: files (Landlock),
 * system calls (seccomp), capabilities, core dumps.  Nothing here needs root.
 *
 * Files are given away before the first thread is made, system calls when all
 * is open and for all threads at once.  In between stands the start, which
 * needs more than the rest of the life.
 */
#ifndef FIRMWARE_RT_SANDBOX_H
#define FIRMWARE_RT_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum rt_sandbox_mode {
	RT_SANDBOX_ENFORCE, /* what is not declared fails, and is reported */
	RT_SANDBOX_AUDIT,   /* system calls are reported, nothing fails */
	RT_SANDBOX_OFF,
};

/* ---- Files: before the first thread, on the thread that makes the others ----
 */

enum rt_sandbox_use {
	RT_SANDBOX_READ,    /* a file, or a folder and all in it */
	RT_SANDBOX_UPDATE,  /* read and write what is there */
	RT_SANDBOX_CREATE,  /* a file that may be missing yet: made with 0600 */
	RT_SANDBOX_KEEP,    /* a file to read, or to make, aside and linked */
	RT_SANDBOX_SOCKETS, /* a folder: make and remove sockets */
	RT_SANDBOX_FOLDER,  /* make, write, rename and remove files in it */
	RT_SANDBOX_DROPBOX, /* a folder: make and write files, remove none */
	RT_SANDBOX_EXECUTE, /* read and execute a file, or all in a folder */
};

struct rt_sandbox_files {
	int rules;   /* a descriptor; -1: the kernel has no Landlock */
	int version; /* Landlock's ABI; 0: none */
	uint64_t handled;
};

/* -ENOSYS, -EOPNOTSUPP: the kernel has none of it. */
int rt_sandbox_files_begin(struct rt_sandbox_files *files);
/* A path that is not there is not an error: opening it will be. */
void rt_sandbox_files_allow(const struct rt_sandbox_files *files,
			    const char *path, enum rt_sandbox_use use);
/*
 * From here on this thread, and those that it makes, reach nothing else; with
 * ABI 4 (Linux 6.7) they cannot use TCP by connect() and bind() either, with
 * ABI 6 (6.12) signal no process from before, nor use its abstract sockets.
 * The set is closed in any case.
 */
int rt_sandbox_files_enforce(struct rt_sandbox_files *files);

/* The same without a say in the network: for a process that has one. */
int rt_sandbox_files_begin_networked(struct rt_sandbox_files *files);

/*
 * open() for a path that somebody else has chosen, close-on-exec.  The kernel
 * tells nobody in this process of a file that it refused, so this reports it as
 * a refused call.  Any thread.  A descriptor, or -1 and errno.
 */
int rt_sandbox_open(const char *path, int flags, mode_t mode);

/* ---- System calls: any thread, for all threads ---- */

#define RT_SANDBOX_CONDITIONS 2

/* One that may be made, if each of these masked arguments has its value. */
struct rt_sandbox_call {
	int number; /* as SCMP_SYS(); negative: this processor has none */
	unsigned int count;
	struct {
		unsigned int argument; /* 0 to 5 */
		uint64_t mask, value;
	} conditions[RT_SANDBOX_CONDITIONS];
};

/* A call that was refused; in audit mode: that would have been. */
struct rt_sandbox_refusal {
	int32_t number;
	int32_t thread;
	uint64_t address; /* of the instruction */
	uint64_t arguments[6];
	char name[16]; /* of the thread */
	char path[96]; /* of rt_sandbox_open(); else "" */
};

struct rt_sandbox_calls {
	const struct rt_sandbox_call *table;
	size_t count;
};

/*
 * Refused calls fail with EPERM.  What cannot be told to a handler ends the
 * process: a call made with SIGSYS blocked, or by another architecture's entry.
 * *out_fd: a descriptor that struct rt_sandbox_refusal can be read from, whole,
 * without blocking; it is never closed.  RT_SANDBOX_AUDIT has a thread of its
 * own, "sandbox", that lets all calls pass.
 */
int rt_sandbox_calls_enforce(const struct rt_sandbox_calls *calls,
			     enum rt_sandbox_mode mode, int *out_fd);

/* "connect"; "call 999" of those that have no name.  Returns text. */
const char *rt_sandbox_call_name(int number, char *text, size_t size);

/* Refusals that did not fit into the pipe. */
uint64_t rt_sandbox_lost(void);

/* ---- Rights ---- */

/* No program that is started can have more rights.  No core, no ptrace(). */
int rt_sandbox_keep_secrets(void);

/* Of all threads; after rt_sandbox_catch(). */
int rt_sandbox_drop_capabilities(void);

/* The handler of SIGSYS, which both of the above need.  Before threads. */
int rt_sandbox_catch(void);

#endif
