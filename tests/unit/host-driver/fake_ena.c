/* SPDX-License-Identifier: BSD-3-Clause */
/* The made-up network adapter: see fake_ena.h. */
#include "tests/unit/host-driver/fake_ena.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"

#define CAPS 0x3005u /* 48 bits, 200 ms for a reset, contiguous */

void *fake_ena_at(struct fake_ena *f, uint64_t iova)
{
	void *at = host_memory_at(&f->memory, iova);

	cr_assert(at, "address %#lx", iova);
	return at;
}

static struct fake_ena *fake_of(struct host_function *fn)
{
	return rt_container_of(fn, struct fake_ena, fn);
}

static uint32_t *reg(struct fake_ena *f, uint32_t offset)
{
	return (uint32_t *)(void *)(f->bar + offset);
}

static uint64_t address(struct fake_ena *f, uint32_t lo)
{
	return *reg(f, lo) | (uint64_t)*reg(f, lo + 4) << 32;
}

/* --- Admin commands ------------------------------------------------------- */

static void create_cq(struct fake_ena *f, const struct ena_admin_aq_entry *in,
		      struct ena_admin_acq_entry *out)
{
	struct ena_admin_create_cq cmd;
	struct ena_admin_create_cq_resp resp = {
		.cq_idx = le16_put(f->created),
		.interrupt_unmask_register_offset =
			le32_put(0x3000u + 4u * f->created),
	};

	memcpy(&cmd, in->body, sizeof cmd);
	resp.actual_depth = cmd.depth;
	f->queues[f->created++] = (struct fake_ena_queue){
		.cq_iova = le32_get(cmd.base_lo) |
			   (uint64_t)le16_get(cmd.base_hi) << 32,
		.depth = le16_get(cmd.depth),
		.entry_bytes = cmd.caps_2 * 4u,
	};
	memcpy(out->body, &resp, sizeof resp);
}

static void create_sq(struct fake_ena *f, const struct ena_admin_aq_entry *in,
		      struct ena_admin_acq_entry *out)
{
	struct ena_admin_create_sq cmd;
	struct ena_admin_create_sq_resp resp = { 0 };
	struct fake_ena_queue *q;

	memcpy(&cmd, in->body, sizeof cmd);
	q = &f->queues[le16_get(cmd.cq_idx)];
	q->is_llq = cmd.caps_2 == ENA_ADMIN_PLACEMENT_DEVICE;
	q->is_tx = cmd.identity >> 5 == ENA_ADMIN_SQ_DIRECTION_TX;
	q->sq_iova = le32_get(cmd.base_lo) | (uint64_t)le16_get(cmd.base_hi)
						     << 32;
	resp.sq_idx = cmd.cq_idx;
	resp.doorbell_offset =
		le32_put(FAKE_ENA_DOORS + 4u * le16_get(cmd.cq_idx));
	resp.llq_descriptors_offset = le32_put(0x1000);
	memcpy(out->body, &resp, sizeof resp);
}

static void get_feature(struct fake_ena *f, const struct ena_admin_aq_entry *in,
			struct ena_admin_acq_entry *out)
{
	static const struct ena_admin_max_queues_ext queues = {
		.version = 1,
		.max_tx_sq_num = { 4 },
		.max_tx_sq_depth = { 1024 },
	};
	struct ena_admin_feature_cmd cmd;

	memcpy(&cmd, in->body, sizeof cmd);
	if (cmd.feature_id == ENA_ADMIN_DEVICE_ATTRIBUTES)
		memcpy(out->body, &f->attr, sizeof f->attr);
	if (cmd.feature_id == ENA_ADMIN_MAX_QUEUES_EXT)
		memcpy(out->body, &queues, sizeof queues);
	if (cmd.feature_id == ENA_ADMIN_LLQ)
		memcpy(out->body, &f->llq, sizeof f->llq);
}

