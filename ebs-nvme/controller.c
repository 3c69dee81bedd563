/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The controller as a whole: its registers and its life, NVMe Base 1.4, 3.1,
 * 7.3 and 7.6.  On the function's loop.
 *
 *              EN 0→1                      SHN≠0
 *   disabled ──────────► ready ─────────────────────────► shutting down
 *      ▲                   │ EN 1→0                         │ commands end,
 *      │  last command     ▼                                ▼ volume flushed
 *      └───────────── disabling ◄──── EN 1→0 ───────── shut down
 *
 * A bad EN 0→1, or queue memory that is not there, sets CSTS.CFS; only a reset
 * leaves that.  While disabling, RDY stays 1 until no command can touch guest
 * memory; CC may be written meanwhile and is looked at again after it.  A
 * client that leaves DMA messages unanswered is not waited for longer than a
 * second.
 */
#include <errno.h>
#include <string.h>

#include "ebs-nvme/controller.h"
#include "ebs-nvme/trace.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "pcie-model/regs.h"

#define READY_TIMEOUT 40u /* CAP.TO: 20 s */
#define MUTE_NS       RT_NS_PER_S

uint32_t ebs_register_get(const struct ebs_controller *c, uint32_t offset)
{
	return (uint32_t)le_load(c->state->registers + offset, 4);
}

static void register_set(struct ebs_controller *c, uint32_t offset,
			 uint64_t field, uint64_t value)
{
	uint64_t before = ebs_register_get(c, offset);

	le_store(c->state->registers + offset, 4,
		 bits_put(field, before, value));
}

static bool status_has(const struct ebs_controller *c, uint64_t field)
{
	return bits_get(field, ebs_register_get(c, NVME_REG_CSTS)) != 0;
}

bool ebs_controller_is_working(const struct ebs_controller *c)
{
	return status_has(c, NVME_CSTS_RDY) && !status_has(c, NVME_CSTS_CFS) &&
	       !c->state->is_disabling && !ebs_is_quiescing(c) &&
	       c->state->shutdown == EBS_SHUTDOWN_NONE;
}

void ebs_controller_fail(struct ebs_controller *c, int error)
{
	if (status_has(c, NVME_CSTS_CFS))
		return;
	trace_ebs_fatal((uint32_t)-error);
	rt_log_warn(c->fn->name,
		    "the guest's queues are out of reach (%s); "
		    "the controller waits for a reset",
		    strerror(-error));
	ebs_hold(c);
	register_set(c, NVME_REG_CSTS, NVME_CSTS_CFS, 1);
	ebs_let(c);
}

/* What must hold when EN is set, 3.1.5, 3.1.8 and 3.1.9. */
static bool may_enable(struct ebs_controller *c)
{
	uint32_t cc = ebs_register_get(c, NVME_REG_CC);
	uint32_t aqa = ebs_register_get(c, NVME_REG_AQA);
	const struct {
		uint64_t value;
		bool is_good;
		enum ebs_rule rule;
	} checks[] = {
		{ cc, bits_get(NVME_CC_MPS, cc) == 0,
		  EBS_RULE_ENABLE_PAGE_SIZE },
		{ cc, bits_get(NVME_CC_CSS, cc) == 0,
		  EBS_RULE_ENABLE_COMMAND_SET },
		{ cc, bits_get(NVME_CC_AMS, cc) == 0,
		  EBS_RULE_ENABLE_ARBITRATION },
		{ aqa,
		  bits_get(NVME_AQA_ASQS, aqa) && bits_get(NVME_AQA_ACQS, aqa),
		  EBS_RULE_ENABLE_ADMIN_SIZE },
	};
	bool is_good = true;

	for (size_t i = 0; i < RT_COUNT(checks); i++) {
		if (checks[i].is_good)
			continue;
		rt_rule_broken(&c->fn->rules, checks[i].rule, checks[i].value);
		is_good = false;
	}
	return is_good;
}

static void enable(struct ebs_controller *c)
{
	uint32_t aqa = ebs_register_get(c, NVME_REG_AQA);

	trace_ebs_enabled(ebs_register_get(c, NVME_REG_CC), aqa);
	ebs_doors_find_strays(c); /* of those that could not wait */
	if (!may_enable(c)) {
		rt_log_notice(c->fn->name, "the guest enabled the controller "
					   "with registers that do not fit");
		register_set(c, NVME_REG_CSTS, NVME_CSTS_CFS, 1);
		return;
	}
	ebs_cq_open(c, 0, le_load(c->state->registers + NVME_REG_ACQ, 8),
		    (uint32_t)bits_get(NVME_AQA_ACQS, aqa) + 1, 0, true);
	ebs_sq_open(c, 0, le_load(c->state->registers + NVME_REG_ASQ, 8),
		    (uint32_t)bits_get(NVME_AQA_ASQS, aqa) + 1, 0);
	register_set(c, NVME_REG_CSTS, NVME_CSTS_RDY, 1);
	rt_log_debug(c->fn->name, "enabled");
	ebs_kick(&c->home);
}

