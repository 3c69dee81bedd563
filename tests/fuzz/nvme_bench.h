/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A volume function without a server, and memory of a guest that nobody trusts:
 * one window of it is shared, one is reached by messages that the input
 * answers. What a target does with it is a table of actions.
 */
#ifndef TESTS_FUZZ_NVME_BENCH_H
#define TESTS_FUZZ_NVME_BENCH_H

#include "ebs-nvme/abi.h"
#include "pcie-model/function.h"
#include "tests/fuzz/input.h"

#define SHARED_IOVA    UINT64_C(0x10000)
#define SHARED_BYTES   UINT64_C(0x100000)
#define MESSAGE_IOVA   UINT64_C(0x400000)
#define MESSAGE_BYTES  UINT64_C(0x40000)
#define QUEUE_ENTRIES  64u
#define BENCH_QUEUES   3u /* admin and two pairs */
#define BENCH_MESSAGES 64u
#define VOLUME_BYTES   UINT64_C(0x100000)

struct nvme_bench {
	struct input in;
	struct pcie_function *fn;
	uint8_t *memory; /* the shared window */
	uint32_t sq_tail[BENCH_QUEUES], cq_head[BENCH_QUEUES];
	struct pcie_dma_message *messages[BENCH_MESSAGES];
	unsigned int message_count;
};

/* The function that the input asks for, as after power-on, with memory. */
void nvme_bench_start(struct nvme_bench *b, const uint8_t *data, size_t size);
/* Admin queues, CC.EN; and two pairs of I/O queues. */
void nvme_bench_enable(struct nvme_bench *b);
void nvme_bench_make_queues(struct nvme_bench *b);
/* It becomes quiet again, however it was treated. */
void nvme_bench_stop(struct nvme_bench *b);

void nvme_bench_map_shared(struct nvme_bench *b);
void nvme_bench_step(unsigned int turns);
void nvme_bench_write32(struct nvme_bench *b, uint64_t offset, uint32_t value);
/* An address that hurts, or one that works. */
uint64_t nvme_bench_address(struct nvme_bench *b);
/* The next 64 bytes of a queue; not rung. */
void nvme_bench_put(struct nvme_bench *b, unsigned int sq,
		    const struct nvme_cmd *cmd);
void nvme_bench_ring(struct nvme_bench *b, unsigned int sq);

typedef void nvme_action(struct nvme_bench *b);

/* Runs up to 200 actions that the input picks from the table. */
void nvme_bench_run(struct nvme_bench *b, nvme_action *const *actions,
		    size_t count);

nvme_action nvme_admin_command, nvme_io_command, nvme_raw_command;
nvme_action nvme_fill_memory, nvme_fill_list, nvme_doorbell, nvme_register;
nvme_action nvme_region_access, nvme_reap, nvme_let_run, nvme_let_time_pass;
nvme_action nvme_answer, nvme_restart, nvme_reset, nvme_stall, nvme_replace;

#endif