static void run(struct fake_ena *f, const struct ena_admin_aq_entry *in)
{
	struct ena_admin_acq_entry out = { .status = f->status };
	uint32_t depth = *reg(f, ENA_REGS_ACQ_CAPS) & 0xffff;
	uint8_t *at = fake_ena_at(f, address(f, ENA_REGS_ACQ_BASE_LO));

	out.command_id =
		le16_put((uint16_t)(le16_get(in->command_id) + f->id_offset));
	out.flags = (f->acq_index / depth & 1) == 0;
	f->commands[f->command_count++ % 64] = *in;
	if (f->status == 0 && in->opcode == ENA_ADMIN_CREATE_CQ)
		create_cq(f, in, &out);
	if (f->status == 0 && in->opcode == ENA_ADMIN_CREATE_SQ)
		create_sq(f, in, &out);
	if (f->status == 0 && in->opcode == ENA_ADMIN_GET_FEATURE)
		get_feature(f, in, &out);
	if (!f->is_mute_to_admin)
		memcpy(at + f->acq_index++ % depth * 64, &out, 64);
}

static void run_admin(struct fake_ena *f, uint16_t tail)
{
	uint32_t depth = *reg(f, ENA_REGS_AQ_CAPS) & 0xffff;
	const uint8_t *at = fake_ena_at(f, address(f, ENA_REGS_AQ_BASE_LO));
	struct ena_admin_aq_entry in;

	while (f->aq_index != tail) {
		memcpy(&in, at + f->aq_index % depth * 64, 64);
		cr_expect_eq(in.flags & 1, (f->aq_index / depth & 1) == 0,
			     "phase of command %u", f->aq_index);
		f->aq_index++;
		run(f, &in);
	}
}

/* --- Registers ------------------------------------------------------------ */

static void answer_read(struct fake_ena *f, uint32_t value)
{
	uint32_t offset = value >> 16;
	uint64_t answer = (uint64_t)*reg(f, offset) << 32 | value;

	if (f->is_mute_to_reads || address(f, ENA_REGS_MMIO_RESP_LO) == 0)
		return;
	if (f->answers_other_register)
		answer ^= 4u << 16;
	memcpy(fake_ena_at(f, address(f, ENA_REGS_MMIO_RESP_LO)), &answer, 8);
}

static void reset(struct fake_ena *f, uint32_t value)
{
	uint32_t *sts = reg(f, ENA_REGS_DEV_STS);

	if (value & 1 && !f->is_stuck_out)
		*sts = (uint32_t)ENA_REGS_DEV_STS_RESET_IN_PROGRESS;
	if (!(value & 1) && !f->is_stuck_in)
		*sts = (uint32_t)ENA_REGS_DEV_STS_READY;
	f->aq_index = f->acq_index = f->created = 0;
}

static int write_bar(struct host_function *fn, unsigned int region,
		     uint64_t offset, const void *data, size_t size)
{
	struct fake_ena *f = fake_of(fn);
	uint32_t value = (uint32_t)le_load(data, (unsigned int)size);

	if (region != ENA_REGS_BAR)
		return 0;
	f->writes++;
	memcpy(f->bar + offset, data, size);
	if (offset == ENA_REGS_MMIO_REG_READ)
		answer_read(f, value);
	if (offset == ENA_REGS_DEV_CTL)
		reset(f, value);
	if (offset == ENA_REGS_AQ_DB)
		run_admin(f, (uint16_t)value);
	return 0;
}

static int read_bar(struct host_function *fn, unsigned int region,
		    uint64_t offset, void *data, size_t size)
{
	struct fake_ena *f = fake_of(fn);

	memset(data, 0, size);
	if (region == ENA_REGS_BAR)
		memcpy(data, f->bar + offset, size);
	return 0;
}

/* --- The bus -------------------------------------------------------------- */

static int make_memory(struct host_function *fn, struct host_memory *memory)
{
	memory->bytes = mmap(NULL, memory->size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory->page_bytes = memory->size;
	memory->fd = -1;
	fake_of(fn)->memory = *memory;
	return 0;
}

static int attach(struct host_function *fn, struct host_memory *memory)
{
	fake_of(fn)->memory = *memory;
	return 0;
}

static int detach(struct host_function *fn, const struct host_memory *memory)
{
	(void)fn;
	(void)memory;
	return 0;
}

static int look(struct host_function *fn, int timeout_ms)
{
	(void)fn;
	(void)timeout_ms;
	return 0;
}

static const struct host_bus bus = {
	.name = "fake",
	.read = read_bar,
	.write = write_bar,
	.memory_make = make_memory,
	.memory_attach = attach,
	.memory_detach = detach,
	.poll = look,
};

static uint8_t *make_region(struct host_region *region, uint64_t size)
{
	region->fd = memfd_create("bar", MFD_CLOEXEC);
	region->size = size;
	region->area_count = 1;
	region->areas[0] = (struct host_area){ .size = size };
	cr_assert_eq(ftruncate(region->fd, (off_t)size), 0);
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, region->fd,
		    0);
}

