/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/ena/path_rig.h"

#include <criterion/criterion.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

struct rig rig;
static uint64_t next_data;

/* ---- the network: stands in for the switch and all that is at it ---- */

const struct rt_option ena_uplink_options[] = { { 0 } };

int ena_switch_get(struct rt_loop *loop, const char *name,
		   struct ena_switch **out)
{
	(void)loop;
	(void)name;
	*out = (struct ena_switch *)(void *)&rig;
	return 0;
}

void ena_switch_put(struct ena_switch **lan)
{
	*lan = NULL;
}

int ena_port_plug(struct ena_port *port, struct ena_switch *lan)
{
	port->lan = lan;
	return 0;
}

void ena_port_unplug(struct ena_port *port)
{
	port->lan = NULL;
}

static void keep(const struct ena_frame *frame, unsigned int n)
{
	struct rig_wire *wire = &rig.wires[rig.wire_count++ % RIG_WIRE];
	struct iovec piece = { wire->bytes, sizeof wire->bytes };

	wire->length = ena_frame_wire_length(frame, n);
	wire->flags = frame->flags;
	wire->l4_proto = frame->l4_proto;
	wire->of = rig.frame_count;
	cr_assert_leq(wire->length, sizeof wire->bytes);
	ena_frame_put_wire(frame, n, &(struct ena_frame_room){ &piece, 1 });
}

unsigned int ena_port_send(struct ena_port *port,
			   const struct ena_frame *frames, unsigned int count)
{
	unsigned int taken = count < rig.room ? count : rig.room;

	(void)port;
	cr_assert_leq(count, ENA_BURST);
	for (unsigned int i = 0; i < taken; i++) {
		unsigned int wires = ena_frame_wire_count(&frames[i]);

		cr_assert_neq(wires, 0, "the switch gets what can be done");
		for (unsigned int n = 0; n < wires; n++)
			keep(&frames[i], n);
		rig.frame_count++;
	}
	rig.room -= taken;
	return taken;
}

void ena_port_resume(struct ena_port *port)
{
	(void)port;
	rig.resumed++;
}

int ena_port_own_address(struct ena_port *port,
			 const uint8_t address[ENA_ETHER_ADDR_BYTES])
{
	(void)port;
	(void)address;
	return 0;
}

int ena_port_capture(struct ena_port *port, const char *path,
		     struct rt_error *error)
{
	(void)port;
	(void)path;
	(void)error;
	return 0;
}

void ena_port_capture_end(struct ena_port *port)
{
	(void)port;
}

int ena_uplink_open(struct rt_loop *loop, struct ena_switch *lan,
		    const struct ena_uplink_config *config,
		    struct ena_port **out, struct rt_error *error)
{
	(void)loop;
	(void)lan;
	(void)config;
	(void)error;
	*out = NULL;
	return 0;
}

void ena_uplink_close(struct ena_port **port)
{
	*port = NULL;
}

/* ---- the machine ---- */

static void make_memory(void)
{
	rig.memory_fd = memfd_create("guest", 0);
	cr_assert_eq(ftruncate(rig.memory_fd, RIG_BYTES), 0);
	rig.memory = mmap(NULL, RIG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			  rig.memory_fd, 0);
	cr_assert_neq(rig.memory, MAP_FAILED);
	cr_assert_eq(pcie_dma_map(rig.fn, RIG_IOVA, RIG_BYTES,
				  PCIE_DMA_READABLE | PCIE_DMA_WRITEABLE,
				  rig.memory_fd, 0),
		     0);
}

static void give_eventfds(void)
{
	for (unsigned int i = 0; i < RIG_VECTORS; i++)
		rig.eventfds[i] = eventfd(0, EFD_NONBLOCK);
	cr_assert_eq(pcie_interrupt_set(rig.fn,
					VFIO_IRQ_SET_DATA_EVENTFD |
						VFIO_IRQ_SET_ACTION_TRIGGER,
					PCIE_MSIX, 0, RIG_VECTORS, NULL,
					rig.eventfds),
		     0);
}

