/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A function's state as bytes: a header, struct pcie_state, and the device's
 * block.  The reader trusts nothing: the header must match the function, the
 * configuration space must be one that this identity can have, and what is left
 * is brought into range.  The device checks its own block in resume().
 *
 * Not in it: guest memory, eventfds and the mapped parts of BARs, which are
 * descriptors and travel as such.  The function's loop thread.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "pcie-model/function.h"

#define MAGIC   UINT64_C(0x3154534543505452) /* "RTPCEST1" */
#define VERSION 1u

/* Same machine, but spelled out: a successor may be built elsewhere. */
struct state_header {
	le64 magic;
	le32 version;
	le32 header_bytes;
	char type[32];
	le64 pcie_bytes;
	le64 device_bytes;
	le32 bar_bytes[PCIE_BARS];
};

static_assert(sizeof(struct state_header) == 88, "state header");
static_assert(sizeof(struct pcie_config_space) == PCIE_CONFIG_BYTES,
	      "configuration space is bytes");

static struct state_header expected_header(const struct pcie_function *fn)
{
	struct state_header h = {
		.magic = le64_put(MAGIC),
		.version = le32_put(VERSION),
		.header_bytes = le32_put(sizeof h),
		.pcie_bytes = le64_put(sizeof(struct pcie_state)),
		.device_bytes = le64_put(fn->type->state_size),
	};

	for (unsigned int i = 0; i < PCIE_BARS; i++)
		h.bar_bytes[i] = le32_put(fn->identity.bars[i].size);
	strncpy(h.type, fn->type->name, sizeof h.type - 1);
	return h;
}

size_t pcie_function_save(struct pcie_function *fn, void *bytes, size_t size)
{
	struct state_header h = expected_header(fn);
	size_t needed = sizeof h + sizeof fn->state + fn->type->state_size;
	uint8_t *at = bytes;

	assert(fn->is_paused);
	if (size < needed)
		return needed;
	pcie_function_hold(fn);
	memcpy(at, &h, sizeof h);
	memcpy(at + sizeof h, &fn->state, sizeof fn->state);
	memcpy(at + sizeof h + sizeof fn->state, fn->device_state,
	       fn->type->state_size);
	pcie_function_let(fn);
	return needed;
}

static int take_state(struct pcie_function *fn, const uint8_t *bytes,
		      size_t size)
{
	struct state_header h = expected_header(fn);
	struct pcie_state saved;

	if (size != sizeof h + sizeof saved + fn->type->state_size ||
	    memcmp(bytes, &h, sizeof h) != 0)
		return -EINVAL;
	memcpy(&saved, bytes + sizeof h, sizeof saved);
	if (pcie_config_restore(fn, &saved.config) < 0)
		return -EINVAL;
	pcie_interrupt_restore(fn, &saved.interrupts);
	memcpy(fn->device_state, bytes + sizeof h + sizeof saved,
	       fn->type->state_size);
	return 0;
}

int pcie_function_restore(struct pcie_function *fn, const void *bytes,
			  size_t size)
{
	int error;

	assert(fn->is_paused);
	pcie_function_hold(fn);
	error = take_state(fn, bytes, size);
	fn->is_restored = !error;
	if (error)
		pcie_function_power_cycle(fn);
	pcie_function_let(fn);
	return error;
}
