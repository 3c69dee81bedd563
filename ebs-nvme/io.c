/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Read, Write, Flush and Dataset Management, NVMe Base 1.4, 6.
 *
 * Data goes directly between the engine and the guest's memory where that is
 * mapped; where it is reached by message, through a buffer:
 *
 *   walk PRPs ─► hold ──────────────► engine ──────────────► release ─► end
 *                └► buffer ─► (read) ─► engine ─► (write) ─────────────► end
 *
 * On another lane's thread only what goes well: there the first step that would
 * need a message, a buffer or the error log hands the command over to the home
 * thread, which begins it anew.
 *
 * Owns nothing but what stands in the request.
 */
#include <errno.h>
#include <string.h>

#include "ebs-nvme/controller.h"
#include "ebs-nvme/trace.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

struct nvm_command {
	const char *name;
	nvme_status (*run)(struct ebs_request *r);
	uint16_t oncs;
	bool is_change;
};

static bool is_write(const struct ebs_request *r)
{
	return r->cmd.opcode == NVME_NVM_WRITE;
}

static void count(struct ebs_lane *lane, uint64_t bytes, bool is_change,
		  uint64_t took_ns)
{
	struct ebs_counters *n = &lane->counters;
	unsigned int class = ebs_stats_size_class(bytes);

	if (is_change) {
		rt_counter_add(&n->write_ops, 1);
		rt_counter_add(&n->write_bytes, bytes);
		rt_counter_add(&n->write_ns, took_ns);
		rt_histogram_add(&n->write_latency, took_ns);
		rt_histogram_add(&n->size_writes[class], took_ns);
	} else {
		rt_counter_add(&n->read_ops, 1);
		rt_counter_add(&n->read_bytes, bytes);
		rt_counter_add(&n->read_ns, took_ns);
		rt_histogram_add(&n->read_latency, took_ns);
		rt_histogram_add(&n->size_reads[class], took_ns);
	}
}

/* One look at the clock serves the burst: each took its share of it. */
void ebs_io_count_moved(struct ebs_lane *lane)
{
	uint64_t now = rt_loop_now_ns(lane->loop);
	uint64_t took_ns = (now - lane->turn_ns) / lane->moved_count;

	for (unsigned int i = 0; i < lane->moved_count; i++)
		count(lane, lane->moved[i].bytes, lane->moved[i].is_write,
		      took_ns);
	lane->moved_count = 0;
	lane->turn_ns = now;
}

static void count_success(struct ebs_request *r)
{
	struct ebs_lane *lane = r->lane;

	if (r->is_inline && lane->moved_count < EBS_BURST_COMMANDS)
		lane->moved[lane->moved_count++] =
			(struct ebs_moved){ r->bytes, is_write(r) };
	else
		count(lane, r->bytes, is_write(r),
		      rt_loop_now_ns(lane->loop) - r->started_ns);
}

/* The status for an errno of the storage. */
static nvme_status engine_status(struct ebs_request *r, int error)
{
	struct ebs_counters *n = &r->lane->counters;

	trace_ebs_io_engine_end(r->sqid, le16_get(r->cmd.cid),
				(uint32_t)-error);
	if (!error)
		return NVME_SUCCESS;
	if (r->cmd.opcode == NVME_NVM_READ) {
		rt_counter_add(&n->read_errors, 1);
		return NVME_UNRECOVERED_READ;
	}
	rt_counter_add(&n->write_errors, 1);
	return error == -ENOSPC ? NVME_CAPACITY_EXCEEDED : NVME_WRITE_FAULT;
}

static void begin_again(struct ebs_request *r)
{
	if (ebs_request_goes_on(r))
		ebs_io_begin(r);
}

/* It cannot be done, or not here. */
static void fail(struct ebs_request *r, nvme_status status)
{
	if (r->lane->is_away)
		ebs_hand_over(r, begin_again);
	else
		ebs_request_complete(r, status);
}

static void finish(struct ebs_request *r, nvme_status status)
{
	if (!NVME_IS_ERROR(status) && !r->is_aborted)
		count_success(r);
	ebs_request_complete(r, status);
}

/* Its own, so that there is nothing to wait for. */
static void *cipher_buffer(const struct ebs_request *r)
{
	const struct ebs_controller *c = r->c;

	if (!c->cipher_buffers)
		return NULL;
	return c->cipher_buffers +
	       (size_t)(r - c->requests) * ebs_profile_max_bytes(c->profile);
}

