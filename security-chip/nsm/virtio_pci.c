/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Virtio over PCI (virtio 1.2, 4.1): where things are, the BAR, interrupts, and
 * the window through which firmware without memory space reaches the BAR.  On
 * the function's loop.
 *
 *   BAR 0  0x0000  common configuration
 *          0x1000  interrupt status: read to clear
 *          0x3000  notifications of queue 0
 *   BAR 1          the MSI-X table
 */
#include <string.h>

#include "security-chip/nsm/trace.h"
#include "security-chip/nsm/virtio.h"

#define MSIX_BAR_BYTES 0x1000u
#define MSIX_PBA       0x800u
#define WINDOW         3u

#define LE32(n) (n) & 0xff, (n) >> 8 & 0xff, (n) >> 16 & 0xff, (n) >> 24 & 0xff
/* The header's first 3 bytes are the model's. */
#define CAP(type, bar, at, size)                                               \
	0, 0, 0, type, bar, 0, 0, 0, LE32(at), LE32(size)

static const uint8_t common_cap[] = { CAP(VIRTIO_PCI_COMMON, NSM_BAR, 0u,
					  VIRTIO_COMMON_BYTES) };
static const uint8_t notify_cap[] = { CAP(VIRTIO_PCI_NOTIFY, NSM_BAR,
					  NSM_NOTIFY, NSM_NOTIFY_BYTES),
				      LE32(NSM_NOTIFY_BYTES) };
static const uint8_t isr_cap[] = { CAP(VIRTIO_PCI_ISR, NSM_BAR, NSM_ISR, 1u) };
static const uint8_t window_cap[] = { CAP(VIRTIO_PCI_WINDOW, 0, 0u, 0u),
				      LE32(0u) };
static const uint8_t window_writable[] = {
	[VIRTIO_CAP_BAR] = 0xff,
	[VIRTIO_CAP_OFFSET] = 0xff,
	0xff,
	0xff,
	0xff,
	[VIRTIO_CAP_LENGTH] = 0xff,
	0xff,
	0xff,
	0xff,
	[VIRTIO_CAP_WINDOW_DATA] = 0xff,
	0xff,
	0xff,
	0xff,
};
static_assert(sizeof window_writable == sizeof window_cap, "a mask each");

void virtio_identity(struct pcie_identity *id)
{
	id->has_intx = true;
	id->revision = 1; /* 4.1.2.1: not transitional */
	id->msix_vectors = NSM_VECTORS;
	id->msix_bar = NSM_MSIX_BAR;
	id->msix_pba_offset = MSIX_PBA;
	id->bars[NSM_BAR].size = NSM_BAR_BYTES;
	id->bars[NSM_MSIX_BAR].size = MSIX_BAR_BYTES;
	id->vendor_caps[0] =
		(struct pcie_vendor_capability){ sizeof common_cap, common_cap,
						 NULL };
	id->vendor_caps[1] =
		(struct pcie_vendor_capability){ sizeof notify_cap, notify_cap,
						 NULL };
	id->vendor_caps[2] = (struct pcie_vendor_capability){ sizeof isr_cap,
							      isr_cap, NULL };
	id->vendor_caps[WINDOW] =
		(struct pcie_vendor_capability){ sizeof window_cap, window_cap,
						 window_writable };
}

/* ---- interrupts, 4.1.4.5, 4.1.5.1.2 ---- */

void virtio_interrupt(struct virtio_device *device, uint16_t vector,
		      uint8_t isr)
{
	struct pcie_function *fn = device->fn;
	bool is_message = pcie_interrupt_mode(fn) == PCIE_MSIX;

	/* The configuration's bit is there with MSI-X, too (4.1.4.5.1). */
	if (!is_message || isr == VIRTIO_ISR_CONFIG)
		device->state->isr |= isr;
	if (is_message && vector == VIRTIO_NO_VECTOR)
		return;
	rt_counter_add(&device->counters.interrupts, 1);
	trace_nsm_interrupt(is_message ? vector : VIRTIO_NO_VECTOR);
	if (is_message)
		pcie_interrupt_raise(fn, vector);
	else
		pcie_intx_set(fn, true);
}

