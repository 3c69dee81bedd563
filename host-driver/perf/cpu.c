/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The other side's processor time.  The kernel keeps a clock for every process,
 * and counts what runs at this moment; the card's own counters are read through
 * its control socket.  Main thread.
 */
#include "host-driver/perf/cpu.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "firmware/rt/clock.h"

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* The caller's; NULL when the card says no, or nothing. */
static json_t *call(struct perf_peer *peer, const char *method)
{
	json_t *answer, *result;

	if (!peer->control.stream ||
	    rt_caller_call(&peer->control, method, NULL, &answer) < 0)
		return NULL;
	result = json_incref(json_object_get(answer, "result"));
	json_decref(answer);
	return result;
}

static bool is_same_file(const char *a, const char *b)
{
	char real_a[PATH_MAX], real_b[PATH_MAX];

	return realpath(a, real_a) && realpath(b, real_b) &&
	       strcmp(real_a, real_b) == 0;
}

static int find_function(struct perf_peer *peer, const char *address,
			 struct rt_error *error)
{
	const char *prefix = "vfio-user:";
	json_t *result = call(peer, "function.list"), *function;
	size_t i;

	if (strncmp(address, prefix, strlen(prefix)) == 0)
		address += strlen(prefix);
	json_array_foreach(
		json_object_get(result, "functions"), i,
		function) if (is_same_file(text_of(function, "socket"),
					   address))
		snprintf(peer->function, sizeof peer->function, "%s",
			 text_of(function, "name"));
	json_decref(result);
	if (peer->function[0])
		return 0;
	return rt_error_set(error, -ENOENT,
			    "--control: that card has no function at %s",
			    address);
}

int perf_peer_open(struct perf_peer *peer, pid_t pid, const char *control,
		   const char *address, struct rt_error *error)
{
	int rc;

	*peer = (struct perf_peer){ .pid = pid };
	if (!control)
		return 0;
	rc = rt_caller_open(&peer->control, control);
	if (rc < 0)
		return rt_error_set(error, rc, "--control: no card at %s: %s",
				    control, strerror(-rc));
	rc = find_function(peer, address, error);
	if (rc < 0)
		perf_peer_close(peer);
	return rc;
}

void perf_peer_close(struct perf_peer *peer)
{
	rt_caller_close(&peer->control);
}

static int64_t cpu_of(pid_t pid)
{
	struct timespec now;
	clockid_t clock;

	if (pid <= 0 || clock_getcpuclockid(pid, &clock) ||
	    clock_gettime(clock, &now))
		return -1;
	return now.tv_sec * (int64_t)RT_NS_PER_S + now.tv_nsec;
}

/* The sample of nitro_*_busy_ns_total{function="NAME"} in OpenMetrics text. */
static int64_t busy_in(const char *text, const char *function)
{
	char name[128];
	const char *at;

	snprintf(name, sizeof name, "_busy_ns_total{function=\"%s\"} ",
		 function);
	at = strstr(text, name);
	return at ? strtoll(at + strlen(name), NULL, 10) : -1;
}

struct perf_cost perf_peer_cost(struct perf_peer *peer)
{
	json_t *metrics = call(peer, "metrics.read");
	struct perf_cost cost = {
		.cpu_ns = cpu_of(peer->pid),
		.busy_ns = busy_in(text_of(metrics, "text"), peer->function),
	};

	json_decref(metrics);
	return cost;
}
