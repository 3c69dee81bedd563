/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A PCIe function: what is common to all of them, and the slots that a device
 * fills.  A function lives on one loop; everything here is called on that
 * loop's thread unless it says otherwise.  A device may have more threads for
 * what it does most; see hold and let.
 *
 *   create → (bar_read | bar_write | reset)* → destroy
 *
 * Every reset first stops the device and waits until no request of it holds
 * guest memory (quiesce), then tells the device why (reset).
 *
 * State that must outlive the process (a new firmware takes over under a
 * running guest) is in two flat blocks: struct pcie_state here and the device's
 * own block of type->state_size bytes at fn->device_state.  Neither has
 * pointers.  Everything else can be built again from them.
 */
#ifndef PCIE_MODEL_FUNCTION_H
#define PCIE_MODEL_FUNCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/rt/counter.h"
#include "firmware/rt/fault.h"
#include "firmware/rt/rule.h"
#include "pcie-model/config_space.h"
#include "pcie-model/dma.h"
#include "pcie-model/interrupt.h"
#include "pcie-model/rules.h"

struct pcie_function;
struct pcie_reg;
struct rt_error;
struct rt_loop;
struct rt_option;

#define PCIE_BARS 6

enum pcie_reset_reason {
	PCIE_RESET_POWER_ON, /* create, before a client can see it */
	PCIE_RESET_BUS,      /* vfio-user DEVICE_RESET: the host's reset */
	PCIE_RESET_FLR,      /* PCIe 6.6.2 */
	PCIE_RESET_POWER,    /* D3hot to D0 without No_Soft_Reset */
	PCIE_RESET_DETACH,   /* the client has gone */
	PCIE_RESET_CONTROL,  /* the operator asked */
};

struct pcie_bar {
	uint32_t size; /* bytes, a power of two of at least 16; 0: no BAR */
	bool is_64bit, is_prefetchable;
	/*
	 * The part a client may map (page-aligned; size 0: none).  It is memory
	 * shared with the client: its content is hostile.
	 */
	uint32_t mapped_offset, mapped_size;
};

/*
 * A vendor-specific capability (PCI 3.0, 6.7).  The model fills in the id, the
 * link and the size of the header; the rest is the device's.
 */
#define PCIE_VENDOR_CAPABILITIES 4u
struct pcie_vendor_capability {
	uint8_t size;            /* bytes, with the header's 3 */
	const uint8_t *bytes;    /* its first value; static */
	const uint8_t *writable; /* what a guest may change; NULL: nothing */
};

/* Capabilities to offer; the model lays them out and answers for them. */
struct pcie_identity {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class_code; /* 24 bits: 0x010802 */
	uint8_t revision;
	bool has_intx; /* INTA */
	bool has_pm;   /* power management; PME from every state */
	bool has_aer;
	uint64_t serial;       /* device serial number capability; 0: none */
	uint16_t msi_vectors;  /* a power of two up to 32; 0: no MSI */
	uint16_t msix_vectors; /* up to 2048; 0: no MSI-X */
	uint8_t msix_bar;
	uint32_t msix_table_offset, msix_pba_offset; /* 8-byte aligned */
	uint8_t link_speed, link_width; /* PCIe encoding; 0: no link reported */
	/* In the order of the list; size 0: no more. */
	struct pcie_vendor_capability vendor_caps[PCIE_VENDOR_CAPABILITIES];
	struct pcie_bar bars[PCIE_BARS];
};

/* Where a verb writes its answer; length may exceed size: it is cut then. */
struct pcie_answer {
	char *text; /* JSON: an object's members without the braces */
	size_t size, length;
};

/* What an operator can ask of functions of one type, besides what is common. */
struct pcie_verb {
	const char *name;     /* "link" */
	const char *argument; /* what it may be given; NULL: nothing */
	const char *sentence;
	/* argument may be NULL.  A negative errno: *error says why. */
	int (*run)(struct pcie_function *fn, const char *argument,
		   struct pcie_answer *answer, struct rt_error *error);
};

/* The slots.  A slot that may be NULL says so. */
struct pcie_function_type {
	const char *name;    /* the word in the card's configuration: "ebs" */
	const char *summary; /* one sentence */
	const struct rt_option *options; /* its keys; they fill a struct of … */
	size_t config_size;              /* … this size */
	size_t state_size;

	/*
	 * Functions of the same type whose word is the same live on the same
	 * loop; NULL, or an answer of NULL: anywhere.  The word is part of the
	 * config.
	 */
	const char *(*neighbours)(const void *config);

	/* Its names for what it counts and for its registers in BAR 0. */
	const struct rt_counter_name *counters;
	size_t counter_count;
	const struct pcie_reg *regs;
	size_t reg_count;

	/*
	 * Set fn->identity and fn->device (the device owns what that points
	 * to); fn->device_state is zeroed memory.  config is borrowed for the
	 * call.  Errors are the user's: fill *error and return its code.
	 */
	int (*create)(struct pcie_function *fn, const void *config,
		      struct rt_error *error);
	void (*destroy)(struct pcie_function *fn);

