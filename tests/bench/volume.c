/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a storage engine costs without a controller before it: random requests
 * at a depth, on one thread, as the controller would make them.
 *
 *   bench-volume --depth 32 --bytes 4096 memory:1024 null:1024 /dev/shm/file
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "ebs-nvme/volume.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"

#define DEPTH_MAX 1024u
#define AHEAD     2u /* requests that are announced before they come */

struct bench;

struct slot {
	struct ebs_volume_io io;
	struct iovec iov;
	uint8_t *memory;
	struct bench *bench;
};

struct bench {
	/* What was asked for. */
	uint64_t bytes, depth, ms;
	bool is_json;
	struct ebs_volume_config config;
	const char *name;
	/* What is under way. */
	struct rt_loop *loop;
	struct ebs_volume *volume;
	enum ebs_volume_op op;
	uint64_t random, offsets[AHEAD + 1], done, failed, in_flight;
	struct slot slots[DEPTH_MAX];
	struct slot *free[DEPTH_MAX];
	uint64_t free_count;
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The next place, while the one after the next is announced. */
static uint64_t next_offset(struct bench *b)
{
	uint64_t offset = b->offsets[0];

	b->random ^= b->random << 13; /* xorshift64 */
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	memmove(b->offsets, b->offsets + 1, AHEAD * sizeof *b->offsets);
	b->offsets[AHEAD] = b->random % (b->volume->size / b->bytes) * b->bytes;
	ebs_volume_expect(b->volume, b->op, b->offsets[AHEAD], b->bytes);
	return offset;
}

static void end(struct slot *slot, int status)
{
	struct bench *b = slot->bench;

	b->done++;
	b->failed += status != 0;
	b->free[b->free_count++] = slot;
}

static void done(struct ebs_volume_io *io, int status)
{
	struct slot *slot = rt_container_of(io, struct slot, io);

	slot->bench->in_flight--;
	end(slot, status);
}

static void submit(struct bench *b)
{
	struct slot *slot = b->free[--b->free_count];
	int status;

	slot->iov = (struct iovec){ slot->memory, b->bytes };
	slot->io = (struct ebs_volume_io){ .loop = b->loop,
					   .op = b->op,
					   .offset = next_offset(b),
					   .size = b->bytes,
					   .iov = &slot->iov,
					   .iov_count = 1,
					   .done = done };
	status = ebs_volume_submit(b->volume, &slot->io);
	if (status == -EINPROGRESS)
		b->in_flight++;
	else
		end(slot, status);
}

static void step(struct bench *b)
{
	int err = rt_loop_step(b->loop, UINT64_MAX);

	if (err < 0) {
		fprintf(stderr, "bench-volume: %s\n", strerror(-err));
		exit(2);
	}
}

static void run(struct bench *b, uint64_t ms)
{
	uint64_t end_ns = now_ns(CLOCK_MONOTONIC) + ms * 1000000;

	b->done = 0;
	b->failed = 0;
	do {
		/* At most so many at once, as a controller's turn has it. */
		for (unsigned int i = 0; i < 64 && b->free_count; i++)
			submit(b);
		if (b->in_flight)
			step(b);
	} while (now_ns(CLOCK_MONOTONIC) < end_ns);
}

static void measure(struct bench *b, enum ebs_volume_op op, const char *word)
{
	uint64_t wall, cpu;

	b->op = op;
	run(b, b->ms / 10);
	wall = now_ns(CLOCK_MONOTONIC);
	cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	run(b, b->ms);
	wall = now_ns(CLOCK_MONOTONIC) - wall;
	cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	while (b->in_flight)
		step(b);
	printf(b->is_json ? "{\"case\": \"%s-%s\", \"bytes\": %" PRIu64
			    ", \"depth\": %" PRIu64 ", \"iops\": %.0f, "
			    "\"ns\": %.1f, \"cpu_ns\": %.1f, \"failed\": "
			    "%" PRIu64 "}\n"
			  : "%-24s %-9s %7" PRIu64 " %5" PRIu64
			    " %9.0f/s %9.1f ns %9.1f ns of CPU, %" PRIu64
			    " failed\n",
	       b->name, word, b->bytes, b->depth,
	       (double)b->done * 1e9 / (double)wall,
	       (double)wall / (double)b->done, (double)cpu / (double)b->done,
	       b->failed);
	fflush(stdout);
}

static void take_slots(struct bench *b)
{
	uint8_t *memory =
		mmap(NULL, b->depth * b->bytes, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED) {
		perror("bench-volume: no memory");
		exit(2);
	}
	b->free_count = 0;
	for (uint64_t i = 0; i < b->depth; i++) {
		b->slots[i].memory = memory + i * b->bytes;
		b->slots[i].bench = b;
		b->free[b->free_count++] = &b->slots[i];
	}
}

static void fill(struct bench *b)
{
	for (uint64_t at = 0; at + b->bytes <= b->volume->size;
	     at += b->bytes) {
		b->op = EBS_VOLUME_WRITE;
		for (unsigned int i = 0; i <= AHEAD; i++)
			b->offsets[i] = at;
		while (!b->free_count)
			step(b);
		submit(b);
	}
	while (b->in_flight)
		step(b);
}

static void bench_volume(struct bench *b, char *spec)
{
	struct ebs_volume_config config = b->config;
	struct rt_error error = { 0 };

	b->name = spec;
	if (!strncmp(spec, "memory:", 7))
		config.memory_size = strtoull(spec + 7, NULL, 10) << 20;
	else if (!strncmp(spec, "null:", 5))
		config.null_size = strtoull(spec + 5, NULL, 10) << 20;
	else
		config.file = spec;
	if (ebs_volume_open(b->loop, &config, &b->volume, &error)) {
		fprintf(stderr, "bench-volume: %s\n", error.text);
		exit(2);
	}
	if (config.memory_size)
		fill(b);
	measure(b, EBS_VOLUME_READ, "randread");
	measure(b, EBS_VOLUME_WRITE, "randwrite");
	ebs_volume_close(&b->volume);
}

static uint64_t number(const char *arg, uint64_t max, struct argp_state *state)
{
	char *rest;
	uint64_t value = strtoull(arg, &rest, 10);

	if (*rest || !value || value > max)
		argp_error(state, "%s is not between 1 and %" PRIu64, arg, max);
	return value;
}

static int parse(int key, char *arg, struct argp_state *state)
{
	struct bench *b = state->input;

	switch (key) {
	case 'j':
		b->is_json = true;
		return 0;
	case 'd':
		b->depth = number(arg, DEPTH_MAX, state);
		return 0;
	case 'b':
		b->bytes = number(arg, 1 << 20, state);
		return 0;
	case 'c':
		b->config.cache = EBS_VOLUME_CACHE_DIRECT;
		return 0;
	case 't':
		b->ms = number(arg, 1000000, state);
		return 0;
	case ARGP_KEY_ARGS:
		take_slots(b);
		for (int i = state->next; i < state->argc; i++)
			bench_volume(b, state->argv[i]);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "json", 'j', NULL, 0, "One JSON object per line", 0 },
	{ "depth", 'd', "N", 0, "Requests at a time (default 32)", 0 },
	{ "bytes", 'b', "N", 0, "Of a request (default 4096)", 0 },
	{ "direct", 'c', NULL, 0, "Files past the page cache", 0 },
	{ "time", 't', "MS", 0, "Of a measurement (default 1000)", 0 },
	{ 0 },
};

int main(int argc, char **argv)
{
	static struct bench bench = { .bytes = 4096,
				      .depth = 32,
				      .ms = 1000,
				      .random = UINT64_C(88172645463325252) };
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "memory:MIB|null:MIB|FILE...",
		.doc = "What a storage engine costs.  FILE is overwritten.",
	};

	if (rt_loop_create(NULL, &bench.loop)) {
		fprintf(stderr, "bench-volume: no io_uring\n");
		return 2;
	}
	argp_parse(&argp, argc, argv, 0, NULL, &bench);
	rt_loop_destroy(&bench.loop);
	return 0;
}
