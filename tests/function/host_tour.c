/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A tour of host-driver on an NVMe function at any address: what a driver needs
 * of a bus, one line for each stop.  It writes to the function's blocks.
 *
 *	host_tour ADDRESS [small]       small: no huge pages
 *	host_tour ADDRESS lost          waits until the function is lost
 *
 * tests/cli takes it to a card, tests/e2e to a guest's kernel.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ebs-nvme/abi.h"
#include "firmware/rt/error.h"
#include "host-driver/bus.h"
#include "host-driver/nvme_host.h"

#define BLOCK      512u
#define DATA_BYTES (128u * 1024)
#define MSIX       0x11u
#define WAIT_MS    20000

static const struct host_nvme_options options = { .iova = 0x40000000,
						  .size = 0x1000000 };

static struct host_function *fn;
static struct host_nvme *nvme;

/* Every stop ends here: in a line, or with the tour. */
static void stop(bool is_good, const char *what, int rc)
{
	printf("%s: %s", is_good ? "ok" : "not ok", what);
	if (!is_good && rc > 0)
		printf(" (status %#x)", rc);
	else if (!is_good)
		printf(" (%s %s)", rc < 0 ? rt_errno_name(rc) : "",
		       host_error(fn)->text);
	printf("\n");
	if (!is_good)
		exit(1);
}

static void must(int rc, const char *what)
{
	if (rc != 0)
		stop(false, what, rc);
}

static void look_at_configuration_space(void)
{
	uint32_t id = 0;
	unsigned int vectors = 0;

	must(host_read32(fn, HOST_CONFIG, 0, &id), "identity");
	must(host_irq_count(fn, VFIO_PCI_MSIX_IRQ_INDEX, &vectors), "vectors");
	stop(id != UINT32_MAX && (id & 0xffff) != 0, "identity", 0);
	stop(host_capability(fn, MSIX) != 0 && vectors > 1, "interrupts", 0);
}

static void look_at_regions(void)
{
	uint64_t size = 0;
	uint32_t low = 0, high = 0;
	uint64_t both = 0;

	must(host_region_size(fn, 0, &size), "region 0");
	must(host_read32(fn, 0, NVME_REG_CAP, &low), "read of 4");
	must(host_read32(fn, 0, NVME_REG_CAP + 4, &high), "read of 4");
	must(host_read64(fn, 0, NVME_REG_CAP, &both), "read of 8");
	stop(size > NVME_REG_DOORBELLS && both == ((uint64_t)high << 32 | low),
	     "registers", 0);
}

/* The longest queue there may be, and one that is too long for the memory. */
static void make_queues(int vector)
{
	uint32_t most = host_nvme_max_entries(nvme);
	uint64_t stretch = nvme->memory.page_bytes;
	int rc = host_nvme_create_pair(nvme, 1, most < 64 ? most : 64, vector);

	must(rc, "queues");
	if (stretch < 0x100000)
		stop(host_nvme_create_cq(nvme, 2, 0x10000, -1) == -E2BIG,
		     "a queue that is too long", 0);
	stop(true, "queues", 0);
}

static int events[2];

static void ask_for_interrupts(void)
{
	events[0] = eventfd(0, EFD_CLOEXEC);
	events[1] = eventfd(0, EFD_CLOEXEC);
	must(host_msix_enable(fn, events, 2), "eventfds");
}

static void hear_an_interrupt(void)
{
	struct pollfd ready = { .fd = events[1], .events = POLLIN };

	must(host_nvme_flush(nvme, 1), "flush");
	stop(poll(&ready, 1, WAIT_MS) == 1, "an interrupt", 0);
	must(host_msix_disable(fn), "no interrupts");
	close(events[0]);
	close(events[1]);
}

static void fill(uint8_t *bytes, uint64_t seed)
{
	for (size_t i = 0; i < DATA_BYTES; i++) {
		seed = seed * UINT64_C(6364136223846793005) + 1;
		bytes[i] = (uint8_t)(seed >> 56);
	}
}

