/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packet modes of nitro-perf: what their parts share.  A flow goes from one
 * adapter to another, or out of an adapter to nobody, or comes from nobody; a
 * job is a thread with one flow, or two in opposite directions, and drives both
 * ends of them.
 *
 *   packet.c         the adapters, time, the end
 *   packet_job.c     the load
 *   packet_report.c  what came of it
 */
#ifndef HOST_DRIVER_PERF_PACKET_H
#define HOST_DRIVER_PERF_PACKET_H

#include <pthread.h>
#include <stdatomic.h>

#include "host-driver/ena_io.h"
#include "host-driver/packet.h"
#include "host-driver/perf/cpu.h"
#include "host-driver/perf/histogram.h"
#include "host-driver/perf/perf.h"

#define PACKET_HEADERS 42u /* Ethernet, IPv4, UDP */
#define PACKET_LEAST   60u
#define PACKET_MARK    8u /* bytes of the sequence number, with --verify */
#define PACKET_VERIFY  (PACKET_HEADERS + PACKET_MARK + 64u)
#define PACKET_BATCH   64u
#define PACKET_MSS     1448u

struct packet_nic {
	const char *address;
	struct host_function *fn;
	struct host_ena *ena;
	struct host_ena_doors doors;
	bool has_doors;
	uint16_t rx_queues[PERF_JOBS];
};

struct packet_counts {
	uint64_t sent, received, lost, bad, checked, busy_ticks;
	uint64_t received_bytes;
};

struct packet_flow {
	/* The run's first adapter sends the first flow, unless it receives. */
	struct packet_nic *from, *to;
	struct host_ena_tx *tx;          /* NULL: it comes from nobody */
	struct host_ena_rx *rx;          /* NULL: it goes to nobody */
	struct host_ena_packet *packets; /* one for each slot */
	uint8_t **frames;                /* theirs */
	bool *is_busy;
	unsigned int slots, next, in_flight, depth;
	struct host_packet shape;
	struct host_packet_layout layout;
	uint32_t hash;              /* RSS's, of its packets */
	bool has_hash;              /* the adapter that they come to tells it */
	uint64_t left;              /* packets to send; until told: to take */
	uint64_t sequence;          /* of the next to send */
	uint64_t awaited;           /* of the next to come */
	struct packet_counts now;   /* all of the run */
	struct packet_counts start; /* as counting began */
};

struct packet_run {
	const struct perf_options *options;
	struct packet_nic nics[2];
	unsigned int nic_count;
	struct perf_peer peer;
	struct packet_job *jobs;
	_Atomic int state; /* enum perf_state, of job.h */
	_Atomic int failed, gone;
	_Atomic unsigned int running;
	pthread_barrier_t start;
	struct perf_cost before, after;
	uint64_t memory; /* of an adapter */
};

struct packet_job {
	_Alignas(64) struct packet_run *run;
	struct packet_flow flows[2];
	unsigned int flow_count, number;
	int state;
	bool is_ping;
	uint64_t ping_start; /* ticks */
	uint64_t started, ended, cpu_ns, cpu_start_ns, idle_turns;
	uint64_t silent_since;
	_Atomic uint64_t done; /* for the live line */
	pthread_t thread;
	struct rt_error error;
	struct perf_histogram rtt; /* in ticks */
	struct host_ena_received received[PACKET_BATCH];
	struct host_ena_sent sent[PACKET_BATCH];
};

/* Bytes of memory that queues and frames of a flow's end need. */
uint64_t packet_job_memory(const struct perf_options *o);
/* Makes its queues; main thread. */
int packet_job_open(struct packet_job *job, struct packet_run *run,
		    unsigned int number, struct rt_error *error);
int packet_job_start(struct packet_job *job);
void packet_job_close(struct packet_job *job);

struct packet_sums {
	struct packet_counts flows[2]; /* from the first adapter; to it */
	struct perf_histogram *rtt;
	double ns_per_tick;
	uint64_t elapsed_ns;
	int64_t client_ns;
	struct perf_cost cost;
	uint64_t rings, trapped;
	const char *error;
};
void packet_report_print(const struct packet_run *run,
			 const struct packet_sums *sums);
int packet_report_print_json(const struct packet_run *run,
			     const struct packet_sums *sums);

/* All of it; what main() is for packets. */
enum perf_exit packet_main(const struct perf_options *options);

#endif
