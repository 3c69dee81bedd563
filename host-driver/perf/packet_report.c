/* SPDX-License-Identifier: BSD-3-Clause */
/* What the packet modes of nitro-perf say in the end. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "firmware/rt/scope.h"
#include "host-driver/perf/packet.h"

static const struct percentile {
	double part;
	const char *name;
} percentiles[] = {
	{ 0.50, "50.000000" },  { 0.90, "90.000000" },   { 0.99, "99.000000" },
	{ 0.999, "99.900000" }, { 0.9999, "99.990000" },
};

static const char *const directions[] = { "out", "back" };

static double per_second(const struct packet_sums *s, uint64_t count)
{
	return s->elapsed_ns ? (double)count * 1e9 / (double)s->elapsed_ns : 0;
}

static double gbits(const struct packet_run *run, double rate)
{
	return rate * (double)run->options->block_bytes * 8 / 1e9;
}

/* Packets that were handled here, at one end or both. */
static uint64_t handled(const struct packet_sums *s)
{
	return s->flows[0].sent + s->flows[0].received + s->flows[1].sent +
	       s->flows[1].received;
}

/* Packets that crossed the card. */
static uint64_t crossed(const struct packet_sums *s)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < 2; i++)
		sum += s->flows[i].sent > s->flows[i].received
			       ? s->flows[i].sent
			       : s->flows[i].received;
	return sum;
}

static double share(double ns, uint64_t count)
{
	return ns < 0 || count == 0 ? -1 : ns / (double)count;
}

static double own_ns(const struct packet_sums *s)
{
	uint64_t ticks = s->flows[0].busy_ticks + s->flows[1].busy_ticks;

	return ticks ? share((double)ticks * s->ns_per_tick, handled(s)) : -1;
}

static const char *placement(const struct packet_run *run, char text[16])
{
	const struct packet_nic *nic = &run->nics[0];

	if (run->options->llq_bytes == PERF_LLQ_OFF ||
	    nic->ena->llq.entry_bytes == 0)
		return "host";
	snprintf(text, 16, "LLQ %u", nic->ena->llq.entry_bytes);
	return text;
}

/* --- For people ----------------------------------------------------------- */

static void print_flow(const struct packet_run *run,
		       const struct packet_sums *s, unsigned int i)
{
	const struct packet_counts *c = &s->flows[i];
	double sent = per_second(s, c->sent);
	double received = per_second(s, c->received);

	if (c->sent + c->received == 0)
		return;
	printf("%-6s %12.3f %10.2f %12.3f %10.2f", directions[i], sent / 1e6,
	       gbits(run, sent), received / 1e6,
	       per_second(s, c->received_bytes) * 8 / 1e9);
	if (run->options->verify)
		printf(" %8" PRIu64, c->lost);
	printf("\n");
}

static void print_latency(const struct packet_sums *s)
{
	double us = s->ns_per_tick / 1000;

	if (s->rtt->count == 0)
		return;
	printf("round trip, us: mean %.2f",
	       (double)s->rtt->sum / (double)s->rtt->count * us);
	for (size_t i = 0; i < RT_COUNT(percentiles); i++)
		printf(", %g %% %.2f", percentiles[i].part * 100,
		       (double)perf_histogram_at(s->rtt, percentiles[i].part) *
			       us);
	printf(", max %.2f\n", (double)s->rtt->most * us);
}

static void print_costs(const struct packet_sums *s)
{
	double device = share((double)s->cost.cpu_ns, crossed(s));
	double busy = share((double)s->cost.busy_ns, crossed(s));
	double own = own_ns(s);

	if (handled(s) == 0)
		return;
	printf("CPU per packet: %.1f ns here",
	       share((double)s->client_ns, handled(s)));
	if (own >= 0)
		printf(" (%.1f ns of work)", own);
	if (device >= 0)
		printf(", %.1f ns in the device's process", device);
	if (busy >= 0)
		printf(" (%.1f ns busy)", busy);
	printf("\n");
}

