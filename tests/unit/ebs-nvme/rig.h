/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A volume function without a server, with guest memory in one window, and with
 * an engine that the test holds in its hands: storage I/O ends when the test
 * says so.  All on one thread with a clock that the test moves.
 */
#ifndef TESTS_UNIT_EBS_NVME_RIG_H
#define TESTS_UNIT_EBS_NVME_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "ebs-nvme/abi.h"
#include "ebs-nvme/controller.h"
#include "ebs-nvme/function.h"
#include "firmware/rt/clock.h"

#define RIG_IOVA     UINT64_C(0x100000)
#define RIG_BYTES    UINT64_C(0x400000)
#define RIG_ASQ      (RIG_IOVA + 0x0000)
#define RIG_ACQ      (RIG_IOVA + 0x1000)
#define RIG_SQ(qid)  (RIG_IOVA + 0x2000 * (uint64_t)(qid))
#define RIG_CQ(qid)  (RIG_IOVA + 0x2000 * (uint64_t)(qid) + 0x1000)
#define RIG_DATA     (RIG_IOVA + 0x200000)
#define RIG_QUEUES   4
#define RIG_VOLUME   UINT64_C(0x100000) /* bytes */
#define RIG_MESSAGES 64

struct rig_queue {
	uint32_t entries, tail, head;
	uint16_t phase;
};

struct rig {
	struct rt_clock clock;
	struct rt_loop *loop;
	struct pcie_function *fn;
	struct ebs_controller *c;
	uint8_t *memory; /* the guest's, at RIG_IOVA */
	bool is_by_message;
	bool is_private; /* the client's descriptor is not what the guest sees
			  */
	bool holds_messages; /* the client does not answer now */
	struct pcie_dma_message *messages[RIG_MESSAGES];
	unsigned int message_count;
	struct rig_queue queues[RIG_QUEUES];
	uint16_t next_cid;
	/* The engine. */
	uint8_t *bytes;
	bool holds_io;     /* I/O stays in the engine */
	bool ends_at_once; /* what it does not hold, inside submit */
	int io_error;      /* what I/O ends with */
	struct ebs_volume_io *held[RIG_MESSAGES];
	unsigned int held_count, flushes, durable_writes;
	unsigned int unfenced; /* writes since the last fence */
	void (*fencing)(void); /* called before that */
};

extern struct rig rig;

/* A function, not enabled.  profile: enum ebs_profile_number. */
void rig_start(unsigned int profile);
void rig_start_config(const struct ebs_config *config);
void rig_start_by_message(unsigned int profile);
void rig_stop(void);

uint32_t rig_read32(uint64_t offset);
void rig_write32(uint64_t offset, uint32_t value);
/* Admin queues of so many entries, and EN; RDY must be there. */
void rig_enable(uint32_t entries);
/* Queue pair qid of 16 entries on vector 0. */
void rig_make_pair(uint16_t qid);
/* All of it for profile ebs-2. */
void rig_start_ready(void);

/* Let the device do all that it can do now. */
void rig_turn(void);
void rig_wait_ns(uint64_t ns);
void rig_answer_messages(void);
void rig_end_io(int error);

uint8_t *rig_at(uint64_t iova);
uint16_t rig_submit(uint16_t qid, struct nvme_cmd cmd); /* returns the cid */
/* False: there is no completion. */
bool rig_completion(uint16_t qid, struct nvme_cqe *out);
/* Submit, turn; the status (type << 8 | code), or -1: it did not end. */
int rig_run(uint16_t qid, struct nvme_cmd cmd);
uint32_t rig_dw0(void); /* of the last completion */
uint16_t rig_cid(void);
bool rig_is_final(void); /* its DNR bit */

struct nvme_cmd rig_rw(uint8_t opcode, uint64_t lba, uint32_t blocks);
int rig_identify(uint32_t cns, uint32_t nsid); /* to RIG_DATA */
int rig_log(uint8_t id, uint32_t bytes, uint64_t offset);
int rig_get_feature(uint8_t id, uint32_t select, uint32_t cdw11);
int rig_set_feature(uint8_t id, uint32_t cdw11);

#endif
