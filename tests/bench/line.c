/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How far two processors are from each other: the time that a cache line takes
 * to go to the other and come back, in nanoseconds.
 *
 *   bench-line 0 1
 *
 * A virtual machine's processors may be moved to cores that share less: then
 * all that a driver and its device say to each other takes longer.
 */
#include <argp.h>
#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TRIPS  20000u
#define ROUNDS 5u /* the least of them is meant */

struct bench {
	alignas(128) _Atomic unsigned int there;
	alignas(128) _Atomic unsigned int back;
	int cpus[2];
	int cpu_count;
};

static struct bench bench;

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof set, &set)) {
		fprintf(stderr, "bench-line: there is no processor %d\n", cpu);
		exit(1);
	}
}

static void *answer(void *opaque)
{
	(void)opaque;
	pin(bench.cpus[1]);
	for (unsigned int i = 1; i <= ROUNDS * TRIPS; i++) {
		while (atomic_load(&bench.there) != i)
			;
		atomic_store(&bench.back, i);
	}
	return NULL;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t measure(unsigned int first)
{
	uint64_t start = now_ns();

	for (unsigned int i = first; i < first + TRIPS; i++) {
		atomic_store(&bench.there, i);
		while (atomic_load(&bench.back) != i)
			;
	}
	return now_ns() - start;
}

static int parse(int key, char *arg, struct argp_state *state)
{
	char *end;

	switch (key) {
	case ARGP_KEY_ARG:
		if (bench.cpu_count == 2)
			argp_usage(state);
		bench.cpus[bench.cpu_count++] = (int)strtol(arg, &end, 10);
		if (*end || end == arg)
			argp_error(state, "%s is no processor", arg);
		return 0;
	case ARGP_KEY_END:
		if (bench.cpu_count != 2 || bench.cpus[0] == bench.cpus[1])
			argp_error(state, "give two processors");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "CPU CPU",
		.doc = "Nanoseconds that a cache line takes from one processor "
		       "to the other and back.",
	};
	uint64_t least = UINT64_MAX;
	pthread_t thread;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (pthread_create(&thread, NULL, answer, NULL))
		return 1;
	pin(bench.cpus[0]);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t ns = measure(1 + i * TRIPS);

		least = ns < least ? ns : least;
	}
	pthread_join(thread, NULL);
	printf("%.0f\n", (double)least / TRIPS);
	return 0;
}
