/* SPDX-License-Identifier: BSD-3-Clause */
/* A user-mode network: its port (port_user.c), its process (user_process.c). */
#ifndef ENA_VPC_PORT_USER_H
#define ENA_VPC_PORT_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "ena/vpc/uplink.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/spawn.h"

#define ENA_USER_SLOT_BYTES (ENA_ETHER_HEADER_BYTES + 9216u + 1)
#define ENA_USER_BATCH      32u
#define ENA_USER_POOL_BYTES (4 * ENA_FRAME_MAX_BYTES)

/* Messages that are on their way out together. */
struct ena_user_outbox {
	unsigned int count;
	size_t used; /* of the pool */
	struct mmsghdr messages[ENA_USER_BATCH];
	struct iovec pieces[ENA_USER_BATCH][1 + ENA_FRAME_MAX_PARTS];
	uint8_t pool[ENA_USER_POOL_BYTES]; /* frames with something left to do
					    */
};

/*
 * The program of user-mode networks from now on, instead of the file beside
 * this program: a descriptor (16 or more), borrowed for good.  Before the first
 * one is started.
 */
void ena_user_program(int fd);

/* Where it is.  False: not beside this program, where it should be. */
bool ena_user_find(struct rt_program *out);

struct ena_user {
	struct ena_port port;
	struct rt_loop *loop;
	char mtu[8], *tftp, *bootfile;

	struct rt_program program;
	pid_t pid;
	int pid_fd, sock, log_fd; /* -1: it is not there */
	struct rt_watch ended, readable, printed;
	struct rt_timer again;
	bool is_full; /* the socket; it is watched for room */
	char line[256];
	size_t line_length;

	struct ena_inbox inbox;
	struct ena_user_outbox outbox;
	uint8_t slots[ENA_INBOX_FRAMES][ENA_USER_SLOT_BYTES];
};

/* Watch the socket for what matters now. */
void ena_user_watch(struct ena_user *user);

/*
 * Start the process, which is started again whenever it dies.  The loop and
 * what it is told are set, and its descriptors are -1.
 */
int ena_user_start(struct ena_user *user, struct rt_error *error);
void ena_user_end(struct ena_user *user);

#endif
