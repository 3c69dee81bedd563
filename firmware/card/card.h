/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A card: its functions, each with a socket of its own, and the workers that
 * they live on.  Everything here is called on the main thread; a function's
 * members marked so are touched on its worker's thread only, from its start to
 * its end.
 */
#ifndef FIRMWARE_CARD_CARD_H
#define FIRMWARE_CARD_CARD_H

#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/rt/error.h"
#include "firmware/rt/loop.h"
#include "pcie-model/function.h"

struct card;
struct card_config;
struct card_function_config;
struct card_node;
struct card_sandbox;
struct card_worker;
struct pcie_server;
struct pcie_server_stats;
struct sec_tpm;

#define CARD_SOCKET_PATH 108 /* bytes, as in struct sockaddr_un */

struct card_function {
	struct card *card;
	const struct card_function_config *config;
	char socket[CARD_SOCKET_PATH]; /* "": it does not listen */
	struct rt_loop *loop;          /* of its worker */
	struct pcie_workers workers;   /* all, and which is its own */
	bool is_running;
	sem_t started, ended;
	struct rt_task task; /* make it, and then stop it */
	/* Written by its thread before `started`, constant after it. */
	const struct pcie_server_stats *stats; /* NULL: no server */
	struct rt_error error;                 /* code 0: it runs */
	const struct card_node *error_node;
	/* Its thread's. */
	struct pcie_function *fn;
	struct pcie_server *server;
};

struct card {
	struct card_config *config;   /* borrowed */
	struct card_sandbox *sandbox; /* borrowed; NULL: none */
	uint64_t started_ms;          /* wall clock */
	struct card_function *functions;
	size_t count;
	struct card_worker *workers; /* neighbours share one */
	struct rt_loop **loops;      /* the workers' */
	unsigned int worker_count;
	struct sec_tpm *tpm; /* NULL: none */
	char tpm_socket[CARD_SOCKET_PATH];
};

enum card_mode {
	CARD_SERVE, /* listen on the functions' sockets */
	CARD_CHECK, /* make the functions, but let nobody in */
};

/*
 * Start all functions and wait until each one either listens or has failed.
 * Failures are complained about in config's report; then -EINVAL, and nothing
 * runs.  config is borrowed.  -EBUSY in a CARD_CHECK is not held against it.
 */
int card_start(struct card_config *config, enum card_mode mode,
	       struct card **out);

/*
 * Hang up on all clients and end the functions, at most 900 ms long.  False: at
 * least one did not end; the process should, and *card is as good as lost.
 */
bool card_stop(struct card **card);

/* NULL: there is none of that name. */
struct card_function *card_find(struct card *card, const char *name);

/*
 * The directory of the sockets, made with mode 0700 when it is missing.  An
 * existing one must belong to this user.
 */
int card_make_socket_dir(const char *path, struct rt_error *error);

#endif
