/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A NIC without a server and without admin commands: queues are made in its
 * state, guest memory is one window, and the network is in the test's hands.
 * All on one thread with a clock that the test moves.
 */
#ifndef TESTS_UNIT_ENA_PATH_RIG_H
#define TESTS_UNIT_ENA_PATH_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "ena/function.h"
#include "ena/nic.h"
#include "ena/queue.h"
#include "firmware/rt/clock.h"

#define RIG_IOVA    UINT64_C(0x100000)
#define RIG_BYTES   UINT64_C(0x800000)
#define RIG_SQ(n)   (RIG_IOVA + 0x40000 * (uint64_t)(n))
#define RIG_CQ(n)   (RIG_SQ(n) + 0x20000)
#define RIG_DATA    (RIG_IOVA + 0x400000)
#define RIG_WIRE    64u    /* wire frames that are kept */
#define RIG_FRAME   70000u /* bytes of one */
#define RIG_VECTORS 4u

struct rig_wire {
	uint8_t bytes[RIG_FRAME];
	uint32_t length;
	uint8_t flags; /* of the frame it was in */
	uint8_t l4_proto;
	unsigned int of; /* the number of that frame */
};

struct rig {
	struct rt_clock clock;
	struct rt_loop *loop;
	struct pcie_function *fn;
	struct ena_nic *nic;
	uint8_t *memory; /* the guest's, at RIG_IOVA */
	int memory_fd;
	uint16_t tails[ENA_QUEUES], heads[ENA_QUEUES];
	/* The network. */
	struct rig_wire *wires;
	unsigned int wire_count, frame_count;
	unsigned int room; /* frames that it takes */
	unsigned int resumed;
	int eventfds[RIG_VECTORS];
};

extern struct rig rig;

/* Mapped doorbells, pairs of queues; an interface that is ready. */
void rig_start(void);
void rig_start_trapped(void);
void rig_stop(void);

struct rig_queue {
	uint32_t depth;
	uint8_t words;                  /* of a completion; 0: the least */
	uint16_t vector;                /* 0: none */
	uint16_t llq_entry, llq_before; /* 0: in host memory */
	bool llq_single;
};
void rig_make_tx(uint16_t n, struct rig_queue queue);
void rig_make_rx(uint16_t n, struct rig_queue queue);
void rig_close(uint16_t n);

void rig_turn(void);
void rig_wait_ns(uint64_t ns);
uint8_t *rig_at(uint64_t iova);
void rig_write32(uint64_t offset, uint32_t value); /* BAR 0, by message */
void rig_ring(uint16_t n); /* up to what was written; no turn */
void rig_unmask(uint16_t n, uint32_t value);  /* likewise */
unsigned int rig_interrupts(uint16_t vector); /* since it was last asked */
uint64_t rig_broken(enum ena_rule rule);      /* how often */
void rig_fault(const char *name, uint64_t limit, uint64_t value);

/* ---- sending ---- */

struct rig_tx {
	uint16_t req_id;
	uint32_t ctrl; /* of the first data descriptor */
	bool has_meta, meta_is_invalid;
	struct ena_tx_meta meta;
	uint8_t inline_length; /* of an LLQ */
	const uint8_t *inline_bytes;
	unsigned int count;
	struct {
		uint64_t iova;
		uint32_t size;
	} buffers[40];
};
void rig_put(uint16_t n, const struct rig_tx *tx);
/* The packet is those bytes, in one buffer in RIG_DATA at a place of its own.
 */
void rig_put_bytes(uint16_t n, uint16_t req_id, const void *bytes,
		   uint32_t size);
/* False: there is none. */
bool rig_sent(uint16_t n, struct ena_eth_io_tx_cdesc_ext *out);

/* ---- receiving ---- */

void rig_buffer(uint16_t n, uint16_t req_id, uint64_t iova, uint32_t size);
bool rig_received(uint16_t n, struct ena_eth_io_rx_cdesc_ext *out);
/* A frame of those bytes with nothing left to do; _offer: was it taken? */
void rig_deliver(const void *bytes, uint32_t size);
bool rig_offer(const void *bytes, uint32_t size);
struct ena_frame rig_frame(const void *bytes, uint32_t size);

/* Ethernet, IPv4 and UDP of so many bytes; returns the whole length. */
uint32_t rig_udp(uint8_t *to, uint32_t payload, uint8_t seed);
uint32_t rig_tcp(uint8_t *to, uint32_t payload, uint8_t seed);

#endif
