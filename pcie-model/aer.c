/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Error logging: PCIe 3.0 6.2.5 (the figure that orders the steps) and 7.10.
 *
 * Theory.  Device Status takes every error, masked or not.  A correctable one
 * is also noted in Correctable Error Status.  An uncorrectable one is noted in
 * Uncorrectable Error Status; the first that is not masked owns the First Error
 * Pointer and the Header Log until software clears its bit.  Some non-fatal
 * errors are only advisory, since the requester will report them: they count as
 * correctable ones of the kind Advisory Non-Fatal, and are noted further only
 * if that kind is not masked.
 *
 * The function's loop thread.
 */
#include <linux/pci_regs.h>
#include <stdbool.h>

#include "firmware/rt/bits.h"
#include "pcie-model/aer.h"
#include "pcie-model/function.h"
#include "pcie-model/trace.h"

#define TLP_HAS_DATA BIT(30)
#define TLP_TYPE     BITS(28, 24)
#define TLP_IS_MSG   BIT(28)

/* Advisory if the requester learns of it (6.2.3.2.4). */
#define ADVISORY                                                               \
	(PCI_ERR_UNC_POISON_TLP | PCI_ERR_UNC_COMP_TIME |                      \
	 PCI_ERR_UNC_COMP_ABORT | PCI_ERR_UNC_UNX_COMP | PCI_ERR_UNC_UNSUP)

static uint32_t get(const struct pcie_function *fn, unsigned int reg)
{
	return pcie_config_get(fn, fn->config_layout.aer + reg, 4);
}

static void set_bits(struct pcie_function *fn, unsigned int at,
		     unsigned int size, uint32_t bits)
{
	pcie_config_set(fn, at, size, pcie_config_get(fn, at, size) | bits);
}

static void set_device_status(struct pcie_function *fn, uint32_t bits)
{
	set_bits(fn, fn->config_layout.express + PCI_EXP_DEVSTA, 2, bits);
}

void pcie_aer_correctable(struct pcie_function *fn, uint32_t error)
{
	trace_pcie_aer(1, error);
	set_device_status(fn, PCI_EXP_DEVSTA_CED);
	if (fn->config_layout.aer)
		set_bits(fn, fn->config_layout.aer + PCI_ERR_COR_STATUS, 4,
			 error);
}

/* Memory writes and messages: nobody waits for an answer. */
static bool is_posted(const uint32_t *header)
{
	if (!header)
		return false;
	return (header[0] & TLP_IS_MSG) ||
	       ((header[0] & TLP_HAS_DATA) && !(header[0] & TLP_TYPE));
}

static bool is_fatal(const struct pcie_function *fn, uint32_t error)
{
	/* Without AER the severities are the first values of its register. */
	if (!fn->config_layout.aer)
		return error &
		       (PCI_ERR_UNC_DLP | PCI_ERR_UNC_SURPDN | PCI_ERR_UNC_FCP |
			PCI_ERR_UNC_RX_OVER | PCI_ERR_UNC_MALF_TLP);
	return get(fn, PCI_ERR_UNCOR_SEVER) & error;
}

/* The pointer is valid while the bit that it points to is set. */
static bool has_first_error(const struct pcie_function *fn)
{
	uint32_t first = PCI_ERR_CAP_FEP(get(fn, PCI_ERR_CAP));

	return get(fn, PCI_ERR_UNCOR_STATUS) & BIT(first);
}

static void log_first(struct pcie_function *fn, uint32_t error,
		      const uint32_t *header)
{
	unsigned int aer = fn->config_layout.aer;
	uint32_t cap = get(fn, PCI_ERR_CAP) & ~PCI_ERR_CAP_FEP(~0u);

	pcie_config_set(fn, aer + PCI_ERR_CAP, 4,
			cap | (uint32_t)__builtin_ctz(error));
	for (unsigned int i = 0; i < 4; i++)
		pcie_config_set(fn, aer + PCI_ERR_HEADER_LOG + 4 * i, 4,
				header ? header[i] : 0);
}

static void log_uncorrectable(struct pcie_function *fn, uint32_t error,
			      const uint32_t *header)
{
	bool is_masked;

	if (!fn->config_layout.aer)
		return;
	is_masked = get(fn, PCI_ERR_UNCOR_MASK) & error;
	if (!is_masked && !has_first_error(fn))
		log_first(fn, error, header);
	set_bits(fn, fn->config_layout.aer + PCI_ERR_UNCOR_STATUS, 4, error);
}

static bool is_sent(const struct pcie_function *fn, uint32_t error, bool fatal)
{
	unsigned int at = fn->config_layout.express + PCI_EXP_DEVCTL;
	uint32_t enable = fatal ? PCI_EXP_DEVCTL_FERE : PCI_EXP_DEVCTL_NFERE;
	uint32_t control = pcie_config_get(fn, at, 2);
	uint32_t command = pcie_config_get(fn, PCI_COMMAND, 2);

	if (fn->config_layout.aer && (get(fn, PCI_ERR_UNCOR_MASK) & error))
		return false;
	if (error == PCI_ERR_UNC_UNSUP && !(control & PCI_EXP_DEVCTL_URRE))
		return false;
	return (command & PCI_COMMAND_SERR) || (control & enable);
}

static void log_advisory(struct pcie_function *fn, uint32_t error,
			 const uint32_t *header)
{
	pcie_aer_correctable(fn, PCI_ERR_COR_ADV_NFAT);
	if (fn->config_layout.aer &&
	    !(get(fn, PCI_ERR_COR_MASK) & PCI_ERR_COR_ADV_NFAT))
		log_uncorrectable(fn, error, header);
}

void pcie_aer_uncorrectable(struct pcie_function *fn, uint32_t error,
			    const uint32_t header[4])
{
	bool fatal = is_fatal(fn, error);

	trace_pcie_aer(0, error);
	if (error == PCI_ERR_UNC_UNSUP)
		set_device_status(fn, PCI_EXP_DEVSTA_URD);
	if (!fatal && (error & ADVISORY) && !is_posted(header)) {
		log_advisory(fn, error, header);
		return;
	}
	set_device_status(fn, fatal ? PCI_EXP_DEVSTA_FED : PCI_EXP_DEVSTA_NFED);
	log_uncorrectable(fn, error, header);
	if (is_sent(fn, error, fatal) &&
	    (pcie_config_get(fn, PCI_COMMAND, 2) & PCI_COMMAND_SERR))
		set_bits(fn, PCI_STATUS, 2, PCI_STATUS_SIG_SYSTEM_ERROR);
}
