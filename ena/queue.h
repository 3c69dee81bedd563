/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the files of the data path: its runtime, rings and completions.
 *
 *   doorbell ─► turn ─► tx_packet.c: descriptors become frames ─► tx.c: port
 *   port ─► rx.c: queue, buffers, bytes ─► completions ─► interrupt.c
 *
 * All of it can be made again from the state; what is counted or allocated for
 * each packet is not here.
 */
#ifndef ENA_QUEUE_H
#define ENA_QUEUE_H

#include "ena/nic.h"

#define ENA_BURST      32u           /* packets that are handled together */
#define ENA_BURST_MOST (256u * 1024) /* bytes, then it is enough of them */
#define ENA_DESC_BYTES 16u
#define ENA_PARTS      (ENA_BURST * 8) /* of a burst's frames */

/* A packet of the guest while its burst is sent. */
struct ena_tx_packet {
	uint16_t req_id;
	uint16_t end;            /* sq->consumed behind it */
	struct ena_tx_meta meta; /* of the queue, behind it */
	bool has_frame;          /* the next in the burst; else it is dropped */
	bool is_nameless;        /* there is no req_id to complete */
	uint8_t inline_length;   /* bytes of the header that were in the LLQ */
	uint32_t meta_ctrl;      /* of its first data descriptor */
	uint32_t length;
	uint16_t first_part, part_count;
};

struct ena_tx_burst {
	unsigned int count, frame_count, part_count;
	struct ena_tx_packet packets[ENA_BURST];
	struct ena_frame frames[ENA_BURST];
	struct iovec parts[ENA_PARTS];
	uint8_t headers[ENA_BURST][ENA_FRAME_HEADER_BYTES]
		__attribute__((aligned(64)));
};

#define ENA_LINE_BYTES  64u /* of a processor's cache */
#define ENA_LINE_CDESCS (ENA_LINE_BYTES / sizeof(struct ena_eth_io_rx_cdesc))

/*
 * A completion of a received buffer as the words it is written in: fields that
 * are stored one by one and read together at once make a processor wait.
 *   0: status, length, req_id    1: hash, sub_qid
 *   2: address                   3: timestamp
 */
struct ena_rx_cdesc_words {
	uint64_t word[4]; /* of the processor's order */
};
static_assert(sizeof(struct ena_rx_cdesc_words) ==
		      sizeof(struct ena_eth_io_rx_cdesc_ext),
	      "RX completion");

/*
 * Completions that are written but for those in the first one's cache line:
 * the driver looks there, and sees none of them before that one.
 */
struct ena_rx_batch {
	uint16_t count, near; /* near: how many the line has room for */
	struct ena_rx_cdesc_words first[ENA_LINE_CDESCS];
};

/* Where a frame goes, and the hash that its completion tells. */
struct ena_steered {
	uint32_t hash;
	uint16_t queue; /* or ENA_NO_QUEUE */
};

#define ENA_KNOWN_FLOWS 256u /* a power of two */

/* l4_proto 0: none is known here. */
struct ena_known_flow {
	uint64_t addresses;
	uint32_t ports;
	uint8_t l4_proto; /* ENA_ETH_IO_L4_PROTO_* */
	struct ena_steered to;
};

struct ena_path {
	struct ena_nic *nic;
	volatile uint32_t *doors, *unmasks; /* mapped pages; NULL: trapped */
	uint16_t tx[ENA_QUEUES];            /* transmit queues that are open */
	uint16_t tx_count, tx_turn;
	uint64_t cqs[ENA_MAX_VECTORS]; /* bit n: CQ n has that vector */
	uint64_t waiting;              /* bit v: vector v has not told yet */

	uint64_t worked_ns, rest_until_ns;
	uint32_t turn_bytes; /* that were sent in this turn */
	bool is_kicked, is_resting, is_paused;

	/* The port did not take all; until it resumes. */
	bool is_blocked;

	/* A frame came that a queue has no buffers for: see rx.c. */
	struct {
		bool is_waiting, has_given_up;
		uint16_t queue, needs;
		struct rt_timer patience;
	} full;

	struct pcie_dma_near tx_near, rx_near;
	struct ena_tx_burst burst;
	uint64_t rx_posted; /* bit n: queue n has a batch */
	struct ena_rx_batch batches[ENA_QUEUES];
	struct ena_known_flow flows[ENA_KNOWN_FLOWS]; /* of steer.c */
};

/* ---- queue.c ---- */

