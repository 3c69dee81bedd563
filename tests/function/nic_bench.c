/* SPDX-License-Identifier: BSD-3-Clause */
/* The bench of two adapters: see nic_bench.h.  Owns both ends of everything. */
#include "tests/function/nic_bench.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "ena/function.h"
#include "firmware/rt/error.h"
#include "firmware/rt/guard.h"
#include "firmware/rt/log.h"
#include "firmware/rt/loop.h"
#include "pcie-model/function.h"
#include "pcie-model/vfio-user/server.h"

#define FRAME_ROOM 0x20000u
#define PATIENCE   2000

/* --- The card's side ------------------------------------------------------ */

static void fill_config(const struct nic_options *o, struct ena_config *config)
{
	*config = (struct ena_config){
		.profile = o->profile ? o->profile - 1 : ENA_PROFILE_NITRO_V4,
		.lan = (char *)(uintptr_t) "lan",
		.pairs = o->pairs ? o->pairs : 8,
		.speed = 25000,
		.mtu = o->mtu ? o->mtu : 9216,
		.has_llq = !o->has_no_llq,
		.doorbells = o->has_trapped_doorbells ? ENA_DOORBELLS_TRAPPED
						      : ENA_DOORBELLS_MAPPED,
		.polling = o->polling,
	};
}

static void make_function(struct nic_bench *b, struct nic *nic)
{
	struct rt_error error = { 0 };
	struct ena_config config;
	int rc;

	fill_config(&b->options, &config);
	nic->bench = b;
	snprintf(nic->name, sizeof nic->name, "eth%d", (int)(nic - b->nics));
	rc = pcie_function_create(&ena_function, nic->name, b->loop, &config,
				  &nic->fn, &error);
	cr_assert_eq(rc, 0, "%s", error.text);
	rc = pcie_server_create(nic->fn, NULL, &nic->server, &error);
	cr_assert_eq(rc, 0, "%s", error.text);
}

void nic_make_card(struct nic_bench *b, const struct nic_options *options)
{
	memset(b, 0, sizeof *b);
	if (options)
		b->options = *options;
	rt_log_set_level(RT_LOG_ERROR);
	cr_assert_eq(rt_guard_install(), 0);
	cr_assert_eq(rt_loop_create(&b->clock, &b->loop), 0);
	for (unsigned int i = 0; i < NICS; i++)
		make_function(b, &b->nics[i]);
}

static void run_devices(void *opaque)
{
	struct nic_bench *b = opaque;

	(void)rt_loop_step(b->loop, 0);
}

void nic_settle(struct nic_bench *b)
{
	/* A mapped doorbell is seen when its NIC rests no longer. */
	for (int quiet = 0; quiet < 5;)
		quiet = rt_loop_step(b->loop, 10 * RT_NS_PER_MS) > 0
				? 0
				: quiet + 1;
}

void nic_pass_time(struct nic_bench *b, uint64_t ns)
{
	if (!b->clock.is_virtual)
		rt_clock_make_virtual(&b->clock, rt_clock_now_ns(&b->clock));
	rt_clock_advance(&b->clock, ns);
	for (int i = 0; i < 5; i++)
		(void)rt_loop_step(b->loop, 0);
}

static void mark_gone(void *opaque)
{
	*(bool *)opaque = true;
}

static void remove_function(struct nic_bench *b, struct nic *nic)
{
	bool is_gone = false;

	if (!nic->server)
		return;
	pcie_server_destroy(&nic->server, mark_gone, &is_gone);
	for (int i = 0; i < 10000 && !is_gone; i++)
		(void)rt_loop_step(b->loop, RT_NS_PER_MS);
	cr_assert(is_gone, "the function does not become quiet");
	pcie_function_destroy(&nic->fn);
}

/* --- The host's side ------------------------------------------------------ */

void nic_connect(struct nic *nic)
{
	struct host_options options = { .idle = run_devices,
					.opaque = nic->bench,
					.timeout_ms = 20000,
					.quirks = HOST_SMALL_PAGES };
	struct rt_error error = { 0 };
	int ends[2], rc;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends),
		     0);
	cr_assert_eq(pcie_server_attach(nic->server, ends[0]), 0);
	rc = host_open_fd(ends[1], &options, &nic->host, &error);
	cr_assert_eq(rc, 0, "%s", error.text);
}

void nic_open_driver(struct nic *nic)
{
	struct host_ena_options options = nic->bench->options.driver;

	options.is_by_message = nic->bench->options.is_by_message;
	cr_assert_eq(host_ena_open(nic->host, &options, &nic->ena), 0);
	nic->iova = host_ena_alloc(nic->ena, FRAME_ROOM, HOST_ENA_PAGE);
	nic->frame = host_ena_at(nic->ena, nic->iova);
	host_ena_doors_open(nic->ena, HOST_ENA_DOORS_AUTO, &nic->doors);
}

void nic_start(struct nic_bench *b, const struct nic_options *options)
{
	nic_make_card(b, options);
	for (unsigned int i = 0; i < NICS; i++) {
		nic_connect(&b->nics[i]);
		nic_open_driver(&b->nics[i]);
		cr_assert_eq(host_ena_start(b->nics[i].ena), 0);
	}
}

void nic_make_queues(struct nic *nic, enum host_ena_placement placement)
{
	const struct host_ena_tx_options tx = { .depth = NIC_DEPTH,
						.placement = placement };
	const struct host_ena_rx_options rx = { .depth = NIC_DEPTH,
						.buffer_bytes = NIC_BUFFER };
	int rc = host_ena_tx_open(&nic->doors, &tx, &nic->tx);

	cr_assert_eq(rc, 0, "%s", host_ena_status_text(rc));
	rc = host_ena_rx_open(&nic->doors, &rx, &nic->rx);
	cr_assert_eq(rc, 0, "%s", host_ena_status_text(rc));
}

