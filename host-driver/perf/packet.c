/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packet modes of nitro-perf, the main thread: opens one adapter or two, sets
 * jobs going, watches time and devices, and reports.
 */
#include "host-driver/perf/packet.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"
#include "host-driver/perf/clock.h"
#include "host-driver/perf/job.h"

#define IOVA      UINT64_C(0x40000000)
#define SPARE     UINT64_C(0x100000)
#define HUGE_PAGE UINT64_C(0x200000)
#define TICK_US   20000u
#define TABLE     128u

const uint8_t perf_rss_key[40] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
	0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
	0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
	0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static const struct rt_clock host;
static volatile sig_atomic_t is_interrupted;

static void note_signal(int number)
{
	(void)number;
	is_interrupted = 1;
}

/* --- Adapters ------------------------------------------------------------- */

static int say(struct rt_error *error, int rc, const struct packet_nic *nic,
	       const char *what)
{
	if (rc == 0)
		return 0;
	return rt_error_set(
		error, rc < 0 ? rc : -EIO, "%s: %s: %s%s%s", nic->address, what,
		host_ena_status_text(rc), rc == -EPROTO ? ", " : "",
		rc == -EPROTO && nic->ena ? host_ena_why(nic->ena) : "");
}

static int choose_llq(struct packet_nic *nic, uint64_t bytes)
{
	if (bytes == PERF_LLQ_AUTO || bytes == PERF_LLQ_OFF)
		return 0;
	return host_ena_set_llq(nic->ena, (uint16_t)bytes);
}

static int check_fit(const struct packet_nic *nic, const struct perf_options *o,
		     struct rt_error *error)
{
	uint32_t most = le32_get(nic->ena->facts.attr.max_mtu) + 14;

	if (!o->tso && o->block_bytes > most)
		return rt_error_set(error, -EINVAL,
				    "frames have up to %u bytes, not %" PRIu64,
				    most, o->block_bytes);
	if (le32_get(nic->ena->facts.queues.max_tx_sq_num) < o->jobs)
		return rt_error_set(error, -EINVAL,
				    "%s has not %" PRIu64
				    " queues for as many jobs",
				    nic->address, o->jobs);
	return 0;
}

static int open_nic(struct packet_run *run, struct packet_nic *nic,
		    const char *address, struct rt_error *error)
{
	const struct host_ena_options options = { .iova = IOVA,
						  .size = run->memory };
	const struct perf_options *o = run->options;
	int rc;

	nic->address = address;
	rc = host_open(address, NULL, &nic->fn, error);
	if (rc < 0)
		return rc;
	rc = host_ena_open(nic->fn, &options, &nic->ena);
	if (rc == 0)
		rc = host_ena_start(nic->ena);
	if (rc == 0)
		rc = choose_llq(nic, o->llq_bytes);
	if (rc != 0)
		return say(error, rc, nic, "the adapter does not start");
	host_ena_doors_open(
		nic->ena,
		o->doors == HOST_NVME_DOORS_TRAPPED  ? HOST_ENA_DOORS_TRAPPED
		: o->doors == HOST_NVME_DOORS_MAPPED ? HOST_ENA_DOORS_MAPPED
						     : HOST_ENA_DOORS_AUTO,
		&nic->doors);
	nic->has_doors = true;
	run->nic_count++;
	return check_fit(nic, o, error);
}

static void close_nic(struct packet_nic *nic)
{
	if (nic->ena && host_poll(nic->fn, 0) >= 0)
		(void)host_ena_reset(nic->ena, ENA_REGS_RESET_SHUTDOWN);
	if (nic->has_doors)
		host_ena_doors_close(&nic->doors);
	host_ena_close(&nic->ena);
	host_close(&nic->fn);
}

/* Flows find the queue of their job: see choose_port(). */
static int spread(struct packet_run *run, struct packet_nic *nic,
		  struct rt_error *error)
{
	uint16_t table[TABLE];
	int rc = 0;

	if (!nic->ena || nic->rx_queues[0] == UINT16_MAX)
		return 0;
	for (unsigned int i = 0; i < TABLE; i++)
		table[i] = nic->rx_queues[i % run->options->jobs];
	if (host_ena_has_feature(nic->ena, ENA_ADMIN_RSS_HASH_FUNCTION))
		rc = host_ena_set_rss_key(nic->ena, perf_rss_key, 0);
	else if (run->options->verify && run->options->jobs > 1)
		return rt_error_set(error, -EOPNOTSUPP,
				    "--verify with many jobs needs an adapter "
				    "whose RSS key can be set");
	if (rc == 0)
		rc = host_ena_set_rss_table(nic->ena, table, 7);
	return say(error, rc, nic, "RSS");
}

