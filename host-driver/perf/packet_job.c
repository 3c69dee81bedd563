/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A job of the packet modes: see packet.h.
 *
 * Theory.  A turn fills up each flow's transmit queue to its depth, rings once,
 * takes what was sent and what arrived, and gives buffers back.  Packets of a
 * flow are in a ring of slots, made once; only --verify writes to them again.
 * Time that a turn took is counted as the driver's own if it had anything to
 * do: that is what a packet costs, while the thread spins for the rest.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/clock.h"
#include "host-driver/perf/clock.h"
#include "host-driver/perf/job.h"
#include "host-driver/perf/packet.h"
#include "host-driver/perf/verify.h"

#define LOOK_UP_TURNS 4096u
#define DRAIN_NS      (100 * RT_NS_PER_MS)

static const struct rt_clock host;

static int fail(struct packet_job *job, int rc, const char *what,
		const struct packet_nic *nic)
{
	const char *why = rc == -EPROTO ? host_ena_why(nic->ena)
					: host_ena_status_text(rc);

	if (job->error.code == 0)
		rt_error_set(&job->error, rc, "%s: %s", what, why);
	atomic_store(&job->run->failed, 1);
	return rc;
}

static uint64_t thread_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * RT_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* --- What is sent --------------------------------------------------------- */

/* The data behind the sequence number, as much as can be checked. */
static uint32_t verified_bytes(const struct packet_flow *flow)
{
	return (flow->shape.payload - PACKET_MARK) / 8 * 8;
}

static struct perf_stamp stamp_of(const struct packet_job *job,
				  const struct packet_flow *flow,
				  uint64_t sequence)
{
	return (struct perf_stamp){ .seed = job->run->options->seed,
				    .offset = sequence,
				    .size = verified_bytes(flow),
				    .generation = 1 };
}

/* Checksums are left to the adapter: it must get them right. */
static void mark(struct packet_job *job, struct packet_flow *flow,
		 unsigned int slot)
{
	uint8_t *payload = flow->frames[slot] + flow->layout.payload_offset;
	struct perf_stamp stamp = stamp_of(job, flow, flow->sequence);

	le_store(payload, 8, flow->sequence);
	perf_verify_fill(payload + PACKET_MARK, &stamp);
	flow->sequence++;
}

/* Slots in a row that are free, from the next one on. */
static unsigned int free_run(const struct packet_flow *flow, unsigned int most)
{
	unsigned int n = 0;

	while (n < most && flow->next + n < flow->slots &&
	       !flow->is_busy[flow->next + n])
		n++;
	return n;
}

/* How many packets were put. */
static int fill_queue(struct packet_job *job, struct packet_flow *flow)
{
	unsigned int want = flow->depth - flow->in_flight, n, ready;
	int rc;

	if (want > flow->left)
		want = (unsigned int)flow->left;
	ready = free_run(flow, want);
	if (ready == 0)
		return 0;
	for (unsigned int i = 0; job->run->options->verify && i < ready; i++)
		mark(job, flow, flow->next + i);
	n = host_ena_tx_put(flow->tx, flow->packets + flow->next, ready);
	/* What did not fit is marked anew. */
	flow->sequence -= job->run->options->verify ? ready - n : 0;
	for (unsigned int i = 0; i < n; i++)
		flow->is_busy[flow->next + i] = true;
	flow->next = flow->next + n == flow->slots ? 0 : flow->next + n;
	flow->in_flight += n;
	flow->left -= flow->left == UINT64_MAX ? 0 : n;
	rc = host_ena_tx_ring(flow->tx);
	return rc < 0 ? rc : (int)n;
}

static int take_sent(struct packet_job *job, struct packet_flow *flow)
{
	int n = host_ena_tx_poll(flow->tx, job->sent, PACKET_BATCH);

	for (int i = 0; i < n; i++)
		flow->is_busy[job->sent[i].cookie] = false;
	if (n > 0) {
		flow->in_flight -= (unsigned int)n;
		flow->now.sent += (uint64_t)n;
	}
	return n;
}

/* --- What arrives --------------------------------------------------------- */

static int complain(struct packet_job *job, struct packet_flow *flow,
		    uint64_t sequence, const char *why)
{
	flow->now.bad++;
	if (job->error.code == 0)
		rt_error_set(&job->error, -EIO, "packet %" PRIu64 ": %s",
			     sequence, why);
	atomic_store(&job->run->failed, 1);
	return -EIO;
}

