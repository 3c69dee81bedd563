/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vfio-user server of one function: one listening socket, one client at a
 * time.  A second client is refused at once.  When a client goes, the function
 * is reset (PCIE_RESET_DETACH), its windows and eventfds are dropped, and the
 * next one is accepted.  All calls on the function's loop thread.
 */
#ifndef PCIE_MODEL_VFIO_USER_SERVER_H
#define PCIE_MODEL_VFIO_USER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/rt/counter.h"

struct pcie_function;
struct pcie_server;
struct rt_error;

struct pcie_server_stats {
	struct rt_counter clients, messages, protocol_errors;
};

/*
 * Listen on a new UNIX socket at path (mode 0600; a socket left there by a dead
 * server is replaced, a living one is an error).  path NULL: do not listen,
 * clients come by pcie_server_attach().  fn is borrowed.
 */
int pcie_server_create(struct pcie_function *fn, const char *path,
		       struct pcie_server **out, struct rt_error *error);

/* Hang up on the client and stop listening; the socket file is removed.  Must
 * be called before the function is destroyed; done (may be NULL) is called when
 * the function is quiet, and only then may it be destroyed. */
void pcie_server_destroy(struct pcie_server **server,
			 void (*done)(void *opaque), void *opaque);

/*
 * Serve a connected stream socket; takes fd.  -EBUSY: there is a client; or
 * what the function says that does not let it in.
 */
int pcie_server_attach(struct pcie_server *server, int fd);

bool pcie_server_has_client(const struct pcie_server *server);
const struct pcie_server_stats *
pcie_server_stats(const struct pcie_server *server);

#endif
