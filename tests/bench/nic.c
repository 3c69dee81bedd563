/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a NIC costs the card, without a guest: rings are filled here, in the
 * same process, and only the card's own part is timed.
 *
 *   bench-nic --time 500
 *
 * A guest's core would have its lines in its own cache; here they are in ours,
 * unless --cold pushes them out before each round.
 */
#include <argp.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ena/function.h"
#include "ena/nic.h"
#include "ena/queue.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

#define IOVA   UINT64_C(0x40000000)
#define BYTES  (UINT64_C(64) << 20)
#define DEPTH  1024u
#define ROUND  512u /* packets that are prepared at a time */
#define SQ(n)  (IOVA + 0x20000 * (uint64_t)(n))
#define CQ(n)  (IOVA + 0x200000 + 0x20000 * (uint64_t)(n))
#define DATA   (IOVA + 0x400000)
#define STRIDE 4096u
#define TX     0u
#define RX     1u
#define BURST  32u

struct nic {
	struct pcie_function *fn;
	struct ena_nic *nic;
	uint8_t *memory;
	uint16_t tx_tail, rx_tail;
};

struct bench {
	uint64_t ms;
	bool is_json, is_cold;
	struct rt_loop *loop;
	struct nic one, two;
	struct ena_port sink;
	double ns; /* of a packet, in the best round */
	uint64_t instructions, packets;
	int counter;
	uint8_t *thrash;
};

static struct bench bench = { .ms = 300 };

/* ---- measuring ---- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int open_counter(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_HARDWARE,
					.size = sizeof attr,
					.config = PERF_COUNT_HW_INSTRUCTIONS,
					.exclude_kernel = 1,
					.exclude_hv = 1 };

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static uint64_t read_counter(void)
{
	uint64_t value = 0;

	if (bench.counter < 0 ||
	    read(bench.counter, &value, sizeof value) != sizeof value)
		return 0;
	return value;
}

#define THRASH_BYTES (UINT64_C(64) << 20)

static void make_cold(void)
{
	for (uint64_t i = 0; bench.is_cold && i < THRASH_BYTES; i += 64)
		bench.thrash[i]++;
}

static uint64_t begun_ns, begun_instructions;

static void begin(void)
{
	make_cold();
	begun_instructions = read_counter();
	begun_ns = now_ns();
}

/* The best round counts: the others were disturbed by somebody. */
static void end(uint64_t packets)
{
	double ns = (double)(now_ns() - begun_ns) / (double)packets;

	if (!bench.packets || ns < bench.ns)
		bench.ns = ns;
	bench.instructions += read_counter() - begun_instructions;
	bench.packets += packets;
}

static void report(const char *name, uint32_t bytes)
{
	double packets = bench.packets ? (double)bench.packets : 1;
	double ns = bench.ns;

	printf(bench.is_json
		       ? "{\"case\": \"%s\", \"bytes\": %u, \"ns\": %.1f, "
			 "\"instructions\": %.0f, \"mpps\": %.2f, "
			 "\"gbps\": %.1f}\n"
		       : "%-16s %6u bytes %8.1f ns %7.0f instructions "
			 "%7.2f M/s %7.1f Gb/s\n",
	       name, bytes, ns, (double)bench.instructions / packets, 1e3 / ns,
	       (double)bytes * 8 / ns);
	fflush(stdout);
	bench.instructions = bench.packets = 0;
}

/* ---- the machine ---- */

static void die(const char *why)
{
	fprintf(stderr, "bench-nic: %s\n", why);
	exit(2);
}

static void make_memory(struct nic *n)
{
	int fd = memfd_create("guest", 0);

	if (fd < 0 || ftruncate(fd, (off_t)BYTES) ||
	    pcie_dma_map(n->fn, IOVA, BYTES,
			 PCIE_DMA_READABLE | PCIE_DMA_WRITEABLE, fd, 0))
		die("no memory");
	n->memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_POPULATE, fd, 0);
	if (n->memory == MAP_FAILED)
		die("no memory");
	close(fd);
}

static void make_nic(struct nic *n, const char *name, char *lan)
{
	struct ena_config config = { .pairs = 8,
				     .speed = 25000,
				     .mtu = 9216,
				     .lan = lan,
				     .profile = ENA_PROFILE_NITRO_V4,
				     .has_llq = true };
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	struct rt_error error = { 0 };

	if (pcie_function_create(&ena_function, name, bench.loop, &config,
				 &n->fn, &error))
		die(error.text);
	n->nic = ena_nic_of(n->fn);
	make_memory(n);
	pcie_region_write(n->fn, PCIE_CONFIG_REGION, PCI_COMMAND, &command, 2);
}

