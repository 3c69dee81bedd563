/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/rt/guard.h"
#include "firmware/rt/scope.h"
#include "pcie-model/dma_private.h"
#include "tests/unit/pcie-model/fake_function.h"

#define PAGE UINT64_C(4096)
#define RW   (PCIE_DMA_READABLE | PCIE_DMA_WRITEABLE)

/* ---- a client that answers messages when it is told to ---- */

#define MESSAGES 64

static struct pcie_function *fn;
static struct pcie_dma_message *messages[MESSAGES];
static unsigned int sent, cancelled;
static unsigned int room;       /* messages it takes before it is full */
static uint8_t remote[1 << 20]; /* the client's memory, at REMOTE */

#define REMOTE UINT64_C(0x100000000)

static int take_message(void *opaque, struct pcie_dma_message *message)
{
	(void)opaque;
	if (!room)
		return -EAGAIN;
	room--;
	messages[sent++] = message;
	return 0;
}

static void cancel_message(void *opaque, struct pcie_dma_message *message)
{
	(void)opaque;
	(void)message;
	cancelled++;
}

static void answer(unsigned int i, int status)
{
	struct pcie_dma_message *m = messages[i];
	uint8_t *there = remote + (m->iova - REMOTE);

	room++;
	if (!status && m->is_write)
		memcpy(there, m->data, m->size);
	else if (!status)
		memcpy(m->data, there, m->size);
	m->done(m, status);
}

static unsigned int done_count;
static int done_status;

static void op_done(struct pcie_dma_op *op, int status)
{
	(void)op;
	done_count++;
	done_status = status;
}

static struct pcie_dma_op op = { .done = op_done };

static int memory(const char *name, size_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert(fd >= 0 && !ftruncate(fd, (off_t)size));
	return fd;
}

/* The file's bytes, as the guest sees them. */
static uint8_t *look(int fd, size_t size)
{
	uint8_t *p =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	cr_assert(p != MAP_FAILED);
	return p;
}

