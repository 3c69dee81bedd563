/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small driver for one Elastic Network Adapter, written from what its drivers
 * agree on, never from the device.  This is the part that may take its time:
 * registers, reset, admin commands, events, features, making queues.  Frames
 * are the business of ena_io.h.  It can also do what no sensible driver does:
 * any admin entry, any register, queues that nobody reads.
 *
 * One thread.  Calls return 0, an enum ena_admin_status, which is positive, or
 * a negative errno of the bus; -ETIMEDOUT when the device did not answer in
 * time, -EPROTO when its answer makes no sense (host_ena_why() says what).
 *
 *	host_ena_open(fn, NULL, &e);            memory, bus mastering
 *	host_ena_start(e);                      reset, admin queue, events
 *	host_ena_tx_open(&doors, …), …          queues, see ena_io.h
 *	host_ena_close(&e);
 */
#ifndef HOST_DRIVER_ENA_HOST_H
#define HOST_DRIVER_ENA_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ena/abi.h"
#include "host-driver/bus.h"

#define HOST_ENA_PAGE        4096u
#define HOST_ENA_ADMIN_DEPTH 32u
#define HOST_ENA_AENQ_DEPTH  16u
#define HOST_ENA_PARCELS     256u
#define HOST_ENA_EVENTS      64u
#define HOST_ENA_MAX_BUFFERS 19u /* of a packet */

struct host_ena_options {
	uint64_t iova, size;  /* of the memory for DMA; 0: 1 GiB, 64 MiB */
	bool is_by_message;   /* the device gets no descriptor for it */
	bool is_direct;       /* registers are loaded, not asked for by DMA */
	uint32_t admin_depth; /* 0: 32; a power of two */
	uint32_t aenq_depth;  /* 0: 16; a power of two */
	unsigned int timeout_ms; /* of a command or a reset; 0: 10000 */
};

/* A ring that the device shares with us; indexes run free. */
struct host_ena_ring {
	uint64_t iova; /* 0: there is none */
	uint32_t depth;
	uint16_t index; /* of what is put or taken next */
};

/* What the device says of itself; host_ena_learn(). */
struct host_ena_facts {
	struct ena_admin_device_attr attr;
	struct ena_admin_max_queues_ext queues; /* of feature 2 if need be */
	struct ena_admin_offload offload;
	struct ena_admin_aenq_config aenq;
	struct ena_admin_llq llq; /* zeroes: it has none */
	struct ena_admin_hw_hints hints;
	uint16_t delay_us; /* resolution of interrupt delays; 0: has none */
};

struct host_ena {
	struct host_function *fn; /* borrowed */
	struct host_memory memory;
	uint64_t memory_used;
	struct host_ena_options options;
	uint32_t caps, version, controller_version;

	uint64_t answer; /* of register reads, 8 bytes */
	uint16_t read_id;
	struct host_ena_ring aq, acq, aenq;
	uint16_t next_id;
	bool is_parcel[HOST_ENA_PARCELS];
	struct ena_admin_acq_entry parcels[HOST_ENA_PARCELS];
	uint64_t scratch; /* a page, for buffers of commands */
	uint64_t host_info, debug_area;
	uint64_t phc; /* where the clock is told; 0: not set up */
	uint32_t phc_doorbell;
	uint16_t phc_id;

	struct host_ena_facts facts;
	/* What was agreed on; entry_bytes 0: no LLQ. */
	struct host_ena_llq {
		uint16_t entry_bytes, descs_before_header;
		bool is_single, keeps_no_meta;
		uint32_t burst_bytes; /* 0: no limit */
	} llq;
	volatile uint8_t *llq_memory; /* BAR 2; NULL: cannot be mapped */
	uint64_t llq_bytes;           /* of BAR 2 */

	/* Of events; counted since open. */
	bool is_link_up;
	uint64_t keep_alives, link_changes;
	struct ena_admin_aenq_keep_alive drops; /* as the last one told */
	struct ena_admin_aenq_entry events[HOST_ENA_EVENTS]; /* the others */
	uint32_t event_count;                                /* free-running */
	char why[160];
};

/* options may be NULL.  Maps memory, turns bus mastering on; does not reset. */
int host_ena_open(struct host_function *fn,
		  const struct host_ena_options *options,
		  struct host_ena **out);
