/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside the network function: the adapter, its queues, and what the files of
 * this room offer each other.  Everything here runs on the function's loop.
 *
 *   control:  register → device reset, or admin command → … → completion
 *   transmit: doorbell → turn → descriptors → frame → port → completion
 *   receive:  port → frame → RSS or flow → buffers → completion → interrupt
 *
 * Guest memory is reached directly only: a NIC cannot wait for messages between
 * a driver that spins and a doorbell.  Where the client's memory is not shared
 * with us, that is said in the log, with the remedy.
 */
#ifndef ENA_NIC_H
#define ENA_NIC_H

#include <stdbool.h>
#include <stdint.h>

#include "ena/abi.h"
#include "ena/frame.h"
#include "ena/port.h"
#include "ena/profile.h"
#include "ena/state.h"
#include "firmware/rt/counter.h"
#include "firmware/rt/fault.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/option.h"
#include "firmware/rt/rule.h"
#include "pcie-model/dma.h"
#include "pcie-model/function.h"
#include "pcie-model/regs.h"

/* BAR 0: registers, then what queue creation hands out, each in its page. */
#define ENA_BAR0_BYTES      0x8000u
#define ENA_DOORBELLS       0x2000u /* mapped: SQ n at 4 * n */
#define ENA_UNMASKS         0x3000u /* CQ n's interrupt unmask at 4 * n */
#define ENA_DOOR_PAGE_BYTES 0x1000u

struct ena_nic;
struct ena_path;

/* Whether the data path looks for doorbells without a pause. */
enum ena_polling {
	ENA_POLLING_AUTO, /* for a while after the last of them */
	ENA_POLLING_ALWAYS,
	ENA_POLLING_NEVER,
};

enum ena_rule {
#define RULE(name, clause, sentence) ENA_RULE_##name,
#include "ena/rules.def"
#undef RULE
	ENA_RULES,
};

enum ena_fault {
#define FAULT(room, name, sentence, value) room##_fault_##name,
#include "ena/fault.def"
#undef FAULT
	ENA_FAULTS,
};

/* What the guest is told of an admin command. */
typedef struct {
	uint8_t code;     /* enum ena_admin_status */
	uint16_t details; /* extended_status: a rule's number plus one, or 0 */
} ena_status;
#define ENA_OK ((ena_status){ ENA_ADMIN_SUCCESS, 0 })

/* An admin command while it is run: our copy in, the completion out. */
struct ena_admin_command {
	struct ena_nic *nic;
	struct ena_admin_aq_entry in;
	struct ena_admin_acq_entry out;
};

/* What is behind queue n besides its state. */
struct ena_queue {
	uint16_t number;
	/* The guest's memory of it, good for the NIC's dma_generation; NULL:
	 * it cannot be reached. */
	const uint8_t *descs; /* in BAR 2's memory for LLQ */
	uint8_t *entries;     /* of its completion queue */
};

struct ena_vector {
	struct ena_nic *nic;
	uint16_t number;
	struct rt_timer timer; /* of moderation */
	uint64_t due_ns;       /* 0: nothing is held back */
};

/* The operator's counters; not reset by the guest. */
struct ena_counters {
	struct rt_counter tx_packets, tx_bytes, rx_packets, rx_bytes;
	struct rt_counter tx_drops, rx_drops, rx_overruns;
	struct rt_counter tso_packets, rx_csum_errors;
	struct rt_counter admin_commands, failed_commands, events;
	struct rt_counter interrupts, doorbells, resets, busy_ns;
};

struct ena_nic {
	struct pcie_function *fn;
	struct ena_state *state; /* fn->device_state */
	const struct ena_profile *profile;
	uint8_t mac[ENA_ETHER_ADDR_BYTES];
	uint32_t link_mbps;
	uint16_t pairs; /* queue pairs that the guest may make */
	uint32_t max_mtu;
	uint32_t llq_bytes;   /* of BAR 2; 0: no LLQ */
	unsigned int polling; /* enum ena_polling */
	struct ena_admin_hw_hints hints;

	struct ena_port port; /* ours, in the switch */
	struct ena_switch *lan;
	struct ena_port *uplink; /* of this NIC's configuration, or NULL */
	bool is_plugged;

