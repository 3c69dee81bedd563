/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The security module before a driver that nobody trusts: registers of every
 * kind, also through the window, a queue with any descriptors in memory that
 * changes, requests, resets, time and faults.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/rt/clock.h"
#include "firmware/rt/guard.h"
#include "firmware/rt/log.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"
#include "security-chip/chip.h"
#include "security-chip/nsm/nsm.h"
#include "tests/fuzz/input.h"

#define IOVA       UINT64_C(0x100000)
#define BYTES      UINT64_C(0x20000)
#define DESC       IOVA
#define AVAIL      (IOVA + 0x1000)
#define USED       (IOVA + 0x2000)
#define REQUEST    (IOVA + 0x3000)
#define RESPONSE   (IOVA + 0x4000)
#define MOST_STEPS 200

struct bench {
	struct input in;
	uint16_t offered;
};

static struct rt_clock the_clock;
static struct rt_loop *loop;
static struct pcie_function *fn;
static uint8_t *memory;
static int memory_fd = -1;
static char dir[] = "/tmp/nsm-fuzz-XXXXXX";

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Before libcrypto's own end: the thread that signs may still be at work. */
static void end(void)
{
	char command[64];

	pcie_function_destroy(&fn);
	(void)rt_loop_step(loop, 0);
	rt_loop_destroy(&loop);
	sec_chip_close();
	snprintf(command, sizeof command, "rm -rf %s", dir);
	must(system(command) == 0);
}

static void start_once(void)
{
	static const struct nsm_config config;

	if (loop)
		return;
	rt_log_set_level(RT_LOG_ERROR);
	must(rt_guard_install() == 0);
	must(mkdtemp(dir) && sec_chip_open(dir, NULL) == 0);
	rt_clock_make_virtual(&the_clock, RT_NS_PER_S);
	must(rt_loop_create(&the_clock, &loop) == 0);
	must(pcie_function_create(&nsm_function, "nsm0", loop, &config, &fn,
				  NULL) == 0);
	must(atexit(end) == 0);
	memory_fd = memfd_create("fuzz-guest", MFD_CLOEXEC);
	must(memory_fd >= 0 && ftruncate(memory_fd, BYTES) == 0);
	memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		      memory_fd, 0);
	must(memory != MAP_FAILED);
}

static void step(void)
{
	for (int i = 0; i < 4; i++)
		(void)rt_loop_step(loop, 0);
}

/* ---- what a driver may do ---- */

static void write_bar(uint64_t offset, unsigned int size, uint64_t value)
{
	uint8_t bytes[8];

	le_store(bytes, sizeof bytes, value);
	pcie_region_write(fn, NSM_BAR, offset, bytes, size);
}

static void set_up(struct bench *b)
{
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	pcie_region_write(fn, PCIE_CONFIG_REGION, PCI_COMMAND, &command, 2);
	memset(memory, 0, 0x3000);
	b->offered = 0;
	write_bar(VIRTIO_DEVICE_STATUS, 1, 0);
	write_bar(VIRTIO_DEVICE_STATUS, 1, 1);
	write_bar(VIRTIO_DEVICE_STATUS, 1, 3);
	write_bar(VIRTIO_DRIVER_FEATURE_SELECT, 4, 1);
	write_bar(VIRTIO_DRIVER_FEATURE, 4, 1);
	write_bar(VIRTIO_DEVICE_STATUS, 1, 0xb);
	write_bar(VIRTIO_QUEUE_SIZE, 2, 1u << input_u8(&b->in) % 7);
	write_bar(VIRTIO_QUEUE_DESC, 8, DESC);
	write_bar(VIRTIO_QUEUE_DRIVER, 8, AVAIL);
	write_bar(VIRTIO_QUEUE_DEVICE, 8, USED);
	write_bar(VIRTIO_CONFIG_VECTOR, 2, 0);
	write_bar(VIRTIO_QUEUE_VECTOR, 2, 1);
	write_bar(VIRTIO_QUEUE_ENABLE, 2, 1);
	write_bar(VIRTIO_DEVICE_STATUS, 1, 0xf);
}

static void poke(struct bench *b)
{
	uint64_t offset = input_u8(&b->in) % 0x40;
	unsigned int size = input_u8(&b->in) % 8 + 1;

	write_bar(offset, size, input_u64(&b->in));
}

static void peek(struct bench *b)
{
	static const uint16_t bases[] = { 0, NSM_ISR, NSM_NOTIFY, 0x3ff8 };
	uint8_t choice = input_u8(&b->in), bytes[64];

	pcie_region_read(fn, choice & 1, bases[choice >> 1 & 3] + choice / 8,
			 bytes, input_u8(&b->in) % sizeof bytes);
}

static void config(struct bench *b)
{
	uint8_t offset = input_u8(&b->in), bytes[16];
	size_t size = input_u8(&b->in) % sizeof bytes;

	/* Not so far as to FLRs by chance alone. */
	input_bytes(&b->in, bytes, sizeof bytes);
	pcie_region_write(fn, PCIE_CONFIG_REGION, offset, bytes, size);
	pcie_region_read(fn, PCIE_CONFIG_REGION, offset, bytes, size);
}

static void window(struct bench *b)
{
	uint16_t cap = fn->config_layout.vendor[3];
	uint32_t offset = input_u16(&b->in), length = input_u8(&b->in) % 6;
	uint8_t bar = input_u8(&b->in) % 8;
	uint32_t data = input_u32(&b->in);

	pcie_region_write(fn, PCIE_CONFIG_REGION, cap + VIRTIO_CAP_BAR, &bar,
			  1);
	pcie_region_write(fn, PCIE_CONFIG_REGION, cap + VIRTIO_CAP_OFFSET,
			  &offset, 4);
	pcie_region_write(fn, PCIE_CONFIG_REGION, cap + VIRTIO_CAP_LENGTH,
			  &length, 4);
	if (data & 1)
		pcie_region_write(fn, PCIE_CONFIG_REGION,
				  cap + VIRTIO_CAP_WINDOW_DATA, &data, 4);
	else
		pcie_region_read(fn, PCIE_CONFIG_REGION,
				 cap + VIRTIO_CAP_WINDOW_DATA, &data, 4);
}

