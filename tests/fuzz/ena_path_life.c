/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See ena_path_life.h.  Queues are made in the state, with what the admin
 * queue would let pass; two NICs, with mapped and with trapped doorbells, are
 * made once and reset between lives.
 */
#include "tests/fuzz/ena_path_life.h"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ena/function.h"
#include "ena/nic.h"
#include "ena/queue.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "tests/fuzz/input.h"

#define IOVA        UINT64_C(0x10000)
#define BYTES       UINT64_C(0x100000)
#define SQ(n)       (IOVA + 0x4000 * (uint64_t)(n))
#define CQ(n)       (SQ(n) + 0x2000)
#define DATA        (IOVA + 0x80000)
#define QUEUES      16u
#define MAX_ACTIONS 300u

struct life {
	struct input in;
	struct pcie_function *fn;
	struct ena_nic *nic;
	struct ena_port sink;
	unsigned int room;
	uint16_t tails[QUEUES];
	bool is_mapped;
};

static struct rt_clock the_clock;
static struct rt_loop *loop;
static struct pcie_function *functions[2];
static int memory_fd = -1;
static uint8_t *memory;

static void must(bool holds)
{
	if (!holds)
		abort();
}

static struct life *life_of(struct ena_port *port)
{
	return rt_container_of(port, struct life, sink);
}

/* ---- the network ---- */

/* A driver that writes again what it has given away. */
static void scribble(struct life *l)
{
	uint8_t bytes[24];
	uint64_t at = input_u32(&l->in) % (BYTES - sizeof bytes);

	input_bytes(&l->in, bytes, sizeof bytes);
	memcpy(memory + at, bytes, sizeof bytes);
}

static void write_out(const struct ena_frame *frame)
{
	static uint8_t bytes[ENA_FRAME_MAX_BYTES];
	unsigned int count = ena_frame_wire_count(frame);

	must(count && frame->header_length <= ENA_FRAME_HEADER_BYTES);
	/* Some of many are enough. */
	for (unsigned int n = 0; n < count; n += 1 + count / 4) {
		uint32_t length = ena_frame_wire_length(frame, n);
		struct iovec pieces[] = { { bytes, length / 3 },
					  { bytes + length / 3,
					    length - length / 3 } };

		must(length && length <= 9216 + 22);
		ena_frame_put_wire(frame, n,
				   &(struct ena_frame_room){ pieces, 2 });
	}
}

static unsigned int deliver(struct ena_port *port,
			    const struct ena_frame *frames, unsigned int count)
{
	struct life *l = life_of(port);
	unsigned int taken = count < l->room ? count : l->room;

	if (!input_is_empty(&l->in) && input_u8(&l->in) % 4 == 0)
		scribble(l);
	for (unsigned int i = 0; i < taken; i++)
		write_out(&frames[i]);
	l->room -= taken;
	return taken;
}

static const struct ena_port_type sink = { .name = "sink", .deliver = deliver };

/* ---- the machine ---- */

static void make_function(unsigned int number)
{
	struct ena_config config = {
		.pairs = 8,
		.speed = 1000,
		.mtu = 9216,
		.profile = ENA_PROFILE_NITRO_V4,
		.has_llq = true,
		.doorbells =
			number ? ENA_DOORBELLS_TRAPPED : ENA_DOORBELLS_MAPPED,
	};
	struct rt_error error = { 0 };

	must(!pcie_function_create(&ena_function, number ? "eth1" : "eth0",
				   loop, &config, &functions[number], &error));
}

