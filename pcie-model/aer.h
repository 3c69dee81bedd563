/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Errors that the function saw on its link, as PCIe 6.2 has them logged: Device
 * Status, Advanced Error Reporting, and Status.  Nothing is sent: a client has
 * no way to take error messages (the ERR interrupt of vfio stops the guest).
 */
#ifndef PCIE_MODEL_AER_H
#define PCIE_MODEL_AER_H

#include <stdint.h>

struct pcie_function;

/*
 * One error: a PCI_ERR_UNC_* or PCI_ERR_COR_* bit of <linux/pci_regs.h>.
 * header: the first four words of the packet, or NULL when there was none.
 */
void pcie_aer_uncorrectable(struct pcie_function *fn, uint32_t error,
			    const uint32_t header[4]);
void pcie_aer_correctable(struct pcie_function *fn, uint32_t error);

#endif
