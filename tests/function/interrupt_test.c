/* SPDX-License-Identifier: BSD-3-Clause */
/* When a completion is told: NVMe Base 1.4, 7.5; PCI Express 6.1. */
#include <criterion/criterion.h>
#include <linux/vfio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/function/bench.h"

#define VECTORS 3

static int make_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	cr_assert_geq(fd, 0);
	return fd;
}

/* How often it was signalled since the last look. */
static uint64_t count(int fd)
{
	uint64_t value = 0;

	return read(fd, &value, sizeof value) == sizeof value ? value : 0;
}

static void start_msix(struct bench *b, int *fds)
{
	bench_enable(b, NULL);
	for (int i = 0; i < VECTORS; i++)
		fds[i] = make_eventfd();
	bench_enable_msix(b);
	cr_assert_eq(
		host_irq_set(b->host, VFIO_PCI_MSIX_IRQ_INDEX, 0, fds, VECTORS),
		0);
}

static void close_all(const int *fds)
{
	for (int i = 0; i < VECTORS; i++)
		close(fds[i]);
}

Test(function_interrupts, each_queue_has_the_vector_it_was_given)
{
	int fds[VECTORS];
	struct bench b;

	start_msix(&b, fds);
	cr_assert_eq(host_nvme_create_pair(b.nvme, 1, 32, 2), 0);
	cr_assert_eq(host_nvme_create_pair(b.nvme, 2, 32, 1), 0);
	bench_settle(&b);
	cr_expect_gt(count(fds[0]), 0, "the admin queue has vector 0");
	(void)count(fds[1]);
	(void)count(fds[2]);
	cr_assert_eq(host_nvme_flush(b.nvme, 1), 0);
	bench_settle(&b);
	cr_expect_eq(count(fds[2]), 1);
	cr_expect_eq(count(fds[1]), 0);
	cr_assert_eq(host_nvme_flush(b.nvme, 2), 0);
	bench_settle(&b);
	cr_expect_eq(count(fds[1]), 1);
	cr_expect_eq(count(fds[2]), 0);
	cr_expect_eq(count(fds[0]), 0);
	bench_stop(&b);
	close_all(fds);
}

Test(function_interrupts, a_queue_without_interrupts_has_none)
{
	int fds[VECTORS];
	struct bench b;

	start_msix(&b, fds);
	cr_assert_eq(host_nvme_create_pair(b.nvme, 1, 32, -1), 0);
	bench_settle(&b);
	for (int i = 0; i < VECTORS; i++)
		(void)count(fds[i]);
	for (int i = 0; i < 100; i++)
		cr_assert_eq(host_nvme_flush(b.nvme, 1), 0);
	bench_settle(&b);
	for (int i = 0; i < VECTORS; i++)
		cr_expect_eq(count(fds[i]), 0, "vector %d", i);
	bench_stop(&b);
	close_all(fds);
}

Test(function_interrupts, queues_may_share_a_vector)
{
	int fds[VECTORS];
	struct bench b;

	start_msix(&b, fds);
	cr_assert_eq(host_nvme_create_pair(b.nvme, 1, 32, 1), 0);
	cr_assert_eq(host_nvme_create_pair(b.nvme, 2, 32, 1), 0);
	(void)count(fds[1]);
	cr_assert_eq(host_nvme_flush(b.nvme, 1), 0);
	cr_assert_eq(host_nvme_flush(b.nvme, 2), 0);
	bench_settle(&b);
	cr_expect_eq(count(fds[1]), 2);
	bench_stop(&b);
	close_all(fds);
}

/* QEMU without NORESIZE takes all eventfds away and gives new ones. */
Test(function_interrupts, what_comes_between_two_eventfds_is_not_lost)
{
	int fds[VECTORS];
	struct bench b;

	start_msix(&b, fds);
	cr_assert_eq(host_nvme_create_pair(b.nvme, 1, 32, 1), 0);
	cr_assert_eq(host_irq_disable(b.host, VFIO_PCI_MSIX_IRQ_INDEX), 0);
	cr_assert_eq(host_nvme_flush(b.nvme, 1), 0);
	bench_settle(&b);
	cr_expect_eq(count(fds[1]), 0);
	cr_assert_eq(
		host_irq_set(b.host, VFIO_PCI_MSIX_IRQ_INDEX, 0, fds, VECTORS),
		0);
	bench_settle(&b);
	cr_expect_eq(count(fds[1]), 1);
	bench_stop(&b);
	close_all(fds);
}

