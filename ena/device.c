/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device as a whole: its registers and its resets.  On the function's loop.
 *
 *               DEV_CTL.DEV_RESET ← 1               DEV_CTL.DEV_RESET ← 0
 *   ready (01h) ─────────────────────► resetting (09h) ───────────────► ready
 *
 * All is quiet and forgotten when the write that begins a reset returns, but
 * RESET_IN_PROGRESS stays until the driver has seen it and writes 0.  The
 * address for register reads by DMA (MMIO_RESP) is the driver's only way to
 * see that, and survives.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "ena/control.h"
#include "ena/trace.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "pcie-model/config_space.h"
#include "pcie-model/regs.h"

#define VERSION            0x0au /* 0.10 */
#define CONTROLLER_VERSION 0x01000001u
#define RESET_TIMEOUT      30u /* times 100 ms */
#define DMA_WIDTH          48u

/* ---- registers ---- */

uint32_t ena_register_get(const struct ena_nic *nic, uint32_t offset)
{
	return (uint32_t)le_load(nic->state->registers + offset, 4);
}

void ena_register_set(struct ena_nic *nic, uint32_t offset, uint32_t value)
{
	le_store(nic->state->registers + offset, 4, value);
}

uint32_t ena_register_read(struct ena_nic *nic, uint32_t offset)
{
	uint32_t value = (uint32_t)pcie_regs_read(
		ena_registers, ENA_REGISTERS, nic->state->registers, offset, 4);
	uint64_t ignored;

	if (offset == ENA_REGS_DEV_STS &&
	    rt_fault(&nic->fn->faults, ena_fault_not_ready, &ignored))
		value &= ~(uint32_t)ENA_REGS_DEV_STS_READY;
	return value;
}

static bool is_resetting(const struct ena_nic *nic)
{
	return bits_get(ENA_REGS_DEV_STS_RESET_IN_PROGRESS,
			ena_register_get(nic, ENA_REGS_DEV_STS));
}

bool ena_is_working(const struct ena_nic *nic)
{
	return !nic->is_quiescing && !is_resetting(nic) &&
	       pcie_bus_master_is_on(nic->fn);
}

ena_status ena_refuse(struct ena_nic *nic, enum ena_rule rule, uint8_t code,
		      uint64_t value)
{
	rt_rule_broken(&nic->fn->rules, rule, value);
	return (ena_status){ code, (uint16_t)(rule + 1) };
}

/* ---- guest memory ---- */

static void tell_no_memory(struct ena_nic *nic, uint64_t iova)
{
	if (nic->has_told_no_memory)
		return;
	nic->has_told_no_memory = true;
	rt_log_error(nic->fn->name,
		     "guest memory at %#llx is out of reach: the driver gave a "
		     "wrong address, or the machine does not share its memory "
		     "with the card, as a NIC needs it.  With QEMU, add: "
		     "-object memory-backend-memfd,id=mem,size=SIZE,share=on "
		     "-machine memory-backend=mem; with cloud-hypervisor: "
		     "--memory shared=on",
		     (unsigned long long)iova);
}

void *ena_guest_memory(struct ena_nic *nic, uint64_t iova, uint64_t size,
		       bool is_write, enum ena_rule rule)
{
	void *at = pcie_bus_master_is_on(nic->fn)
			   ? pcie_dma_direct(nic->fn, iova, size, is_write)
			   : NULL;

	if (at)
		return at;
	rt_rule_broken(&nic->fn->rules, rule, iova);
	if (pcie_bus_master_is_on(nic->fn))
		tell_no_memory(nic, iova);
	return NULL;
}

/* The model says in the log what came of it. */
static void checked(struct pcie_dma_op *op, int status)
{
	(void)status;
	rt_container_of(op, struct ena_nic, check)->is_checking = false;
}

void ena_check_memory(struct ena_nic *nic, uint64_t iova)
{
	if (nic->has_checked || nic->is_checking)
		return;
	nic->has_checked = true;
	nic->is_checking = true;
	nic->check.done = checked;
	if (pcie_dma_check_shared(nic->fn, &nic->check, iova, 8) !=
	    -EINPROGRESS)
		nic->is_checking = false;
}

/* ---- interrupts of vector 0 ---- */

void ena_management_interrupt(struct ena_nic *nic)
{
	uint32_t mask = ena_register_get(nic, ENA_REGS_INTR_MASK);

	if (bits_get(ENA_REGS_INTR_MASK_MGMT, mask)) {
		nic->state->has_management_pending = true;
		return;
	}
	nic->state->has_management_pending = false;
	rt_counter_add(&nic->counters.interrupts, 1);
	pcie_interrupt_raise(nic->fn, 0);
}

static void intr_mask_wrote(struct pcie_function *fn, uint64_t before,
			    uint64_t written)
{
	struct ena_nic *nic = ena_nic_of(fn);

	(void)before;
	if (!bits_get(ENA_REGS_INTR_MASK_MGMT, written) &&
	    nic->state->has_management_pending)
		ena_management_interrupt(nic);
}

/* ---- resets ---- */

