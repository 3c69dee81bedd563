/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread counts, breaks rules and logs while another reads the counters, as
 * a card's control thread does: values are whole and never go back.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "firmware/rt/log.h"
#include "firmware/rt/rule.h"

#define COUNTS 300000

static const struct rt_rule rules[] = {
	{ "race.first", "clause", "sentence." },
};
static struct rt_rule_record records[1];
static struct rt_rule_book book = { "race0", rules, records, 1 };
static struct rt_counter counter;
static struct rt_histogram histogram;
static _Atomic int is_done;

static void *count(void *unused)
{
	for (uint64_t i = 0; i < COUNTS; i++) {
		/* Both halves move: a torn read would show. */
		rt_counter_add(&counter, (UINT64_C(1) << 32) + 1);
		rt_histogram_add(&histogram, i);
		rt_rule_broken(&book, 0, i);
		rt_log_info("race0", "counting");
	}
	atomic_store(&is_done, 1);
	return unused;
}

static int watch_counters(void)
{
	uint64_t last = 0, last_rules = 0;

	while (!atomic_load(&is_done)) {
		uint64_t now = rt_counter_read(&counter);
		uint64_t now_rules = rt_counter_read(&records[0].count);

		if (now < last || now >> 32 != (now & UINT32_MAX) ||
		    now_rules < last_rules)
			return 1;
		last = now;
		last_rules = now_rules;
		rt_log_info("race1", "watching");
	}
	return 0;
}

static int check_sums(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < RT_HISTOGRAM_BINS; i++)
		sum += rt_counter_read(&histogram.bins[i]);
	return sum != COUNTS || rt_counter_read(&records[0].count) != COUNTS ||
	       rt_counter_read(&counter) != COUNTS * ((UINT64_C(1) << 32) + 1);
}

int main(void)
{
	pthread_t thread;
	int wrong;

	/* Only the log's ten lines of each site, but nobody needs them. */
	dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
	pthread_create(&thread, NULL, count, NULL);
	wrong = watch_counters();
	pthread_join(thread, NULL);
	wrong += check_sums();
	if (wrong)
		puts("a counter was torn, went back or is wrong");
	return wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}
