/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver's queues, against rings that the test plays the device of. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "tests/unit/host-driver/fake_ena.h"

#define DEPTH 16u

static struct fake_ena fake;
static struct host_ena *e;
static struct host_ena_doors doors;
static struct host_ena_tx *tx;
static struct host_ena_rx *rx;
static uint64_t iova;
static uint8_t *frame;

static void set_up(void)
{
	fake_ena_start(&fake);
	cr_assert_eq(host_ena_open(&fake.fn, NULL, &e), 0);
	cr_assert_eq(host_ena_start(e), 0);
	host_ena_doors_open(e, HOST_ENA_DOORS_AUTO, &doors);
	iova = host_ena_alloc(e, 65536, 4096);
	frame = host_ena_at(e, iova);
	for (unsigned int i = 0; i < 65536; i++)
		frame[i] = (uint8_t)(i * 7);
}

static void tear_down(void)
{
	host_ena_tx_forget(&tx);
	host_ena_rx_forget(&rx);
	host_ena_doors_close(&doors);
	host_ena_close(&e);
	fake_ena_stop(&fake);
}

static void open_tx(enum host_ena_placement placement)
{
	cr_assert_eq(host_ena_tx_open(&doors,
				      &(struct host_ena_tx_options){
					      .depth = DEPTH,
					      .placement = placement,
				      },
				      &tx),
		     0);
}

static void open_rx(uint32_t bytes)
{
	cr_assert_eq(host_ena_rx_open(&doors,
				      &(struct host_ena_rx_options){
					      .depth = DEPTH,
					      .buffer_bytes = bytes,
				      },
				      &rx),
		     0);
}

static struct host_ena_packet packet(uint32_t length)
{
	return (struct host_ena_packet){
		.bytes = frame, .iova = iova, .length = length, .cookie = 42
	};
}

static void put(struct host_ena_packet p)
{
	cr_assert_eq(host_ena_tx_put(tx, &p, 1), 1);
	cr_assert_eq(host_ena_tx_ring(tx), 0);
}

TestSuite(host_ena_io, .init = set_up, .fini = tear_down);

Test(host_ena_io, a_plain_packet_is_one_descriptor)
{
	const struct ena_eth_io_tx_desc *d;

	open_tx(HOST_ENA_PLACE_HOST);
	put(packet(66));
	cr_assert_eq(fake_ena_waiting(&fake, 0), 1);
	d = fake_ena_slot(&fake, 0, 0);
	cr_expect_eq(le32_get(d->len_ctrl), 0x1d000042);
	cr_expect_eq(le32_get(d->meta_ctrl), 0x00000010);
	cr_expect_eq(le32_get(d->buff_addr_lo), (uint32_t)iova);
	cr_expect_eq(le32_get(d->buff_addr_hi_hdr_sz), iova >> 32);
}

Test(host_ena_io, metadata_comes_with_the_first_packet_and_when_it_changes)
{
	struct host_ena_packet p = packet(66);
	const struct ena_eth_io_tx_desc *d;

	open_tx(HOST_ENA_PLACE_HOST);
	p.offload = HOST_ENA_IPV4 | HOST_ENA_TCP | HOST_ENA_L4_PARTIAL;
	p.l3_offset = 14;
	p.l3_bytes = 20;
	put(p);
	cr_assert_eq(fake_ena_waiting(&fake, 0), 2);
	d = fake_ena_slot(&fake, 0, 0);
	cr_expect_eq(le32_get(d[0].len_ctrl), 0x05b04000);
	cr_expect_eq(le32_get(d[0].buff_addr_lo), 0x0e14);
	cr_expect_eq(le32_get(d[1].len_ctrl), 0x19000042);
	cr_expect_eq(le32_get(d[1].meta_ctrl), 0x00024c18);
	put(p);
	cr_expect_eq(fake_ena_waiting(&fake, 0), 3, "it is cached");
	p.l3_bytes = 24;
	put(p);
	cr_expect_eq(fake_ena_waiting(&fake, 0), 5, "it has changed");
	put(packet(60));
	cr_expect_eq(fake_ena_waiting(&fake, 0), 6, "it is not needed");
}

