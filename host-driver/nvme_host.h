/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small polling NVMe driver for one controller, written from the NVM Express
 * Base Specification 1.4, never from the device.  It can also do what no
 * sensible driver does: any submission entry, any queue, any PRP.
 *
 * One thread.  Calls return 0, an NVMe status as (type << 8 | code), which is
 * positive, or a negative errno of the bus; -ETIMEDOUT when the device did not
 * answer in time.
 */
#ifndef HOST_DRIVER_NVME_HOST_H
#define HOST_DRIVER_NVME_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebs-nvme/abi.h"
#include "host-driver/bus.h"

#define HOST_NVME_QUEUES    130u /* identifiers, the admin queue included */
#define HOST_NVME_PAGE      4096u
#define HOST_NVME_MAX_PAGES 1030u

/* The status that a completion carries, without phase, More and DNR. */
#define HOST_NVME_STATUS(type, code) ((type) << 8 | (code))

struct host_nvme_sq {
	uint64_t iova; /* 0: there is no such queue */
	uint32_t entries, tail, head;
	uint16_t cq;
};

struct host_nvme_cq {
	uint64_t iova;
	uint32_t entries, head;
	uint16_t phase;
};

/* A completion that was taken from its queue and that nobody asked for yet. */
struct host_nvme_parcel {
	bool is_used;
	struct nvme_cqe cqe;
};

#define HOST_NVME_PARCELS 1024u

struct host_nvme {
	struct host_function *fn; /* borrowed */
	struct host_memory memory;
	uint64_t memory_used;
	uint64_t cap;
	uint32_t admin_entries;
	unsigned int timeout_ms;
	uint16_t next_cid;
	struct host_nvme_sq sqs[HOST_NVME_QUEUES];
	struct host_nvme_cq cqs[HOST_NVME_QUEUES];
	struct host_nvme_parcel parcels[HOST_NVME_PARCELS];
	uint64_t scratch; /* a page for identify data and the like */
	/* BAR 0 from 1000h on, a page of it; NULL: the device offers no map. */
	volatile void *doorbells;
};

struct host_nvme_options {
	uint64_t iova, size;     /* of the memory for DMA; 0: 1 GiB, 64 MiB */
	bool is_by_message;      /* the device gets no descriptor for it */
	uint32_t admin_entries;  /* 0: 32 */
	unsigned int timeout_ms; /* of a command; 0: 20000 */
};

/* Maps memory and turns bus mastering on; does not enable the controller. */
int host_nvme_open(struct host_function *fn,
		   const struct host_nvme_options *options,
		   struct host_nvme **out);
/* Lets the memory go, on the device too if n->fn is not NULL. */
void host_nvme_close(struct host_nvme **n);
/* The function is reached in another way now; queues and memory stay. */
int host_nvme_move(struct host_nvme *n, struct host_function *fn);

/* --- Registers ------------------------------------------------------------ */

int host_nvme_disable(struct host_nvme *n);
/* Fresh admin queues; waits for CSTS.RDY.  -EIO: CSTS.CFS. */
int host_nvme_enable(struct host_nvme *n);
/* The same with a given CC (EN is added) and AQA, ASQ, ACQ left alone. */
int host_nvme_enable_as(struct host_nvme *n, uint32_t cc);
/* The CC that host_nvme_enable() writes. */
uint32_t host_nvme_usual_cc(void);
/* shn as in CC.SHN; waits for CSTS.SHST to say complete. */
int host_nvme_shutdown(struct host_nvme *n, unsigned int shn);
int host_nvme_wait_csts(struct host_nvme *n, uint32_t mask, uint32_t value);
int host_nvme_ring_sq(struct host_nvme *n, uint16_t qid, uint32_t tail);
int host_nvme_ring_cq(struct host_nvme *n, uint16_t qid, uint32_t head);

/* --- Memory --------------------------------------------------------------- */

/*
 * Zeroed memory that is never given back, at the device's address; contiguous,
 * and so no larger than memory.page_bytes.  0: no more.
 */
uint64_t host_nvme_alloc(struct host_nvme *n, uint64_t size, uint64_t align);
/* The address must be of that memory. */
void *host_nvme_at(struct host_nvme *n, uint64_t iova);

