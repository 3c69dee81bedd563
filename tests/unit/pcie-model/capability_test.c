/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <linux/pci_regs.h>

#include "firmware/rt/scope.h"
#include "pcie-model/capability.h"
#include "tests/unit/pcie-model/fake_function.h"

static struct pcie_function *fn;

static void start(void)
{
	fn = fake_create(NULL);
}

static void stop(void)
{
	fake_destroy(fn);
}

TestSuite(pcie_capability, .init = start, .fini = stop);

static struct pcie_config_layout *at(void)
{
	return &fn->config_layout;
}

Test(pcie_capability, the_list_has_each_one_once_and_ends)
{
	static const unsigned int ids[] = { PCI_CAP_ID_PM, PCI_CAP_ID_MSI,
					    PCI_CAP_ID_EXP, PCI_CAP_ID_MSIX };
	unsigned int offset = config_read(fn, PCI_CAPABILITY_LIST, 1);

	for (size_t i = 0; i < RT_COUNT(ids); i++) {
		cr_assert(offset >= 0x40 && offset < 0x100 && offset % 4 == 0);
		cr_expect(config_read(fn, offset, 1) == ids[i]);
		offset = config_read(fn, offset + 1, 1);
	}
	cr_expect(offset == 0);
	cr_expect(config_read(fn, 0x100, 4) == (0x00020001 | 0x150 << 20));
	cr_expect(config_read(fn, 0x150, 4) == 0x00010003);
}

Test(pcie_capability, only_what_the_identity_offers_is_listed)
{
	struct pcie_identity id = fake_identity();
	struct pcie_function *bare;

	id.has_pm = id.has_aer = id.has_intx = false;
	id.msi_vectors = id.msix_vectors = 0;
	id.serial = 0;
	id.link_speed = id.link_width = 0;
	bare = fake_create(&id);
	cr_expect(config_read(bare, PCI_CAPABILITY_LIST, 1) == 0x40);
	cr_expect(config_read(bare, 0x40, 4) == 0x00020010);
	cr_expect(config_read(bare, 0x40 + PCI_EXP_LNKCAP, 4) == 0);
	cr_expect(config_read(bare, 0x100, 4) == 0);
	cr_expect(config_read(bare, PCI_INTERRUPT_PIN, 1) == 0);
	fake_destroy(bare);
}

Test(pcie_capability, a_serial_number_without_error_reporting_comes_first)
{
	struct pcie_identity id = fake_identity();
	struct pcie_function *plain;

	id.has_aer = false;
	plain = fake_create(&id);
	cr_expect(config_read(plain, 0x100, 4) == 0x00010003);
	cr_expect(config_read(plain, 0x104, 4) == 0x89abcdef);
	cr_expect(config_read(plain, 0x108, 4) == 0x01234567);
	fake_destroy(plain);
}

struct row {
	const char *what;
	uint16_t *base;
	unsigned int offset, size;
	uint32_t first, all_ones;
};

Test(pcie_capability, all_ones_written_find_the_writable_bits)
{
	const struct row rows[] = {
		{ "PMC", &at()->pm, PCI_PM_PMC, 2, 0xf803, 0xf803 },
		{ "MSI control", &at()->msi, 2, 2, 0x0186, 0x01b7 },
		{ "MSI address", &at()->msi, 4, 4, 0, 0xfffffffc },
		{ "MSI upper address", &at()->msi, 8, 4, 0, 0xffffffff },
		{ "MSI data", &at()->msi, 12, 4, 0, 0x0000ffff },
		{ "MSI mask", &at()->msi, 16, 4, 0, 0x000000ff },
		{ "MSI pending", &at()->msi, 20, 4, 0, 0 },
		{ "PCIe", &at()->express, 2, 2, 0x0002, 0x0002 },
		{ "DevCap", &at()->express, 4, 4, 0x10008021, 0x10008021 },
		{ "DevSta", &at()->express, 10, 2, 0, 0 },
		{ "LnkCap", &at()->express, 12, 4, 0x00400043, 0x00400043 },
		{ "LnkCtl", &at()->express, 16, 2, 0, 0x00cb },
		{ "LnkSta", &at()->express, 18, 2, 0x1043, 0x1043 },
		{ "DevCap2", &at()->express, 36, 4, 0x10, 0x10 },
		{ "DevCtl2", &at()->express, 40, 2, 0, 0x10 },
		{ "LnkCap2", &at()->express, 44, 4, 0x0e, 0x0e },
		{ "LnkCtl2", &at()->express, 48, 2, 3, 0x3f },
		{ "LnkSta2", &at()->express, 50, 2, 0x1e, 0x1e },
		{ "MSI-X control", &at()->msix, 2, 2, 69, 0xc000 | 69 },
		{ "MSI-X table", &at()->msix, 4, 4, 0x2000, 0x2000 },
		{ "MSI-X PBA", &at()->msix, 8, 4, 0x3000, 0x3000 },
		{ "UESta", &at()->aer, 4, 4, 0, 0 },
		{ "UEMsk", &at()->aer, 8, 4, 0, 0x001ff030 },
		{ "UESvrt", &at()->aer, 12, 4, 0x00062030, 0x001ff030 },
		{ "CESta", &at()->aer, 16, 4, 0, 0 },
		{ "CEMsk", &at()->aer, 20, 4, 0x2000, 0x31c1 },
		{ "AERCap", &at()->aer, 24, 4, 0, 0 },
		{ "serial", &at()->serial, 4, 4, 0x89abcdef, 0x89abcdef },
	};

	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		unsigned int where = *rows[i].base + rows[i].offset;
		unsigned int size = rows[i].size;

		cr_expect(config_read(fn, where, size) == rows[i].first,
			  "%s: %#x at first", rows[i].what,
			  config_read(fn, where, size));
		config_write(fn, where, size, 0xffffffff);
		cr_expect(config_read(fn, where, size) == rows[i].all_ones,
			  "%s: %#x after ones", rows[i].what,
			  config_read(fn, where, size));
	}
}