static uint8_t *at(const struct nic *n, uint64_t iova)
{
	return n->memory + (iova - IOVA);
}

static void make_queue(struct nic *n, uint16_t queue, uint8_t direction,
		       uint16_t llq)
{
	struct ena_state *state = n->nic->state;
	bool is_tx = direction == ENA_ADMIN_SQ_DIRECTION_TX;

	ena_path_close_sq(n->nic, queue);
	ena_path_close_cq(n->nic, queue);
	state->cq[queue] = (struct ena_cq_state){ .base = CQ(queue),
						  .depth = DEPTH,
						  .entry_words = is_tx ? 2 : 4,
						  .is_bound = true };
	state->sq[queue] =
		(struct ena_sq_state){ .base = llq ? 0 : SQ(queue),
				       .depth = DEPTH,
				       .direction = direction,
				       .is_llq = llq != 0,
				       .llq_entry_bytes = llq,
				       .llq_descs_before_header = 2 };
	if (!ena_path_open_cq(n->nic, queue) ||
	    !ena_path_open_sq(n->nic, queue))
		die("no queue");
	if (is_tx)
		n->tx_tail = 0;
	else
		n->rx_tail = 0;
}

/* ---- the guest ---- */

static void put16(uint8_t *to, uint32_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static void fill_frame(uint8_t *to, uint32_t size, const struct nic *to_whom,
		       const struct nic *from, bool is_tcp)
{
	memset(to, 0x5a, size);
	memcpy(to, to_whom->nic->mac, 6);
	memcpy(to + 6, from->nic->mac, 6);
	put16(to + 12, 0x0800);
	to[14] = 0x45;
	put16(to + 16, size - 14);
	put16(to + 20, 0);
	to[23] = is_tcp ? IPPROTO_TCP : IPPROTO_UDP;
	put16(to + 38, size - 34);
	put16(to + 40, 0); /* no UDP checksum */
	if (is_tcp)
		to[46] = 0x50;
}

static void put_desc(uint8_t *to, uint64_t word0, uint64_t word1,
		     uint64_t word2, uint64_t word3)
{
	le32 desc[4] = { le32_put((uint32_t)word0), le32_put((uint32_t)word1),
			 le32_put((uint32_t)word2), le32_put((uint32_t)word3) };

	memcpy(to, desc, sizeof desc);
}

#define FIRST_LAST                                                             \
	(ENA_ETH_IO_TX_DESC_FIRST | ENA_ETH_IO_TX_DESC_LAST |                  \
	 ENA_ETH_IO_TX_DESC_COMP_REQ)

static uint64_t phase_of(uint16_t tail)
{
	return tail & DEPTH ? 0 : ENA_ETH_IO_TX_DESC_PHASE;
}

static void push_llq(struct nic *n, const uint8_t *frame, uint32_t size,
		     uint16_t entry_bytes)
{
	uint8_t *bar = (uint8_t *)(uintptr_t)pcie_bar_bytes(n->fn, ENA_MEM_BAR);
	uint8_t *entry = bar + (n->tx_tail & (DEPTH - 1)) * entry_bytes;
	uint32_t room = entry_bytes - 32u;
	uint32_t pushed = size < room ? size : room;
	uint64_t data = DATA + (n->tx_tail & (DEPTH - 1)) * STRIDE + pushed;

	put_desc(entry,
		 ENA_ETH_IO_TX_DESC_META_DESC | ENA_ETH_IO_TX_DESC_FIRST |
			 ENA_ETH_IO_TX_META_EXT_VALID | phase_of(n->tx_tail),
		 0, 0, 0);
	put_desc(entry + 16,
		 ENA_ETH_IO_TX_DESC_LAST | ENA_ETH_IO_TX_DESC_COMP_REQ |
			 phase_of(n->tx_tail) | (size - pushed),
		 0, data, (data >> 32) | (uint64_t)pushed << 24);
	memcpy(entry + 32, frame, pushed);
	n->tx_tail++;
}

static void push_host(struct nic *n, uint32_t size)
{
	uint64_t data = DATA + (n->tx_tail & (DEPTH - 1)) * STRIDE;

	put_desc(at(n, SQ(TX)) + (n->tx_tail & (DEPTH - 1)) * 16,
		 FIRST_LAST | phase_of(n->tx_tail) | size, 0, data, data >> 32);
	n->tx_tail++;
}

/* 64 KiB in one descriptor of metadata and four of data. */
static void push_tso(struct nic *n, uint32_t size)
{
	uint64_t meta = bits_put(ENA_ETH_IO_TX_META_MSS_LO, 0, 1448 & 1023);
	uint64_t first = DATA + n->tx_tail % 64 * UINT64_C(0x10000);
	unsigned int parts = 4;

	meta = bits_put(ENA_ETH_IO_TX_META_L3_HDR_LEN, meta, 20);
	meta = bits_put(ENA_ETH_IO_TX_META_L3_HDR_OFF, meta, 14);
	meta = bits_put(ENA_ETH_IO_TX_META_L4_HDR_LEN, meta, 5);
	put_desc(at(n, SQ(TX)) + (n->tx_tail & (DEPTH - 1)) * 16,
		 ENA_ETH_IO_TX_DESC_META_DESC | ENA_ETH_IO_TX_DESC_FIRST |
			 ENA_ETH_IO_TX_META_EXT_VALID | phase_of(n->tx_tail) |
			 bits_put(ENA_ETH_IO_TX_META_MSS_HI, 0, 1448 >> 10),
		 0, meta, 0);
	n->tx_tail++;
	for (unsigned int i = 0; i < parts; i++) {
		uint64_t data = first + i * (size / parts);

		put_desc(at(n, SQ(TX)) + (n->tx_tail & (DEPTH - 1)) * 16,
			 phase_of(n->tx_tail) | size / parts |
				 (i ? 0 : ENA_ETH_IO_TX_DESC_COMP_REQ) |
				 (i + 1 == parts ? ENA_ETH_IO_TX_DESC_LAST : 0),
			 i ? 0 : ENA_ETH_IO_TX_DESC_TSO_EN, data, data >> 32);
		n->tx_tail++;
	}
}

static void give_buffers(struct nic *n, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++, n->rx_tail++) {
		unsigned int slot = n->rx_tail & (DEPTH - 1);
		uint64_t data = DATA + (uint64_t)slot * STRIDE;
		struct ena_eth_io_rx_desc desc = {
			.length = le16_put(2048),
			.ctrl = 0x1c | !(n->rx_tail & DEPTH),
			.req_id = le16_put((uint16_t)slot),
			.buff_addr_lo = le32_put((uint32_t)data),
			.buff_addr_hi = le16_put((uint16_t)(data >> 32)),
		};

		memcpy(at(n, SQ(RX)) + slot * sizeof desc, &desc, sizeof desc);
	}
}

