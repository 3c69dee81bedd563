/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The machine's best copies on one core, for comparison with a volume in
 * memory: between random places of two stores of 1 GiB ("random"), out of a
 * store into the buffers of a client that has 512 KiB of them ("read"), and
 * back ("write").  Methods take turns; each figure is the median of the rounds.
 */
#include <argp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "firmware/rt/scope.h"

#define HUGE_PAGE  (UINT64_C(2) << 20)
#define CLIENT     (UINT64_C(512) << 10)
#define ROUNDS_MAX 99

struct bench {
	uint64_t store_bytes;
	unsigned int rounds;
	unsigned int round_ms;
	bool is_json;
	uint8_t *stores[2], *client;
	uint64_t random;
};

struct way {
	const char *name;
	uint8_t *to, *from; /* a store, or the client's memory */
	uint64_t to_bytes, from_bytes;
};

struct method {
	const char *name;
	bool (*is_there)(void);
	void (*copy)(void *to, const void *from, size_t size);
	bool is_ahead; /* ask for the first lines of the next but one */
};

/* --- The methods ------------------------------------------------------- */

static bool is_always(void)
{
	return true;
}

__attribute__((noinline)) static void copy_libc(void *to, const void *from,
						size_t size)
{
	memcpy(to, from, size);
}

#ifdef __x86_64__
#include <immintrin.h>

static void copy_string(void *to, const void *from, size_t size)
{
	__asm__ volatile("rep movsb"
			 : "+D"(to), "+S"(from), "+c"(size)
			 :
			 : "memory");
}

static bool has_avx2(void)
{
	return __builtin_cpu_supports("avx2");
}

/* Sizes and places are whole lines here. */
__attribute__((target("avx2"))) static void
copy_stream(void *to, const void *from, size_t size)
{
	const __m256i *source = from;
	__m256i *target = to;

	for (size_t i = 0; i < size / sizeof *target; i += 2) {
		__m256i a = _mm256_load_si256(&source[i]);
		__m256i b = _mm256_load_si256(&source[i + 1]);

		_mm256_stream_si256(&target[i], a);
		_mm256_stream_si256(&target[i + 1], b);
	}
	_mm_sfence();
}
#endif

static const struct method methods[] = {
	{ "memcpy", is_always, copy_libc, false },
	{ "memcpy, prefetched", is_always, copy_libc, true },
#ifdef __x86_64__
	{ "rep movsb", is_always, copy_string, false },
	{ "non-temporal stores", has_avx2, copy_stream, false },
	{ "non-temporal stores, prefetched", has_avx2, copy_stream, true },
#endif
};

/* --- Measuring --------------------------------------------------------- */

/* Of this thread: who else has the core is not counted. */
static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A client's buffers are used in turn, a store's places at random. */
static uint64_t choose(struct bench *b, uint64_t bytes, size_t size, uint64_t i)
{
	if (bytes == CLIENT)
		return size > bytes ? 0 : i % (bytes / size) * size;
	b->random ^= b->random << 13; /* xorshift64 */
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return b->random % (bytes / size) * size;
}

static void copy_many(struct bench *b, const struct method *method,
		      const struct way *way, size_t size, uint64_t count)
{
	uint64_t from[4] = { 0 };

	for (uint64_t i = 0; i < count; i++) {
		uint64_t to = choose(b, way->to_bytes, size, i);
		uint64_t later = choose(b, way->from_bytes, size, i);

		from[(i + 2) % 4] = later;
		for (size_t k = 0; method->is_ahead && k < 1024; k += 64)
			__builtin_prefetch(way->from + later + k, 0, 2);
		method->copy(way->to + to, way->from + from[i % 4], size);
	}
}

