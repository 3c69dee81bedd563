/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of the server share.
 *
 *   server.c       listening, attach, hang up, the end
 *   input.c        bytes in: framing, descriptors, when to read
 *   output.c       bytes out: replies and our own messages, in order
 *   command.c      which command is which, checks that all have in common
 *   command_*.c    the commands
 *   dma_channel.c  our own DMA_READ and DMA_WRITE and their replies
 *
 * A turn reads once, at most TURN_BYTES, and works on what is complete, at most
 * TURN_COMMANDS.  What is left waits for the next turn, so that one client
 * cannot stall the other functions of its thread.  Commands wait as well while
 * an earlier one has not been answered (a reset, an unmap of memory in use) and
 * while the client does not read its replies; then we do not read either.
 */
#ifndef PCIE_MODEL_VFIO_USER_SERVER_PRIVATE_H
#define PCIE_MODEL_VFIO_USER_SERVER_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/rt/loop.h"
#include "pcie-model/dma.h"
#include "pcie-model/vfio-user/abi.h"
#include "pcie-model/vfio-user/server.h"
#include "pcie-model/vfio-user/socket.h"
#include "pcie-model/vfio-user/version.h"

#define PCIE_SERVER_XFER_BYTES (1u << 20)
/* The largest message: an access with its data. */
#define PCIE_SERVER_MESSAGE_BYTES                                              \
	(sizeof(struct vfio_user_header) +                                     \
	 sizeof(struct vfio_user_region_access) + PCIE_SERVER_XFER_BYTES)
/* Before VERSION there is nothing longer than its text. */
#define PCIE_SERVER_EARLY_BYTES                                                \
	(sizeof(struct vfio_user_header) + sizeof(struct vfio_user_version) +  \
	 VFIO_USER_TEXT_MAX)
#define PCIE_SERVER_TURN_BYTES    (64u * 1024)
#define PCIE_SERVER_TURN_COMMANDS 512u
#define PCIE_SERVER_COST_BYTES    512u /* count as one command more */

/* Our own messages in flight, and how many bytes of them may lie unsent. */
#define PCIE_SERVER_DMA_SLOTS 32u
#define PCIE_SERVER_DMA_BYTES (512u * 1024)
#define PCIE_SERVER_OUTPUT_BYTES                                               \
	(2 * PCIE_SERVER_MESSAGE_BYTES + PCIE_SERVER_DMA_BYTES)

/* How long the client has for our DMA messages … */
#define PCIE_SERVER_DMA_TIMEOUT_NS   (10 * UINT64_C(1000000000))
/* … and a device for a reset or unmap; QEMU gives up after 5 seconds. */
#define PCIE_SERVER_REPLY_TIMEOUT_NS (4 * UINT64_C(1000000000))

enum pcie_server_state {
	PCIE_SERVER_IDLE,     /* no client */
	PCIE_SERVER_ATTACHED, /* there is one */
	PCIE_SERVER_LEAVING,  /* it has gone, the function is not yet quiet */
};

struct pcie_server_input {
	uint8_t *bytes;
	size_t start, end; /* what has been received and not worked on */
	struct vfio_user_fds fds;
	size_t fds_at; /* start of the message they came with */
	/* Progress in a long command; see PCIE_SERVER_AGAIN. */
	uint64_t progress;
};

struct pcie_server_output {
	uint8_t *bytes;
	size_t start, end;   /* what has not been sent */
	size_t message_left; /* of a message that was sent in part */
	int fd;              /* to go with the message at fd_at; -1: none */
	size_t fd_at;
	bool is_watched;
};

/* A command that will be answered later. */
struct pcie_server_deferred {
	bool is_active;
	struct vfio_user_header header;
	uint8_t payload[sizeof(struct vfio_user_dma_unmap)];
	size_t size;
	struct rt_timer timer;
};

struct pcie_server_slot {
	struct pcie_dma_message *message; /* NULL: free */
	uint16_t id;
	uint64_t deadline_ns;
};

struct pcie_server_channel {
	struct pcie_server_slot slots[PCIE_SERVER_DMA_SLOTS];
	uint16_t round; /* makes ids of a slot differ */
	struct rt_timer timer;
};

struct pcie_server {
	struct pcie_function *fn;
	struct pcie_server_stats stats;

