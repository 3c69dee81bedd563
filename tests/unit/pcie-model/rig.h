/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fake function, its server and a client at the other end of a socket pair,
 * all on one thread with a clock that the test moves.
 */
#ifndef TESTS_UNIT_PCIE_MODEL_RIG_H
#define TESTS_UNIT_PCIE_MODEL_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/rt/clock.h"
#include "pcie-model/vfio-user/abi.h"
#include "pcie-model/vfio-user/server.h"
#include "tests/unit/pcie-model/fake_function.h"

struct rt_loop;

#define RIG_PAYLOAD_MAX (2u << 20)

struct rig {
	struct rt_clock clock;
	struct rt_loop *loop;
	struct pcie_function *fn;
	struct pcie_server *server;
	int fd; /* the client's end; -1 */
	uint16_t next_id;
};

/* A message that the client got. */
struct rig_message {
	struct vfio_user_header header;
	uint8_t *payload; /* valid until the next message */
	size_t size;
	int fd; /* closed by the next message; -1 */
	bool is_end;
};

extern struct rig rig;

/* Also as a Criterion fixture: not negotiated yet. */
void rig_start(void);
void rig_stop(void);
/* The same and VERSION is done. */
void rig_start_versioned(void);

/* A new client's end. */
void rig_connect(void);
void rig_negotiate(void);

/* Let the server do all that it can do now. */
void rig_turn(void);
void rig_wait(uint64_t ms);

/* Raw bytes with descriptors, as one sendmsg(). */
void rig_send(const void *bytes, size_t size, const int *fds, unsigned int n);
/* One message; returns its id. */
uint16_t rig_send_command(uint16_t command, uint32_t flags, const void *payload,
			  size_t size, const int *fds, unsigned int n);
uint16_t rig_post(uint16_t command, const void *payload, size_t size);
void rig_send_reply(const struct vfio_user_header *to, uint32_t flags,
		    uint32_t error, const void *payload, size_t size);

/* The next message that is there after a turn; false: there is none. */
bool rig_receive(struct rig_message *out);
bool rig_is_hung_up(void);

/*
 * Send, turn, receive the reply: its positive errno, 0, or -1 when there was
 * none.  *reply is filled in.
 */
int rig_ask(uint16_t command, const void *payload, size_t size,
	    struct rig_message *reply);
int rig_ask_fds(uint16_t command, const void *payload, size_t size,
		const int *fds, unsigned int n, struct rig_message *reply);

int rig_map(uint64_t address, uint64_t size, uint32_t flags, int fd,
	    uint64_t offset);
int rig_unmap(uint64_t address, uint64_t size, uint32_t flags);
int rig_region_write(uint32_t region, uint64_t offset, const void *data,
		     uint32_t count);
/* data gets what was read. */
int rig_region_read(uint32_t region, uint64_t offset, void *data,
		    uint32_t count);
void rig_set_command(uint16_t value); /* the Command register */

/* How many descriptors the process has. */
unsigned int count_fds(void);

#endif
