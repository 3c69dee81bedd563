/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Puts a card together.  A function is made, served and taken down by its
 * worker, in calls that the main thread posts; it waits for each to start, and
 * at the end for all of them, and then ends the workers.  A function may have
 * some of its work on other workers, too; they are drained before they end.
 *
 *   main:    start the workers → post make, wait `started` …… post stop → wait
 *            `ended` of all, end the workers
 *   worker:  make function, server → `started` …… destroy both → `ended`
 */
#include "firmware/card/card.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "firmware/card/config.h"
#include "firmware/card/tpm.h"
#include "firmware/card/worker.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/fault.h"
#include "firmware/rt/log.h"
#include "firmware/rt/run_dir.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/trace.h"
#include "pcie-model/function.h"
#include "pcie-model/vfio-user/server.h"
#include "security-chip/chip.h"

#define STOP_MS 900

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
	int status = rt_make_dirs(path);

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
	int status = pcie_function_create_among(
		config->type, config->name, &function->workers, config->values,
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

static void make_there(struct rt_task *task)
{
	struct card_function *function =
		rt_container_of(task, struct card_function, task);
	int status;

	/* What it starts traces under its name ever after. */
	rt_trace_use(rt_trace_source(function->config->name));
	status = make_function(function);
	if (status) {
		/* A room that fails silently is still an error. */
		function->error.code = status;
		pcie_function_destroy(&function->fn);
	}
	sem_post(&function->started);
}

/* The function is quiet: nobody reaches it any more. */
static void take_down(void *opaque)
{
	struct card_function *function = opaque;

	pcie_function_destroy(&function->fn);
	sem_post(&function->ended);
}

static void stop_there(struct rt_task *task)
{
	struct card_function *function =
		rt_container_of(task, struct card_function, task);

	rt_trace_use(rt_trace_source(function->config->name));
	if (function->server)
		pcie_server_destroy(&function->server, take_down, function);
	else
		take_down(function);
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
	function->task.run = make_there;
	rt_loop_post(function->loop, &function->task);
	card_wait(&function->started);
	function->is_running = !function->error.code;
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
	card_config_complain(function->card->config, function->error_node,
			     &function->error);
	return false;
}

/* What its type wants it to share a worker by; NULL: nothing. */
static const char *neighbours_of(const struct card_function_config *config)
{
	return config->type->neighbours
		       ? config->type->neighbours(config->values)
		       : NULL;
}

static size_t choose_home(const struct card *card, size_t i)
{
	const struct card_function_config *all = card->config->functions;
	const char *word = neighbours_of(&all[i]), *other;

	for (size_t j = 0; word && j < i; j++) {
		other = all[j].type == all[i].type ? neighbours_of(&all[j])
						   : NULL;
		if (other && !strcmp(word, other))
			return card->functions[j].workers.home;
	}
	return i % card->worker_count;
}

static void place_function(struct card *card, size_t i)
{
	struct card_function *function = &card->functions[i];
	size_t home = choose_home(card, i);

	function->card = card;
	function->config = &card->config->functions[i];
	function->error_node = function->config->node;
	function->workers =
		(struct pcie_workers){ card->loops, home, card->worker_count };
	function->loop = card->loops[home];
	sem_init(&function->started, 0, 0);
	sem_init(&function->ended, 0, 0);
}

/* Before the first function; until the last has ended. */
static bool open_chip(struct card *card)
{
	const struct card_config *config = card->config;
	struct rt_error error = { 0 };
	int status = -ENOENT;

	if (config->card.state_dir)
		status = sec_chip_open(config->card.state_dir, &error);
	else
		rt_error_set(&error, status,
			     "there is no place for the card's state: "
			     "$HOME is not set");
	if (!status)
		return true;
	rt_error_place(&error, "card.state-dir");
	card_config_complain(card->config, config->root, &error);
	return false;
}

static bool start_functions(struct card *card, enum card_mode mode)
{
	bool is_good = true;

	for (size_t i = 0; i < card->count; i++)
		is_good &= start_or_complain(&card->functions[i], mode);
	return is_good;
}

static bool start_worker(struct card *card, unsigned int i)
{
	int status = card_worker_start(&card->workers[i], i);
	struct rt_error error = { 0 };

	card->loops[i] = card->workers[i].loop;
	if (!status)
		return true;
	rt_error_set(&error, status, "cannot make an io_uring: %s",
		     strerror(-status));
	card_config_complain(card->config, card->config->functions[0].node,
			     &error);
	return false;
}

static bool start_workers(struct card *card)
{
	bool is_good = true;

	for (unsigned int i = 0; i < card->worker_count && is_good; i++)
		is_good = start_worker(card, i);
	return is_good;
}

static void free_card(struct card *card)
{
	free(card->functions);
	free(card->workers);
	free(card->loops);
	free(card);
}

static struct card *allocate(struct card_config *config)
{
	struct card *card = calloc(1, sizeof *card);

	if (!card)
		return NULL;
	card->config = config;
	card->started_ms = rt_wall_clock_ms();
	card->count = config->function_count;
	card->worker_count = (unsigned int)config->card.workers;
	if (!card->worker_count)
		card->worker_count = card_worker_choice(card->count);
	card->functions = calloc(card->count, sizeof *card->functions);
	card->workers = calloc(card->worker_count, sizeof *card->workers);
	card->loops = calloc(card->worker_count, sizeof *card->loops);
	if (card->functions && card->workers && card->loops)
		return card;
	free_card(card);
	return NULL;
}

int card_start(struct card_config *config, enum card_mode mode,
	       struct card **out)
{
	struct card *card = allocate(config);
	bool is_good;

	if (!card)
		return -ENOMEM;
	*out = card;
	is_good = start_workers(card) && open_chip(card) &&
		  card_tpm_start(card, mode);
	for (size_t i = 0; i < card->count; i++)
		place_function(card, i);
	if (is_good && start_functions(card, mode))
		return 0;
	card_stop(out);
	return -EINVAL;
}

static bool end_functions(struct card *card, const struct timespec *deadline)
{
	bool all_ended = true;

	for (size_t i = 0; i < card->count; i++) {
		struct card_function *function = &card->functions[i];

		if (!function->is_running ||
		    card_wait_until(&function->ended, deadline))
			continue;
		rt_log_error(function->config->name,
			     "did not stop within %u ms", STOP_MS);
		all_ended = false;
	}
	return all_ended;
}

static bool mark_workers(struct card *card, const struct timespec *deadline)
{
	bool all_did = true;

	for (unsigned int i = 0; i < card->worker_count; i++)
		if (card->workers[i].loop)
			card_worker_ask_for_mark(&card->workers[i]);
	for (unsigned int i = 0; i < card->worker_count; i++)
		if (card->workers[i].loop)
			all_did &= card_worker_wait_for_mark(&card->workers[i],
							     deadline);
	return all_did;
}

/*
 * Functions that have ended may have sent word of it to other workers, and
 * those an answer.
 */
static bool drain_workers(struct card *card, const struct timespec *deadline)
{
	return mark_workers(card, deadline) && mark_workers(card, deadline);
}

static bool end_workers(struct card *card, const struct timespec *deadline)
{
	bool all_ended = true;

	for (unsigned int i = 0; i < card->worker_count; i++)
		if (card->workers[i].loop)
			card_worker_ask_to_end(&card->workers[i]);
	for (unsigned int i = 0; i < card->worker_count; i++)
		all_ended &= card_worker_wait(&card->workers[i], deadline);
	return all_ended;
}

bool card_stop(struct card **card)
{
	struct card *c = *card;
	struct timespec deadline = deadline_in_ms(STOP_MS);

	*card = NULL;
	for (size_t i = 0; i < c->count; i++) {
		if (!c->functions[i].is_running)
			continue;
		c->functions[i].task.run = stop_there;
		rt_loop_post(c->functions[i].loop, &c->functions[i].task);
	}
	if (!end_functions(c, &deadline) || !drain_workers(c, &deadline) ||
	    !end_workers(c, &deadline) || !card_tpm_stop(c, STOP_MS))
		return false;
	for (size_t i = 0; i < c->count; i++) {
		sem_destroy(&c->functions[i].started);
		sem_destroy(&c->functions[i].ended);
	}
	free_card(c);
	sec_chip_close();
	return true;
}

struct card_function *card_find(struct card *card, const char *name)
{
	for (size_t i = 0; i < card->count; i++)
		if (!strcmp(card->functions[i].config->name, name))
			return &card->functions[i];
	return NULL;
}
