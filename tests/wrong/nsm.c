/* SPDX-License-Identifier: BSD-3-Clause */
/* Mistakes of a security module: see mistakes.def. */
#include <string.h>
#include <sys/random.h>

#include "firmware/rt/scope.h"
#include "host-driver/nsm_host.h"
#include "security-chip/nsm/nsm.h"
#include "tests/wrong/wrong.h"

#define OUTSIDE 0x7000u /* of BAR 0 */

/* --- The device ----------------------------------------------------------- */

static void spoil_place(struct pcie_vendor_capability *cap)
{
	static uint8_t bytes[VIRTIO_CAP_LONGER_BYTES];

	memcpy(bytes, cap->bytes, cap->size);
	le_store(bytes + VIRTIO_CAP_OFFSET, 4, OUTSIDE);
	cap->bytes = bytes;
}

WRAP(void, virtio_identity, struct pcie_identity *id)
{
	__real_virtio_identity(id);
	if (makes(M_virtio_windowless))
		id->vendor_caps[3] = (struct pcie_vendor_capability){ 0 };
	if (makes(M_virtio_outside))
		spoil_place(&id->vendor_caps[1]);
	if (makes(M_virtio_legacy))
		id->revision = 0;
}

WRAP(void, virtio_window_wrote, struct virtio_device *device,
     unsigned int which, uint8_t *cap, unsigned int first, unsigned int size)
{
	if (!makes(M_virtio_window_shut))
		__real_virtio_window_wrote(device, which, cap, first, size);
}

static uint64_t spoil_field(struct virtio_device *device, uint64_t offset,
			    uint64_t value)
{
	const struct virtio_state *s = device->state;

	if (offset == VIRTIO_DEVICE_FEATURE && s->device_select == 1 &&
	    makes(M_virtio_version_hidden))
		return value & ~UINT64_C(1);
	if (offset == VIRTIO_DEVICE_STATUS && s->status &&
	    makes(M_virtio_agrees))
		return value | VIRTIO_STATUS_FEATURES_OK;
	if (offset == VIRTIO_QUEUE_SIZE && makes(M_virtio_queues_everywhere))
		return s->queue.size;
	return value;
}

WRAP(uint64_t, virtio_common_read, struct virtio_device *device,
     uint64_t offset, unsigned int size)
{
	return spoil_field(device, offset,
			   __real_virtio_common_read(device, offset, size));
}

/* What a virtio reset takes away, and what it must not. */
static void spoil_reset(struct virtio_device *device,
			const struct virtio_queue_state *queue)
{
	struct nsm *nsm = rt_container_of(device, struct nsm, virtio);

	if (makes(M_virtio_queue_kept)) {
		device->state->queue = *queue;
		device->state->queue.next_avail = 0;
		device->state->queue.used = 0;
	}
	if (makes(M_nsm_reset_unlocks))
		nsm_pcrs_start(nsm);
	if (makes(M_virtio_late_write) && queue->is_enabled)
		write_late(device->fn, queue->desc + HOST_NSM_SPARE);
}

static bool is_lost(uint64_t offset)
{
	return (offset == VIRTIO_QUEUE_DESC + 4 && makes(M_virtio_half_lost)) ||
	       (offset == VIRTIO_CONFIG_VECTOR && makes(M_virtio_vector_lost));
}

WRAP(void, virtio_common_write, struct virtio_device *device, uint64_t offset,
     unsigned int size, uint64_t value)
{
	struct virtio_queue_state queue = device->state->queue;

	if (!is_lost(offset))
		__real_virtio_common_write(device, offset, size, value);
	if (offset == VIRTIO_DEVICE_STATUS && !value)
		spoil_reset(device, &queue);
}

/* --- The queue ------------------------------------------------------------ */

WRAP(void, virtio_queue_notify, struct virtio_device *device, uint64_t queue)
{
	if (device->state->status & VIRTIO_STATUS_DRIVER_OK ||
	    !makes(M_virtio_by_the_book))
		__real_virtio_queue_notify(device, queue);
}

WRAP(bool, virtio_chain_add, struct virtio_queue *q, struct virtio_chain *chain,
     const struct virtio_desc *desc)
{
	bool is_added = __real_virtio_chain_add(q, chain, desc);

	if (makes(M_virtio_one_piece))
		chain->has_next = false;
	if (makes(M_virtio_rounded) && is_added)
		chain->ranges[chain->count - 1].iova &= ~UINT64_C(15);
	return is_added;
}

WRAP(void, virtio_answer, struct virtio_device *device, uint64_t size,
     const struct virtio_mishap *mishap)
{
	struct virtio_mishap spoiled = *mishap;

	spoiled.is_swapped |= makes(M_virtio_swapped);
	__real_virtio_answer(device, size, &spoiled);
}

