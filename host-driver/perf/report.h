/* SPDX-License-Identifier: BSD-3-Clause */
/* What nitro-perf says in the end: a table, or one JSON object. */
#ifndef HOST_DRIVER_PERF_REPORT_H
#define HOST_DRIVER_PERF_REPORT_H

#include "host-driver/perf/cpu.h"
#include "host-driver/perf/histogram.h"
#include "host-driver/perf/job.h"

struct perf_report {
	const struct perf_run *run;
	struct perf_histogram reads, writes, all; /* in ticks */
	double ns_per_tick;
	uint64_t elapsed_ns;   /* from the first I/O to the last */
	int64_t client_ns;     /* of processor time */
	struct perf_cost cost; /* the other side's; -1: unknown */
	uint64_t wakeups, trapped, checked;
	const char *error; /* NULL: all went well */
};

/* Counts of all jobs; cost, scale and error are the caller's. */
void perf_report_add(struct perf_report *report, const struct perf_job *job);

void perf_report_print(const struct perf_report *report);
/* Nonzero: stdout cannot be written. */
int perf_report_print_json(const struct perf_report *report);

#endif