static void submit(struct ebs_request *r, unsigned int iov_count,
		   void (*done)(struct ebs_volume_io *io, int status))
{
	struct ebs_controller *c = r->c;
	bool has_fua = bits_get(NVME_RW_FUA, le32_get(r->cmd.cdw12));

	int status;

	/* Not all of it: what the engine needs it sets itself. */
	ebs_lane_io(r, done);
	r->io.op = is_write(r) ? EBS_VOLUME_WRITE : EBS_VOLUME_READ;
	r->io.is_durable = has_fua || !ebs_write_cache_is_on(c);
	r->io.is_fenced_later = r->lane->is_deep;
	r->io.offset = r->lba << NVME_LBA_SHIFT;
	r->io.size = r->bytes;
	r->io.iov = r->iov;
	r->io.iov_count = iov_count;
	r->io.bounce = cipher_buffer(r);
	status = ebs_volume_submit(c->volume, &r->io);
	if (status == -EINPROGRESS)
		return;
	r->is_inline = r->started_ns == r->lane->turn_ns;
	r->lane->needs_fence |= r->lane->is_deep && is_write(r);
	done(&r->io, status);
}

static void direct_done(struct ebs_volume_io *io, int status)
{
	struct ebs_request *r = rt_container_of(io, struct ebs_request, io);
	int lost = 0;

	if (!r->lane->is_away) {
		lost = pcie_dma_release(r->c->fn, &r->span);
	} else if (status || !pcie_dma_try_release(r->c->fn, &r->span)) {
		ebs_hand_over_io(r, direct_done, status);
		return;
	}
	if (!status && lost)
		finish(r, ebs_data_status(r, lost));
	else
		finish(r, engine_status(r, status));
}

static void buffer_sent(struct pcie_dma_op *op, int status)
{
	struct ebs_request *r = rt_container_of(op, struct ebs_request, op);

	if (status == -ECANCELED)
		ebs_request_cancelled(r);
	else
		finish(r, ebs_data_status(r, status));
}

static void send_buffer(struct ebs_request *r)
{
	int status;

	r->op.done = buffer_sent;
	status = pcie_dma_writev(r->c->fn, &r->op, r->prp.ranges,
				 r->prp.range_count, r->buffer);
	if (status != -EINPROGRESS)
		buffer_sent(&r->op, status);
}

static void bounce_done(struct ebs_volume_io *io, int error)
{
	struct ebs_request *r = rt_container_of(io, struct ebs_request, io);
	nvme_status status = engine_status(r, error);

	if (NVME_IS_ERROR(status) || is_write(r))
		finish(r, status);
	else if (ebs_request_goes_on(r))
		send_buffer(r);
}

static void submit_buffer(struct ebs_request *r)
{
	r->iov[0] =
		(struct iovec){ .iov_base = r->buffer, .iov_len = r->bytes };
	submit(r, 1, bounce_done);
}

static void buffer_filled(struct pcie_dma_op *op, int status)
{
	struct ebs_request *r = rt_container_of(op, struct ebs_request, op);

	if (status == -ECANCELED)
		ebs_request_cancelled(r);
	else if (status)
		finish(r, ebs_data_status(r, status));
	else if (ebs_request_goes_on(r))
		submit_buffer(r);
}

static void use_buffer(struct ebs_request *r)
{
	int status;

	rt_counter_add(&r->lane->counters.bounced, 1);
	trace_ebs_bounce(r->sqid, le16_get(r->cmd.cid));
	if (!is_write(r)) {
		/* Not what it held before, if the engine leaves it alone. */
		memset(r->buffer, 0, r->bytes);
		submit_buffer(r);
		return;
	}
	r->op.done = buffer_filled;
	status = pcie_dma_readv(r->c->fn, &r->op, r->prp.ranges,
				r->prp.range_count, r->buffer);
	if (status != -EINPROGRESS)
		buffer_filled(&r->op, status);
}

static void start_transfer(struct ebs_request *r)
{
	unsigned int iov_count = EBS_PRP_MAX_PAGES;
	int status = pcie_dma_hold(r->c->fn, &r->span, r->prp.ranges,
				   r->prp.range_count, !is_write(r), r->iov,
				   &iov_count);

	if (!status)
		submit(r, iov_count, direct_done);
	else if (r->lane->is_away)
		ebs_hand_over(r, begin_again);
	else if (status != -EREMOTE && status != -E2BIG)
		finish(r, ebs_data_status(r, status));
	else if (ebs_buffer_take(r, &r->c->bounce_buffers, use_buffer))
		use_buffer(r);
}