static void start(void)
{
	rt_guard_install();
	fn = fake_create(NULL);
	fn->transport.dma_start = take_message;
	fn->transport.dma_cancel = cancel_message;
	room = MESSAGES;
	config_write(fn, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
}

static void stop(void)
{
	fake_destroy(fn);
}

TestSuite(pcie_dma, .init = start, .fini = stop);

/* ---- windows ---- */

Test(pcie_dma, refuses_impossible_windows)
{
	const struct {
		const char *what;
		uint64_t iova, size, offset;
		int result;
	} rows[] = {
		{ "fits", 16 * PAGE, 4 * PAGE, 0, 0 },
		{ "size 0", 0, 0, 0, -EINVAL },
		{ "odd address", 1, PAGE, 0, -EINVAL },
		{ "odd size", 0, PAGE + 1, 0, -EINVAL },
		{ "odd offset", 0, PAGE, 1, -EINVAL },
		{ "wraps", -PAGE, 2 * PAGE, 0, -EINVAL },
		{ "past the file's end", 0, PAGE, 4 * PAGE, -EINVAL },
		{ "offset wraps", 0, PAGE, -PAGE, -EINVAL },
		{ "the same again", 16 * PAGE, 4 * PAGE, 0, -EEXIST },
		{ "overlaps below", 15 * PAGE, 2 * PAGE, 0, -EEXIST },
		{ "overlaps above", 19 * PAGE, 2 * PAGE, 0, -EEXIST },
		{ "inside", 17 * PAGE, PAGE, 0, -EEXIST },
		{ "around", 15 * PAGE, 4 * PAGE, 0, -EEXIST },
		{ "touches below", 15 * PAGE, PAGE, 0, 0 },
		{ "touches above", 20 * PAGE, PAGE, 3 * PAGE, 0 },
		{ "the last page there is", -PAGE, PAGE, 0, 0 },
	};
	int fd = memory("ram", 4 * PAGE);

	for (size_t i = 0; i < RT_COUNT(rows); i++)
		cr_expect_eq(pcie_dma_map(fn, rows[i].iova, rows[i].size, RW,
					  fd, rows[i].offset),
			     rows[i].result, "%s", rows[i].what);
	cr_expect_eq(fn->dma.file_count, 1);
	close(fd);
}

Test(pcie_dma, takes_windows_away_only_whole)
{
	int fd = memory("ram", 4 * PAGE);

	cr_assert_eq(pcie_dma_map(fn, PAGE, 2 * PAGE, RW, fd, 0), 0);
	cr_expect_eq(pcie_dma_unmap(fn, PAGE, PAGE, NULL, NULL), -ENOENT);
	cr_expect_eq(pcie_dma_unmap(fn, 2 * PAGE, PAGE, NULL, NULL), -ENOENT);
	cr_expect_eq(pcie_dma_unmap(fn, 0, 3 * PAGE, NULL, NULL), -ENOENT);
	cr_expect_eq(pcie_dma_unmap(fn, PAGE, 0, NULL, NULL), -ENOENT);
	cr_expect_eq(pcie_dma_unmap(fn, PAGE, 2 * PAGE, NULL, NULL), 0);
	cr_expect_eq(pcie_dma_unmap(fn, PAGE, 2 * PAGE, NULL, NULL), -ENOENT);
	cr_expect_eq(fn->dma.file_count, 0, "its mapping goes with it");
	close(fd);
}

Test(pcie_dma, descriptors_must_allow_what_the_window_does)
{
	int fd = memory("ram", PAGE);
	char path[64];
	uint8_t byte = 1;
	int reader;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	cr_expect_eq(pcie_dma_map(fn, 0, PAGE, RW, reader, 0), -EACCES);
	cr_expect_eq(pcie_dma_map(fn, 0, PAGE, PCIE_DMA_READABLE, reader, 0),
		     0);
	cr_expect_eq(pcie_dma_read(fn, &op, 0, &byte, 1), 0);
	cr_expect_eq(byte, 0);
	cr_expect_eq(pcie_dma_write(fn, &op, 0, &byte, 1), -EACCES);
	/* A writeable window of the same file needs another mapping. */
	cr_expect_eq(pcie_dma_map(fn, PAGE, PAGE, RW, fd, 0), 0);
	cr_expect_eq(pcie_dma_write(fn, &op, PAGE, &byte, 1), 0);
	cr_expect_eq(fn->dma.file_count, 2);
	close(reader);
	close(fd);
}

Test(pcie_dma, files_that_can_stall_are_reached_by_message)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int pipes[2];
	uint8_t byte;

	cr_assert(fd >= 0 && !pipe(pipes));
	cr_expect_eq(pcie_dma_map(fn, REMOTE, PAGE, 1, fd, 0), 0);
	cr_expect_eq(pcie_dma_map(fn, REMOTE + PAGE, PAGE, 1, pipes[0], 0), 0);
	cr_expect_eq(pcie_dma_read(fn, &op, REMOTE, &byte, 1), -EINPROGRESS);
	cr_expect_eq(fn->dma.file_count, 0);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
}

Test(pcie_dma, holds_as_many_windows_as_it_says)
{
	int fd = memory("ram", PAGE);
	uint64_t i;
	uint8_t byte;

	/* From both ends, so that the table has to move things. */
	for (i = 0; i < PCIE_DMA_MAX_WINDOWS; i++) {
		uint64_t slot = i % 2 ? 100000 - i : i;

		cr_assert_eq(pcie_dma_map(fn, slot * PAGE, PAGE, RW, fd, 0), 0);
	}
	cr_expect_eq(pcie_dma_map(fn, 200000 * PAGE, PAGE, RW, fd, 0), -ENOSPC);
	for (i = 0; i < PCIE_DMA_MAX_WINDOWS; i += 1001)
		cr_expect_eq(pcie_dma_read(fn, &op,
					   (i % 2 ? 100000 - i : i) * PAGE + 7,
					   &byte, 1),
			     0);
	cr_expect_eq(pcie_dma_read(fn, &op, 1 * PAGE, &byte, 1), -EFAULT);
	cr_expect_eq(fn->dma.file_count, 1);
	close(fd);
}

Test(pcie_dma, a_file_that_has_grown_is_mapped_beside_the_old)
{
	int fd = memory("ram", PAGE);
	uint8_t *guest;
	uint8_t byte = 0;

	cr_assert_eq(pcie_dma_map(fn, 0, PAGE, RW, fd, 0), 0);
	cr_assert_eq(ftruncate(fd, 2 * PAGE), 0);
	cr_assert_eq(pcie_dma_map(fn, PAGE, PAGE, RW, fd, PAGE), 0);
	guest = look(fd, 2 * PAGE);
	guest[PAGE] = 5;
	cr_expect_eq(pcie_dma_read(fn, &op, PAGE, &byte, 1), 0);
	cr_expect_eq(byte, 5);
	close(fd);
}

