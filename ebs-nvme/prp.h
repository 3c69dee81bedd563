/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Physical region pages: from a command's two pointers to ranges of guest
 * memory, NVMe Base 1.4, 4.3.  Lists are fetched piece by piece and may be
 * reached by message, so the walk may end later.
 */
#ifndef EBS_NVME_PRP_H
#define EBS_NVME_PRP_H

#include <stdint.h>

#include "ebs-nvme/abi.h"
#include "pcie-model/dma.h"

/* 256 KiB (MDTS 6) at an offset: one page more. */
#define EBS_PRP_MAX_PAGES 65u

struct pcie_function;

enum ebs_prp_error {
	EBS_PRP_OK,
	EBS_PRP_OFFSET1,     /* prp1 is not aligned as it must be */
	EBS_PRP_OFFSET2,     /* prp2 is not */
	EBS_PRP_OFFSET_LIST, /* an entry of a list is not */
	EBS_PRP_MEMORY,      /* a list cannot be read; prp->error says why */
};

struct ebs_prp {
	struct pcie_dma_range ranges[EBS_PRP_MAX_PAGES];
	unsigned int range_count;
	int error; /* negative errno with EBS_PRP_MEMORY */
	/* private */
	struct pcie_function *fn;
	struct pcie_dma_op op;
	uint64_t remaining;
	le64 list[EBS_PRP_MAX_PAGES];
	unsigned int list_count;
	void (*done)(struct ebs_prp *prp, enum ebs_prp_error error);
};

/*
 * Walk the pointers for so many bytes, 1 to 64 pages.  done() is called exactly
 * once, perhaps before this returns.
 */
void ebs_prp_walk(struct ebs_prp *prp, struct pcie_function *fn, uint64_t prp1,
		  uint64_t prp2, uint64_t bytes,
		  void (*done)(struct ebs_prp *prp, enum ebs_prp_error error));

#endif
