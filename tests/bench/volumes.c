/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many volumes of one card at once: what they cost while drivers have them open
 * and want nothing, and how evenly the card serves them when all are busy.  One
 * thread drives them all, in turns, each at the same depth.
 *
 *   bench-volumes --volumes 64 --depth 32 --seconds 2 /run/nitro-card
 *
 * Sockets are DIR/ebs0.sock, DIR/ebs1.sock and so on.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "host-driver/nvme_io.h"

#define VOLUMES_MAX 1024u
#define DEPTH_MAX   128u
#define IOVA        (UINT64_C(1) << 30)
#define NS_PER_S    UINT64_C(1000000000)

struct volume {
	struct host_function *fn;
	struct host_nvme *nvme;
	struct host_nvme_doors doors;
	struct host_nvme_io *io;
	uint64_t depth, blocks, next_lba;
	uint32_t blocks_each;
	uint64_t done;       /* completions that count */
	uint64_t last_ns;    /* when the latest of them came */
	uint64_t longest_ns; /* without one */
};

struct bench {
	const char *folder;
	uint64_t volumes, depth, bytes, settle, seconds;
	bool is_idle, is_greedy, is_json;
	pid_t card;
	struct volume volume[VOLUMES_MAX];
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void give_up(const char *what, const char *why)
{
	fprintf(stderr, "bench-volumes: %s: %s\n", what, why);
	exit(1);
}

static void must(int status, const char *what)
{
	char text[32];

	snprintf(text, sizeof text, "NVMe status %#x", (unsigned int)status);
	if (status)
		give_up(what, status < 0 ? strerror(-status) : text);
}

/* --- The card's side ----------------------------------------------------- */

static uint64_t card_cpu_ns(const struct bench *b)
{
	clockid_t clock;

	if (clock_getcpuclockid(b->card, &clock))
		give_up("the card", "it has no clock");
	return now_ns(clock);
}

/* A line of /proc/PID/status, in KiB. */
static uint64_t card_kib(const struct bench *b, const char *key)
{
	char path[64], line[256];
	uint64_t value = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/status", (int)b->card);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof line, file))
		if (!strncmp(line, key, strlen(key)))
			value = strtoull(line + strlen(key), NULL, 10);
	if (file)
		fclose(file);
	return value;
}

/* --- Drivers ------------------------------------------------------------- */

static void attach(struct bench *b, struct volume *v, uint64_t number)
{
	struct host_nvme_options options = {
		.iova = IOVA,
		.size = DEPTH_MAX * (b->bytes + 8192) + (1u << 20),
	};
	struct rt_error error = { 0 };
	char path[256];

	snprintf(path, sizeof path, "vfio-user:%s/ebs%" PRIu64 ".sock",
		 b->folder, number);
	if (host_open(path, NULL, &v->fn, &error))
		give_up(path, error.text);
	b->card = host_peer_pid(v->fn);
	must(host_nvme_open(v->fn, &options, &v->nvme), "memory");
	must(host_nvme_enable(v->nvme), "enabling");
	must(host_nvme_doors_open(v->nvme, HOST_NVME_DOORS_AUTO, &v->doors),
	     "doorbells");
}

static void make_queue(struct bench *b, struct volume *v)
{
	uint32_t entries = host_nvme_max_entries(v->nvme);
	const struct nvme_id_ns *ns;
	const void *page;
	struct host_nvme_io_options options = { .nsid = 1 };

	must(host_nvme_identify(v->nvme, NVME_CNS_NAMESPACE, 1, &page),
	     "identify");
	ns = page;
	v->blocks = le64_get(ns->nsze);
	options.block_bytes = 1u << ns->lbaf[ns->flbas & 15].data_shift;
	v->blocks_each = (uint32_t)b->bytes / options.block_bytes;
	if (entries > 2 * DEPTH_MAX)
		entries = 2 * DEPTH_MAX;
	v->depth = b->is_greedy && v == b->volume ? DEPTH_MAX : b->depth;
	if (v->depth > entries - 1)
		v->depth = entries - 1;
	options.slots = (uint16_t)v->depth;
	options.slot_bytes = (uint32_t)b->bytes;
	must(host_nvme_create_pair(v->nvme, 1, entries, -1), "queues");
	must(host_nvme_io_open(&v->doors, 1, &options, &v->io), "queue");
}

static void detach(struct volume *v)
{
	host_nvme_io_close(&v->io);
	host_nvme_doors_close(&v->doors);
	host_nvme_close(&v->nvme);
	host_close(&v->fn);
}

/* --- Work ---------------------------------------------------------------- */

static void read_next(struct volume *v, uint16_t slot)
{
	if (v->next_lba + v->blocks_each > v->blocks)
		v->next_lba = 0;
	host_nvme_io_put(v->io, NVME_NVM_READ, slot, v->next_lba,
			 v->blocks_each);
	v->next_lba += v->blocks_each;
}

static void fill(struct volume *v)
{
	for (uint16_t slot = 0; slot < v->depth; slot++)
		read_next(v, slot);
	must(host_nvme_io_ring(v->io), "doorbell");
}

static void note(struct volume *v, uint64_t count, uint64_t now)
{
	if (now - v->last_ns > v->longest_ns)
		v->longest_ns = now - v->last_ns;
	v->last_ns = now;
	v->done += count;
}

/* Take what is done and, until the end, ask for as much.  Returns how much. */
static unsigned int serve(struct volume *v, uint64_t now, bool is_over)
{
	struct host_nvme_io_done done[DEPTH_MAX];
	int count = host_nvme_io_poll(v->io, done, DEPTH_MAX);

	must(count < 0 ? count : 0, "polling");
	for (int i = 0; i < count; i++) {
		must(done[i].status, "a read");
		if (!is_over)
			read_next(v, done[i].slot);
	}
	if (count && !is_over) {
		note(v, (uint64_t)count, now);
		must(host_nvme_io_ring(v->io), "doorbell");
	}
	return (unsigned int)count;
}

static uint64_t in_flight(const struct bench *b)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < b->volumes; i++)
		sum += b->volume[i].depth;
	return sum;
}