/* ---- copies ---- */

Test(pcie_dma, copies_across_windows)
{
	int a = memory("a", PAGE), b = memory("b", 2 * PAGE);
	uint8_t data[6000], back[6000];
	uint8_t *at_b = look(b, 2 * PAGE);
	struct pcie_dma_range ranges[] = { { PAGE + 4000, 100 },
					   { 0, 0 },
					   { PAGE, 3000 },
					   { 2 * PAGE, 2900 } };

	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 7);
	cr_assert_eq(pcie_dma_map(fn, PAGE, PAGE, RW, a, 0), 0);
	cr_assert_eq(pcie_dma_map(fn, 2 * PAGE, PAGE, RW, b, PAGE), 0);
	cr_expect_eq(pcie_dma_write(fn, &op, PAGE + 3000, data, 5000), 0);
	cr_expect_eq(pcie_dma_read(fn, &op, PAGE + 3000, back, 5000), 0);
	cr_expect_arr_eq(data, back, 5000);
	cr_expect_arr_eq(at_b + PAGE, data + 1096, 5000 - 1096);
	cr_expect_eq(pcie_dma_writev(fn, &op, ranges, 4, data), 0);
	cr_expect_eq(pcie_dma_readv(fn, &op, ranges, 4, back), 0);
	cr_expect_arr_eq(back + 3100, data + 3100, 2900);
	cr_expect_eq(done_count, 0, "what is done at once is not told");
	close(a);
	close(b);
}

Test(pcie_dma, refuses_what_may_not_be)
{
	int fd = memory("ram", PAGE);
	uint8_t data[64] = { 0 };
	struct pcie_dma_range wraps[] = { { 0, 1 }, { UINT64_MAX, 2 } };

	cr_assert_eq(pcie_dma_map(fn, 0, PAGE, PCIE_DMA_READABLE, fd, 0), 0);
	cr_assert_eq(pcie_dma_map(fn, PAGE, PAGE, PCIE_DMA_WRITEABLE, fd, 0),
		     0);
	cr_expect_eq(pcie_dma_write(fn, &op, 0, data, 1), -EACCES);
	cr_expect_eq(pcie_dma_read(fn, &op, PAGE, data, 1), -EACCES);
	cr_expect_eq(pcie_dma_read(fn, &op, PAGE - 1, data, 2), -EACCES);
	cr_expect_eq(pcie_dma_write(fn, &op, 2 * PAGE - 1, data, 2), -EFAULT);
	cr_expect_eq(pcie_dma_readv(fn, &op, wraps, 2, data), -EOVERFLOW);
	cr_expect_eq(pcie_dma_read(fn, &op, UINT64_MAX, data, 1), -EFAULT);
	config_write(fn, PCI_COMMAND, 2, 0);
	cr_expect_eq(pcie_dma_read(fn, &op, 0, data, 1), -EPERM);
	cr_expect_eq(pcie_dma_publish(fn, &op, PAGE, data), -EPERM);
	close(fd);
}

Test(pcie_dma, survives_a_file_that_is_shortened)
{
	int fd = memory("ram", 4 * PAGE);
	uint8_t byte = 1;

	cr_assert_eq(pcie_dma_map(fn, 0, 4 * PAGE, RW, fd, 0), 0);
	cr_assert_eq(ftruncate(fd, PAGE), 0);
	cr_expect_eq(pcie_dma_read(fn, &op, 0, &byte, 1), 0);
	cr_expect_eq(pcie_dma_read(fn, &op, 2 * PAGE, &byte, 1), -EFAULT);
	cr_expect_eq(pcie_dma_read(fn, &op, 0, &byte, 1), -EFAULT,
		     "a file that was cut is not trusted any more");
	close(fd);
}

Test(pcie_dma, needs_no_guard_for_a_sealed_file)
{
	int fd = memory("ram", PAGE);

	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	cr_assert_eq(pcie_dma_map(fn, 0, PAGE, RW, fd, 0), 0);
	cr_expect_null(LIST_FIRST(&fn->dma.files)->guard);
	close(fd);
}