static void ring(struct nic *n, uint16_t queue, uint16_t tail)
{
	__atomic_store_n(&n->nic->path->doors[queue], htole32(tail),
			 __ATOMIC_RELEASE);
}

static void run(struct nic *n)
{
	const struct ena_sq_state *sq = &n->nic->state->sq[TX];

	while (sq->consumed != n->tx_tail)
		if (rt_loop_step(bench.loop, 0) < 0)
			die("no loop");
}

/* Awake, as it is under load. */
static void wake(struct nic *n)
{
	ena_doors_catch_up(n->nic);
	rt_loop_step(bench.loop, 0);
}

/* ---- cases ---- */

static void fill_all(struct nic *n, uint32_t size, bool is_tcp)
{
	for (unsigned int i = 0; i < DEPTH; i++)
		fill_frame(at(n, DATA + (uint64_t)i * STRIDE), size, &bench.two,
			   n, is_tcp);
}

static bool is_on(uint64_t until_ns)
{
	return now_ns() < until_ns;
}

static void push_round(struct nic *n, uint32_t size, uint16_t llq)
{
	for (unsigned int i = 0; i < ROUND; i++) {
		uint8_t *frame = at(n, DATA + (n->tx_tail & (DEPTH - 1)) *
						       (uint64_t)STRIDE);

		if (llq)
			push_llq(n, frame, size, llq);
		else
			push_host(n, size);
	}
}

/* To the sink, or with buffers there to the other NIC. */
static void bench_tx(const char *name, uint32_t size, uint16_t llq,
		     bool is_received)
{
	uint64_t until_ns = now_ns() + bench.ms * 1000000;
	struct nic *n = &bench.one;

	make_queue(n, TX, ENA_ADMIN_SQ_DIRECTION_TX, llq);
	if (is_received)
		make_queue(&bench.two, RX, ENA_ADMIN_SQ_DIRECTION_RX, 0);
	fill_all(n, size, false);
	while (is_on(until_ns)) {
		push_round(n, size, llq);
		if (is_received) {
			give_buffers(&bench.two, ROUND);
			ring(&bench.two, RX, bench.two.rx_tail);
		}
		wake(n);
		begin();
		ring(n, TX, n->tx_tail);
		run(n);
		end(ROUND);
	}
	report(name, size);
}

