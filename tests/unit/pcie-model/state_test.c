/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "tests/unit/pcie-model/fake_function.h"

static struct pcie_function *old, *new;
static uint8_t bytes[65536];
static size_t size;

static void start(void)
{
	old = fake_create(NULL);
	new = fake_create(NULL);
}

static void stop(void)
{
	fake_destroy(old);
	fake_destroy(new);
}

TestSuite(pcie_state, .init = start, .fini = stop);

static void save(void)
{
	pcie_function_pause(old, NULL, NULL);
	size = pcie_function_save(old, bytes, sizeof bytes);
	cr_assert(size <= sizeof bytes);
}

static int restore(void)
{
	if (!new->is_paused)
		pcie_function_pause(new, NULL, NULL);
	return pcie_function_restore(new, bytes, size);
}

Test(pcie_state, a_successor_goes_on_where_the_other_stopped)
{
	struct fake_state *state = old->device_state;
	uint8_t was[4096], is[4096];

	state->word = 0x1122334455667788;
	config_write(old, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	config_write(old, 0x10, 4, 0xfebf0000);
	config_write(old, old->config_layout.msix + 2, 2, 0xc000);
	pcie_interrupt_raise(old, 33);
	pcie_intx_set(old, true);
	save();
	cr_expect(restore() == 0);
	pcie_function_unpause(old);
	pcie_region_read(old, PCIE_CONFIG_REGION, 0, was, sizeof was);
	cr_expect(pcie_function_unpause(new) == 0);
	pcie_region_read(new, PCIE_CONFIG_REGION, 0, is, sizeof is);
	cr_expect(memcmp(was, is, sizeof was) == 0);
	state = new->device_state;
	cr_expect(state->word == 0x1122334455667788);
	cr_expect(fake_of(new)->resumes == 1);
	pcie_region_read(new, 0, 0x3000, is, 8);
	cr_expect(le_load(is, 8) == UINT64_C(1) << 33);
}

Test(pcie_state, a_latched_interrupt_fires_at_the_successors_eventfd)
{
	RT_FD int fd = eventfd(0, EFD_NONBLOCK);
	uint64_t count = 0;

	config_write(old, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	config_write(old, old->config_layout.msix + 2, 2, 0x8000);
	pcie_interrupt_raise(old, 2);
	save();
	restore();
	pcie_function_unpause(new);
	cr_expect(pcie_interrupt_set(new,
				     VFIO_IRQ_SET_DATA_EVENTFD |
					     VFIO_IRQ_SET_ACTION_TRIGGER,
				     PCIE_MSIX, 2, 1, NULL, &fd) == 0);
	cr_expect(read(fd, &count, sizeof count) == sizeof count);
	cr_expect(count == 1);
}

Test(pcie_state, too_little_room_tells_the_size_and_writes_nothing)
{
	uint8_t few[16] = { 0 };

	save();
	cr_expect(pcie_function_save(old, few, sizeof few) == size);
	cr_expect(memcmp(few, (uint8_t[16]){ 0 }, 16) == 0);
}

static void expect_power_on(const char *what)
{
	cr_expect(config_read(new, PCI_COMMAND, 2) == 0, "%s", what);
	cr_expect(fake_of(new)->last_reason == PCIE_RESET_POWER_ON, "%s", what);
}

Test(pcie_state, foreign_bytes_are_refused_and_leave_power_on)
{
	static const struct {
		const char *what;
		size_t offset;
	} rows[] = {
		{ "magic", 0 },
		{ "version", 8 },
		{ "type", 16 },
		{ "size", 48 },
		{ "vendor id", 88 },
		{ "capability offset", 88 + 0x34 },
		{ "read-only zero", 88 + 4095 },
	};

	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		config_write(new, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
		pcie_function_reset(new, PCIE_RESET_BUS, NULL, NULL);
		save();
		bytes[rows[i].offset] ^= 0x20;
		cr_expect(restore() == -EINVAL, "%s", rows[i].what);
		expect_power_on(rows[i].what);
	}
	save();
	size--;
	cr_expect(restore() == -EINVAL);
	size = 0;
	cr_expect(restore() == -EINVAL);
}

Test(pcie_state, the_state_of_another_identity_is_refused)
{
	struct pcie_identity id = fake_identity();

	fake_destroy(new);
	id.bars[0].size = 0x8000;
	new = fake_create(&id);
	save();
	cr_expect(restore() == -EINVAL);
}

Test(pcie_state, a_device_that_cannot_resume_is_as_after_power_on)
{
	struct fake_state *state = old->device_state;

	state->word = 1;
	config_write(old, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	save();
	cr_expect(restore() == 0);
	fake_of(new)->resume_result = -EINVAL;
	cr_expect(pcie_function_unpause(new) == -EINVAL);
	expect_power_on("resume");
	state = new->device_state;
	cr_expect(state->word == 0);
}

/* Random damage behind the header: never a crash, and never a state that the
 * function could not have come to by itself. */
Test(pcie_state, hostile_bytes_do_no_harm)
{
	uint8_t intact[sizeof bytes], data[4096];

	srand(1);
	save();
	memcpy(intact, bytes, size);
	for (unsigned int round = 0; round < 500; round++) {
		memcpy(bytes, intact, size);
		for (unsigned int i = 0; i < 20; i++)
			bytes[88 + PCIE_CONFIG_BYTES +
			      rand() % (size - 88 - PCIE_CONFIG_BYTES)] =
				(uint8_t)rand();
		cr_assert(restore() == 0);
		pcie_function_unpause(new);
		pcie_interrupt_raise(new, 0);
		pcie_intx_set(new, false);
		pcie_region_read(new, PCIE_CONFIG_REGION, 0, data, 4096);
		cr_expect(new->state.interrupts.intx_masked <= 1);
		cr_expect(!(new->state.interrupts.msix_pending[1] >> 6));
		cr_expect(!new->state.interrupts.msix_pending[2]);
	}
}
