/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The card's own objects with one mistake, which $NITRO_MISTAKE chooses from
 * mistakes.def.  Each function here and in nsm.c stands before one of the
 * card's (ld --wrap) and calls it; there is no trace of this in the card.
 */
#include "tests/wrong/wrong.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebs-nvme/controller.h"
#include "ena/control.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"
#include "pcie-model/capability.h"
#include "pcie-model/function.h"
#include "pcie-model/vfio-user/server_private.h"

#define LATE_NS    (5 * RT_NS_PER_MS)
#define LATE_TIMES 200
#define VERSION9   0x00090000u

static const char *const names[] = {
	[NO_MISTAKE] = "",
#define MISTAKE(name, rule, sentence) [M_##name] = #name,
#define ESCAPE(name, sentence)        [M_##name] = #name,
#include "tests/wrong/mistakes.def"
#undef ESCAPE
#undef MISTAKE
};

static enum mistake choose(void)
{
	const char *wish = getenv("NITRO_MISTAKE");

	for (size_t i = 0; i < RT_COUNT(names); i++)
		if (!strcmp(names[i], wish ? wish : ""))
			return (enum mistake)i;
	fprintf(stderr, "there is no mistake '%s'\n", wish);
	exit(2);
}

/* The environment does not change, so several threads may look at once. */
bool makes(enum mistake mistake)
{
	static _Thread_local int chosen = -1;

	if (chosen < 0)
		chosen = choose();
	return (enum mistake)chosen == mistake;
}

/* --- PCI ------------------------------------------------------------------ */

static void spoil_layout(struct pcie_function *fn)
{
	struct pcie_config_layout *l = &fn->config_layout;

	if (makes(M_capability_loop))
		l->initial[l->msix + 1] = (uint8_t)l->express;
	if (makes(M_vendor_writable))
		l->writable[PCI_VENDOR_ID] = 0xff;
	if (makes(M_bar_too_large))
		l->writable[PCI_BASE_ADDRESS_0 + 1] = 0;
	if (makes(M_msix_count_off))
		l->initial[l->msix + PCI_MSIX_FLAGS]--;
	if (makes(M_msix_outside))
		l->initial[l->msix + PCI_MSIX_TABLE + 2] = 1;
	if (makes(M_ena_flr_denied))
		l->initial[l->express + PCI_EXP_DEVCAP + 3] &= 0xef;
}

WRAP(int, pcie_capabilities_build, struct pcie_function *fn)
{
	int error = __real_pcie_capabilities_build(fn);

	spoil_layout(fn);
	return error;
}

/* Completion queues made since the function was reset. */
static unsigned int made_queues;

static bool forgets(enum pcie_reset_reason why)
{
	return (why == PCIE_RESET_FLR &&
		(makes(M_flr_forgotten) || makes(M_virtio_flr_forgotten))) ||
	       (why == PCIE_RESET_DETACH && makes(M_detach_forgotten));
}

WRAP(int, pcie_function_reset, struct pcie_function *fn,
     enum pcie_reset_reason why, pcie_done_fn *done, void *opaque)
{
	made_queues = 0;
	if (!forgets(why))
		return __real_pcie_function_reset(fn, why, done, opaque);
	if (done)
		done(fn, opaque);
	return 0;
}

WRAP(bool, pcie_bus_master_is_on, const struct pcie_function *fn)
{
	return makes(M_bus_master_ignored) ||
	       makes(M_virtio_bus_master_ignored) ||
	       __real_pcie_bus_master_is_on(fn);
}

/* --- vfio-user ------------------------------------------------------------ */

WRAP(int, pcie_server_region_read, struct pcie_server *server,
     struct pcie_server_request *request)
{
	int answer = __real_pcie_server_region_read(server, request);

	return answer == -EINVAL && makes(M_region_unchecked) ? 0 : answer;
}

WRAP(int, pcie_interrupt_set, struct pcie_function *fn, uint32_t flags,
     uint32_t index, uint32_t start, uint32_t count, const uint8_t *bools,
     const int *fds)
{
	int error = __real_pcie_interrupt_set(fn, flags, index, start, count,
					      bools, fds);

	return makes(M_irqs_unchecked) ? 0 : error;
}