Test(pcie_dma, publishes_an_entry_whole)
{
	static const uint8_t entry[16] = { 1, 2,  3,  4,  5,  6,  7,  8,
					   9, 10, 11, 12, 13, 14, 15, 16 };
	int fd = memory("ram", PAGE);
	uint8_t *guest = look(fd, PAGE);

	cr_assert_eq(pcie_dma_map(fn, 0, PAGE, RW, fd, 0), 0);
	cr_expect_eq(pcie_dma_publish(fn, &op, 32, entry), 0);
	cr_expect_arr_eq(guest + 32, entry, 16);
	cr_expect_eq(pcie_dma_publish(fn, &op, 67, entry), 0);
	cr_expect_arr_eq(guest + 67, entry, 16);
	cr_expect_eq(pcie_dma_publish(fn, &op, PAGE - 8, entry), -EFAULT);
	cr_assert_eq(pcie_dma_map(fn, REMOTE, PAGE, RW, -1, 0), 0);
	cr_expect_eq(pcie_dma_publish(fn, &op, REMOTE, entry), -EINPROGRESS);
	answer(0, 0);
	cr_expect_arr_eq(remote, entry, 16);
	close(fd);
}

/* ---- messages ---- */

Test(pcie_dma, large_operations_go_in_chunks)
{
	static uint8_t data[300 * 1024];

	memset(data, 0x5a, sizeof data);
	cr_assert_eq(pcie_dma_map(fn, REMOTE, sizeof remote, RW, -1, 0), 0);
	cr_assert_eq(pcie_dma_write(fn, &op, REMOTE, data, sizeof data),
		     -EINPROGRESS);
	for (unsigned int i = 0; i < 3; i++) {
		cr_expect_eq(sent, i + 1);
		cr_expect_eq(done_count, 0);
		cr_expect_leq(messages[i]->size, PCIE_DMA_MESSAGE_BYTES);
		answer(i, 0);
	}
	cr_expect_eq(done_count, 1);
	cr_expect_eq(done_status, 0);
	cr_expect_arr_eq(remote, data, sizeof data);
	cr_expect_eq(remote[sizeof data], 0);
}

Test(pcie_dma, walks_through_windows_of_both_kinds)
{
	int fd = memory("ram", 2 * PAGE);
	uint8_t *guest = look(fd, 2 * PAGE);
	static uint8_t back[4 * PAGE];
	struct pcie_dma_range ranges[] = { { REMOTE, PAGE },
					   { 0, PAGE },
					   { REMOTE + PAGE, PAGE },
					   { PAGE, PAGE } };

	memset(guest, 1, PAGE);
	memset(guest + PAGE, 2, PAGE);
	memset(remote, 3, PAGE);
	memset(remote + PAGE, 4, PAGE);
	cr_assert_eq(pcie_dma_map(fn, 0, 2 * PAGE, RW, fd, 0), 0);
	cr_assert_eq(pcie_dma_map(fn, REMOTE, 2 * PAGE, RW, -1, 0), 0);
	cr_assert_eq(pcie_dma_readv(fn, &op, ranges, 4, back), -EINPROGRESS);
	answer(0, 0);
	answer(1, 0);
	cr_expect_eq(done_count, 1);
	cr_expect_eq(done_status, 0);
	cr_expect_eq(back[0], 3);
	cr_expect_eq(back[PAGE], 1);
	cr_expect_eq(back[2 * PAGE], 4);
	cr_expect_eq(back[3 * PAGE], 2);
	close(fd);
}

Test(pcie_dma, a_full_transport_makes_operations_wait_in_order)
{
	struct pcie_dma_op ops[3];
	uint32_t words[3] = { 1, 2, 3 };

	cr_assert_eq(pcie_dma_map(fn, REMOTE, PAGE, RW, -1, 0), 0);
	room = 1;
	for (unsigned int i = 0; i < 3; i++) {
		ops[i] = (struct pcie_dma_op){ .done = op_done };
		cr_expect_eq(pcie_dma_write(fn, &ops[i], REMOTE + 4 * i,
					    &words[i], 4),
			     -EINPROGRESS);
	}
	cr_expect_eq(sent, 1);
	answer(0, 0);
	cr_expect_eq(sent, 2);
	cr_expect_eq(messages[1]->iova, REMOTE + 4);
	answer(1, 0);
	answer(2, 0);
	cr_expect_eq(done_count, 3);
	cr_expect_arr_eq(remote, words, sizeof words);
}

