/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A long random walk through everything that clients, guests and devices can do
 * to a function, with what must hold after each step.  The seed is fixed: a
 * walk that fails can be walked again.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "tests/unit/pcie-model/fake_function.h"

#define STEPS 60000u

static struct pcie_function *fn;
static int events[8];
static uint64_t seed;

static uint32_t dice(uint32_t sides)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(seed >> 33) % sides;
}

static void config_access(void)
{
	static const uint16_t favourites[] = { 0x04, 0x10, 0x18, 0x3c, 0x44,
					       0x52, 0x60, 0x78, 0x7a, 0xb2 };
	uint8_t data[16];
	uint64_t offset =
		dice(2) ? favourites[dice(RT_COUNT(favourites))] : dice(4200);
	size_t size = 1 + dice(dice(8) ? 4 : 16);

	for (size_t i = 0; i < size; i++)
		data[i] = dice(3) ? (uint8_t)dice(256) : 0;
	/* Most walks should not end in D3hot or a reset at once. */
	if (offset <= 0x79 && offset + size > 0x79 && dice(8))
		data[0x79 - offset] &= 0x7f;
	if (dice(4))
		pcie_region_write(fn, PCIE_CONFIG_REGION, offset, data, size);
	else
		pcie_region_read(fn, PCIE_CONFIG_REGION, offset, data, size);
}

static void bar_access(void)
{
	uint8_t data[64];
	unsigned int bar = dice(8);
	uint64_t offset = dice(2) ? 0x2000 + dice(0x480) : dice(0x4100);
	size_t size = dice(4) ? 4 : dice(64);

	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)dice(256);
	if (dice(2))
		pcie_region_write(fn, bar, offset, data, size);
	else
		pcie_region_read(fn, bar, offset, data, size);
}

static void mask_vector(void)
{
	uint8_t control[4] = { (uint8_t)dice(2) };

	pcie_region_write(fn, 0, 0x2000 + 16 * dice(10) + 12, control, 4);
}

static void raise_interrupt(void)
{
	if (dice(2))
		pcie_interrupt_raise(fn, dice(4) ? dice(10) : dice(72));
	else
		pcie_intx_set(fn, dice(2));
}

static void set_irqs(void)
{
	uint32_t flags = dice(4) ? 1u << dice(3) | 8u << dice(3) : dice(64);
	uint8_t bools[16];
	int fds[16];

	for (size_t i = 0; i < RT_COUNT(fds); i++) {
		fds[i] = dice(4) ? events[dice(RT_COUNT(events))] : -1;
		bools[i] = dice(2) != 0;
	}
	/* Without a loop nothing can wait for an eventfd that unmasks. */
	pcie_interrupt_set(fn, flags, dice(6), dice(4) ? 0 : dice(80), dice(17),
			   bools, dice(4) ? fds : NULL);
}

static void reset_or_pause(void)
{
	switch (dice(6)) {
	case 0:
		pcie_function_reset(fn, 1 + dice(5), NULL, NULL);
		break;
	case 1:
		pcie_function_pause(fn, NULL, NULL);
		break;
	case 2:
		pcie_function_unpause(fn);
		break;
	case 3:
		fake_of(fn)->holds_quiesce = dice(2);
		break;
	case 4:
		pcie_interrupt_drop(fn);
		break;
	default:
		pcie_function_quiesced(fn);
	}
}

static void save_and_restore(void)
{
	static uint8_t bytes[32768];
	size_t size;

	if (!fn->is_paused || fn->is_quiescing || dice(8))
		return;
	size = pcie_function_save(fn, bytes, sizeof bytes);
	cr_assert(size <= sizeof bytes);
	cr_assert(pcie_function_restore(fn, bytes, size) == 0);
}

static void step(void)
{
	static void (*const kinds[])(
		void) = { mask_vector,   raise_interrupt, config_access,
			  config_access, bar_access,      raise_interrupt,
			  set_irqs,      reset_or_pause,  save_and_restore };

	kinds[dice(RT_COUNT(kinds))]();
}

