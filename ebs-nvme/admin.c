/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Admin commands: what is common to them, and Abort (NVMe Base 1.4, 5.1).
 *
 * Abort of a command that waits for us ends it at once.  One whose data is in
 * the hands of memory or storage cannot be called back: it ends as aborted when
 * they let go of its data, and Abort waits for that, so that the guest may use
 * the data's memory again when it reads the result.
 */
#include "ebs-nvme/controller.h"
#include "ebs-nvme/trace.h"
#include "pcie-model/function.h"

struct admin_command {
	nvme_status (*run)(struct ebs_request *r);
	bool has_buffer;
};

static const struct admin_command commands[256] = {
#define ADMIN(opcode, name, run, has_buffer) [opcode] = { run, has_buffer },
#define NVM(opcode, name, run, oncs, is_change)
#include "ebs-nvme/commands.def"
#undef ADMIN
#undef NVM
};

nvme_status ebs_not_offered(struct ebs_request *r, nvme_status status,
			    unsigned int byte)
{
	r->error_location = (uint16_t)bits_put(NVME_ERROR_BYTE, 0, byte);
	return status;
}

nvme_status ebs_guest_error(struct ebs_request *r, enum ebs_rule rule,
			    nvme_status status, unsigned int byte,
			    unsigned int bit)
{
	uint64_t location = bits_put(NVME_ERROR_BYTE, 0, byte);

	if (r->lane->is_away) /* it will be found again at home */
		return status;
	r->error_location = (uint16_t)bits_put(NVME_ERROR_BIT, location, bit);
	rt_rule_broken(&r->c->fn->rules, rule,
		       byte < sizeof r->cmd
			       ? le_load((uint8_t *)&r->cmd + (byte & ~3u), 4)
			       : 0);
	return status;
}

static void run(struct ebs_request *r)
{
	nvme_status status = commands[r->cmd.opcode].run(r);

	if (!EBS_IS_PENDING(status))
		ebs_request_complete(r, status);
}

/* Admin commands use PRPs and are never fused, 4.2. */
static nvme_status check(struct ebs_request *r)
{
	if (!commands[r->cmd.opcode].run)
		return ebs_guest_error(r, EBS_RULE_OPCODE, NVME_INVALID_OPCODE,
				       0, 0);
	if (bits_get(NVME_CMD_FUSE, r->cmd.flags))
		return ebs_invalid_field(r, 1, 0);
	if (bits_get(NVME_CMD_PSDT, r->cmd.flags))
		return ebs_invalid_field(r, 1, 6);
	return NVME_SUCCESS;
}

void ebs_admin_begin(struct ebs_request *r)
{
	nvme_status status = check(r);

	rt_counter_add(&r->lane->counters.admin_commands, 1);
	if (NVME_IS_ERROR(status))
		ebs_request_complete(r, status);
	else if (!commands[r->cmd.opcode].has_buffer ||
		 ebs_buffer_take(r, &r->c->admin_buffers, run))
		run(r);
}

nvme_status ebs_admin_reply(struct ebs_request *r, uint64_t bytes)
{
	ebs_data_move(r, bytes, true, ebs_request_complete);
	return EBS_PENDING;
}

static nvme_status not_aborted(struct ebs_request *r)
{
	r->dw0 = NVME_ABORT_NOT_DONE;
	return NVME_SUCCESS;
}

/* The victim ends with its aborter's next step, or later by itself. */
static nvme_status abort_request(struct ebs_request *r,
				 struct ebs_request *victim)
{
	struct ebs_controller *c = r->c;

	if (c->aborts > c->profile->acl)
		return ebs_guest_error(r, EBS_RULE_ABORT_LIMIT,
				       NVME_ABORT_LIMIT_EXCEEDED, 0, 0);
	c->aborts++;
	victim->is_aborted = true;
	victim->aborter = r;
	r->stage = EBS_STAGE_PARKED;
	if (victim->stage != EBS_STAGE_BUSY)
		ebs_request_complete(victim, NVME_ABORT_REQUESTED);
	return EBS_PENDING;
}

nvme_status ebs_admin_abort(struct ebs_request *r)
{
	struct ebs_controller *c = r->c;
	uint32_t what = le32_get(r->cmd.cdw10);
	uint16_t sqid = (uint16_t)bits_get(NVME_ABORT_SQID, what);
	uint16_t cid = (uint16_t)bits_get(NVME_ABORT_CID, what);
	struct ebs_request *victim;

	if (!c->profile->can_abort)
		return not_aborted(r);
	if (!sqid && ebs_event_abort(c, cid))
		return NVME_SUCCESS;
	victim = ebs_request_find(c, sqid, cid);
	if (!victim || victim == r || victim->stage == EBS_STAGE_PARKED ||
	    victim->is_aborted)
		return not_aborted(r);
	return abort_request(r, victim);
}