/* The device is told to forget our memory, if e->fn is not NULL. */
void host_ena_close(struct host_ena **e);
/* The function is reached in another way now; queues and memory stay. */
int host_ena_move(struct host_ena *e, struct host_function *fn);
/* What was wrong with an answer, in words; "" when there is nothing to say. */
const char *host_ena_why(const struct host_ena *e);
/* "illegal parameter" for a status, a name for an errno. */
const char *host_ena_status_text(int rc);

/* --- Memory --------------------------------------------------------------- */

/* Zeroed memory that is never given back; contiguous.  0: no more. */
uint64_t host_ena_alloc(struct host_ena *e, uint64_t size, uint64_t align);
/* The address must be of that memory. */
void *host_ena_at(struct host_ena *e, uint64_t iova);

/* --- Registers and reset -------------------------------------------------- */

/* In the way that options say; or in this one. */
int host_ena_read(struct host_ena *e, uint16_t offset, uint32_t *out);
int host_ena_read_direct(struct host_ena *e, uint16_t offset, uint32_t *out);
/* By DMA (3).  -ETIMEDOUT: no answer; -EPROTO: of another register. */
int host_ena_read_dma(struct host_ena *e, uint16_t offset, uint32_t *out);
int host_ena_write(struct host_ena *e, uint16_t offset, uint32_t value);
/* Where register reads are answered; 0: nowhere. */
int host_ena_set_answer(struct host_ena *e, uint64_t iova);
int host_ena_wait_sts(struct host_ena *e, uint32_t mask, uint32_t value);

/* The whole handshake.  Queues and what was configured are gone after it. */
int host_ena_reset(struct host_ena *e, enum ena_regs_reset_reason reason);
/* Its halves: after the first the device is in reset. */
int host_ena_reset_begin(struct host_ena *e, enum ena_regs_reset_reason reason);
int host_ena_reset_end(struct host_ena *e);
/* Fresh admin rings, polled: INTR_MASK is set. */
int host_ena_admin_init(struct host_ena *e);
/* Vector 0, for completions of commands and for events. */
int host_ena_admin_interrupt(struct host_ena *e, bool is_on);
/*
 * All that a driver does before it makes queues: reset, admin rings, host
 * attributes, host_ena_learn(), events of all groups, LLQ as it recommends.
 */
int host_ena_start(struct host_ena *e);

/* --- Admin commands ------------------------------------------------------- */

/* Put an entry in the queue, with its phase, without the doorbell. */
void host_ena_put(struct host_ena *e, const struct ena_admin_aq_entry *entry);
int host_ena_ring_admin(struct host_ena *e);
/* Give it an identifier, put it, ring.  *id may be NULL. */
int host_ena_submit(struct host_ena *e, struct ena_admin_aq_entry *entry,
		    uint16_t *id);
/* Take what has come.  Returns how many, or -EPROTO. */
int host_ena_reap(struct host_ena *e);
/* Has a command's completion come?  It is handed over once. */
bool host_ena_take(struct host_ena *e, uint16_t id,
		   struct ena_admin_acq_entry *out);
/* Wait for it and return its status; out may be NULL. */
int host_ena_wait(struct host_ena *e, uint16_t id,
		  struct ena_admin_acq_entry *out);
int host_ena_call(struct host_ena *e, struct ena_admin_aq_entry *entry,
		  struct ena_admin_acq_entry *out);
/* Let the device work for a while; a negative errno of the bus. */
int host_ena_idle(struct host_ena *e, unsigned int ms);

/* --- Events --------------------------------------------------------------- */

/* Which groups are told (26), and that the ring has room for them. */
int host_ena_set_events(struct host_ena *e, uint32_t groups);
/* Take what has come, give the room back.  Returns how many. */
int host_ena_take_events(struct host_ena *e);
/* Until an event of the group has come; the last of it, if out is not NULL. */
int host_ena_await_event(struct host_ena *e, enum ena_admin_aenq group,
			 unsigned int timeout_ms,
			 struct ena_admin_aenq_entry *out);

/* --- Features ------------------------------------------------------------- */

/* A command's buffer in e->memory; size 0: none. */
struct host_ena_buffer {
	uint64_t iova;
	uint32_t size;
};
/* size bytes of the answer at most 56, zeroes behind it. */
int host_ena_get_feature(struct host_ena *e, uint8_t feature, uint8_t version,
			 struct host_ena_buffer buffer, void *out, size_t size);
/* size at most 44; out is the completion, may be NULL. */
int host_ena_set_feature(struct host_ena *e, uint8_t feature,
			 const void *payload, size_t size,
			 struct host_ena_buffer buffer,
			 struct ena_admin_acq_entry *out);