static void start(unsigned int doorbells)
{
	struct ena_config config = { .pairs = 8,
				     .speed = 25000,
				     .mtu = 9216,
				     .profile = ENA_PROFILE_NITRO_V4,
				     .has_llq = true,
				     .doorbells = doorbells };
	struct rt_error error = { 0 };
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	memset(&rig, 0, sizeof rig);
	next_data = 0;
	rig.room = UINT32_MAX;
	rig.wires = calloc(RIG_WIRE, sizeof *rig.wires);
	rt_clock_make_virtual(&rig.clock, RT_NS_PER_S);
	cr_assert_eq(rt_loop_create(&rig.clock, &rig.loop), 0);
	cr_assert_eq(pcie_function_create(&ena_function, "eth0", rig.loop,
					  &config, &rig.fn, &error),
		     0, "%s", error.text);
	rig.nic = ena_nic_of(rig.fn);
	make_memory();
	give_eventfds();
	pcie_region_write(rig.fn, PCIE_CONFIG_REGION, PCI_COMMAND, &command, 2);
	rig_turn();
}

void rig_start(void)
{
	start(ENA_DOORBELLS_MAPPED);
}

void rig_start_trapped(void)
{
	start(ENA_DOORBELLS_TRAPPED);
}

void rig_stop(void)
{
	pcie_dma_unmap_all(rig.fn);
	pcie_function_destroy(&rig.fn);
	rt_loop_step(rig.loop, 0);
	rt_loop_destroy(&rig.loop);
	munmap(rig.memory, RIG_BYTES);
	close(rig.memory_fd);
	for (unsigned int i = 0; i < RIG_VECTORS; i++)
		close(rig.eventfds[i]);
	free(rig.wires);
}

/* Often enough for whatever one turn leaves to the next. */
void rig_turn(void)
{
	for (unsigned int i = 0; i < 4; i++) {
		ena_doors_catch_up(rig.nic);
		rt_loop_step(rig.loop, 0);
	}
}

void rig_wait_ns(uint64_t ns)
{
	rt_clock_advance(&rig.clock, ns);
	rig_turn();
}

uint8_t *rig_at(uint64_t iova)
{
	cr_assert(iova >= RIG_IOVA && iova < RIG_IOVA + RIG_BYTES);
	return rig.memory + (iova - RIG_IOVA);
}

void rig_write32(uint64_t offset, uint32_t value)
{
	le32 wire = le32_put(value);

	pcie_region_write(rig.fn, ENA_REGS_BAR, offset, &wire, sizeof wire);
}

static void store(volatile uint32_t *page, uint32_t offset, uint16_t n,
		  uint32_t value)
{
	if (page)
		__atomic_store_n(&page[n], htole32(value), __ATOMIC_RELEASE);
	else
		rig_write32(offset + 4u * n, value);
}

void rig_ring(uint16_t n)
{
	store(rig.nic->path->doors, ENA_DOORBELLS, n, rig.tails[n]);
}

void rig_unmask(uint16_t n, uint32_t value)
{
	store(rig.nic->path->unmasks, ENA_UNMASKS, n, value);
}

unsigned int rig_interrupts(uint16_t vector)
{
	uint64_t count = 0;

	if (read(rig.eventfds[vector], &count, sizeof count) < 0)
		return 0;
	return (unsigned int)count;
}

uint64_t rig_broken(enum ena_rule rule)
{
	return rt_counter_read(&rig.nic->rule_records[rule].count);
}

void rig_fault(const char *name, uint64_t limit, uint64_t value)
{
	struct rt_fault_rule rule = { .is_set = true,
				      .probability_ppm = 1000000,
				      .limit = limit,
				      .value = value };

	cr_assert_eq(rt_fault_set_rule(&rig.fn->faults, name, &rule), 0);
}

/* ---- queues ---- */