static uint8_t read_isr(struct virtio_device *device)
{
	uint8_t isr = device->state->isr;

	device->state->isr = 0;
	pcie_intx_set(device->fn, false);
	return isr;
}

void virtio_interrupt_mode_changed(struct virtio_device *device)
{
	bool has_pin = pcie_interrupt_mode(device->fn) == PCIE_INTX;

	pcie_intx_set(device->fn, has_pin && device->state->isr);
}

/* ---- BAR 0 ---- */

uint64_t virtio_bar_read(struct virtio_device *device, uint64_t offset,
			 unsigned int size)
{
	if (offset < VIRTIO_COMMON_BYTES)
		return virtio_common_read(device, offset, size);
	if (offset == NSM_ISR)
		return read_isr(device);
	return 0;
}

void virtio_bar_write(struct virtio_device *device, uint64_t offset,
		      unsigned int size, uint64_t value)
{
	if (offset < VIRTIO_COMMON_BYTES)
		virtio_common_write(device, offset, size, value);
	else if (offset == NSM_NOTIFY && size >= 2)
		virtio_queue_notify(device, value);
	else
		virtio_broke(device, NSM_RULE_REGISTER_ACCESS, offset);
}

/* ---- the window, 4.1.4.9 ---- */

struct window {
	uint8_t bar;
	uint32_t offset, length;
};

/* False: nothing is to be reached through it. */
static bool open_window(struct virtio_device *device, const uint8_t *cap,
			struct window *w)
{
	w->bar = cap[VIRTIO_CAP_BAR];
	w->offset = (uint32_t)le_load(cap + VIRTIO_CAP_OFFSET, 4);
	w->length = (uint32_t)le_load(cap + VIRTIO_CAP_LENGTH, 4);
	if (!w->length) /* it is not in use */
		return false;
	if (w->bar < PCIE_BARS &&
	    (w->length == 1 || w->length == 2 || w->length == 4) &&
	    w->offset % w->length == 0)
		return true;
	virtio_broke(device, NSM_RULE_WINDOW_ACCESS, w->length);
	return false;
}

static bool touches_data(unsigned int which, unsigned int first,
			 unsigned int size)
{
	return which == WINDOW && first + size > VIRTIO_CAP_WINDOW_DATA;
}

void virtio_window_read(struct virtio_device *device, unsigned int which,
			uint8_t *cap, unsigned int first, unsigned int size)
{
	struct window w;

	if (touches_data(which, first, size) && open_window(device, cap, &w))
		pcie_region_read(device->fn, w.bar, w.offset,
				 cap + VIRTIO_CAP_WINDOW_DATA, w.length);
}

void virtio_window_wrote(struct virtio_device *device, unsigned int which,
			 uint8_t *cap, unsigned int first, unsigned int size)
{
	struct window w;
	uint8_t data[4];

	if (!touches_data(which, first, size) || !open_window(device, cap, &w))
		return;
	memcpy(data, cap + VIRTIO_CAP_WINDOW_DATA, sizeof data);
	pcie_region_write(device->fn, w.bar, w.offset, data, w.length);
}

/* ---- stopping and going on ---- */

void virtio_quiesce(struct virtio_device *device)
{
	virtio_queue_stop(&device->queue);
}

/* What a copied state must fulfil for us to index by it. */
bool virtio_is_sane(const struct virtio_device *device)
{
	const struct virtio_state *s = device->state;
	const struct virtio_queue_state *q = &s->queue;

	return q->size && !(q->size & (q->size - 1)) &&
	       q->size <= NSM_QUEUE_ENTRIES && q->is_enabled <= 1 &&
	       q->is_showing <= 1 &&
	       (!q->is_enabled || virtio_queue_is_aligned(q)) &&
	       (s->config_vector < NSM_VECTORS ||
		s->config_vector == VIRTIO_NO_VECTOR) &&
	       (q->vector < NSM_VECTORS || q->vector == VIRTIO_NO_VECTOR);
}