/* Pages that do not touch, and data that does not start with a page. */
static void move_data(uint64_t seed, const char *what)
{
	static uint8_t out[DATA_BYTES], in[DATA_BYTES];
	struct host_nvme_shape shape = { .offset = 512, .is_scattered = true };
	struct host_nvme_data data;
	int rc = host_nvme_data_make(nvme, DATA_BYTES, shape, &data);

	must(rc, "memory for data");
	fill(out, seed);
	host_nvme_data_put(nvme, &data, out);
	must(host_nvme_rw(nvme, 1, NVME_NVM_WRITE, 8, DATA_BYTES / BLOCK,
			  &data),
	     "write");
	host_nvme_data_put(nvme, &data, in);
	must(host_nvme_rw(nvme, 1, NVME_NVM_READ, 8, DATA_BYTES / BLOCK, &data),
	     "read");
	host_nvme_data_get(nvme, &data, in);
	stop(memcmp(in, out, DATA_BYTES) == 0, what, 0);
}

/* The controller is off afterwards, and can be turned on again. */
static void reset(void)
{
	int rc = host_reset(fn);

	must(rc, "reset");
	/* Some controllers need a moment. */
	rc = host_nvme_wait_csts(nvme, NVME_CSTS_RDY, 0);
	stop(rc == 0, "a reset", rc);
	host_nvme_close(&nvme);
	must(host_nvme_open(fn, &options, &nvme), "driver");
	must(host_nvme_enable(nvme), "enable");
	make_queues(-1);
}

static void map_twice(void)
{
	struct host_memory more;
	int rc = host_memory_map(fn, UINT64_C(0x80000000), 0x3000, true, &more);

	must(rc, "more memory");
	memset(more.bytes, 1, more.size);
	must(host_memory_unmap(fn, &more), "unmapping");
	/* Without an IOMMU nothing is taken. */
	rc = host_memory_map(fn, options.iova, 0x3000, true, &more);
	if (strcmp(host_bus_name(fn), "vfio no-IOMMU") == 0)
		stop(rc == 0, "more memory", rc);
	else
		stop(rc < 0, "an address that is taken", rc);
	if (rc == 0)
		must(host_memory_unmap(fn, &more), "unmapping");
}

static int wait_until_lost(void)
{
	int rc = 0;

	printf("waiting\n");
	while (rc >= 0)
		rc = host_poll(fn, WAIT_MS);
	printf("lost: %s %s\n", rt_errno_name(rc), host_error(fn)->text);
	host_close(&fn);
	return 0;
}

int main(int argc, char **argv)
{
	const char *word = argc == 3 ? argv[2] : "";
	bool is_small = strcmp(word, "small") == 0;
	struct host_options how = { .quirks = is_small ? HOST_SMALL_PAGES : 0 };
	struct rt_error error;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 2 || host_open(argv[1], &how, &fn, &error) < 0) {
		fprintf(stderr, "%s\n%s\n", argc < 2 ? "ADDRESS?" : error.text,
			argc < 2 ? "" : error.hint);
		return 2;
	}
	printf("bus: %s\n", host_bus_name(fn));
	if (strcmp(word, "lost") == 0)
		return wait_until_lost();
	look_at_configuration_space();
	look_at_regions();
	must(host_nvme_open(fn, &options, &nvme), "driver");
	printf("pages: %llu KiB\n",
	       (unsigned long long)nvme->memory.page_bytes >> 10);
	must(host_nvme_disable(nvme), "disable");
	must(host_nvme_enable(nvme), "enable");
	ask_for_interrupts();
	make_queues(1);
	move_data(1, "data");
	hear_an_interrupt();
	map_twice();
	reset();
	move_data(2, "data after a reset");
	must(host_nvme_shutdown(nvme, 1), "shutdown");
	host_nvme_close(&nvme);
	host_close(&fn);
	printf("the tour is over\n");
	return 0;
}