/* How the data of a command lies in memory. */
struct host_nvme_shape {
	uint32_t offset;      /* of the data in its first page */
	bool is_scattered;    /* no two pages touch */
	uint32_t list_offset; /* of the PRP list in its first page */
};

struct host_nvme_data {
	uint64_t prp1, prp2;
	uint32_t size, offset;
	uint32_t page_count;
	uint64_t pages[HOST_NVME_MAX_PAGES];
};

/* Pages for size bytes and the PRP entries (4.3) that describe them. */
int host_nvme_data_make(struct host_nvme *n, uint32_t size,
			struct host_nvme_shape shape,
			struct host_nvme_data *out);
void host_nvme_data_put(struct host_nvme *n, const struct host_nvme_data *data,
			const void *bytes);
void host_nvme_data_get(struct host_nvme *n, const struct host_nvme_data *data,
			void *bytes);

/* --- Commands ------------------------------------------------------------- */

/* Put an entry in the queue as it is and move the tail, without the doorbell.
 */
void host_nvme_put(struct host_nvme *n, uint16_t sq,
		   const struct nvme_cmd *cmd);
/* Give it an identifier, put it, ring.  *cid may be NULL. */
int host_nvme_submit(struct host_nvme *n, uint16_t sq, struct nvme_cmd *cmd,
		     uint16_t *cid);
/* Take what has arrived in a completion queue.  Returns how many. */
int host_nvme_reap(struct host_nvme *n, uint16_t cq);
/* Look, without taking it, whether there is a new entry. */
bool host_nvme_has_new(struct host_nvme *n, uint16_t cq);
/* Has a command's completion been taken?  It is handed over once. */
bool host_nvme_take(struct host_nvme *n, uint16_t sq, uint16_t cid,
		    struct nvme_cqe *out);
/* Wait for a command and return its status; cqe may be NULL. */
int host_nvme_wait(struct host_nvme *n, uint16_t sq, uint16_t cid,
		   struct nvme_cqe *cqe);
/* Submit and wait. */
int host_nvme_call(struct host_nvme *n, uint16_t sq, struct nvme_cmd *cmd,
		   struct nvme_cqe *cqe);
int host_nvme_status_of(const struct nvme_cqe *cqe);
/* Let the device work for a while; returns a negative errno of the bus. */
int host_nvme_idle(struct host_nvme *n, unsigned int ms);

/* The longest I/O queue that the device and the memory allow. */
uint32_t host_nvme_max_entries(const struct host_nvme *n);
/* vector -1: no interrupts.  -E2BIG: too long to be contiguous in memory. */
int host_nvme_create_cq(struct host_nvme *n, uint16_t qid, uint32_t entries,
			int vector);
int host_nvme_create_sq(struct host_nvme *n, uint16_t qid, uint32_t entries,
			uint16_t cq);
/* Both, with the same identifier. */
int host_nvme_create_pair(struct host_nvme *n, uint16_t qid, uint32_t entries,
			  int vector);
int host_nvme_delete_sq(struct host_nvme *n, uint16_t qid);
int host_nvme_delete_cq(struct host_nvme *n, uint16_t qid);

/* *out points to 4096 bytes that the next such call overwrites. */
int host_nvme_identify(struct host_nvme *n, uint8_t cns, uint32_t nsid,
		       const void **out);
/* size is a multiple of 4 and at most a page. */
int host_nvme_get_log(struct host_nvme *n, uint8_t lid, uint64_t offset,
		      uint32_t size, const void **out);
int host_nvme_get_feature(struct host_nvme *n, uint8_t fid, unsigned int sel,
			  uint32_t *out);
int host_nvme_set_feature(struct host_nvme *n, uint8_t fid, uint32_t value,
			  uint32_t *out);

/* block_count is not 0's-based.  opcode: NVM read or write. */
int host_nvme_rw(struct host_nvme *n, uint16_t sq, uint8_t opcode, uint64_t lba,
		 uint32_t block_count, const struct host_nvme_data *data);
int host_nvme_flush(struct host_nvme *n, uint16_t sq);

#endif
