/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the rules of a network adapter are made of: the states in which they
 * find it, queues word by word, the adapter at the other end.  Registers are
 * read directly here, so that one without answers by DMA breaks the rules about
 * those and no others.
 */
#include "host-driver/probe/ena.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"

#define MEMORY_IOVA  UINT64_C(0x40000000)
#define MEMORY_BYTES UINT64_C(0x2000000)
#define PEER_DEPTH   1024u
#define PEER_ROOM    65536u

static const struct rt_clock host_clock;

bool probe_is_ena(const struct probe *p)
{
	return le_load(p->config + PCI_CLASS_REVISION, 4) >> 8 ==
		       ENA_PCI_CLASS &&
	       le_load(p->config, 4) ==
		       (ENA_PCI_VENDOR | (uint32_t)ENA_PCI_DEVICE << 16);
}

/* --- The other end -------------------------------------------------------- */

static int start_peer(struct probe_peer *peer)
{
	const struct host_ena_tx_options tx = { .depth = PEER_DEPTH };
	const struct host_ena_rx_options rx = { .depth = PEER_DEPTH,
						.buffer_bytes = 10000 };
	int rc = host_ena_start(peer->ena);

	if (rc != 0)
		return rc;
	host_ena_doors_open(peer->ena, HOST_ENA_DOORS_AUTO, &peer->doors);
	peer->frame_iova = host_ena_alloc(peer->ena, PEER_ROOM, HOST_ENA_PAGE);
	if (!peer->frame_iova)
		return -ENOMEM;
	peer->frame = host_ena_at(peer->ena, peer->frame_iova);
	rc = host_ena_tx_open(&peer->doors, &tx, &peer->tx);
	return rc ? rc : host_ena_rx_open(&peer->doors, &rx, &peer->rx);
}

static int open_peer(struct probe *p, struct rt_error *error)
{
	struct host_options options = { .timeout_ms = p->options.timeout_ms };
	int rc;

	p->peer = calloc(1, sizeof *p->peer);
	if (!p->peer)
		return rt_error_set(error, -ENOMEM, "no memory");
	rc = host_open(p->options.peer, &options, &p->peer->fn, error);
	if (rc < 0)
		return rc;
	rc = host_ena_open(p->peer->fn, NULL, &p->peer->ena);
	if (rc == 0)
		rc = start_peer(p->peer);
	return rc == 0 ? 0
		       : rt_error_set(error, rc < 0 ? rc : -EIO,
				      "the peer %s does not start: %s",
				      p->options.peer,
				      host_ena_status_text(rc));
}

static void close_peer(struct probe_peer *peer)
{
	host_ena_tx_forget(&peer->tx);
	host_ena_rx_forget(&peer->rx);
	if (peer->ena)
		(void)host_ena_reset(peer->ena, ENA_REGS_RESET_SHUTDOWN);
	host_ena_close(&peer->ena);
	host_close(&peer->fn);
	free(peer);
}

/* --- Open and close ------------------------------------------------------- */

int probe_ena_open(struct probe *p, struct rt_error *error)
{
	const struct host_ena_options options = {
		.iova = MEMORY_IOVA,
		.size = MEMORY_BYTES,
		.is_direct = true,
		.timeout_ms = p->options.timeout_ms,
	};
	int rc = host_ena_open(p->fn, &options, &p->ena);

	if (rc < 0)
		return rt_error_set(error, rc, "no memory for DMA (%s)",
				    rt_errno_name(rc));
	host_ena_doors_open(p->ena, HOST_ENA_DOORS_AUTO, &p->ena_doors);
	p->memory_mark = p->ena->memory_used;
	if (p->options.peer && !p->peer)
		return open_peer(p, error);
	return 0;
}

static void forget_queues(struct probe *p)
{
	host_ena_tx_forget(&p->tx);
	host_ena_rx_forget(&p->rx);
}

void probe_ena_close(struct probe *p)
{
	if (!p->ena)
		return;
	forget_queues(p);
	host_ena_doors_close(&p->ena_doors);
	host_ena_close(&p->ena);
}

void probe_peer_close(struct probe *p)
{
	if (p->peer)
		close_peer(p->peer);
	p->peer = NULL;
}

