/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A NIC's control plane before a driver that nobody trusts: registers of every
 * kind, admin commands with any fields and pointers from a queue that changes
 * while it is read, resets, time, faults, and the data path's doorbells on
 * whatever queues came about.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ena/control.h"
#include "ena/function.h"
#include "ena/status.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/guard.h"
#include "firmware/rt/log.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"
#include "tests/fuzz/input.h"

#define IOVA       UINT64_C(0x100000)
#define BYTES      UINT64_C(0x400000)
#define AQ         IOVA
#define ACQ        (IOVA + 0x1000)
#define AENQ       (IOVA + 0x2000)
#define READLESS   (IOVA + 0x3000)
#define DEPTH      16u
#define MOST_STEPS 200

struct bench {
	struct input in;
	struct pcie_function *fn;
	struct ena_nic *nic;
	uint16_t tail;
};

static struct rt_clock the_clock;
static struct rt_loop *loop;
static struct pcie_function *functions[ENA_PROFILES];
static uint8_t *memory;
static int memory_fd = -1;

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void start_once(void)
{
	if (loop)
		return;
	rt_log_set_level(RT_LOG_ERROR);
	must(rt_guard_install() == 0);
	rt_clock_make_virtual(&the_clock, RT_NS_PER_S);
	must(rt_loop_create(&the_clock, &loop) == 0);
	memory_fd = memfd_create("fuzz-guest", MFD_CLOEXEC);
	must(memory_fd >= 0 && ftruncate(memory_fd, BYTES) == 0);
	memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		      memory_fd, 0);
	must(memory != MAP_FAILED);
}

static struct pcie_function *find_function(unsigned int profile)
{
	struct ena_config config = { .profile = profile,
				     .pairs = 4,
				     .speed = 25000,
				     .mtu = 9216,
				     .has_llq = true,
				     .doorbells =
					     profile & 1
						     ? ENA_DOORBELLS_MAPPED
						     : ENA_DOORBELLS_TRAPPED };

	if (!functions[profile])
		must(pcie_function_create(
			     &ena_function, ena_profile_names[profile], loop,
			     &config, &functions[profile], NULL) == 0);
	return functions[profile];
}

static void step(void)
{
	for (int i = 0; i < 8; i++)
		(void)rt_loop_step(loop, 0);
}

static void write32(struct bench *b, uint64_t offset, uint32_t value)
{
	pcie_region_write(b->fn, 0, offset, &value, sizeof value);
}

/* Half of them work. */
static uint64_t address(struct bench *b)
{
	uint8_t kind = input_u8(&b->in);

	if (kind & 1)
		return IOVA + (uint64_t)input_u16(&b->in) % 0x400 * 0x1000;
	if (kind & 2)
		return IOVA + input_u32(&b->in) % BYTES;
	return input_u64(&b->in) & BITS(47, 0);
}

static void set_up(struct bench *b)
{
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	const uint32_t queue = ENA_ADMIN_ENTRY_BYTES << 16 | DEPTH;

	pcie_region_write(b->fn, PCIE_CONFIG_REGION, PCI_COMMAND, &command, 2);
	write32(b, ENA_REGS_DEV_CTL, 1);
	write32(b, ENA_REGS_DEV_CTL, 0);
	write32(b, ENA_REGS_MMIO_RESP_LO, (uint32_t)READLESS);
	write32(b, ENA_REGS_AQ_BASE_LO, (uint32_t)AQ);
	write32(b, ENA_REGS_ACQ_BASE_LO, (uint32_t)ACQ);
	write32(b, ENA_REGS_AQ_CAPS, queue);
	write32(b, ENA_REGS_ACQ_CAPS, queue);
	write32(b, ENA_REGS_AENQ_BASE_LO, (uint32_t)AENQ);
	write32(b, ENA_REGS_AENQ_CAPS, queue);
	write32(b, ENA_REGS_AENQ_HEAD_DB, DEPTH);
	b->tail = 0;
}

/* ---- what a driver may do ---- */

static void submit(struct bench *b, const struct ena_admin_aq_entry *entry)
{
	memcpy(memory + (AQ - IOVA) + b->tail % DEPTH * sizeof *entry, entry,
	       sizeof *entry);
	b->tail = (uint16_t)(ena_register_get(b->nic, ENA_REGS_AQ_DB) + 1);
	write32(b, ENA_REGS_AQ_DB, b->tail);
}

static void raw_command(struct bench *b)
{
	struct ena_admin_aq_entry entry;

	input_bytes(&b->in, &entry, sizeof entry);
	submit(b, &entry);
}

static void feature(struct bench *b)
{
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_GET_FEATURE };
	struct ena_admin_feature_cmd *cmd = (void *)entry.body;
	uint8_t choice = input_u8(&b->in);
	uint64_t at = address(b);

	entry.opcode += choice >> 7;
	cmd->feature_id = choice % ENA_ADMIN_FEATURES;
	cmd->buffer.length = le32_put(input_u16(&b->in));
	cmd->buffer.address_lo = le32_put((uint32_t)at);
	cmd->buffer.address_hi = le16_put((uint16_t)(at >> 32));
	input_bytes(&b->in, cmd->payload, 24);
	submit(b, &entry);
}

static void create_cq(struct bench *b)
{
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_CREATE_CQ };
	struct ena_admin_create_cq *cmd = (void *)entry.body;
	uint8_t choice = input_u8(&b->in);
	uint64_t at = address(b);

	*cmd = (struct ena_admin_create_cq){
		.caps_1 = choice & 0x20,
		.caps_2 = (uint8_t)(2u << choice % 3),
		.depth = le16_put((uint16_t)(1u << (choice >> 2) % 15)),
		.msix_vector = le32_put(choice % 6),
		.base_lo = le32_put((uint32_t)at),
		.base_hi = le16_put((uint16_t)(at >> 32)),
	};
	submit(b, &entry);
}

