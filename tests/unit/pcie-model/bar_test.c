/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/rt/bits.h"
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

TestSuite(pcie_bar, .init = start, .fini = stop);

static struct fake *fake(void)
{
	return fake_of(fn);
}

Test(pcie_bar, large_accesses_arrive_in_pieces)
{
	uint8_t data[32];

	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)i;
	pcie_region_write(fn, 2, 0x103, data, 20);
	cr_assert(fake()->write_count == 3);
	cr_expect(fake()->writes[0].offset == 0x103);
	cr_expect(fake()->writes[0].size == 5);
	cr_expect(fake()->writes[0].value == 0x0403020100);
	cr_expect(fake()->writes[1].offset == 0x108);
	cr_expect(fake()->writes[1].size == 8);
	cr_expect(fake()->writes[1].value == 0x0c0b0a0908070605);
	cr_expect(fake()->writes[2].size == 7);
	pcie_region_read(fn, 2, 0x103, data, 20);
	for (unsigned int i = 0; i < 20; i++)
		cr_expect(data[i] == (((0x103 + i) & 0xf) | 0x20));
}

Test(pcie_bar, small_accesses_arrive_whole_at_any_alignment)
{
	uint64_t value = 0x1122334455667788;

	pcie_region_write(fn, 0, 0x13, &value, 8);
	pcie_region_write(fn, 0, 0x0f, &value, 1);
	cr_assert(fake()->write_count == 2);
	cr_expect(fake()->writes[0].offset == 0x13);
	cr_expect(fake()->writes[0].size == 8);
	cr_expect(fake()->writes[0].value == value);
	cr_expect(fake()->writes[1].value == 0x88);
}

Test(pcie_bar, what_is_outside_reads_as_ones_and_ignores_writes)
{
	uint8_t data[16] = { 0 };

	pcie_region_read(fn, 2, 0xffffc, data, 16);
	cr_expect(memcmp(data, "\x2c\x2d\x2e\x2f", 4) == 0);
	for (unsigned int i = 4; i < 16; i++)
		cr_expect(data[i] == 0xff);
	pcie_region_write(fn, 2, 0xffffc, data, 16);
	cr_assert(fake()->write_count == 1);
	cr_expect(fake()->writes[0].size == 4);
	pcie_region_write(fn, 2, 0x100000, data, 16);
	pcie_region_write(fn, 2, UINT64_MAX - 3, data, 16);
	cr_expect(fake()->write_count == 1);
}

Test(pcie_bar, the_device_does_not_see_the_msix_table)
{
	uint8_t data[0x800] = { 0 };

	/* 70 entries end at 0x2460. */
	pcie_region_write(fn, 0, 0x2000, data, 0x460);
	cr_expect(fake()->write_count == 0);
	pcie_region_write(fn, 0, 0x245c, data, 8);
	cr_assert(fake()->write_count == 1);
	cr_expect(fake()->writes[0].offset == 0x2460);
	cr_expect(fake()->writes[0].size == 4);
	pcie_region_read(fn, 0, 0x2ff8, data, 0x20);
	cr_expect(fake()->read_count == 2, "%u", fake()->read_count);
	cr_expect(memcmp(data + 8, (uint8_t[16]){ 0 }, 16) == 0);
}

