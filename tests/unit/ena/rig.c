/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/ena/rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

struct rig rig;

/* ---- life ---- */

void rig_map(void)
{
	int status = pcie_dma_map(rig.fn, RIG_IOVA, RIG_BYTES,
				  PCIE_DMA_READABLE | PCIE_DMA_WRITEABLE,
				  rig.memory_fd, 0);

	cr_assert_eq(status, 0, "status %d", status);
}

void rig_unmap(void)
{
	pcie_dma_unmap_all(rig.fn);
}

static void map_memory(void)
{
	rig.memory_fd = memfd_create("guest", MFD_CLOEXEC);
	cr_assert(rig.memory_fd >= 0);
	cr_assert_eq(ftruncate(rig.memory_fd, RIG_BYTES), 0);
	rig.memory = mmap(NULL, RIG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			  rig.memory_fd, 0);
	cr_assert_neq(rig.memory, MAP_FAILED);
	rig_map();
}

static void give_eventfds(void)
{
	unsigned int count = rig.fn->identity.msix_vectors;

	cr_assert_eq(
		pcie_interrupt_set(
			rig.fn,
			VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			PCIE_MSIX, 0, count < RIG_VECTORS ? count : RIG_VECTORS,
			NULL, rig.vectors),
		0);
}

static void make_function(void)
{
	struct rt_error error = { 0 };
	uint16_t command = 6; /* memory space and bus master */

	cr_assert_eq(pcie_function_create(&ena_function, "eth0", rig.loop,
					  &rig.config, &rig.fn, &error),
		     0, "%s", error.text);
	rig.nic = ena_nic_of(rig.fn);
	pcie_region_write(rig.fn, PCIE_CONFIG_REGION, 4, &command, 2);
	give_eventfds();
}