static void mapped(struct ebs_prp *prp, enum ebs_prp_error error)
{
	struct ebs_request *r = rt_container_of(prp, struct ebs_request, prp);

	if (error == EBS_PRP_MEMORY && prp->error == -ECANCELED)
		ebs_request_cancelled(r);
	else if (error)
		fail(r, ebs_prp_status(r, error));
	else if (ebs_request_goes_on(r))
		start_transfer(r);
}

static nvme_status check_range(struct ebs_request *r, uint64_t start,
			       uint64_t blocks, unsigned int byte)
{
	uint64_t size = r->c->volume->size >> NVME_LBA_SHIFT;

	if (start > size || blocks > size - start)
		return ebs_guest_error(r, EBS_RULE_LBA_RANGE,
				       NVME_LBA_OUT_OF_RANGE, byte, 0);
	return NVME_SUCCESS;
}

static nvme_status read_or_write(struct ebs_request *r)
{
	uint64_t blocks = bits_get(NVME_RW_NLB_0S, le32_get(r->cmd.cdw12)) + 1;
	nvme_status status;

	r->lba =
		(uint64_t)le32_get(r->cmd.cdw11) << 32 | le32_get(r->cmd.cdw10);
	r->bytes = blocks << NVME_LBA_SHIFT;
	r->lane->turn_bytes += r->bytes;
	trace_ebs_io(r->cmd.opcode, r->lba, (uint32_t)blocks);
	if (r->bytes > ebs_profile_max_bytes(r->c->profile))
		return ebs_guest_error(r, EBS_RULE_TRANSFER_SIZE,
				       NVME_INVALID_FIELD, EBS_BYTE_CDW12, 0);
	status = check_range(r, r->lba, blocks, EBS_BYTE_CDW10);
	if (NVME_IS_ERROR(status))
		return status;
	r->prp.op.is_direct_only = r->lane->is_away;
	ebs_prp_walk(&r->prp, r->c->fn, le64_get(r->cmd.prp1),
		     le64_get(r->cmd.prp2), r->bytes, mapped);
	return EBS_PENDING;
}

static void flush_done(struct ebs_volume_io *io, int error)
{
	struct ebs_request *r = rt_container_of(io, struct ebs_request, io);
	nvme_status status;

	if (error && r->lane->is_away) {
		ebs_hand_over_io(r, flush_done, error);
		return;
	}
	status = engine_status(r, error);
	if (!error)
		rt_counter_add(&r->lane->counters.flush_ops, 1);
	ebs_request_complete(r, status);
}

/* Without a write cache there is nothing to do, 6.8. */
static nvme_status flush(struct ebs_request *r)
{
	int status;

	if (!r->c->profile->has_write_cache || r->c->volume->is_read_only)
		return NVME_SUCCESS;
	r->io = (struct ebs_volume_io){ .op = EBS_VOLUME_FLUSH };
	ebs_lane_io(r, flush_done);
	status = ebs_volume_submit(r->c->volume, &r->io);
	if (status != -EINPROGRESS)
		flush_done(&r->io, status);
	return EBS_PENDING;
}

static uint32_t range_count(const struct ebs_request *r)
{
	return (uint32_t)bits_get(NVME_DSM_NR_0S, le32_get(r->cmd.cdw10)) + 1;
}

static void discard_next(struct ebs_request *r);

static bool may_discard_more(struct ebs_request *r, int error)
{
	if (!error || error == -EOPNOTSUPP) /* it is advice */
		return ebs_request_goes_on(r);
	ebs_request_complete(r, engine_status(r, error));
	return false;
}

static void discarded(struct ebs_volume_io *io, int error)
{
	struct ebs_request *r = rt_container_of(io, struct ebs_request, io);

	if (may_discard_more(r, error))
		discard_next(r);
}

/* Ranges without blocks are skipped. */
static void discard_next(struct ebs_request *r)
{
	const struct nvme_dsm_range *ranges =
		(const struct nvme_dsm_range *)r->data;
	const struct nvme_dsm_range *range;
	int status;

	while (r->range_index < range_count(r)) {
		range = &ranges[r->range_index++];
		if (!le32_get(range->blocks))
			continue;
		r->io = (struct ebs_volume_io){
			.op = EBS_VOLUME_DISCARD,
			.offset = le64_get(range->start) << NVME_LBA_SHIFT,
			.size = (uint64_t)le32_get(range->blocks)
				<< NVME_LBA_SHIFT,
		};
		ebs_lane_io(r, discarded);
		status = ebs_volume_submit(r->c->volume, &r->io);
		if (status == -EINPROGRESS || !may_discard_more(r, status))
			return;
	}
	rt_counter_add(&r->lane->counters.discard_ops, 1);
	ebs_request_complete(r, NVME_SUCCESS);
}