WRAP(void, virtio_interrupt, struct virtio_device *device, uint16_t vector,
     uint8_t isr)
{
	if (isr == VIRTIO_ISR_CONFIG && makes(M_virtio_config_silent))
		return;
	if (isr == VIRTIO_ISR_QUEUE && makes(M_virtio_vector_invented) &&
	    vector == VIRTIO_NO_VECTOR)
		vector = 1;
	__real_virtio_interrupt(device, vector, isr);
	if (isr == VIRTIO_ISR_QUEUE && makes(M_virtio_interrupt_twice))
		__real_virtio_interrupt(device, vector, isr);
	if (isr == VIRTIO_ISR_CONFIG && makes(M_virtio_status_unsaid))
		device->state->isr = 0;
}

WRAP(uint64_t, virtio_bar_read, struct virtio_device *device, uint64_t offset,
     unsigned int size)
{
	uint8_t isr = device->state->isr;
	uint64_t value = __real_virtio_bar_read(device, offset, size);

	if (offset == NSM_ISR && makes(M_virtio_status_stays))
		device->state->isr = isr;
	return value;
}

/* --- Commands ------------------------------------------------------------- */

static void spoil_request(struct nsm_request *request, enum nsm_error *error)
{
	if (*error == NSM_INVALID_OPERATION && makes(M_nsm_command_status) &&
	    request->arguments)
		*error = NSM_INVALID_ARGUMENT;
	if (*error == NSM_INVALID_ARGUMENT && makes(M_nsm_argument_assumed))
		*error = NSM_SUCCESS;
	if (makes(M_nsm_index_wraps))
		request->index %= NSM_PCRS;
	request->range += makes(M_nsm_range_off);
}

WRAP(enum nsm_error, nsm_request_parse, const uint8_t *bytes, size_t size,
     struct nsm_request *out)
{
	enum nsm_error error = __real_nsm_request_parse(bytes, size, out);

	spoil_request(out, &error);
	return error;
}

WRAP(bool, nsm_command_run, struct nsm *nsm, uint64_t size)
{
	if (makes(M_nsm_size_cut) && size > NSM_REQUEST_BYTES)
		size = 12;
	if (makes(M_nsm_locks_end))
		nsm->state->locked &= BITS(NSM_BOOT_PCRS - 1, 0);
	return __real_nsm_command_run(nsm, size);
}

WRAP(int, nsm_pcr_extend, struct nsm *nsm, unsigned int index, const void *data,
     size_t size)
{
	if (makes(M_nsm_history_lost))
		memset(nsm->state->pcrs[index], 0, NSM_PCR_BYTES);
	return __real_nsm_pcr_extend(nsm, index, data, size);
}

WRAP(void, nsm_pcrs_start, struct nsm *nsm)
{
	__real_nsm_pcrs_start(nsm);
	if (makes(M_nsm_boot_open))
		nsm->state->locked = 0;
}

WRAP(void, nsm_cbor_put_bytes, struct nsm_cbor_writer *writer,
     const void *bytes, size_t size)
{
	writer->has_long_lengths |= makes(M_nsm_long_lengths);
	__real_nsm_cbor_put_bytes(writer, bytes, size);
}

WRAP(ssize_t, getrandom, void *buffer, size_t size, unsigned int flags)
{
	if (!makes(M_nsm_random_fixed))
		return __real_getrandom(buffer, size, flags);
	memset(buffer, 4, size);
	return (ssize_t)size;
}

/* --- Documents ------------------------------------------------------------ */

static size_t at_most(size_t size)
{
	return size < NSM_DATA_BYTES ? size : NSM_DATA_BYTES;
}

static void spoil_document(struct nsm_document_request *request)
{
	if (makes(M_nsm_nonce_lost))
		request->fields.nonce = NULL;
	if (makes(M_nsm_pcr_left_out))
		request->pcrs.locked &= ~UINT32_C(1);
	if (makes(M_nsm_document_cut))
		request->faults = 64;
	if (makes(M_nsm_digest_name))
		request->faults = 128;
	if (!makes(M_nsm_field_cut))
		return;
	request->fields.user_data_size =
		at_most(request->fields.user_data_size);
	request->fields.nonce_size = at_most(request->fields.nonce_size);
	request->fields.public_key_size =
		at_most(request->fields.public_key_size);
}

WRAP(void, nsm_signer_start, struct nsm_signer *signer,
     const struct nsm_document_request *request)
{
	struct nsm_document_request spoiled = *request;

	spoil_document(&spoiled);
	__real_nsm_signer_start(signer, &spoiled);
}