/* The reset that clearing EN asks for, 7.3.2: AQA, ASQ and ACQ stay. */
static void finish_disabling(struct ebs_controller *c)
{
	struct ebs_state *state = c->state;

	ebs_controller_clear(c);
	register_set(c, NVME_REG_CSTS, ~UINT64_C(0), 0);
	rt_counter_add(&c->home.counters.resets, 1);
	trace_ebs_disabled(ebs_register_get(c, NVME_REG_CC));
	state->is_disabling = false;
	if (bits_get(NVME_CC_EN, ebs_register_get(c, NVME_REG_CC)))
		enable(c);
}

static void client_is_mute(struct rt_timer *timer)
{
	struct ebs_controller *c =
		rt_container_of(timer, struct ebs_controller, mute_timer);

	pcie_dma_cancel_all(c->fn);
}

static void start_disabling(struct ebs_controller *c)
{
	trace_ebs_disabling(ebs_active_count(c));
	c->state->is_disabling = true;
	if (rt_timer_start(c->fn->loop, &c->mute_timer,
			   rt_loop_now_ns(c->fn->loop) + MUTE_NS))
		pcie_dma_cancel_all(c->fn);
	ebs_requests_release(c);
	ebs_controller_settle(c);
}

static void finish_shutdown(struct ebs_controller *c)
{
	c->state->shutdown = EBS_SHUTDOWN_COMPLETE;
	register_set(c, NVME_REG_CSTS, NVME_CSTS_SHST, NVME_SHST_COMPLETE);
	trace_ebs_shutdown(EBS_SHUTDOWN_COMPLETE);
	rt_log_debug(c->fn->name, "shut down by the guest");
}

static void flushed(struct ebs_volume_io *io, int status)
{
	struct ebs_controller *c =
		rt_container_of(io, struct ebs_controller, flush);

	c->is_flushing = false;
	if (status)
		rt_log_error(c->fn->name,
			     "the volume could not be flushed at shutdown: %s",
			     strerror(-status));
	ebs_hold(c);
	if (!c->state->is_disabling)
		finish_shutdown(c);
	ebs_controller_settle(c);
	ebs_let(c);
}

static void flush_for_shutdown(struct ebs_controller *c)
{
	c->state->shutdown = EBS_SHUTDOWN_FLUSHING;
	trace_ebs_shutdown(EBS_SHUTDOWN_FLUSHING);
	if (c->volume->is_read_only) {
		finish_shutdown(c);
		return;
	}
	c->is_flushing = true;
	c->flush = (struct ebs_volume_io){ .loop = c->fn->loop,
					   .op = EBS_VOLUME_FLUSH,
					   .done = flushed };
	ebs_volume_run(c->volume, &c->flush);
}

static void start_shutdown(struct ebs_controller *c)
{
	if (c->state->shutdown != EBS_SHUTDOWN_NONE)
		return;
	trace_ebs_shutdown(EBS_SHUTDOWN_DRAINING);
	c->state->shutdown = EBS_SHUTDOWN_DRAINING;
	register_set(c, NVME_REG_CSTS, NVME_CSTS_SHST, NVME_SHST_PROCESSING);
	ebs_requests_release(c);
	ebs_controller_settle(c);
}

/* What a successor needs and we keep elsewhere. */
static void keep_counts(struct ebs_controller *c)
{
	uint64_t now = rt_loop_now_ns(c->fn->loop);

	ebs_counters_get(c, &c->state->counters);
	c->state->powered_ms += (now - c->created_ns) / RT_NS_PER_MS;
	c->created_ns = now;
}

static void settle(struct ebs_controller *c)
{
	struct ebs_state *state = c->state;

	if (ebs_active_count(c) || c->is_flushing)
		return;
	if (state->is_disabling)
		finish_disabling(c);
	else if (state->shutdown == EBS_SHUTDOWN_DRAINING && !c->is_quiescing)
		flush_for_shutdown(c);
	if (c->is_quiescing && !c->is_flushing) {
		keep_counts(c);
		pcie_function_quiesced(c->fn);
	}
}

/* Nothing waits while the controller works, as it does where lanes call. */
void ebs_controller_settle(struct ebs_controller *c)
{
	if (!c->state->is_disabling && !c->is_quiescing &&
	    c->state->shutdown != EBS_SHUTDOWN_DRAINING)
		return;
	ebs_hold(c);
	settle(c);
	ebs_let(c);
}

