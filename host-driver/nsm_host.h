/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver of the Nitro Secure Module: virtio over PCI with one queue, on which
 * a request and the room for its answer are two chains.  One thread.  It can be
 * told to do things in ways that no driver should.
 *
 * Errors are those of bus.h, and -EPROTO: the device breaks a rule, which
 * host_nsm_why() names while the driver is open; -ENODEV: it is no such device.
 */
#ifndef HOST_DRIVER_NSM_HOST_H
#define HOST_DRIVER_NSM_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host-driver/bus.h"
#include "security-chip/abi.h"

struct host_nsm_options {
	bool is_by_message; /* its memory is not shared with the device */
	bool uses_pin;      /* INTx, not MSI-X */
	bool is_polling;    /* asks for no interrupts */
	bool is_early;      /* works without DRIVER_OK, as Linux in its probe */
	uint16_t entries;   /* 0: what the device offers */
	unsigned int timeout_ms; /* of an answer; 0: 10000 */
};

/* Where a capability says that something is. */
struct host_nsm_place {
	unsigned int cap; /* in configuration space; 0: it is not there */
	uint8_t bar;
	uint32_t offset, length;
};

struct host_nsm {
	struct host_function *fn;
	struct host_nsm_options options;
	struct host_nsm_place places[6]; /* by enum virtio_pci_cfg_type */
	uint32_t notify_multiplier;
	uint64_t features; /* offered */
	uint16_t entries, next_avail, seen_used;
	struct host_memory memory;
	int events[NSM_VECTORS]; /* MSI-X; or the pin's, in the first */
	unsigned int interrupts; /* that came for the queue */
	char why[160];
};

/* Offsets in the driver's memory, whose first byte is at HOST_NSM_IOVA. */
#define HOST_NSM_IOVA     UINT64_C(0x50000000)
#define HOST_NSM_BYTES    UINT64_C(0x10000)
#define HOST_NSM_DESC     0x0000u
#define HOST_NSM_AVAIL    0x1000u
#define HOST_NSM_USED     0x2000u
#define HOST_NSM_REQUEST  0x3000u
#define HOST_NSM_RESPONSE 0x4000u
#define HOST_NSM_SPARE    0x8000u /* to the end */

/*
 * Find the device's parts, reset it, and bring it to DRIVER_OK.  options may be
 * NULL.  After an error there is nothing to close.
 */
int host_nsm_open(struct host_function *fn,
		  const struct host_nsm_options *options,
		  struct host_nsm **out);
void host_nsm_close(struct host_nsm **nsm);
const char *host_nsm_why(const struct host_nsm *nsm);

/* The same in steps, for who wants to do one of them wrong. */
int host_nsm_attach(struct host_function *fn,
		    const struct host_nsm_options *options,
		    struct host_nsm **out); /* finds, resets, takes memory */
int host_nsm_negotiate(struct host_nsm *nsm, uint64_t accepted);
int host_nsm_set_up_queue(struct host_nsm *nsm);
int host_nsm_begin(struct host_nsm *nsm); /* all but attach */

/* Fields of the common configuration, in their own widths. */
int host_nsm_get(struct host_nsm *nsm, unsigned int field, unsigned int size,
		 uint64_t *out);
int host_nsm_set(struct host_nsm *nsm, unsigned int field, unsigned int size,
		 uint64_t value);
int host_nsm_status(struct host_nsm *nsm); /* a negative errno, or it */
int host_nsm_reset(struct host_nsm *nsm);
int host_nsm_read_isr(struct host_nsm *nsm);

/* A descriptor, and a chain that is offered. */
void host_nsm_put_desc(struct host_nsm *nsm, uint16_t n, uint64_t address,
		       uint32_t length, uint16_t flags, uint16_t next);
void host_nsm_offer(struct host_nsm *nsm, uint16_t head);
int host_nsm_notify(struct host_nsm *nsm);
/* Used elements that the device shows and that were not taken yet. */
uint16_t host_nsm_shown(const struct host_nsm *nsm);
void host_nsm_take(struct host_nsm *nsm, uint32_t *id, uint32_t *length);
/* Has the queue's interrupt come since it was last asked?  Serves the device.
 */
int host_nsm_interrupted(struct host_nsm *nsm, unsigned int vector);
/* Let the device run until `count` are shown; -ETIMEDOUT. */
int host_nsm_await(struct host_nsm *nsm, uint16_t count);

/*
 * A request and its answer, as Linux's driver does it: both used elements must
 * be there at the interrupt, in order.  *size is the room of `answer` (up to
 * NSM_RESPONSE_BYTES), then the answer's.  -EMSGSIZE: a longer request than a
 * driver sends; -EPROTO as above.
 */
int host_nsm_call(struct host_nsm *nsm, const void *request,
		  size_t request_size, void *answer, size_t *size);

#endif