static void create_sq(struct bench *b)
{
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_CREATE_SQ };
	struct ena_admin_create_sq *cmd = (void *)entry.body;
	uint8_t choice = input_u8(&b->in);
	uint64_t at = address(b);

	*cmd = (struct ena_admin_create_sq){
		.identity = choice & 1 ? 0x20 : 0x40,
		.caps_2 = choice & 2 ? 1 : 3,
		.caps_3 = 1,
		.cq_idx = le16_put(input_u8(&b->in) % 9),
		.depth = le16_put((uint16_t)(1u << (choice >> 2) % 15)),
		.base_lo = le32_put((uint32_t)at),
		.base_hi = le16_put((uint16_t)(at >> 32)),
	};
	submit(b, &entry);
}

static void destroy(struct bench *b)
{
	struct ena_admin_aq_entry entry = { 0 };
	uint8_t choice = input_u8(&b->in);

	entry.opcode = choice & 1 ? ENA_ADMIN_DESTROY_SQ : ENA_ADMIN_DESTROY_CQ;
	entry.body[0] = (choice >> 2) % 9;
	entry.body[2] = choice & 2 ? 0x20 : 0x40;
	submit(b, &entry);
}

static void register_write(struct bench *b)
{
	const struct pcie_reg *reg =
		&ena_registers[input_u8(&b->in) % ENA_REGISTERS];

	write32(b, reg->offset, input_u32(&b->in));
}

static void region_access(struct bench *b)
{
	uint8_t bytes[16], what = input_u8(&b->in);
	uint16_t offset = input_u16(&b->in);
	unsigned int size = 1 + what % sizeof bytes;

	input_bytes(&b->in, bytes, size);
	if (what & 0x80)
		pcie_region_read(b->fn, what >> 4 & 7, offset, bytes, size);
	else if ((what >> 4 & 7) != PCIE_CONFIG_REGION)
		pcie_region_write(b->fn, what >> 4 & 7, offset, bytes, size);
}

static void ring(struct bench *b)
{
	uint8_t choice = input_u8(&b->in);

	write32(b,
		(choice & 0x80 ? ENA_UNMASKS : ENA_DOORBELLS) +
			4u * (choice % 10),
		input_u32(&b->in));
}

static void fill(struct bench *b)
{
	uint64_t at = input_u32(&b->in) % (BYTES - 64);

	input_bytes(&b->in, memory + at, 64);
}

static void time_passes(struct bench *b)
{
	rt_clock_advance(&the_clock, input_u16(&b->in) * 20 * RT_NS_PER_US);
	step();
}

static void reset(struct bench *b)
{
	static const enum pcie_reset_reason whys[] = { PCIE_RESET_FLR,
						       PCIE_RESET_BUS,
						       PCIE_RESET_CONTROL };
	uint8_t choice = input_u8(&b->in);

	if (choice & 0x80)
		must(pcie_function_reset(b->fn, whys[choice % RT_COUNT(whys)],
					 NULL, NULL) == 0);
	step();
	set_up(b);
}

static void fault(struct bench *b)
{
	const struct rt_fault_rule rule = { .probability_ppm = 1000000,
					    .limit = 4,
					    .value = input_u16(&b->in) };

	must(rt_fault_set_rule(
		     &b->fn->faults,
		     ena_fault_points[input_u8(&b->in) % ENA_FAULTS].name,
		     &rule) == 0);
}

static void look(struct bench *b)
{
	static char text[65536];
	struct pcie_answer answer = { text, sizeof text, 0 };

	for (size_t i = 0; i < ENA_VERBS; i++)
		(void)ena_verbs[i].run(b->fn, NULL, &answer, NULL);
}

static void take_memory_away(struct bench *b)
{
	(void)pcie_dma_unmap(b->fn, IOVA, BYTES, NULL, NULL);
	write32(b, ENA_REGS_MMIO_REG_READ, 0);
	write32(b, ENA_REGS_AQ_DB, ++b->tail);
	step();
	must(pcie_dma_map(b->fn, IOVA, BYTES,
			  PCIE_DMA_READABLE | PCIE_DMA_WRITEABLE, memory_fd,
			  0) == 0);
}

static void (*const actions[])(struct bench *b) = {
	feature,          feature,       feature,   raw_command,
	create_cq,        create_sq,     create_sq, destroy,
	register_write,   region_access, ring,      fill,
	time_passes,      reset,         fault,     look,
	take_memory_away,
};

static void put_back(struct bench *b)
{
	for (size_t i = 0; i < ENA_FAULTS; i++)
		(void)rt_fault_clear(&b->fn->faults, ena_fault_points[i].name);
	must(pcie_function_reset(b->fn, PCIE_RESET_DETACH, NULL, NULL) == 0);
	step();
	must(!pcie_function_is_resetting(b->fn));
	pcie_dma_unmap_all(b->fn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bench b = { .in = { data, size } };

	start_once();
	memset(memory, 0, 0x4000);
	b.fn = find_function(input_u8(&b.in) % ENA_PROFILES);
	b.nic = ena_nic_of(b.fn);
	must(pcie_dma_map(b.fn, IOVA, BYTES,
			  PCIE_DMA_READABLE | PCIE_DMA_WRITEABLE, memory_fd,
			  0) == 0);
	set_up(&b);
	for (int i = 0; i < MOST_STEPS && !input_is_empty(&b.in); i++) {
		actions[input_u8(&b.in) % RT_COUNT(actions)](&b);
		step();
	}
	put_back(&b);
	return 0;
}
