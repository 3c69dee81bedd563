/* SPDX-License-Identifier: BSD-3-Clause */
/* Flows of the packet modes: their queues, packets and places.  Main thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/error.h"
#include "host-driver/perf/packet.h"

#define RX_BYTES 2048u
#define ENTRIES  1024u
#define FIRST_IP 0x0a000001u
#define PORT     5001u

static uint32_t entries_of(const struct perf_options *o)
{
	uint64_t entries = o->queue_entries ? o->queue_entries : ENTRIES;

	while (entries & (entries - 1))
		entries &= entries - 1;
	return (uint32_t)entries;
}

static uint32_t frame_bytes(const struct perf_options *o)
{
	return (uint32_t)((o->block_bytes + 63) / 64 * 64);
}

static uint32_t buffer_bytes(const struct perf_options *o)
{
	return o->tso || o->block_bytes <= RX_BYTES ? RX_BYTES : frame_bytes(o);
}

uint64_t packet_job_memory(const struct perf_options *o)
{
	uint64_t entries = entries_of(o);

	return 2 * (entries * (frame_bytes(o) + buffer_bytes(o) + 128u) +
		    8 * HOST_ENA_PAGE);
}

static uint16_t offload_of(const struct perf_options *o)
{
	uint16_t tcp = HOST_ENA_IPV4 | HOST_ENA_TCP;

	if (o->tso)
		return tcp | HOST_ENA_TSO | HOST_ENA_L3_CSUM | HOST_ENA_L4_CSUM;
	return o->csum || o->verify
		       ? HOST_ENA_IPV4 | HOST_ENA_UDP | HOST_ENA_L4_CSUM
		       : 0;
}

static int make_slot(struct packet_flow *flow, struct host_ena *e,
		     const struct perf_options *o, unsigned int i)
{
	uint64_t iova = host_ena_alloc(e, frame_bytes(o), 64);

	if (iova == 0)
		return -ENOMEM;
	flow->frames[i] = host_ena_at(e, iova);
	host_packet_write(&flow->shape, flow->frames[i], &flow->layout);
	flow->packets[i] = (struct host_ena_packet){
		.bytes = flow->frames[i],
		.iova = iova,
		.length = flow->layout.length,
		.offload = offload_of(o),
		.l3_offset = flow->layout.l3_offset,
		.l3_bytes = flow->layout.l3_bytes,
		.l4_words = flow->layout.l4_words,
		.mss = o->tso ? PACKET_MSS : 0,
		.cookie = i,
	};
	return 0;
}

static int make_slots(struct packet_flow *flow, struct host_ena *e,
		      const struct perf_options *o)
{
	int rc = 0;

	flow->slots = entries_of(o);
	flow->depth = (unsigned int)o->depth;
	flow->packets = calloc(flow->slots, sizeof *flow->packets);
	flow->frames = calloc(flow->slots, sizeof *flow->frames);
	flow->is_busy = calloc(flow->slots, sizeof *flow->is_busy);
	if (!flow->packets || !flow->frames || !flow->is_busy)
		return -ENOMEM;
	for (unsigned int i = 0; i < flow->slots && rc == 0; i++)
		rc = make_slot(flow, e, o, i);
	return rc;
}

/* A source port whose hash leads to the job's queue at the other end. */
static void choose_port(struct packet_job *job, struct packet_flow *flow)
{
	uint64_t jobs = job->run->options->jobs;

	for (flow->shape.from_port = 1024; flow->shape.from_port < UINT16_MAX;
	     flow->shape.from_port++) {
		flow->hash = host_packet_hash(perf_rss_key, &flow->shape);
		if ((flow->hash & 127) % jobs == job->number)
			return;
	}
}

static void shape_flow(struct packet_job *job, struct packet_flow *flow)
{
	const struct perf_options *o = job->run->options;
	const struct packet_nic *from = flow->from;
	const struct packet_nic *to = flow->to;
	uint32_t headers = PACKET_HEADERS + (o->tso ? 12 : 0);

	flow->shape = (struct host_packet){
		.proto = o->tso ? HOST_PACKET_TCP : HOST_PACKET_UDP,
		.from_ip = FIRST_IP + (from == &job->run->nics[1]),
		.to_ip = FIRST_IP + (to == &job->run->nics[1]),
		.to_port = PORT,
		.payload = (uint32_t)o->block_bytes - headers,
		.seed = o->seed,
	};
	memcpy(flow->shape.from, from->ena->facts.attr.mac_addr, 6);
	if (to->ena)
		memcpy(flow->shape.to, to->ena->facts.attr.mac_addr, 6);
	else
		flow->shape.to[0] = 2; /* nobody's */
	choose_port(job, flow);
}

