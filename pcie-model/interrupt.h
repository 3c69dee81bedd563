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

struct pcie_function;

#define PCIE_MSIX_MAX_VECTORS 256u
#define PCIE_MSI_MAX_VECTORS  32u

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
	uint8_t msix_table[PCIE_MSIX_MAX_VECTORS][16];
	uint64_t msix_mask_written[PCIE_MSIX_MAX_VECTORS / 64];
	uint64_t msix_pending[PCIE_MSIX_MAX_VECTORS / 64];
	uint32_t msi_pending;
	bool intx_level;
	bool intx_automasked; /* fired; waits for the client's UNMASK */
};

/* The client's eventfds; private to pcie-model. */
struct pcie_interrupts {
	int intx_fd, intx_unmask_fd, err_fd, req_fd;
	int msi_fds[PCIE_MSI_MAX_VECTORS];
	int msix_fds[PCIE_MSIX_MAX_VECTORS];
	unsigned int msi_fd_count, msix_fd_count; /* how many are not -1 */
};

/* The mode that delivers now: MSI-X before MSI before INTx. */
enum pcie_interrupt_mode pcie_interrupt_mode(const struct pcie_function *fn);

/* One message; vector is below the function's count.  Not for INTx. */
void pcie_interrupt_raise(struct pcie_function *fn, unsigned int vector);

/* The pin's level; fires when it may (PCIe 6.1.1, 6.1.2). */
void pcie_intx_set(struct pcie_function *fn, bool level);

#endif
