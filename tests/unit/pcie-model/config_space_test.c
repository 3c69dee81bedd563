/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
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

TestSuite(pcie_config_space, .init = start, .fini = stop);

struct row {
	const char *what;
	unsigned int offset, size;
	uint32_t value;
};

Test(pcie_config_space, shows_the_identity)
{
	static const struct row rows[] = {
		{ "vendor", 0x00, 2, 0x1d0f },
		{ "device", 0x02, 2, 0x8061 },
		{ "command", 0x04, 2, 0 },
		{ "status", 0x06, 2, 0x0010 },
		{ "revision and class", 0x08, 4, 0x01080207 },
		{ "header type", 0x0e, 1, 0 },
		{ "BAR 0", 0x10, 4, 0 },
		{ "BAR 1", 0x14, 4, 0 },
		{ "BAR 2", 0x18, 4, 0x0c },
		{ "subsystem", 0x2c, 4, 0x12341d0f },
		{ "ROM", 0x30, 4, 0 },
		{ "capabilities", 0x34, 1, 0x40 },
		{ "interrupt pin", 0x3d, 1, 1 },
	};

	for (size_t i = 0; i < RT_COUNT(rows); i++)
		cr_expect(config_read(fn, rows[i].offset, rows[i].size) ==
				  rows[i].value,
			  "%s: %#x", rows[i].what,
			  config_read(fn, rows[i].offset, rows[i].size));
}

Test(pcie_config_space, all_ones_written_find_the_writable_bits)
{
	static const struct row rows[] = {
		{ "identity", 0x00, 4, 0x80611d0f },
		{ "command: no I/O space", 0x04, 2, 0x0546 },
		{ "class", 0x08, 4, 0x01080207 },
		{ "cache line size", 0x0c, 1, 0xff },
		{ "latency timer", 0x0d, 1, 0 },
		{ "header type, BIST", 0x0e, 2, 0 },
		{ "BAR 0: 16 KiB", 0x10, 4, 0xffffc000 },
		{ "BAR 1: none", 0x14, 4, 0 },
		{ "BAR 2: 1 MiB, 64 bits", 0x18, 4, 0xfff0000c },
		{ "BAR 2, upper half", 0x1c, 4, 0xffffffff },
		{ "BAR 4: none", 0x20, 4, 0 },
		{ "ROM: none", 0x30, 4, 0 },
		{ "interrupt line", 0x3c, 1, 0xff },
		{ "interrupt pin", 0x3d, 1, 1 },
	};

	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		config_write(fn, rows[i].offset, rows[i].size, 0xffffffff);
		cr_expect(config_read(fn, rows[i].offset, rows[i].size) ==
				  rows[i].value,
			  "%s: %#x", rows[i].what,
			  config_read(fn, rows[i].offset, rows[i].size));
	}
}

Test(pcie_config_space, error_bits_of_status_are_cleared_by_writing_one)
{
	pcie_config_set(fn, PCI_STATUS, 2, 0xf910);
	config_write(fn, PCI_STATUS, 2, 0x8010);
	cr_expect(config_read(fn, PCI_STATUS, 2) == 0x7910);
	config_write(fn, PCI_STATUS, 2, 0xffff);
	cr_expect(config_read(fn, PCI_STATUS, 2) == 0x0010);
}

Test(pcie_config_space, bars_take_single_bytes)
{
	config_write(fn, 0x13, 1, 0xfe);
	cr_expect(config_read(fn, 0x10, 4) == 0xfe000000);
	config_write(fn, 0x11, 1, 0xff);
	cr_expect(config_read(fn, 0x10, 4) == 0xfe00c000);
}

Test(pcie_config_space, status_shows_the_pin)
{
	pcie_intx_set(fn, true);
	cr_expect(config_read(fn, PCI_STATUS, 2) == 0x0018);
	cr_expect(config_read(fn, PCI_STATUS, 1) == 0x18);
	cr_expect(config_read(fn, PCI_STATUS + 1, 1) == 0);
	pcie_intx_set(fn, false);
	cr_expect(config_read(fn, PCI_STATUS, 2) == 0x0010);
}

Test(pcie_config_space, any_size_at_any_offset_is_harmless)
{
	static uint8_t ones[9000], data[9000];

	memset(ones, 0xff, sizeof ones);
	for (uint64_t offset = 0; offset < 4200; offset += 13)
		for (size_t size = 0; size < 4200; size += 257) {
			pcie_region_write(fn, PCIE_CONFIG_REGION, offset, ones,
					  size);
			pcie_region_read(fn, PCIE_CONFIG_REGION, offset, data,
					 size);
		}
	pcie_region_read(fn, PCIE_CONFIG_REGION, UINT64_MAX, data, 8);
	pcie_region_write(fn, PCIE_CONFIG_REGION, UINT64_MAX - 1, ones, 8);
	cr_expect(config_read(fn, 0, 4) == 0x80611d0f);
}

Test(pcie_config_space, bytes_outside_read_as_ones)
{
	uint8_t data[8] = { 0 };

	pcie_region_read(fn, PCIE_CONFIG_REGION, 4092, data, 8);
	cr_expect(memcmp(data, "\0\0\0\0\xff\xff\xff\xff", 8) == 0);
	cr_expect(config_read(fn, 4096, 4) == 0xffffffff);
}

