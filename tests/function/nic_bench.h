/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two network functions on a bench: real adapters behind real servers, on one
 * switch, and a driver for each through a socket.  All of it lives on one
 * thread: the devices run whenever a host waits.
 */
#ifndef TESTS_FUNCTION_NIC_BENCH_H
#define TESTS_FUNCTION_NIC_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "ena/profile.h"
#include "firmware/rt/clock.h"
#include "host-driver/ena_io.h"
#include "host-driver/packet.h"

struct pcie_function;
struct pcie_server;
struct rt_loop;

#define NICS       2u
#define NIC_DEPTH  256u
#define NIC_BUFFER 2048u

/* A zeroed one: nitro-v4, 8 pairs, mapped doorbells, LLQ, shared memory. */
struct nic_options {
	unsigned int profile; /* one more than enum ena_profile_number */
	bool has_no_llq, has_trapped_doorbells, is_by_message;
	unsigned int polling; /* enum ena_polling */
	uint64_t pairs, mtu;
	struct host_ena_options driver;
};

/* One of them, and what drives it. */
struct nic {
	char name[8];
	struct pcie_function *fn;
	struct pcie_server *server;
	struct host_function *host;
	struct host_ena *ena;
	struct host_ena_doors doors;
	struct host_ena_tx *tx;
	struct host_ena_rx *rx;
	uint64_t iova; /* 128 KiB for frames to send */
	uint8_t *frame;
	struct nic_bench *bench;
};

struct nic_bench {
	struct nic_options options;
	struct rt_clock clock; /* the host's until a test makes it virtual */
	struct rt_loop *loop;
	struct nic nics[NICS];
};

/* In steps.  Each fails the test when it cannot be done. */
void nic_make_card(struct nic_bench *b, const struct nic_options *options);
void nic_connect(struct nic *nic);
void nic_open_driver(struct nic *nic);
/* All of them, for both, and host_ena_start(). */
void nic_start(struct nic_bench *b, const struct nic_options *options);
/* And a queue of each direction, tx as the options' default places it. */
void nic_start_queues(struct nic_bench *b, const struct nic_options *options);
void nic_make_queues(struct nic *nic, enum host_ena_placement placement);

void nic_hang_up(struct nic *nic);
void nic_stop(struct nic_bench *b);

/* Let the devices run until nothing happens any more. */
void nic_settle(struct nic_bench *b);
/* The devices' clock jumps ahead, and from now on only so. */
void nic_pass_time(struct nic_bench *b, uint64_t ns);

/* A packet from one to the other; the first way round unless is_back. */
struct host_packet nic_packet(const struct nic_bench *b, uint8_t proto,
			      bool is_back);
/* Send what is in nic->frame; waits until it is sent. */
void nic_send(struct nic *nic, uint32_t length, uint16_t offload,
	      const struct host_packet_layout *layout, uint16_t mss);
/* Write it and send it as it is. */
void nic_send_packet(struct nic *nic, const struct host_packet *packet,
		     struct host_packet_layout *layout);
/* The next packet, whole; 0: none comes.  last may be NULL. */
uint32_t nic_receive(struct nic *nic, uint8_t *frame,
		     struct host_ena_received *last);

/* A fault of a function, each time. */
void nic_fault(struct nic *nic, const char *name, uint64_t value, bool is_on);
uint64_t nic_counter(const struct nic *nic, const char *name);

#endif
