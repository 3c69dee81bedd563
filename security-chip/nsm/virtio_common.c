/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The common configuration (virtio 1.2, 4.1.4.3): regs.def with what its fields
 * read and do.  On the function's loop.
 */
#include "security-chip/nsm/trace.h"
#include "security-chip/nsm/virtio.h"

typedef uint64_t get_fn(struct virtio_device *device);
typedef void set_fn(struct virtio_device *device, uint64_t value);

/* ---- features ---- */

static uint64_t get_zero(struct virtio_device *device)
{
	(void)device;
	return 0;
}

static uint64_t get_device_select(struct virtio_device *device)
{
	return device->state->device_select;
}

static void set_device_select(struct virtio_device *device, uint64_t value)
{
	device->state->device_select = (uint32_t)value;
}

static uint64_t word_of(uint64_t features, uint32_t select)
{
	return select < 2 ? (uint32_t)(features >> 32 * select) : 0;
}

static uint64_t get_device_feature(struct virtio_device *device)
{
	return word_of(device->ops->features(device),
		       device->state->device_select);
}

static uint64_t get_driver_select(struct virtio_device *device)
{
	return device->state->driver_select;
}

static void set_driver_select(struct virtio_device *device, uint64_t value)
{
	device->state->driver_select = (uint32_t)value;
}

static uint64_t get_driver_feature(struct virtio_device *device)
{
	return word_of(device->state->driver_features,
		       device->state->driver_select);
}

static void set_driver_feature(struct virtio_device *device, uint64_t value)
{
	struct virtio_state *s = device->state;
	unsigned int shift = 32 * (s->driver_select & 1);

	if (s->status & VIRTIO_STATUS_FEATURES_OK) {
		virtio_broke(device, NSM_RULE_FEATURE_LATE, value);
		return;
	}
	if (s->driver_select > 1) {
		if (value)
			virtio_broke(device, NSM_RULE_FEATURE_UNKNOWN,
				     s->driver_select);
		return;
	}
	s->driver_features &= ~(UINT64_C(0xffffffff) << shift);
	s->driver_features |= value << shift;
}

/* ---- vectors ---- */

static uint16_t check_vector(struct virtio_device *device, uint64_t value)
{
	if (value < device->fn->identity.msix_vectors ||
	    value == VIRTIO_NO_VECTOR)
		return (uint16_t)value;
	virtio_broke(device, NSM_RULE_VECTOR_RANGE, value);
	return VIRTIO_NO_VECTOR;
}

static uint64_t get_config_vector(struct virtio_device *device)
{
	return device->state->config_vector;
}

static void set_config_vector(struct virtio_device *device, uint64_t value)
{
	device->state->config_vector = check_vector(device, value);
}

/* ---- status ---- */

static uint64_t get_status(struct virtio_device *device)
{
	return device->state->status;
}

/* 2.2.2: what it does not support it does not agree to. */
static bool agrees_to_features(struct virtio_device *device)
{
	uint64_t offered = device->ops->features(device);
	uint64_t accepted = device->state->driver_features;

	if (accepted & ~offered) {
		virtio_broke(device, NSM_RULE_FEATURE_UNKNOWN,
			     accepted & ~offered);
		return false;
	}
	if (offered & ~accepted & BIT(VIRTIO_F_VERSION_1)) {
		virtio_broke(device, NSM_RULE_FEATURE_VERSION_1, accepted);
		return false;
	}
	return true;
}

/* Each bit of the start has another before it (3.1.1). */
static bool status_is_in_order(uint8_t status)
{
	static const uint8_t order[] = { VIRTIO_STATUS_DRIVER_OK,
					 VIRTIO_STATUS_FEATURES_OK,
					 VIRTIO_STATUS_DRIVER,
					 VIRTIO_STATUS_ACKNOWLEDGE };

	for (unsigned int i = 0; i + 1 < sizeof order; i++)
		if ((status & order[i]) && !(status & order[i + 1]))
			return false;
	return true;
}