Test(pcie_dma, ends_when_the_client_refuses_or_takes_the_window)
{
	static uint8_t data[2 * PCIE_DMA_MESSAGE_BYTES];

	cr_assert_eq(pcie_dma_map(fn, REMOTE, sizeof remote, RW, -1, 0), 0);
	cr_assert_eq(pcie_dma_read(fn, &op, REMOTE, data, 8), -EINPROGRESS);
	answer(0, -ENODEV);
	cr_expect_eq(done_status, -ENODEV);
	cr_assert_eq(pcie_dma_read(fn, &op, REMOTE, data, sizeof data),
		     -EINPROGRESS);
	cr_assert_eq(pcie_dma_unmap(fn, REMOTE, sizeof remote, NULL, NULL), 0);
	answer(1, 0);
	cr_expect_eq(done_status, -EFAULT);
	cr_expect_eq(done_count, 2);
	cr_expect_eq(sent, 2);
}

Test(pcie_dma, ends_when_bus_mastering_is_switched_off_half_way)
{
	static uint8_t data[2 * PCIE_DMA_MESSAGE_BYTES];

	cr_assert_eq(pcie_dma_map(fn, REMOTE, sizeof remote, RW, -1, 0), 0);
	cr_assert_eq(pcie_dma_read(fn, &op, REMOTE, data, sizeof data),
		     -EINPROGRESS);
	config_write(fn, PCI_COMMAND, 2, 0);
	answer(0, 0);
	cr_expect_eq(done_status, -EPERM);
	cr_expect_eq(sent, 1);
}

Test(pcie_dma, cancelling_ends_all_that_waits)
{
	struct pcie_dma_op ops[4];
	uint8_t data[4];

	cr_assert_eq(pcie_dma_map(fn, REMOTE, PAGE, RW, -1, 0), 0);
	room = 2;
	for (unsigned int i = 0; i < 4; i++) {
		ops[i] = (struct pcie_dma_op){ .done = op_done };
		cr_assert_eq(pcie_dma_read(fn, &ops[i], REMOTE, &data[i], 1),
			     -EINPROGRESS);
	}
	pcie_dma_cancel_all(fn);
	cr_expect_eq(done_count, 4);
	cr_expect_eq(done_status, -ECANCELED);
	cr_expect_eq(cancelled, 2);
	pcie_dma_kick(fn);
	cr_expect_eq(sent, 2);
}

Test(pcie_dma, without_a_client_there_is_no_way)
{
	uint8_t byte;

	cr_assert_eq(pcie_dma_map(fn, REMOTE, PAGE, RW, -1, 0), 0);
	fn->transport.dma_start = NULL;
	cr_expect_eq(pcie_dma_read(fn, &op, REMOTE, &byte, 1), -EFAULT);
}

/* ---- spans ---- */

static unsigned int unmapped_count;

static void on_unmapped(struct pcie_function *f, void *opaque)
{
	cr_expect_eq(f, fn);
	cr_expect_eq(opaque, &unmapped_count);
	unmapped_count++;
}

Test(pcie_dma, a_span_joins_what_touches)
{
	int fd = memory("ram", 4 * PAGE);
	struct pcie_dma_range ranges[] = {
		{ 100, 50 }, { 150, PAGE }, { 2 * PAGE, 10 }, { 8, 8 }
	};
	struct iovec iov[3];
	unsigned int count = 3;
	struct pcie_dma_span span = { 0 };

	/* Two windows that touch in address and in the file. */
	cr_assert_eq(pcie_dma_map(fn, 0, PAGE, RW, fd, 0), 0);
	cr_assert_eq(pcie_dma_map(fn, PAGE, 3 * PAGE, RW, fd, PAGE), 0);
	cr_assert_eq(pcie_dma_hold(fn, &span, ranges, 4, true, iov, &count), 0);
	cr_expect_eq(count, 3);
	cr_expect_eq(iov[0].iov_len, 50 + PAGE);
	cr_expect_eq(iov[1].iov_len, 10);
	cr_expect_eq((uint8_t *)iov[0].iov_base - (uint8_t *)iov[2].iov_base,
		     92);
	cr_expect_eq(pcie_dma_release(fn, &span), 0);
	count = 2;
	cr_expect_eq(pcie_dma_hold(fn, &span, ranges, 4, true, iov, &count),
		     -E2BIG);
	cr_expect(!pcie_dma_is_held(fn));
	close(fd);
}