/* Nanoseconds per copy, over about round_ms. */
static double measure(struct bench *b, const struct method *method,
		      const struct way *way, size_t size)
{
	uint64_t limit_ns = b->round_ms * UINT64_C(1000000), took;
	uint64_t start = now_ns(), count = 0;

	do {
		copy_many(b, method, way, size, 1 + (1 << 20) / size);
		count += 1 + (1 << 20) / size;
		took = now_ns() - start;
	} while (took < limit_ns);
	return (double)took / (double)count;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(const struct bench *b, const struct method *method,
		   const struct way *way, size_t size, double *ns)
{
	qsort(ns, b->rounds, sizeof *ns, compare);
	printf(b->is_json ? "{\"case\": \"copy-%s\", \"bytes\": %zu, "
			    "\"method\": \"%s\", \"unit\": \"ns\", "
			    "\"ns\": %.1f, \"least\": %.1f, \"most\": %.1f}\n"
			  : "%-7s %7zu  %-32s %9.1f %9.1f %9.1f\n",
	       way->name, size, method->name, ns[b->rounds / 2], ns[0],
	       ns[b->rounds - 1]);
}

static void measure_way(struct bench *b, const struct way *way, size_t size)
{
	double ns[RT_COUNT(methods)][ROUNDS_MAX];

	for (unsigned int round = 0; round < b->rounds; round++)
		for (size_t i = 0; i < RT_COUNT(methods); i++)
			if (methods[i].is_there())
				ns[i][round] =
					measure(b, &methods[i], way, size);
	for (size_t i = 0; i < RT_COUNT(methods); i++)
		if (methods[i].is_there())
			report(b, &methods[i], way, size, ns[i]);
	fflush(stdout);
}

static void measure_all(struct bench *b)
{
	static const size_t sizes[] = { 4096, 131072 };
	const struct way ways[] = {
		{ "random", b->stores[0], b->stores[1], b->store_bytes,
		  b->store_bytes },
		{ "read", b->client, b->stores[0], CLIENT, b->store_bytes },
		{ "write", b->stores[0], b->client, b->store_bytes, CLIENT },
	};

	if (!b->is_json)
		printf("%-7s %7s  %-32s %9s %9s %9s\n", "copy", "bytes",
		       "method", "ns", "least", "most");
	for (size_t i = 0; i < RT_COUNT(sizes); i++)
		for (size_t k = 0; k < RT_COUNT(ways); k++)
			measure_way(b, &ways[k], sizes[i]);
}

/* --- Setting up -------------------------------------------------------- */

static uint8_t *take_memory(uint64_t size)
{
	uint8_t *memory = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		perror("copy: no memory");
		exit(2);
	}
	memory += -(uintptr_t)memory % HUGE_PAGE;
	madvise(memory, size, MADV_HUGEPAGE);
	memset(memory, 1, size);
	return memory;
}

static int parse(int key, char *arg, struct argp_state *state)
{
	struct bench *b = state->input;

	switch (key) {
	case 'j':
		b->is_json = true;
		return 0;
	case 'q':
		b->round_ms = 20;
		b->rounds = 3;
		return 0;
	case 's':
		b->store_bytes = strtoull(arg, NULL, 10) << 20;
		if (!b->store_bytes)
			argp_error(state, "--store takes a number of MiB");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "json", 'j', NULL, 0, "One JSON object per line", 0 },
	{ "quick", 'q', NULL, 0, "Shorter and fewer rounds", 0 },
	{ "store", 's', "MIB", 0, "Size of a store (default 1024)", 0 },
	{ 0 },
};

int main(int argc, char **argv)
{
	static const struct argp argp = { .options = options,
					  .parser = parse,
					  .doc = "The machine's best copies." };
	struct bench b = { .store_bytes = UINT64_C(1) << 30,
			   .rounds = 7,
			   .round_ms = 50,
			   .random = UINT64_C(88172645463325252) };

	argp_parse(&argp, argc, argv, 0, NULL, &b);
	b.stores[0] = take_memory(b.store_bytes);
	b.stores[1] = take_memory(b.store_bytes);
	b.client = take_memory(CLIENT);
	measure_all(&b);
	return 0;
}
