/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver of the network adapter: memory, registers, reset, admin queue and
 * events; ena_feature.c has what is said through them.  One thread.  Owns the
 * memory that the device works on; nothing of it is ever given back.
 */
#include "host-driver/ena_host.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "host-driver/ena_private.h"
#include "host-driver/memory.h"

#define DEFAULT_IOVA       UINT64_C(0x40000000)
#define DEFAULT_BYTES      UINT64_C(0x4000000)
#define DEFAULT_TIMEOUT_MS 10000
#define STALE_ID           0xdeadu /* added to what is awaited */
#define RESET_UNIT_MS      100u

static const struct rt_clock host_clock;

static uint64_t deadline_in(unsigned int ms)
{
	return rt_clock_now_ns(&host_clock) + ms * RT_NS_PER_MS;
}

static bool is_past(uint64_t deadline)
{
	return rt_clock_now_ns(&host_clock) > deadline;
}

/* Something was in vain: let the device have its turn, but not for ever. */
static int wait_a_turn(struct host_ena *e, uint64_t deadline)
{
	int rc = host_poll(e->fn, 0);

	if (rc < 0)
		return rc;
	sched_yield();
	return is_past(deadline) ? -ETIMEDOUT : 0;
}

int host_protest(struct host_ena *e, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(e->why, sizeof e->why, format, args);
	va_end(args);
	return -EPROTO;
}

const char *host_ena_why(const struct host_ena *e)
{
	return e->why;
}

const char *host_ena_status_text(int rc)
{
	static const char *const names[] = {
		[ENA_ADMIN_SUCCESS] = "success",
		[ENA_ADMIN_RESOURCE_ALLOCATION_FAILURE] = "no resources",
		[ENA_ADMIN_BAD_OPCODE] = "bad opcode",
		[ENA_ADMIN_UNSUPPORTED_OPCODE] = "not supported",
		[ENA_ADMIN_MALFORMED_REQUEST] = "malformed request",
		[ENA_ADMIN_ILLEGAL_PARAMETER] = "illegal parameter",
		[ENA_ADMIN_UNKNOWN_ERROR] = "unknown error",
		[ENA_ADMIN_RESOURCE_BUSY] = "resource busy",
	};

	if (rc < 0)
		return rt_errno_name(rc);
	return (size_t)rc < RT_COUNT(names) ? names[rc] : "unknown status";
}

/* --- Memory --------------------------------------------------------------- */

uint64_t host_ena_alloc(struct host_ena *e, uint64_t size, uint64_t align)
{
	return host_take_memory(&e->memory, &e->memory_used, size, align);
}

void *host_ena_at(struct host_ena *e, uint64_t iova)
{
	void *at = host_memory_at(&e->memory, iova);

	assert(at);
	return at;
}

/* --- Open and close ------------------------------------------------------- */

static void map_llq(struct host_ena *e)
{
	volatile void *at = NULL;

	e->llq_memory = NULL;
	if (host_region_size(e->fn, ENA_MEM_BAR, &e->llq_bytes) < 0)
		e->llq_bytes = 0;
	if (e->llq_bytes > 0 &&
	    host_region_map(e->fn, ENA_MEM_BAR, 0, e->llq_bytes, &at) == 0)
		e->llq_memory = at;
}

static int start_memory(struct host_ena *e)
{
	const struct host_ena_options *o = &e->options;
	int rc = host_memory_map(e->fn, o->iova, o->size, !o->is_by_message,
				 &e->memory);

	if (rc < 0)
		return rc;
	/* Leave address zero of the memory unused: 0 means "no more". */
	e->memory_used = HOST_ENA_PAGE;
	e->answer = host_ena_alloc(e, HOST_ENA_PAGE, HOST_ENA_PAGE);
	e->aq.iova = host_ena_alloc(e, o->admin_depth * ENA_ADMIN_ENTRY_BYTES,
				    HOST_ENA_PAGE);
	e->acq.iova = host_ena_alloc(e, o->admin_depth * ENA_ADMIN_ENTRY_BYTES,
				     HOST_ENA_PAGE);
	e->aenq.iova = host_ena_alloc(e, o->aenq_depth * ENA_ADMIN_ENTRY_BYTES,
				      HOST_ENA_PAGE);
	e->host_info = host_ena_alloc(e, HOST_ENA_PAGE, HOST_ENA_PAGE);
	e->debug_area = host_ena_alloc(e, HOST_ENA_PAGE, HOST_ENA_PAGE);
	e->scratch = host_ena_alloc(e, HOST_ENA_PAGE, HOST_ENA_PAGE);
	return e->scratch ? 0 : -ENOMEM;
}