static void take_status(struct virtio_device *device, uint8_t written)
{
	struct virtio_state *s = device->state;
	uint8_t before = s->status, fresh = (uint8_t)(written & ~before);

	if (before & ~written & ~VIRTIO_STATUS_NEEDS_RESET)
		virtio_broke(device, NSM_RULE_STATUS_CLEARED, written);
	if (!status_is_in_order(written))
		virtio_broke(device, NSM_RULE_STATUS_ORDER, written);
	if ((before & VIRTIO_STATUS_NEEDS_RESET) &&
	    (fresh & VIRTIO_STATUS_DRIVER_OK))
		virtio_broke(device, NSM_RULE_STATUS_NEEDS_RESET, written);
	if ((fresh & VIRTIO_STATUS_FEATURES_OK) && !agrees_to_features(device))
		fresh &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	fresh &= (uint8_t)~VIRTIO_STATUS_NEEDS_RESET; /* ours alone */
	s->status = before | fresh;
}

static void virtio_set_status(struct virtio_device *device, uint64_t value)
{
	uint8_t before = device->state->status;

	if (value) {
		take_status(device, (uint8_t)value);
	} else {
		rt_counter_add(&device->counters.resets, 1);
		virtio_reset(device);
	}
	trace_nsm_status(before, device->state->status);
}

void virtio_needs_reset(struct virtio_device *device)
{
	struct virtio_state *s = device->state;

	if (s->status & VIRTIO_STATUS_NEEDS_RESET)
		return;
	s->status |= VIRTIO_STATUS_NEEDS_RESET;
	if (s->status & VIRTIO_STATUS_DRIVER_OK)
		virtio_interrupt(device, s->config_vector, VIRTIO_ISR_CONFIG);
}

void virtio_fail(struct virtio_device *device, enum virtio_rule rule,
		 uint64_t value)
{
	virtio_broke(device, rule, value);
	virtio_needs_reset(device);
}

void virtio_reset(struct virtio_device *device)
{
	struct virtio_state *s = device->state;

	virtio_queue_stop(&device->queue);
	device->ops->reset(device);
	*s = (struct virtio_state){ 0 };
	s->config_vector = VIRTIO_NO_VECTOR;
	s->queue.vector = VIRTIO_NO_VECTOR;
	s->queue.size = device->ops->queue_size(device);
	pcie_intx_set(device->fn, false);
}

/* ---- the queue ---- */

static uint64_t get_num_queues(struct virtio_device *device)
{
	(void)device;
	return 1;
}

static uint64_t get_queue_select(struct virtio_device *device)
{
	return device->state->queue_select;
}

static void set_queue_select(struct virtio_device *device, uint64_t value)
{
	device->state->queue_select = (uint16_t)value;
}

/* What is not there reads as 0 (4.1.4.3.1). */
static const struct virtio_queue_state *shown(struct virtio_device *device)
{
	static const struct virtio_queue_state none;

	return device->state->queue_select ? &none : &device->state->queue;
}

/* The queue, if it may be set up now. */
static struct virtio_queue_state *open_queue(struct virtio_device *device)
{
	struct virtio_state *s = device->state;

	if (s->queue_select) {
		virtio_broke(device, NSM_RULE_QUEUE_SELECT, s->queue_select);
		return NULL;
	}
	if (s->queue.is_enabled) {
		virtio_broke(device, NSM_RULE_QUEUE_LATE, s->status);
		return NULL;
	}
	return &s->queue;
}

static uint64_t get_queue_size(struct virtio_device *device)
{
	return shown(device)->size;
}

static void set_queue_size(struct virtio_device *device, uint64_t value)
{
	struct virtio_queue_state *q = open_queue(device);

	if (!q)
		return;
	if (!value || (value & (value - 1)) ||
	    value > device->ops->queue_size(device))
		virtio_broke(device, NSM_RULE_QUEUE_SIZE, value);
	else
		q->size = (uint16_t)value;
}

static uint64_t get_queue_vector(struct virtio_device *device)
{
	return device->state->queue_select ? VIRTIO_NO_VECTOR
					   : shown(device)->vector;
}

/* Linux takes the vector away after the queue was enabled. */
static void set_queue_vector(struct virtio_device *device, uint64_t value)
{
	if (device->state->queue_select)
		virtio_broke(device, NSM_RULE_QUEUE_SELECT,
			     device->state->queue_select);
	else
		device->state->queue.vector = check_vector(device, value);
}

static uint64_t get_queue_enable(struct virtio_device *device)
{
	return shown(device)->is_enabled;
}