void rig_start_config(const struct ena_config *config)
{
	rig.config = *config;
	rt_clock_make_virtual(&rig.clock, RT_NS_PER_S);
	cr_assert_eq(rt_loop_create(&rig.clock, &rig.loop), 0);
	for (unsigned int i = 0; i < RIG_VECTORS; i++)
		rig.vectors[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	make_function();
	map_memory();
}

static void pause_function(void)
{
	pcie_function_pause(rig.fn, NULL, NULL);
	rig_turn();
	cr_assert(rig.fn->is_paused);
}

void rig_succeed(void)
{
	RT_FREE uint8_t *bytes = NULL;
	size_t size;

	pause_function();
	size = pcie_function_save(rig.fn, NULL, 0);
	bytes = malloc(size);
	cr_assert_eq(pcie_function_save(rig.fn, bytes, size), size);
	rig_unmap();
	pcie_function_destroy(&rig.fn);
	make_function();
	pause_function();
	cr_assert_eq(pcie_function_restore(rig.fn, bytes, size), 0);
	cr_assert_eq(pcie_function_unpause(rig.fn), 0);
}

void rig_start(unsigned int profile)
{
	rig_start_config(&(struct ena_config){ .profile = profile,
					       .pairs = 4,
					       .speed = 25000,
					       .mtu = 9216,
					       .has_llq = true });
}

void rig_start_ready(void)
{
	rig_start(ENA_PROFILE_NITRO_V4);
	rig_set_up(32);
	rig_write32(ENA_REGS_INTR_MASK, 0);
	rig_give_credit(RIG_AENQ_DEPTH);
}

void rig_stop(void)
{
	pcie_function_reset(rig.fn, PCIE_RESET_DETACH, NULL, NULL);
	rig_turn();
	rig_unmap();
	munmap(rig.memory, RIG_BYTES);
	close(rig.memory_fd);
	pcie_function_destroy(&rig.fn);
	rt_loop_destroy(&rig.loop);
	for (unsigned int i = 0; i < RIG_VECTORS; i++)
		close(rig.vectors[i]);
	memset(&rig, 0, sizeof rig);
}

void rig_turn(void)
{
	for (int i = 0; i < 4;)
		i = rt_loop_step(rig.loop, 0) > 0 ? 0 : i + 1;
}

void rig_wait_ms(uint64_t ms)
{
	rt_clock_advance(&rig.clock, ms * RT_NS_PER_MS);
	rig_turn();
}

uint8_t *rig_at(uint64_t iova)
{
	cr_assert(iova >= RIG_IOVA && iova < RIG_IOVA + RIG_BYTES);
	return rig.memory + (iova - RIG_IOVA);
}

/* ---- registers ---- */

uint32_t rig_read32(uint64_t offset)
{
	uint32_t value;

	pcie_region_read(rig.fn, 0, offset, &value, sizeof value);
	return value;
}

void rig_write32(uint64_t offset, uint32_t value)
{
	pcie_region_write(rig.fn, 0, offset, &value, sizeof value);
}

bool rig_readless(uint32_t offset, uint32_t *value)
{
	struct ena_admin_mmio_resp *resp = (void *)rig_at(RIG_READLESS);
	uint16_t id = ++rig.readless_id;

	resp->req_id = le16_put((uint16_t)(id + 0xdead));
	rig_write32(ENA_REGS_MMIO_REG_READ, offset << 16 | id);
	if (le16_get(resp->req_id) != id)
		return false;
	cr_expect_eq(le16_get(resp->reg_off), offset);
	*value = le32_get(resp->reg_val);
	return true;
}

void rig_reset(unsigned int reason)
{
	rig_write32(ENA_REGS_DEV_CTL,
		    1 | (reason & 15) << 28 | reason >> 4 << 24);
	cr_assert(rig_read32(ENA_REGS_DEV_STS) & 8);
	rig_write32(ENA_REGS_DEV_CTL, 0);
	cr_assert_eq(rig_read32(ENA_REGS_DEV_STS), 1);
}

static void write_address(uint32_t lo, uint64_t address)
{
	rig_write32(lo, (uint32_t)address);
	rig_write32(lo + 4, (uint32_t)(address >> 32));
}

void rig_set_up(uint16_t depth)
{
	memset(rig.memory, 0, 0x3000);
	rig.depth = depth;
	rig.aq_tail = rig.acq_head = 0;
	rig.aenq_head = 0;
	write_address(ENA_REGS_MMIO_RESP_LO, RIG_READLESS);
	write_address(ENA_REGS_AQ_BASE_LO, RIG_AQ);
	write_address(ENA_REGS_ACQ_BASE_LO, RIG_ACQ);
	rig_write32(ENA_REGS_AQ_CAPS, 64u << 16 | depth);
	rig_write32(ENA_REGS_ACQ_CAPS, 64u << 16 | depth);
	write_address(ENA_REGS_AENQ_BASE_LO, RIG_AENQ);
	rig_write32(ENA_REGS_AENQ_CAPS, 64u << 16 | RIG_AENQ_DEPTH);
}

void rig_give_credit(uint16_t head)
{
	rig_write32(ENA_REGS_AENQ_HEAD_DB, head);
}

/* ---- commands ---- */

void rig_submit(struct ena_admin_aq_entry entry)
{
	uint64_t at = RIG_AQ + rig.aq_tail % rig.depth * 64u;

	entry.command_id = le16_put(rig.next_id++ & 0xfff);
	entry.flags = (uint8_t)((entry.flags & ~1u) |
				(rig.aq_tail / rig.depth % 2 == 0));
	memcpy(rig_at(at), &entry, sizeof entry);
	rig_write32(ENA_REGS_AQ_DB, ++rig.aq_tail);
}

bool rig_completion(void)
{
	struct ena_admin_acq_entry *at =
		(void *)rig_at(RIG_ACQ + rig.acq_head % rig.depth * 64u);

	if ((at->flags & 1) != (rig.acq_head / rig.depth % 2 == 0))
		return false;
	rig.last = *at;
	rig.acq_head++;
	return true;
}

int rig_run(struct ena_admin_aq_entry entry)
{
	rig_submit(entry);
	rig_turn();
	if (!rig_completion())
		return -1;
	if (!rig.is_wild)
		cr_expect_eq(le16_get(rig.last.command_id),
			     (uint16_t)(rig.next_id - 1) & 0xfff);
	return rig.last.status;
}

static struct ena_admin_aq_entry feature_command(uint8_t opcode, uint8_t id,
						 uint32_t buffer_bytes)
{
	struct ena_admin_aq_entry entry = { .opcode = opcode };
	struct ena_admin_feature_cmd *cmd = (void *)entry.body;

	cmd->feature_id = id;
	if (!buffer_bytes)
		return entry;
	entry.flags = 6; /* "indirect", and yet it is not */
	cmd->buffer.length = le32_put(buffer_bytes);
	cmd->buffer.address_lo = le32_put((uint32_t)RIG_BUFFER);
	return entry;
}

int rig_get(uint8_t feature, uint32_t buffer_bytes)
{
	return rig_run(
		feature_command(ENA_ADMIN_GET_FEATURE, feature, buffer_bytes));
}

int rig_set(uint8_t feature, const void *payload, size_t size,
	    uint32_t buffer_bytes)
{
	struct ena_admin_aq_entry entry =
		feature_command(ENA_ADMIN_SET_FEATURE, feature, buffer_bytes);

	memcpy(((struct ena_admin_feature_cmd *)(void *)entry.body)->payload,
	       payload, size);
	return rig_run(entry);
}

int rig_enable_groups(uint32_t groups)
{
	struct ena_admin_aenq_config config = { .enabled_groups =
							le32_put(groups) };

	return rig_set(ENA_ADMIN_AENQ_CONFIG, &config, sizeof config, 0);
}

bool rig_event(struct ena_admin_aenq_entry *out)
{
	uint64_t at = RIG_AENQ + rig.aenq_head % RIG_AENQ_DEPTH * 64u;
	struct ena_admin_aenq_entry *event = (void *)rig_at(at);

	if ((event->flags & 1) != (rig.aenq_head / RIG_AENQ_DEPTH % 2 == 0))
		return false;
	rig.aenq_head++;
	*out = *event;
	return true;
}

unsigned int rig_interrupts(unsigned int vector)
{
	uint64_t count = 0;

	if (read(rig.vectors[vector], &count, sizeof count) < 0)
		return 0;
	return (unsigned int)count;
}

/* ---- queues ---- */

int rig_create_cq(uint16_t n, uint8_t words, uint16_t depth, uint32_t vector)
{
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_CREATE_CQ };
	struct ena_admin_create_cq *cmd = (void *)entry.body;
	int status;

	*cmd = (struct ena_admin_create_cq){
		.caps_1 = ENA_ADMIN_CQ_INTERRUPT,
		.caps_2 = words,
		.depth = le16_put(depth),
		.msix_vector = le32_put(vector),
		.base_lo = le32_put((uint32_t)RIG_CQ(n)),
	};
	status = rig_run(entry);
	return status ? -status
		      : le16_get(((struct ena_admin_create_cq_resp *)(void *)
					  rig.last.body)
					 ->cq_idx);
}