static int start(struct host_ena *e)
{
	int rc = start_memory(e);

	if (rc == 0)
		rc = host_turn_on(e->fn);
	if (rc == 0)
		rc = host_ena_set_answer(e, e->answer);
	if (rc == 0)
		rc = host_ena_read(e, ENA_REGS_CAPS, &e->caps);
	if (rc == 0)
		rc = host_ena_read(e, ENA_REGS_VERSION, &e->version);
	if (rc == 0)
		rc = host_ena_read(e, ENA_REGS_CONTROLLER_VERSION,
				   &e->controller_version);
	if (rc == 0)
		map_llq(e);
	return rc;
}

static void fill_in(struct host_ena_options *o)
{
	if (o->size == 0) {
		o->iova = DEFAULT_IOVA;
		o->size = DEFAULT_BYTES;
	}
	if (o->admin_depth == 0)
		o->admin_depth = HOST_ENA_ADMIN_DEPTH;
	if (o->aenq_depth == 0)
		o->aenq_depth = HOST_ENA_AENQ_DEPTH;
	if (o->timeout_ms == 0)
		o->timeout_ms = DEFAULT_TIMEOUT_MS;
}

int host_ena_open(struct host_function *fn,
		  const struct host_ena_options *options, struct host_ena **out)
{
	struct host_ena *e = calloc(1, sizeof *e);
	int rc;

	if (!e)
		return -ENOMEM;
	if (options)
		e->options = *options;
	fill_in(&e->options);
	e->fn = fn;
	e->memory.fd = -1;
	rc = start(e);
	if (rc < 0) {
		host_ena_close(&e);
		return rc;
	}
	*out = e;
	return 0;
}

void host_ena_close(struct host_ena **e)
{
	if (!*e)
		return;
	if ((*e)->fn && (*e)->memory.bytes) {
		(void)host_ena_set_answer(*e, 0);
		(void)host_memory_unmap((*e)->fn, &(*e)->memory);
	}
	host_memory_free(&(*e)->memory);
	free(*e);
	*e = NULL;
}

int host_ena_move(struct host_ena *e, struct host_function *fn)
{
	int rc;

	e->fn = fn;
	rc = host_memory_attach(fn, &e->memory);
	if (rc == 0)
		map_llq(e);
	return rc;
}

/* --- Registers ------------------------------------------------------------ */

int host_ena_write(struct host_ena *e, uint16_t offset, uint32_t value)
{
	return host_write32(e->fn, ENA_REGS_BAR, offset, value);
}

int host_ena_read_direct(struct host_ena *e, uint16_t offset, uint32_t *out)
{
	return host_read32(e->fn, ENA_REGS_BAR, offset, out);
}

/* The low half is written first. */
static int write_address(struct host_ena *e, uint16_t lo, uint64_t address)
{
	int rc = host_ena_write(e, lo, (uint32_t)address);

	return rc < 0 ? rc
		      : host_ena_write(e, (uint16_t)(lo + 4),
				       (uint32_t)(address >> 32));
}

int host_ena_set_answer(struct host_ena *e, uint64_t iova)
{
	return write_address(e, ENA_REGS_MMIO_RESP_LO, iova);
}

static uint64_t load_answer(struct host_ena *e)
{
	const uint64_t *at = host_ena_at(e, e->answer);

	return le64toh(__atomic_load_n(at, __ATOMIC_ACQUIRE));
}