static uint32_t lesser(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* As the adapter allows; wide entries of LLQ are fewer. */
static uint32_t tx_depth(const struct host_ena *e, const struct perf_options *o)
{
	const struct host_ena_facts *f = &e->facts;
	uint32_t depth =
		lesser(entries_of(o), le32_get(f->queues.max_tx_sq_depth));
	uint32_t wide = le16_get(f->llq.max_wide_llq_depth);
	uint32_t most = le32_get(f->llq.max_llq_depth);

	if (o->llq_bytes == PERF_LLQ_OFF || e->llq.entry_bytes == 0)
		return depth;
	if (e->llq.entry_bytes == 256)
		most = wide ? wide : most / 2;
	return lesser(depth, most);
}

static int open_sender(struct packet_job *job, struct packet_flow *flow)
{
	const struct perf_options *o = job->run->options;
	struct packet_nic *nic = flow->from;
	struct host_ena_tx_options options = {
		.placement = o->llq_bytes == PERF_LLQ_OFF ? HOST_ENA_PLACE_HOST
							  : HOST_ENA_PLACE_AUTO,
	};

	if (!nic->ena)
		return 0;
	options.depth = tx_depth(nic->ena, o);
	shape_flow(job, flow);
	return host_ena_tx_open(&nic->doors, &options, &flow->tx);
}

static int open_receiver(struct packet_job *job, struct packet_flow *flow)
{
	const struct perf_options *o = job->run->options;
	struct packet_nic *nic = flow->to;
	const struct host_ena_rx_options options = { .depth = entries_of(o),
						     .buffer_bytes =
							     buffer_bytes(o) };
	int rc;

	if (!nic->ena)
		return 0;
	flow->has_hash =
		host_ena_has_feature(nic->ena, ENA_ADMIN_RSS_HASH_FUNCTION);
	rc = host_ena_rx_open(&nic->doors, &options, &flow->rx);
	if (rc == 0)
		nic->rx_queues[job->number] = host_ena_rx_sq(flow->rx)->index;
	return rc;
}

static int open_flow(struct packet_job *job, struct packet_flow *flow)
{
	const struct perf_options *o = job->run->options;
	bool is_first = flow == &job->flows[0];
	bool is_pong = o->packets == PERF_PACKETS_PINGPONG && !is_first;
	bool is_back = !is_first || o->packets == PERF_PACKETS_RX;
	int rc;

	flow->from = &job->run->nics[is_back];
	flow->to = &job->run->nics[!is_back];
	rc = open_sender(job, flow);
	flow->left = o->number_ios ? o->number_ios : UINT64_MAX;
	if (is_pong)
		flow->left = 0;
	if (rc == 0 && flow->tx)
		rc = make_slots(flow, flow->from->ena, job->run->options);
	if (rc == 0 && job->run->options->packets != PERF_PACKETS_TX)
		return open_receiver(job, flow);
	return rc == 0 && job->run->nic_count == 2 ? open_receiver(job, flow)
						   : rc;
}

int packet_job_open(struct packet_job *job, struct packet_run *run,
		    unsigned int number, struct rt_error *error)
{
	const struct perf_options *o = run->options;
	int rc = 0;

	job->run = run;
	job->number = number;
	job->flow_count = o->packets >= PERF_PACKETS_TXRX ? 2 : 1;
	for (unsigned int i = 0; i < job->flow_count && rc == 0; i++)
		rc = open_flow(job, &job->flows[i]);
	if (rc == 0)
		return 0;
	return rt_error_set(error, rc < 0 ? rc : -EIO,
			    "the queues of a job: %s",
			    host_ena_status_text(rc));
}

void packet_job_close(struct packet_job *job)
{
	for (unsigned int i = 0; i < job->flow_count; i++) {
		struct packet_flow *flow = &job->flows[i];

		host_ena_tx_forget(&flow->tx);
		host_ena_rx_forget(&flow->rx);
		free(flow->packets);
		free(flow->frames);
		free(flow->is_busy);
	}
}
