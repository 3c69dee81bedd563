/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"
#include "tests/unit/pcie-model/fake_function.h"

#define NONE    VFIO_IRQ_SET_DATA_NONE
#define BOOL    VFIO_IRQ_SET_DATA_BOOL
#define EVENTFD VFIO_IRQ_SET_DATA_EVENTFD
#define MASK    VFIO_IRQ_SET_ACTION_MASK
#define UNMASK  VFIO_IRQ_SET_ACTION_UNMASK
#define TRIGGER VFIO_IRQ_SET_ACTION_TRIGGER

static struct pcie_function *fn;
static int events[80];

static void start(void)
{
	fn = fake_create(NULL);
	for (size_t i = 0; i < RT_COUNT(events); i++)
		events[i] = eventfd(0, EFD_CLOEXEC);
}

static void stop(void)
{
	fake_destroy(fn);
	for (size_t i = 0; i < RT_COUNT(events); i++)
		close(events[i]);
}

TestSuite(pcie_interrupt, .init = start, .fini = stop);

static int set(uint32_t flags, uint32_t index, uint32_t first, uint32_t count,
	       const int *fds)
{
	static const uint8_t bools[4] = { 0, 1, 0, 1 };

	return pcie_interrupt_set(fn, flags, index, first, count, bools, fds);
}

static void give(uint32_t index, uint32_t first, uint32_t count)
{
	cr_assert(set(EVENTFD | TRIGGER, index, first, count, events + first) ==
		  0);
}

static void take_all(uint32_t index)
{
	cr_assert(set(NONE | TRIGGER, index, 0, 0, NULL) == 0);
}

/* How often an eventfd was signalled since last asked. */
static uint64_t events_of(unsigned int i)
{
	uint64_t count = 0;
	int flags = fcntl(events[i], F_GETFL);

	fcntl(events[i], F_SETFL, flags | O_NONBLOCK);
	return read(events[i], &count, sizeof count) == sizeof count ? count
								     : 0;
}

static void write_msix_control(unsigned int value)
{
	config_write(fn, fn->config_layout.msix + PCI_MSIX_FLAGS, 2, value);
}

static void set_bus_master(bool is_on)
{
	config_write(fn, PCI_COMMAND, 2, is_on ? PCI_COMMAND_MASTER : 0);
}

static void write_vector_control(unsigned int vector, uint32_t value)
{
	uint8_t bytes[4];

	le_store(bytes, 4, value);
	pcie_region_write(fn, 0, 0x2000 + 16 * vector + 12, bytes, 4);
}

static bool is_pending(unsigned int vector)
{
	uint8_t byte;

	pcie_region_read(fn, 0, 0x3000 + vector / 8, &byte, 1);
	return byte >> vector % 8 & 1;
}

/* ---- which mode delivers ---- */

Test(pcie_interrupt, nothing_given_and_nothing_enabled_is_intx)
{
	cr_expect(pcie_interrupt_mode(fn) == PCIE_INTX);
}

Test(pcie_interrupt, eventfds_alone_choose_the_mode)
{
	give(PCIE_INTX, 0, 1);
	cr_expect(pcie_interrupt_mode(fn) == PCIE_INTX);
	give(PCIE_MSI, 0, 1);
	cr_expect(pcie_interrupt_mode(fn) == PCIE_MSI);
	give(PCIE_MSIX, 3, 1);
	cr_expect(pcie_interrupt_mode(fn) == PCIE_MSIX);
	pcie_interrupt_raise(fn, 3);
	cr_expect(events_of(3) == 1);
	take_all(PCIE_MSIX);
	cr_expect(pcie_interrupt_mode(fn) == PCIE_MSI);
}

Test(pcie_interrupt, enable_bits_choose_before_eventfds)
{
	give(PCIE_MSIX, 0, 1);
	config_write(fn, fn->config_layout.msi + PCI_MSI_FLAGS, 2, 1);
	cr_expect(pcie_interrupt_mode(fn) == PCIE_MSI);
	write_msix_control(PCI_MSIX_FLAGS_ENABLE);
	cr_expect(pcie_interrupt_mode(fn) == PCIE_MSIX);
}