/* --- Preparation ---------------------------------------------------------- */

/* A rule may have left it in reset, or without an address for answers. */
static int switch_off(struct probe *p)
{
	uint32_t sts = 0;
	int rc;

	p->bus_error = 0;
	forget_queues(p);
	host_ena_doors_close(&p->ena_doors);
	probe_config_set(p, PCI_COMMAND, 2,
			 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
				 PCI_COMMAND_INTX_DISABLE);
	probe_calm_interrupts(p);
	host_ena_doors_open(p->ena, HOST_ENA_DOORS_AUTO, &p->ena_doors);
	rc = host_ena_read_direct(p->ena, ENA_REGS_DEV_STS, &sts);
	if (rc == 0 && sts & ENA_REGS_DEV_STS_RESET_IN_PROGRESS)
		rc = host_ena_reset_end(p->ena);
	if (rc == 0)
		rc = host_ena_reset(p->ena, ENA_REGS_RESET_USER_TRIGGER);
	return rc < 0 ? rc : p->bus_error;
}

static int make_queues(struct probe *p)
{
	const struct host_ena_tx_options tx = { .depth = ENA_DEPTH };
	const struct host_ena_rx_options rx = { .depth = ENA_DEPTH,
						.buffer_bytes = ENA_BUFFER };
	int rc = host_ena_tx_open(&p->ena_doors, &tx, &p->tx);

	return rc ? rc : host_ena_rx_open(&p->ena_doors, &rx, &p->rx);
}

static int bring_up(struct probe *p, enum probe_need need)
{
	int rc = switch_off(p);

	if (rc < 0)
		return rc;
	p->ena->options.admin_depth = HOST_ENA_ADMIN_DEPTH;
	p->ena->options.aenq_depth = HOST_ENA_AENQ_DEPTH;
	memset((uint8_t *)p->ena->memory.bytes + p->memory_mark, 0,
	       p->ena->memory_used - p->memory_mark);
	p->ena->memory_used = p->memory_mark;
	if (need >= PROBE_ADMIN)
		rc = host_ena_start(p->ena);
	if (rc == 0 && need >= PROBE_IO)
		rc = make_queues(p);
	return rc;
}

/* What other rules have sent to all. */
static void drain_peer(struct probe *p)
{
	struct host_ena_received parts[64];
	int n;

	while ((n = host_ena_rx_poll(p->peer->rx, parts, 64)) > 0)
		(void)host_ena_rx_give(p->peer->rx, parts, (unsigned int)n);
	(void)host_ena_rx_ring(p->peer->rx);
	(void)host_ena_take_events(p->peer->ena);
}

int probe_ena_prepare(struct probe *p, enum probe_need need)
{
	int rc = bring_up(p, need);

	if (p->peer && p->peer->rx)
		drain_peer(p);
	if (rc != 0 && host_reset(p->fn) == 0)
		rc = bring_up(p, need);
	if (rc != 0 && probe_reopen(p) == 0)
		rc = bring_up(p, need);
	return rc;
}

void probe_ena_survey(struct probe *p)
{
	if (probe_ena_prepare(p, PROBE_ADMIN) == 0)
		p->ena_facts = p->ena->facts;
}

/* --- Memory --------------------------------------------------------------- */

enum probe_verdict ena_say_why(struct probe *p, int rc, const char *step)
{
	if (rc == -EPROTO)
		return probe_broken(p, "%s", host_ena_why(p->ena));
	return probe_failed(p, rc, step);
}

enum probe_verdict ena_want_refusal(struct probe *p, int rc)
{
	if (rc > 0)
		return PROBE_HOLDS;
	return rc < 0 ? probe_failed(p, rc, "the command")
		      : probe_broken(p, "it was done instead of refused");
}

uint64_t ena_page(struct probe *p)
{
	uint64_t page = host_ena_alloc(p->ena, HOST_ENA_PAGE, HOST_ENA_PAGE);

	if (page == 0 && !p->bus_error)
		p->bus_error = -ENOMEM;
	return page ? page : MEMORY_IOVA;
}

void ena_fill(struct probe *p, uint64_t page)
{
	memset(host_ena_at(p->ena, page), PROBE_FILL, HOST_ENA_PAGE);
}