static void bench_tso(const char *name, uint32_t size)
{
	uint64_t until_ns = now_ns() + bench.ms * 1000000;
	struct nic *n = &bench.one;

	make_queue(n, TX, ENA_ADMIN_SQ_DIRECTION_TX, 0);
	make_queue(&bench.two, RX, ENA_ADMIN_SQ_DIRECTION_RX, 0);
	fill_all(n, STRIDE, true);
	while (is_on(until_ns)) {
		for (unsigned int i = 0; i < 16; i++)
			push_tso(n, size);
		give_buffers(&bench.two, 16 * 45);
		ring(&bench.two, RX, bench.two.rx_tail);
		wake(n);
		begin();
		ring(n, TX, n->tx_tail);
		run(n);
		end(16);
	}
	report(name, size);
}

static void bench_rx(const char *name, uint32_t size)
{
	uint64_t until_ns = now_ns() + bench.ms * 1000000;
	struct nic *n = &bench.one;
	struct ena_frame frames[BURST];
	struct iovec parts[BURST];
	static uint8_t bytes[BURST][STRIDE];

	make_queue(n, RX, ENA_ADMIN_SQ_DIRECTION_RX, 0);
	for (unsigned int i = 0; i < BURST; i++) {
		uint32_t header = size < 128 ? size : 128;

		fill_frame(bytes[i], size, n, &bench.two, false);
		parts[i] = (struct iovec){ bytes[i] + header, size - header };
		frames[i] = (struct ena_frame){
			.header = bytes[i],
			.header_length = (uint16_t)header,
			.length = size,
			.part_count = size > header,
			.parts = &parts[i],
			.flags = ENA_FRAME_L4_CSUM_GOOD,
		};
	}
	while (is_on(until_ns)) {
		give_buffers(n, ROUND);
		ring(n, RX, n->rx_tail);
		begin();
		for (unsigned int i = 0; i < ROUND; i += BURST)
			ena_nic_port.deliver(&n->nic->port, frames, BURST);
		end(ROUND);
	}
	report(name, size);
}

static unsigned int take_all(struct ena_port *port,
			     const struct ena_frame *frames, unsigned int count)
{
	(void)port;
	(void)frames;
	return count;
}

static void bench_all(void)
{
	static const struct ena_port_type sink = { .name = "sink",
						   .deliver = take_all };

	make_nic(&bench.two, "two", "lan");
	make_nic(&bench.one, "one", "other");
	bench.sink = (struct ena_port){ .type = &sink,
					.name = "sink",
					.is_uplink = true };
	if (ena_port_plug(&bench.sink, bench.one.nic->lan))
		die("no port");
	bench_tx("tx host", 64, 0, false);
	bench_tx("tx llq", 64, 128, false);
	bench_tx("tx host", 1514, 0, false);
	bench_rx("rx", 64);
	bench_rx("rx", 1514);
	ena_port_unplug(&bench.sink);
	pcie_dma_unmap_all(bench.one.fn);
	pcie_function_destroy(&bench.one.fn);
	make_nic(&bench.one, "one", "lan");
	bench_tx("nic to nic host", 64, 0, true);
	bench_tx("nic to nic llq", 64, 128, true);
	bench_tx("nic to nic host", 1514, 0, true);
	bench_tso("nic to nic tso", 65024);
}

/* ---- options ---- */

static int parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 'j':
		bench.is_json = true;
		return 0;
	case 'c':
		bench.is_cold = true;
		return 0;
	case 't':
		bench.ms = strtoull(arg, NULL, 10);
		if (!bench.ms)
			argp_error(state, "%s is no time", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "json", 'j', NULL, 0, "One JSON object per line", 0 },
		{ "cold", 'c', NULL, 0, "Nothing is in our caches", 0 },
		{ "time", 't', "MS", 0, "Of a measurement (default 300)", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.doc = "What a network adapter costs the card per packet.",
	};

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (rt_loop_create(NULL, &bench.loop))
		die("no io_uring");
	bench.counter = open_counter();
	bench.thrash = calloc(1, THRASH_BYTES);
	if (!bench.thrash)
		die("no memory");
	bench_all();
	return 0;
}
