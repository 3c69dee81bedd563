/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "pcie-model/regs.h"

static struct {
	unsigned int calls;
	uint64_t before, written;
} seen;

static void note(struct pcie_function *fn, uint64_t before, uint64_t written)
{
	(void)fn;
	seen.calls++;
	seen.before = before;
	seen.written = written;
}

/* name, offset, size, reset, writable, w1c, hook */
static const struct pcie_reg regs[] = {
	{ "A", 0x00, 8, 0x1122334455667788, 0, 0, NULL },
	{ "B", 0x08, 4, 0xaabbccdd, 0x00ffff00, 0, note },
	{ "C", 0x0c, 4, 0xffffffff, 0x0000000f, 0xff000000, note },
	{ "D", 0x20, 8, 0, UINT64_MAX, 0, note },
};

static uint8_t store[0x28];

static void start(void)
{
	memset(store, 0, sizeof store);
	memset(&seen, 0, sizeof seen);
	pcie_regs_reset(regs, RT_COUNT(regs), store);
}

static uint64_t get(uint64_t offset, unsigned int size)
{
	return pcie_regs_read(regs, RT_COUNT(regs), store, offset, size);
}

static void put(uint64_t offset, unsigned int size, uint64_t value)
{
	pcie_regs_write(NULL, regs, RT_COUNT(regs), store, offset, size, value);
}

TestSuite(pcie_regs, .init = start);

Test(pcie_regs, read_any_bytes_across_registers_and_gaps)
{
	static const struct {
		uint64_t offset;
		unsigned int size;
		uint64_t value;
	} rows[] = {
		{ 0x00, 8, 0x1122334455667788 },
		{ 0x00, 4, 0x55667788 },
		{ 0x04, 4, 0x11223344 },
		{ 0x03, 1, 0x55 },
		{ 0x06, 4, 0xccdd1122 },
		{ 0x08, 8, 0xffffffffaabbccdd },
		{ 0x0e, 8, 0xffff },
		{ 0x10, 8, 0 },
		{ 0x1c, 8, 0 },
		{ 0x100, 4, 0 },
		{ UINT64_MAX - 2, 8, 0 },
	};

	for (size_t i = 0; i < RT_COUNT(rows); i++)
		cr_expect(get(rows[i].offset, rows[i].size) == rows[i].value,
			  "%#lx/%u: %#lx", rows[i].offset, rows[i].size,
			  get(rows[i].offset, rows[i].size));
}

Test(pcie_regs, read_only_bits_keep_their_value)
{
	put(0x00, 8, 0);
	put(0x08, 4, 0);
	cr_expect(get(0x00, 8) == 0x1122334455667788);
	cr_expect(get(0x08, 4) == 0xaa0000dd);
}

Test(pcie_regs, bytes_outside_the_access_stay)
{
	put(0x09, 1, 0x11);
	cr_expect(get(0x08, 4) == 0xaabb11dd);
	cr_expect(seen.calls == 1);
	cr_expect(seen.before == 0xaabbccdd);
	cr_expect(seen.written == 0xaabb11dd);
}

Test(pcie_regs, writing_one_clears_only_where_one_is_written)
{
	put(0x0c, 4, 0x0f000005);
	cr_expect(get(0x0c, 4) == 0xf0fffff5, "%#lx", get(0x0c, 4));
}

Test(pcie_regs, lanes_that_are_not_written_clear_nothing)
{
	put(0x0c, 1, 0);
	cr_expect(get(0x0c, 4) == 0xfffffff0);
}

Test(pcie_regs, hooks_run_for_each_register_that_is_touched)
{
	put(0x08, 8, 0x0000000000123400);
	cr_expect(seen.calls == 2);
	cr_expect(get(0x08, 4) == 0xaa1234dd);
	put(0x10, 8, 1);
	cr_expect(seen.calls == 2, "a gap has no hook");
}

Test(pcie_regs, wide_registers_can_be_written_by_halves)
{
	put(0x24, 4, 0x89abcdef);
	put(0x20, 4, 0x01234567);
	cr_expect(get(0x20, 8) == 0x89abcdef01234567);
	cr_expect(seen.before == 0x89abcdef00000000);
	cr_expect(seen.written == 0x89abcdef01234567);
}
