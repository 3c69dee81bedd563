/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What no driver does.  The device must not crash, read or write outside, or
 * disturb its neighbour on the switch; after a reset all is well.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"
#include "tests/function/nic_bench.h"

static struct nic_bench b;
static uint8_t frame[HOST_PACKET_MAX_BYTES];
static uint64_t state = 1;

TestSuite(function_ena_hostile, .timeout = 110);

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void expect_recovery(void)
{
	struct host_packet_layout layout;
	struct host_packet packet;

	nic_settle(&b);
	for (unsigned int i = 0; i < NICS; i++) {
		host_ena_tx_forget(&b.nics[i].tx);
		host_ena_rx_forget(&b.nics[i].rx);
		cr_assert_eq(host_ena_start(b.nics[i].ena), 0);
		nic_make_queues(&b.nics[i], HOST_ENA_PLACE_AUTO);
	}
	packet = nic_packet(&b, 0, false);
	nic_send_packet(&b.nics[0], &packet, &layout);
	cr_expect_eq(nic_receive(&b.nics[1], frame, NULL), layout.length);
}

/* Random words that are like descriptors: with our memory's addresses, or
 * others; flags of all kinds. */
static void fill_ring(struct nic *nic, const struct host_ena_sq *sq)
{
	uint64_t *ring = host_ena_at(nic->ena, sq->iova);

	for (uint32_t i = 0; i < sq->depth; i++) {
		uint64_t r = draw();

		ring[2 * i] = draw() & (r & 1 ? 0x1d8000ffffffffff : ~0ull);
		ring[2 * i + 1] =
			r & 6 ? nic->iova + (draw() & 0xffff) : draw();
		if (r & 8)
			ring[2 * i + 1] |= draw() << 56;
	}
}

Test(function_ena_hostile, random_descriptors_from_host_memory)
{
	nic_start(&b, NULL);
	nic_make_queues(&b.nics[1], HOST_ENA_PLACE_AUTO);
	for (int i = 0; i < 150; i++) {
		struct nic *nic = &b.nics[0];
		struct host_ena_cq cq = { 0 };
		struct host_ena_sq sq = { 0 };
		uint64_t used = nic->ena->memory_used;
		uint8_t direction = i & 1 ? ENA_ADMIN_SQ_DIRECTION_RX
					  : ENA_ADMIN_SQ_DIRECTION_TX;

		cr_assert_eq(host_ena_create_cq(nic->ena, 256, 4, -1, &cq), 0);
		cr_assert_eq(host_ena_create_sq(nic->ena, direction, false, 256,
						cq.index, &sq),
			     0);
		fill_ring(nic, &sq);
		cr_assert_eq(host_write32(nic->host, ENA_REGS_BAR,
					  sq.doorbell_offset,
					  (uint32_t)(draw() % 257)),
			     0);
		for (int k = 0; k < 20; k++)
			(void)rt_loop_step(b.loop, 0);
		(void)host_ena_destroy_sq(nic->ena, &sq);
		(void)host_ena_destroy_cq(nic->ena, &cq);
		nic->ena->memory_used = used;
	}
	expect_recovery();
	nic_stop(&b);
}

Test(function_ena_hostile, random_llq_entries)
{
	nic_start(&b, NULL);
	nic_make_queues(&b.nics[1], HOST_ENA_PLACE_AUTO);
	for (int i = 0; i < 100; i++) {
		struct nic *nic = &b.nics[0];
		const struct host_ena_sq *sq;
		volatile uint8_t *at;

		cr_assert_eq(host_ena_tx_open(&nic->doors,
					      &(struct host_ena_tx_options){
						      .depth = 64 },
					      &nic->tx),
			     0);
		sq = host_ena_tx_sq(nic->tx);
		at = nic->ena->llq_memory + sq->llq_offset;
		for (uint32_t k = 0; k < 64 * 128; k++)
			at[k] = (uint8_t)draw();
		cr_assert_eq(host_write32(nic->host, ENA_REGS_BAR,
					  sq->doorbell_offset,
					  (uint32_t)(draw() % 65)),
			     0);
		for (int k = 0; k < 20; k++)
			(void)rt_loop_step(b.loop, 0);
		(void)host_ena_tx_close(&nic->tx);
		nic->ena->memory_used = 0x300000;
	}
	expect_recovery();
	nic_stop(&b);
}

Test(function_ena_hostile, doorbells_beyond_the_ring_stop_the_queue)
{
	nic_start_queues(&b, NULL);
	for (unsigned int i = 0; i < 2; i++) {
		const struct host_ena_sq *sq = i ? host_ena_rx_sq(b.nics[0].rx)
						 : host_ena_tx_sq(b.nics[0].tx);

		cr_assert_eq(host_write32(b.nics[0].host, ENA_REGS_BAR,
					  sq->doorbell_offset, 0x8000),
			     0);
		nic_settle(&b);
	}
	/* It is alive, and its neighbour as well. */
	cr_expect_eq(host_ena_set_mtu(b.nics[0].ena, 1500), 0);
	expect_recovery();
	nic_stop(&b);
}

Test(function_ena_hostile, random_admin_commands)
{
	nic_start(&b, NULL);
	for (int i = 0; i < 20000; i++) {
		struct ena_admin_aq_entry entry;
		struct host_ena *e = b.nics[0].ena;
		int rc;

		for (unsigned int k = 0; k < sizeof entry.body; k++)
			entry.body[k] = draw() % 3 ? 0 : (uint8_t)draw();
		entry.opcode = (uint8_t)(draw() % 13);
		entry.flags = (uint8_t)draw();
		/* Buffers in our memory, or not. */
		le_store(entry.body, 4, draw() % 1024);
		le_store(entry.body + 4, 4, e->scratch + draw() % 4096);
		if (draw() % 4)
			le_store(entry.body + 8, 4, 0);
		entry.body[13] = (uint8_t)(draw() % 33);
		rc = host_ena_call(e, &entry, NULL);
		cr_assert_geq(rc, 0, "command %d: %s", i,
			      host_ena_status_text(rc));
	}
	b.nics[0].ena->memory_used = 0x1000000;
	expect_recovery();
	nic_stop(&b);
}

Test(function_ena_hostile, random_registers)
{
	nic_start(&b, NULL);
	for (int i = 0; i < 50000; i++) {
		uint32_t offset = draw() % 8 ? draw() % 0x110 : draw() % 0x8000;
		uint64_t value = draw();

		if (draw() % 2)
			value = b.nics[0].iova + value % 0x10000;
		(void)host_write(b.nics[0].host, ENA_REGS_BAR, offset & ~3u,
				 &value, draw() % 8 ? 4 : 1 + draw() % 8);
		if (i % 100 == 0)
			(void)rt_loop_step(b.loop, 0);
	}
	/* DMA may have gone anywhere in our memory: begin with a new one. */
	nic_hang_up(&b.nics[0]);
	nic_connect(&b.nics[0]);
	nic_open_driver(&b.nics[0]);
	expect_recovery();
	nic_stop(&b);
}

Test(function_ena_hostile, an_event_ring_that_is_out_of_reach)
{
	struct host_ena *e;

	nic_start(&b, NULL);
	e = b.nics[0].ena;
	cr_assert_eq(host_ena_write(e, ENA_REGS_AENQ_BASE_HI, 0x7fff), 0);
	nic_pass_time(&b, 3 * RT_NS_PER_S);
	cr_expect_eq(host_ena_set_mtu(e, 1500), 0);
	expect_recovery();
	nic_stop(&b);
}