Test(pcie_capability, initiate_flr_resets_once_and_reads_zero)
{
	unsigned int control = at()->express + PCI_EXP_DEVCTL;

	cr_expect(config_read(fn, control, 2) == 0x2810);
	config_write(fn, control, 2, 0xa83f);
	cr_expect(fake_of(fn)->last_reason == PCIE_RESET_FLR);
	cr_expect(fake_of(fn)->resets == 2, "power on and FLR");
	/* Max_Payload_Size stays, the rest is as at first. */
	cr_expect(config_read(fn, control, 2) == 0x2830, "%#x",
		  config_read(fn, control, 2));
}

Test(pcie_capability, flr_can_be_initiated_by_its_byte_alone)
{
	config_write(fn, at()->express + PCI_EXP_DEVCTL + 1, 1, 0xa8);
	cr_expect(fake_of(fn)->last_reason == PCIE_RESET_FLR);
}

Test(pcie_capability, device_control_without_flr_does_not_reset)
{
	config_write(fn, at()->express + PCI_EXP_DEVCTL, 2, 0x5957);
	config_write(fn, at()->express + PCI_EXP_DEVCTL, 1, 0xff);
	cr_expect(fake_of(fn)->resets == 1);
}

Test(pcie_capability, transactions_are_pending_while_the_function_stops)
{
	unsigned int status = at()->express + PCI_EXP_DEVSTA;

	cr_expect(!(config_read(fn, status, 2) & PCI_EXP_DEVSTA_TRPND));
	fake_of(fn)->holds_quiesce = true;
	pcie_function_pause(fn, NULL, NULL);
	cr_expect(config_read(fn, status, 2) & PCI_EXP_DEVSTA_TRPND);
	pcie_function_quiesced(fn);
	cr_expect(!(config_read(fn, status, 2) & PCI_EXP_DEVSTA_TRPND));
}

static unsigned int power_state(void)
{
	return config_read(fn, at()->pm + PCI_PM_CTRL, 2) & 3;
}

static void set_power_state(unsigned int state)
{
	config_write(fn, at()->pm + PCI_PM_CTRL, 2, state);
}

Test(pcie_capability, waking_up_from_d3hot_is_a_reset)
{
	config_write(fn, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	set_power_state(3);
	cr_expect(power_state() == 3);
	cr_expect(fake_of(fn)->resets == 1);
	set_power_state(0);
	cr_expect(power_state() == 0);
	cr_expect(fake_of(fn)->last_reason == PCIE_RESET_POWER);
	cr_expect(config_read(fn, PCI_COMMAND, 2) == 0);
}

Test(pcie_capability, states_that_do_not_exist_are_not_entered)
{
	set_power_state(1);
	cr_expect(power_state() == 0);
	set_power_state(2);
	cr_expect(power_state() == 0);
	set_power_state(3);
	set_power_state(2);
	cr_expect(power_state() == 3);
	cr_expect(fake_of(fn)->resets == 1);
	cr_expect(rt_counter_read(
			  &fn->bus_rule_records[PCIE_RULE_PM_STATE].count) ==
		  3);
}

Test(pcie_capability, pme_status_is_kept_by_an_flr)
{
	unsigned int control = at()->pm + PCI_PM_CTRL;

	pcie_config_set(fn, control, 2, 0x8100);
	pcie_function_reset(fn, PCIE_RESET_FLR, NULL, NULL);
	cr_expect(config_read(fn, control, 2) == 0x8100);
	config_write(fn, control, 2, 0x8000);
	cr_expect(config_read(fn, control, 2) == 0);
}

Test(pcie_capability, more_messages_than_offered_are_as_many_as_offered)
{
	unsigned int control = at()->msi + PCI_MSI_FLAGS;

	config_write(fn, control, 2, 5 << 4);
	cr_expect(config_read(fn, control, 2) == (0x0186 | 3 << 4));
	cr_expect(pcie_msi_allocated(fn) == 8);
	config_write(fn, control, 2, 1 << 4);
	cr_expect(pcie_msi_allocated(fn) == 2);
}