bool ena_is_filled(struct probe *p, uint64_t page, uint32_t from, uint32_t to)
{
	const uint8_t *bytes = host_ena_at(p->ena, page);

	for (uint32_t i = from; i < to; i++)
		if (bytes[i] != PROBE_FILL)
			return false;
	return true;
}

/* --- Queues word by word -------------------------------------------------- */

int ena_raw_open(struct probe *p, uint8_t direction, uint32_t depth, int vector,
		 struct ena_raw *raw)
{
	int rc;

	*raw = (struct ena_raw){ 0 };
	rc = host_ena_create_cq(p->ena, depth, 4, vector, &raw->cq);
	if (rc != 0)
		return rc;
	rc = host_ena_create_sq(p->ena, direction, false, depth, raw->cq.index,
				&raw->sq);
	if (rc != 0)
		(void)host_ena_destroy_cq(p->ena, &raw->cq);
	return rc;
}

enum probe_verdict ena_no_queue(struct probe *p, int rc)
{
	if (rc == ENA_ADMIN_UNKNOWN_ERROR)
		return probe_skip(p, "it wants transmit queues in its memory");
	return probe_failed(p, rc, "making a queue");
}

void ena_raw_put(struct probe *p, struct ena_raw *raw, uint64_t first,
		 uint64_t second)
{
	uint64_t *ring = host_ena_at(p->ena, raw->sq.iova);
	uint64_t *at = ring + 2 * (raw->tail % raw->sq.depth);
	uint64_t phase = (raw->tail / raw->sq.depth & 1) == 0;

	at[0] = htole64(first | phase << 24);
	at[1] = htole64(second);
	raw->tail++;
}

void ena_raw_put_packet(struct probe *p, struct ena_raw *raw, uint16_t id,
			uint64_t iova, uint32_t length)
{
	ena_raw_put(p, raw,
		    length | (uint64_t)(id >> 10) << 16 |
			    ENA_ETH_IO_TX_DESC_FIRST | ENA_ETH_IO_TX_DESC_LAST |
			    ENA_ETH_IO_TX_DESC_COMP_REQ |
			    (uint64_t)(id & 0x3ff) << 54,
		    iova);
}

void ena_raw_put_buffer(struct probe *p, struct ena_raw *raw, uint16_t id,
			uint64_t iova, uint32_t length)
{
	ena_raw_put(p, raw,
		    (length & 0xffff) | UINT64_C(0x1c) << 24 |
			    (uint64_t)id << 32,
		    iova);
}

int ena_raw_ring(struct probe *p, struct ena_raw *raw)
{
	return host_write32(p->fn, ENA_REGS_BAR, raw->sq.doorbell_offset,
			    raw->tail);
}

static bool look(struct probe *p, struct ena_raw *raw, uint64_t words[2])
{
	const uint8_t *ring = host_ena_at(p->ena, raw->cq.iova);
	const uint64_t *at =
		(const void *)(ring + raw->head % raw->cq.depth *
					      raw->cq.entry_words * 4u);
	uint64_t phase = (raw->head / raw->cq.depth & 1) == 0;

	words[0] = le64toh(__atomic_load_n(at, __ATOMIC_ACQUIRE));
	words[1] = le64toh(at[1]);
	return (words[0] >> 24 & 1) == phase;
}

int ena_raw_take(struct probe *p, struct ena_raw *raw, uint64_t words[2])
{
	uint64_t end = rt_clock_now_ns(&host_clock) +
		       p->options.timeout_ms * RT_NS_PER_MS;

	while (!look(p, raw, words)) {
		if (rt_clock_now_ns(&host_clock) > end)
			return -ETIMEDOUT;
		probe_pause_ms(p, 0);
	}
	raw->head++;
	return 0;
}

int ena_raw_stays_quiet(struct probe *p, struct ena_raw *raw)
{
	uint64_t words[2];

	probe_pause_ms(p, PROBE_QUIET_MS);
	return look(p, raw, words) ? -EEXIST : 0;
}

int ena_raw_close(struct probe *p, struct ena_raw *raw)
{
	int rc = host_ena_destroy_sq(p->ena, &raw->sq);

	return rc ? rc : host_ena_destroy_cq(p->ena, &raw->cq);
}