static int check(struct packet_job *job, struct packet_flow *flow,
		 const struct host_ena_received *r)
{
	const uint8_t *frame = r->bytes;
	const uint8_t *payload = frame + flow->layout.payload_offset;
	struct perf_stamp stamp;
	uint64_t sequence;
	char text[128];

	if (r->length != flow->layout.length)
		return complain(job, flow, flow->awaited, "another length");
	sequence = le_load(payload, 8);
	stamp = stamp_of(job, flow, sequence);
	if (!host_packet_is_right(frame, r->length, text, sizeof text) ||
	    !perf_verify_check(payload + PACKET_MARK, &stamp, text,
			       sizeof text))
		return complain(job, flow, flow->awaited, text);
	if (!(r->status & ENA_ETH_IO_RX_CDESC_L4_CSUM_CHECKED) ||
	    r->status & (ENA_ETH_IO_RX_CDESC_L4_CSUM_ERR |
			 ENA_ETH_IO_RX_CDESC_L3_CSUM_ERR))
		return complain(job, flow, sequence,
				"its checksums were not found good");
	if (sequence < flow->awaited)
		return complain(job, flow, sequence, "it comes twice, or late");
	flow->now.lost += sequence - flow->awaited;
	flow->awaited = sequence + 1;
	flow->now.checked++;
	return 0;
}

/* What was sent by others is not ours to count.  Packets are left unread if it
 * can be told from their hash. */
static bool is_ours(const struct packet_flow *flow,
		    const struct host_ena_received *r)
{
	const uint8_t *frame = r->bytes;

	if (!flow->tx || flow->has_hash)
		return !flow->tx || r->hash == flow->hash;
	return r->length > PACKET_HEADERS &&
	       memcmp(frame + 6, flow->shape.from, 6) == 0;
}

static int take_received(struct packet_job *job, struct packet_flow *flow)
{
	int n = host_ena_rx_poll(flow->rx, job->received, PACKET_BATCH), rc = 0;

	for (int i = 0; i < n; i++) {
		const struct host_ena_received *r = &job->received[i];

		if (!(r->status & ENA_ETH_IO_RX_CDESC_LAST) ||
		    !is_ours(flow, r))
			continue;
		flow->now.received++;
		flow->now.received_bytes += r->length;
		if (!flow->tx && flow->left > 0 && flow->left != UINT64_MAX)
			flow->left--;
		if (job->run->options->verify)
			rc |= check(job, flow, r);
	}
	if (n > 0 && rc == 0)
		rc = host_ena_rx_give(flow->rx, job->received, (unsigned int)n);
	return rc < 0 ? rc : n;
}

/* --- Turns ---------------------------------------------------------------- */

static void start_counting(struct packet_job *job)
{
	for (unsigned int i = 0; i < job->flow_count; i++)
		job->flows[i].start = job->flows[i].now;
	perf_histogram_clear(&job->rtt);
	job->cpu_start_ns = thread_ns();
	job->started = perf_ticks();
}

static void obey(struct packet_job *job)
{
	int state =
		atomic_load_explicit(&job->run->state, memory_order_relaxed);

	if (atomic_load_explicit(&job->run->failed, memory_order_relaxed))
		state = PERF_STOP;
	if (state == job->state)
		return;
	if (state == PERF_MEASURE)
		start_counting(job);
	job->state = state;
	for (unsigned int i = 0; state == PERF_STOP && i < job->flow_count; i++)
		job->flows[i].left = 0;
}

/* How much came of it; negative: it is over. */
static int turn_flow(struct packet_job *job, struct packet_flow *flow)
{
	uint64_t start = perf_ticks();
	int put = 0, sent = 0, received = 0;

	if (flow->tx) {
		put = fill_queue(job, flow);
		sent = put < 0 ? put : take_sent(job, flow);
		if (sent < 0)
			return fail(job, sent, "sending", flow->from);
	}
	if (flow->rx) {
		received = take_received(job, flow);
		if (received < 0)
			return fail(job, received, "receiving", flow->to);
	}
	if (put + sent + received > 0)
		flow->now.busy_ticks += perf_ticks() - start;
	return sent + received;
}