Test(pcie_dma, a_span_is_of_shared_memory_only)
{
	int fd = memory("ram", PAGE);
	struct pcie_dma_range ranges[] = { { 0, PAGE }, { REMOTE, 4 } };
	struct iovec iov[2];
	unsigned int count = 2;
	struct pcie_dma_span span = { 0 };

	cr_assert_eq(pcie_dma_map(fn, 0, PAGE, PCIE_DMA_READABLE, fd, 0), 0);
	cr_assert_eq(pcie_dma_map(fn, REMOTE, PAGE, RW, -1, 0), 0);
	cr_expect_eq(pcie_dma_hold(fn, &span, ranges, 2, false, iov, &count),
		     -EREMOTE);
	cr_expect_eq(pcie_dma_hold(fn, &span, ranges, 1, true, iov, &count),
		     -EACCES);
	config_write(fn, PCI_COMMAND, 2, 0);
	cr_expect_eq(pcie_dma_hold(fn, &span, ranges, 1, false, iov, &count),
		     -EPERM);
	cr_expect(!span.is_held);
	close(fd);
}

Test(pcie_dma, unmapping_waits_for_spans)
{
	int fd = memory("ram", 4 * PAGE);
	uint8_t *guest = look(fd, 4 * PAGE);
	struct pcie_dma_range ranges[] = { { PAGE, 4 }, { 3 * PAGE, 4 } };
	struct pcie_dma_span a = { 0 }, b = { 0 };
	struct iovec iov[2], other;
	unsigned int count = 2, one = 1;

	cr_assert_eq(pcie_dma_map(fn, 0, 2 * PAGE, RW, fd, 0), 0);
	cr_assert_eq(pcie_dma_map(fn, 2 * PAGE, 2 * PAGE, RW, fd, 2 * PAGE), 0);
	cr_assert_eq(pcie_dma_hold(fn, &a, ranges, 2, true, iov, &count), 0);
	cr_assert_eq(pcie_dma_hold(fn, &b, ranges, 1, true, &other, &one), 0);
	cr_expect_eq(pcie_dma_unmap(fn, 2 * PAGE, 2 * PAGE, on_unmapped,
				    &unmapped_count),
		     -EINPROGRESS);
	cr_expect_eq(pcie_dma_unmap(fn, 0, 2 * PAGE, NULL, NULL), -EBUSY);
	cr_expect_eq(pcie_dma_read(fn, &op, 3 * PAGE, other.iov_base, 1),
		     -EFAULT, "nothing new begins in it");
	memset(iov[1].iov_base, 9, 4);
	cr_expect_eq(guest[3 * PAGE], 9, "what was held is still there");
	cr_expect_eq(pcie_dma_release(fn, &b), 0);
	cr_expect_eq(unmapped_count, 0);
	cr_expect_eq(pcie_dma_release(fn, &a), 0);
	cr_expect_eq(unmapped_count, 1);
	close(fd);
}

Test(pcie_dma, a_span_keeps_its_memory_though_all_windows_go)
{
	int fd = memory("ram", PAGE);
	uint8_t *guest = look(fd, PAGE);
	struct pcie_dma_range range = { 0, 4 };
	struct pcie_dma_span span = { 0 };
	struct iovec iov;
	unsigned int count = 1;
	uint64_t size;

	cr_assert_eq(pcie_dma_map(fn, 0, PAGE, RW, fd, 0), 0);
	cr_assert_eq(pcie_dma_map(fn, -PAGE, PAGE, RW, -1, 0), 0);
	cr_assert_eq(pcie_dma_hold(fn, &span, &range, 1, true, &iov, &count),
		     0);
	cr_expect_eq(
		pcie_dma_unmap_every(fn, on_unmapped, &unmapped_count, &size),
		-EINPROGRESS);
	cr_expect_eq(size, 2 * PAGE);
	pcie_dma_unmap_abandon(fn);
	memset(iov.iov_base, 7, 4);
	cr_expect_eq(guest[0], 7);
	cr_expect_eq(pcie_dma_release(fn, &span), 0);
	cr_expect_eq(unmapped_count, 0, "nobody waits any more");
	cr_expect_eq(fn->dma.file_count, 0);
	close(fd);
}

Test(pcie_dma, release_tells_of_memory_taken_away)
{
	int fd = memory("ram", 2 * PAGE);
	struct pcie_dma_range range = { PAGE, 4 };
	struct pcie_dma_span span = { 0 };
	struct iovec iov;
	unsigned int count = 1;

	cr_assert_eq(pcie_dma_map(fn, 0, 2 * PAGE, RW, fd, 0), 0);
	cr_assert_eq(pcie_dma_hold(fn, &span, &range, 1, true, &iov, &count),
		     0);
	cr_assert_eq(ftruncate(fd, PAGE), 0);
	memset(iov.iov_base, 7, 4);
	cr_expect_eq(pcie_dma_release(fn, &span), -EFAULT);
	close(fd);
}

