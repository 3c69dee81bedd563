/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Walking physical region pages, NVMe Base 1.4, 4.3.
 *
 * The first pointer may begin anywhere in its page.  What is left then is in
 * the page of the second pointer, if it fits, or in pages named by the list
 * that it points to.  A list ends with its page; when more entries are needed
 * than fit, the last one points to the next list.  No command needs more than
 * 64 entries and a list's page holds 512, so after one such step it must end:
 * the loop is bounded whatever the guest writes there.
 *
 * Owns nothing; runs on the function's loop.
 */
#include "ebs-nvme/prp.h"

#include <assert.h>
#include <errno.h>

#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

#define PAGE_MASK (NVME_PAGE_BYTES - 1)

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Pages that touch are one range: fewer messages, where messages are needed. */
static struct pcie_dma_range *range_before(struct ebs_prp *prp, uint64_t iova)
{
	struct pcie_dma_range *last;

	if (!prp->range_count || !iova)
		return NULL;
	last = &prp->ranges[prp->range_count - 1];
	return last->iova + last->size == iova ? last : NULL;
}

static void add_page(struct ebs_prp *prp, uint64_t iova)
{
	uint64_t room = NVME_PAGE_BYTES - (iova & PAGE_MASK);
	uint64_t size = smaller(room, prp->remaining);
	struct pcie_dma_range *range = range_before(prp, iova);

	if (!range) {
		assert(prp->range_count < EBS_PRP_MAX_PAGES);
		range = &prp->ranges[prp->range_count++];
		*range = (struct pcie_dma_range){ .iova = iova };
	}
	range->size += size;
	prp->remaining -= size;
}

static uint64_t pages_left(const struct ebs_prp *prp)
{
	return (prp->remaining + PAGE_MASK) / NVME_PAGE_BYTES;
}

static void list_read(struct pcie_dma_op *op, int status);

/* Fetch what is needed of the list at iova, at most to the end of its page. */
static void read_list(struct ebs_prp *prp, uint64_t iova)
{
	uint64_t room = (NVME_PAGE_BYTES - (iova & PAGE_MASK)) / sizeof(le64);
	int status;

	prp->list_count = (unsigned int)smaller(room, pages_left(prp));
	prp->op.done = list_read;
	status = pcie_dma_read(prp->fn, &prp->op, iova, prp->list,
			       prp->list_count * sizeof(le64));
	if (status != -EINPROGRESS)
		list_read(&prp->op, status);
}

static void fail(struct ebs_prp *prp, enum ebs_prp_error error)
{
	prp->done(prp, error);
}

static void list_read(struct pcie_dma_op *op, int status)
{
	struct ebs_prp *prp = rt_container_of(op, struct ebs_prp, op);
	bool has_next = prp->list_count < pages_left(prp);
	uint64_t iova;

	if (status) {
		prp->error = status;
		fail(prp, EBS_PRP_MEMORY);
		return;
	}
	for (unsigned int i = 0; i < prp->list_count; i++) {
		iova = le64_get(prp->list[i]);
		if (iova & PAGE_MASK) {
			fail(prp, EBS_PRP_OFFSET_LIST);
			return;
		}
		if (has_next && i == prp->list_count - 1) {
			read_list(prp, iova);
			return;
		}
		add_page(prp, iova);
	}
	prp->done(prp, EBS_PRP_OK);
}

void ebs_prp_walk(struct ebs_prp *prp, struct pcie_function *fn, uint64_t prp1,
		  uint64_t prp2, uint64_t bytes,
		  void (*done)(struct ebs_prp *prp, enum ebs_prp_error error))
{
	assert(bytes && bytes <= (EBS_PRP_MAX_PAGES - 1) * NVME_PAGE_BYTES);
	prp->fn = fn;
	prp->done = done;
	prp->remaining = bytes;
	prp->range_count = 0;
	if (prp1 & 3) {
		fail(prp, EBS_PRP_OFFSET1);
		return;
	}
	add_page(prp, prp1);
	if (!prp->remaining) {
		done(prp, EBS_PRP_OK);
	} else if (prp->remaining > NVME_PAGE_BYTES) {
		if (prp2 & 7)
			fail(prp, EBS_PRP_OFFSET2);
		else
			read_list(prp, prp2);
	} else if (prp2 & PAGE_MASK) {
		fail(prp, EBS_PRP_OFFSET2);
	} else {
		add_page(prp, prp2);
		done(prp, EBS_PRP_OK);
	}
}