/* Half of them work. */
static uint64_t address(struct bench *b)
{
	uint8_t kind = input_u8(&b->in);

	if (kind & 1)
		return REQUEST + kind / 2 * 0x100;
	if (kind & 2)
		return IOVA + input_u32(&b->in) % BYTES;
	return input_u64(&b->in);
}

static void put_desc(struct bench *b)
{
	struct virtio_desc *table = (void *)memory;
	uint8_t n = input_u8(&b->in) % 64;

	table[n].address = le64_put(address(b));
	table[n].length = le32_put(input_u16(&b->in));
	table[n].flags = le16_put(input_u8(&b->in) % 8);
	table[n].next = le16_put(input_u8(&b->in) % 80);
}

static void offer(struct bench *b, uint16_t head)
{
	uint16_t size = nsm_of(fn)->state->virtio.queue.size;
	struct virtio_avail *avail = (void *)(memory + (AVAIL - IOVA));
	le16 *ring = (void *)(avail + 1);

	ring[b->offered % size] = le16_put(head);
	avail->index = le16_put(++b->offered);
}

static void offer_any(struct bench *b)
{
	offer(b, input_u8(&b->in) % 80);
	write_bar(NSM_NOTIFY, 2, input_u8(&b->in) & 0x80 ? 1 : 0);
}

/* A pair that works, with any request. */
static void request(struct bench *b)
{
	struct virtio_desc *table = (void *)memory;
	uint16_t size = input_u8(&b->in);

	input_bytes(&b->in, memory + (REQUEST - IOVA), size);
	table[0] = (struct virtio_desc){ .address = le64_put(REQUEST),
					 .length = le32_put(size) };
	table[1] = (struct virtio_desc){
		.address = le64_put(RESPONSE),
		.length = le32_put(input_u8(&b->in) & 1 ? NSM_RESPONSE_BYTES
							: 100),
		.flags = le16_put(VIRTIO_DESC_WRITE),
	};
	offer(b, 0);
	offer(b, 1);
	write_bar(NSM_NOTIFY, 2, 0);
}

static void scribble(struct bench *b)
{
	uint32_t at = input_u16(&b->in) % 0x3000;

	input_bytes(&b->in, memory + at, 16);
}

static void reset(struct bench *b)
{
	static const enum pcie_reset_reason reasons[] = { PCIE_RESET_BUS,
							  PCIE_RESET_FLR,
							  PCIE_RESET_POWER,
							  PCIE_RESET_CONTROL };

	pcie_function_reset(fn, reasons[input_u8(&b->in) % 4], NULL, NULL);
}

static void fault(struct bench *b)
{
	struct rt_fault_rule rule = { .probability_ppm = 1000000, .limit = 2 };
	uint8_t point = input_u8(&b->in) % NSM_FAULTS;

	rule.value = input_u16(&b->in);
	(void)rt_fault_set_rule(&fn->faults, nsm_fault_points[point].name,
				&rule);
}

static void time_passes(struct bench *b)
{
	rt_clock_advance(&the_clock, input_u16(&b->in) * RT_NS_PER_US);
	step();
}

static void save(struct bench *b)
{
	size_t size;
	uint8_t *bytes;

	pcie_function_pause(fn, NULL, NULL);
	step();
	if (!fn->is_paused)
		return;
	size = pcie_function_save(fn, NULL, 0);
	bytes = malloc(size);
	must(bytes && pcie_function_save(fn, bytes, size) == size);
	if (input_u8(&b->in) & 1)
		bytes[size - sizeof(struct nsm_state) +
		      input_u16(&b->in) % sizeof(struct virtio_state)] ^=
			input_u8(&b->in);
	(void)pcie_function_restore(fn, bytes, size);
	(void)pcie_function_unpause(fn);
	free(bytes);
}

static void (*const actions[])(struct bench *b) = {
	set_up,  poke,     peek,  config, window,      put_desc, offer_any,
	request, scribble, reset, fault,  time_passes, save,
};

static void clean_up(void)
{
	for (unsigned int i = 0; i < NSM_FAULTS; i++)
		(void)rt_fault_clear(&fn->faults, nsm_fault_points[i].name);
	pcie_function_reset(fn, PCIE_RESET_BUS, NULL, NULL);
	step();
	pcie_dma_unmap_all(fn);
}

/* What must hold whatever the guest did. */
static void check(void)
{
	const struct nsm_state *state = nsm_of(fn)->state;

	must((state->locked & BITS(NSM_BOOT_PCRS - 1, 0)) ==
	     BITS(NSM_BOOT_PCRS - 1, 0));
	must(state->response_bytes <= NSM_RESPONSE_BYTES);
	must(virtio_is_sane(&nsm_of(fn)->virtio));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bench b = { .in = { data, size } };

	start_once();
	must(pcie_dma_map(fn, IOVA, BYTES,
			  PCIE_DMA_READABLE | PCIE_DMA_WRITEABLE, memory_fd,
			  0) == 0);
	set_up(&b);
	for (int i = 0; i < MOST_STEPS && !input_is_empty(&b.in); i++) {
		actions[input_u8(&b.in) % RT_COUNT(actions)](&b);
		step();
		check();
	}
	clean_up();
	return 0;
}