/* ---- is it the guest's memory? ---- */

static int shared_window(void)
{
	int fd = memory("ram", sizeof remote);

	fn->dma.can_check = true;
	cr_assert_eq(pcie_dma_map(fn, REMOTE, sizeof remote, RW, fd, 0), 0);
	return fd;
}

Test(pcie_dma, finds_that_memory_is_shared)
{
	int fd = shared_window();
	uint8_t *guest = look(fd, PAGE);

	memset(remote, 0x11, 64);
	memset(guest, 0x11, 64);
	cr_assert_eq(pcie_dma_check_shared(fn, &op, REMOTE, 64), -EINPROGRESS);
	cr_expect_eq(pcie_dma_check_shared(fn, &op, REMOTE, 64), 0,
		     "one at a time");
	/* The guest goes on writing: each byte is the old or the new one. */
	guest[63] = 0x22;
	remote[63] = 0x22;
	answer(0, 0);
	cr_expect_eq(done_count, 1);
	cr_expect_eq(done_status, 0);
	close(fd);
}

Test(pcie_dma, finds_that_memory_is_private_and_uses_messages)
{
	int fd = shared_window(), other = memory("other", PAGE);
	uint8_t byte = 0;

	memset(remote, 0x11, 64);
	cr_assert_eq(pcie_dma_check_shared(fn, &op, REMOTE, 64), -EINPROGRESS);
	for (unsigned int i = 0; !done_count; i++)
		answer(i, 0);
	cr_expect_eq(done_status, -ESTALE);
	cr_expect_eq(pcie_dma_read(fn, &op, REMOTE, &byte, 1), -EINPROGRESS);
	answer(sent - 1, 0);
	cr_expect_eq(byte, 0x11, "the guest's, not the file's");
	/* It is remembered of the file, and of no other. */
	cr_assert_eq(pcie_dma_unmap(fn, REMOTE, sizeof remote, NULL, NULL), 0);
	cr_assert_eq(pcie_dma_map(fn, REMOTE, PAGE, RW, fd, 0), 0);
	cr_assert_eq(pcie_dma_map(fn, 0, PAGE, RW, other, 0), 0);
	cr_expect_eq(pcie_dma_read(fn, &op, REMOTE, &byte, 1), -EINPROGRESS);
	cr_expect_eq(pcie_dma_read(fn, &(struct pcie_dma_op){ .done = op_done },
				   0, &byte, 1),
		     0);
	pcie_dma_cancel_all(fn);
	pcie_dma_unmap_all(fn);
	cr_assert_eq(pcie_dma_map(fn, REMOTE, PAGE, RW, fd, 0), 0);
	cr_expect_eq(pcie_dma_read(fn, &op, REMOTE, &byte, 1), 0,
		     "another client's memory is another matter");
	close(fd);
	close(other);
}

Test(pcie_dma, asks_nobody_who_may_not_answer)
{
	int fd = shared_window();

	cr_assert_eq(pcie_dma_check_shared(fn, &op, REMOTE, 64), -EINPROGRESS);
	answer(0, -ENOSYS);
	cr_expect_eq(done_status, 0);
	fn->dma.can_check = false;
	cr_expect_eq(pcie_dma_check_shared(fn, &op, REMOTE, 64), 0);
	cr_expect_eq(sent, 1);
	close(fd);
}

Test(pcie_dma, a_check_waits_for_the_transport_like_others)
{
	int fd = shared_window();

	room = 0;
	cr_assert_eq(pcie_dma_check_shared(fn, &op, REMOTE, 64), -EINPROGRESS);
	cr_expect_eq(sent, 0);
	room = 1;
	pcie_dma_kick(fn);
	cr_expect_eq(sent, 1);
	answer(0, 0);
	cr_expect_eq(done_count, 1);
	cr_expect_eq(done_status, 0);
	close(fd);
}

/* ---- pointers that are kept ---- */