bool host_ena_has_feature(const struct host_ena *e, uint8_t feature);
bool host_ena_can(const struct host_ena *e, enum ena_admin_capability cap);

/* Fill e->facts. */
int host_ena_learn(struct host_ena *e);
int host_ena_set_mtu(struct host_ena *e, uint32_t mtu);
/* Who drives it; driver_features: ENA_ADMIN_DRIVER_*. */
int host_ena_set_host_info(struct host_ena *e, uint32_t driver_features);
int host_ena_get_link(struct host_ena *e, struct ena_admin_link *out);
/*
 * Entries of so many bytes (128, 192, 256; 0: as the device recommends), with
 * meta descriptors in each packet where the device wants that.  -EOPNOTSUPP:
 * it has no LLQ, none of that size, or BAR 2 cannot be mapped.
 */
int host_ena_set_llq(struct host_ena *e, uint16_t entry_bytes);

/*
 * The key in the order in which it is used, as the published examples have it;
 * seed 0 gives the hashes of those examples.
 */
int host_ena_set_rss_key(struct host_ena *e,
			 const uint8_t key[ENA_ADMIN_RSS_KEY_BYTES],
			 uint32_t seed);
int host_ena_get_rss_hash(struct host_ena *e,
			  struct ena_admin_rss_hash_function *out,
			  struct ena_admin_rss_hash_key *key);
/* 1 << log2 entries, each the sq_idx of a receive queue. */
int host_ena_set_rss_table(struct host_ena *e, const uint16_t *queues,
			   unsigned int log2);
/* room for 1 << 7 entries at least; *out is what the device says of it. */
int host_ena_get_rss_table(struct host_ena *e,
			   struct ena_admin_rss_ind_table *out,
			   uint16_t *queues, unsigned int room);
int host_ena_get_rss_fields(struct host_ena *e,
			    struct ena_admin_rss_hash_control *out);
int host_ena_set_rss_fields(struct host_ena *e,
			    const struct ena_admin_rss_hash_control *control);

int host_ena_get_stats(struct host_ena *e, enum ena_admin_stats_type type,
		       void *out, size_t size);
/* values has a place for each bit of wanted; *reported says which came. */
int host_ena_get_metrics(struct host_ena *e, uint64_t wanted,
			 uint64_t *reported, uint64_t *values);

/* The clock: set up once after a reset; then read. */
int host_ena_phc_start(struct host_ena *e);
/* -EBUSY: it says so. */
int host_ena_phc_read(struct host_ena *e, uint64_t *ns, uint32_t *error_ns);
int host_ena_set_timestamps(struct host_ena *e, bool tx, bool rx);
/* *location is where the rule is now. */
int host_ena_add_flow(struct host_ena *e, enum ena_admin_flow_type type,
		      const struct ena_admin_flow_rule *rule,
		      uint16_t rx_ordinal, uint16_t *location);
int host_ena_remove_flow(struct host_ena *e, uint16_t location);

/* --- Queues --------------------------------------------------------------- */

struct host_ena_cq {
	uint64_t iova;
	uint32_t depth;
	uint8_t entry_words;
	uint16_t index;
	uint32_t unmask_offset, numa_offset, head_offset;
};

struct host_ena_sq {
	uint64_t iova; /* 0: it is in BAR 2 */
	uint32_t depth;
	uint8_t direction; /* ENA_ADMIN_SQ_DIRECTION_* */
	uint16_t index;
	uint32_t doorbell_offset, llq_offset;
};

/* vector -1: no interrupts.  Memory for it is taken if cq->iova is 0. */
int host_ena_create_cq(struct host_ena *e, uint32_t depth, uint8_t entry_words,
		       int vector, struct host_ena_cq *cq);
int host_ena_create_sq(struct host_ena *e, uint8_t direction, bool is_llq,
		       uint32_t depth, uint16_t cq_index,
		       struct host_ena_sq *sq);
int host_ena_destroy_sq(struct host_ena *e, const struct host_ena_sq *sq);
int host_ena_destroy_cq(struct host_ena *e, const struct host_ena_cq *cq);
/* What a queue's interrupt may do, in units of facts.delay_us. */
int host_ena_unmask(struct host_ena *e, const struct host_ena_cq *cq,
		    uint32_t rx_delay, uint32_t tx_delay);

#endif
