/* SPDX-License-Identifier: BSD-3-Clause */
/* The report: see report.h. */
#include "host-driver/perf/report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "firmware/rt/scope.h"

#define MIB 1048576.0

static const struct percentile {
	double part;
	const char *name; /* as in fio's JSON */
} percentiles[] = {
	{ 0.50, "50.000000" },  { 0.90, "90.000000" },   { 0.99, "99.000000" },
	{ 0.999, "99.900000" }, { 0.9999, "99.990000" },
};

void perf_report_add(struct perf_report *report, const struct perf_job *job)
{
	perf_histogram_merge(&report->reads, &job->reads);
	perf_histogram_merge(&report->writes, &job->writes);
	perf_histogram_merge(&report->all, &job->reads);
	perf_histogram_merge(&report->all, &job->writes);
	report->client_ns += (int64_t)job->cpu_ns;
	report->wakeups += job->wakeups;
	report->trapped += job->trapped;
	report->checked += job->checked;
}

static double per_second(const struct perf_report *r,
			 const struct perf_histogram *h)
{
	if (r->elapsed_ns == 0)
		return 0;
	return (double)h->count * 1e9 / (double)r->elapsed_ns;
}

static double mean(const struct perf_report *r, const struct perf_histogram *h)
{
	if (h->count == 0)
		return 0;
	return (double)h->sum / (double)h->count * r->ns_per_tick;
}

/* -1: unknown, or there is nothing to divide by. */
static double per_io(const struct perf_report *r, int64_t ns)
{
	return ns < 0 || r->all.count == 0 ? -1
					   : (double)ns / (double)r->all.count;
}

/* --- For people ----------------------------------------------------------- */

static void print_row(const struct perf_report *r, const char *name,
		      const struct perf_histogram *h)
{
	double rate = per_second(r, h);
	double us = r->ns_per_tick / 1000;

	if (h->count == 0)
		return;
	printf("%-6s %10.0f %9.1f %9.2f", name, rate,
	       rate * (double)r->run->options->block_bytes / MIB,
	       mean(r, h) / 1000);
	for (size_t i = 0; i < RT_COUNT(percentiles); i++)
		printf(" %8.2f",
		       (double)perf_histogram_at(h, percentiles[i].part) * us);
	printf(" %9.2f\n", (double)h->most * us);
}

static void print_costs(const struct perf_report *r)
{
	double device = per_io(r, r->cost.cpu_ns);
	double busy = per_io(r, r->cost.busy_ns);

	if (r->all.count == 0)
		return;
	printf("CPU: %.1f ns per I/O here", per_io(r, r->client_ns));
	if (device >= 0)
		printf(", %.1f ns in the device's process", device);
	if (busy >= 0)
		printf(" (%.1f ns busy)", busy);
	printf("\n");
}

static void print_details(const struct perf_report *r)
{
	const struct perf_options *o = r->run->options;

	printf("doorbells: %s",
	       host_nvme_doors_name(r->run->device->doors.kind));
	if (!r->run->device->doors.mapped)
		printf(", %" PRIu64 " by message", r->trapped);
	if (o->has_interrupts)
		printf("; wake-ups: %" PRIu64, r->wakeups);
	if (o->verify)
		printf("; checked: %" PRIu64 " blocks%s", r->checked,
		       r->error ? "" : ", all right");
	printf("\n");
}

void perf_report_print(const struct perf_report *r)
{
	const struct perf_options *o = r->run->options;

	printf("%s: %s, bs %" PRIu64 ", iodepth %" PRIu64 ", %" PRIu64
	       " job%s, %.2f s\n",
	       r->run->device->model, o->rw, o->block_bytes, o->depth, o->jobs,
	       o->jobs == 1 ? "" : "s", (double)r->elapsed_ns / 1e9);
	printf("%-6s %10s %9s %9s %8s %8s %8s %8s %8s %9s\n", "", "IOPS",
	       "MiB/s", "mean us", "50 %", "90 %", "99 %", "99.9 %", "99.99 %",
	       "max");
	print_row(r, "read", &r->reads);
	print_row(r, "write", &r->writes);
	if (r->reads.count > 0 && r->writes.count > 0)
		print_row(r, "all", &r->all);
	print_costs(r);
	print_details(r);
}

/* --- For programs --------------------------------------------------------- */

static json_t *describe_latency(const struct perf_report *r,
				const struct perf_histogram *h)
{
	json_t *list = json_object();

	for (size_t i = 0; i < RT_COUNT(percentiles); i++) {
		uint64_t ticks = perf_histogram_at(h, percentiles[i].part);

		json_object_set_new(list, percentiles[i].name,
				    json_real((double)ticks * r->ns_per_tick));
	}
	return json_pack("{s:f, s:f, s:f, s:o}", "min",
			 h->count ? (double)h->least * r->ns_per_tick : 0.0,
			 "mean", mean(r, h), "max",
			 (double)h->most * r->ns_per_tick, "percentile", list);
}

static json_t *describe_side(const struct perf_report *r,
			     const struct perf_histogram *h)
{
	double rate = per_second(r, h);
	double bytes = (double)r->run->options->block_bytes;

	return json_pack("{s:I, s:f, s:f, s:o}", "total_ios",
			 (json_int_t)h->count, "iops", rate, "bw_bytes",
			 rate * bytes, "lat_ns", describe_latency(r, h));
}

static json_t *describe_options(const struct perf_report *r)
{
	const struct perf_options *o = r->run->options;

	return json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:b, s:b}", "rw",
			 o->rw, "rwmixread", (int)o->read_percent, "bs",
			 (json_int_t)o->block_bytes, "iodepth",
			 (json_int_t)o->depth, "numjobs", (json_int_t)o->jobs,
			 "queue_entries", (json_int_t)r->run->device->entries,
			 "interrupts", o->has_interrupts, "verify", o->verify);
}

static json_t *number_or_null(double value)
{
	return value < 0 ? json_null() : json_real(value);
}

static json_t *describe_cpu(const struct perf_report *r)
{
	return json_pack("{s:o, s:o, s:o}", "client_ns_per_io",
			 number_or_null(per_io(r, r->client_ns)),
			 "device_ns_per_io",
			 number_or_null(per_io(r, r->cost.cpu_ns)),
			 "device_busy_ns_per_io",
			 number_or_null(per_io(r, r->cost.busy_ns)));
}

static json_t *describe(const struct perf_report *r)
{
	const struct perf_device *d = r->run->device;

	return json_pack(
		"{s:s, s:s, s:s, s:s, s:I, s:o, s:I, s:o, s:o, s:o, "
		"s:o, s:s, s:I, s:I, s:I, s:s?}",
		"nitro-perf", NITRO_VERSION, "address",
		r->run->options->address, "model", d->model, "serial",
		d->serial, "device_pid", (json_int_t)d->pid, "options",
		describe_options(r), "runtime_ns", (json_int_t)r->elapsed_ns,
		"read", describe_side(r, &r->reads), "write",
		describe_side(r, &r->writes), "all", describe_side(r, &r->all),
		"cpu", describe_cpu(r), "doorbells",
		host_nvme_doors_name(d->doors.kind), "doorbell_messages",
		(json_int_t)r->trapped, "wakeups", (json_int_t)r->wakeups,
		"checked", (json_int_t)r->checked, "error", r->error);
}

int perf_report_print_json(const struct perf_report *report)
{
	json_t *object = describe(report);
	int status = json_dumpf(object, stdout, JSON_REAL_PRECISION(9));

	putchar('\n');
	json_decref(object);
	return status;
}
