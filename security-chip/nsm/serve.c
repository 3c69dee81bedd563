/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests as they come from the queue, and answers as they go back: what can
 * be made to go wrong on the way is here.
 */
#include <string.h>

#include "security-chip/nsm/nsm.h"

static struct nsm *of_device(struct virtio_device *device)
{
	return rt_container_of(device, struct nsm, virtio);
}

/* ---- what goes wrong ---- */

static void choose_mishap(struct nsm *nsm)
{
	struct rt_fault_set *faults = &nsm->fn->faults;
	struct virtio_mishap *m = &nsm->mishap;
	uint64_t value;

	*m = (struct virtio_mishap){ 0 };
	if (!faults->rule_count)
		return;
	m->is_dropped = rt_fault(faults, nsm_fault_drop_answer, &value);
	m->is_silent = rt_fault(faults, nsm_fault_drop_interrupt, &value);
	m->is_early = rt_fault(faults, nsm_fault_early_interrupt, &value);
	m->early_ns = m->is_early ? value * 1000 : 0;
	m->is_swapped = rt_fault(faults, nsm_fault_swap_answer, &value);
	m->has_id = rt_fault(faults, nsm_fault_used_id, &value);
	m->id = (uint16_t)value;
}

static uint64_t cut_answer(struct nsm *nsm)
{
	uint64_t size = nsm->state->response_bytes, left;

	if (rt_fault(&nsm->fn->faults, nsm_fault_truncated, &left) &&
	    left < size)
		size = left;
	return size;
}

/* ---- the way back ---- */

static void answer(struct nsm *nsm)
{
	uint64_t ignored;

	choose_mishap(nsm);
	if (rt_fault(&nsm->fn->faults, nsm_fault_needs_reset, &ignored)) {
		virtio_needs_reset(&nsm->virtio);
		return;
	}
	virtio_answer(&nsm->virtio, cut_answer(nsm), &nsm->mishap);
}

static void is_late_enough(struct rt_timer *timer)
{
	answer(rt_container_of(timer, struct nsm, late));
}

void nsm_answer(struct nsm *nsm)
{
	struct rt_loop *loop = nsm->fn->loop;
	uint64_t us;

	if (rt_fault(&nsm->fn->faults, nsm_fault_late_answer, &us) &&
	    !rt_timer_start(loop, &nsm->late, rt_loop_now_ns(loop) + us * 1000))
		return;
	answer(nsm);
}

/* ---- the way in ---- */

static void message(struct virtio_device *device, uint64_t size, uint64_t room)
{
	struct nsm *nsm = of_device(device);

	if (room != NSM_RESPONSE_BYTES)
		virtio_broke(device, NSM_RULE_RESPONSE_SIZE, room);
	nsm->room = room;
	if (nsm->state->is_answered || nsm_command_run(nsm, size))
		nsm_answer(nsm);
}

static void forget(struct virtio_device *device)
{
	struct nsm *nsm = of_device(device);

	rt_timer_stop(nsm->fn->loop, &nsm->late);
	nsm_signer_cancel(nsm->signer);
	nsm->state->is_answered = false;
	/* A guest's random numbers are not for a core or a successor. */
	explicit_bzero(nsm->state->response, nsm->state->response_bytes);
	nsm->state->response_bytes = 0;
}

/* ---- what the device is ---- */

static uint64_t features(struct virtio_device *device)
{
	uint64_t offered =
		BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM);
	uint64_t ignored;

	if (rt_fault(&device->fn->faults, nsm_fault_no_version_1, &ignored))
		offered &= ~BIT(VIRTIO_F_VERSION_1);
	return offered;
}

static uint16_t queue_size(struct virtio_device *device)
{
	uint64_t size = NSM_QUEUE_ENTRIES;

	if (!rt_fault(&device->fn->faults, nsm_fault_queue_size, &size) ||
	    !size || (size & (size - 1)) || size > NSM_QUEUE_ENTRIES)
		return NSM_QUEUE_ENTRIES;
	return (uint16_t)size;
}

const struct virtio_ops nsm_virtio_ops = {
	.message = message,
	.reset = forget,
	.features = features,
	.queue_size = queue_size,
};

void nsm_serve_init(struct nsm *nsm)
{
	nsm->late.fired = is_late_enough;
	nsm->virtio.fn = nsm->fn;
	nsm->virtio.state = &nsm->state->virtio;
	nsm->virtio.ops = &nsm_virtio_ops;
	nsm->virtio.message = nsm->message;
	nsm->virtio.message_room = sizeof nsm->message;
	nsm->virtio.answer = nsm->state->response;
	virtio_init(&nsm->virtio);
}

void nsm_serve_stop(struct nsm *nsm)
{
	rt_timer_stop(nsm->fn->loop, &nsm->late);
	nsm_signer_cancel(nsm->signer);
	virtio_quiesce(&nsm->virtio);
}