Test(pcie_bar, the_mapped_part_is_the_memory_that_a_client_maps)
{
	int fd = pcie_bar_fd(fn, 0);
	volatile uint32_t *client;
	uint32_t value = 0x12345678;
	struct stat st;

	cr_assert(fd >= 0);
	cr_expect(pcie_bar_fd(fn, 1) == -1);
	cr_expect(pcie_bar_fd(fn, 99) == -1);
	cr_expect_null((void *)pcie_bar_bytes(fn, 2));
	cr_assert(fstat(fd, &st) == 0);
	cr_expect(st.st_size == 0x4000);
	client = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		      0x1000);
	cr_assert((void *)client != MAP_FAILED);
	pcie_region_write(fn, 0, 0x1004, &value, 4);
	cr_expect(client[1] == value);
	cr_expect(fake()->write_count == 1, "the device is told");
	client[3] = 0xcafe;
	pcie_region_read(fn, 0, 0x100c, &value, 4);
	cr_expect(value == 0xcafe);
	cr_expect(fake()->read_count == 0);
	cr_expect(pcie_bar_bytes(fn, 0)[12] == 0xfe);
	pcie_region_write(fn, 0, 0x1011, &value, 3);
	cr_expect(client[4] == 0x00cafe00);
	munmap((void *)client, 0x1000);
}

Test(pcie_bar, a_client_cannot_change_the_memorys_size)
{
	int fd = pcie_bar_fd(fn, 0);

	cr_expect(ftruncate(fd, 0) < 0);
	cr_expect(ftruncate(fd, 0x8000) < 0);
	cr_expect(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0);
}

Test(pcie_bar, a_successor_adopts_the_memory_that_a_client_has_mapped)
{
	struct pcie_function *new = fake_create(NULL);
	RT_FD int loose = memfd_create("loose", MFD_CLOEXEC);
	uint32_t value = 0xabcd, seen = 0;

	pcie_region_write(fn, 0, 0x1000, &value, 4);
	cr_expect(pcie_bar_adopt(new, 0, pcie_bar_fd(fn, 0)) == 0);
	pcie_region_read(new, 0, 0x1000, &seen, 4);
	cr_expect(seen == value);
	value = 0x1234;
	pcie_region_write(new, 0, 0x1000, &value, 4);
	pcie_region_read(fn, 0, 0x1000, &seen, 4);
	cr_expect(seen == value);
	cr_assert(ftruncate(loose, 0x4000) == 0);
	cr_expect(pcie_bar_adopt(new, 0, loose) == -EINVAL);
	cr_expect(pcie_bar_adopt(new, 2, pcie_bar_fd(fn, 0)) == -EINVAL);
	cr_expect(pcie_bar_adopt(new, 6, pcie_bar_fd(fn, 0)) == -EINVAL);
	cr_expect(pcie_bar_adopt(new, 0, -1) == -EINVAL);
	fake_destroy(new);
}

Test(pcie_bar, a_reset_clears_the_mapped_part)
{
	uint32_t value = 1;

	pcie_region_write(fn, 0, 0x1000, &value, 4);
	pcie_function_reset(fn, PCIE_RESET_FLR, NULL, NULL);
	pcie_region_read(fn, 0, 0x1000, &value, 4);
	cr_expect(value == 0);
}

Test(pcie_bar, nothing_answers_in_d3hot)
{
	unsigned int status = fn->config_layout.express + PCI_EXP_DEVSTA;
	uint32_t value = 0;

	config_write(fn, fn->config_layout.pm + PCI_PM_CTRL, 2, 3);
	pcie_region_read(fn, 0, 0, &value, 4);
	cr_expect(value == UINT32_MAX);
	value = 0;
	pcie_region_read(fn, 0, 0x2000, &value, 4);
	cr_expect(value == UINT32_MAX);
	pcie_region_write(fn, 0, 0, &value, 4);
	cr_expect(fake()->write_count == 0 && fake()->read_count == 0);
	cr_expect(config_read(fn, status, 2) & PCI_EXP_DEVSTA_URD);
	config_write(fn, fn->config_layout.pm + PCI_PM_CTRL, 2, 0);
	pcie_region_read(fn, 0, 0, &value, 4);
	cr_expect(value == 0x03020100);
}

Test(pcie_bar, bar_values_and_memory_enable_do_not_gate_accesses)
{
	uint32_t value = 0;

	config_write(fn, 0x10, 4, 0xffffffff);
	pcie_region_read(fn, 0, 0, &value, 4);
	cr_expect(value == 0x03020100);
}
