/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a function: create, resets, pauses, destroy; and the door for
 * region accesses.  The function's loop thread.
 *
 * Theory of stopping.  A reset and a pause both begin with quiesce: requests
 * that wait for DMA by message are cancelled, the device stops, and answers
 * with pcie_function_quiesced(), at once or later.  Whoever asks meanwhile
 * joins: there is one list of waiters, one reason (the strongest) and one wish
 * to stay paused.  Then the device is reset, if someone wanted that, and all
 * waiters are told.
 *
 *   running --reset--> quiescing --quiesced--> reset --> running
 *   running --pause--> quiescing --quiesced--> paused --unpause--> running
 *
 * While a reset is under way no BAR answers.  Nor does configuration space, so
 * that a guest that waits for an FLR sees ones until it is done (PCIe 6.6.2);
 * but a bus reset clears it at once, and it answers: the VMM reads it next, and
 * does so even if the device cannot stop for a long time.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "pcie-model/bar.h"
#include "pcie-model/capability.h"
#include "pcie-model/function.h"
#include "pcie-model/trace.h"

/* What survives of configuration space. */
enum kept {
	NOTHING,
	STICKY, /* bits that are, and BARs (PCIe 6.6.2) */
	ALL,    /* the interrupt table too: what is behind them resets itself */
};

static const struct {
	const char *name;
	unsigned int strength;
	enum kept kept;
} reasons[] = {
	[PCIE_RESET_CONTROL] = { "the operator's reset", 1, ALL },
	[PCIE_RESET_POWER] = { "wake-up from D3hot", 2, STICKY },
	[PCIE_RESET_FLR] = { "function level reset", 3, STICKY },
	[PCIE_RESET_BUS] = { "bus reset", 4, NOTHING },
	[PCIE_RESET_DETACH] = { "reset after the client left", 5, NOTHING },
	[PCIE_RESET_POWER_ON] = { "power-on reset", 6, NOTHING },
};

/* ---- stopping ---- */

static int add_waiter(struct pcie_function *fn, pcie_done_fn *done,
		      void *opaque)
{
	if (!done)
		return 0;
	if (fn->waiter_count == PCIE_WAITERS)
		return -EBUSY;
	fn->waiters[fn->waiter_count++] = (struct pcie_waiter){ done, opaque };
	return 0;
}

static void tell_waiters(struct pcie_function *fn)
{
	struct pcie_waiter waiters[PCIE_WAITERS];
	unsigned int count = fn->waiter_count;

	/* A waiter may ask for the next reset. */
	memcpy(waiters, fn->waiters, sizeof waiters);
	fn->waiter_count = 0;
	for (unsigned int i = 0; i < count; i++)
		waiters[i].done(fn, waiters[i].opaque);
}

static void start_quiescing(struct pcie_function *fn)
{
	if (fn->is_quiescing)
		return;
	fn->is_quiescing = true;
	pcie_dma_cancel_all(fn);
	fn->type->quiesce(fn);
}

/* Everything but configuration space. */
static void reset_rest(struct pcie_function *fn, enum pcie_reset_reason why)
{
	if (reasons[why].kept == ALL)
		pcie_interrupt_quiet(fn);
	else
		pcie_interrupt_reset(fn);
	pcie_bars_reset(fn);
	fn->type->reset(fn, why);
	pcie_interrupt_update(fn);
	trace_pcie_reset_end(why);
}

static void choose_reason(struct pcie_function *fn, enum pcie_reset_reason why)
{
	if (fn->wants_reset &&
	    reasons[why].strength <= reasons[fn->reset_reason].strength)
		return;
	fn->reset_reason = why;
	/* The client that asked may look at it before the device is quiet. */
	if (reasons[why].kept == NOTHING)
		pcie_config_reset(fn, false);
}

int pcie_function_reset(struct pcie_function *fn, enum pcie_reset_reason why,
			pcie_done_fn *done, void *opaque)
{
	int error = add_waiter(fn, done, opaque);

	pcie_function_hold(fn);
	choose_reason(fn, why);
	fn->wants_reset = true;
	trace_pcie_reset_begin(why);
	start_quiescing(fn);
	pcie_function_let(fn);
	return error;
}

bool pcie_function_is_resetting(const struct pcie_function *fn)
{
	return fn->wants_reset;
}

int pcie_function_pause(struct pcie_function *fn, pcie_done_fn *done,
			void *opaque)
{
	int error = add_waiter(fn, done, opaque);

	pcie_function_hold(fn);
	fn->wants_pause = true;
	start_quiescing(fn);
	pcie_function_let(fn);
	return error;
}

void pcie_function_quiesced(struct pcie_function *fn)
{
	if (!fn->is_quiescing)
		return;
	pcie_function_hold(fn);
	if (fn->wants_reset) {
		rt_log_info(fn->name, "%s", reasons[fn->reset_reason].name);
		if (reasons[fn->reset_reason].kept == STICKY)
			pcie_config_reset(fn, true);
		reset_rest(fn, fn->reset_reason);
	}
	fn->is_paused |= fn->wants_pause;
	fn->wants_pause = false;
	fn->wants_reset = false;
	fn->is_quiescing = false;
	tell_waiters(fn);
	pcie_function_let(fn);
}

