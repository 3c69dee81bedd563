/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All of a controller's state that a guest could notice: flat, no pointers, so
 * that a new firmware can go on from a copy of it.  It is fn->device_state.
 */
#ifndef EBS_NVME_STATE_H
#define EBS_NVME_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "ebs-nvme/abi.h"
#include "firmware/rt/counter.h"

#define EBS_MAX_PAIRS      64u
#define EBS_QUEUES         (EBS_MAX_PAIRS + 1) /* with the admin queue */
#define EBS_MAX_VECTORS    65u
#define EBS_MAX_REQUESTS   1024u /* commands in flight, of all queues */
#define EBS_REGISTER_BYTES 0x38u
#define EBS_MAX_AERS       5u
#define EBS_MAX_EVENTS     8u
#define EBS_MAX_ERRORS     64u

struct ebs_sq_state {
	uint64_t base;
	uint32_t size; /* entries; 0: there is no such queue */
	uint32_t head, tail;
	uint32_t doorbell; /* as the driver wrote it last */
	uint16_t cqid;
};

struct ebs_cq_state {
	uint64_t base;
	uint32_t size; /* entries; 0: there is no such queue */
	uint32_t head, tail;
	uint32_t doorbell; /* as the driver wrote it last */
	uint16_t vector;
	bool phase; /* of the entry at tail when it is posted */
	bool has_interrupt;
};

/* Feature values as cdw11 has them, 5.21.1. */
struct ebs_feature_values {
	uint32_t arbitration, power, error_recovery, write_cache, coalescing;
	uint32_t atomicity, async_events;
	uint32_t over_k, under_k;             /* temperature thresholds */
	bool is_uncoalesced[EBS_MAX_VECTORS]; /* NVME_VECTOR_CD */
};

struct ebs_event {
	uint8_t type, info, log;
};

enum ebs_shutdown {
	EBS_SHUTDOWN_NONE,
	EBS_SHUTDOWN_DRAINING, /* commands end, then the volume is flushed */
	EBS_SHUTDOWN_FLUSHING,
	EBS_SHUTDOWN_COMPLETE,
};

/* A command that was stopped half-way, for whoever goes on. */
enum ebs_unfinished_kind {
	EBS_RUN_AGAIN,  /* from the start; it is harmless */
	EBS_POST,       /* done, but its completion is not posted */
	EBS_POST_AGAIN, /* posted, but perhaps the guest's memory misses it */
};

struct ebs_unfinished {
	uint8_t kind;
	uint16_t sqid;
	struct nvme_cmd cmd;
	uint16_t status; /* of EBS_POST */
	uint32_t dw0;
	/* of EBS_POST_AGAIN */
	uint16_t cqid;
	uint32_t slot;
	struct nvme_cqe cqe;
};

/* What is counted, for log pages 02h and D0h and for the operator. */
struct ebs_counters {
	struct rt_counter read_ops, write_ops, flush_ops, discard_ops;
	struct rt_counter read_bytes, write_bytes;
	struct rt_counter read_ns, write_ns;
	struct rt_counter admin_commands, failed_commands, aborted_commands;
	struct rt_counter read_errors, write_errors;
	struct rt_counter bounced, interrupts, resets, busy_ns;
	struct rt_counter power_cycles, unsafe_shutdowns;
	struct rt_histogram read_latency, write_latency;
	struct rt_histogram size_reads[EBS_STATS_SIZE_CLASSES];
	struct rt_histogram size_writes[EBS_STATS_SIZE_CLASSES];
};

struct ebs_state {
	uint8_t registers[EBS_REGISTER_BYTES]; /* as pcie-model/regs.h says */
	uint32_t interrupt_mask;               /* INTMS and INTMC */
	bool is_disabling;       /* CC.EN is 0 and CSTS.RDY still 1 */
	bool has_made_queue;     /* an I/O queue since it was enabled */
	bool has_checked_memory; /* see queue.c */
	uint8_t shutdown;        /* enum ebs_shutdown */
	struct ebs_sq_state sq[EBS_QUEUES];
	struct ebs_cq_state cq[EBS_QUEUES];
	/* Doorbell Buffer Config, 5.7; 0: not given. */
	uint64_t shadow_doorbells, event_indexes;
	struct ebs_feature_values features;

	/* Asynchronous events: requests that wait, events that wait. */
	uint16_t aer_cids[EBS_MAX_AERS];
	uint32_t aer_count;
	struct ebs_event events[EBS_MAX_EVENTS];
	uint32_t event_count;
	uint8_t masked_events; /* bit n: type n, until its log is read */
	bool has_namespace_changed;

	/* These outlive resets. */
	struct nvme_error_entry errors[EBS_MAX_ERRORS]; /* newest at … */
	uint32_t error_next;                            /* … this minus 1 */
	uint64_t error_count;
	uint64_t powered_ms; /* before this process served it */

	struct ebs_unfinished unfinished[EBS_MAX_REQUESTS];
	uint32_t unfinished_count;
	struct ebs_counters counters; /* while the function is paused */
};

#endif