Test(host_ena_io, an_llq_entry_has_metadata_and_the_packet_itself)
{
	struct host_ena_packet p = packet(66);
	const struct ena_eth_io_tx_desc *d;

	open_tx(HOST_ENA_PLACE_AUTO);
	cr_assert(host_ena_tx_is_llq(tx));
	p.offload = HOST_ENA_IPV4 | HOST_ENA_TCP | HOST_ENA_L4_PARTIAL;
	p.l3_offset = 14;
	p.l3_bytes = 20;
	put(p);
	cr_assert_eq(fake_ena_waiting(&fake, 0), 1);
	d = fake_ena_slot(&fake, 0, 0);
	cr_expect_eq(le32_get(d[0].len_ctrl), 0x05b04000);
	cr_expect_eq(le32_get(d[1].len_ctrl) & 0xffff, 0);
	cr_expect_eq(le32_get(d[1].buff_addr_hi_hdr_sz) >> 24, 66);
	cr_expect_arr_eq((const uint8_t *)d + 32, frame, 66);
}

Test(host_ena_io, what_does_not_fit_into_an_llq_entry_is_in_buffers)
{
	struct host_ena_part parts[9];
	struct host_ena_packet p = packet(200);
	const struct ena_eth_io_tx_desc *d;

	for (unsigned int i = 0; i < 9; i++)
		parts[i] = (struct host_ena_part){ iova + 1000 * i, 100 + i };
	p.parts = parts;
	p.part_count = 9;
	open_tx(HOST_ENA_PLACE_AUTO);
	put(p);
	/* Metadata and the rest of the first part; 8; 1. */
	cr_assert_eq(fake_ena_waiting(&fake, 0), 3);
	d = fake_ena_slot(&fake, 0, 0);
	cr_expect_eq(le32_get(d[1].len_ctrl) & 0xffff, 104);
	cr_expect_eq(le32_get(d[1].buff_addr_lo), (uint32_t)iova + 96);
	d = fake_ena_slot(&fake, 0, 1);
	cr_expect_eq(le32_get(d[7].len_ctrl) & 0xffff, 107);
	d = fake_ena_slot(&fake, 0, 2);
	cr_expect_eq(le32_get(d[0].len_ctrl), 0x09000000 | 108,
		     "last, phase, length");
}

Test(host_ena_io, a_full_queue_takes_no_more_until_something_is_sent)
{
	struct host_ena_packet p[DEPTH];
	struct host_ena_sent sent[DEPTH];

	open_tx(HOST_ENA_PLACE_HOST);
	for (unsigned int i = 0; i < DEPTH; i++) {
		p[i] = packet(60);
		p[i].cookie = i;
	}
	cr_assert_eq(host_ena_tx_put(tx, p, DEPTH), DEPTH - 1);
	cr_assert_eq(host_ena_tx_ring(tx), 0);
	fake_ena_post_tx(&fake, 0, fake_ena_tx_id(fake_ena_slot(&fake, 0, 2)));
	fake_ena_post_tx(&fake, 0, fake_ena_tx_id(fake_ena_slot(&fake, 0, 0)));
	cr_assert_eq(host_ena_tx_poll(tx, sent, DEPTH), 2);
	cr_expect_eq(sent[0].cookie, 2, "in any order");
	cr_expect_eq(sent[1].cookie, 0);
	cr_expect_eq(host_ena_tx_put(tx, p, DEPTH), 2);
	cr_expect_eq(host_ena_tx_in_flight(tx), DEPTH - 1);
}

Test(host_ena_io, a_completion_that_cannot_be_is_noticed)
{
	struct host_ena_sent sent[4];

	open_tx(HOST_ENA_PLACE_HOST);
	put(packet(60));
	fake_ena_post_tx(&fake, 0, DEPTH - 1);
	cr_expect_eq(host_ena_tx_poll(tx, sent, 4), -EPROTO);
	cr_expect(strstr(host_ena_why(e), "not in flight"));
}

Test(host_ena_io, many_packets_wrap_every_counter)
{
	struct host_ena_packet p = packet(60);
	struct host_ena_sent sent[1];

	open_tx(HOST_ENA_PLACE_HOST);
	for (uint32_t i = 0; i < 200000; i++) {
		p.cookie = i;
		put(p);
		cr_assert_eq(fake_ena_waiting(&fake, 0), 1);
		fake_ena_post_tx(&fake, 0,
				 fake_ena_tx_id(fake_ena_slot(&fake, 0, 0)));
		fake.queues[0].consumed++;
		cr_assert_eq(host_ena_tx_poll(tx, sent, 1), 1);
		cr_assert_eq(sent[0].cookie, i);
	}
}