static void make_cq(uint16_t n, const struct rig_queue *queue, uint8_t words)
{
	rig.nic->state->cq[n] = (struct ena_cq_state){
		.base = RIG_CQ(n),
		.depth = queue->depth,
		.entry_words = queue->words ? queue->words : words,
		.has_interrupt = queue->vector != 0,
		.vector = queue->vector,
		.is_bound = true,
	};
	memset(rig_at(RIG_CQ(n)), 0, 0x20000);
	cr_assert(ena_path_open_cq(rig.nic, n));
	rig.heads[n] = 0;
}

void rig_make_tx(uint16_t n, struct rig_queue queue)
{
	make_cq(n, &queue, 2);
	rig.nic->state->sq[n] = (struct ena_sq_state){
		.base = queue.llq_entry ? 0x40000u * n : RIG_SQ(n),
		.depth = queue.depth,
		.direction = ENA_ADMIN_SQ_DIRECTION_TX,
		.is_llq = queue.llq_entry != 0,
		.llq_entry_bytes = queue.llq_entry,
		.llq_descs_before_header = queue.llq_before,
		.llq_is_single = queue.llq_single,
	};
	cr_assert(ena_path_open_sq(rig.nic, n));
	rig.tails[n] = 0;
}

void rig_make_rx(uint16_t n, struct rig_queue queue)
{
	make_cq(n, &queue, 4);
	rig.nic->state->sq[n] =
		(struct ena_sq_state){ .base = RIG_SQ(n),
				       .depth = queue.depth,
				       .direction = ENA_ADMIN_SQ_DIRECTION_RX };
	cr_assert(ena_path_open_sq(rig.nic, n));
	rig.tails[n] = 0;
}

void rig_close(uint16_t n)
{
	ena_path_close_sq(rig.nic, n);
	rig.nic->state->sq[n] = (struct ena_sq_state){ 0 };
	ena_path_close_cq(rig.nic, n);
	rig.nic->state->cq[n] = (struct ena_cq_state){ 0 };
}

/* ---- sending ---- */

/* The driver's place in a ring: the slots of a packet one after the other. */
struct writer {
	const struct ena_sq_state *sq;
	uint16_t n;
	unsigned int slot, slots;
	uint8_t *entry;
};

static void enter(struct writer *w, bool is_first)
{
	uint32_t mask = w->sq->depth - 1;

	if (!w->sq->is_llq) {
		w->entry = rig_at(RIG_SQ(w->n)) + (rig.tails[w->n] & mask) * 16;
		w->slots = 1;
	} else {
		uint8_t *bar = (uint8_t *)(uintptr_t)pcie_bar_bytes(
			rig.fn, ENA_MEM_BAR);

		w->entry = bar + w->sq->base +
			   (rig.tails[w->n] & mask) * w->sq->llq_entry_bytes;
		memset(w->entry, 0, w->sq->llq_entry_bytes);
		w->slots =
			w->sq->llq_is_single ? 1 : w->sq->llq_entry_bytes / 16u;
		if (is_first)
			w->slots = w->sq->llq_descs_before_header;
	}
	w->slot = 0;
}

static void put_desc(struct writer *w, uint32_t word0, uint32_t word1,
		     uint32_t word2, uint32_t word3)
{
	le32 desc[4];

	if (w->slot == w->slots) {
		rig.tails[w->n]++;
		enter(w, false);
	}
	if (!(rig.tails[w->n] & w->sq->depth))
		word0 |= (uint32_t)ENA_ETH_IO_TX_DESC_PHASE;
	desc[0] = le32_put(word0);
	desc[1] = le32_put(word1);
	desc[2] = le32_put(word2);
	desc[3] = le32_put(word3);
	memcpy(w->entry + w->slot++ * 16, desc, sizeof desc);
}

