/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A volume function on three threads, and a driver on five more: one for each
 * of four I/O queues, which checks what it reads, and one that meanwhile does
 * to the function whatever a host or an operator may do.  Everything that was
 * wrong is complained about on standard error.
 */
#ifndef TESTS_RACE_LANES_H
#define TESTS_RACE_LANES_H

#include <stdbool.h>

#include "host-driver/nvme_io.h"

enum lanes_volume {
	LANES_MEMORY,
	LANES_SHARED_FILE, /* on tmpfs: read and written in place */
	LANES_FILE,        /* reached through io_uring */
};

struct lanes_options {
	const char *name;
	enum host_nvme_doors_kind doors;
	enum lanes_volume volume;
	bool has_interrupts; /* of I/O queues */
	bool is_encrypted;
	bool is_at_home;     /* `spread: false` */
	bool is_sleepy;      /* `polling: never` */
	unsigned int rounds; /* lives of the controller */
	unsigned int steps;  /* that the host takes in each */
};

/* How much was wrong. */
unsigned int lanes_run(const struct lanes_options *options);

#endif