	struct ena_queue queues[ENA_QUEUES];
	struct ena_vector vectors[ENA_MAX_VECTORS];
	struct rt_timer keep_alive;
	struct rt_timer admin;        /* commands that are left to do */
	struct rt_timer phc;          /* an answer that comes late */
	uint16_t phc_id;              /* of it */
	bool limits_phc;              /* to 125 reads a second */
	uint64_t phc_spent_ns;        /* see phc.c */
	struct ena_rss_tables *rss;   /* of rss.c, made from the state */
	struct ena_flow_table *flows; /* of flow_steering.c, likewise */
	struct ena_admin_host_info told_host_info; /* in the log */
	struct pcie_dma_op check;                  /* see ena_check_memory() */
	bool is_checking, has_checked;             /* since the last reset */
	bool has_told_no_memory;                   /* in the log, since then */
	struct rt_poller poller;                   /* the data path's, … */
	struct ena_path *path; /* … as the rest of it: queue.h */
	uint64_t dma_generation;
	bool is_quiescing;

	struct ena_counters counters;
	struct rt_fault_slot fault_slots[ENA_FAULTS];
	struct rt_rule_record rule_records[ENA_RULES];
};

static inline struct ena_nic *ena_nic_of(const struct pcie_function *fn)
{
	return fn->device;
}

/* ---- Control: device.c, admin.c, features.c, aenq.c, … ---- */

/* Is a reset (DEV_CTL, FLR …) not under way, and bus mastering on? */
bool ena_is_working(const struct ena_nic *nic);
/* Tells who looks after driver bugs; returns the status for the guest. */
ena_status ena_refuse(struct ena_nic *nic, enum ena_rule rule, uint8_t code,
		      uint64_t value);
/* Vector 0, unless INTR_MASK says no. */
void ena_management_interrupt(struct ena_nic *nic);
void ena_link_changed(struct ena_nic *nic);
/* The clock of the PHC and of timestamps: wall clock, ns. */
uint64_t ena_phc_now_ns(const struct ena_nic *nic);

/* rss.c: which receive queue, and the hash for the completion. */
uint32_t ena_rss_hash(const struct ena_nic *nic, const struct ena_frame *frame,
		      const struct ena_frame_info *info);
/* ENA_NO_QUEUE: there is no receive queue. */
uint16_t ena_rss_queue(const struct ena_nic *nic, uint32_t hash,
		       bool is_hashed);
/* flow_steering.c: the queue that a rule gives the frame, or ENA_NO_QUEUE. */
uint16_t ena_flow_queue(const struct ena_nic *nic,
			const struct ena_frame *frame,
			const struct ena_frame_info *info);

/* ---- Data path: queue.c, tx.c, rx.c, interrupt.c ---- */

/* What the switch sees of a NIC: nic->port is of this type. */
extern const struct ena_port_type ena_nic_port;

void ena_path_start(struct ena_nic *nic); /* at create */
void ena_path_stop(struct ena_nic *nic);  /* at destroy */
/*
 * state->sq[n] and cq[n] were just filled in: make what is behind them.  False:
 * the rings cannot be reached.  _close: forget; nothing of it is touched after.
 */
bool ena_path_open_cq(struct ena_nic *nic, uint16_t n);
bool ena_path_open_sq(struct ena_nic *nic, uint16_t n);
void ena_path_close_sq(struct ena_nic *nic, uint16_t n);
void ena_path_close_cq(struct ena_nic *nic, uint16_t n);
/* All at once, for resets; and the doorbell page is 0 again. */
void ena_path_reset(struct ena_nic *nic);
/* A doorbell or unmask register was written by message; any offset. */
void ena_door_write(struct ena_nic *nic, uint64_t offset, uint32_t value);
void ena_unmask_write(struct ena_nic *nic, uint64_t offset, uint32_t value);
/* What stands in mapped doorbells takes effect now. */
void ena_doors_catch_up(struct ena_nic *nic);
/* No frame is half done and no interrupt is held back; then go on. */
void ena_path_pause(struct ena_nic *nic);
void ena_path_resume(struct ena_nic *nic);

/* tables.c */
#define ENA_COUNTERS 16u
extern const struct rt_option ena_options[];
extern const struct rt_fault_point ena_fault_points[ENA_FAULTS];
extern const struct rt_rule ena_rules[ENA_RULES];
extern const struct rt_counter_name ena_counter_names[ENA_COUNTERS];

enum {
#define REG(name, ...) ENA_REGISTER_##name,
#include "ena/regs.def"
#undef REG
	ENA_REGISTERS,
};
extern const struct pcie_reg ena_registers[ENA_REGISTERS];

#endif