static void put_meta(struct writer *w, const struct rig_tx *tx)
{
	uint32_t word0 = (uint32_t)(ENA_ETH_IO_TX_DESC_META_DESC |
				    ENA_ETH_IO_TX_DESC_FIRST);
	uint64_t word2 = 0;

	if (!tx->meta_is_invalid)
		word0 |= (uint32_t)(ENA_ETH_IO_TX_META_EXT_VALID |
				    ENA_ETH_IO_TX_META_STORE |
				    ENA_ETH_IO_TX_META_TYPE);
	word0 = (uint32_t)bits_put(ENA_ETH_IO_TX_META_MSS_HI, word0,
				   tx->meta.mss >> 10);
	word2 = bits_put(ENA_ETH_IO_TX_META_MSS_LO, word2, tx->meta.mss);
	word2 = bits_put(ENA_ETH_IO_TX_META_L3_HDR_LEN, word2,
			 tx->meta.l3_header_bytes);
	word2 = bits_put(ENA_ETH_IO_TX_META_L3_HDR_OFF, word2,
			 tx->meta.l3_header_offset);
	word2 = bits_put(ENA_ETH_IO_TX_META_L4_HDR_LEN, word2,
			 tx->meta.l4_header_words);
	put_desc(w, word0, 0, (uint32_t)word2, 0);
}

void rig_put(uint16_t n, const struct rig_tx *tx)
{
	struct writer w = { .sq = &rig.nic->state->sq[n], .n = n };
	unsigned int count = tx->count ? tx->count : 1;

	enter(&w, true);
	if (tx->inline_length)
		memcpy(w.entry + w.slots * 16, tx->inline_bytes,
		       tx->inline_length);
	if (tx->has_meta)
		put_meta(&w, tx);
	for (unsigned int i = 0; i < count; i++) {
		uint64_t word0 = tx->count ? tx->buffers[i].size & 0xffff : 0;
		uint64_t iova = tx->count ? tx->buffers[i].iova : 0;
		uint64_t word1 = 0, word3 = iova >> 32;

		if (!i) {
			word0 |= ENA_ETH_IO_TX_DESC_COMP_REQ;
			word0 |= tx->has_meta ? 0 : ENA_ETH_IO_TX_DESC_FIRST;
			word0 = bits_put(ENA_ETH_IO_TX_DESC_REQ_ID_HI, word0,
					 tx->req_id >> 10);
			word1 = bits_put(ENA_ETH_IO_TX_DESC_REQ_ID_LO, tx->ctrl,
					 tx->req_id);
			word3 = bits_put(ENA_ETH_IO_TX_DESC_HEADER_LENGTH,
					 word3, tx->inline_length);
		}
		if (i + 1 == count)
			word0 |= ENA_ETH_IO_TX_DESC_LAST;
		put_desc(&w, (uint32_t)word0, (uint32_t)word1, (uint32_t)iova,
			 (uint32_t)word3);
	}
	rig.tails[n]++;
}

void rig_put_bytes(uint16_t n, uint16_t req_id, const void *bytes,
		   uint32_t size)
{
	struct rig_tx tx = { .req_id = req_id, .count = 1 };

	if (next_data + size > RIG_BYTES - (RIG_DATA - RIG_IOVA))
		next_data = 0;
	tx.buffers[0].iova = RIG_DATA + next_data;
	tx.buffers[0].size = size;
	memcpy(rig_at(RIG_DATA + next_data), bytes, size);
	next_data += size;
	rig_put(n, &tx);
}

/* The next completion, if its phase says that it is there. */
static bool next_entry(uint16_t n, void *out, size_t size, unsigned int phase)
{
	const struct ena_cq_state *cq = &rig.nic->state->cq[n];
	size_t bytes = cq->entry_words * 4u;
	const uint8_t *entry =
		rig_at(RIG_CQ(n)) + (rig.heads[n] & (cq->depth - 1)) * bytes;
	bool expected = !(rig.heads[n] & cq->depth);

	if ((entry[phase] & 1) != expected)
		return false;
	memset(out, 0, size);
	memcpy(out, entry, bytes < size ? bytes : size);
	rig.heads[n]++;
	return true;
}

bool rig_sent(uint16_t n, struct ena_eth_io_tx_cdesc_ext *out)
{
	return next_entry(n, out, sizeof *out, 3);
}

/* ---- receiving ---- */