/* One packet goes, and comes back; then the next. */
static int turn_ping(struct packet_job *job)
{
	struct packet_flow *ping = &job->flows[0], *pong = &job->flows[1];
	uint64_t before = pong->now.received, echo = ping->now.received;
	int n, m;

	if (!job->is_ping && ping->left > 0) {
		job->is_ping = true;
		job->ping_start = perf_ticks();
		n = fill_queue(job, ping);
		if (n < 0)
			return fail(job, n, "sending", ping->from);
	}
	n = take_sent(job, ping);
	m = take_received(job, ping);
	if (m > 0 && ping->now.received != echo)
		pong->left = 1;
	if (m >= 0)
		m = fill_queue(job, pong);
	if (n >= 0 && m >= 0)
		m = take_sent(job, pong);
	if (n >= 0 && m >= 0)
		n = take_received(job, pong);
	if (n < 0 || m < 0)
		return fail(job, n < 0 ? n : m, "ping-pong", ping->from);
	if (pong->now.received == before)
		return 0;
	job->is_ping = false;
	perf_histogram_add(&job->rtt, perf_ticks() - job->ping_start);
	return 1;
}

/* Is there nothing to send any more, and nothing on its way out? */
static bool is_idle(const struct packet_job *job)
{
	for (unsigned int i = 0; i < job->flow_count; i++)
		if (job->flows[i].in_flight > 0 || job->flows[i].left > 0)
			return false;
	return !job->is_ping || job->state == PERF_STOP;
}

/* Nothing happened: be sure that the device lives and that we shall go on. */
static int look_up(struct packet_job *job)
{
	uint64_t now = rt_clock_now_ns(&host);
	bool is_waiting =
		job->flows[0].in_flight > 0 || job->is_ping ||
		(!job->flows[0].tx && job->run->options->number_ios > 0);

	obey(job);
	if (atomic_load(&job->run->gone))
		return -ENODEV;
	if (job->silent_since == 0)
		job->silent_since = now;
	if (is_waiting &&
	    now - job->silent_since > job->run->options->timeout_ns) {
		rt_error_set(&job->error, -ETIMEDOUT,
			     "nothing is sent or comes back any more");
		atomic_store(&job->run->failed, 1);
		return -ETIMEDOUT;
	}
	sched_yield();
	return 0;
}

static int one_turn(struct packet_job *job)
{
	int n = 0, rc;

	obey(job);
	if (job->run->options->packets == PERF_PACKETS_PINGPONG)
		n = turn_ping(job);
	else
		for (unsigned int i = 0; i < job->flow_count && n >= 0; i++) {
			rc = turn_flow(job, &job->flows[i]);
			n = rc < 0 ? rc : n + rc;
		}
	if (n > 0) {
		job->silent_since = 0;
		job->idle_turns = 0;
		atomic_store_explicit(&job->done,
				      job->flows[0].now.sent +
					      job->flows[0].now.received,
				      memory_order_relaxed);
	}
	if (n == 0 && ++job->idle_turns % LOOK_UP_TURNS == 0)
		n = look_up(job);
	return n;
}

/* What is still on its way. */
static void drain(struct packet_job *job)
{
	uint64_t end = rt_clock_now_ns(&host) + DRAIN_NS;

	for (unsigned int i = 0; i < job->flow_count; i++) {
		struct packet_flow *flow = &job->flows[i];

		while (flow->rx && flow->tx &&
		       flow->now.received < flow->now.sent &&
		       rt_clock_now_ns(&host) < end)
			if (take_received(job, flow) < 0)
				return;
	}
}

static void pin(struct packet_job *job)
{
	const struct perf_options *o = job->run->options;
	cpu_set_t set;

	if (o->cpu_count == 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)o->cpus[job->number % o->cpu_count], &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof set, &set)) {
		rt_error_set(&job->error, -EINVAL, "--cpus: no such processor");
		atomic_store(&job->run->failed, 1);
	}
}

static void *body(void *opaque)
{
	struct packet_job *job = opaque;
	int rc = 0;

	pin(job);
	pthread_barrier_wait(&job->run->start);
	job->state = PERF_RAMP;
	start_counting(job);
	obey(job);
	while (rc >= 0 && !is_idle(job))
		rc = one_turn(job);
	job->ended = perf_ticks();
	job->cpu_ns = thread_ns() - job->cpu_start_ns;
	if (rc >= 0)
		drain(job);
	atomic_fetch_sub(&job->run->running, 1);
	return NULL;
}

int packet_job_start(struct packet_job *job)
{
	return -pthread_create(&job->thread, NULL, body, job);
}