static void forget(struct ena_nic *nic)
{
	struct ena_state *state = nic->state;

	ena_path_reset(nic);
	ena_admin_pause(nic);
	ena_aenq_pause(nic);
	ena_phc_reset(nic);
	memset((uint8_t *)state + sizeof state->registers, 0,
	       offsetof(struct ena_state, is_link_down) -
		       sizeof state->registers);
	state->mtu = nic->max_mtu;
	state->has_hints = true;
	nic->has_told_no_memory = false;
	nic->has_checked = false;
	ena_rss_reset(nic);
	ena_flow_prepare(nic);
}

static uint32_t caps(void)
{
	uint64_t value = ENA_REGS_CAPS_CONTIGUOUS;

	value = bits_put(ENA_REGS_CAPS_RESET_TO, value, RESET_TIMEOUT);
	return (uint32_t)bits_put(ENA_REGS_CAPS_DMA_WIDTH, value, DMA_WIDTH);
}

static void reset_registers(struct ena_nic *nic)
{
	pcie_regs_reset(ena_registers, ENA_REGISTERS, nic->state->registers);
	ena_register_set(nic, ENA_REGS_VERSION, VERSION);
	ena_register_set(nic, ENA_REGS_CONTROLLER_VERSION, CONTROLLER_VERSION);
	ena_register_set(nic, ENA_REGS_CAPS, caps());
}

void ena_device_power_on(struct ena_nic *nic)
{
	forget(nic);
	reset_registers(nic);
}

static unsigned int reason_of(const struct ena_nic *nic, uint64_t ctl)
{
	unsigned int reason =
		(unsigned int)bits_get(ENA_REGS_DEV_CTL_REASON, ctl);

	if (nic->profile->capabilities & BIT(ENA_ADMIN_EXTENDED_RESET_REASONS))
		reason |=
			(unsigned int)bits_get(ENA_REGS_DEV_CTL_REASON_EXT, ctl)
			<< 4;
	return reason;
}

static void note_reason(struct ena_nic *nic, unsigned int reason)
{
	bool is_usual = reason == ENA_REGS_RESET_NORMAL ||
			reason == ENA_REGS_RESET_SHUTDOWN;

	trace_ena_reset_begin(reason);
	rt_counter_add(&nic->counters.resets, 1);
	if (reason < ENA_REGS_RESET_REASONS)
		nic->state->resets[reason]++;
	nic->state->last_reason = (uint8_t)reason;
	rt_log(is_usual ? RT_LOG_INFO : RT_LOG_WARN, nic->fn->name,
	       "the driver resets the NIC: %s (reason %u)",
	       ena_reset_reason_name(reason), reason);
	if (!is_usual)
		ena_debug_area_tell(nic);
}

/* Where the driver looks whether the reset got on. */
static void begin_reset(struct ena_nic *nic, uint64_t ctl)
{
	uint32_t lo = ena_register_get(nic, ENA_REGS_MMIO_RESP_LO);
	uint32_t hi = ena_register_get(nic, ENA_REGS_MMIO_RESP_HI);

	note_reason(nic, reason_of(nic, ctl));
	forget(nic);
	reset_registers(nic);
	ena_register_set(nic, ENA_REGS_MMIO_RESP_LO, lo);
	ena_register_set(nic, ENA_REGS_MMIO_RESP_HI, hi);
	ena_register_set(nic, ENA_REGS_DEV_CTL, (uint32_t)ctl);
	ena_register_set(nic, ENA_REGS_DEV_STS,
			 ENA_REGS_DEV_STS_RESET_IN_PROGRESS |
				 ENA_REGS_DEV_STS_READY);
}

static void end_reset(struct ena_nic *nic)
{
	ena_register_set(nic, ENA_REGS_DEV_STS, ENA_REGS_DEV_STS_READY);
	trace_ena_reset_end(ENA_REGS_DEV_STS_READY);
}

enum reset_stuck {
	NEVER_BEGINS,
	NEVER_ENDS,
};

static void dev_ctl_wrote(struct pcie_function *fn, uint64_t before,
			  uint64_t written)
{
	struct ena_nic *nic = ena_nic_of(fn);
	bool is_begin = bits_get(ENA_REGS_DEV_CTL_DEV_RESET, written);
	uint64_t stuck = NEVER_BEGINS;
	bool is_stuck;

	(void)before;
	if (!is_begin && !is_resetting(nic))
		return;
	is_stuck = rt_fault(&fn->faults, ena_fault_reset_stuck, &stuck);
	if (is_begin && !(is_stuck && stuck == NEVER_BEGINS))
		begin_reset(nic, written);
	else if (!is_begin && !(is_stuck && stuck == NEVER_ENDS))
		end_reset(nic);
}

/* ---- reads by DMA ---- */

static void answer_read(struct ena_nic *nic, uint64_t at,
			struct ena_admin_mmio_resp answer)
{
	uint64_t word;
	uint64_t *to = at % sizeof word
			       ? NULL
			       : ena_guest_memory(nic, at, sizeof word, true,
						  ENA_RULE_READLESS_MEMORY);