	char *path; /* NULL: not listening */
	int listen_fd;
	uint64_t path_inode; /* what we made there */
	int spare_fd;        /* closed to be able to refuse when fds run out */
	struct rt_watch listen_watch;

	enum pcie_server_state state;
	int fd;
	struct rt_watch in_watch, out_watch;
	uint32_t in_events; /* what in_watch looks for; 0: not started */
	bool is_running;    /* in a turn */
	const char *broken; /* why to hang up, soon; NULL: no reason */
	bool is_versioned;
	struct vfio_user_capabilities capabilities; /* both sides' */
	uint32_t client_fds; /* how many it takes with a message */
	struct pcie_server_input input;
	struct pcie_server_output output;
	struct pcie_server_deferred deferred;
	struct pcie_server_channel channel;

	struct rt_task task;   /* go on, see go_on() in server.c */
	struct rt_timer retry; /* of the reset that a leaving client needs */
	bool is_destroying;
	void (*destroyed)(void *opaque);
	void *destroyed_opaque;
};

/* What a command sees; payload and reply are at any alignment. */
struct pcie_server_request {
	struct vfio_user_header header;
	const uint8_t *payload;
	size_t size;
	const int *fds; /* closed after the command */
	unsigned int fd_count;
	uint64_t progress; /* 0 at first */
	uint8_t *reply;    /* room for the largest message's payload */
	size_t reply_size;
	int reply_fd; /* borrowed; -1 */
};

/*
 * Answers of a command's function besides 0 (reply) and a negative errno: it
 * answers later, through server->deferred; or it wants to be called again with
 * its progress in the next turn.
 */
#define PCIE_SERVER_LATER 1
#define PCIE_SERVER_AGAIN 2

/* server.c */
/* Hang up soon; safe anywhere.  why: a constant for the log. */
void pcie_server_break(struct pcie_server *server, const char *why);
/* Run a turn soon. */
void pcie_server_wake(struct pcie_server *server);

/* input.c */
void pcie_server_input_ready(struct rt_watch *watch, uint32_t events);
void pcie_server_turn(struct pcie_server *server);

/* output.c */
/* Room for another reply of the largest size: make it. */
bool pcie_server_output_has_room(struct pcie_server *server);
/* Where the next message goes; its size must fit the room. */
uint8_t *pcie_server_output_tail(struct pcie_server *server);
/* It is there; its header has its size.  fd: -1, or borrowed until sent. */
void pcie_server_output_add(struct pcie_server *server, int fd);
void pcie_server_flush(struct pcie_server *server);
void pcie_server_output_ready(struct rt_watch *watch, uint32_t events);

/* command.c */
/* Work on the command in the request.  PCIE_SERVER_AGAIN or another value. */
int pcie_server_command(struct pcie_server *server,
			struct pcie_server_request *request);
/* Put a reply with the payload into the output, if the command wants one. */
void pcie_server_reply(struct pcie_server *server,
		       const struct vfio_user_header *command,
		       const void *payload, size_t size);
/* The same for an error reply; error is a positive errno. */
void pcie_server_refuse(struct pcie_server *server,
			const struct vfio_user_header *command, int error);
/* Defer the answer; payload is what it will be.  Starts the time-out. */
void pcie_server_defer(struct pcie_server *server,
		       const struct pcie_server_request *request,
		       const void *payload, size_t size);
/* Give the deferred answer; nothing if there is none. */
void pcie_server_answer(struct pcie_server *server);
void pcie_server_answer_late(struct rt_timer *timer);

/* command_*.c, as commands.def lists them */
typedef int pcie_server_command_fn(struct pcie_server *server,
				   struct pcie_server_request *request);
#define COMMAND(number, name, min, max, fds, run) pcie_server_command_fn run;
#include "pcie-model/vfio-user/commands.def"
#undef COMMAND

/* dma_channel.c */
int pcie_server_dma_start(void *opaque, struct pcie_dma_message *message);
void pcie_server_dma_cancel(void *opaque, struct pcie_dma_message *message);
void pcie_server_dma_reply(struct pcie_server *server,
			   const struct vfio_user_header *header,
			   const uint8_t *payload, size_t size);
void pcie_server_dma_timeout(struct rt_timer *timer);
/* Forget all; their operations have been cancelled. */
void pcie_server_dma_reset(struct pcie_server *server);

#endif