	/*
	 * A client comes, and is sent away if this fails (the operator reads
	 * *error); after its end comes a reset with PCIE_RESET_DETACH.
	 * May be NULL.
	 */
	int (*attach)(struct pcie_function *fn, struct rt_error *error);

	/*
	 * size is 1 to 8 bytes at any alignment, inside the BAR and outside the
	 * MSI-X table and PBA.  Larger accesses arrive as several.  Values are
	 * little-endian in the low bytes.
	 */
	uint64_t (*bar_read)(struct pcie_function *fn, unsigned int bar,
			     uint64_t offset, unsigned int size);
	void (*bar_write)(struct pcie_function *fn, unsigned int bar,
			  uint64_t offset, unsigned int size, uint64_t value);

	/*
	 * The guest is about to read, or has written, `size` bytes from `first`
	 * of the vendor-specific capability that is number `which` in the
	 * identity.  bytes is all of it as it stands in configuration space,
	 * for the device to look at and to change where the guest may.  NULL
	 * for a device whose capabilities are only read.
	 */
	void (*vendor_read)(struct pcie_function *fn, unsigned int which,
			    uint8_t *bytes, unsigned int first,
			    unsigned int size);
	void (*vendor_wrote)(struct pcie_function *fn, unsigned int which,
			     uint8_t *bytes, unsigned int first,
			     unsigned int size);

	/*
	 * A message of the client comes: what it stored into the mapped part of
	 * a BAR before takes effect first, as a read or write does not pass the
	 * posted writes before it (PCIe 2.4.1).  May be NULL.
	 */
	void (*catch_up)(struct pcie_function *fn);

	/*
	 * Start no more work and call pcie_function_quiesced() - now or later -
	 * when no request holds guest memory or will touch it.  Requests that
	 * wait for DMA by message get -ECANCELED first.
	 */
	void (*quiesce)(struct pcie_function *fn);

	/* Back to the state that the reason leaves; the device is quiet. */
	void (*reset)(struct pcie_function *fn, enum pcie_reset_reason why);

	/*
	 * fn->device_state was written by pcie_function_restore(): make the
	 * rest of the device fit it and go on.  -EINVAL: it is not possible.
	 */
	int (*resume)(struct pcie_function *fn);

	/* The interrupt pin or MSI/MSI-X changed hands; may be NULL. */
	void (*interrupt_mode_changed)(struct pcie_function *fn);

	/*
	 * For a device that has work on other threads of fn->workers, too;
	 * may be NULL.  hold: from now on only this thread touches the function
	 * and what the model has for it, until let.  There may be holds inside
	 * others.  The model holds before it changes what such work may look
	 * at, in every slot but bar_read, bar_write and describe.
	 */
	void (*hold)(struct pcie_function *fn);
	void (*let)(struct pcie_function *fn);

	/*
	 * The counter's value, on any thread; NULL: its offset is that in
	 * fn->device.
	 */
	uint64_t (*counter)(const struct pcie_function *fn,
			    const struct rt_counter_name *name);

	/*
	 * JSON text for `nitroctl status` written into text (NUL-terminated,
	 * an object's members without the braces); may be NULL.
	 */
	size_t (*describe)(struct pcie_function *fn, char *text, size_t size);

	const struct pcie_verb *verbs; /* may be NULL */
	size_t verb_count;
};

/* What survives a change of firmware; flat, no pointers. */
struct pcie_state {
	struct pcie_config_space config;
	struct pcie_interrupt_state interrupts;
};

/* How a function reaches its client; filled in by a server, NULL without. */
struct pcie_transport {
	void *opaque;
	/* Send a DMA_READ or DMA_WRITE of at most 128 KiB; see
	 * pcie-model/dma.h. */
	int (*dma_start)(void *opaque, struct pcie_dma_message *message);
	/* Nobody waits for this one any more; its late reply is dropped. */
	void (*dma_cancel)(void *opaque, struct pcie_dma_message *message);
};

typedef void pcie_done_fn(struct pcie_function *fn, void *opaque);

/* Who waits for a reset or a pause. */
#define PCIE_WAITERS 8u
struct pcie_waiter {
	pcie_done_fn *done;
	void *opaque;
};

/* The mapped part of a BAR. */
struct pcie_bar_memory {
	int fd; /* -1: no part is mapped */
	uint8_t *bytes;
	bool is_adopted;
};

/* The loops that a function may work on: its home and others. */
struct pcie_workers {
	struct rt_loop *const *loops; /* borrowed, as they are */
	size_t home, count;
};