void nic_start_queues(struct nic_bench *b, const struct nic_options *options)
{
	nic_start(b, options);
	for (unsigned int i = 0; i < NICS; i++)
		nic_make_queues(&b->nics[i], HOST_ENA_PLACE_AUTO);
}

void nic_hang_up(struct nic *nic)
{
	host_ena_tx_forget(&nic->tx);
	host_ena_rx_forget(&nic->rx);
	if (nic->ena) {
		host_ena_doors_close(&nic->doors);
		nic->ena->fn = NULL; /* no farewell */
	}
	host_ena_close(&nic->ena);
	host_close(&nic->host);
	for (int i = 0; i < 10000 && pcie_server_has_client(nic->server); i++)
		(void)rt_loop_step(nic->bench->loop, RT_NS_PER_MS);
	cr_assert_not(pcie_server_has_client(nic->server));
}

void nic_stop(struct nic_bench *b)
{
	for (unsigned int i = 0; i < NICS; i++)
		nic_hang_up(&b->nics[i]);
	for (unsigned int i = 0; i < NICS; i++)
		remove_function(b, &b->nics[i]);
	rt_loop_destroy(&b->loop);
}

/* --- Traffic -------------------------------------------------------------- */

struct host_packet nic_packet(const struct nic_bench *b, uint8_t proto,
			      bool is_back)
{
	struct host_packet packet = {
		.proto = proto,
		.from_ip = 0x0a000001u + is_back,
		.to_ip = 0x0a000002u - is_back,
		.from_port = 7000,
		.to_port = 7001,
		.payload = 100,
		.seed = 1,
	};

	memcpy(packet.from, b->nics[is_back].ena->facts.attr.mac_addr, 6);
	memcpy(packet.to, b->nics[!is_back].ena->facts.attr.mac_addr, 6);
	return packet;
}

static void await_sent(struct nic *nic)
{
	struct host_ena_sent sent[64];
	int rc;

	for (int i = 0; host_ena_tx_in_flight(nic->tx) > 0; i++) {
		rc = host_ena_tx_poll(nic->tx, sent, 64);
		cr_assert_geq(rc, 0, "%s", host_ena_why(nic->ena));
		cr_assert_lt(i, PATIENCE, "%s is not sent", nic->name);
		if (rc == 0)
			(void)rt_loop_step(nic->bench->loop, RT_NS_PER_MS);
	}
}

void nic_send(struct nic *nic, uint32_t length, uint16_t offload,
	      const struct host_packet_layout *layout, uint16_t mss)
{
	struct host_ena_part parts[2] = {
		{ nic->iova + 65535, length > 65535 ? length - 65535 : 0 },
	};
	struct host_ena_packet packet = {
		.bytes = nic->frame,
		.iova = nic->iova,
		.length = length > 65535 ? 65535 : length,
		.offload = offload,
		.mss = mss,
		.parts = parts,
		.part_count = length > 65535,
	};

	if (layout) {
		packet.l3_offset = layout->l3_offset;
		packet.l3_bytes = layout->l3_bytes;
		packet.l4_words = layout->l4_words;
	}
	cr_assert_eq(host_ena_tx_put(nic->tx, &packet, 1), 1);
	cr_assert_eq(host_ena_tx_ring(nic->tx), 0);
	await_sent(nic);
}

void nic_send_packet(struct nic *nic, const struct host_packet *packet,
		     struct host_packet_layout *layout)
{
	host_packet_write(packet, nic->frame, layout);
	nic_send(nic, layout->length, 0, NULL, 0);
}

static int poll_one(struct nic *nic, struct host_ena_received *part)
{
	int rc = 0;

	for (int i = 0; i < 20 && rc == 0; i++) {
		rc = host_ena_rx_poll(nic->rx, part, 1);
		if (rc == 0)
			(void)rt_loop_step(nic->bench->loop, RT_NS_PER_MS);
	}
	cr_assert_geq(rc, 0, "%s", host_ena_why(nic->ena));
	return rc;
}

uint32_t nic_receive(struct nic *nic, uint8_t *frame,
		     struct host_ena_received *last)
{
	struct host_ena_received part;
	uint32_t length = 0;

	do {
		if (poll_one(nic, &part) == 0)
			return 0;
		memcpy(frame + length, part.bytes, part.length);
		length += part.length;
		cr_assert_eq(host_ena_rx_give(nic->rx, &part, 1), 0);
	} while (!(part.status & ENA_ETH_IO_RX_CDESC_LAST));
	cr_assert_eq(host_ena_rx_ring(nic->rx), 0);
	if (last)
		*last = part;
	return length;
}

void nic_fault(struct nic *nic, const char *name, uint64_t value, bool is_on)
{
	const struct rt_fault_rule rule = { .is_set = true,
					    .probability_ppm = 1000000,
					    .value = value };

	if (is_on)
		cr_assert_eq(rt_fault_set_rule(&nic->fn->faults, name, &rule),
			     0);
	else
		(void)rt_fault_clear(&nic->fn->faults, name);
}

uint64_t nic_counter(const struct nic *nic, const char *name)
{
	const struct rt_counter_name *c = nic->fn->type->counters;

	for (size_t i = 0; i < nic->fn->type->counter_count; i++)
		if (strcmp(c[i].name, name) == 0)
			return pcie_function_counter(nic->fn, &c[i]);
	cr_assert_fail("there is no counter %s", name);
	return 0;
}