void fake_ena_start(struct fake_ena *f)
{
	memset(f, 0, sizeof *f);
	host_function_start(&f->fn, &bus, NULL);
	f->bar = make_region(&f->fn.regions[0], FAKE_ENA_BAR_BYTES);
	f->mem = make_region(&f->fn.regions[2], FAKE_ENA_MEM_BYTES);
	*reg(f, ENA_REGS_DEV_STS) = 1;
	*reg(f, ENA_REGS_CAPS) = CAPS;
	f->attr.supported_features = le32_put(
		(uint32_t)(BIT(ENA_ADMIN_MAX_QUEUES_EXT) | BIT(ENA_ADMIN_LLQ)));
	f->llq = (struct ena_admin_llq){
		.max_llq_num = le32_put(4),
		.max_llq_depth = le32_put(64),
		.header_location_supported = le16_put(1),
		.entry_size_supported = le16_put(7),
		.descs_before_header_supported = le16_put(2),
		.stride_supported = le16_put(2),
		.entry_size_recommended = 1,
		.accel_flags = le16_put(1),
	};
}

void fake_ena_stop(struct fake_ena *f)
{
	munmap(f->bar, FAKE_ENA_BAR_BYTES);
	munmap(f->mem, FAKE_ENA_MEM_BYTES);
	for (unsigned int i = 0; i < HOST_REGIONS; i++)
		host_region_close(&f->fn.regions[i]);
}

/* --- Queues --------------------------------------------------------------- */

uint16_t fake_ena_waiting(struct fake_ena *f, unsigned int queue)
{
	uint32_t door = *reg(f, FAKE_ENA_DOORS + 4 * queue);

	return (uint16_t)(door - f->queues[queue].consumed);
}

const void *fake_ena_slot(struct fake_ena *f, unsigned int queue,
			  unsigned int ahead)
{
	const struct fake_ena_queue *q = &f->queues[queue];
	uint32_t slot = (uint16_t)(q->consumed + ahead) % q->depth;

	if (q->is_llq)
		return f->mem + 0x1000 + slot * 128u;
	return (uint8_t *)fake_ena_at(f, q->sq_iova) + slot * 16u;
}

void fake_ena_post(struct fake_ena *f, unsigned int queue, const void *entry)
{
	struct fake_ena_queue *q = &f->queues[queue];
	uint8_t *at = (uint8_t *)fake_ena_at(f, q->cq_iova) +
		      q->posted % q->depth * q->entry_bytes;
	uint64_t phase = (q->posted / q->depth & 1) == 0;
	uint64_t first = le_load(entry, 8) & ~BIT(24);

	memcpy(at, entry, q->entry_bytes);
	le_store(at, 8, first | phase << 24);
	q->posted++;
}

void fake_ena_post_tx(struct fake_ena *f, unsigned int queue, uint16_t id)
{
	struct ena_eth_io_tx_cdesc entry = { .req_id = le16_put(id) };

	fake_ena_post(f, queue, &entry);
}

void fake_ena_post_rx(struct fake_ena *f, unsigned int queue, uint16_t id,
		      uint16_t length, uint32_t status)
{
	struct ena_eth_io_rx_cdesc entry = {
		.status =
			le32_put(status | (uint32_t)ENA_ETH_IO_RX_CDESC_BUFFER),
		.length = le16_put(length),
		.req_id = le16_put(id),
	};

	fake_ena_post(f, queue, &entry);
}

uint16_t fake_ena_tx_id(const struct ena_eth_io_tx_desc *desc)
{
	uint64_t hi = bits_get(ENA_ETH_IO_TX_DESC_REQ_ID_HI,
			       le32_get(desc->len_ctrl));
	uint64_t lo = bits_get(ENA_ETH_IO_TX_DESC_REQ_ID_LO,
			       le32_get(desc->meta_ctrl));

	return (uint16_t)(hi << 10 | lo);
}