int rig_create_sq(uint16_t cq, uint8_t direction, uint8_t placement,
		  uint16_t depth)
{
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_CREATE_SQ };
	struct ena_admin_create_sq *cmd = (void *)entry.body;
	int status;

	*cmd = (struct ena_admin_create_sq){
		.identity = (uint8_t)(direction << 5),
		.caps_2 = placement,
		.caps_3 = 1,
		.cq_idx = le16_put(cq),
		.depth = le16_put(depth),
		.base_lo = le32_put(placement == ENA_ADMIN_PLACEMENT_HOST
					    ? (uint32_t)RIG_SQ(cq)
					    : 0),
	};
	status = rig_run(entry);
	return status ? -status
		      : le16_get(((struct ena_admin_create_sq_resp *)(void *)
					  rig.last.body)
					 ->sq_idx);
}

int rig_destroy_sq(uint16_t n, uint8_t direction)
{
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_DESTROY_SQ };
	struct ena_admin_destroy_sq *cmd = (void *)entry.body;

	cmd->sq_idx = le16_put(n);
	cmd->identity = (uint8_t)(direction << 5);
	return rig_run(entry);
}

int rig_destroy_cq(uint16_t n)
{
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_DESTROY_CQ };
	struct ena_admin_destroy_cq *cmd = (void *)entry.body;

	cmd->cq_idx = le16_put(n);
	return rig_run(entry);
}

uint16_t rig_make_queue(uint8_t direction)
{
	uint8_t words = direction == ENA_ADMIN_SQ_DIRECTION_TX ? 2 : 4;
	int cq = rig_create_cq(0, words, 32, 1);

	cr_assert_geq(cq, 0, "status %d", -cq);
	cr_assert_eq(rig_create_sq((uint16_t)cq, direction,
				   ENA_ADMIN_PLACEMENT_HOST, 32),
		     cq);
	return (uint16_t)cq;
}

int rig_set_llq(uint16_t size_bit)
{
	struct ena_admin_llq llq = {
		.header_location_enabled = le16_put(ENA_ADMIN_INLINE_HEADER),
		.entry_size_enabled = le16_put(size_bit),
		.descs_before_header_enabled = le16_put(2),
		.stride_enabled = le16_put(ENA_ADMIN_MULTIPLE_DESCS_PER_ENTRY),
		.accel_flags = le16_put(3),
	};

	return rig_set(ENA_ADMIN_LLQ, &llq, sizeof llq, 0);
}

/* ---- the operator ---- */

void rig_fault(const char *point, uint64_t value)
{
	struct rt_fault_rule rule = { .probability_ppm = 1000000,
				      .value = value };

	cr_assert_eq(rt_fault_set_rule(&rig.fn->faults, point, &rule), 0, "%s",
		     point);
}

void rig_clear_fault(const char *point)
{
	cr_assert_eq(rt_fault_clear(&rig.fn->faults, point), 0);
}

uint64_t rig_broken(enum ena_rule rule)
{
	return rt_counter_read(&rig.nic->rule_records[rule].count);
}
