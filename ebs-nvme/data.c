/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moving a command's data: buffers, and copies between them and the command's
 * PRPs.  Owns the buffers.
 *
 * Admin commands always use a buffer: their pages are made first and then sent.
 * Read and Write use one only where guest memory is reached by message; the
 * pool for that is taken at the first need and is bounded, so commands may
 * have to wait for it.
 */
#include <errno.h>
#include <sys/mman.h>

#include "ebs-nvme/controller.h"
#include "ebs-nvme/trace.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/secret.h"
#include "pcie-model/function.h"

void ebs_buffers_init(struct ebs_controller *c)
{
	c->admin_buffers = (struct ebs_buffer_pool){
		.size = EBS_STATS_BYTES_LOCAL,
		.count = EBS_ADMIN_BUFFERS,
	};
	c->bounce_buffers = (struct ebs_buffer_pool){
		.size = ebs_profile_max_bytes(c->profile),
		.count = EBS_BOUNCE_BUFFERS,
	};
	TAILQ_INIT(&c->admin_buffers.waiting);
	TAILQ_INIT(&c->bounce_buffers.waiting);
}

static void empty_pool(struct ebs_buffer_pool *pool)
{
	if (pool->memory)
		munmap(pool->memory, pool->count * pool->size);
	pool->memory = NULL;
}

void ebs_buffers_destroy(struct ebs_controller *c)
{
	empty_pool(&c->admin_buffers);
	empty_pool(&c->bounce_buffers);
}

/* Untouched buffers cost no memory.  A guest's data is in no core file. */
static bool fill_pool(struct ebs_buffer_pool *pool)
{
	size_t size = pool->count * pool->size;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return false;
	madvise(memory, size, MADV_DONTDUMP);
	pool->memory = memory;
	for (unsigned int i = 0; i < pool->count; i++)
		pool->free[i] = pool->memory + i * pool->size;
	pool->free_count = pool->count;
	return true;
}

static bool take(struct ebs_request *r, struct ebs_buffer_pool *pool)
{
	if (!pool->memory && !fill_pool(pool))
		return false;
	if (!pool->free_count)
		return false;
	r->pool = pool;
	r->buffer = pool->free[--pool->free_count];
	r->data = r->buffer;
	return true;
}

bool ebs_buffer_take(struct ebs_request *r, struct ebs_buffer_pool *pool,
		     ebs_step *step)
{
	if (take(r, pool))
		return true;
	r->pool = pool;
	r->step = step;
	r->stage = EBS_STAGE_WAITING;
	TAILQ_INSERT_TAIL(&pool->waiting, r, waiter);
	return false;
}

void ebs_buffer_put(struct ebs_request *r)
{
	/* What is encrypted on its medium does not stay here either. */
	if (r->pool == &r->c->bounce_buffers && r->c->volume->crypt)
		rt_erase(r->buffer, r->bytes);
	r->pool->free[r->pool->free_count++] = r->buffer;
	r->buffer = NULL;
	if (!TAILQ_EMPTY(&r->pool->waiting))
		ebs_kick(&r->c->home);
}

static void serve(struct ebs_buffer_pool *pool)
{
	struct ebs_request *r;

	while ((r = TAILQ_FIRST(&pool->waiting)) && take(r, pool)) {
		TAILQ_REMOVE(&pool->waiting, r, waiter);
		r->stage = EBS_STAGE_BUSY;
		if (ebs_request_goes_on(r))
			r->step(r);
	}
}

void ebs_buffers_serve(struct ebs_controller *c)
{
	if (TAILQ_EMPTY(&c->admin_buffers.waiting) &&
	    TAILQ_EMPTY(&c->bounce_buffers.waiting))
		return;
	ebs_hold(c);
	serve(&c->admin_buffers);
	serve(&c->bounce_buffers);
	ebs_let(c);
}

nvme_status ebs_data_status(struct ebs_request *r, int error)
{
	if (!error)
		return NVME_SUCCESS;
	return ebs_guest_error(r, EBS_RULE_DATA_MEMORY,
			       NVME_DATA_TRANSFER_ERROR, EBS_BYTE_PRP1, 0);
}

nvme_status ebs_prp_status(struct ebs_request *r, enum ebs_prp_error error)
{
	switch (error) {
	case EBS_PRP_OK:
		break;
	case EBS_PRP_OFFSET1:
		return ebs_guest_error(r, EBS_RULE_PRP_OFFSET,
				       NVME_INVALID_PRP_OFFSET, EBS_BYTE_PRP1,
				       0);
	case EBS_PRP_OFFSET2:
	case EBS_PRP_OFFSET_LIST:
		return ebs_guest_error(r, EBS_RULE_PRP_OFFSET,
				       NVME_INVALID_PRP_OFFSET, EBS_BYTE_PRP2,
				       0);
	case EBS_PRP_MEMORY:
		return ebs_data_status(r, r->prp.error);
	}
	return NVME_SUCCESS;
}

static void moved(struct pcie_dma_op *op, int error)
{
	struct ebs_request *r = rt_container_of(op, struct ebs_request, op);

	if (error == -ECANCELED)
		ebs_request_cancelled(r);
	else
		r->data_done(r, ebs_data_status(r, error));
}

static void mapped(struct ebs_prp *prp, enum ebs_prp_error error)
{
	struct ebs_request *r = rt_container_of(prp, struct ebs_request, prp);
	int status;

	if (error == EBS_PRP_MEMORY && prp->error == -ECANCELED) {
		ebs_request_cancelled(r);
		return;
	}
	if (error) {
		r->data_done(r, ebs_prp_status(r, error));
		return;
	}
	if (!ebs_request_goes_on(r))
		return;
	r->op.done = moved;
	status = r->is_to_guest ? pcie_dma_writev(r->c->fn, &r->op, prp->ranges,
						  prp->range_count, r->data)
				: pcie_dma_readv(r->c->fn, &r->op, prp->ranges,
						 prp->range_count, r->data);
	if (status != -EINPROGRESS)
		moved(&r->op, status);
}

void ebs_data_move(struct ebs_request *r, uint64_t bytes, bool is_to_guest,
		   ebs_data_done *done)
{
	r->data_done = done;
	r->is_to_guest = is_to_guest;
	ebs_prp_walk(&r->prp, r->c->fn, le64_get(r->cmd.prp1),
		     le64_get(r->cmd.prp2), bytes, mapped);
}