static void drain(struct bench *b)
{
	uint64_t left = in_flight(b), now = now_ns(CLOCK_MONOTONIC);

	while (left)
		for (uint64_t i = 0; i < b->volumes; i++)
			left -= serve(&b->volume[i], now, true);
}

/* Returns for how long. */
static uint64_t keep_busy(struct bench *b)
{
	uint64_t start = now_ns(CLOCK_MONOTONIC), now = start;

	for (uint64_t i = 0; i < b->volumes; i++) {
		b->volume[i].last_ns = start;
		fill(&b->volume[i]);
	}
	while (now - start < b->seconds * NS_PER_S) {
		for (uint64_t i = 0; i < b->volumes; i++) {
			now = now_ns(CLOCK_MONOTONIC);
			serve(&b->volume[i], now, false);
		}
	}
	for (uint64_t i = 0; i < b->volumes; i++)
		note(&b->volume[i], 0, now);
	drain(b);
	return now - start;
}

/* --- Reports ------------------------------------------------------------- */

static void report_busy(const struct bench *b, uint64_t ns, uint64_t cpu_ns)
{
	uint64_t first = b->is_greedy, sum = 0, least = UINT64_MAX, most = 0;
	uint64_t longest = 0, all = 0;
	double mean;

	for (uint64_t i = 0; i < b->volumes; i++)
		all += b->volume[i].done;
	for (uint64_t i = first; i < b->volumes; i++) {
		const struct volume *v = &b->volume[i];

		sum += v->done;
		least = v->done < least ? v->done : least;
		most = v->done > most ? v->done : most;
		longest = v->longest_ns > longest ? v->longest_ns : longest;
	}
	mean = (double)sum / (double)(b->volumes - first);
	printf(b->is_json
		       ? "{\"case\": \"busy\", \"volumes\": %" PRIu64
			 ", \"iops\": %.0f, \"least\": %.3f, \"most\": %.3f, "
			 "\"longest_wait_us\": %.0f, \"card_ns_per_io\": "
			 "%.0f}\n"
		       : "%" PRIu64 " busy volumes: %.0f IOPS, each %.3f to "
			 "%.3f of the mean, longest wait %.0f us, card %.0f ns "
			 "per I/O\n",
	       b->volumes, (double)all * 1e9 / (double)ns, (double)least / mean,
	       (double)most / mean, (double)longest / 1e3,
	       all ? (double)cpu_ns / (double)all : 0);
}