Test(pcie_interrupt, the_device_is_told_of_each_change_once)
{
	unsigned int before = fake_of(fn)->mode_changes;

	give(PCIE_MSIX, 0, 2);
	give(PCIE_MSIX, 2, 2);
	write_msix_control(PCI_MSIX_FLAGS_ENABLE);
	cr_expect(fake_of(fn)->mode_changes == before + 1);
	take_all(PCIE_MSIX);
	cr_expect(fake_of(fn)->mode_changes == before + 1);
	write_msix_control(0);
	cr_expect(fake_of(fn)->mode_changes == before + 2);
}

/* What QEMU 11.1 sends when a guest enables two vectors one by one. */
Test(pcie_interrupt, qemu_changes_its_eventfds_without_losing_one)
{
	set_bus_master(true);
	give(PCIE_INTX, 0, 1);
	write_msix_control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	take_all(PCIE_INTX);
	cr_expect(set(EVENTFD | TRIGGER, PCIE_MSIX, 0, 1, NULL) == 0);
	write_msix_control(PCI_MSIX_FLAGS_ENABLE);
	take_all(PCIE_MSIX);
	give(PCIE_MSIX, 0, 1);
	pcie_interrupt_raise(fn, 0);
	cr_expect(events_of(0) == 1);
	take_all(PCIE_MSIX);
	pcie_interrupt_raise(fn, 0); /* in the window */
	pcie_interrupt_raise(fn, 1);
	cr_expect(is_pending(0) && is_pending(1));
	give(PCIE_MSIX, 0, 2);
	cr_expect(events_of(0) == 1);
	cr_expect(events_of(1) == 1);
	cr_expect(!is_pending(0) && !is_pending(1));
}

Test(pcie_interrupt, cloud_hypervisor_gives_eventfds_before_enabling)
{
	set_bus_master(true);
	give(PCIE_MSIX, 0, 70);
	write_msix_control(PCI_MSIX_FLAGS_ENABLE);
	pcie_interrupt_raise(fn, 69);
	cr_expect(events_of(69) == 1);
}

Test(pcie_interrupt, an_flr_leaves_the_eventfds_and_drops_what_was_latched)
{
	set_bus_master(true);
	write_msix_control(PCI_MSIX_FLAGS_ENABLE);
	give(PCIE_MSIX, 0, 1);
	pcie_interrupt_raise(fn, 1);
	pcie_function_reset(fn, PCIE_RESET_FLR, NULL, NULL);
	cr_expect(!is_pending(1));
	cr_expect(config_read(fn, fn->config_layout.msix + 2, 2) == 69);
	cr_expect(pcie_interrupt_mode(fn) == PCIE_MSIX);
	pcie_interrupt_raise(fn, 0);
	cr_expect(events_of(0) == 1);
	give(PCIE_MSIX, 1, 1);
	cr_expect(events_of(1) == 0);
}

Test(pcie_interrupt, the_operators_reset_leaves_the_table)
{
	uint64_t address = 0xfee01000, now = 0;

	set_bus_master(true);
	write_msix_control(PCI_MSIX_FLAGS_ENABLE);
	pcie_msix_table_write(fn, 16, &address, sizeof address);
	pcie_interrupt_raise(fn, 1);
	pcie_function_reset(fn, PCIE_RESET_CONTROL, NULL, NULL);
	cr_expect(!is_pending(1));
	pcie_msix_table_read(fn, 16, &now, sizeof now);
	cr_expect(now == address);
	give(PCIE_MSIX, 0, 1);
	pcie_interrupt_raise(fn, 0);
	cr_expect(events_of(0) == 1);
}

Test(pcie_interrupt, switching_msix_off_drops_what_was_latched)
{
	write_msix_control(PCI_MSIX_FLAGS_ENABLE);
	pcie_interrupt_raise(fn, 5);
	cr_expect(is_pending(5));
	write_msix_control(0);
	cr_expect(!is_pending(5));
}

