/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's side of virtio over PCI (virtio 1.2, 4.1) for a device with one
 * split virtqueue, on which a message and the room for its answer are two
 * chains, one after the other.  On the function's loop.
 *
 *   virtio_pci.c      capabilities, BAR, interrupts, the window
 *   virtio_common.c   the common configuration: status, features, set-up
 *   virtio_queue.c    the queue: chains in, used elements out
 *   virtio_chain.c    one chain of descriptors
 *
 * The device behind it gets each message through struct virtio_ops.  Guest
 * memory is hostile: everything is copied once and checked then, and what is
 * wrong with it breaks a rule and leaves the device in need of a reset (2.1.2).
 */
#ifndef SECURITY_CHIP_NSM_VIRTIO_H
#define SECURITY_CHIP_NSM_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#include "firmware/rt/counter.h"
#include "firmware/rt/loop.h"
#include "pcie-model/function.h"
#include "pcie-model/regs.h"
#include "security-chip/abi.h"

struct virtio_device;

#define VIRTIO_REGISTERS 19u
extern const struct pcie_reg virtio_registers[VIRTIO_REGISTERS];

enum virtio_rule {
#define RULE(name, clause, sentence) NSM_RULE_##name,
#include "security-chip/nsm/rules.def"
#undef RULE
	NSM_RULES
};

/* Flat: part of the device's state. */
struct virtio_queue_state {
	uint64_t desc, driver, device; /* addresses of its parts */
	uint16_t size, vector;
	uint8_t is_enabled;  /* 0 or 1, as the next */
	uint8_t is_showing;  /* used may not have come to the driver yet */
	uint16_t next_avail; /* chains that are over, modulo 65536 */
	uint16_t used;       /* elements that were published, likewise */
};

struct virtio_state {
	uint32_t device_select, driver_select; /* of features */
	uint64_t driver_features;
	uint16_t config_vector, queue_select;
	uint8_t status, isr;
	struct virtio_queue_state queue;
};

/* What shall go wrong when an answer is completed; all false: nothing. */
struct virtio_mishap {
	bool is_dropped, is_silent, is_early, is_swapped, has_id;
	uint16_t id;
	uint64_t early_ns; /* from the interrupt to the response */
};

struct virtio_ops {
	/*
	 * A message of `size` bytes is in device->message, of which at most
	 * message_room are; there is room for an answer of `room` bytes.  Calls
	 * virtio_answer(), now or later on the loop.
	 */
	void (*message)(struct virtio_device *device, uint64_t size,
			uint64_t room);
	/*
	 * The answer was delivered or the device is reset: forget the message,
	 * whether it was answered or not.
	 */
	void (*reset)(struct virtio_device *device);
	uint64_t (*features)(struct virtio_device *device); /* offered */
	uint16_t (*queue_size)(struct virtio_device *device);
};

/* A chain of descriptors, copied and checked. */
struct virtio_chain {
	uint16_t head;
	unsigned int count;    /* of ranges */
	unsigned int readable; /* of them, the first ones */
	uint64_t readable_bytes, writable_bytes;
	struct pcie_dma_range ranges[NSM_QUEUE_ENTRIES];
	/* While it is walked. */
	uint16_t next;
	bool has_next;
};

struct virtio_queue;
/* Begins or is a step of an exchange: what pcie_dma_read() returns. */
typedef int virtio_step_fn(struct virtio_queue *q);

/* The exchange under way; made again from the state. */
struct virtio_queue {
	struct virtio_device *device;
	virtio_step_fn *step;  /* the next; NULL: none */
	virtio_step_fn *later; /* when its turn comes; NULL: look */
	bool is_running, is_transferring, has_checked, is_checking;
	bool is_open; /* the device works on a message */
	struct pcie_dma_op op, check;
	struct rt_timer turn; /* others have theirs in between */
	unsigned int turns;
	/* Buffers of one transfer each. */
	struct virtio_avail avail;
	le16 heads[2];
	struct virtio_desc desc;
	le16 index;
	struct virtio_used_entry used[2];
	/* The message and the room for its answer. */
	struct virtio_chain chains[2], *walked;
	unsigned int found;     /* heads that were read */
	unsigned int published; /* elements that were */
	struct virtio_mishap mishap;
};

struct virtio_counters {
	struct rt_counter notifications, interrupts, resets;
};

/* Who embeds it fills in the first part, and calls virtio_init(). */
struct virtio_device {
	struct pcie_function *fn;
	struct virtio_state *state;
	const struct virtio_ops *ops;
	uint8_t *message;
	uint32_t message_room;
	const uint8_t *answer; /* of virtio_answer(); in place until reset() */

	struct virtio_queue queue;
	struct virtio_counters counters;
};

void virtio_init(struct virtio_device *device);
/* Its PCIe identity, but for the ids. */
void virtio_identity(struct pcie_identity *id);

/*
 * The answer to the message: size bytes of device->answer, as far as there is
 * room.  Then comes the next message.
 */
void virtio_answer(struct virtio_device *device, uint64_t size,
		   const struct virtio_mishap *mishap);

/* The slots of a function. */
uint64_t virtio_bar_read(struct virtio_device *device, uint64_t offset,
			 unsigned int size);
void virtio_bar_write(struct virtio_device *device, uint64_t offset,
		      unsigned int size, uint64_t value);
void virtio_window_read(struct virtio_device *device, unsigned int which,
			uint8_t *cap, unsigned int first, unsigned int size);
void virtio_window_wrote(struct virtio_device *device, unsigned int which,
			 uint8_t *cap, unsigned int first, unsigned int size);
void virtio_interrupt_mode_changed(struct virtio_device *device);
/* Stops at once; what was under way begins again with virtio_resume(). */
void virtio_quiesce(struct virtio_device *device);
void virtio_resume(struct virtio_device *device);
/* As at the start (4.1.4.3.1); what it had begun is forgotten. */
void virtio_reset(struct virtio_device *device);
bool virtio_is_sane(const struct virtio_device *device);

/* A rule is broken so that it cannot go on: DEVICE_NEEDS_RESET (2.1.2). */
void virtio_fail(struct virtio_device *device, enum virtio_rule rule,
		 uint64_t value);
void virtio_needs_reset(struct virtio_device *device);

/* Between the files here. */
bool virtio_queue_is_aligned(const struct virtio_queue_state *q);
uint64_t virtio_common_read(struct virtio_device *device, uint64_t offset,
			    unsigned int size);
void virtio_common_write(struct virtio_device *device, uint64_t offset,
			 unsigned int size, uint64_t value);
void virtio_interrupt(struct virtio_device *device, uint16_t vector,
		      uint8_t isr);
void virtio_queue_notify(struct virtio_device *device, uint64_t queue);
void virtio_queue_run(struct virtio_queue *q);
void virtio_queue_stop(struct virtio_queue *q);
/* It may work: enabled, and no reset needed. */
bool virtio_queue_is_live(const struct virtio_device *device);
/* Take a descriptor into the chain; false: a rule is broken, and told. */
bool virtio_chain_add(struct virtio_queue *q, struct virtio_chain *chain,
		      const struct virtio_desc *desc);
void virtio_chain_begin(struct virtio_chain *chain, uint16_t head);

static inline void virtio_broke(struct virtio_device *device,
				enum virtio_rule rule, uint64_t value)
{
	rt_rule_broken(&device->fn->rules, rule, value);
}

#endif
