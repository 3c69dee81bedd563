/* SPDX-License-Identifier: BSD-3-Clause */
/* What the rules of a network adapter are made of. */
#ifndef HOST_DRIVER_PROBE_ENA_H
#define HOST_DRIVER_PROBE_ENA_H

#include "host-driver/ena_io.h"
#include "host-driver/packet.h"
#include "host-driver/probe/probe.h"

#define ENA_DEPTH         256u /* of the queues that rules find */
#define ENA_BUFFER        2048u
#define ENA_MS_KEEP_ALIVE 1000u

/* The adapter that sends and receives at the other end: --peer. */
struct probe_peer {
	struct host_function *fn;
	struct host_ena *ena;
	struct host_ena_doors doors;
	struct host_ena_tx *tx;
	struct host_ena_rx *rx;
	uint8_t *frame; /* for what it sends */
	uint64_t frame_iova;
};

/* run.c's, for an adapter. */
int probe_ena_open(struct probe *p, struct rt_error *error);
int probe_ena_prepare(struct probe *p, enum probe_need need);
void probe_ena_survey(struct probe *p);
void probe_ena_close(struct probe *p);
bool probe_is_ena(const struct probe *p);

/* The verdict on a step that has failed: what the driver saw, if it protests.
 */
enum probe_verdict ena_say_why(struct probe *p, int rc, const char *step);
/* Holds if rc is any refusal of the device. */
enum probe_verdict ena_want_refusal(struct probe *p, int rc);
/* Memory that was not there before this rule; the rule ends without it. */
uint64_t ena_page(struct probe *p);
/* The page and all around it is A5h; it was filled by ena_fill(). */
void ena_fill(struct probe *p, uint64_t page);
bool ena_is_filled(struct probe *p, uint64_t page, uint32_t from, uint32_t to);

/* A queue pair, word by word. */
struct ena_raw {
	struct host_ena_cq cq;
	struct host_ena_sq sq;
	uint16_t tail, head;
};
int ena_raw_open(struct probe *p, uint8_t direction, uint32_t depth, int vector,
		 struct ena_raw *raw);
/* A descriptor; the phase is put in here. */
void ena_raw_put(struct probe *p, struct ena_raw *raw, uint64_t first,
		 uint64_t second);
/* A packet of one buffer. */
void ena_raw_put_packet(struct probe *p, struct ena_raw *raw, uint16_t id,
			uint64_t iova, uint32_t length);
void ena_raw_put_buffer(struct probe *p, struct ena_raw *raw, uint16_t id,
			uint64_t iova, uint32_t length);
int ena_raw_ring(struct probe *p, struct ena_raw *raw);
/* The next completion's first words; -ETIMEDOUT: none comes. */
int ena_raw_take(struct probe *p, struct ena_raw *raw, uint64_t words[2]);
/* -EEXIST: one has come. */
int ena_raw_stays_quiet(struct probe *p, struct ena_raw *raw);
int ena_raw_close(struct probe *p, struct ena_raw *raw);
/* TX in host memory is refused: that is not what the rule is about. */
enum probe_verdict ena_no_queue(struct probe *p, int rc);

/* Send through the queues that the rule has found, and wait for the end. */
int ena_send(struct probe *p, const struct host_ena_packet *packet);
/* A packet in memory, from us to the peer or from it to us. */
struct host_packet ena_packet_to_peer(const struct probe *p, uint8_t proto);
struct host_packet ena_packet_from_peer(const struct probe *p, uint8_t proto);
int ena_peer_send(struct probe *p, const struct host_packet *packet,
		  struct host_packet_layout *layout);
/* The next one of ours that comes out at the other end, whole. */
int ena_peer_receive(struct probe *p, uint8_t *frame, uint32_t *length);
/* What comes to us: all buffers of a packet. */
int ena_receive(struct probe *p, struct host_ena_received *parts,
		unsigned int room, unsigned int *count);
#define NEEDS_PEER(p)                                                          \
	do {                                                                   \
		if (!(p)->peer)                                                \
			return probe_skip(p, "no --peer to talk to");          \
	} while (0)

#endif