/* Find the rings again if the guest's memory has changed. */
void ena_path_locate(struct ena_nic *nic);
/* Take part in the loop's next turn, though there may be no doorbell. */
void ena_path_kick(struct ena_path *path);
/* The path has work at now_ns: stay awake. */
void ena_path_worked(struct ena_path *path, uint64_t now_ns);
/* Descriptors or entries that the driver has rung for; 0 if it is stopped. */
uint16_t ena_sq_look(struct ena_nic *nic, uint16_t n);
/* The driver has corrupted the queue: it rests until it is made again. */
void ena_sq_stop(struct ena_nic *nic, uint16_t n, enum ena_rule rule,
		 uint64_t value);

/* Shall this go wrong now?  Asked for each packet: rules are rarely set. */
static inline bool ena_fault(struct ena_nic *nic, enum ena_fault point,
			     uint64_t *value)
{
	return nic->fn->faults.rule_count &&
	       rt_fault(&nic->fn->faults, point, value);
}

/* Our copy of a descriptor is what counts: it is not read again. */
static inline void ena_desc_copy(void *to, const uint8_t *from)
{
	memcpy(to, from, ENA_DESC_BYTES);
	__asm__ volatile("" ::: "memory");
}

/* Of the entry number `posted`, which is free-running. */
static inline bool ena_phase_of(uint16_t posted, uint32_t depth)
{
	return !(posted & depth);
}

static inline void ena_store_word(void *to, uint64_t word)
{
	*(uint64_t *)to = htole64(word);
}

/* Behind all others: it has the phase. */
static inline void ena_store_first_word(void *to, uint64_t word)
{
	__atomic_store_n((uint64_t *)to, htole64(word), __ATOMIC_RELEASE);
}

/* ---- tx.c, tx_packet.c ---- */

/* Send from queue n; returns how many packets came to an end. */
unsigned int ena_tx_burst(struct ena_nic *nic, uint16_t n, uint16_t available);
/* Packets of the burst, from the queue's consumed on. */
void ena_tx_gather(struct ena_nic *nic, uint16_t n, uint16_t available);
/* Their frames. */
void ena_tx_frame(struct ena_nic *nic, struct ena_tx_packet *packet,
		  uint8_t *header, struct ena_frame *frame);

/* ---- steer.c ---- */

struct ena_steered ena_steer(struct ena_nic *nic, const struct ena_frame *frame,
			     const struct ena_frame_info *info);
/* Rules, hashes or queues are not as they were. */
void ena_steer_forget(struct ena_nic *nic);

/* ---- rx_completion.c ---- */

/* What the driver gave, as its descriptor says. */
struct ena_rx_buffer {
	uint64_t iova;
	uint32_t size;
	uint16_t req_id;
};

/* size bytes are in the buffer; the driver may see it at ena_rx_publish(). */
void ena_rx_complete(struct ena_nic *nic, struct ena_steered to,
		     uint64_t status, uint32_t size,
		     const struct ena_rx_buffer *buffer);
void ena_rx_publish(struct ena_nic *nic); /* all queues', with interrupts */

/* ---- rx.c ---- */

unsigned int ena_rx_deliver(struct ena_port *port,
			    const struct ena_frame *frames, unsigned int count);
/* No link, no queue, or no buffers for so long that frames are dropped. */
bool ena_rx_is_deaf(struct ena_port *port);
/* Who waits for buffers goes on, if there are some now, or for good. */
void ena_rx_look(struct ena_nic *nic);
void ena_rx_end_wait(struct ena_nic *nic);
void ena_rx_lost_patience(struct rt_timer *timer);

/* ---- interrupt.c ---- */

void ena_interrupt_open(struct ena_nic *nic, uint16_t n);
void ena_interrupt_close(struct ena_nic *nic, uint16_t n);
void ena_interrupt_reset(struct ena_nic *nic);
/* Completions stand in CQ n; once for all of a burst. */
void ena_interrupt_posted(struct ena_nic *nic, uint16_t n, bool is_rx);
/* See what drivers wrote to the mapped registers of who waits for that. */
void ena_interrupt_look(struct ena_nic *nic);
/* Send what is held back; _resume: go on where a saved state was. */
void ena_interrupt_flush(struct ena_nic *nic);
void ena_interrupt_resume(struct ena_nic *nic);
void ena_interrupt_unmask(struct ena_nic *nic, uint16_t n, uint32_t value);
void ena_interrupt_timer(struct rt_timer *timer);

#endif
