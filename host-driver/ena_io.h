/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transmit and receive queues of a network adapter at the speed of memory:
 * polled, in bursts, without a call, an allocation or a lock for a packet as
 * long as doorbells are mapped.  Each queue is used by one thread at a time;
 * different queues may be used by different threads, making and ending them
 * is the control thread's.
 *
 *	host_ena_doors_open(e, HOST_ENA_DOORS_AUTO, &doors);
 *	host_ena_tx_open(&doors, &options, &tx);     and _rx_open
 *	host_ena_tx_put(tx, packets, n);             what fits
 *	host_ena_tx_ring(tx);
 *	host_ena_tx_poll(tx, sent, room);            their cookies come back
 *	host_ena_rx_poll(rx, received, room);
 *	host_ena_rx_give(rx, received, n);           buffers go back
 *
 * Errors are as in ena_host.h.
 */
#ifndef HOST_DRIVER_ENA_IO_H
#define HOST_DRIVER_ENA_IO_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "host-driver/ena_host.h"

enum host_ena_doors_kind {
	HOST_ENA_DOORS_AUTO, /* mapped where the device offers that */
	HOST_ENA_DOORS_MAPPED,
	HOST_ENA_DOORS_TRAPPED,
};

/* What the queues of an adapter share. */
struct host_ena_doors {
	struct host_ena *ena; /* borrowed */
	enum host_ena_doors_kind kind;
	volatile uint32_t *page;    /* NULL: by message */
	uint32_t page_offset;       /* in BAR 0 */
	volatile uint32_t *unmasks; /* the same for interrupts */
	uint32_t unmask_offset;
	/* Hold it for every call on the function while queues run in other
	 * threads: trapped doorbells and unmasking go under it. */
	pthread_mutex_t lock;
};

void host_ena_doors_open(struct host_ena *e, enum host_ena_doors_kind kind,
			 struct host_ena_doors *out);
void host_ena_doors_close(struct host_ena_doors *doors);
/* "mapped" or "trapped", once there is a queue. */
const char *host_ena_doors_name(const struct host_ena_doors *doors);

/* --- Transmission --------------------------------------------------------- */

enum host_ena_placement {
	HOST_ENA_PLACE_AUTO, /* LLQ if one was agreed on */
	HOST_ENA_PLACE_HOST,
	HOST_ENA_PLACE_LLQ,
};

struct host_ena_tx_options {
	uint32_t depth; /* of descriptors or LLQ entries; a power of two */
	enum host_ena_placement placement;
	bool has_interrupt;
	uint16_t vector;
	bool has_timestamps; /* after host_ena_set_timestamps() */
	bool is_filled;      /* to the last slot: few drivers do */
};

/* What the device is asked to do to a packet. */
#define HOST_ENA_IPV4       0x01u /* what it is; needed by the others */
#define HOST_ENA_IPV6       0x02u
#define HOST_ENA_TCP        0x04u
#define HOST_ENA_UDP        0x08u
#define HOST_ENA_L3_CSUM    0x10u
#define HOST_ENA_L4_CSUM    0x20u
#define HOST_ENA_L4_PARTIAL 0x40u /* the field has the pseudo-header's sum */
#define HOST_ENA_TSO        0x80u

struct host_ena_part {
	uint64_t iova;
	uint32_t length;
};

/* Memory of it is the device's until it is sent. */
struct host_ena_packet {
	const void *bytes; /* the first part, of 1 byte at least … */
	uint64_t iova;     /* … and where the device finds it */
	uint32_t length;   /* at most 65535 */
	uint16_t offload;  /* HOST_ENA_* */
	uint8_t l3_offset, l3_bytes, l4_words; /* for offloads */
	uint8_t part_count;                    /* further parts */
	uint16_t mss;
	const struct host_ena_part *parts;
	uint64_t cookie;
};

struct host_ena_tx;

/* Makes its completion and submission queue.  -E2BIG: memory too short. */
int host_ena_tx_open(struct host_ena_doors *doors,
		     const struct host_ena_tx_options *options,
		     struct host_ena_tx **out);
/* Destroyed on the device as well, if it is still there. */
int host_ena_tx_close(struct host_ena_tx **q);
/* The device has forgotten it, by a reset: only our part goes. */
void host_ena_tx_forget(struct host_ena_tx **q);

/* How many of them, from the first, fit and are in the queue now. */
unsigned int host_ena_tx_put(struct host_ena_tx *q,
			     const struct host_ena_packet *packets,
			     unsigned int count);
int host_ena_tx_ring(struct host_ena_tx *q);

struct host_ena_sent {
	uint64_t cookie;
	uint64_t ns; /* with timestamps */
};
/* Returns how many were sent; -EPROTO: see host_ena_why(). */
int host_ena_tx_poll(struct host_ena_tx *q, struct host_ena_sent *sent,
		     unsigned int max);
unsigned int host_ena_tx_in_flight(const struct host_ena_tx *q);
bool host_ena_tx_is_llq(const struct host_ena_tx *q);
/* Doorbells by message, and doorbells in all. */
uint64_t host_ena_tx_trapped(const struct host_ena_tx *q);
uint64_t host_ena_tx_rings(const struct host_ena_tx *q);
const struct host_ena_cq *host_ena_tx_cq(const struct host_ena_tx *q);
const struct host_ena_sq *host_ena_tx_sq(const struct host_ena_tx *q);

/* --- Reception ------------------------------------------------------------ */

struct host_ena_rx_options {
	uint32_t depth;        /* a power of two */
	uint32_t buffer_bytes; /* of each; 1 to 65536 */
	bool has_interrupt;
	uint16_t vector;
	bool has_timestamps;
	bool is_filled;
};

/* A buffer with a packet or a part of one; ours until it is given back. */
struct host_ena_received {
	const void *bytes;
	uint64_t iova;
	uint32_t status; /* ENA_ETH_IO_RX_CDESC_*: _FIRST, _LAST, protocols … */
	uint32_t hash;
	uint32_t length;
	uint16_t buffer;
	uint64_t ns; /* with timestamps */
};

struct host_ena_rx;

/* Makes the queues and the buffers, and offers them to the device. */
int host_ena_rx_open(struct host_ena_doors *doors,
		     const struct host_ena_rx_options *options,
		     struct host_ena_rx **out);
int host_ena_rx_close(struct host_ena_rx **q);
void host_ena_rx_forget(struct host_ena_rx **q);
/* The buffers of a packet follow each other.  -EPROTO: see host_ena_why(). */
int host_ena_rx_poll(struct host_ena_rx *q, struct host_ena_received *received,
		     unsigned int max);
/*
 * Give buffers back, in any order.  The doorbell is rung for batches: an eighth
 * of the ring, or sooner when few are left; host_ena_rx_ring() rings at once.
 */
int host_ena_rx_give(struct host_ena_rx *q,
		     const struct host_ena_received *received,
		     unsigned int count);
int host_ena_rx_ring(struct host_ena_rx *q);
uint64_t host_ena_rx_trapped(const struct host_ena_rx *q);
const struct host_ena_cq *host_ena_rx_cq(const struct host_ena_rx *q);
const struct host_ena_sq *host_ena_rx_sq(const struct host_ena_rx *q);

/* host_ena_unmask() for queues that run in threads; mapped if that can be. */
int host_ena_doors_unmask(struct host_ena_doors *doors,
			  const struct host_ena_cq *cq, uint32_t rx_delay,
			  uint32_t tx_delay);

#endif
