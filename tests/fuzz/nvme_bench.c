/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See nvme_bench.h.  Functions are made once for each generation and brought
 * back to power-on between runs: making one costs more than most runs do.
 */
#include "tests/fuzz/nvme_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ebs-nvme/function.h"
#include "ebs-nvme/profile.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/fault.h"
#include "firmware/rt/guard.h"
#include "firmware/rt/log.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"

#define MAX_ACTIONS    200
#define PAGE           UINT64_C(4096)
#define QUEUE_PAGE(i)  (SHARED_IOVA + (i)*PAGE)
#define LIST_PAGES     8u
#define FIRST_LIST     16u /* page number in the shared window */
#define PCI_COMMAND_ON 6

static struct rt_clock the_clock;
static struct rt_loop *loop;
static struct pcie_function *functions[2 * EBS_PROFILES];
static int memory_fd = -1;
static uint8_t *memory;

static void must(bool holds)
{
	if (!holds)
		abort();
}

void nvme_bench_step(unsigned int turns)
{
	while (turns-- > 0 && rt_loop_step(loop, 0) > 0)
		;
}

/* --- DMA messages ----------------------------------------------------------
 */

static int message_start(void *opaque, struct pcie_dma_message *message)
{
	struct nvme_bench *b = opaque;

	if (b->message_count == BENCH_MESSAGES)
		return -EAGAIN;
	b->messages[b->message_count++] = message;
	return 0;
}

static void forget_message(struct nvme_bench *b, unsigned int i)
{
	b->messages[i] = b->messages[--b->message_count];
}

static void message_cancel(void *opaque, struct pcie_dma_message *message)
{
	struct nvme_bench *b = opaque;

	for (unsigned int i = 0; i < b->message_count; i++) {
		if (b->messages[i] == message) {
			forget_message(b, i);
			return;
		}
	}
}

/* Bytes that are different each time they are asked for. */
static void answer_one(struct nvme_bench *b, unsigned int i)
{
	struct pcie_dma_message *message = b->messages[i];
	uint8_t decision = input_u8(&b->in);
	uint8_t *data = message->data;

	forget_message(b, i);
	for (uint32_t at = 0; !message->is_write && at < message->size;
	     at += 8) {
		uint64_t value = decision & 1 ? nvme_bench_address(b)
					      : input_u64(&b->in);
		uint32_t part = message->size - at;

		memcpy(data + at, &value, part < 8 ? part : 8);
		if (input_is_empty(&b->in) && at > 64)
			break;
	}
	message->done(message, decision > 0xe0 ? -EIO : 0);
}

void nvme_answer(struct nvme_bench *b)
{
	for (int left = 1 + input_u8(&b->in) % 8; left > 0; left--) {
		if (b->message_count == 0)
			return;
		answer_one(b, input_u8(&b->in) % b->message_count);
		nvme_bench_step(2);
	}
}

/* --- Start and stop --------------------------------------------------------
 */

