/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * I/O queues at the speed of memory, on top of a controller that
 * host-driver/nvme_host.h has enabled (NVM Express Base Specification 1.4).
 *
 * A queue belongs to one thread, and each of several threads may have its own.
 * Commands are written in place, and one doorbell is rung for as many as there
 * are.  While the doorbells are mapped, nothing here allocates, locks or calls
 * the system for a command.
 *
 *	host_nvme_doors_open(nvme, HOST_NVME_DOORS_AUTO, &doors);
 *	host_nvme_create_pair(nvme, 1, 256, -1);
 *	host_nvme_io_open(&doors, 1, &options, &q);
 *	host_nvme_io_put(q, NVME_NVM_READ, slot, lba, blocks);
 *	host_nvme_io_ring(q);
 *	count = host_nvme_io_poll(q, done, RT_COUNT(done));
 */
#ifndef HOST_DRIVER_NVME_IO_H
#define HOST_DRIVER_NVME_IO_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "host-driver/nvme_host.h"

/* How the doorbells of I/O queues are rung. */
enum host_nvme_doors_kind {
	HOST_NVME_DOORS_AUTO,    /* the first of these that there is */
	HOST_NVME_DOORS_MAPPED,  /* a store to a mapped register */
	HOST_NVME_DOORS_SHADOW,  /* in memory, and to the register when the
				    controller waits for that (7.13) */
	HOST_NVME_DOORS_TRAPPED, /* an access through the bus */
};

/* What the queues of a controller share. */
struct host_nvme_doors {
	struct host_nvme *nvme; /* borrowed */
	enum host_nvme_doors_kind kind;
	volatile uint32_t *mapped; /* the doorbells; NULL: by message */
	/* Shadow doorbells and event indexes, laid out as the doorbells are. */
	uint32_t *shadow, *events;
	uint32_t stride; /* from one doorbell to the next, in words */
	/* Hold it for every call on the function while queues run in other
	 * threads: trapped doorbells are rung under it. */
	pthread_mutex_t lock;
};

/*
 * -EOPNOTSUPP: there are no such doorbells.  Shadow doorbells are told to the
 * controller here, and it keeps to them until it is disabled.
 */
int host_nvme_doors_open(struct host_nvme *n, enum host_nvme_doors_kind kind,
			 struct host_nvme_doors *out);
void host_nvme_doors_close(struct host_nvme_doors *doors);
const char *host_nvme_doors_name(enum host_nvme_doors_kind kind);

struct host_nvme_io_options {
	uint32_t nsid;
	uint32_t block_bytes;
	uint16_t slots;      /* commands in flight, fewer than entries */
	uint32_t slot_bytes; /* of each slot's buffer: the largest transfer */
	/* The completion queue has an interrupt: its head is told at every
	 * poll, and not only once the queue fills. */
	bool has_interrupt;
};

struct host_nvme_io;

/*
 * Take over a pair of queues that host_nvme_create_pair() has made and nobody
 * has used.  The memory is the driver's, and is not given back.  -EINVAL: more
 * slots than entries or a slot of too many bytes; -ENOMEM.
 */
int host_nvme_io_open(struct host_nvme_doors *doors, uint16_t qid,
		      const struct host_nvme_io_options *options,
		      struct host_nvme_io **out);
void host_nvme_io_close(struct host_nvme_io **q);

/* The slot's slot_bytes, page-aligned; the device's while it is in flight. */
void *host_nvme_io_buffer(const struct host_nvme_io *q, uint16_t slot);

/*
 * Put a read or write of the slot's buffer into the queue.  The slot is also
 * the command's identifier, and must not be in flight.
 */
void host_nvme_io_put(struct host_nvme_io *q, uint8_t opcode, uint16_t slot,
		      uint64_t lba, uint32_t blocks);
void host_nvme_io_put_flush(struct host_nvme_io *q, uint16_t slot);

/* Tell the controller what was put.  A negative errno of the bus. */
int host_nvme_io_ring(struct host_nvme_io *q);

struct host_nvme_io_done {
	uint16_t slot;
	uint16_t status; /* as HOST_NVME_STATUS(); 0: success */
};

/*
 * Take up to max completions.  Returns how many, or a negative errno: -EPROTO
 * when the controller completes what is not in flight, or one of the bus.
 */
int host_nvme_io_poll(struct host_nvme_io *q, struct host_nvme_io_done *done,
		      unsigned int max);

/* How many doorbells went by message. */
uint64_t host_nvme_io_trapped(const struct host_nvme_io *q);

#endif