Test(host_ena_io, a_limited_burst_is_ended_by_a_doorbell)
{
	struct host_ena_packet p[8];

	fake.llq.accel_flags = le16_put(3);
	fake.llq.max_tx_burst_size = le16_put(3 * 128);
	cr_assert_eq(host_ena_start(e), 0);
	open_tx(HOST_ENA_PLACE_AUTO);
	for (unsigned int i = 0; i < 8; i++)
		p[i] = packet(60);
	cr_assert_eq(host_ena_tx_put(tx, p, 8), 8);
	cr_expect_eq(fake_ena_waiting(&fake, 0), 6);
	cr_assert_eq(host_ena_tx_ring(tx), 0);
	cr_expect_eq(fake_ena_waiting(&fake, 0), 8);
	cr_expect_eq(host_ena_tx_rings(tx), 3);
}

#define WHOLE (uint32_t)(ENA_ETH_IO_RX_CDESC_FIRST | ENA_ETH_IO_RX_CDESC_LAST)

Test(host_ena_io, buffers_are_offered_and_come_back)
{
	struct host_ena_received in[DEPTH];
	const struct ena_eth_io_rx_desc *d;

	open_rx(2048);
	cr_assert_eq(fake_ena_waiting(&fake, 0), DEPTH - 1);
	d = fake_ena_slot(&fake, 0, 3);
	cr_expect_eq(le16_get(d->length), 2048);
	cr_expect_eq(d->ctrl, 0x1d);
	cr_expect_eq(le16_get(d->req_id), 3);
	memcpy(fake_ena_at(&fake, le32_get(d->buff_addr_lo)), "hello", 5);
	fake_ena_post_rx(&fake, 0, 3, 60, WHOLE);
	cr_assert_eq(host_ena_rx_poll(rx, in, DEPTH), 1);
	cr_expect_eq(in[0].length, 60);
	cr_expect_arr_eq(in[0].bytes, "hello", 5);
	cr_assert_eq(host_ena_rx_give(rx, in, 1), 0);
	cr_assert_eq(host_ena_rx_ring(rx), 0);
	cr_expect_eq(fake_ena_waiting(&fake, 0), DEPTH);
	d = fake_ena_slot(&fake, 0, DEPTH - 1);
	cr_expect_eq(le16_get(d->req_id), 3);
}

Test(host_ena_io, a_length_of_64_kib_is_zero)
{
	const struct ena_eth_io_rx_desc *d;

	open_rx(65536);
	d = fake_ena_slot(&fake, 0, 0);
	cr_expect_eq(le16_get(d->length), 0);
}

/* Post what no device may, and expect these words. */
static void expect_protest(uint16_t id, uint16_t length, uint32_t status,
			   const char *words)
{
	struct host_ena_received in[2];

	fake_ena_post_rx(&fake, 0, id, length, status);
	cr_expect_eq(host_ena_rx_poll(rx, in, 2), -EPROTO);
	cr_expect(strstr(host_ena_why(e), words), "%s", host_ena_why(e));
}

Test(host_ena_io, a_buffer_that_was_not_offered_is_noticed)
{
	open_rx(2048);
	expect_protest(DEPTH - 1, 60, WHOLE, "the device has not");
}

Test(host_ena_io, a_packet_inside_another_is_noticed)
{
	struct host_ena_received in[2];

	open_rx(2048);
	fake_ena_post_rx(&fake, 0, 0, 60, (uint32_t)ENA_ETH_IO_RX_CDESC_FIRST);
	cr_assert_eq(host_ena_rx_poll(rx, in, 2), 1);
	expect_protest(1, 60, WHOLE, "inside another");
}

Test(host_ena_io, a_packet_without_a_beginning_is_noticed)
{
	open_rx(2048);
	expect_protest(0, 60, (uint32_t)ENA_ETH_IO_RX_CDESC_LAST,
		       "has not begun");
}

Test(host_ena_io, more_than_fits_into_a_buffer_is_noticed)
{
	open_rx(64);
	expect_protest(0, 65, WHOLE, "longer");
}

Test(host_ena_io, many_received_packets_wrap_every_counter)
{
	struct host_ena_received in[DEPTH];

	open_rx(64);
	for (uint32_t i = 0; i < 200000; i++) {
		const struct ena_eth_io_rx_desc *d = fake_ena_slot(&fake, 0, 0);

		cr_assert_geq(fake_ena_waiting(&fake, 0), 1);
		fake_ena_post_rx(&fake, 0, le16_get(d->req_id), 60, WHOLE);
		fake.queues[0].consumed++;
		cr_assert_eq(host_ena_rx_poll(rx, in, DEPTH), 1);
		cr_assert_eq(host_ena_rx_give(rx, in, 1), 0);
	}
}