void pcie_function_power_cycle(struct pcie_function *fn)
{
	pcie_function_hold(fn);
	memset(&fn->state, 0, sizeof fn->state);
	memset(fn->device_state, 0, fn->type->state_size);
	pcie_config_reset(fn, false);
	reset_rest(fn, PCIE_RESET_POWER_ON);
	pcie_function_let(fn);
}

int pcie_function_unpause(struct pcie_function *fn)
{
	int error;

	if (!fn->is_paused || fn->is_quiescing)
		return -EINVAL;
	pcie_function_hold(fn);
	fn->is_paused = false;
	error = fn->type->resume(fn);
	fn->is_restored = false;
	if (error)
		pcie_function_power_cycle(fn);
	pcie_interrupt_update(fn);
	pcie_function_let(fn);
	return error;
}

/* ---- life ---- */

static int power_on(struct pcie_function *fn, struct rt_error *error)
{
	int code = pcie_config_build(fn);

	if (code)
		return rt_error_set(error, code,
				    "%s: a PCIe identity that cannot be",
				    fn->name);
	code = pcie_bars_create(fn);
	if (code)
		return rt_error_set(error, code, "%s: no memory for its BARs",
				    fn->name);
	reset_rest(fn, PCIE_RESET_POWER_ON);
	return 0;
}

static struct pcie_function *allocate(const struct pcie_function_type *type,
				      const char *name,
				      const struct pcie_workers *workers)
{
	struct pcie_function *fn = calloc(1, sizeof *fn);

	if (!fn)
		return NULL;
	/* calloc(0) may be NULL: no state is not a failure. */
	fn->device_state = calloc(1, type->state_size ? type->state_size : 1);
	if (!fn->device_state) {
		free(fn);
		return NULL;
	}
	fn->type = type;
	fn->workers = *workers;
	fn->loop = workers->loops[workers->home];
	/* The caller of pcie_function_create() has no list to lend. */
	if (workers->count == 1)
		fn->workers.loops = &fn->loop;
	snprintf(fn->name, sizeof fn->name, "%s", name);
	fn->bus_rules =
		(struct rt_rule_book){ fn->name, pcie_rules,
				       fn->bus_rule_records, PCIE_RULES };
	for (unsigned int i = 0; i < PCIE_BARS; i++)
		fn->bar_memory[i].fd = -1;
	pcie_dma_init(fn);
	pcie_interrupt_init(fn);
	return fn;
}

static void release(struct pcie_function *fn)
{
	pcie_bars_destroy(fn);
	pcie_dma_deinit(fn);
	free(fn->device_state);
	free(fn);
}

static int create(struct pcie_function *fn, const void *config,
		  struct rt_error *error)
{
	int code = fn->type->create(fn, config, error);

	if (code)
		return code;
	code = power_on(fn, error);
	if (code)
		fn->type->destroy(fn);
	return code;
}

int pcie_function_create_among(const struct pcie_function_type *type,
			       const char *name,
			       const struct pcie_workers *workers,
			       const void *config, struct pcie_function **out,
			       struct rt_error *error)
{
	struct pcie_function *fn = allocate(type, name, workers);
	int code;

	if (!fn)
		return rt_error_set(error, -ENOMEM, "%s: no memory", name);
	code = create(fn, config, error);
	if (code)
		release(fn);
	else
		*out = fn;
	return code;
}

int pcie_function_create(const struct pcie_function_type *type,
			 const char *name, struct rt_loop *loop,
			 const void *config, struct pcie_function **out,
			 struct rt_error *error)
{
	const struct pcie_workers alone = { &loop, 0, 1 };

	return pcie_function_create_among(type, name, &alone, config, out,
					  error);
}

void pcie_function_destroy(struct pcie_function **fn)
{
	struct pcie_function *f = *fn;

	if (!f)
		return;
	assert(!f->is_quiescing);
	*fn = NULL;
	pcie_interrupt_drop(f);
	f->type->destroy(f);
	release(f);
}

/* ---- the door ---- */

static bool is_config_silent(const struct pcie_function *fn)
{
	return fn->wants_reset && reasons[fn->reset_reason].kept == STICKY;
}

void pcie_region_read(struct pcie_function *fn, unsigned int region,
		      uint64_t offset, void *data, size_t size)
{
	memset(data, 0xff, size);
	if (region == PCIE_CONFIG_REGION && !is_config_silent(fn)) {
		pcie_function_hold(fn);
		pcie_vendor_will_read(fn, offset, size);
		pcie_config_read(fn, offset, data, size);
		pcie_function_let(fn);
	} else if (region < PCIE_BARS) {
		pcie_bar_read(fn, region, offset, data, size);
	}
}

void pcie_region_write(struct pcie_function *fn, unsigned int region,
		       uint64_t offset, const void *data, size_t size)
{
	if (region == PCIE_CONFIG_REGION && !is_config_silent(fn)) {
		pcie_function_hold(fn);
		pcie_config_write(fn, offset, data, size);
		pcie_vendor_wrote(fn, offset, size);
		pcie_function_let(fn);
	} else if (region < PCIE_BARS) {
		pcie_bar_write(fn, region, offset, data, size);
	}
}

uint64_t pcie_function_counter(const struct pcie_function *fn,
			       const struct rt_counter_name *name)
{
	const char *base = fn->device;

	if (fn->type->counter)
		return fn->type->counter(fn, name);
	return rt_counter_read((const void *)(base + name->offset));
}