static void report_idle(const struct bench *b, uint64_t cpu_ns)
{
	printf(b->is_json ? "{\"case\": \"idle\", \"volumes\": %" PRIu64
			    ", \"cpu_ns_per_s\": %.0f, \"card_kib\": %" PRIu64
			    "}\n"
			  : "%" PRIu64
			    " idle volumes: %.0f ns of processor time "
			    "per second, %" PRIu64 " KiB in all\n",
	       b->volumes, (double)cpu_ns / (double)b->seconds,
	       card_kib(b, "RssAnon:"));
}

static void run_busy(struct bench *b)
{
	uint64_t cpu = card_cpu_ns(b), ns = keep_busy(b);

	report_busy(b, ns, card_cpu_ns(b) - cpu);
}

static void run_idle(struct bench *b)
{
	uint64_t cpu;

	/* The card looks more often for what comes soon after the start. */
	sleep((unsigned int)b->settle);
	cpu = card_cpu_ns(b);
	sleep((unsigned int)b->seconds);
	report_idle(b, card_cpu_ns(b) - cpu);
}

static void run(struct bench *b)
{
	for (uint64_t i = 0; i < b->volumes; i++) {
		attach(b, &b->volume[i], i);
		make_queue(b, &b->volume[i]);
	}
	if (b->is_idle)
		run_idle(b);
	else
		run_busy(b);
	for (uint64_t i = 0; i < b->volumes; i++)
		detach(&b->volume[i]);
}

/* --- Options ------------------------------------------------------------- */

static uint64_t number(const char *arg, uint64_t min, uint64_t max,
		       struct argp_state *state)
{
	char *end;
	uint64_t value = strtoull(arg, &end, 10);

	if (*end || end == arg || value < min || value > max)
		argp_error(state, "%s is not between %" PRIu64 " and %" PRIu64,
			   arg, min, max);
	return value;
}

static int parse(int key, char *arg, struct argp_state *state)
{
	struct bench *b = state->input;

	switch (key) {
	case 'n':
		b->volumes = number(arg, 1, VOLUMES_MAX, state);
		return 0;
	case 'd':
		b->depth = number(arg, 1, DEPTH_MAX, state);
		return 0;
	case 'b':
		b->bytes = number(arg, 4096, 1u << 17, state) & ~4095ull;
		return 0;
	case 's':
		b->seconds = number(arg, 1, 3600, state);
		return 0;
	case 'w':
		b->settle = number(arg, 1, 3600, state);
		return 0;
	case 'i':
		b->is_idle = true;
		return 0;
	case 'g':
		b->is_greedy = true;
		return 0;
	case 'j':
		b->is_json = true;
		return 0;
	case ARGP_KEY_ARG:
		b->folder = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "volumes", 'n', "N", 0, "How many volumes (default 64)", 0 },
	{ "depth", 'd', "N", 0, "Reads in flight on each (default 32)", 0 },
	{ "bytes", 'b', "N", 0, "Of each read (default 4096)", 0 },
	{ "seconds", 's', "N", 0, "For how long (default 2)", 0 },
	{ "idle", 'i', NULL, 0, "Open them all, and want nothing", 0 },
	{ "settle", 'w', "N", 0, "Seconds of rest before that (default 20)",
	  0 },
	{ "greedy", 'g', NULL, 0,
	  "The first has as many in flight as it can, and does not count", 0 },
	{ "json", 'j', NULL, 0, "One JSON object", 0 },
	{ 0 },
};

int main(int argc, char **argv)
{
	static struct bench bench = {
		.volumes = 64,
		.depth = 32,
		.bytes = 4096,
		.seconds = 2,
		.settle = 20,
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "DIR",
		.doc = "What many volumes of one card cost.",
	};

	argp_parse(&argp, argc, argv, 0, NULL, &bench);
	run(&bench);
	return 0;
}