struct pcie_function {
	char name[32];
	const struct pcie_function_type *type;
	struct rt_loop *loop; /* borrowed; its home */
	struct pcie_workers workers;
	struct pcie_identity identity;
	struct pcie_state state;
	void *device_state; /* type->state_size bytes, the function's */
	void *device;       /* the device's */
	struct pcie_dma dma;
	struct pcie_interrupts interrupts;
	struct pcie_transport transport;
	struct rt_fault_set faults;    /* the device may set it in create */
	struct rt_rule_book rules;     /* likewise */
	struct rt_rule_book bus_rules; /* of pcie-model/rules.def */
	struct rt_rule_record bus_rule_records[PCIE_RULES];
	/* Made from the identity; the model's. */
	struct pcie_config_layout config_layout;
	struct pcie_bar_memory bar_memory[PCIE_BARS];
	/* A reset or pause under way; the model's. */
	bool is_quiescing; /* quiesce was called, the answer is awaited */
	bool wants_reset;  /* then reset for reset_reason … */
	bool wants_pause;  /* … and stay quiet */
	bool is_paused;
	bool is_restored; /* by _restore(), since it last ran */
	enum pcie_reset_reason reset_reason;
	struct pcie_waiter waiters[PCIE_WAITERS];
	unsigned int waiter_count;
};

/*
 * loop and type are borrowed; config is as type->create says.  Called on the
 * loop's thread, or before it runs.  _among: the same, with more threads than
 * that of its home to work on.
 */
int pcie_function_create_among(const struct pcie_function_type *type,
			       const char *name,
			       const struct pcie_workers *workers,
			       const void *config, struct pcie_function **out,
			       struct rt_error *error);
int pcie_function_create(const struct pcie_function_type *type,
			 const char *name, struct rt_loop *loop,
			 const void *config, struct pcie_function **out,
			 struct rt_error *error);

/*
 * The function must be quiet: no client, no reset under way.  The other workers
 * let go of it in what they have been posted when this returns, and its home
 * then in what those have posted to it.
 */
void pcie_function_destroy(struct pcie_function **fn);

/*
 * Quiesce, then reset; done (may be NULL) is called after it, perhaps before
 * this returns.  A reset asked for during another one is joined to it: the
 * stronger reason wins, and both dones are called.  Until it is over the
 * function does not answer: reads give ones and writes are lost (PCIe 6.6.2),
 * but for configuration space after a bus reset, which is reset at once.
 * -EBUSY: PCIE_WAITERS wait already; the reset is done but done() not called.
 */
int pcie_function_reset(struct pcie_function *fn, enum pcie_reset_reason why,
			pcie_done_fn *done, void *opaque);
bool pcie_function_is_resetting(const struct pcie_function *fn);

/* As the slots say; for whoever changes the function from outside. */
static inline void pcie_function_hold(struct pcie_function *fn)
{
	if (fn->type->hold)
		fn->type->hold(fn);
}

static inline void pcie_function_let(struct pcie_function *fn)
{
	if (fn->type->let)
		fn->type->let(fn);
}

/* One of type->counters; any thread. */
uint64_t pcie_function_counter(const struct pcie_function *fn,
			       const struct rt_counter_name *name);

/* The device's answer to quiesce; ignored when nobody asked. */
void pcie_function_quiesced(struct pcie_function *fn);

/*
 * Region accesses as a client makes them: any size, any offset.  What is
 * outside reads as ones and ignores writes.  bar may be PCIE_CONFIG_REGION.
 */
#define PCIE_CONFIG_REGION 7
void pcie_region_read(struct pcie_function *fn, unsigned int region,
		      uint64_t offset, void *data, size_t size);
void pcie_region_write(struct pcie_function *fn, unsigned int region,
		       uint64_t offset, const void *data, size_t size);

/*
 * The mapped part of a BAR.  The descriptor (-1: none; borrowed) has it at its
 * offset in the BAR, is as long as the BAR in whole pages, and cannot be made
 * shorter or longer.  _bytes is its first byte for the device, or NULL.  Writes
 * by message land there as well and are then told to bar_write.
 */
int pcie_bar_fd(const struct pcie_function *fn, unsigned int bar);
volatile uint8_t *pcie_bar_bytes(const struct pcie_function *fn,
				 unsigned int bar);
/*
 * Use a predecessor's memory, which the client has mapped, in place of ours.
 * fd is borrowed.  -EINVAL: it is not such a descriptor for this BAR.
 */
int pcie_bar_adopt(struct pcie_function *fn, unsigned int bar, int fd);
bool pcie_bar_is_adopted(const struct pcie_function *fn, unsigned int bar);

/*
 * Quiet without a reset: done (may be NULL) is called when no request holds
 * guest memory.  Meanwhile its owner lets no client reach it.  _unpause lets
 * the device resume; it returns type->resume()'s answer, or -EINVAL: not
 * paused.
 */
int pcie_function_pause(struct pcie_function *fn, pcie_done_fn *done,
			void *opaque); /* -EBUSY as above */
int pcie_function_unpause(struct pcie_function *fn);

/*
 * The whole state as bytes, for a successor.  The function must be paused.
 * _save returns the size needed and writes only if `size` is that much.
 * _restore replaces the state of a paused function made with the same type and
 * configuration; _unpause then goes on from there.  -EINVAL: the bytes are not
 * such a state, and the function is as after power-on.
 */
size_t pcie_function_save(struct pcie_function *fn, void *bytes, size_t size);
int pcie_function_restore(struct pcie_function *fn, const void *bytes,
			  size_t size);

/* Private to pcie-model: as if it had just been created.  It must be quiet. */
void pcie_function_power_cycle(struct pcie_function *fn);

#endif