Test(pcie_interrupt, a_vector_out_of_range_is_nothing)
{
	give(PCIE_MSIX, 0, 70);
	pcie_interrupt_raise(fn, 70);
	pcie_interrupt_raise(fn, UINT32_MAX);
	cr_expect(!is_pending(70));
}

/* ---- masks ---- */

Test(pcie_interrupt, the_table_starts_masked_but_counts_only_when_written)
{
	uint8_t entry[16];

	pcie_region_read(fn, 0, 0x2000, entry, sizeof entry);
	cr_expect(le_load(entry + 12, 4) == 1);
	give(PCIE_MSIX, 0, 2);
	pcie_interrupt_raise(fn, 0);
	cr_expect(events_of(0) == 1);
}

Test(pcie_interrupt, a_masked_vector_is_pending_until_unmasked)
{
	give(PCIE_MSIX, 0, 70);
	write_vector_control(66, 1);
	pcie_interrupt_raise(fn, 66);
	pcie_interrupt_raise(fn, 66);
	pcie_interrupt_raise(fn, 65);
	cr_expect(events_of(66) == 0);
	cr_expect(events_of(65) == 1);
	cr_expect(is_pending(66) && !is_pending(65));
	write_vector_control(66, 0xfffffffe);
	cr_expect(events_of(66) == 1);
	cr_expect(!is_pending(66));
}

Test(pcie_interrupt, reserved_bits_of_an_entry_stay_zero)
{
	uint8_t entry[16];

	memset(entry, 0xff, sizeof entry);
	pcie_region_write(fn, 0, 0x2000 + 16 * 69, entry, sizeof entry);
	pcie_region_read(fn, 0, 0x2000 + 16 * 69, entry, sizeof entry);
	cr_expect(le_load(entry, 4) == 0xfffffffc);
	cr_expect(le_load(entry + 4, 8) == UINT64_MAX);
	cr_expect(le_load(entry + 12, 4) == 1);
}

Test(pcie_interrupt, the_function_mask_holds_all_vectors)
{
	set_bus_master(true);
	give(PCIE_MSIX, 0, 2);
	write_msix_control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pcie_interrupt_raise(fn, 1);
	cr_expect(events_of(1) == 0);
	write_msix_control(PCI_MSIX_FLAGS_ENABLE);
	cr_expect(events_of(1) == 1);
}

Test(pcie_interrupt, an_enabled_message_waits_for_bus_mastering)
{
	give(PCIE_MSIX, 0, 2);
	write_msix_control(PCI_MSIX_FLAGS_ENABLE);
	pcie_interrupt_raise(fn, 1);
	cr_expect(events_of(1) == 0);
	set_bus_master(true);
	cr_expect(events_of(1) == 1);
}

Test(pcie_interrupt, nothing_is_sent_from_d3hot)
{
	give(PCIE_MSIX, 0, 2);
	config_write(fn, fn->config_layout.pm + PCI_PM_CTRL, 2, 3);
	pcie_interrupt_raise(fn, 1);
	cr_expect(events_of(1) == 0);
	/* Waking up is a reset, which drops it. */
	config_write(fn, fn->config_layout.pm + PCI_PM_CTRL, 2, 0);
	cr_expect(events_of(1) == 0);
}

Test(pcie_interrupt, writes_to_pending_bits_are_ignored)
{
	uint64_t ones = UINT64_MAX, bits;

	write_msix_control(PCI_MSIX_FLAGS_ENABLE);
	pcie_interrupt_raise(fn, 64);
	pcie_region_write(fn, 0, 0x3000, &ones, 8);
	pcie_region_read(fn, 0, 0x3000, &bits, 8);
	cr_expect(bits == 0);
	pcie_region_read(fn, 0, 0x3008, &bits, 8);
	cr_expect(bits == 1);
}

/* ---- MSI ---- */

static void enable_msi(unsigned int log2_count)
{
	config_write(fn, fn->config_layout.msi + PCI_MSI_FLAGS, 2,
		     PCI_MSI_FLAGS_ENABLE | log2_count << 4);
}