static void cc_wrote(struct pcie_function *fn, uint64_t before,
		     uint64_t written)
{
	struct ebs_controller *c = ebs_controller_of(fn);
	bool was_on = bits_get(NVME_CC_EN, before);
	bool is_on = bits_get(NVME_CC_EN, written);
	uint64_t fixed = BITS(23, 4) & ~NVME_CC_SHN;

	if (was_on && is_on && (before ^ written) & fixed)
		rt_rule_broken(&fn->rules, EBS_RULE_CC_CHANGED_WHILE_ENABLED,
			       written);
	if (c->state->is_disabling) {
		if (is_on && !was_on)
			rt_rule_broken(&fn->rules, EBS_RULE_ENABLE_TOO_EARLY,
				       written);
		return;
	}
	if (was_on && !is_on)
		start_disabling(c);
	else if (bits_get(NVME_CC_SHN, written))
		start_shutdown(c);
	else if (!was_on && is_on)
		enable(c);
}

static void check_is_disabled(struct pcie_function *fn, uint64_t value)
{
	struct ebs_controller *c = ebs_controller_of(fn);

	if (bits_get(NVME_CC_EN, ebs_register_get(c, NVME_REG_CC)))
		rt_rule_broken(&fn->rules, EBS_RULE_AQA_CHANGED_WHILE_ENABLED,
			       value);
}

static void aqa_wrote(struct pcie_function *fn, uint64_t before,
		      uint64_t written)
{
	(void)before;
	check_is_disabled(fn, written);
}

static void queue_address_wrote(struct pcie_function *fn, uint64_t written)
{
	check_is_disabled(fn, written);
	if (written & (NVME_PAGE_BYTES - 1))
		rt_rule_broken(&fn->rules, EBS_RULE_ENABLE_ADMIN_ADDRESS,
			       written);
}

static void asq_wrote(struct pcie_function *fn, uint64_t before,
		      uint64_t written)
{
	(void)before;
	queue_address_wrote(fn, written);
}

static void acq_wrote(struct pcie_function *fn, uint64_t before,
		      uint64_t written)
{
	(void)before;
	queue_address_wrote(fn, written);
}

/* Both registers read as the mask, 3.1.3 and 3.1.4. */
static void set_mask(struct pcie_function *fn, uint32_t mask)
{
	struct ebs_controller *c = ebs_controller_of(fn);

	if (pcie_interrupt_mode(fn) == PCIE_MSIX)
		rt_rule_broken(&fn->rules, EBS_RULE_INTERRUPT_MASK_WITH_MSIX,
			       mask);
	c->state->interrupt_mask = mask;
	le_store(c->state->registers + NVME_REG_INTMS, 4, mask);
	le_store(c->state->registers + NVME_REG_INTMC, 4, mask);
	ebs_interrupt_update_pin(c);
}

static void intms_wrote(struct pcie_function *fn, uint64_t before,
			uint64_t written)
{
	set_mask(fn, (uint32_t)(before | written));
}

static void intmc_wrote(struct pcie_function *fn, uint64_t before,
			uint64_t written)
{
	set_mask(fn, (uint32_t)(before & ~written));
}

const struct pcie_reg ebs_registers[EBS_REGISTERS] = {
#define REG(name, offset, size, reset, writable, w1c, hook)                    \
	{ #name, offset, size, reset, writable, w1c, hook },
#include "ebs-nvme/regs.def"
#undef REG
};

void ebs_controller_clear(struct ebs_controller *c)
{
	struct ebs_state *state = c->state;

	rt_timer_stop(c->fn->loop, &c->mute_timer);
	memset(state->sq, 0, sizeof state->sq);
	memset(state->cq, 0, sizeof state->cq);
	memset(c->sq, 0, sizeof c->sq);
	memset(c->cq, 0, sizeof c->cq);
	state->shutdown = EBS_SHUTDOWN_NONE;
	state->has_made_queue = false;
	state->has_checked_memory = false;
	state->aer_count = 0;
	state->event_count = 0;
	state->masked_events = 0;
	state->unfinished_count = 0;
	state->interrupt_mask = 0;
	le_store(state->registers + NVME_REG_INTMS, 8, 0);
	c->aborts = 0;
	ebs_lanes_clear(c);
	ebs_features_reset(c);
	ebs_doors_reset(c);
	ebs_interrupt_clear(c);
	ebs_interrupt_update_pin(c);
}

void ebs_controller_init(struct ebs_controller *c)
{
	c->mute_timer.fired = client_is_mute;
}

void ebs_controller_power_on(struct ebs_controller *c)
{
	uint8_t *registers = c->state->registers;
	uint64_t cap = 0;

	c->state->is_disabling = false;
	ebs_controller_clear(c);
	pcie_regs_reset(ebs_registers, EBS_REGISTERS, registers);
	cap = bits_put(NVME_CAP_MQES, cap, c->entries - 1);
	cap = bits_put(NVME_CAP_CQR, cap, 1);
	cap = bits_put(NVME_CAP_TO, cap, READY_TIMEOUT);
	cap = bits_put(NVME_CAP_CSS, cap, 1);
	le_store(registers + NVME_REG_CAP, 8, cap);
	le_store(registers + NVME_REG_VS, 4, c->profile->version);
}