bool virtio_queue_is_aligned(const struct virtio_queue_state *q)
{
	return q->desc % VIRTIO_DESC_ALIGN == 0 &&
	       q->driver % VIRTIO_AVAIL_ALIGN == 0 &&
	       q->device % VIRTIO_USED_ALIGN == 0;
}

static void set_queue_enable(struct virtio_device *device, uint64_t value)
{
	struct virtio_queue_state *q;

	if (value != 1) {
		virtio_broke(device, NSM_RULE_QUEUE_ENABLE, value);
		return;
	}
	q = open_queue(device);
	if (!q)
		return;
	if (!virtio_queue_is_aligned(q)) {
		virtio_fail(device, NSM_RULE_QUEUE_ALIGNMENT, q->desc);
		return;
	}
	q->is_enabled = true;
	trace_nsm_queue_enabled(q->size, q->desc, q->driver, q->device);
}

/* Both halves of an address of the queue. */
#define ADDRESS(part)                                                          \
	static uint64_t get_##part##_lo(struct virtio_device *device)          \
	{                                                                      \
		return (uint32_t)shown(device)->part;                          \
	}                                                                      \
	static uint64_t get_##part##_hi(struct virtio_device *device)          \
	{                                                                      \
		return shown(device)->part >> 32;                              \
	}                                                                      \
	static void set_##part##_lo(struct virtio_device *device,              \
				    uint64_t value)                            \
	{                                                                      \
		struct virtio_queue_state *q = open_queue(device);             \
                                                                               \
		if (q)                                                         \
			q->part = bits_put(BITS(31, 0), q->part, value);       \
	}                                                                      \
	static void set_##part##_hi(struct virtio_device *device,              \
				    uint64_t value)                            \
	{                                                                      \
		struct virtio_queue_state *q = open_queue(device);             \
                                                                               \
		if (q)                                                         \
			q->part = bits_put(BITS(63, 32), q->part, value);      \
	}
ADDRESS(desc)
ADDRESS(driver)
ADDRESS(device)
#undef ADDRESS

/* ---- the table ---- */

static void refuse(struct virtio_device *device, uint64_t value)
{
	virtio_broke(device, NSM_RULE_REGISTER_READ_ONLY, value);
}

const struct pcie_reg virtio_registers[VIRTIO_REGISTERS] = {
#define REG(reg, at, bytes, get, set)                                          \
	{ .name = #reg, .offset = at, .size = bytes },
#include "security-chip/nsm/regs.def"
#undef REG
};

static const struct {
	get_fn *get;
	set_fn *set;
} fields[VIRTIO_REGISTERS] = {
#define REG(name, offset, size, get, set) { get, set },
#include "security-chip/nsm/regs.def"
#undef REG
};

/* Reads of any width are put together; Linux's are the fields' own. */
uint64_t virtio_common_read(struct virtio_device *device, uint64_t offset,
			    unsigned int size)
{
	uint8_t store[VIRTIO_COMMON_BYTES];

	for (unsigned int i = 0; i < VIRTIO_REGISTERS; i++) {
		const struct pcie_reg *reg = &virtio_registers[i];

		le_store(store + reg->offset, reg->size, fields[i].get(device));
	}
	return pcie_regs_read(virtio_registers, VIRTIO_REGISTERS, store, offset,
			      size);
}

static bool write_field(struct virtio_device *device, uint64_t offset,
			unsigned int size, uint64_t value)
{
	for (unsigned int i = 0; i < VIRTIO_REGISTERS; i++) {
		if (virtio_registers[i].offset != offset ||
		    virtio_registers[i].size != size)
			continue;
		fields[i].set(device, value);
		return true;
	}
	return false;
}

void virtio_common_write(struct virtio_device *device, uint64_t offset,
			 unsigned int size, uint64_t value)
{
	bool is_long = size == 8 && offset >= VIRTIO_QUEUE_DESC;

	trace_nsm_register_write(offset, value);
	if (is_long && offset % 8 == 0) {
		write_field(device, offset, 4, (uint32_t)value);
		write_field(device, offset + 4, 4, value >> 32);
	} else if (!write_field(device, offset, size, value)) {
		virtio_broke(device, NSM_RULE_REGISTER_ACCESS, offset);
	}
}