static void start_once(void)
{
	if (loop)
		return;
	rt_log_set_level(RT_LOG_ERROR);
	rt_clock_make_virtual(&the_clock, RT_NS_PER_S);
	must(!rt_loop_create(&the_clock, &loop));
	memory_fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	must(memory_fd >= 0 && !ftruncate(memory_fd, (off_t)BYTES));
	must(!fcntl(memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
	memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		      memory_fd, 0);
	must(memory != MAP_FAILED);
	make_function(0);
	make_function(1);
}

static void map_memory(struct life *l)
{
	unsigned int protection = PCIE_DMA_READABLE | PCIE_DMA_WRITEABLE;

	/* In two windows, with packets and buffers in both. */
	must(!pcie_dma_map(l->fn, IOVA, 0xa0000, protection, memory_fd, 0));
	must(!pcie_dma_map(l->fn, IOVA + 0xa0000, BYTES - 0xa0000, protection,
			   memory_fd, 0xa0000));
	l->is_mapped = true;
}

static void unmap_memory(struct life *l)
{
	if (l->is_mapped)
		pcie_dma_unmap_all(l->fn);
	l->is_mapped = false;
}

static void write_command(struct life *l, uint16_t command)
{
	pcie_region_write(l->fn, PCIE_CONFIG_REGION, PCI_COMMAND, &command, 2);
}

static void step(void)
{
	for (unsigned int i = 0; i < 4; i++)
		must(rt_loop_step(loop, 0) >= 0);
}

/* ---- the driver ---- */

static void close_queue(struct life *l, uint16_t n)
{
	ena_path_close_sq(l->nic, n);
	l->nic->state->sq[n] = (struct ena_sq_state){ 0 };
	ena_path_close_cq(l->nic, n);
	l->nic->state->cq[n] = (struct ena_cq_state){ 0 };
}

static bool open_queue(struct life *l, uint16_t n, uint8_t kind, uint32_t depth)
{
	static const uint16_t entries[] = { 128, 192, 256 };
	bool is_tx = kind & 1, is_llq = kind & 2;
	struct ena_sq_state *sq = &l->nic->state->sq[n];

	close_queue(l, n);
	l->nic->state->cq[n] = (struct ena_cq_state){
		.base = CQ(n),
		.depth = depth,
		.entry_words = (uint8_t)((is_tx ? 2 : 4) << (kind >> 7)),
		.has_interrupt = true,
		.vector = 1 + n % 4,
		.is_bound = true,
	};
	*sq = (struct ena_sq_state){
		.base = is_tx && is_llq ? 0x10000u * n : SQ(n),
		.depth = depth,
		.direction = is_tx ? ENA_ADMIN_SQ_DIRECTION_TX
				   : ENA_ADMIN_SQ_DIRECTION_RX,
		.is_llq = is_tx && is_llq,
		.llq_entry_bytes = entries[(kind >> 2) % 3],
		.llq_descs_before_header = (uint16_t)(1u << (kind >> 4 & 1)),
		.llq_is_single = kind & 0x40,
	};
	if (ena_path_open_cq(l->nic, n) && ena_path_open_sq(l->nic, n)) {
		l->tails[n] = 0;
		return true;
	}
	close_queue(l, n);
	return false;
}

static void make_queue(struct life *l)
{
	uint16_t n = input_u8(&l->in) % QUEUES;
	uint8_t kind = input_u8(&l->in);

	if (l->nic->is_quiescing)
		return;
	open_queue(l, n, kind, 4u << input_u8(&l->in) % 6);
}

static void end_queue(struct life *l)
{
	close_queue(l, input_u8(&l->in) % QUEUES);
}

static uint64_t some_address(struct life *l)
{
	uint16_t word = input_u16(&l->in);

	switch (word % 16) {
	case 0:
		return word * UINT64_C(0x10001);
	case 1:
		return IOVA + BYTES - word % 300;
	case 2:
		return IOVA + 0xa0000 - word % 300;
	default:
		return DATA + word * 7u;
	}
}

static uint8_t *slot_of(struct life *l, uint16_t n)
{
	const struct ena_sq_state *sq = &l->nic->state->sq[n];
	uint32_t slot = l->tails[n] & (sq->depth - 1);

	if (sq->is_llq)
		return (uint8_t *)(uintptr_t)pcie_bar_bytes(l->fn,
							    ENA_MEM_BAR) +
		       sq->base + slot * sq->llq_entry_bytes;
	return memory + (SQ(n) - IOVA) + slot * ENA_DESC_BYTES;
}

static void put_desc(uint8_t *to, uint32_t word0, uint32_t word1,
		     uint64_t address, uint32_t header)
{
	le32 desc[4] = {
		le32_put(word0),
		le32_put(word1),
		le32_put((uint32_t)address),
		le32_put((uint32_t)(address >> 32 & 0xffff) | header << 24),
	};

	memcpy(to, desc, sizeof desc);
}

/* One that could be, but for its numbers. */
static void put_packet(struct life *l)
{
	uint16_t n = input_u8(&l->in) % QUEUES;
	const struct ena_sq_state *sq = &l->nic->state->sq[n];
	uint8_t flags = input_u8(&l->in), *slot;
	uint32_t word0 = (uint32_t)(flags & 7 ? ENA_ETH_IO_TX_DESC_LAST : 0);

	if (!sq->depth)
		return;
	slot = slot_of(l, n);
	if (sq->direction == ENA_ADMIN_SQ_DIRECTION_RX) {
		put_desc(slot, input_u16(&l->in) % 3000, n, some_address(l), 0);
	} else if (flags & 8) {
		put_desc(slot,
			 (uint32_t)(ENA_ETH_IO_TX_DESC_META_DESC |
				    ENA_ETH_IO_TX_META_EXT_VALID),
			 0,
			 (uint64_t)(flags & 16 ? 0x16a0140eu + (flags >> 5)
					       : input_u32(&l->in)),
			 0);
		if (sq->is_llq)
			put_desc(slot + 16, word0 | input_u16(&l->in) % 2000,
				 input_u32(&l->in), some_address(l),
				 input_u8(&l->in));
	} else {
		put_desc(slot, word0 | input_u16(&l->in), input_u32(&l->in),
			 some_address(l), input_u8(&l->in));
	}
	l->tails[n]++;
}

/* Ethernet, IP and TCP or UDP, where packets are. */
static void put_headers(struct life *l)
{
	static const uint8_t ipv4[] = { 0x08, 0, 0x45, 0, 0, 90, 0,  1,
					0,    0, 64,   6, 0, 0,  10, 0,
					0,    1, 10,   0, 0, 2 };
	uint8_t *to = memory + (DATA - IOVA) + input_u16(&l->in) * 7u;

	memcpy(to, l->nic->mac, 6);
	memcpy(to + 6, l->nic->mac, 6);
	memcpy(to + 12, ipv4, sizeof ipv4);
	to[12 + input_u8(&l->in) % 40] ^= input_u8(&l->in);
	to[46] = 0x50;
}

static void put_bytes(struct life *l)
{
	uint16_t n = input_u8(&l->in) % QUEUES;

	if (l->nic->state->sq[n].depth)
		input_bytes(&l->in, slot_of(l, n), 32);
	l->tails[n]++;
}

static void store(struct life *l, volatile uint32_t *page, uint32_t offset,
		  uint16_t n, uint32_t value)
{
	le32 wire = le32_put(value);

	if (page)
		__atomic_store_n(&page[n], wire.raw, __ATOMIC_RELEASE);
	else
		pcie_region_write(l->fn, ENA_REGS_BAR, offset + 4u * n, &wire,
				  sizeof wire);
}

static void ring(struct life *l)
{
	uint16_t n = input_u8(&l->in) % QUEUES;
	uint8_t kind = input_u8(&l->in);
	uint32_t value = kind ? l->tails[n] : input_u32(&l->in);

	store(l, l->nic->path->doors, ENA_DOORBELLS, n, value);
}

static void unmask(struct life *l)
{
	uint16_t n = input_u8(&l->in) % QUEUES;

	store(l, l->nic->path->unmasks, ENA_UNMASKS, n, input_u32(&l->in));
}

static void write_door_page(struct life *l)
{
	le32 wire = le32_put(input_u32(&l->in));

	pcie_region_write(l->fn, ENA_REGS_BAR,
			  ENA_DOORBELLS + input_u16(&l->in) % 0x2000, &wire,
			  sizeof wire);
}

/* ---- everybody else ---- */

static void arrive(struct life *l)
{
	static uint8_t bytes[9400];
	struct iovec part;
	struct ena_frame frame = { .header = bytes };

	input_bytes(&l->in, bytes, 70);
	memcpy(bytes, l->nic->mac, 6);
	memcpy(bytes + 12, "\x08\0\x45", 3);
	frame.length = 1 + input_u16(&l->in) % 9300;
	frame.header_length =
		(uint16_t)(frame.length < 128 ? frame.length : 128);
	part = (struct iovec){ bytes + frame.header_length,
			       frame.length - frame.header_length };
	frame.parts = &part;
	frame.part_count = part.iov_len > 0;
	frame.flags = input_u8(&l->in) & 31;
	frame.l3_offset = 14;
	frame.l4_offset = 34;
	frame.l4_length = 20;
	frame.mss = (uint16_t)(input_u16(&l->in) % 9000);
	frame.l4_proto = IPPROTO_TCP;
	if (ena_frame_wire_count(&frame))
		ena_nic_port.deliver(&l->nic->port, &frame, 1);
}

static void let_time_pass(struct life *l)
{
	rt_clock_advance(&the_clock, input_u32(&l->in) % 200000000);
	step();
}

static void let_run(struct life *l)
{
	if (input_u8(&l->in) % 2)
		ena_doors_catch_up(l->nic);
	step();
}

static void change_room(struct life *l)
{
	l->room = input_u8(&l->in) % 40;
	if (input_u8(&l->in) % 2)
		ena_port_resume(&l->sink);
}

static void change_memory(struct life *l)
{
	if (l->is_mapped)
		unmap_memory(l);
	else
		map_memory(l);
}

static void change_command(struct life *l)
{
	write_command(l, input_u8(&l->in) % 2 ? 6 : 2);
}

static void rest(struct life *l)
{
	ena_path_pause(l->nic);
	step();
	ena_path_resume(l->nic);
}

static void reset(struct life *l)
{
	pcie_function_reset(l->fn, PCIE_RESET_FLR, NULL, NULL);
	write_command(l, 6);
}

static void set_fault(struct life *l)
{
	struct rt_fault_rule rule = { .is_set = true,
				      .probability_ppm = 300000,
				      .limit = 3,
				      .value = input_u16(&l->in) };
	size_t point = ena_fault_tx_stall +
		       input_u8(&l->in) % (ENA_FAULTS - ena_fault_tx_stall);

	rt_fault_set_rule(&l->fn->faults, ena_fault_points[point].name, &rule);
}

static void flip_link(struct life *l)
{
	l->nic->state->is_link_down ^= true;
}

typedef void action(struct life *l);
static action *const actions[] = {
	put_packet,     put_packet,  put_packet,      put_packet, put_packet,
	put_packet,     put_packet,  put_headers,     put_bytes,  ring,
	ring,           ring,        let_run,         let_run,    let_run,
	let_run,        unmask,      write_door_page, arrive,     arrive,
	arrive,         make_queue,  make_queue,      end_queue,  let_time_pass,
	change_room,    change_room, change_memory,   rest,       set_fault,
	change_command, scribble,    flip_link,       reset,
};

/* ---- a life ---- */

static void begin(struct life *l)
{
	start_once();
	l->fn = functions[input_u8(&l->in) % 2];
	l->nic = ena_nic_of(l->fn);
	l->room = UINT32_MAX;
	memset(memory, 0, BYTES);
	map_memory(l);
	write_command(l, 6);
	l->sink = (struct ena_port){ .type = &sink,
				     .name = "sink",
				     .is_uplink = true };
	must(!ena_port_plug(&l->sink, l->nic->lan));
	open_queue(l, 0, 1, 32);
	open_queue(l, 1, 0, 32);
	open_queue(l, 2, 3, 16);
}

/* A packet goes out and one comes in. */
static void expect_life(struct life *l)
{
	uint64_t sent, got;
	struct ena_frame frame = { .header = memory + (DATA - IOVA),
				   .header_length = 64,
				   .length = 64 };

	sent = rt_counter_read(&l->nic->counters.tx_packets);
	got = rt_counter_read(&l->nic->counters.rx_packets);
	must(open_queue(l, 0, 1, 32) && open_queue(l, 1, 0, 32));
	put_desc(slot_of(l, 0), (uint32_t)ENA_ETH_IO_TX_DESC_LAST | 64, 0, DATA,
		 0);
	put_desc(slot_of(l, 1), 2048, 0, DATA + 4096, 0);
	store(l, l->nic->path->doors, ENA_DOORBELLS, 0, 1);
	store(l, l->nic->path->doors, ENA_DOORBELLS, 1, 1);
	ena_nic_port.deliver(&l->nic->port, &frame, 1);
	step();
	rt_clock_advance(&the_clock, RT_NS_PER_S);
	step();
	must(rt_counter_read(&l->nic->counters.tx_packets) == sent + 1);
	must(rt_counter_read(&l->nic->counters.rx_packets) == got + 1);
}

static void end(struct life *l)
{
	for (unsigned int i = 0; i < ENA_FAULTS; i++)
		rt_fault_clear(&l->fn->faults, ena_fault_points[i].name);
	pcie_function_reset(l->fn, PCIE_RESET_BUS, NULL, NULL);
	write_command(l, 6);
	l->nic->state->is_link_down = false;
	l->room = UINT32_MAX;
	if (!l->is_mapped)
		map_memory(l);
	expect_life(l);
	pcie_function_reset(l->fn, PCIE_RESET_BUS, NULL, NULL);
	ena_port_unplug(&l->sink);
	unmap_memory(l);
}

void ena_path_life(const uint8_t *data, size_t size)
{
	struct life l = { .in = { data, size } };

	begin(&l);
	for (unsigned int i = 0; i < MAX_ACTIONS && !input_is_empty(&l.in); i++)
		actions[input_u8(&l.in) % RT_COUNT(actions)](&l);
	end(&l);
}
