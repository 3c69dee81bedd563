/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nitro-perf: what its parts share.  The main thread opens the device, starts
 * the jobs, waits and reports; each job has a thread and a queue of its own.
 */
#ifndef HOST_DRIVER_PERF_H
#define HOST_DRIVER_PERF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "firmware/rt/error.h"
#include "host-driver/nvme_io.h"

enum perf_exit {
	PERF_DONE = 0,
	PERF_FAILED = 1, /* the device did: an error, wrong data, silence */
	PERF_USAGE = 2,
	PERF_UNREACHABLE = 3, /* no such device, or not fit for this */
};

/* What is sent and received, for network adapters. */
enum perf_packets {
	PERF_PACKETS_NONE, /* not packets: blocks of an NVMe function */
	PERF_PACKETS_TX,
	PERF_PACKETS_RX,
	PERF_PACKETS_TXRX,
	PERF_PACKETS_PINGPONG,
};

#define PERF_LLQ_AUTO 0u
#define PERF_LLQ_OFF  1u

#define PERF_JOBS  64u
#define PERF_DEPTH 4096u

struct perf_options {
	const char *address, *control;
	const char *rw;            /* the word */
	bool is_random;            /* what the word means */
	unsigned int read_percent; /* 0: writes only */
	uint64_t block_bytes;
	uint64_t depth, jobs;
	uint64_t queue_entries;                 /* 0: as the device allows */
	uint64_t runtime_ns, ramp_ns, think_ns; /* runtime 0: no limit */
	uint64_t timeout_ns;
	uint64_t offset, size; /* size 0: to the end */
	uint64_t number_ios;   /* of a job; 0: no limit */
	uint64_t io_size;
	uint64_t seed;
	uint64_t nsid;
	enum perf_packets packets;
	const char *peer;   /* the adapter at the other end; NULL: none */
	uint64_t llq_bytes; /* of an entry, or PERF_LLQ_* */
	bool csum, tso;
	bool verify, has_interrupts, is_json;
	enum host_nvme_doors_kind doors;
	int cpus[PERF_JOBS];
	size_t cpu_count;
};

/* Of packets: the published example's. */
extern const uint8_t perf_rss_key[40];

/* Ends the process after --help and mistakes. */
void perf_parse(int argc, char **argv, struct perf_options *out);

/* "nitro-perf: …" on stderr. */
void perf_complain(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* --- The device ----------------------------------------------------------- */

struct perf_device {
	struct host_function *fn;
	struct host_nvme *nvme;
	struct host_nvme_doors doors;
	bool has_doors;
	pid_t pid; /* of the process behind the socket; 0: unknown */
	char model[41], serial[21];
	uint32_t block_bytes; /* of the namespace */
	uint64_t block_count;
	uint64_t max_bytes;            /* of a transfer */
	uint32_t max_entries, entries; /* of a queue */
	int *events; /* an eventfd for each job, with --interrupts */
	size_t event_count;
};

/* Opens and enables it, and makes a pair of queues for each job. */
int perf_device_open(struct perf_device *device,
		     const struct perf_options *options,
		     struct rt_error *error);
void perf_device_close(struct perf_device *device);
/* Is it still there?  0 or a negative errno of the bus. */
int perf_device_check(struct perf_device *device);

#endif