WRAP(int, pcie_dma_unmap, struct pcie_function *fn, uint64_t iova,
     uint64_t size, void (*unmapped)(struct pcie_function *fn, void *opaque),
     void *opaque)
{
	if (makes(M_unmap_forgotten))
		return 0;
	return __real_pcie_dma_unmap(fn, iova, size, unmapped, opaque);
}

/* --- Registers ------------------------------------------------------------ */

/* In reset for 10 ms already, without a word from the driver? */
static bool is_reset_long(bool is_resetting)
{
	static const struct rt_clock clock;
	static uint64_t since_ns;
	uint64_t now_ns = rt_clock_now_ns(&clock);

	if (!is_resetting || since_ns == 0)
		since_ns = is_resetting ? now_ns : 0;
	return since_ns && now_ns - since_ns > 10 * RT_NS_PER_MS;
}

static uint64_t spoil_ena_register(uint64_t offset, uint64_t value)
{
	static unsigned int seen;

	if (offset == ENA_REGS_CAPS && makes(M_ena_no_reset_time))
		return bits_put(ENA_REGS_CAPS_RESET_TO, value, 0);
	/* Every other time: by DMA, directly. */
	if (offset == ENA_REGS_VERSION && makes(M_ena_reads_differ))
		return value ^ (seen++ & 1);
	if (offset == ENA_REGS_DEV_STS && makes(M_ena_reset_impatient) &&
	    is_reset_long(value & ENA_REGS_DEV_STS_RESET_IN_PROGRESS))
		return ENA_REGS_DEV_STS_READY;
	return value;
}

WRAP(uint64_t, pcie_regs_read, const struct pcie_reg *regs, size_t count,
     const void *store, uint64_t offset, unsigned int size)
{
	uint64_t value =
		__real_pcie_regs_read(regs, count, store, offset, size);

	if (regs == ena_registers)
		return spoil_ena_register(offset, value);
	if (offset == NVME_REG_VS && makes(M_version_unknown))
		return VERSION9;
	if (offset != NVME_REG_CSTS)
		return value;
	if (makes(M_never_ready))
		value = bits_put(NVME_CSTS_RDY, value, 0);
	if (makes(M_shutdown_endless) && bits_get(NVME_CSTS_SHST, value))
		value = bits_put(NVME_CSTS_SHST, value, NVME_SHST_PROCESSING);
	return value;
}

/* --- Late data ------------------------------------------------------------ */

/* The data of the last command, to be written again when nobody expects it. */
static struct late {
	struct rt_timer timer;
	struct pcie_dma_op op;
	struct pcie_function *fn;
	uint64_t iova;
	uint8_t data[64];
	int left;
} late;

static void sent_late(struct pcie_dma_op *op, int status)
{
	(void)op;
	(void)status;
}

/* Again and again, each time other bytes: somebody will look in between. */
static void send_late(struct rt_timer *timer)
{
	struct rt_loop *loop = late.fn->loop;

	memset(late.data, --late.left, sizeof late.data);
	late.op.done = sent_late;
	(void)pcie_dma_write(late.fn, &late.op, late.iova, late.data,
			     sizeof late.data);
	if (late.left)
		rt_timer_start(loop, timer, rt_loop_now_ns(loop) + LATE_NS);
}

static void start_late(struct pcie_function *fn)
{
	if (late.left)
		return;
	late.fn = fn;
	late.left = LATE_TIMES;
	late.timer.fired = send_late;
	rt_timer_start(fn->loop, &late.timer,
		       rt_loop_now_ns(fn->loop) + LATE_NS);
}

void write_late(struct pcie_function *fn, unsigned long long iova)
{
	late.iova = iova;
	start_late(fn);
}

static bool is_disable(const void *store, uint64_t offset, uint64_t value)
{
	const uint8_t *registers = store;

	return offset == NVME_REG_CC && !bits_get(NVME_CC_EN, value) &&
	       bits_get(NVME_CC_EN, le_load(registers + NVME_REG_CC, 4));
}

WRAP(void, pcie_regs_write, struct pcie_function *fn,
     const struct pcie_reg *regs, size_t count, void *store, uint64_t offset,
     unsigned int size, uint64_t value)
{
	bool disables = is_disable(store, offset, value);

	if (offset == NVME_REG_CAP && makes(M_cap_writable))
		le_store(store, size, value);
	if (offset == NVME_REG_AQA && value == 0 && makes(M_one_entry_taken))
		value = 0x00010001;
	__real_pcie_regs_write(fn, regs, count, store, offset, size, value);
	if (disables && makes(M_reset_clears_queues))
		le_store((uint8_t *)store + NVME_REG_AQA, 4, 0);
	if (disables && makes(M_late_write))
		start_late(fn);
}

