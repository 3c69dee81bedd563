/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A network adapter that a test makes up, behind a bus of its own: it answers
 * register reads and admin commands; the test plays its queues.
 */
#ifndef TESTS_UNIT_HOST_DRIVER_FAKE_ENA_H
#define TESTS_UNIT_HOST_DRIVER_FAKE_ENA_H

#include "ena/abi.h"
#include "host-driver/bus_private.h"
#include "host-driver/ena_io.h"

#define FAKE_ENA_BAR_BYTES 0x8000u
#define FAKE_ENA_MEM_BYTES 0x100000u
#define FAKE_ENA_DOORS     0x2000u

/* A queue pair: number n is submission and completion queue n. */
struct fake_ena_queue {
	uint64_t sq_iova, cq_iova;
	uint32_t depth, entry_bytes;
	bool is_llq, is_tx;
	uint16_t consumed, posted;
};

struct fake_ena {
	struct host_function fn;
	struct host_memory memory; /* the driver's, as it was mapped */
	uint8_t *bar, *mem;        /* BARs 0 and 2 */
	bool has_mapped_doors;
	uint64_t answer;
	uint16_t aq_index, acq_index, created;
	struct fake_ena_queue queues[8];
	struct ena_admin_aq_entry commands[64]; /* the last ones */
	unsigned int command_count, writes;
	struct ena_admin_device_attr attr;
	struct ena_admin_llq llq;
	/* What goes wrong. */
	bool is_mute_to_reads, is_mute_to_admin, answers_other_register;
	bool is_stuck_out, is_stuck_in; /* of reset */
	uint8_t status;                 /* of all commands */
	uint16_t id_offset;             /* added to commands' identifiers */
};

void fake_ena_start(struct fake_ena *f);
void fake_ena_stop(struct fake_ena *f);
void *fake_ena_at(struct fake_ena *f, uint64_t iova);

/* Slots between consumed and the doorbell. */
uint16_t fake_ena_waiting(struct fake_ena *f, unsigned int queue);
/* A descriptor or the start of an entry, counted from the one consumed. */
const void *fake_ena_slot(struct fake_ena *f, unsigned int queue,
			  unsigned int ahead);
/* Post a completion; the phase bit of its first 8 bytes is put in here. */
void fake_ena_post(struct fake_ena *f, unsigned int queue, const void *entry);
void fake_ena_post_tx(struct fake_ena *f, unsigned int queue, uint16_t id);
void fake_ena_post_rx(struct fake_ena *f, unsigned int queue, uint16_t id,
		      uint16_t length, uint32_t status);
/* The identifier of the transmit descriptor that begins a packet. */
uint16_t fake_ena_tx_id(const struct ena_eth_io_tx_desc *desc);

#endif