int host_ena_read_dma(struct host_ena *e, uint16_t offset, uint32_t *out)
{
	uint64_t deadline = deadline_in(e->options.timeout_ms), answer;
	uint16_t id = ++e->read_id;
	int rc;

	le_store(host_ena_at(e, e->answer), 2, (uint16_t)(id + STALE_ID));
	rc = host_ena_write(e, ENA_REGS_MMIO_REG_READ,
			    (uint32_t)offset << 16 | id);
	for (answer = load_answer(e); rc == 0 && (uint16_t)answer != id;
	     answer = load_answer(e))
		rc = wait_a_turn(e, deadline);
	if (rc < 0)
		return rc;
	if ((uint16_t)(answer >> 16) != offset)
		return host_protest(e,
				    "register %#x was asked for, %#x is "
				    "answered",
				    offset, (uint16_t)(answer >> 16));
	*out = (uint32_t)(answer >> 32);
	return 0;
}

int host_ena_read(struct host_ena *e, uint16_t offset, uint32_t *out)
{
	return e->options.is_direct ? host_ena_read_direct(e, offset, out)
				    : host_ena_read_dma(e, offset, out);
}

/* --- Reset ---------------------------------------------------------------- */

int host_ena_wait_sts(struct host_ena *e, uint32_t mask, uint32_t value)
{
	uint64_t deadline = deadline_in(
		(unsigned int)bits_get(ENA_REGS_CAPS_RESET_TO, e->caps) *
		RESET_UNIT_MS);
	uint32_t sts = 0;
	int rc;

	do {
		rc = host_ena_read(e, ENA_REGS_DEV_STS, &sts);
		if (rc < 0 || (sts & mask) == value)
			return rc;
		rc = wait_a_turn(e, deadline);
	} while (rc == 0);
	return rc;
}

/* Reasons from 16 on need a device that looks at the upper bits as well. */
static uint32_t control_of(const struct host_ena *e, uint32_t reason)
{
	uint64_t word = ENA_REGS_DEV_CTL_DEV_RESET;

	if (reason >= 16 && !host_ena_can(e, ENA_ADMIN_EXTENDED_RESET_REASONS))
		reason = ENA_REGS_RESET_GENERIC;
	word = bits_put(ENA_REGS_DEV_CTL_REASON, word, reason & 15);
	return (uint32_t)bits_put(ENA_REGS_DEV_CTL_REASON_EXT, word,
				  reason >> 4);
}

/* Nothing that was made or agreed on is there any more. */
static void forget(struct host_ena *e)
{
	e->aq.index = e->acq.index = e->aenq.index = 0;
	memset(e->is_parcel, 0, sizeof e->is_parcel);
	e->llq = (struct host_ena_llq){ 0 };
	e->phc = 0;
	e->is_link_up = false;
}

int host_ena_reset_begin(struct host_ena *e, enum ena_regs_reset_reason reason)
{
	int rc = host_ena_wait_sts(e, ENA_REGS_DEV_STS_READY,
				   ENA_REGS_DEV_STS_READY);

	if (rc == 0)
		rc = host_ena_write(e, ENA_REGS_DEV_CTL, control_of(e, reason));
	/* Before the device says that it is in reset, as drivers do. */
	if (rc == 0)
		rc = host_ena_set_answer(e, e->answer);
	if (rc == 0)
		rc = host_ena_wait_sts(e, ENA_REGS_DEV_STS_RESET_IN_PROGRESS,
				       ENA_REGS_DEV_STS_RESET_IN_PROGRESS);
	forget(e);
	return rc;
}

int host_ena_reset_end(struct host_ena *e)
{
	int rc = host_ena_write(e, ENA_REGS_DEV_CTL, 0);

	if (rc == 0)
		rc = host_ena_wait_sts(e, ENA_REGS_DEV_STS_RESET_IN_PROGRESS,
				       0);
	return rc;
}

int host_ena_reset(struct host_ena *e, enum ena_regs_reset_reason reason)
{
	int rc = host_ena_reset_begin(e, reason);

	return rc < 0 ? rc : host_ena_reset_end(e);
}

static void clear_ring(struct host_ena *e, struct host_ena_ring *ring,
		       uint32_t depth)
{
	ring->depth = depth;
	ring->index = 0;
	memset(host_ena_at(e, ring->iova), 0, depth * ENA_ADMIN_ENTRY_BYTES);
}

static int write_caps(struct host_ena *e, uint16_t offset,
		      const struct host_ena_ring *ring)
{
	return host_ena_write(e, offset,
			      ENA_ADMIN_ENTRY_BYTES << 16 | ring->depth);
}

