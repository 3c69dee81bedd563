/* SPDX-License-Identifier: BSD-3-Clause */
/* What the load costs the other side: processor time of the device's process,
 * and how much of it its functions were busy. */
#ifndef HOST_DRIVER_PERF_CPU_H
#define HOST_DRIVER_PERF_CPU_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "firmware/rt/call.h"
#include "firmware/rt/error.h"

struct perf_peer {
	pid_t pid;
	struct rt_caller control;
	char function[64]; /* its name on the card */
};

/*
 * control may be NULL; else it is the socket of the card that has a function at
 * address.
 */
int perf_peer_open(struct perf_peer *peer, pid_t pid, const char *control,
		   const char *address, struct rt_error *error);
void perf_peer_close(struct perf_peer *peer);

/* One moment; what is not known is -1. */
struct perf_cost {
	int64_t cpu_ns, busy_ns;
};
struct perf_cost perf_peer_cost(struct perf_peer *peer);

#endif
