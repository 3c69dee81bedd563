/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "tests/unit/pcie-model/fake_function.h"

static struct pcie_function *fn;
static unsigned int dones;

static void start(void)
{
	dones = 0;
	fn = fake_create(NULL);
}

static void stop(void)
{
	fake_destroy(fn);
}

TestSuite(pcie_function, .init = start, .fini = stop);

static void count_done(struct pcie_function *done_fn, void *opaque)
{
	(void)done_fn;
	(void)opaque;
	dones++;
}

static struct fake *fake(void)
{
	return fake_of(fn);
}

Test(pcie_function, is_reset_by_power_on_when_created)
{
	cr_expect(fake()->resets == 1);
	cr_expect(fake()->last_reason == PCIE_RESET_POWER_ON);
	cr_expect(fake()->quiesces == 0);
}

Test(pcie_function, a_reset_stops_the_device_first)
{
	fake()->holds_quiesce = true;
	pcie_function_reset(fn, PCIE_RESET_BUS, count_done, NULL);
	cr_expect(fake()->quiesces == 1);
	cr_expect(fake()->resets == 1);
	cr_expect(dones == 0);
	pcie_function_quiesced(fn);
	cr_expect(fake()->resets == 2);
	cr_expect(fake()->last_reason == PCIE_RESET_BUS);
	cr_expect(dones == 1);
}

Test(pcie_function, joined_resets_are_one_and_the_stronger_reason_wins)
{
	fake()->holds_quiesce = true;
	pcie_function_reset(fn, PCIE_RESET_FLR, NULL, NULL);
	pcie_function_reset(fn, PCIE_RESET_DETACH, count_done, NULL);
	pcie_function_reset(fn, PCIE_RESET_BUS, count_done, NULL);
	cr_expect(fake()->quiesces == 1);
	pcie_function_quiesced(fn);
	cr_expect(fake()->resets == 2);
	cr_expect(fake()->last_reason == PCIE_RESET_DETACH);
	cr_expect(dones == 2);
}

Test(pcie_function, an_answer_that_nobody_awaits_is_ignored)
{
	pcie_function_quiesced(fn);
	cr_expect(fake()->resets == 1);
}

Test(pcie_function, too_many_waiters_are_refused_but_the_reset_is_done)
{
	fake()->holds_quiesce = true;
	for (unsigned int i = 0; i < PCIE_WAITERS; i++)
		cr_expect(pcie_function_reset(fn, PCIE_RESET_FLR, count_done,
					      NULL) == 0);
	cr_expect(pcie_function_reset(fn, PCIE_RESET_BUS, count_done, NULL) ==
		  -EBUSY);
	pcie_function_quiesced(fn);
	cr_expect(dones == PCIE_WAITERS);
	cr_expect(fake()->last_reason == PCIE_RESET_BUS);
}

static void reset_again(struct pcie_function *done_fn, void *opaque)
{
	dones++;
	pcie_function_reset(done_fn, PCIE_RESET_CONTROL, opaque, NULL);
}

Test(pcie_function, a_waiter_may_reset_again)
{
	pcie_function_reset(fn, PCIE_RESET_FLR, reset_again, count_done);
	cr_expect(fake()->resets == 3);
	cr_expect(dones == 2);
	cr_expect(fake()->last_reason == PCIE_RESET_CONTROL);
}

Test(pcie_function, does_not_answer_while_it_is_reset)
{
	uint64_t value = 0;

	fake()->holds_quiesce = true;
	config_write(fn, fn->config_layout.express + PCI_EXP_DEVCTL, 2,
		     PCI_EXP_DEVCTL_BCR_FLR);
	cr_expect(config_read(fn, 0, 4) == 0xffffffff);
	config_write(fn, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	pcie_region_read(fn, 0, 0, &value, 8);
	cr_expect(value == UINT64_MAX);
	pcie_region_write(fn, 0, 0, &value, 8);
	cr_expect(fake()->write_count == 0 && fake()->read_count == 0);
	pcie_function_quiesced(fn);
	cr_expect(config_read(fn, 0, 4) == 0x80611d0f);
	cr_expect(config_read(fn, PCI_COMMAND, 2) == 0);
}

/* QEMU takes the interrupt pin from it next, however long a disk takes. */
Test(pcie_function, configuration_space_answers_during_a_bus_reset)
{
	uint32_t value = 0;

	config_write(fn, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	fake()->holds_quiesce = true;
	pcie_function_reset(fn, PCIE_RESET_BUS, NULL, NULL);
	cr_expect(config_read(fn, PCI_INTERRUPT_PIN, 1) == 1);
	cr_expect(config_read(fn, PCI_COMMAND, 2) == 0);
	config_write(fn, PCI_BASE_ADDRESS_0, 4, 0xfebf0000);
	pcie_region_read(fn, 0, 0, &value, 4);
	cr_expect(value == UINT32_MAX);
	pcie_function_quiesced(fn);
	cr_expect(config_read(fn, PCI_BASE_ADDRESS_0, 4) == 0xfebf0000);
}

Test(pcie_function, a_bus_reset_during_an_flr_makes_it_answer)
{
	fake()->holds_quiesce = true;
	pcie_function_reset(fn, PCIE_RESET_FLR, NULL, NULL);
	cr_expect(config_read(fn, 0, 4) == UINT32_MAX);
	pcie_function_reset(fn, PCIE_RESET_BUS, NULL, NULL);
	cr_expect(config_read(fn, 0, 4) == 0x80611d0f);
	pcie_function_quiesced(fn);
	cr_expect(fake()->resets == 2);
}

Test(pcie_function, a_pause_stops_without_a_reset)
{
	fake()->holds_quiesce = true;
	pcie_function_pause(fn, count_done, NULL);
	cr_expect(pcie_function_unpause(fn) == -EINVAL, "not yet");
	pcie_function_quiesced(fn);
	cr_expect(dones == 1);
	cr_expect(fake()->resets == 1);
	cr_expect(fn->is_paused);
	cr_expect(pcie_function_unpause(fn) == 0);
	cr_expect(fake()->resumes == 1);
	cr_expect(pcie_function_unpause(fn) == -EINVAL, "not twice");
}

Test(pcie_function, a_reset_during_a_pause_leaves_it_paused)
{
	fake()->holds_quiesce = true;
	pcie_function_pause(fn, count_done, NULL);
	pcie_function_reset(fn, PCIE_RESET_DETACH, count_done, NULL);
	pcie_function_quiesced(fn);
	cr_expect(fake()->resets == 2);
	cr_expect(dones == 2);
	cr_expect(fn->is_paused);
	pcie_function_reset(fn, PCIE_RESET_CONTROL, NULL, NULL);
	pcie_function_quiesced(fn);
	cr_expect(fn->is_paused);
}

Test(pcie_function, regions_that_do_not_exist_read_as_ones)
{
	static const unsigned int regions[] = { 1, 3, 5, 6, 8, 9, UINT32_MAX };
	uint32_t value;

	for (size_t i = 0; i < RT_COUNT(regions); i++) {
		value = 0;
		pcie_region_read(fn, regions[i], 0, &value, 4);
		cr_expect(value == UINT32_MAX, "region %u", regions[i]);
		pcie_region_write(fn, regions[i], 0, &value, 4);
	}
	cr_expect(fake()->write_count == 0);
}