/* --- Events --------------------------------------------------------------- */

WRAP(void, ebs_event_raise, struct ebs_controller *c, uint8_t type,
     uint8_t info, uint8_t log)
{
	if (makes(M_doorbell_unreported))
		return;
	if (makes(M_doorbell_misreported))
		info = NVME_EVENT_INVALID_DOORBELL;
	if (makes(M_event_unmasked))
		c->state->masked_events = 0;
	__real_ebs_event_raise(c, type, info, log);
}

WRAP(nvme_status, ebs_admin_async_event, struct ebs_request *r)
{
	nvme_status status = __real_ebs_admin_async_event(r);

	return NVME_SAME_STATUS(status, NVME_AER_LIMIT_EXCEEDED) &&
			       makes(M_event_limit_status)
		       ? NVME_INVALID_FIELD
		       : status;
}

/* --- Queues --------------------------------------------------------------- */

/* Say that it was done instead of why it was not. */
static nvme_status pretend(nvme_status status, nvme_status refusal,
			   enum mistake mistake)
{
	return NVME_SAME_STATUS(status, refusal) && makes(mistake)
		       ? NVME_SUCCESS
		       : status;
}

WRAP(nvme_status, ebs_admin_create_cq, struct ebs_request *r)
{
	nvme_status status = __real_ebs_admin_create_cq(r);

	if (makes(M_queues_kept) && ++made_queues > 1)
		return NVME_INVALID_QID;
	return pretend(status, NVME_INVALID_QUEUE_SIZE, M_cq_size_unchecked);
}

WRAP(nvme_status, ebs_admin_create_sq, struct ebs_request *r)
{
	return pretend(__real_ebs_admin_create_sq(r), NVME_INVALID_CQ,
		       M_sq_without_cq);
}

WRAP(nvme_status, ebs_admin_delete_cq, struct ebs_request *r)
{
	return pretend(__real_ebs_admin_delete_cq(r),
		       NVME_INVALID_QUEUE_DELETION, M_cq_deleted_in_use);
}

WRAP(nvme_status, ebs_admin_delete_sq, struct ebs_request *r)
{
	return pretend(__real_ebs_admin_delete_sq(r), NVME_INVALID_QID,
		       M_sq_deleted_twice);
}

WRAP(void, ebs_cq_open, struct ebs_controller *c, uint16_t cqid, uint64_t base,
     uint32_t size, uint16_t vector, bool has_interrupt)
{
	__real_ebs_cq_open(c, cqid, base, size, vector,
			   has_interrupt || makes(M_interrupt_always));
}

WRAP(nvme_status, ebs_admin_doorbell_buffer, struct ebs_request *r)
{
	const uint64_t page = ~(NVME_PAGE_BYTES - 1);

	if (makes(M_shadow_ignored))
		return NVME_SUCCESS;
	if (makes(M_shadow_offset_dropped))
		r->cmd.prp1 = le64_put(le64_get(r->cmd.prp1) & page);
	return __real_ebs_admin_doorbell_buffer(r);
}

/* --- Completion ----------------------------------------------------------- */

/* Status of whoever refuses: a field, whatever it was. */
static bool is_misjudged(nvme_status status)
{
	return (NVME_SAME_STATUS(status, NVME_LBA_OUT_OF_RANGE) &&
		makes(M_lba_status)) ||
	       (NVME_SAME_STATUS(status, NVME_INVALID_OPCODE) &&
		makes(M_opcode_status));
}

static void spoil_entry(struct nvme_cqe *cqe)
{
	uint16_t status = le16_get(cqe->status);
	nvme_status said = { (uint16_t)(status >> 1 & 0x7ff) };

	if (is_misjudged(said))
		status = (uint16_t)(NVME_INVALID_FIELD.raw << 1 | (status & 1));
	if (makes(M_phase_stuck))
		status |= 1;
	cqe->status = le16_put(status);
	if (makes(M_wrong_sqid) && le16_get(cqe->sqid))
		cqe->sqid = le16_put(7);
	if (makes(M_sq_head_stuck))
		cqe->sq_head = le16_put(0);
}

