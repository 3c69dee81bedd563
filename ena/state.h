/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All of a NIC's state that a guest could notice: flat, no pointers, so that a
 * new firmware can go on from a copy of it.  It is fn->device_state.
 */
#ifndef ENA_STATE_H
#define ENA_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "ena/abi.h"
#include "firmware/rt/counter.h"

#define ENA_MAX_PAIRS      32u
#define ENA_QUEUES         (2 * ENA_MAX_PAIRS) /* of either kind, both ways */
#define ENA_MAX_VECTORS    (ENA_MAX_PAIRS + 1)
#define ENA_REGISTER_BYTES 0x104u
#define ENA_RSS_LOG2       7u
#define ENA_RSS_ENTRIES    (1u << ENA_RSS_LOG2)
#define ENA_MAX_FLOWS      128u
#define ENA_NO_QUEUE       0xffffu

/*
 * Queue n is submission queue n and completion queue n together: sq_idx is
 * cq_idx, since drivers do not agree which of them the RSS table holds.
 */
struct ena_cq_state {
	uint64_t base;
	uint32_t depth;      /* entries; 0: there is none */
	uint8_t entry_words; /* 2, 4 or 8 */
	bool has_interrupt;
	uint16_t vector;
	uint16_t posted; /* free-running */
	bool is_bound;   /* to a submission queue */
};

/* The last metadata of a transmit queue, 6.3 of our facts; see tx.c. */
struct ena_tx_meta {
	uint16_t mss;
	uint8_t l3_header_bytes, l3_header_offset, l4_header_words;
};

struct ena_sq_state {
	uint64_t base;     /* of its descriptors; in BAR 2 for LLQ */
	uint32_t depth;    /* descriptors or LLQ entries; 0: there is none */
	uint8_t direction; /* ENA_ADMIN_SQ_DIRECTION_* */
	bool is_llq;
	bool is_stopped; /* the driver has corrupted it */
	uint16_t llq_entry_bytes, llq_descs_before_header;
	bool llq_is_single; /* one descriptor in each further entry */
	uint16_t consumed;  /* free-running, descriptors or entries */
	uint16_t doorbell;  /* as the driver wrote it last */
	uint16_t ordinal;   /* among the queues of its direction */
	struct ena_tx_meta meta;
};

/* The interrupt of I/O queues, whose CQs share it. */
struct ena_vector_state {
	bool is_unmasked;
	bool is_pending;    /* something was posted since the last message */
	bool is_unanswered; /* nothing was unmasked since the last message */
	uint16_t rx_delay, tx_delay; /* units of the resolution */
};

struct ena_llq_config {
	bool is_set;
	uint16_t entry_bytes, descs_before_header;
	bool is_single;
	uint16_t accel_flags;
};

struct ena_rss_config {
	uint8_t function; /* enum ena_admin_hash */
	bool has_key;     /* set since reset */
	struct ena_admin_rss_hash_key key;
	uint32_t init_val;
	uint16_t fields[ENA_ADMIN_RSS_PROTOS];
	uint16_t table[ENA_RSS_ENTRIES]; /* RX queues; ENA_NO_QUEUE: none */
};

struct ena_flow {
	bool is_used;
	uint8_t type; /* enum ena_admin_flow_type */
	uint16_t rx_ordinal;
	struct ena_admin_flow_rule rule;
};

/* Counters that the guest sees; they begin anew with each device reset. */
struct ena_guest_counters {
	struct rt_counter tx_bytes, tx_packets, rx_bytes, rx_packets;
	struct rt_counter rx_drops, tx_drops, rx_overruns;
	struct rt_counter bw_in_exceeded, bw_out_exceeded, pps_exceeded;
	struct rt_counter conntrack_exceeded, linklocal_exceeded;
	struct rt_counter srd_tx, srd_tx_eligible, srd_rx;
};

struct ena_state {
	uint8_t registers[ENA_REGISTER_BYTES];

	/* Admin. */
	uint16_t aq_consumed, acq_posted, aenq_posted, aenq_head;
	bool has_aenq_head; /* the driver has given credit */
	uint32_t aenq_groups;
	bool is_link_told;           /* since reset or its last change */
	bool has_hints;              /* to be told after reset */
	bool has_management_pending; /* vector 0, once INTR_MASK allows it */

	/* Features. */
	struct ena_llq_config llq;
	struct ena_rss_config rss;
	struct ena_flow flows[ENA_MAX_FLOWS];
	uint32_t mtu;
	uint64_t host_info, debug_area;
	uint32_t debug_bytes;
	uint64_t phc_output;
	uint8_t tx_timestamps, rx_timestamps;

	struct ena_cq_state cq[ENA_QUEUES];
	struct ena_sq_state sq[ENA_QUEUES];
	struct ena_vector_state vectors[ENA_MAX_VECTORS];
	struct ena_guest_counters counters;

	/* These outlive resets; is_link_down is the first of them. */
	bool is_link_down; /* by the operator */
	uint32_t resets[ENA_REGS_RESET_REASONS];
	uint8_t last_reason;
};

#endif
