/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Puts a card together.  A function is made, served and taken down on its own
 * thread, because its loop belongs to the thread that made it; the main thread
 * waits for each to start and tells each to stop by a posted call.
 *
 *   main:      create thread → wait `started` …… post stop, `released` → wait
 *              `ended`, join
 *   function:  make loop, function, server → `started` → run → wait `released`,
 *              destroy the loop → `ended`
 */
#include "firmware/card/card.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "firmware/card/config.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/fault.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/trace.h"
#include "pcie-model/function.h"
#include "pcie-model/vfio-user/server.h"

#define STOP_MS 900

static int make_parents(char *path)
{
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return 0;
}

static int check_socket_dir(const char *path, struct rt_error *error)
{
	struct stat status;

	if (stat(path, &status))
		return rt_error_set(error, -errno, "%s: %s", path,
				    strerror(errno));
	if (!S_ISDIR(status.st_mode))
		return rt_error_set(error, -ENOTDIR, "%s is not a directory",
				    path);
	/* In /tmp somebody else may have been there first. */
	if (status.st_uid != geteuid() && status.st_uid != 0)
		return rt_error_set(error, -EPERM, "%s belongs to another user",
				    path);
	return 0;
}

int card_make_socket_dir(const char *path, struct rt_error *error)
{
	RT_FREE char *copy = strdup(path);
	int status = copy ? make_parents(copy) : -ENOMEM;

	if (!status && mkdir(path, 0700) && errno != EEXIST)
		status = -errno;
	if (!status)
		return check_socket_dir(path, error);
	rt_error_set(error, status, "cannot make the socket directory %s: %s",
		     path, strerror(-status));
	rt_error_hint(error, "give another one: --socket-dir DIR");
	return status;
}

static int set_fault(struct card_function *function,
		     const struct card_fault_config *fault)
{
	struct rt_fault_rule rule = {
		.is_set = true,
		.probability_ppm = fault->probability_ppm,
		.skip = fault->skip,
		.limit = fault->limit,
		.value = fault->value,
		.seed = fault->seed,
	};
	int status =
		rt_fault_set_rule(&function->fn->faults, fault->point, &rule);

	if (!status)
		return 0;
	function->error_node = fault->node;
	rt_error_set(&function->error, status, "%s has no fault point '%s'",
		     function->config->name, fault->point);
	rt_error_place(&function->error, "point");
	return status;
}

static int set_faults(struct card_function *function)
{
	const struct card_config *config = function->card->config;
	int status = 0;

	for (size_t i = 0; i < config->fault_count && !status; i++)
		if (!strcmp(config->faults[i].target, function->config->name))
			status = set_fault(function, &config->faults[i]);
	return status;
}

static int make_function(struct card_function *function)
{
	const struct card_function_config *config = function->config;
	int status = rt_loop_create(NULL, &function->loop);

	if (status)
		return rt_error_set(&function->error, status,
				    "cannot make an io_uring: %s",
				    strerror(-status));
	status = pcie_function_create(config->type, config->name,
				      function->loop, config->values,
				      &function->fn, &function->error);
	if (!status)
		status = set_faults(function);
	if (!status && function->socket[0])
		status =
			pcie_server_create(function->fn, function->socket,
					   &function->server, &function->error);
	if (!status && function->server)
		function->stats = pcie_server_stats(function->server);
	return status;
}

/* The function is quiet: nobody reaches it any more. */
static void take_down(void *opaque)
{
	struct card_function *function = opaque;

	if (function->fn)
		pcie_function_destroy(&function->fn);
	if (function->loop)
		rt_loop_stop(function->loop);
}

static void stop_function(struct rt_task *task)
{
	struct card_function *function =
		rt_container_of(task, struct card_function, stop);

	if (function->server)
		pcie_server_destroy(&function->server, take_down, function);
	else
		take_down(function);
}

static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore) && errno == EINTR)
		;
}

/* Whoever posted the last call may not have returned from posting yet. */
static void end_loop(struct card_function *function, int status)
{
	if (function->error.code) {
		if (function->loop)
			rt_loop_destroy(&function->loop);
		return;
	}
	if (status) /* it stays: others may still post */
		rt_log_error(function->config->name, "the loop failed: %s",
			     strerror(-status));
	wait_for(&function->released);
	if (!status)
		rt_loop_destroy(&function->loop);
}

static void *run_function(void *opaque)
{
	struct card_function *function = opaque;
	char name[16]; /* as much as the kernel takes */
	int status;

	snprintf(name, sizeof name, "%s", function->config->name);
	pthread_setname_np(pthread_self(), name);
	rt_trace_set_source(function->config->name);
	status = make_function(function);
	if (status) {
		/* A room that fails silently is still an error. */
		function->error.code = status;
		take_down(function);
	}
	sem_post(&function->started);
	if (!status)
		status = rt_loop_run(function->loop);
	end_loop(function, status);
	sem_post(&function->ended);
	return NULL;
}