static void start_once(void)
{
	if (loop)
		return;
	rt_log_set_level(RT_LOG_ERROR);
	must(rt_guard_install() == 0);
	rt_clock_make_virtual(&the_clock, RT_NS_PER_S);
	must(rt_loop_create(&the_clock, &loop) == 0);
	memory_fd = memfd_create("fuzz-guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	must(memory_fd >= 0 && ftruncate(memory_fd, SHARED_BYTES) == 0);
	must(fcntl(memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	memory = mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		      memory_fd, 0);
	must(memory != MAP_FAILED);
}

static struct pcie_function *find_function(uint8_t choice)
{
	unsigned int number = choice % (2 * EBS_PROFILES);
	struct ebs_config config = {
		.profile = number / 2,
		.vcpus = 4,
		.has_pm = true,
		.has_aer = true,
		.volume = { .memory_size = number & 1 ? VOLUME_BYTES : 0,
			    .null_size = number & 1 ? 0 : VOLUME_BYTES },
	};

	if (!functions[number])
		must(pcie_function_create(&ebs_function, "ebs0", loop, &config,
					  &functions[number], NULL) == 0);
	return functions[number];
}

static void mark(struct pcie_function *fn, void *opaque)
{
	(void)fn;
	*(bool *)opaque = true;
}

static void wait_until(const bool *is_done)
{
	/* What is ready is done at once; sleep only when that is too little. */
	for (int i = 0; i < 2000 && !*is_done; i++)
		(void)rt_loop_step(loop, i < 100 ? 0 : RT_NS_PER_MS);
	must(*is_done);
}

static void reset_and_wait(struct nvme_bench *b, enum pcie_reset_reason why)
{
	bool is_done = false;

	must(pcie_function_reset(b->fn, why, mark, &is_done) == 0);
	wait_until(&is_done);
}

static void turn_on(struct nvme_bench *b)
{
	uint16_t command = PCI_COMMAND_ON;

	pcie_region_write(b->fn, PCIE_CONFIG_REGION, 4, &command, 2);
}

static void enable_msix(struct nvme_bench *b)
{
	uint16_t control = 0x8000;

	pcie_region_write(b->fn, PCIE_CONFIG_REGION,
			  b->fn->config_layout.msix + 2u, &control, 2);
}

void nvme_bench_map_shared(struct nvme_bench *b)
{
	must(pcie_dma_map(b->fn, SHARED_IOVA, SHARED_BYTES,
			  PCIE_DMA_READABLE | PCIE_DMA_WRITEABLE, memory_fd,
			  0) == 0);
}

void nvme_bench_start(struct nvme_bench *b, const uint8_t *data, size_t size)
{
	uint8_t choice;

	start_once();
	memset(b, 0, sizeof *b);
	b->in = (struct input){ data, size };
	choice = input_u8(&b->in);
	b->fn = find_function(choice);
	b->memory = memory;
	memset(memory, 0, SHARED_BYTES);
	b->fn->transport = (struct pcie_transport){
		.opaque = b,
		.dma_start = message_start,
		.dma_cancel = message_cancel,
	};
	nvme_bench_map_shared(b);
	must(pcie_dma_map(b->fn, MESSAGE_IOVA, MESSAGE_BYTES,
			  PCIE_DMA_READABLE | PCIE_DMA_WRITEABLE, -1, 0) == 0);
	turn_on(b);
	if (choice & 0x80)
		enable_msix(b);
}

void nvme_bench_stop(struct nvme_bench *b)
{
	(void)rt_fault_clear(&b->fn->faults, "io_stall");
	(void)rt_fault_clear(&b->fn->faults, "io_delay");
	reset_and_wait(b, PCIE_RESET_DETACH);
	must(b->message_count == 0);
	pcie_dma_unmap_all(b->fn);
	b->fn->transport = (struct pcie_transport){ 0 };
	nvme_bench_step(100);
}

/* --- Driving ---------------------------------------------------------------
 */

void nvme_bench_write32(struct nvme_bench *b, uint64_t offset, uint32_t value)
{
	pcie_region_write(b->fn, 0, offset, &value, 4);
}

static void write64(struct nvme_bench *b, uint64_t offset, uint64_t value)
{
	pcie_region_write(b->fn, 0, offset, &value, 8);
}

void nvme_bench_enable(struct nvme_bench *b)
{
	const uint32_t last = QUEUE_ENTRIES - 1;

	memset(b->sq_tail, 0, sizeof b->sq_tail);
	memset(b->cq_head, 0, sizeof b->cq_head);
	memset(b->memory, 0, 8 * PAGE);
	nvme_bench_write32(b, NVME_REG_CC, 0);
	nvme_bench_step(20);
	nvme_bench_write32(b, NVME_REG_AQA, last << 16 | last);
	write64(b, NVME_REG_ASQ, QUEUE_PAGE(0));
	write64(b, NVME_REG_ACQ, QUEUE_PAGE(BENCH_QUEUES));
	nvme_bench_write32(b, NVME_REG_CC, 6u << 16 | 4u << 20 | 1);
	nvme_bench_step(20);
}

void nvme_bench_put(struct nvme_bench *b, unsigned int sq,
		    const struct nvme_cmd *cmd)
{
	uint8_t *queue = b->memory + sq * PAGE;

	memcpy(queue + b->sq_tail[sq] * sizeof *cmd, cmd, sizeof *cmd);
	b->sq_tail[sq] = (b->sq_tail[sq] + 1) % QUEUE_ENTRIES;
}

void nvme_bench_ring(struct nvme_bench *b, unsigned int sq)
{
	nvme_bench_write32(b, NVME_SQ_DOORBELL(sq), b->sq_tail[sq]);
}

static void reap_all(struct nvme_bench *b, unsigned int cq)
{
	const struct nvme_cqe *queue =
		(void *)(b->memory + (BENCH_QUEUES + cq) * PAGE);

	/* The position counts on over the end, so its top bit is the phase. */
	for (;;) {
		uint32_t slot = b->cq_head[cq] % QUEUE_ENTRIES;
		bool phase = !(b->cq_head[cq] / QUEUE_ENTRIES & 1);

		if ((le16_get(queue[slot].status) & 1) != phase)
			break;
		b->cq_head[cq] = (b->cq_head[cq] + 1) % (2 * QUEUE_ENTRIES);
	}
	nvme_bench_write32(b, NVME_CQ_DOORBELL(cq),
			   b->cq_head[cq] % QUEUE_ENTRIES);
}

void nvme_bench_make_queues(struct nvme_bench *b)
{
	for (uint32_t q = 1; q < BENCH_QUEUES; q++) {
		struct nvme_cmd cmd = {
			.opcode = NVME_ADMIN_CREATE_CQ,
			.prp1 = le64_put(QUEUE_PAGE(BENCH_QUEUES + q)),
			.cdw10 = le32_put((31u) << 16 | q),
			.cdw11 = le32_put(3),
		};

		nvme_bench_put(b, 0, &cmd);
		cmd.opcode = NVME_ADMIN_CREATE_SQ;
		cmd.prp1 = le64_put(QUEUE_PAGE(q));
		cmd.cdw11 = le32_put(q << 16 | 1);
		nvme_bench_put(b, 0, &cmd);
	}
	nvme_bench_ring(b, 0);
	nvme_bench_step(20);
	reap_all(b, 0);
}

/* --- Actions ---------------------------------------------------------------
 */

uint64_t nvme_bench_address(struct nvme_bench *b)
{
	static const uint64_t bases[] = {
		SHARED_IOVA + 32 * PAGE,
		SHARED_IOVA + 40 * PAGE,
		SHARED_IOVA + FIRST_LIST * PAGE,
		SHARED_IOVA + (FIRST_LIST + 1) * PAGE,
		SHARED_IOVA, /* the queues themselves */
		SHARED_IOVA + SHARED_BYTES - PAGE,
		MESSAGE_IOVA,
		MESSAGE_IOVA + MESSAGE_BYTES - PAGE,
		0,
		UINT64_C(0xfffffffffffff000),
		UINT64_C(0x7ffffffffffff000),
		UINT64_C(0xdead00000000),
	};
	uint8_t choice = input_u8(&b->in);
	uint64_t base = bases[choice % RT_COUNT(bases)];

	if (choice < 128)
		return base;
	return base +
	       (choice & 0x40 ? input_u16(&b->in) & ~7u : input_u16(&b->in));
}

void nvme_fill_list(struct nvme_bench *b)
{
	uint8_t choice = input_u8(&b->in);
	uint64_t page = FIRST_LIST + choice % LIST_PAGES;
	uint64_t *list = (void *)(b->memory + page * PAGE);
	unsigned int first = choice & 0x80 ? 512 - 4 : 0;

	for (unsigned int i = 0; i < 4; i++)
		list[first + i] = nvme_bench_address(b);
	/* A whole page of good ones, so that long transfers succeed too. */
	for (unsigned int i = 4; (choice & 0x40) && i < 508; i++)
		list[i] = SHARED_IOVA + (32 + i % 64) * PAGE;
}

void nvme_fill_memory(struct nvme_bench *b)
{
	uint64_t page = input_u8(&b->in);
	uint64_t offset = input_u16(&b->in) % 4000;

	input_bytes(&b->in, b->memory + page * PAGE + offset,
		    input_u8(&b->in) % 96);
}

static void fill_common(struct nvme_bench *b, struct nvme_cmd *cmd)
{
	static const uint32_t nsids[] = { 1, 1,         1, 0, 2, NVME_NSID_ALL,
					  1, 0xfffffffe };
	uint8_t choice = input_u8(&b->in);

	cmd->flags = choice > 0xf0 ? input_u8(&b->in) : 0;
	cmd->nsid = le32_put(nsids[choice % 8]);
	/* Few identifiers, so that Abort finds what it looks for. */
	cmd->cid = le16_put(choice >> 3 & 7);
	cmd->prp1 = le64_put(nvme_bench_address(b));
	cmd->prp2 = le64_put(nvme_bench_address(b));
}

void nvme_admin_command(struct nvme_bench *b)
{
	static const uint8_t opcodes[] = {
		NVME_ADMIN_DELETE_SQ,    NVME_ADMIN_CREATE_SQ,
		NVME_ADMIN_GET_LOG_PAGE, NVME_ADMIN_DELETE_CQ,
		NVME_ADMIN_CREATE_CQ,    NVME_ADMIN_IDENTIFY,
		NVME_ADMIN_ABORT,        NVME_ADMIN_SET_FEATURES,
		NVME_ADMIN_GET_FEATURES, NVME_ADMIN_ASYNC_EVENT,
	};
	uint8_t choice = input_u8(&b->in);
	struct nvme_cmd cmd = { .opcode = choice < 240 ? opcodes[choice % 10]
						       : input_u8(&b->in) };

	fill_common(b, &cmd);
	cmd.cdw10 = le32_put(input_u32(&b->in));
	cmd.cdw11 = le32_put(input_u32(&b->in));
	if (choice & 0x80) {
		cmd.cdw12 = le32_put(input_u32(&b->in));
		cmd.cdw13 = le32_put(input_u32(&b->in));
	}
	nvme_bench_put(b, 0, &cmd);
	nvme_bench_ring(b, 0);
}

void nvme_io_command(struct nvme_bench *b)
{
	static const uint8_t opcodes[] = { NVME_NVM_READ, NVME_NVM_WRITE,
					   NVME_NVM_FLUSH, NVME_NVM_DSM };
	uint8_t choice = input_u8(&b->in);
	struct nvme_cmd cmd = { .opcode = choice < 240 ? opcodes[choice % 4]
						       : input_u8(&b->in) };
	unsigned int sq = 1 + (choice >> 2 & 1);

	fill_common(b, &cmd);
	cmd.cdw10 = le32_put(input_u16(&b->in) % 2100);
	cmd.cdw12 = le32_put(input_u16(&b->in) % 600);
	if (choice & 0x80) {
		cmd.cdw10 = le32_put(input_u32(&b->in));
		cmd.cdw11 = le32_put(input_u32(&b->in));
		cmd.cdw12 = le32_put(input_u32(&b->in));
	}
	nvme_bench_put(b, sq, &cmd);
	/* Some wait, so that more are fetched at once. */
	if (!(choice & 8))
		nvme_bench_ring(b, sq);
}

void nvme_raw_command(struct nvme_bench *b)
{
	struct nvme_cmd cmd;
	unsigned int sq = input_u8(&b->in) % BENCH_QUEUES;

	input_bytes(&b->in, &cmd, sizeof cmd);
	nvme_bench_put(b, sq, &cmd);
	nvme_bench_ring(b, sq);
}

void nvme_doorbell(struct nvme_bench *b)
{
	uint8_t choice = input_u8(&b->in);
	uint32_t value =
		choice & 0x80 ? input_u32(&b->in) : input_u8(&b->in) % 70;

	nvme_bench_write32(b, NVME_REG_DOORBELLS + (choice & 0x7f) % 140 * 4,
			   value);
}

void nvme_register(struct nvme_bench *b)
{
	static const uint8_t offsets[] = { NVME_REG_CC,    NVME_REG_CC,
					   NVME_REG_AQA,   NVME_REG_ASQ,
					   NVME_REG_ACQ,   NVME_REG_INTMS,
					   NVME_REG_INTMC, NVME_REG_CSTS };
	uint8_t choice = input_u8(&b->in);
	uint64_t value =
		choice & 0x40 ? nvme_bench_address(b) : input_u32(&b->in);

	pcie_region_write(b->fn, 0, offsets[choice % 8], &value,
			  choice & 0x80 ? 8 : 4);
}

void nvme_region_access(struct nvme_bench *b)
{
	static const uint8_t regions[] = { 0, 0, 0, 7, 7, 2, 1, 9 };
	uint8_t choice = input_u8(&b->in);
	unsigned int region = regions[choice & 7];
	uint64_t offset = input_u16(&b->in);
	uint8_t bytes[64];
	size_t size = 1 + input_u8(&b->in) % 16;

	if (choice & 0x40)
		offset |= UINT64_MAX << 16;
	if (choice & 0x20)
		size *= 4;
	if (choice & 0x80) {
		pcie_region_read(b->fn, region, offset, bytes, size);
		return;
	}
	input_bytes(&b->in, bytes, size);
	pcie_region_write(b->fn, region, offset, bytes, size);
}

void nvme_reap(struct nvme_bench *b)
{
	reap_all(b, input_u8(&b->in) % BENCH_QUEUES);
}

void nvme_let_run(struct nvme_bench *b)
{
	nvme_bench_step(input_u8(&b->in) % 64);
}

void nvme_let_time_pass(struct nvme_bench *b)
{
	rt_clock_advance(&the_clock, RT_NS_PER_US << (input_u8(&b->in) % 26));
	nvme_bench_step(8);
}

/* Admin queues whose entries are what the client answers at the moment. */
static void enable_by_message(struct nvme_bench *b)
{
	nvme_bench_write32(b, NVME_REG_CC, 0);
	nvme_bench_step(20);
	write64(b, NVME_REG_ASQ, MESSAGE_IOVA);
	write64(b, NVME_REG_ACQ, MESSAGE_IOVA + PAGE);
	nvme_bench_write32(b, NVME_REG_CC, 6u << 16 | 4u << 20 | 1);
	nvme_bench_step(20);
}

void nvme_restart(struct nvme_bench *b)
{
	uint8_t choice = input_u8(&b->in);

	turn_on(b);
	nvme_bench_enable(b);
	if (choice & 1)
		nvme_bench_make_queues(b);
	else if (choice & 2)
		enable_by_message(b);
}

void nvme_reset(struct nvme_bench *b)
{
	static const enum pcie_reset_reason reasons[] = { PCIE_RESET_BUS,
							  PCIE_RESET_FLR,
							  PCIE_RESET_CONTROL,
							  PCIE_RESET_POWER };

	reset_and_wait(b, reasons[input_u8(&b->in) % 4]);
	nvme_restart(b);
}

void nvme_stall(struct nvme_bench *b)
{
	uint8_t choice = input_u8(&b->in);
	struct rt_fault_rule rule = { .is_set = choice & 1,
				      .probability_ppm = choice * 3921u,
				      .value = input_u16(&b->in),
				      .seed = choice };

	(void)rt_fault_set_rule(&b->fn->faults,
				choice & 2 ? "io_stall" : "io_delay", &rule);
}

/* Its state leaves and comes back, as under a new firmware. */
void nvme_replace(struct nvme_bench *b)
{
	bool is_quiet = false;
	uint8_t *state;
	size_t size;

	must(pcie_function_pause(b->fn, mark, &is_quiet) == 0);
	wait_until(&is_quiet);
	size = pcie_function_save(b->fn, NULL, 0);
	state = malloc(size);
	must(state && pcie_function_save(b->fn, state, size) == size);
	must(pcie_function_restore(b->fn, state, size) == 0);
	must(pcie_function_unpause(b->fn) == 0);
	free(state);
}

void nvme_bench_run(struct nvme_bench *b, nvme_action *const *actions,
		    size_t count)
{
	for (int i = 0; i < MAX_ACTIONS && !input_is_empty(&b->in); i++) {
		actions[input_u8(&b->in) % count](b);
		nvme_bench_step(4);
	}
}
