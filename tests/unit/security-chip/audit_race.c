/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two processes with four threads each, which measure and write to one audit
 * log at once: for the thread sanitizer, and the chain must hold.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "security-chip/audit.h"
#include "security-chip/chip.h"
#include "security-chip/measure.h"
#include "tests/unit/security-chip/rig.h"

#define THREADS 4
#define ROUNDS  50

static void *work(void *opaque)
{
	uint8_t value[SEC_DIGEST_BYTES];

	(void)opaque;
	for (int i = 0; i < ROUNDS; i++) {
		sec_audit("race", "%d", i);
		sec_measure_bytes(SEC_REGISTER_POLICY, "race", &i, sizeof i);
		sec_register_read(SEC_REGISTER_POLICY, value);
		sec_event_log(NULL, 0);
	}
	return NULL;
}

static void run(const char *dir)
{
	struct rt_error error = { 0 };
	pthread_t threads[THREADS];

	if (sec_chip_open(dir, &error)) {
		fprintf(stderr, "%s\n", error.text);
		abort();
	}
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, NULL))
			abort();
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

int main(void)
{
	struct rt_error error = { 0 };
	uint64_t records = 0;
	struct rig rig;
	int status;
	pid_t child;

	rt_log_set_level(RT_LOG_ERROR);
	rig_create(&rig);
	child = fork();
	run(rig.dir);
	if (!child)
		_exit(0);
	waitpid(child, &status, 0);
	if (sec_audit_check(&records, &error) ||
	    records != (uint64_t)2 * THREADS * ROUNDS || status) {
		fprintf(stderr, "%llu records: %s\n",
			(unsigned long long)records, error.text);
		return 1;
	}
	sec_chip_close();
	rig_destroy(&rig);
	return 0;
}