static void expect_read_only_bits(unsigned int n)
{
	const struct pcie_config_layout *l = &fn->config_layout;

	for (size_t i = 0; i < PCIE_CONFIG_BYTES; i++) {
		uint8_t live = l->writable[i] | l->w1c[i] | l->sticky[i];
		uint8_t changed = fn->state.config.bytes[i] ^ l->initial[i];

		cr_assert(!(changed & ~live), "step %u: byte %#zx", n, i);
	}
}

static bool may_send(bool is_enabled)
{
	bool asleep =
		(pcie_config_get(fn, fn->config_layout.pm + PCI_PM_CTRL, 2) &
		 3) == 3;
	bool master = pcie_config_get(fn, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;

	return !asleep && (master || !is_enabled);
}

/* An interrupt is pending only for a reason. */
static void expect_reason_to_wait(unsigned int n)
{
	const struct pcie_interrupt_state *s = &fn->state.interrupts;
	uint32_t flags =
		pcie_config_get(fn, fn->config_layout.msix + PCI_MSIX_FLAGS, 2);
	bool may = may_send(flags & PCI_MSIX_FLAGS_ENABLE) &&
		   !(flags & PCI_MSIX_FLAGS_MASKALL);

	if (pcie_interrupt_mode(fn) != PCIE_MSIX)
		return;
	for (unsigned int v = 0; v < fn->identity.msix_vectors; v++) {
		bool is_masked = (s->msix_mask_written[v / 64] >> v % 64 & 1) &&
				 (s->msix_table[v][12] & 1);

		if (!(s->msix_pending[v / 64] >> v % 64 & 1))
			continue;
		cr_assert(!may || is_masked || fn->interrupts.msix_fds[v] < 0,
			  "step %u: vector %u is stuck", n, v);
	}
}

static void expect_pin_told(unsigned int n)
{
	const struct pcie_interrupt_state *s = &fn->state.interrupts;
	uint32_t command = pcie_config_get(fn, PCI_COMMAND, 2);

	cr_assert(!s->intx_level || s->intx_masked ||
			  fn->interrupts.intx_fd < 0 ||
			  (command & PCI_COMMAND_INTX_DISABLE) ||
			  !may_send(false) ||
			  pcie_interrupt_mode(fn) != PCIE_INTX,
		  "step %u: the pin is stuck", n);
}

static void expect_mode_told(unsigned int n)
{
	cr_assert(fn->interrupts.told_mode == pcie_interrupt_mode(fn),
		  "step %u: the device was not told of the mode", n);
}

static void expect_interrupts_told(unsigned int n)
{
	/* A reset drops them all when it is done. */
	if (fn->wants_reset)
		return;
	expect_reason_to_wait(n);
	expect_pin_told(n);
	expect_mode_told(n);
}

static void expect_state_of_stopping(unsigned int n)
{
	cr_assert(!fn->wants_reset || fn->is_quiescing, "step %u", n);
	cr_assert(!fn->wants_pause || fn->is_quiescing, "step %u", n);
	cr_assert(fn->waiter_count == 0, "step %u", n);
}

static void walk(uint64_t with_seed)
{
	seed = with_seed;
	fn = fake_create(NULL);
	for (unsigned int n = 0; n < STEPS; n++) {
		step();
		expect_interrupts_told(n);
		expect_state_of_stopping(n);
		if (n % 64 == 0)
			expect_read_only_bits(n);
	}
	fake_of(fn)->holds_quiesce = false;
	pcie_function_quiesced(fn);
	fake_destroy(fn);
}

Test(pcie_walk, nothing_gets_stuck_or_changes_that_may_not, .timeout = 60)
{
	for (size_t i = 0; i < RT_COUNT(events); i++)
		events[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (uint64_t with_seed = 1; with_seed <= 4; with_seed++)
		walk(with_seed);
	for (size_t i = 0; i < RT_COUNT(events); i++)
		close(events[i]);
}