Test(pcie_config_space, bus_master_follows_its_bit_and_the_power_state)
{
	uint16_t pm = fn->config_layout.pm;

	cr_expect(!pcie_bus_master_is_on(fn));
	config_write(fn, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	cr_expect(pcie_bus_master_is_on(fn));
	config_write(fn, pm + PCI_PM_CTRL, 2, 3);
	cr_expect(!pcie_bus_master_is_on(fn));
}

static void set_everything(void)
{
	config_write(fn, PCI_COMMAND, 2, 0x0546);
	config_write(fn, PCI_CACHE_LINE_SIZE, 1, 16);
	config_write(fn, 0x10, 4, 0xfebf0000);
	config_write(fn, 0x18, 4, 0x00100000);
	config_write(fn, 0x1c, 4, 0x00000038);
	config_write(fn, PCI_INTERRUPT_LINE, 1, 11);
}

Test(pcie_config_space, flr_clears_control_but_keeps_bars)
{
	set_everything();
	pcie_function_reset(fn, PCIE_RESET_FLR, NULL, NULL);
	cr_expect(config_read(fn, PCI_COMMAND, 2) == 0);
	cr_expect(config_read(fn, PCI_CACHE_LINE_SIZE, 1) == 0);
	cr_expect(config_read(fn, PCI_INTERRUPT_LINE, 1) == 0);
	cr_expect(config_read(fn, 0x10, 4) == 0xfebf0000);
	cr_expect(config_read(fn, 0x18, 4) == 0x0010000c);
	cr_expect(config_read(fn, 0x1c, 4) == 0x00000038);
}

Test(pcie_config_space, the_operators_reset_leaves_all)
{
	uint8_t before[4096], now[4096];

	set_everything();
	pcie_region_read(fn, PCIE_CONFIG_REGION, 0, before, 4096);
	pcie_function_reset(fn, PCIE_RESET_CONTROL, NULL, NULL);
	pcie_region_read(fn, PCIE_CONFIG_REGION, 0, now, 4096);
	cr_expect(memcmp(before, now, 4096) == 0);
}

Test(pcie_config_space, bus_reset_leaves_nothing)
{
	uint8_t at_first[4096], now[4096];

	pcie_region_read(fn, PCIE_CONFIG_REGION, 0, at_first, 4096);
	set_everything();
	pcie_function_reset(fn, PCIE_RESET_BUS, NULL, NULL);
	pcie_region_read(fn, PCIE_CONFIG_REGION, 0, now, 4096);
	cr_expect(memcmp(at_first, now, 4096) == 0);
}

struct unsound {
	const char *what;
	void (*spoil)(struct pcie_identity *id);
};

#define SPOIL(name, statement)                                                 \
	static void name(struct pcie_identity *id)                             \
	{                                                                      \
		statement;                                                     \
	}
SPOIL(odd_size, id->bars[0].size = 0x3000)
SPOIL(tiny_bar, id->bars[3].size = 8)
SPOIL(wide_last_bar, id->bars[5].size = 4096; id->bars[5].is_64bit = true)
SPOIL(upper_half_taken, id->bars[3].size = 4096)
SPOIL(mapped_unaligned, id->bars[0].mapped_offset = 0x800)
SPOIL(mapped_outside, id->bars[0].mapped_offset = 0x4000)
SPOIL(table_outside, id->msix_table_offset = 0x3ff8)
SPOIL(table_unaligned, id->msix_table_offset = 0x2004)
SPOIL(table_on_pending, id->msix_pba_offset = 0x2010)
SPOIL(table_in_mapped, id->msix_table_offset = 0x1000)
SPOIL(table_without_bar, id->msix_bar = 1)
SPOIL(bar_number, id->msix_bar = 6)
SPOIL(too_many_vectors, id->msix_vectors = PCIE_MSIX_MAX_VECTORS + 1)
SPOIL(msi_not_power, id->msi_vectors = 3)
SPOIL(msi_too_many, id->msi_vectors = 64)
SPOIL(class_too_long, id->class_code = 0x1000000)

Test(pcie_config_space, an_identity_that_contradicts_itself_is_refused)
{
	static const struct unsound rows[] = {
		{ "BAR size", odd_size },
		{ "tiny BAR", tiny_bar },
		{ "last BAR of 64 bits", wide_last_bar },
		{ "upper half taken", upper_half_taken },
		{ "mapped part unaligned", mapped_unaligned },
		{ "mapped part outside", mapped_outside },
		{ "table outside", table_outside },
		{ "table unaligned", table_unaligned },
		{ "table on pending bits", table_on_pending },
		{ "table in mapped part", table_in_mapped },
		{ "table in no BAR", table_without_bar },
		{ "BAR number", bar_number },
		{ "too many vectors", too_many_vectors },
		{ "MSI not a power of two", msi_not_power },
		{ "MSI too many", msi_too_many },
		{ "class", class_too_long },
	};

	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		struct pcie_identity id = fake_identity();
		struct pcie_function *refused = NULL;
		struct rt_error error = { 0 };

		rows[i].spoil(&id);
		cr_expect(pcie_function_create(&fake_type, "fake1", NULL, &id,
					       &refused, &error) == -EINVAL,
			  "%s", rows[i].what);
		cr_expect(error.text[0], "%s", rows[i].what);
		cr_expect_null(refused);
	}
}