/* Doorbells by message await no reply, as a virtual machine's do not. */
static void loosen(const struct packet_nic *nic)
{
	if (nic->fn && !nic->doors.page)
		host_set_quirks(nic->fn, HOST_POSTED_WRITES);
}

/* --- While it runs -------------------------------------------------------- */

static void check_nics(struct packet_run *run, struct rt_error *error)
{
	for (unsigned int i = 0; i < run->nic_count; i++) {
		struct packet_nic *nic = &run->nics[i];
		int rc;

		pthread_mutex_lock(&nic->doors.lock);
		rc = host_poll(nic->fn, 0);
		if (rc >= 0)
			rc = host_ena_take_events(nic->ena);
		pthread_mutex_unlock(&nic->doors.lock);
		if (rc >= 0)
			continue;
		if (!atomic_exchange(&run->gone, 1))
			rt_error_set(error, -ENODEV, "%s is gone: %s",
				     nic->address, strerror(-rc));
		atomic_store(&run->failed, 1);
	}
}

static void watch(struct packet_run *run, uint64_t end, struct rt_error *error)
{
	while (atomic_load(&run->running) > 0 && !is_interrupted &&
	       !atomic_load(&run->failed) && rt_clock_now_ns(&host) < end) {
		uint64_t left_us = (end - rt_clock_now_ns(&host)) / 1000;

		usleep(left_us < TICK_US ? (useconds_t)left_us + 1 : TICK_US);
		check_nics(run, error);
	}
}

static void measure(struct packet_run *run, struct rt_error *error)
{
	const struct perf_options *o = run->options;
	uint64_t now;

	if (o->ramp_ns > 0) {
		pthread_barrier_wait(&run->start);
		watch(run, rt_clock_now_ns(&host) + o->ramp_ns, error);
	}
	run->before = perf_peer_cost(&run->peer);
	atomic_store(&run->state, PERF_MEASURE);
	if (o->ramp_ns == 0)
		pthread_barrier_wait(&run->start);
	now = rt_clock_now_ns(&host);
	watch(run, o->runtime_ns ? now + o->runtime_ns : UINT64_MAX, error);
	run->after = perf_peer_cost(&run->peer);
	atomic_store(&run->state, PERF_STOP);
	while (atomic_load(&run->running) > 0) {
		usleep(1000);
		check_nics(run, error);
	}
	for (unsigned int i = 0; i < o->jobs; i++)
		pthread_join(run->jobs[i].thread, NULL);
}

/* --- Jobs ----------------------------------------------------------------- */

static int open_jobs(struct packet_run *run, struct rt_error *error)
{
	uint64_t jobs = run->options->jobs;
	int rc = 0;

	memset(run->nics[0].rx_queues, 0xff, sizeof run->nics[0].rx_queues);
	memset(run->nics[1].rx_queues, 0xff, sizeof run->nics[1].rx_queues);
	run->jobs = aligned_alloc(_Alignof(struct packet_job),
				  jobs * sizeof *run->jobs);
	if (!run->jobs)
		return rt_error_set(error, -ENOMEM, "no memory");
	memset(run->jobs, 0, jobs * sizeof *run->jobs);
	for (unsigned int i = 0; i < jobs && rc == 0; i++)
		rc = packet_job_open(&run->jobs[i], run, i, error);
	for (unsigned int i = 0; i < 2 && rc == 0; i++) {
		rc = spread(run, &run->nics[i], error);
		loosen(&run->nics[i]);
	}
	return rc;
}

static int start_jobs(struct packet_run *run)
{
	uint64_t jobs = run->options->jobs;

	pthread_barrier_init(&run->start, NULL, (unsigned int)jobs + 1);
	atomic_store(&run->running, (unsigned int)jobs);
	for (unsigned int i = 0; i < jobs; i++)
		if (packet_job_start(&run->jobs[i]) < 0)
			return -EAGAIN;
	return 0;
}