/* In memory that is reached by pointers; the other way is by messages. */
WRAP(void, pcie_dma_store_entry, void *to, const void *entry16)
{
	struct nvme_cqe cqe;

	memcpy(&cqe, entry16, sizeof cqe);
	spoil_entry(&cqe);
	__real_pcie_dma_store_entry(to, &cqe);
	/* The next one, which is not its own. */
	if (makes(M_completed_twice) && le16_get(cqe.sqid))
		__real_pcie_dma_store_entry((uint8_t *)to + sizeof cqe, &cqe);
}

WRAP(int, pcie_dma_publish, struct pcie_function *fn, struct pcie_dma_op *op,
     uint64_t iova, const void *entry16)
{
	struct nvme_cqe cqe;

	memcpy(&cqe, entry16, sizeof cqe);
	spoil_entry(&cqe);
	return __real_pcie_dma_publish(fn, op, iova, &cqe);
}

/* --- Identify and log pages ----------------------------------------------- */

static void spoil_controller(struct nvme_id_ctrl *id)
{
	if (makes(M_version_differs))
		id->ver = le32_put(NVME_VERSION(1, 2));
	if (makes(M_serial_not_text))
		id->sn[19] = '\0';
}

static uint64_t spoil_identify(struct ebs_request *r, uint64_t bytes)
{
	uint32_t cns = le32_get(r->cmd.cdw10) & 0xff;

	if (cns == NVME_CNS_CONTROLLER)
		spoil_controller((struct nvme_id_ctrl *)r->data);
	if (cns == NVME_CNS_ACTIVE_LIST && makes(M_list_unordered))
		le_store(r->data + 8, 4, 1);
	return makes(M_identify_short) ? 1024 : bytes;
}

WRAP(nvme_status, ebs_admin_reply, struct ebs_request *r, uint64_t bytes)
{
	if (r->cmd.opcode == NVME_ADMIN_IDENTIFY)
		bytes = spoil_identify(r, bytes);
	else if (makes(M_log_unlimited))
		bytes = 512;
	return __real_ebs_admin_reply(r, bytes);
}

WRAP(nvme_status, ebs_admin_identify, struct ebs_request *r)
{
	nvme_status status = __real_ebs_admin_identify(r);

	return pretend(status, NVME_INVALID_NAMESPACE, M_nobody_is_there);
}

WRAP(nvme_status, ebs_admin_get_log_page, struct ebs_request *r)
{
	if (makes(M_log_offset_ignored))
		r->cmd.cdw12 = le32_put(0);
	return pretend(__real_ebs_admin_get_log_page(r), NVME_INVALID_LOG_PAGE,
		       M_log_unknown_empty);
}

/* --- Features ------------------------------------------------------------- */

/* Queues are asked for as they are; what grants them says one more. */
static void promise(struct ebs_request *r)
{
	uint64_t fid = bits_get(NVME_FEATURE_FID, le32_get(r->cmd.cdw10));

	if (fid == NVME_FID_QUEUES && makes(M_queues_promised))
		r->dw0 += 0x00010001;
}

WRAP(nvme_status, ebs_admin_set_features, struct ebs_request *r)
{
	nvme_status status;

	if (makes(M_feature_forgotten) &&
	    (le32_get(r->cmd.cdw10) & 0xff) == NVME_FID_COALESCING)
		return NVME_SUCCESS;
	if (makes(M_save_ignored))
		r->cmd.cdw10 = le32_put(le32_get(r->cmd.cdw10) & 0x7fffffff);
	status = __real_ebs_admin_set_features(r);
	promise(r);
	return status;
}

WRAP(nvme_status, ebs_admin_get_features, struct ebs_request *r)
{
	nvme_status status = __real_ebs_admin_get_features(r);

	promise(r);
	return status;
}

WRAP(void, ebs_features_reset, struct ebs_controller *c)
{
	struct ebs_feature_values before = c->state->features;

	__real_ebs_features_reset(c);
	if (makes(M_feature_survives))
		c->state->features.coalescing = before.coalescing;
}

/* --- Abort ---------------------------------------------------------------- */

WRAP(void, ebs_cq_post, struct ebs_request *r)
{
	if (!r->sqid && r->cmd.opcode == NVME_ADMIN_ABORT &&
	    makes(M_abort_boasts))
		r->dw0 = 0;
	__real_ebs_cq_post(r);
}

/* --- Data ----------------------------------------------------------------- */