void rig_buffer(uint16_t n, uint16_t req_id, uint64_t iova, uint32_t size)
{
	const struct ena_sq_state *sq = &rig.nic->state->sq[n];
	struct ena_eth_io_rx_desc desc = {
		.length = le16_put((uint16_t)size),
		.ctrl = 0x1c | !(rig.tails[n] & sq->depth),
		.req_id = le16_put(req_id),
		.buff_addr_lo = le32_put((uint32_t)iova),
		.buff_addr_hi = le16_put((uint16_t)(iova >> 32)),
	};

	memcpy(rig_at(RIG_SQ(n)) + (rig.tails[n] & (sq->depth - 1)) * 16, &desc,
	       sizeof desc);
	rig.tails[n]++;
}

bool rig_received(uint16_t n, struct ena_eth_io_rx_cdesc_ext *out)
{
	return next_entry(n, out, sizeof *out, 3);
}

struct ena_frame rig_frame(const void *bytes, uint32_t size)
{
	static struct iovec part;
	uint32_t header = size < 256 ? size : 256;

	part = (struct iovec){ (uint8_t *)(uintptr_t)bytes + header,
			       size - header };
	return (struct ena_frame){ .header = bytes,
				   .header_length = (uint16_t)header,
				   .length = size,
				   .parts = &part,
				   .part_count = size > header };
}

bool rig_offer(const void *bytes, uint32_t size)
{
	struct ena_frame frame = rig_frame(bytes, size);

	return ena_nic_port.deliver(&rig.nic->port, &frame, 1);
}

void rig_deliver(const void *bytes, uint32_t size)
{
	cr_assert(rig_offer(bytes, size));
}

static uint32_t ip(uint8_t *to, uint32_t l4, uint8_t protocol)
{
	static const uint8_t header[] = { 2, 0, 0, 0, 0, 1, 2,    0,
					  0, 0, 0, 2, 8, 0, 0x45, 0 };
	uint32_t length = 20 + l4;

	memset(to, 0, 34);
	memcpy(to, header, sizeof header);
	to[16] = (uint8_t)(length >> 8);
	to[17] = (uint8_t)length;
	to[22] = 64;
	to[23] = protocol;
	memcpy(to + 26, "\x0a\0\0\1\x0a\0\0\2", 8);
	return 14 + length;
}

/* With its checksums, of which the frames' own code is not asked. */
static void finish(uint8_t *frame, uint32_t length, uint32_t csum)
{
	uint32_t sum = frame[23] + length - 34;

	for (unsigned int i = 26; i < length; i++)
		sum += i % 2 ? frame[i] : (uint32_t)frame[i] << 8;
	while (sum >> 16)
		sum = (sum >> 16) + (sum & 0xffff);
	frame[csum] = (uint8_t)(~sum >> 8);
	frame[csum + 1] = (uint8_t)~sum;
	sum = 0;
	for (unsigned int i = 14; i < 34; i++)
		sum += i % 2 ? frame[i] : (uint32_t)frame[i] << 8;
	while (sum >> 16)
		sum = (sum >> 16) + (sum & 0xffff);
	frame[24] = (uint8_t)(~sum >> 8);
	frame[25] = (uint8_t)~sum;
}

static void fill(uint8_t *to, uint32_t size, uint8_t seed)
{
	for (uint32_t i = 0; i < size; i++)
		to[i] = (uint8_t)(seed + i * 13 + (i >> 8));
}

uint32_t rig_udp(uint8_t *to, uint32_t payload, uint8_t seed)
{
	uint32_t length = ip(to, 8 + payload, IPPROTO_UDP);

	memset(to + 34, 0, 8);
	to[35] = 7;
	to[37] = 9;
	to[38] = (uint8_t)((8 + payload) >> 8);
	to[39] = (uint8_t)(8 + payload);
	fill(to + 42, payload, seed);
	finish(to, length, 40);
	return length;
}

uint32_t rig_tcp(uint8_t *to, uint32_t payload, uint8_t seed)
{
	uint32_t length = ip(to, 20 + payload, IPPROTO_TCP);

	memset(to + 34, 0, 20);
	to[35] = 7;
	to[37] = 9;
	to[46] = 0x50;
	to[47] = 0x18;
	fill(to + 54, payload, seed);
	finish(to, length, 50);
	return length;
}