int host_ena_admin_init(struct host_ena *e)
{
	int rc = host_ena_wait_sts(e, ENA_REGS_DEV_STS_READY,
				   ENA_REGS_DEV_STS_READY);

	clear_ring(e, &e->aq, e->options.admin_depth);
	clear_ring(e, &e->acq, e->options.admin_depth);
	clear_ring(e, &e->aenq, e->options.aenq_depth);
	if (rc == 0)
		rc = write_address(e, ENA_REGS_AQ_BASE_LO, e->aq.iova);
	if (rc == 0)
		rc = write_address(e, ENA_REGS_ACQ_BASE_LO, e->acq.iova);
	if (rc == 0)
		rc = write_caps(e, ENA_REGS_AQ_CAPS, &e->aq);
	if (rc == 0)
		rc = write_caps(e, ENA_REGS_ACQ_CAPS, &e->acq);
	if (rc == 0)
		rc = write_address(e, ENA_REGS_AENQ_BASE_LO, e->aenq.iova);
	if (rc == 0)
		rc = write_caps(e, ENA_REGS_AENQ_CAPS, &e->aenq);
	return rc < 0 ? rc : host_ena_admin_interrupt(e, false);
}

int host_ena_admin_interrupt(struct host_ena *e, bool is_on)
{
	return host_ena_write(e, ENA_REGS_INTR_MASK,
			      is_on ? 0 : ENA_REGS_INTR_MASK_MGMT);
}

/* Before a second reset the first must have told what reasons there may be. */
int host_ena_start(struct host_ena *e)
{
	int rc = host_ena_reset(e, ENA_REGS_RESET_NORMAL);

	if (rc == 0)
		rc = host_ena_admin_init(e);
	if (rc == 0)
		rc = host_ena_set_host_info(e, 0);
	if (rc == 0)
		rc = host_ena_learn(e);
	if (rc == 0)
		rc = host_ena_set_events(
			e, le32_get(e->facts.aenq.supported_groups));
	if (rc != 0)
		return rc;
	rc = host_ena_set_llq(e, 0);
	return rc == -EOPNOTSUPP ? 0 : rc;
}

/* --- Admin commands ------------------------------------------------------- */

/* The phase of a free-running index: 1 in the first round. */
static uint8_t phase_at(const struct host_ena_ring *ring, uint16_t index)
{
	return (index / ring->depth & 1) == 0;
}

static void *slot_at(struct host_ena *e, const struct host_ena_ring *ring)
{
	uint32_t slot = ring->index % ring->depth;

	return host_ena_at(e, ring->iova + slot * ENA_ADMIN_ENTRY_BYTES);
}

void host_ena_put(struct host_ena *e, const struct ena_admin_aq_entry *entry)
{
	struct ena_admin_aq_entry *slot = slot_at(e, &e->aq);
	uint8_t flags = (uint8_t)(entry->flags & ~ENA_ADMIN_FLAGS_PHASE);

	*slot = *entry;
	slot->flags = flags | phase_at(&e->aq, e->aq.index);
	e->aq.index++;
}

int host_ena_ring_admin(struct host_ena *e)
{
	return host_ena_write(e, ENA_REGS_AQ_DB, e->aq.index);
}

int host_ena_submit(struct host_ena *e, struct ena_admin_aq_entry *entry,
		    uint16_t *id)
{
	uint16_t number = e->next_id++ % (uint16_t)e->aq.depth;

	entry->command_id = le16_put(number);
	if (id)
		*id = number;
	host_ena_put(e, entry);
	return host_ena_ring_admin(e);
}

int host_ena_reap(struct host_ena *e)
{
	const struct ena_admin_acq_entry *entry;
	uint16_t id;
	int count = 0;

	for (;; count++, e->acq.index++) {
		entry = slot_at(e, &e->acq);
		if ((__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) &
		     ENA_ADMIN_FLAGS_PHASE) != phase_at(&e->acq, e->acq.index))
			return count;
		id = (uint16_t)bits_get(ENA_ADMIN_COMMAND_ID,
					le16_get(entry->command_id));
		if (id >= HOST_ENA_PARCELS)
			return host_protest(e, "a completion of command %u",
					    id);
		e->parcels[id] = *entry;
		e->is_parcel[id] = true;
	}
}