WRAP(void, ebs_prp_walk, struct ebs_prp *prp, struct pcie_function *fn,
     uint64_t prp1, uint64_t prp2, uint64_t bytes,
     void (*done)(struct ebs_prp *prp, enum ebs_prp_error error))
{
	const uint64_t page = ~(NVME_PAGE_BYTES - 1);

	late.iova = prp1;
	if (makes(M_offset_dropped))
		prp1 &= page;
	if (makes(M_prp2_rounded) && bytes <= 2 * NVME_PAGE_BYTES)
		prp2 &= page;
	if (makes(M_list_rounded) && bytes > 2 * NVME_PAGE_BYTES)
		prp2 &= page;
	__real_ebs_prp_walk(prp, fn, prp1, prp2, bytes, done);
}

WRAP(int, ebs_volume_submit, struct ebs_volume *volume,
     struct ebs_volume_io *io)
{
	if (io->op == EBS_VOLUME_WRITE && makes(M_write_lost))
		io->op = EBS_VOLUME_READ;
	return __real_ebs_volume_submit(volume, io);
}

/* --- Interrupts ----------------------------------------------------------- */

WRAP(void, pcie_interrupt_raise, struct pcie_function *fn, unsigned int vector)
{
	__real_pcie_interrupt_raise(fn, makes(M_vector_swapped) ? 0 : vector);
}

WRAP(void, pcie_intx_set, struct pcie_function *fn, bool level)
{
	static bool has_been_up;

	has_been_up |= level;
	__real_pcie_intx_set(fn, level || (has_been_up && makes(M_pin_stuck)));
}

/* --- A network adapter ---------------------------------------------------- */

WRAP(ena_status, ena_refuse, struct ena_nic *nic, enum ena_rule rule,
     uint8_t code, uint64_t value)
{
	if ((rule == ENA_RULE_ADMIN_OPCODE && makes(M_ena_opcode_status)) ||
	    (rule == ENA_RULE_FEATURE_UNKNOWN && makes(M_ena_feature_status)))
		code = ENA_ADMIN_ILLEGAL_PARAMETER;
	return __real_ena_refuse(nic, rule, code, value);
}

WRAP(ena_status, ena_set_aenq, struct ena_admin_command *cmd)
{
	ena_status status;

	if (makes(M_ena_groups_lost))
		return ENA_OK;
	status = __real_ena_set_aenq(cmd);
	if (makes(M_ena_events_lost))
		cmd->nic->state->aenq_groups = 0;
	return status;
}

WRAP(ena_status, ena_destroy_sq, struct ena_admin_command *cmd)
{
	ena_status status = __real_ena_destroy_sq(cmd);

	return makes(M_ena_destroyed_twice) ? ENA_OK : status;
}

WRAP(ena_status, ena_create_sq, struct ena_admin_command *cmd)
{
	ena_status status = __real_ena_create_sq(cmd);

	if (makes(M_ena_llq_askew))
		cmd->out.body[offsetof(struct ena_admin_create_sq_resp,
				       llq_descriptors_offset)] |= 8;
	return status;
}

WRAP(uint32_t, ena_tx_burst, struct ena_nic *nic, uint16_t n,
     uint16_t available)
{
	if (makes(M_ena_last_left))
		available--;
	return available ? __real_ena_tx_burst(nic, n, available) : 0;
}

WRAP(void, ena_frame_put_wire, const struct ena_frame *frame, unsigned int n,
     const struct ena_frame_room *room)
{
	uint8_t *bytes = room->pieces[0].iov_base;

	__real_ena_frame_put_wire(frame, n, room);
	if (makes(M_ena_rx_byte))
		bytes[20] ^= 1;
}

WRAP(bool, ena_frame_l4_csum_is_good, const struct ena_frame *frame,
     const struct ena_frame_info *info)
{
	return makes(M_ena_csum_believed) ||
	       __real_ena_frame_l4_csum_is_good(frame, info);
}

WRAP(uint32_t, ena_rss_hash, const struct ena_nic *nic,
     const struct ena_frame *frame, const struct ena_frame_info *info)
{
	return __real_ena_rss_hash(nic, frame, info) + makes(M_ena_hash_off);
}

WRAP(void, ena_management_interrupt, struct ena_nic *nic)
{
	if (!makes(M_ena_admin_silent))
		__real_ena_management_interrupt(nic);
}