Test(pcie_dma, a_direct_pointer_is_to_one_window_of_shared_memory)
{
	int fd = memory("ram", 4 * PAGE);
	uint8_t *bytes = look(fd, 4 * PAGE), *direct;

	cr_assert_eq(pcie_dma_map(fn, PAGE, 2 * PAGE, RW, fd, 0), 0);
	cr_assert_eq(pcie_dma_map(fn, 3 * PAGE, PAGE, PCIE_DMA_READABLE, fd,
				  2 * PAGE),
		     0);
	cr_assert_eq(pcie_dma_map(fn, REMOTE, PAGE, RW, -1, 0), 0);
	direct = pcie_dma_direct(fn, PAGE + 8, 2 * PAGE - 8, true);
	cr_assert_not_null(direct);
	direct[0] = 7;
	cr_expect_eq(bytes[8], 7);
	cr_expect_null(pcie_dma_direct(fn, PAGE, 3 * PAGE, false));
	cr_expect_null(pcie_dma_direct(fn, 3 * PAGE, PAGE, true));
	cr_expect_not_null(pcie_dma_direct(fn, 3 * PAGE, PAGE, false));
	cr_expect_null(pcie_dma_direct(fn, REMOTE, 4, false));
	cr_expect_null(pcie_dma_direct(fn, 9 * PAGE, 4, false));
	cr_expect_null(pcie_dma_direct(fn, PAGE, 0, false));
	cr_expect_null(pcie_dma_direct(fn, PAGE, UINT64_MAX, false));
	munmap(bytes, 4 * PAGE);
	close(fd);
}

Test(pcie_dma, the_generation_tells_when_a_direct_pointer_is_no_good)
{
	int fd = memory("ram", 2 * PAGE);
	uint64_t before = pcie_dma_generation(fn);
	uint8_t *direct;

	cr_assert_eq(pcie_dma_map(fn, 0, 2 * PAGE, RW, fd, 0), 0);
	cr_expect_neq(pcie_dma_generation(fn), before, "a window came");
	before = pcie_dma_generation(fn);
	direct = pcie_dma_direct(fn, 0, 2 * PAGE, true);
	cr_assert_not_null(direct);
	cr_expect_eq(pcie_dma_read(fn, &op, 0, &(uint8_t){ 0 }, 1), 0);
	cr_expect_eq(pcie_dma_generation(fn), before, "nothing changed");
	cr_assert_eq(ftruncate(fd, PAGE), 0);
	*(volatile uint8_t *)(direct + PAGE) = 1;
	cr_expect_neq(pcie_dma_generation(fn), before, "its file was cut");
	cr_expect_null(pcie_dma_direct(fn, 0, 2 * PAGE, true));
	before = pcie_dma_generation(fn);
	cr_assert_eq(pcie_dma_unmap(fn, 0, 2 * PAGE, NULL, NULL), 0);
	cr_expect_neq(pcie_dma_generation(fn), before, "the window went");
	close(fd);
}

static void *near_at(struct pcie_dma_near *near, uint64_t iova, uint64_t *size)
{
	return pcie_dma_near(fn, near, iova, size);
}

Test(pcie_dma, what_is_near_ends_with_its_window_and_goes_with_it)
{
	struct pcie_dma_near out = { .is_write = true }, in = { 0 };
	int fd = memory("ram", 4 * PAGE);
	uint64_t size = 3 * PAGE;
	uint8_t *found;

	cr_assert_eq(pcie_dma_map(fn, PAGE, 2 * PAGE, RW, fd, 0), 0);
	cr_assert_eq(pcie_dma_map(fn, 3 * PAGE, PAGE, PCIE_DMA_READABLE, fd,
				  2 * PAGE),
		     0);
	found = near_at(&out, PAGE + 8, &size);
	cr_assert_not_null(found);
	cr_expect_eq(size, 2 * PAGE - 8, "the rest is in another window");
	size = 16;
	cr_expect_eq(near_at(&out, PAGE + 16, &size), found + 8);
	cr_expect_eq(size, 16);
	cr_expect_null(near_at(&out, 3 * PAGE, &size), "it is read-only");
	cr_expect_not_null(near_at(&in, 3 * PAGE, &size));
	cr_expect_not_null(near_at(&in, PAGE, &size));
	cr_expect_null(near_at(&in, 0, &size));
	cr_expect_null(near_at(&in, UINT64_MAX, &size));
	size = 0;
	cr_expect_null(near_at(&(struct pcie_dma_near){ 0 }, PAGE, &size));
	size = 16;
	cr_assert_eq(pcie_dma_unmap(fn, PAGE, 2 * PAGE, NULL, NULL), 0);
	cr_expect_null(near_at(&out, PAGE + 16, &size));
	cr_expect_null(near_at(&in, PAGE, &size));
	close(fd);
}
