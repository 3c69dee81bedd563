/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * INTx, MSI and MSI-X of a function, delivered through the eventfds that a
 * client gives (vfio-user SET_IRQS).  An interrupt that cannot be delivered now
 * (masked, or no eventfd yet) is latched, shows in the pending bits, and fires
 * when it can.
 *
 * A client such as QEMU keeps the MSI-X table's mask bits to itself: the mask
 * of a vector counts only once the client has written that entry's Vector
 * Control.
 */
#ifndef PCIE_MODEL_INTERRUPT_H
#define PCIE_MODEL_INTERRUPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/rt/loop.h"

struct pcie_function;

#define PCIE_MSIX_MAX_VECTORS 256u
#define PCIE_MSI_MAX_VECTORS  32u
#define PCIE_MSIX_ENTRY_BYTES 16u

enum pcie_interrupt_mode { /* as VFIO_PCI_*_IRQ_INDEX */
			   PCIE_INTX = 0,
			   PCIE_MSI = 1,
			   PCIE_MSIX = 2,
			   PCIE_ERR = 3,
			   PCIE_REQ = 4,
};
#define PCIE_INTERRUPT_INDEXES 5u

/* Flat: part of struct pcie_state. */
struct pcie_interrupt_state {
	uint8_t msix_table[PCIE_MSIX_MAX_VECTORS][PCIE_MSIX_ENTRY_BYTES];
	uint64_t msix_mask_written[PCIE_MSIX_MAX_VECTORS / 64];
	uint64_t msix_pending[PCIE_MSIX_MAX_VECTORS / 64];
	uint32_t msi_pending;
	uint8_t intx_level;  /* 0 or 1 */
	uint8_t intx_masked; /* 1: it fired, or the client said so; waits for
				the client's UNMASK */
};

/* The client's eventfds (-1: none) and what follows; private to pcie-model. */
struct pcie_interrupts {
	int intx_fd, intx_unmask_fd, err_fd, req_fd;
	int msi_fds[PCIE_MSI_MAX_VECTORS];
	int msix_fds[PCIE_MSIX_MAX_VECTORS];
	unsigned int msi_fd_count, msix_fd_count; /* how many are not -1 */
	enum pcie_interrupt_mode told_mode;       /* what the device knows */
	struct pcie_function *fn;
	struct rt_watch intx_unmask_watch;
};

/* The mode that delivers now: MSI-X before MSI before INTx. */
enum pcie_interrupt_mode pcie_interrupt_mode(const struct pcie_function *fn);

/*
 * One message; vector is below the function's count.  Not for INTx.  Also on
 * threads that pcie_function_hold() stops, each vector on one of them only.
 */
void pcie_interrupt_raise(struct pcie_function *fn, unsigned int vector);

/* The pin's level; fires when it may (PCIe 6.1.1, 6.1.2). */
void pcie_intx_set(struct pcie_function *fn, bool level);

/*
 * What GET_IRQ_INFO answers: number of interrupts of the index and its
 * VFIO_IRQ_INFO_* flags.  -EINVAL: no such index.
 */
int pcie_interrupt_info(const struct pcie_function *fn, uint32_t index,
			uint32_t *count, uint32_t *flags);

/*
 * SET_IRQS as <linux/vfio.h> has it; flags are its VFIO_IRQ_SET_*: exactly one
 * kind of data and one action.
 *   bools  `count` bytes with DATA_BOOL; else not looked at.
 *   fds    `count` descriptors (-1: take that one's away) with DATA_EVENTFD;
 *          NULL: take all of [start, start+count) away.  They are borrowed:
 * what is kept is duplicated.  The open file becomes non-blocking.
 * DATA_NONE|TRIGGER with count 0 takes all eventfds of the index away; any
 * other TRIGGER without eventfds signals the eventfds as the device would.
 * Returns 0; -EINVAL: no such index, range, flags, or a descriptor that is not
 * an eventfd; -ENOTTY: the index does not know this action; -EMFILE.  After an
 * error nothing has changed.
 */
int pcie_interrupt_set(struct pcie_function *fn, uint32_t flags, uint32_t index,
		       uint32_t start, uint32_t count, const uint8_t *bools,
		       const int *fds);

/* The client has gone: close all its eventfds.  Latched interrupts stay. */
void pcie_interrupt_drop(struct pcie_function *fn);

/* Private to pcie-model from here. */
void pcie_event_signal(int fd);
/* The pin, if it is high and nothing holds it. */
void pcie_intx_fire(struct pcie_function *fn);
void pcie_interrupt_init(struct pcie_function *fn);
/* Take a predecessor's state; what cannot be in it is left out. */
void pcie_interrupt_restore(struct pcie_function *fn,
			    const struct pcie_interrupt_state *saved);
/* Latches and the table go back; eventfds stay the client's. */
void pcie_interrupt_reset(struct pcie_function *fn);
/* Latches go back, and the table stays. */
void pcie_interrupt_quiet(struct pcie_function *fn);
/* A control bit, mask or power state changed: deliver what may be now. */
void pcie_interrupt_update(struct pcie_function *fn);
/* MSI or MSI-X was switched off by its enable bit. */
void pcie_interrupt_forget(struct pcie_function *fn,
			   enum pcie_interrupt_mode mode);
/* The table and pending bits in the BAR; offset within each, in range. */
void pcie_msix_table_read(const struct pcie_function *fn, uint64_t offset,
			  void *data, size_t size);
void pcie_msix_table_write(struct pcie_function *fn, uint64_t offset,
			   const void *data, size_t size);
void pcie_msix_pba_read(const struct pcie_function *fn, uint64_t offset,
			void *data, size_t size);

#endif