Test(pcie_interrupt, msi_folds_vectors_into_those_allocated)
{
	set_bus_master(true);
	give(PCIE_MSI, 0, 2);
	enable_msi(1);
	pcie_interrupt_raise(fn, 0);
	pcie_interrupt_raise(fn, 2);
	pcie_interrupt_raise(fn, 3);
	cr_expect(events_of(0) == 2);
	cr_expect(events_of(1) == 1);
}

Test(pcie_interrupt, msi_masks_and_shows_pending_bits)
{
	uint16_t msi = fn->config_layout.msi;

	set_bus_master(true);
	give(PCIE_MSI, 0, 8);
	enable_msi(3);
	config_write(fn, msi + PCI_MSI_MASK_64, 4, 0x20);
	pcie_interrupt_raise(fn, 5);
	cr_expect(events_of(5) == 0);
	cr_expect(config_read(fn, msi + PCI_MSI_PENDING_64, 4) == 0x20);
	config_write(fn, msi + PCI_MSI_MASK_64, 4, 0);
	cr_expect(events_of(5) == 1);
	cr_expect(config_read(fn, msi + PCI_MSI_PENDING_64, 4) == 0);
}

/* ---- INTx ---- */

Test(pcie_interrupt, intx_fires_once_until_unmasked)
{
	give(PCIE_INTX, 0, 1);
	pcie_intx_set(fn, true);
	pcie_intx_set(fn, true);
	cr_expect(events_of(0) == 1);
	/* Still high when the guest is done: once more. */
	cr_expect(set(NONE | UNMASK, PCIE_INTX, 0, 1, NULL) == 0);
	cr_expect(events_of(0) == 1);
	pcie_intx_set(fn, false);
	cr_expect(set(NONE | UNMASK, PCIE_INTX, 0, 1, NULL) == 0);
	cr_expect(events_of(0) == 0);
}

Test(pcie_interrupt, intx_waits_for_its_eventfd)
{
	pcie_intx_set(fn, true);
	give(PCIE_INTX, 0, 1);
	cr_expect(events_of(0) == 1);
}