static int open_all(struct packet_run *run, struct rt_error *error)
{
	const struct perf_options *o = run->options;
	uint64_t need = SPARE + o->jobs * packet_job_memory(o);
	int rc;

	run->memory = (need + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	rc = open_nic(run, &run->nics[0], o->address, error);
	if (rc == 0 && o->peer)
		rc = open_nic(run, &run->nics[1], o->peer, error);
	if (rc == 0)
		rc = perf_peer_open(&run->peer, host_peer_pid(run->nics[0].fn),
				    o->control, o->address, error);
	return rc < 0 ? rc : open_jobs(run, error);
}

/* --- The end -------------------------------------------------------------- */

static void add(struct packet_counts *sum, const struct packet_flow *flow)
{
	sum->sent += flow->now.sent - flow->start.sent;
	sum->received += flow->now.received - flow->start.received;
	sum->received_bytes +=
		flow->now.received_bytes - flow->start.received_bytes;
	sum->lost += flow->now.lost;
	sum->bad += flow->now.bad;
	sum->checked += flow->now.checked;
	sum->busy_ticks += flow->now.busy_ticks - flow->start.busy_ticks;
}

static int64_t since(int64_t before, int64_t after)
{
	return before < 0 || after < 0 ? -1 : after - before;
}

static void add_job(struct packet_sums *sums, struct packet_job *job)
{
	for (unsigned int i = 0; i < job->flow_count; i++) {
		struct packet_flow *flow = &job->flows[i];

		add(&sums->flows[i], flow);
		if (flow->tx) {
			sums->rings += host_ena_tx_rings(flow->tx);
			sums->trapped += host_ena_tx_trapped(flow->tx);
		}
		if (flow->rx)
			sums->trapped += host_ena_rx_trapped(flow->rx);
	}
	perf_histogram_merge(sums->rtt, &job->rtt);
	sums->client_ns += (int64_t)job->cpu_ns;
	if (!sums->error && job->error.code)
		sums->error = job->error.text;
}

static int report(struct packet_run *run, const struct perf_moment *began,
		  const struct rt_error *error)
{
	RT_FREE struct perf_histogram *rtt = malloc(sizeof *rtt);
	struct packet_sums sums = { .rtt = rtt };
	uint64_t first = UINT64_MAX, last = 0;
	int rc = 0;

	perf_histogram_clear(rtt);
	for (unsigned int i = 0; i < run->options->jobs; i++) {
		add_job(&sums, &run->jobs[i]);
		if (run->jobs[i].started < first)
			first = run->jobs[i].started;
		if (run->jobs[i].ended > last)
			last = run->jobs[i].ended;
	}
	if (error->code)
		sums.error = error->text;
	sums.ns_per_tick = perf_clock_scale(began);
	sums.elapsed_ns = (uint64_t)((double)(last - first) * sums.ns_per_tick);
	sums.cost.cpu_ns = since(run->before.cpu_ns, run->after.cpu_ns);
	sums.cost.busy_ns = since(run->before.busy_ns, run->after.busy_ns);
	if (run->options->is_json)
		rc = packet_report_print_json(run, &sums);
	else
		packet_report_print(run, &sums);
	if (sums.error)
		perf_complain("%s", sums.error);
	return sums.error || rc || fflush(stdout) ? PERF_FAILED : PERF_DONE;
}

enum perf_exit packet_main(const struct perf_options *options)
{
	struct sigaction action = { .sa_handler = note_signal,
				    .sa_flags = (int)SA_RESETHAND };
	struct packet_run run = { .options = options };
	struct perf_moment began = perf_clock_now();
	enum perf_exit status = PERF_UNREACHABLE;
	struct rt_error error = { 0 };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (open_all(&run, &error) < 0) {
		perf_complain("%s", error.text);
		if (error.hint[0])
			perf_complain("%s", error.hint);
	} else if (start_jobs(&run) < 0) {
		perf_complain("a thread cannot be started");
		exit(PERF_FAILED);
	} else {
		measure(&run, &error);
		status = (enum perf_exit)report(&run, &began, &error);
	}
	for (unsigned int i = 0; run.jobs && i < options->jobs; i++)
		packet_job_close(&run.jobs[i]);
	free(run.jobs);
	perf_peer_close(&run.peer);
	close_nic(&run.nics[0]);
	close_nic(&run.nics[1]);
	return status;
}
