/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nitro-perf: a load generator for NVMe functions (packets are packet.c's).
 * This is its main thread: it sets the jobs going, watches time and device, and
 * reports.
 */
#include "host-driver/perf/perf.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "firmware/rt/clock.h"
#include "host-driver/perf/clock.h"
#include "host-driver/perf/cpu.h"
#include "host-driver/perf/job.h"
#include "host-driver/perf/packet.h"
#include "host-driver/perf/report.h"

#define TICK_NS (250 * RT_NS_PER_MS)

struct perf {
	struct perf_options options;
	struct perf_device device;
	struct perf_peer peer;
	struct perf_run run;
	struct perf_job *jobs;
	struct perf_cost before, after;
	struct perf_moment began;
	uint64_t last_ns, last_ios; /* of the live line */
	bool is_live;
	struct rt_error error;
};

static const struct rt_clock host;
static volatile sig_atomic_t is_interrupted;

void perf_complain(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("nitro-perf: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

/* --- While it runs -------------------------------------------------------- */

static void note_signal(int number)
{
	(void)number;
	is_interrupted = 1;
}

/* The first ends the load, and the report comes; the second ends it all. */
static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = note_signal,
				    .sa_flags = (int)SA_RESETHAND };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static uint64_t ios_so_far(const struct perf *perf)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < perf->options.jobs; i++)
		sum += atomic_load_explicit(&perf->jobs[i].done_ios,
					    memory_order_relaxed);
	return sum;
}

static void show_progress(struct perf *perf, uint64_t now, uint64_t end)
{
	uint64_t ios = ios_so_far(perf);
	double rate;

	if (!perf->is_live || now - perf->last_ns < RT_NS_PER_S)
		return;
	/* Counting starts anew after --ramp_time. */
	rate = ios < perf->last_ios ? 0
				    : (double)(ios - perf->last_ios) * 1e9 /
					      (double)(now - perf->last_ns);
	fprintf(stderr, "\r%s: %.0f IOPS, %.1f MiB/s", perf->options.rw, rate,
		rate * (double)perf->options.block_bytes / 1048576);
	if (end != UINT64_MAX)
		fprintf(stderr, ", %.0f s left",
			end > now ? (double)(end - now) / 1e9 : 0.0);
	fputs("\033[K", stderr);
	perf->last_ios = ios;
	perf->last_ns = now;
}

/* Sleep until a job has finished, a signal, or end. */
static void sleep_until(struct perf *perf, uint64_t now, uint64_t end)
{
	struct pollfd ready = { .fd = perf->run.finished, .events = POLLIN };
	uint64_t left = end > now ? end - now : 0, value;
	struct timespec time;

	if (left > TICK_NS)
		left = TICK_NS;
	time.tv_sec = (time_t)(left / RT_NS_PER_S);
	time.tv_nsec = (long)(left % RT_NS_PER_S);
	if (ppoll(&ready, 1, &time, NULL) > 0)
		(void)!read(perf->run.finished, &value, sizeof value);
}

/* Notice that the device has gone, which the jobs do not see in memory. */
static void check_device(struct perf *perf)
{
	int rc = perf_device_check(&perf->device);

	if (rc == 0 && !atomic_load(&perf->run.gone))
		return;
	atomic_store(&perf->run.gone, 1);
	atomic_store(&perf->run.failed, 1);
	rt_error_set(&perf->error, -ENODEV, "the device is gone%s%s",
		     rc < 0 ? ": " : "", rc < 0 ? strerror(-rc) : "");
}

/* Let the jobs run until a moment comes, they finish, or something happens. */
static void watch(struct perf *perf, uint64_t end)
{
	uint64_t now;

	while (atomic_load(&perf->run.running) > 0 && !is_interrupted &&
	       !atomic_load(&perf->run.failed)) {
		now = rt_clock_now_ns(&host);
		if (now >= end)
			return;
		show_progress(perf, now, end);
		sleep_until(perf, now, end);
		check_device(perf);
	}
}

/* Until all jobs have done what they had begun. */
static void wait_for_jobs(struct perf *perf)
{
	while (atomic_load(&perf->run.running) > 0) {
		sleep_until(perf, 0, TICK_NS);
		check_device(perf);
	}
}

static void measure(struct perf *perf)
{
	const struct perf_options *o = &perf->options;
	uint64_t now = rt_clock_now_ns(&host), end;

	perf->last_ns = now;
	if (o->ramp_ns > 0) {
		pthread_barrier_wait(&perf->run.start);
		watch(perf, now + o->ramp_ns);
	}
	perf->before = perf_peer_cost(&perf->peer);
	atomic_store(&perf->run.state, PERF_MEASURE);
	now = rt_clock_now_ns(&host);
	end = o->runtime_ns ? now + o->runtime_ns : UINT64_MAX;
	if (o->ramp_ns == 0)
		pthread_barrier_wait(&perf->run.start);
	watch(perf, end);
	atomic_store(&perf->run.state, PERF_STOP);
	wait_for_jobs(perf);
	perf->after = perf_peer_cost(&perf->peer);
	if (perf->is_live)
		fputs("\r\033[K", stderr);
}