static bool wait_until(sem_t *semaphore, const struct timespec *deadline)
{
	int status;

	do
		status = sem_clockwait(semaphore, CLOCK_MONOTONIC, deadline);
	while (status && errno == EINTR);
	return !status;
}

static struct timespec deadline_in_ms(unsigned int ms)
{
	uint64_t ns =
		rt_clock_now_ns(&(struct rt_clock){ 0 }) + ms * RT_NS_PER_MS;

	return (struct timespec){ .tv_sec = (time_t)(ns / RT_NS_PER_S),
				  .tv_nsec = (long)(ns % RT_NS_PER_S) };
}

static int start_function(struct card_function *function)
{
	int status;

	sem_init(&function->started, 0, 0);
	sem_init(&function->released, 0, 0);
	sem_init(&function->ended, 0, 0);
	function->stop.run = stop_function;
	function->error_node = function->config->node;
	status = -pthread_create(&function->thread, NULL, run_function,
				 function);
	if (status)
		return rt_error_set(&function->error, status,
				    "cannot make a thread: %s",
				    strerror(-status));
	function->has_thread = true;
	wait_for(&function->started);
	return function->error.code;
}

static int find_socket(struct card_function *function)
{
	const char *dir = function->card->config->card.socket_dir;
	int length =
		snprintf(function->socket, sizeof function->socket,
			 "%s/%s.sock", dir ? dir : "", function->config->name);

	if (dir && length > 0 && (size_t)length < sizeof function->socket)
		return 0;
	rt_error_set(&function->error, -ENAMETOOLONG,
		     "the path of the socket is longer than %zu bytes",
		     sizeof function->socket - 1);
	rt_error_hint(&function->error, "choose a shorter socket-dir");
	return -ENAMETOOLONG;
}

/* Start it or say why not. */
static bool start_or_complain(struct card_function *function,
			      enum card_mode mode)
{
	int status = mode == CARD_SERVE ? find_socket(function) : 0;

	if (!status)
		status = start_function(function);
	if (!status || (status == -EBUSY && mode == CARD_CHECK))
		return true;
	if (!function->error.text[0])
		rt_error_set(&function->error, status, "cannot make %s: %s",
			     function->config->name, strerror(-status));
	card_config_complain(function->card->config,
			     function->error_node ? function->error_node
						  : function->config->node,
			     &function->error);
	return false;
}

int card_start(struct card_config *config, enum card_mode mode,
	       struct card **out)
{
	struct card *card = calloc(1, sizeof *card);
	bool is_good = true;

	if (!card)
		return -ENOMEM;
	card->config = config;
	card->started_ms = rt_wall_clock_ms();
	card->count = config->function_count;
	card->functions = calloc(card->count, sizeof *card->functions);
	if (!card->functions) {
		free(card);
		return -ENOMEM;
	}
	for (size_t i = 0; i < card->count; i++) {
		card->functions[i].card = card;
		card->functions[i].config = &config->functions[i];
		is_good &= start_or_complain(&card->functions[i], mode);
	}
	*out = card;
	if (is_good)
		return 0;
	card_stop(out);
	return -EINVAL;
}

static void ask_to_end(struct card_function *function)
{
	if (!function->has_thread || function->error.code)
		return;
	rt_loop_post(function->loop, &function->stop);
	sem_post(&function->released);
}

static bool end_function(struct card_function *function,
			 const struct timespec *deadline)
{
	if (!function->has_thread)
		return true;
	if (!wait_until(&function->ended, deadline)) {
		rt_log_error(function->config->name,
			     "did not stop within %u ms", STOP_MS);
		return false;
	}
	pthread_join(function->thread, NULL);
	sem_destroy(&function->started);
	sem_destroy(&function->released);
	sem_destroy(&function->ended);
	return true;
}

bool card_stop(struct card **card)
{
	struct card *c = *card;
	struct timespec deadline = deadline_in_ms(STOP_MS);
	bool all_ended = true;

	for (size_t i = 0; i < c->count; i++)
		ask_to_end(&c->functions[i]);
	for (size_t i = 0; i < c->count; i++)
		all_ended &= end_function(&c->functions[i], &deadline);
	*card = NULL;
	if (!all_ended)
		return false;
	free(c->functions);
	free(c);
	return true;
}

struct card_function *card_find(struct card *card, const char *name)
{
	for (size_t i = 0; i < card->count; i++)
		if (!strcmp(card->functions[i].config->name, name))
			return &card->functions[i];
	return NULL;
}