	if (at % sizeof word)
		rt_rule_broken(&nic->fn->rules, ENA_RULE_READLESS_MEMORY, at);
	if (!to)
		return;
	memcpy(&word, &answer, sizeof word);
	__atomic_store_n(to, word, __ATOMIC_RELEASE);
}

static bool is_register(uint32_t offset)
{
	for (size_t i = 0; i < ENA_REGISTERS; i++)
		if (ena_registers[i].offset == offset)
			return true;
	return false;
}

static void mmio_reg_read_wrote(struct pcie_function *fn, uint64_t before,
				uint64_t written)
{
	struct ena_nic *nic = ena_nic_of(fn);
	uint16_t id =
		(uint16_t)bits_get(ENA_REGS_MMIO_REG_READ_REQ_ID, written);
	uint32_t offset =
		(uint32_t)bits_get(ENA_REGS_MMIO_REG_READ_OFF, written);
	uint64_t at = ena_address(ena_register_get(nic, ENA_REGS_MMIO_RESP_LO),
				  ena_register_get(nic, ENA_REGS_MMIO_RESP_HI));
	uint64_t ignored;
	uint32_t value;

	(void)before;
	if (!at) {
		rt_rule_broken(&fn->rules, ENA_RULE_READLESS_ADDRESS, written);
		return;
	}
	if (!is_register(offset))
		rt_rule_broken(&fn->rules, ENA_RULE_READLESS_OFFSET, offset);
	if (rt_fault(&fn->faults, ena_fault_readless, &ignored))
		return;
	value = ena_register_read(nic, offset);
	trace_ena_readless(offset, value, id);
	answer_read(nic, at,
		    (struct ena_admin_mmio_resp){
			    .req_id = le16_put(id),
			    .reg_off = le16_put((uint16_t)offset),
			    .reg_val = le32_put(value) });
}

/* ---- the other registers' doors ---- */

static void refuse_write(struct pcie_function *fn, uint64_t before,
			 uint64_t written)
{
	(void)before;
	rt_rule_broken(&fn->rules, ENA_RULE_REGISTER_READ_ONLY, written);
}

/* Commands are looked for from its doorbell on. */
static void check_caps(struct pcie_function *fn, uint64_t caps_written,
		       enum ena_rule rule)
{
	uint64_t depth = bits_get(ENA_REGS_QUEUE_DEPTH, caps_written);
	uint64_t bytes = bits_get(ENA_REGS_QUEUE_ENTRY_SIZE, caps_written);

	if (caps_written && (!depth || bytes != ENA_ADMIN_ENTRY_BYTES))
		rt_rule_broken(&fn->rules, rule, caps_written);
}

/*
 * iPXE of 2019, as Debian 12 has it, waits for READY alone and leaves DEV_RESET
 * on: that it sets up its queues says that it has done with the reset.
 */
static void stop_waiting(struct ena_nic *nic, uint64_t caps_written)
{
	if (caps_written && is_resetting(nic))
		end_reset(nic);
}

static void aq_caps_wrote(struct pcie_function *fn, uint64_t before,
			  uint64_t written)
{
	(void)before;
	check_caps(fn, written, ENA_RULE_ADMIN_SETUP);
	stop_waiting(ena_nic_of(fn), written);
	ena_admin_pause(ena_nic_of(fn));
	ena_nic_of(fn)->state->aq_consumed = 0;
	ena_register_set(ena_nic_of(fn), ENA_REGS_AQ_DB, 0);
}

static void acq_caps_wrote(struct pcie_function *fn, uint64_t before,
			   uint64_t written)
{
	(void)before;
	check_caps(fn, written, ENA_RULE_ADMIN_SETUP);
	stop_waiting(ena_nic_of(fn), written);
	ena_nic_of(fn)->state->acq_posted = 0;
}

static void aq_db_wrote(struct pcie_function *fn, uint64_t before,
			uint64_t written)
{
	(void)before;
	(void)written;
	ena_admin_run(ena_nic_of(fn));
}

static void aenq_caps_wrote(struct pcie_function *fn, uint64_t before,
			    uint64_t written)
{
	struct ena_nic *nic = ena_nic_of(fn);

	(void)before;
	check_caps(fn, written, ENA_RULE_AENQ_SETUP);
	nic->state->aenq_posted = 0;
	nic->state->has_aenq_head = false;
}

static void aenq_head_wrote(struct pcie_function *fn, uint64_t before,
			    uint64_t written)
{
	(void)before;
	ena_aenq_head(ena_nic_of(fn), (uint16_t)written);
}

static void rss_entry_wrote(struct pcie_function *fn, uint64_t before,
			    uint64_t written)
{
	(void)before;
	ena_rss_set_entry(ena_nic_of(fn), (uint16_t)written,
			  (uint16_t)(written >> 16));
}

static void phc_db_wrote(struct pcie_function *fn, uint64_t before,
			 uint64_t written)
{
	(void)before;
	ena_phc_doorbell(ena_nic_of(fn), (uint16_t)written);
}

const struct pcie_reg ena_registers[ENA_REGISTERS] = {
#define REG(name, offset, size, reset, writable, w1c, hook)                    \
	{ #name, offset, size, reset, writable, w1c, hook },
#include "ena/regs.def"
#undef REG
};