/* --- Jobs ----------------------------------------------------------------- */

static int open_run(struct perf *perf)
{
	struct perf_run *run = &perf->run;
	unsigned int threads = (unsigned int)perf->options.jobs + 1;

	run->options = &perf->options;
	run->device = &perf->device;
	atomic_store(&run->running, (unsigned int)perf->options.jobs);
	pthread_barrier_init(&run->start, NULL, threads);
	pthread_barrier_init(&run->verify, NULL, threads);
	run->finished = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	perf->jobs = aligned_alloc(_Alignof(struct perf_job),
				   perf->options.jobs * sizeof *perf->jobs);
	if (run->finished < 0 || !perf->jobs)
		return rt_error_set(&perf->error, -ENOMEM, "no memory");
	memset(perf->jobs, 0, perf->options.jobs * sizeof *perf->jobs);
	return 0;
}

static int open_jobs(struct perf *perf)
{
	int rc = open_run(perf);

	for (unsigned int i = 0; i < perf->options.jobs && rc == 0; i++)
		rc = perf_job_open(&perf->jobs[i], &perf->run, i, &perf->error);
	return rc;
}

/* Threads wait for each other: one that does not start ends the program. */
static void start_jobs(struct perf *perf)
{
	int rc;

	for (unsigned int i = 0; i < perf->options.jobs; i++) {
		rc = perf_job_start(&perf->jobs[i]);
		if (rc == 0)
			continue;
		perf_complain("a thread cannot be started: %s", strerror(-rc));
		exit(PERF_FAILED);
	}
}

static void close_jobs(struct perf *perf)
{
	for (unsigned int i = 0; perf->jobs && i < perf->options.jobs; i++)
		perf_job_close(&perf->jobs[i]);
	free(perf->jobs);
	close(perf->run.finished);
}

static void run_jobs(struct perf *perf)
{
	start_jobs(perf);
	measure(perf);
	pthread_barrier_wait(&perf->run.verify);
	for (unsigned int i = 0; i < perf->options.jobs; i++)
		perf_job_join(&perf->jobs[i]);
}

/* --- The end -------------------------------------------------------------- */

static const char *error_of(const struct perf *perf)
{
	if (perf->error.code)
		return perf->error.text;
	for (unsigned int i = 0; i < perf->options.jobs; i++)
		if (perf->jobs[i].error.code)
			return perf->jobs[i].error.text;
	return NULL;
}

static int64_t since(int64_t before, int64_t after)
{
	return before < 0 || after < 0 ? -1 : after - before;
}

static void sum_up(const struct perf *perf, struct perf_report *report)
{
	uint64_t first = UINT64_MAX, last = 0;

	perf_histogram_clear(&report->reads);
	perf_histogram_clear(&report->writes);
	perf_histogram_clear(&report->all);
	for (unsigned int i = 0; i < perf->options.jobs; i++) {
		const struct perf_job *job = &perf->jobs[i];

		perf_report_add(report, job);
		first = job->started < first ? job->started : first;
		last = job->ended > last ? job->ended : last;
	}
	report->run = &perf->run;
	report->ns_per_tick = perf_clock_scale(&perf->began);
	report->elapsed_ns =
		(uint64_t)((double)(last - first) * report->ns_per_tick);
	report->cost.cpu_ns = since(perf->before.cpu_ns, perf->after.cpu_ns);
	report->cost.busy_ns = since(perf->before.busy_ns, perf->after.busy_ns);
	report->error = error_of(perf);
}

static enum perf_exit report(const struct perf *perf)
{
	struct perf_report *report = calloc(1, sizeof *report);
	enum perf_exit status;
	int rc = 0;

	if (!report)
		return PERF_FAILED;
	sum_up(perf, report);
	if (perf->options.is_json)
		rc = perf_report_print_json(report);
	else
		perf_report_print(report);
	if (report->error)
		perf_complain("%s", report->error);
	status =
		report->error || rc || fflush(stdout) ? PERF_FAILED : PERF_DONE;
	free(report);
	return status;
}

static int open_all(struct perf *perf)
{
	const struct perf_options *o = &perf->options;
	int rc = perf_device_open(&perf->device, o, &perf->error);

	if (rc == 0)
		rc = perf_peer_open(&perf->peer, perf->device.pid, o->control,
				    o->address, &perf->error);
	return rc < 0 ? rc : open_jobs(perf);
}

int main(int argc, char **argv)
{
	struct perf perf = { .run = { .finished = -1 } };
	enum perf_exit status = PERF_UNREACHABLE;

	perf_parse(argc, argv, &perf.options);
	perf_clock_init();
	if (perf.options.packets)
		return packet_main(&perf.options);
	perf.began = perf_clock_now();
	perf.is_live = isatty(STDERR_FILENO) && !perf.options.is_json;
	catch_signals();
	if (open_all(&perf) < 0) {
		perf_complain("%s", perf.error.text);
		if (perf.error.hint[0])
			perf_complain("%s", perf.error.hint);
	} else {
		run_jobs(&perf);
		status = report(&perf);
	}
	close_jobs(&perf);
	perf_peer_close(&perf.peer);
	perf_device_close(&perf.device);
	return status;
}
