/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A NIC without a server, with guest memory in one window and a driver made by
 * hand.  All on one thread with a clock that the test moves.
 */
#ifndef TESTS_UNIT_ENA_RIG_H
#define TESTS_UNIT_ENA_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "ena/abi.h"
#include "ena/control.h"
#include "ena/function.h"
#include "firmware/rt/clock.h"

#define RIG_IOVA       UINT64_C(0x100000)
#define RIG_BYTES      UINT64_C(0x1000000)
#define RIG_AQ         (RIG_IOVA + 0x0000)
#define RIG_ACQ        (RIG_IOVA + 0x1000)
#define RIG_AENQ       (RIG_IOVA + 0x2000)
#define RIG_READLESS   (RIG_IOVA + 0x3000)
#define RIG_BUFFER     (RIG_IOVA + 0x4000)
#define RIG_PHC        (RIG_IOVA + 0x5000)
#define RIG_HOST       (RIG_IOVA + 0x6000)
#define RIG_DEBUG      (RIG_IOVA + 0x7000)
#define RIG_CQ(n)      (RIG_IOVA + 0x100000 + 0x20000 * (uint64_t)(n))
#define RIG_SQ(n)      (RIG_CQ(n) + 0x10000)
#define RIG_AENQ_DEPTH 16u
#define RIG_VECTORS    4u

struct rig {
	struct rt_clock clock;
	struct rt_loop *loop;
	struct pcie_function *fn;
	struct ena_nic *nic;
	uint8_t *memory; /* the guest's, at RIG_IOVA */
	int memory_fd;
	struct ena_config config;
	int vectors[RIG_VECTORS]; /* eventfds */
	/* The driver. */
	uint16_t depth, aq_tail, acq_head, aenq_head, readless_id, next_id;
	struct ena_admin_acq_entry last; /* completion */
	bool is_wild;                    /* completions may be anything */
};

extern struct rig rig;

/* A function as after power-on.  profile: enum ena_profile_number. */
void rig_start(unsigned int profile);
void rig_start_config(const struct ena_config *config);
/* The same, and nitro-v4 with admin queues of 32 entries and credit. */
void rig_start_ready(void);
void rig_stop(void);
/* Another process goes on with its state; the memory comes with rig_map(). */
void rig_succeed(void);

/* What a client does when it leaves and when it comes. */
void rig_unmap(void);
void rig_map(void);

/* Let the device do all that it can do now. */
void rig_turn(void);
void rig_wait_ms(uint64_t ms);
uint8_t *rig_at(uint64_t iova);

uint32_t rig_read32(uint64_t offset);
void rig_write32(uint64_t offset, uint32_t value);
/* By DMA.  False: no answer. */
bool rig_readless(uint32_t offset, uint32_t *value);

/* DEV_CTL as a driver writes it, both steps. */
void rig_reset(unsigned int reason);
/* Registers of the three queues, in the order of the Linux driver. */
void rig_set_up(uint16_t depth);
void rig_give_credit(uint16_t head);

/* Fills in id and phase and rings. */
void rig_submit(struct ena_admin_aq_entry entry);
bool rig_completion(void); /* into rig.last */
/* Submit, turn; the status, or -1: it did not end. */
int rig_run(struct ena_admin_aq_entry entry);
/* payload of SET; bytes of RIG_BUFFER, 0: none. */
int rig_get(uint8_t feature, uint32_t buffer_bytes);
int rig_set(uint8_t feature, const void *payload, size_t size,
	    uint32_t buffer_bytes);
int rig_enable_groups(uint32_t groups);
/* The next event.  False: there is none. */
bool rig_event(struct ena_admin_aenq_entry *out);
/* Messages since last asked. */
unsigned int rig_interrupts(unsigned int vector);

/* The index, or minus the status. */
int rig_create_cq(uint16_t n, uint8_t words, uint16_t depth, uint32_t vector);
int rig_create_sq(uint16_t cq, uint8_t direction, uint8_t placement,
		  uint16_t depth);
int rig_destroy_sq(uint16_t n, uint8_t direction);
int rig_destroy_cq(uint16_t n);
/* CQ and SQ of 32 entries in host memory, on vector 1; the index. */
uint16_t rig_make_queue(uint8_t direction);
/* What nitro-v4 offers: 128 bytes, two descriptors, several in an entry. */
int rig_set_llq(uint16_t size_bit);

void rig_fault(const char *point, uint64_t value);
void rig_clear_fault(const char *point);
uint64_t rig_broken(enum ena_rule rule);

#endif