Test(function_interrupts, without_msix_the_pin_follows_the_queues)
{
	uint16_t first, second;
	struct nvme_cmd flush = { .opcode = NVME_NVM_FLUSH,
				  .nsid = le32_put(1) };
	struct bench b;
	int fd = make_eventfd();

	bench_enable(&b, NULL);
	cr_assert_eq(host_irq_set(b.host, VFIO_PCI_INTX_IRQ_INDEX, 0, &fd, 1),
		     0);
	cr_assert_eq(host_nvme_create_pair(b.nvme, 1, 32, 0), 0);
	bench_settle(&b);
	(void)count(fd);
	cr_assert_eq(host_irq_unmask(b.host, VFIO_PCI_INTX_IRQ_INDEX), 0);
	bench_settle(&b);
	cr_expect_eq(count(fd), 0, "all is reaped: the pin is low");
	cr_assert_eq(host_nvme_submit(b.nvme, 1, &flush, &first), 0);
	cr_assert_eq(host_nvme_submit(b.nvme, 1, &flush, &second), 0);
	bench_settle(&b);
	cr_expect_eq(count(fd), 1, "once: the level is masked by firing");
	cr_assert_eq(host_irq_unmask(b.host, VFIO_PCI_INTX_IRQ_INDEX), 0);
	bench_settle(&b);
	cr_expect_eq(count(fd), 1, "still high: nobody reaped");
	cr_assert_eq(host_nvme_wait(b.nvme, 1, first, NULL), 0);
	cr_assert_eq(host_nvme_wait(b.nvme, 1, second, NULL), 0);
	cr_assert_eq(host_irq_unmask(b.host, VFIO_PCI_INTX_IRQ_INDEX), 0);
	bench_settle(&b);
	cr_expect_eq(count(fd), 0, "low again");
	bench_stop(&b);
	close(fd);
}

Test(function_interrupts, the_mask_register_holds_the_pin_down)
{
	struct nvme_cmd flush = { .opcode = NVME_NVM_FLUSH,
				  .nsid = le32_put(1) };
	struct bench b;
	uint32_t mask;
	uint16_t cid;
	int fd = make_eventfd();

	bench_enable(&b, NULL);
	cr_assert_eq(host_irq_set(b.host, VFIO_PCI_INTX_IRQ_INDEX, 0, &fd, 1),
		     0);
	cr_assert_eq(host_nvme_create_pair(b.nvme, 1, 32, 0), 0);
	bench_settle(&b);
	host_irq_unmask(b.host, VFIO_PCI_INTX_IRQ_INDEX);
	(void)count(fd);
	host_write32(b.host, 0, NVME_REG_INTMS, 1);
	host_read32(b.host, 0, NVME_REG_INTMS, &mask);
	cr_expect_eq(mask, 1);
	host_read32(b.host, 0, NVME_REG_INTMC, &mask);
	cr_expect_eq(mask, 1);
	cr_assert_eq(host_nvme_submit(b.nvme, 1, &flush, &cid), 0);
	bench_settle(&b);
	cr_expect_eq(count(fd), 0);
	host_write32(b.host, 0, NVME_REG_INTMC, 1);
	bench_settle(&b);
	cr_expect_eq(count(fd), 1);
	cr_assert_eq(host_nvme_wait(b.nvme, 1, cid, NULL), 0);
	bench_stop(&b);
	close(fd);
}

Test(function_interrupts, the_pin_goes_down_with_the_controller)
{
	struct nvme_cmd flush = { .opcode = NVME_NVM_FLUSH,
				  .nsid = le32_put(1) };
	uint16_t status;
	struct bench b;

	bench_enable(&b, NULL);
	cr_assert_eq(host_nvme_create_pair(b.nvme, 1, 32, 0), 0);
	cr_assert_eq(host_nvme_submit(b.nvme, 1, &flush, NULL), 0);
	bench_settle(&b);
	host_read(b.host, HOST_CONFIG, 6, &status, 2);
	cr_expect_neq(status & 8, 0, "Interrupt Status");
	cr_assert_eq(host_nvme_disable(b.nvme), 0);
	host_read(b.host, HOST_CONFIG, 6, &status, 2);
	cr_expect_eq(status & 8, 0);
	bench_stop(&b);
}

/* 5.21.1.8: completions may be told together, but each is told in the end. */
Test(function_interrupts, coalesced_interrupts_still_come)
{
	int fds[VECTORS];
	struct bench b;
	uint64_t told;

	start_msix(&b, fds);
	cr_assert_eq(host_nvme_create_pair(b.nvme, 1, 32, 1), 0);
	cr_assert_eq(host_nvme_set_feature(b.nvme, 8, 50u << 8 | 9, NULL), 0);
	bench_settle(&b);
	(void)count(fds[1]);
	for (int i = 0; i < 5; i++)
		cr_assert_eq(host_nvme_flush(b.nvme, 1), 0);
	cr_assert_eq(host_nvme_idle(b.nvme, 50), 0);
	told = count(fds[1]);
	cr_expect_geq(told, 1);
	cr_expect_leq(told, 5);
	bench_stop(&b);
	close_all(fds);
}