bool host_ena_take(struct host_ena *e, uint16_t id,
		   struct ena_admin_acq_entry *out)
{
	if (!e->is_parcel[id])
		return false;
	e->is_parcel[id] = false;
	*out = e->parcels[id];
	return true;
}

int host_ena_wait(struct host_ena *e, uint16_t id,
		  struct ena_admin_acq_entry *out)
{
	uint64_t deadline = deadline_in(e->options.timeout_ms);
	struct ena_admin_acq_entry entry;
	int rc = host_ena_reap(e);

	while (rc >= 0 && !host_ena_take(e, id, &entry)) {
		rc = wait_a_turn(e, deadline);
		if (rc == 0)
			rc = host_ena_reap(e);
	}
	if (rc < 0)
		return rc;
	if (out)
		*out = entry;
	return entry.status;
}

int host_ena_call(struct host_ena *e, struct ena_admin_aq_entry *entry,
		  struct ena_admin_acq_entry *out)
{
	uint16_t id;
	int rc = host_ena_submit(e, entry, &id);

	return rc < 0 ? rc : host_ena_wait(e, id, out);
}

int host_ena_idle(struct host_ena *e, unsigned int ms)
{
	uint64_t deadline = deadline_in(ms);
	int rc;

	do {
		rc = wait_a_turn(e, deadline);
	} while (rc == 0);
	return rc == -ETIMEDOUT ? 0 : rc;
}

/* --- Events --------------------------------------------------------------- */

int host_ena_set_events(struct host_ena *e, uint32_t groups)
{
	const struct ena_admin_aenq_config config = {
		.enabled_groups = le32_put(groups),
	};
	int rc = host_ena_set_feature(e, ENA_ADMIN_AENQ_CONFIG, &config,
				      sizeof config,
				      (struct host_ena_buffer){ 0 }, NULL);

	if (rc != 0)
		return rc;
	return host_ena_write(e, ENA_REGS_AENQ_HEAD_DB,
			      (uint16_t)(e->aenq.depth + e->aenq.index));
}

static void note_event(struct host_ena *e,
		       const struct ena_admin_aenq_entry *entry)
{
	switch (le16_get(entry->group)) {
	case ENA_ADMIN_AENQ_KEEP_ALIVE:
		e->keep_alives++;
		memcpy(&e->drops, entry->payload, sizeof e->drops);
		break;
	case ENA_ADMIN_AENQ_LINK_CHANGE:
		e->link_changes++;
		e->is_link_up =
			le_load(entry->payload, 4) & ENA_ADMIN_AENQ_LINK_UP;
		break;
	default:
		break;
	}
	e->events[e->event_count++ % HOST_ENA_EVENTS] = *entry;
}

int host_ena_take_events(struct host_ena *e)
{
	const struct ena_admin_aenq_entry *entry;
	int count, rc;

	for (count = 0;; count++, e->aenq.index++) {
		entry = slot_at(e, &e->aenq);
		if ((__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) &
		     ENA_ADMIN_FLAGS_PHASE) !=
		    phase_at(&e->aenq, e->aenq.index))
			break;
		note_event(e, entry);
	}
	if (count == 0)
		return 0;
	rc = host_ena_write(e, ENA_REGS_AENQ_HEAD_DB,
			    (uint16_t)(e->aenq.depth + e->aenq.index));
	return rc < 0 ? rc : count;
}

int host_ena_await_event(struct host_ena *e, enum ena_admin_aenq group,
			 unsigned int timeout_ms,
			 struct ena_admin_aenq_entry *out)
{
	uint64_t deadline = deadline_in(timeout_ms);
	uint32_t seen = e->event_count;
	int rc;

	for (;;) {
		rc = host_ena_take_events(e);
		for (; rc >= 0 && seen != e->event_count; seen++) {
			const struct ena_admin_aenq_entry *entry =
				&e->events[seen % HOST_ENA_EVENTS];

			if (le16_get(entry->group) != group)
				continue;
			if (out)
				*out = *entry;
			return 0;
		}
		if (rc == 0)
			rc = wait_a_turn(e, deadline);
		if (rc < 0)
			return rc;
	}
}