void packet_report_print(const struct packet_run *run,
			 const struct packet_sums *s)
{
	const struct perf_options *o = run->options;
	char text[16];

	printf("Elastic Network Adapter: %s, bs %" PRIu64 ", iodepth %" PRIu64
	       ", %" PRIu64 " job%s, %.2f s\n",
	       o->rw, o->block_bytes, o->depth, o->jobs,
	       o->jobs == 1 ? "" : "s", (double)s->elapsed_ns / 1e9);
	printf("%-6s %12s %10s %12s %10s%s\n", "", "sent Mpps", "Gbit/s",
	       "recvd Mpps", "Gbit/s", o->verify ? "     lost" : "");
	print_flow(run, s, 0);
	print_flow(run, s, 1);
	print_latency(s);
	print_costs(s);
	printf("doorbells: %s, %" PRIu64 " of transmission",
	       host_ena_doors_name(&run->nics[0].doors), s->rings);
	if (s->trapped)
		printf(", %" PRIu64 " by message", s->trapped);
	printf("; placement: %s", placement(run, text));
	if (o->verify)
		printf("; checked: %" PRIu64 " packets%s",
		       s->flows[0].checked + s->flows[1].checked,
		       s->error ? "" : ", all right");
	printf("\n");
}

/* --- For programs --------------------------------------------------------- */

static json_t *number_or_null(double value)
{
	return value < 0 ? json_null() : json_real(value);
}

static json_t *describe_flow(const struct packet_run *run,
			     const struct packet_sums *s, unsigned int i)
{
	const struct packet_counts *c = &s->flows[i];

	return json_pack(
		"{s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:I}", "sent",
		(json_int_t)c->sent, "received", (json_int_t)c->received,
		"sent_pps", per_second(s, c->sent), "received_pps",
		per_second(s, c->received), "sent_gbits",
		gbits(run, per_second(s, c->sent)), "received_gbits",
		per_second(s, c->received_bytes) * 8 / 1e9, "lost",
		(json_int_t)c->lost, "checked", (json_int_t)c->checked);
}

static json_t *describe_latency(const struct packet_sums *s)
{
	json_t *list;

	if (s->rtt->count == 0)
		return json_null();
	list = json_object();
	for (size_t i = 0; i < RT_COUNT(percentiles); i++)
		json_object_set_new(
			list, percentiles[i].name,
			json_real((double)perf_histogram_at(
					  s->rtt, percentiles[i].part) *
				  s->ns_per_tick));
	return json_pack(
		"{s:I, s:f, s:f, s:f, s:o}", "total", (json_int_t)s->rtt->count,
		"min", (double)s->rtt->least * s->ns_per_tick, "mean",
		(double)s->rtt->sum / (double)s->rtt->count * s->ns_per_tick,
		"max", (double)s->rtt->most * s->ns_per_tick, "percentile",
		list);
}

static json_t *describe_options(const struct packet_run *run)
{
	const struct perf_options *o = run->options;
	char text[16];

	return json_pack("{s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:b}", "rw",
			 o->rw, "bs", (json_int_t)o->block_bytes, "iodepth",
			 (json_int_t)o->depth, "numjobs", (json_int_t)o->jobs,
			 "placement", placement(run, text), "doorbells",
			 host_ena_doors_name(&run->nics[0].doors), "offload",
			 o->tso    ? "tso"
			 : o->csum ? "csum"
				   : "none",
			 "verify", o->verify);
}

int packet_report_print_json(const struct packet_run *run,
			     const struct packet_sums *s)
{
	json_t *object = json_pack(
		"{s:s, s:s, s:s?, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
		"s:I, s:I, s:s?}",
		"nitro-perf", NITRO_VERSION, "address", run->options->address,
		"peer", run->options->peer, "options", describe_options(run),
		"runtime_ns", (json_int_t)s->elapsed_ns, "out",
		describe_flow(run, s, 0), "back", describe_flow(run, s, 1),
		"rtt_ns", describe_latency(s), "client_ns_per_packet",
		number_or_null(share((double)s->client_ns, handled(s))),
		"client_work_ns_per_packet", number_or_null(own_ns(s)),
		"device_ns_per_packet",
		number_or_null(share((double)s->cost.cpu_ns, crossed(s))),
		"device_busy_ns_per_packet",
		number_or_null(share((double)s->cost.busy_ns, crossed(s))),
		"tx_doorbells", (json_int_t)s->rings, "doorbell_messages",
		(json_int_t)s->trapped, "error", s->error);
	int status = json_dumpf(object, stdout, JSON_REAL_PRECISION(9));

	putchar('\n');
	json_decref(object);
	return status;
}
