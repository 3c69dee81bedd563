/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A job of nitro-perf: a thread that keeps its queue full.  The main thread
 * starts it, reads its counters while it runs, and owns it again once it is
 * joined.
 */
#ifndef HOST_DRIVER_PERF_JOB_H
#define HOST_DRIVER_PERF_JOB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "host-driver/perf/histogram.h"
#include "host-driver/perf/perf.h"

enum perf_state {
	PERF_RAMP,    /* running, not counting */
	PERF_MEASURE, /* running */
	PERF_STOP,    /* finish what is in flight */
};

/* What the jobs and the main thread share. */
struct perf_run {
	const struct perf_options *options;
	struct perf_device *device;
	_Atomic int state;  /* enum perf_state */
	_Atomic int failed; /* a job has; the others stop */
	_Atomic int gone;   /* the device is; nothing is waited for */
	_Atomic unsigned int running;
	int finished; /* eventfd: a job has come to the end of its load */
	pthread_barrier_t start, verify;
};

#define PERF_BATCH 64u /* completions in a turn, at most */

struct perf_request {
	uint64_t start; /* ticks */
	uint64_t what;  /* twice the block of the job's area, plus is_write */
};

struct perf_job {
	/* Read by the main thread while it runs. */
	_Alignas(64) _Atomic uint64_t done_ios;
	/* The job's. */
	_Alignas(64) struct perf_run *run;
	struct host_nvme_io *q;
	struct perf_request *requests; /* of the slots */
	unsigned int in_flight, depth;
	int state; /* that it acts on */
	bool is_reading_back, is_random, is_mixed;
	unsigned int read_percent;
	uint64_t left; /* to start */
	uint64_t random;
	uint64_t next, blocks, first_lba; /* the area */
	uint32_t lbas;                    /* of a block */
	uint16_t *generations; /* of blocks; the top bit: in flight */
	uint64_t read_next;    /* block to read back */
	uint64_t think_ns;
	int event; /* eventfd; -1: poll */
	unsigned int idle_turns;
	uint64_t silent_since; /* ns; 0: not silent */

	/* A turn's completions, and what was asked for. */
	struct host_nvme_io_done done[PERF_BATCH];
	struct perf_request past[PERF_BATCH];

	unsigned int number; /* from 0 */
	pthread_t thread;
	bool is_started;
	uint64_t started, ended; /* ticks, of what is counted */
	uint64_t cpu_ns, cpu_start_ns;
	uint64_t wakeups, trapped, checked;
	struct rt_error error;
	struct perf_histogram reads, writes; /* in ticks */
};

/* Takes over queue pair number + 1. */
int perf_job_open(struct perf_job *job, struct perf_run *run,
		  unsigned int number, struct rt_error *error);
int perf_job_start(struct perf_job *job);
void perf_job_join(struct perf_job *job);
void perf_job_close(struct perf_job *job);

#endif