Test(pcie_interrupt, intx_disable_holds_the_pin)
{
	give(PCIE_INTX, 0, 1);
	config_write(fn, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	pcie_intx_set(fn, true);
	cr_expect(events_of(0) == 0);
	cr_expect(config_read(fn, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	config_write(fn, PCI_COMMAND, 2, 0);
	cr_expect(events_of(0) == 1);
}

Test(pcie_interrupt, intx_is_silent_while_messages_are_on)
{
	give(PCIE_INTX, 0, 1);
	write_msix_control(PCI_MSIX_FLAGS_ENABLE);
	pcie_intx_set(fn, true);
	cr_expect(events_of(0) == 0);
	write_msix_control(0);
	cr_expect(events_of(0) == 1);
}

Test(pcie_interrupt, the_client_can_mask_intx)
{
	static const uint8_t yes = 1, no = 0;

	give(PCIE_INTX, 0, 1);
	cr_expect(pcie_interrupt_set(fn, BOOL | MASK, PCIE_INTX, 0, 1, &no,
				     NULL) == 0);
	cr_expect(pcie_interrupt_set(fn, BOOL | MASK, PCIE_INTX, 0, 1, &yes,
				     NULL) == 0);
	pcie_intx_set(fn, true);
	cr_expect(events_of(0) == 0);
	cr_expect(pcie_interrupt_set(fn, BOOL | UNMASK, PCIE_INTX, 0, 1, &no,
				     NULL) == 0);
	cr_expect(events_of(0) == 0);
	cr_expect(pcie_interrupt_set(fn, BOOL | UNMASK, PCIE_INTX, 0, 1, &yes,
				     NULL) == 0);
	cr_expect(events_of(0) == 1);
}

Test(pcie_interrupt, an_eventfd_can_unmask_intx)
{
	struct rt_loop *loop;
	uint64_t one = 1;

	cr_assert(rt_loop_create(NULL, &loop) == 0);
	fake_destroy(fn);
	fn = fake_create_on(NULL, loop);
	give(PCIE_INTX, 0, 1);
	cr_expect(set(EVENTFD | UNMASK, PCIE_INTX, 0, 1, events + 1) == 0);
	pcie_intx_set(fn, true);
	cr_expect(events_of(0) == 1);
	cr_assert(write(events[1], &one, sizeof one) == sizeof one);
	for (int i = 0; i < 10 && fn->state.interrupts.intx_masked; i++)
		rt_loop_step(loop, 10 * 1000 * 1000);
	/* Unmasked, it fired again. */
	for (int i = 0; i < 3; i++)
		rt_loop_step(loop, 1000 * 1000);
	cr_expect(events_of(0) == 1);
	cr_expect(set(EVENTFD | UNMASK, PCIE_INTX, 0, 1, NULL) == 0);
	fake_destroy(fn);
	rt_loop_destroy(&loop);
	fn = fake_create(NULL);
}

/* ---- SET_IRQS ---- */

Test(pcie_interrupt, a_client_can_trigger_its_own_eventfds)
{
	give(PCIE_MSIX, 0, 4);
	cr_expect(set(NONE | TRIGGER, PCIE_MSIX, 1, 2, NULL) == 0);
	cr_expect(events_of(0) == 0);
	cr_expect(events_of(1) == 1);
	cr_expect(events_of(2) == 1);
	cr_expect(set(BOOL | TRIGGER, PCIE_MSIX, 0, 4, NULL) == 0);
	cr_expect(events_of(0) == 0);
	cr_expect(events_of(1) == 1);
	cr_expect(events_of(2) == 0);
	cr_expect(events_of(3) == 1);
	cr_expect(set(NONE | TRIGGER, PCIE_MSIX, 60, 10, NULL) == 0);
}

Test(pcie_interrupt, eventfds_are_taken_away_one_by_one_or_all)
{
	int minus_one[2] = { -1, -1 };

	give(PCIE_MSIX, 0, 6);
	cr_expect(set(EVENTFD | TRIGGER, PCIE_MSIX, 1, 2, minus_one) == 0);
	cr_expect(fn->interrupts.msix_fd_count == 4);
	cr_expect(set(EVENTFD | TRIGGER, PCIE_MSIX, 4, 2, NULL) == 0);
	cr_expect(fn->interrupts.msix_fd_count == 2);
	pcie_interrupt_raise(fn, 5);
	cr_expect(is_pending(5));
	cr_expect(events_of(5) == 0);
	pcie_interrupt_raise(fn, 3);
	cr_expect(events_of(3) == 1);
	take_all(PCIE_MSIX);
	cr_expect(fn->interrupts.msix_fd_count == 0);
}

Test(pcie_interrupt, error_and_request_eventfds_are_kept)
{
	give(PCIE_ERR, 0, 1);
	cr_expect(set(EVENTFD | TRIGGER, PCIE_REQ, 0, 1, events + 1) == 0);
	cr_expect(set(NONE | TRIGGER, PCIE_REQ, 0, 1, NULL) == 0);
	cr_expect(events_of(0) == 0);
	cr_expect(events_of(1) == 1);
	take_all(PCIE_REQ);
	cr_expect(set(NONE | TRIGGER, PCIE_REQ, 0, 1, NULL) == 0);
	cr_expect(events_of(1) == 0);
}

Test(pcie_interrupt, malformed_requests_change_nothing)
{
	static const struct {
		const char *what;
		uint32_t flags, index, start, count;
		int result;
	} rows[] = {
		{ "no such index", NONE | TRIGGER, 5, 0, 1, -EINVAL },
		{ "no data", TRIGGER, 2, 0, 1, -EINVAL },
		{ "two kinds of data", NONE | BOOL | TRIGGER, 2, 0, 1,
		  -EINVAL },
		{ "no action", NONE, 2, 0, 1, -EINVAL },
		{ "two actions", NONE | TRIGGER | MASK, 0, 0, 1, -EINVAL },
		{ "unknown flag", NONE | TRIGGER | 0x40, 2, 0, 1, -EINVAL },
		{ "start outside", NONE | TRIGGER, 2, 70, 1, -EINVAL },
		{ "end outside", NONE | TRIGGER, 2, 69, 2, -EINVAL },
		{ "wraps", NONE | TRIGGER, 2, 1, UINT32_MAX, -EINVAL },
		{ "eventfds, none of them", EVENTFD | TRIGGER, 2, 0, 0,
		  -EINVAL },
		{ "bools, none of them", BOOL | TRIGGER, 2, 0, 0, -EINVAL },
		{ "mask nothing", NONE | MASK, 0, 0, 0, -EINVAL },
		{ "mask a message", NONE | MASK, 2, 0, 1, -ENOTTY },
		{ "unmask a message", NONE | UNMASK, 1, 0, 1, -ENOTTY },
		{ "mask an error", NONE | MASK, 3, 0, 1, -ENOTTY },
		{ "mask by eventfd", EVENTFD | MASK, 0, 0, 1, -ENOTTY },
		{ "second pin", NONE | TRIGGER, 0, 1, 1, -EINVAL },
	};

	give(PCIE_MSIX, 0, 70);
	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		int result = set(rows[i].flags, rows[i].index, rows[i].start,
				 rows[i].count, NULL);

		cr_expect(result == rows[i].result, "%s: %d", rows[i].what,
			  result);
	}
	cr_expect(fn->interrupts.msix_fd_count == 70);
	for (unsigned int i = 0; i < 70; i++)
		cr_expect(events_of(i) == 0);
}

Test(pcie_interrupt, only_eventfds_are_taken_and_all_or_none)
{
	int pipes[2], fds[2];

	cr_assert(pipe(pipes) == 0);
	fds[0] = events[0];
	fds[1] = pipes[1];
	cr_expect(set(EVENTFD | TRIGGER, PCIE_MSIX, 0, 2, fds) == -EINVAL);
	cr_expect(fn->interrupts.msix_fd_count == 0);
	fds[1] = 9999;
	cr_expect(set(EVENTFD | TRIGGER, PCIE_MSIX, 0, 2, fds) == -EINVAL);
	cr_expect(fn->interrupts.msix_fd_count == 0);
	close(pipes[0]);
	close(pipes[1]);
}

Test(pcie_interrupt, a_full_eventfd_does_not_stall_us, .timeout = 10)
{
	uint64_t almost = UINT64_MAX - 1;

	give(PCIE_MSIX, 0, 1);
	cr_assert(write(events[0], &almost, sizeof almost) == sizeof almost);
	pcie_interrupt_raise(fn, 0);
	cr_expect(!is_pending(0));
}

Test(pcie_interrupt, the_caller_keeps_its_descriptors)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	cr_expect(set(EVENTFD | TRIGGER, PCIE_MSIX, 0, 1, &fd) == 0);
	take_all(PCIE_MSIX);
	cr_expect(fcntl(fd, F_GETFD) >= 0);
	close(fd);
}

Test(pcie_interrupt, info_says_what_can_be_set)
{
	static const struct {
		uint32_t count, flags;
	} rows[] = {
		{ 1, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE |
			     VFIO_IRQ_INFO_AUTOMASKED },
		{ 8, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE },
		{ 70, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE },
		{ 1, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE },
		{ 1, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE },
	};
	uint32_t count, flags;

	for (uint32_t i = 0; i < RT_COUNT(rows); i++) {
		cr_expect(pcie_interrupt_info(fn, i, &count, &flags) == 0);
		cr_expect(count == rows[i].count, "index %u: %u", i, count);
		cr_expect(flags == rows[i].flags, "index %u: %#x", i, flags);
	}
	cr_expect(pcie_interrupt_info(fn, 5, &count, &flags) == -EINVAL);
}

Test(pcie_interrupt, what_is_latched_survives_a_client_that_leaves)
{
	give(PCIE_MSIX, 0, 2);
	give(PCIE_INTX, 0, 1);
	write_vector_control(1, 1);
	pcie_interrupt_raise(fn, 1);
	pcie_interrupt_drop(fn);
	cr_expect(fn->interrupts.msix_fd_count == 0);
	cr_expect(fn->interrupts.intx_fd == -1);
	cr_expect(is_pending(1));
}