/* --- Traffic -------------------------------------------------------------- */

static int await_sent(struct probe *p, struct host_ena_tx *tx)
{
	uint64_t end = rt_clock_now_ns(&host_clock) +
		       p->options.timeout_ms * RT_NS_PER_MS;
	struct host_ena_sent sent[64];
	int rc;

	while (host_ena_tx_in_flight(tx) > 0) {
		rc = host_ena_tx_poll(tx, sent, 64);
		if (rc < 0)
			return rc;
		if (rt_clock_now_ns(&host_clock) > end)
			return -ETIMEDOUT;
		probe_pause_ms(p, 0);
	}
	return 0;
}

int ena_send(struct probe *p, const struct host_ena_packet *packet)
{
	int rc;

	if (host_ena_tx_put(p->tx, packet, 1) != 1)
		return -ENOSPC;
	rc = host_ena_tx_ring(p->tx);
	return rc < 0 ? rc : await_sent(p, p->tx);
}

static struct host_packet between(const uint8_t *from, const uint8_t *to,
				  uint8_t proto)
{
	struct host_packet packet = {
		.proto = proto,
		.from_ip = 0x0a000001,
		.to_ip = 0x0a000002,
		.from_port = 7000,
		.to_port = 7001,
		.payload = 100,
		.seed = 1,
	};

	memcpy(packet.from, from, 6);
	memcpy(packet.to, to, 6);
	return packet;
}

struct host_packet ena_packet_to_peer(const struct probe *p, uint8_t proto)
{
	return between(p->ena_facts.attr.mac_addr,
		       p->peer->ena->facts.attr.mac_addr, proto);
}

struct host_packet ena_packet_from_peer(const struct probe *p, uint8_t proto)
{
	return between(p->peer->ena->facts.attr.mac_addr,
		       p->ena_facts.attr.mac_addr, proto);
}

int ena_peer_send(struct probe *p, const struct host_packet *packet,
		  struct host_packet_layout *layout)
{
	struct host_packet_layout mine;
	struct host_ena_packet out = { .bytes = p->peer->frame,
				       .iova = p->peer->frame_iova };
	int rc;

	if (!layout)
		layout = &mine;
	host_packet_write(packet, p->peer->frame, layout);
	out.length = layout->length;
	if (host_ena_tx_put(p->peer->tx, &out, 1) != 1)
		return -ENOSPC;
	rc = host_ena_tx_ring(p->peer->tx);
	return rc < 0 ? rc : await_sent(p, p->peer->tx);
}

static int receive(struct probe *p, struct host_ena_rx *rx,
		   struct host_ena_received *parts, unsigned int room,
		   unsigned int *count)
{
	uint64_t end = rt_clock_now_ns(&host_clock) +
		       p->options.timeout_ms * RT_NS_PER_MS;
	int rc;

	for (*count = 0; *count < room;) {
		rc = host_ena_rx_poll(rx, parts + *count, 1);
		if (rc < 0)
			return rc;
		*count += (unsigned int)rc;
		if (rc > 0 &&
		    parts[*count - 1].status & ENA_ETH_IO_RX_CDESC_LAST)
			return 0;
		if (rt_clock_now_ns(&host_clock) > end)
			return -ETIMEDOUT;
		if (rc == 0)
			probe_pause_ms(p, 0);
	}
	return -E2BIG;
}

int ena_receive(struct probe *p, struct host_ena_received *parts,
		unsigned int room, unsigned int *count)
{
	return receive(p, p->rx, parts, room, count);
}

int ena_peer_receive(struct probe *p, uint8_t *frame, uint32_t *length)
{
	struct host_ena_received parts[HOST_ENA_MAX_BUFFERS];
	unsigned int count;
	int rc = receive(p, p->peer->rx, parts, HOST_ENA_MAX_BUFFERS, &count);

	*length = 0;
	for (unsigned int i = 0; rc == 0 && i < count; i++) {
		memcpy(frame + *length, parts[i].bytes, parts[i].length);
		*length += parts[i].length;
	}
	if (count > 0)
		(void)host_ena_rx_give(p->peer->rx, parts, count);
	(void)host_ena_rx_ring(p->peer->rx);
	return rc;
}