/* All ranges are checked before the first is discarded. */
static void ranges_read(struct ebs_request *r, nvme_status status)
{
	const struct nvme_dsm_range *range =
		(const struct nvme_dsm_range *)r->data;
	bool is_deallocate = bits_get(NVME_DSM_AD, le32_get(r->cmd.cdw11));

	for (uint32_t i = 0; i < range_count(r) && !NVME_IS_ERROR(status);
	     i++, range++) {
		r->lba = le64_get(range->start);
		status = check_range(r, r->lba, le32_get(range->blocks),
				     EBS_BYTE_PRP1);
	}
	if (NVME_IS_ERROR(status))
		ebs_request_complete(r, status);
	else if (!ebs_request_goes_on(r))
		return;
	else if (is_deallocate && r->c->volume->can_discard)
		discard_next(r);
	else
		ebs_request_complete(r, NVME_SUCCESS);
}

static void read_ranges(struct ebs_request *r)
{
	ebs_data_move(r, range_count(r) * sizeof(struct nvme_dsm_range), false,
		      ranges_read);
}

static nvme_status dataset_management(struct ebs_request *r)
{
	if (r->lane->is_away)
		ebs_hand_over(r, begin_again);
	else if (ebs_buffer_take(r, &r->c->bounce_buffers, read_ranges))
		read_ranges(r);
	return EBS_PENDING;
}

static const struct nvm_command commands[256] = {
#define ADMIN(opcode, name, run, has_buffer)
#define NVM(opcode, name, run, oncs, is_change)                                \
	[opcode] = { #name, run, oncs, is_change },
#include "ebs-nvme/commands.def"
#undef ADMIN
#undef NVM
};

static bool is_namespace_good(const struct ebs_request *r)
{
	uint32_t nsid = le32_get(r->cmd.nsid);

	return nsid == 1 ||
	       (nsid == NVME_NSID_ALL && r->cmd.opcode == NVME_NVM_FLUSH);
}

static nvme_status check(struct ebs_request *r)
{
	const struct nvm_command *command = &commands[r->cmd.opcode];

	if (!command->run || command->oncs & ~r->c->profile->oncs)
		return ebs_guest_error(r, EBS_RULE_OPCODE, NVME_INVALID_OPCODE,
				       0, 0);
	if (bits_get(NVME_CMD_FUSE, r->cmd.flags))
		return ebs_invalid_field(r, 1, 0);
	if (bits_get(NVME_CMD_PSDT, r->cmd.flags))
		return ebs_invalid_field(r, 1, 6);
	if (!is_namespace_good(r))
		return ebs_guest_error(r, EBS_RULE_NAMESPACE,
				       NVME_INVALID_NAMESPACE, EBS_BYTE_NSID,
				       0);
	if (command->is_change && r->c->volume->is_read_only)
		return ebs_guest_error(r, EBS_RULE_WRITE_TO_READ_ONLY,
				       NVME_WRITE_TO_READ_ONLY, 0, 0);
	return NVME_SUCCESS;
}

static void run(struct ebs_request *r)
{
	nvme_status status = commands[r->cmd.opcode].run(r);

	if (NVME_IS_ERROR(status) && !EBS_IS_PENDING(status))
		fail(r, status);
	else if (!EBS_IS_PENDING(status))
		ebs_request_complete(r, status);
}

/* True: the operator's fault point has it. */
static bool is_faulty(struct ebs_request *r)
{
	struct rt_fault_set *faults = &r->c->fn->faults;
	uint64_t value;

	if (!faults->rule_count)
		return false;
	if (rt_fault(faults, ebs_fault_io_status, &value))
		ebs_request_complete(r,
				     NVME_STATUS(value >> 8 & 7, value & 0xff));
	else if (rt_fault(faults, ebs_fault_io_stall, &value))
		ebs_request_hold(r, UINT64_MAX, run);
	else if (rt_fault(faults, ebs_fault_io_delay, &value))
		ebs_request_hold(r,
				 value < UINT64_MAX / RT_NS_PER_US
					 ? value * RT_NS_PER_US
					 : UINT64_MAX,
				 run);
	else
		return false;
	return true;
}

void ebs_io_begin(struct ebs_request *r)
{
	nvme_status status = check(r);

	if (NVME_IS_ERROR(status))
		fail(r, status);
	else if (!is_faulty(r))
		run(r);
}
