/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver of the security module: finding and starting it (virtio 1.2,
 * 3.1.1, 4.1), its queue (2.7), and requests.  Owns its memory and events.
 */
#include "host-driver/nsm_host.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"

#define CAP_ID_VENDOR      0x09u
#define CAP_LIST           0x34u
#define DEFAULT_TIMEOUT_MS 10000u
#define IRQ_INTX           0u
#define IRQ_MSIX           2u

static const struct rt_clock host_clock;

static int protest(struct host_nsm *nsm, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static int protest(struct host_nsm *nsm, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(nsm->why, sizeof nsm->why, format, args);
	va_end(args);
	return -EPROTO;
}

const char *host_nsm_why(const struct host_nsm *nsm)
{
	return nsm->why;
}

static uint64_t deadline_of(const struct host_nsm *nsm)
{
	unsigned int ms = nsm->options.timeout_ms;

	return rt_clock_now_ns(&host_clock) +
	       (ms ? ms : DEFAULT_TIMEOUT_MS) * RT_NS_PER_MS;
}

static int wait_a_turn(struct host_nsm *nsm, uint64_t deadline)
{
	int rc = host_poll(nsm->fn, 0);

	if (rc < 0)
		return rc;
	sched_yield();
	return rt_clock_now_ns(&host_clock) > deadline ? -ETIMEDOUT : 0;
}

/* ---- finding its parts, 4.1.4 ---- */

static void take_cap(struct host_nsm *nsm, const uint8_t *config,
		     unsigned int at)
{
	const uint8_t *cap = config + at;
	uint8_t type = cap[VIRTIO_CAP_CFG_TYPE];
	struct host_nsm_place *place;

	if (type >= RT_COUNT(nsm->places) || nsm->places[type].cap)
		return;
	place = &nsm->places[type];
	place->cap = at;
	place->bar = cap[VIRTIO_CAP_BAR];
	place->offset = (uint32_t)le_load(cap + VIRTIO_CAP_OFFSET, 4);
	place->length = (uint32_t)le_load(cap + VIRTIO_CAP_LENGTH, 4);
	if (type == VIRTIO_PCI_NOTIFY)
		nsm->notify_multiplier =
			(uint32_t)le_load(cap + VIRTIO_CAP_MULTIPLIER, 4);
}

static int find_parts(struct host_nsm *nsm)
{
	uint8_t config[256];
	int rc = host_read(nsm->fn, HOST_CONFIG, 0, config, sizeof config);
	unsigned int at = config[CAP_LIST], turns = 0;

	if (rc < 0)
		return rc;
	if (le_load(config, 2) != VIRTIO_PCI_VENDOR ||
	    le_load(config + 2, 2) != NSM_PCI_DEVICE)
		return -ENODEV;
	for (;
	     at >= 0x40 && at <= 0x100 - VIRTIO_CAP_LONGER_BYTES && turns < 48;
	     at = config[at + 1], turns++)
		if (config[at] == CAP_ID_VENDOR)
			take_cap(nsm, config, at);
	for (unsigned int i = VIRTIO_PCI_COMMON; i <= VIRTIO_PCI_ISR; i++)
		if (!nsm->places[i].cap)
			return protest(nsm, "no capability of type %u", i);
	return 0;
}

/* ---- registers ---- */

int host_nsm_get(struct host_nsm *nsm, unsigned int field, unsigned int size,
		 uint64_t *out)
{
	const struct host_nsm_place *common = &nsm->places[VIRTIO_PCI_COMMON];
	uint8_t bytes[8] = { 0 };
	int rc = host_read(nsm->fn, common->bar, common->offset + field, bytes,
			   size);

	*out = le_load(bytes, size);
	return rc;
}

int host_nsm_set(struct host_nsm *nsm, unsigned int field, unsigned int size,
		 uint64_t value)
{
	const struct host_nsm_place *common = &nsm->places[VIRTIO_PCI_COMMON];
	uint8_t bytes[8];

	le_store(bytes, size, value);
	return host_write(nsm->fn, common->bar, common->offset + field, bytes,
			  size);
}

int host_nsm_status(struct host_nsm *nsm)
{
	uint64_t status;
	int rc = host_nsm_get(nsm, VIRTIO_DEVICE_STATUS, 1, &status);

	return rc < 0 ? rc : (int)status;
}

static int add_status(struct host_nsm *nsm, uint8_t bit)
{
	int status = host_nsm_status(nsm);

	if (status < 0)
		return status;
	return host_nsm_set(nsm, VIRTIO_DEVICE_STATUS, 1,
			    (uint64_t)status | bit);
}

/* 4.1.4.3.2: it is reset when it says so. */
int host_nsm_reset(struct host_nsm *nsm)
{
	uint64_t deadline = deadline_of(nsm);
	int rc = host_nsm_set(nsm, VIRTIO_DEVICE_STATUS, 1, 0);
	int status;

	while (!rc) {
		status = host_nsm_status(nsm);
		if (status <= 0)
			rc = status;
		if (status <= 0)
			break;
		rc = wait_a_turn(nsm, deadline);
	}
	nsm->next_avail = 0;
	nsm->seen_used = 0;
	if (nsm->memory.bytes)
		memset(nsm->memory.bytes, 0, HOST_NSM_REQUEST);
	return rc;
}

int host_nsm_read_isr(struct host_nsm *nsm)
{
	const struct host_nsm_place *isr = &nsm->places[VIRTIO_PCI_ISR];
	uint8_t byte;
	int rc = host_read(nsm->fn, isr->bar, isr->offset, &byte, 1);

	return rc < 0 ? rc : byte;
}

int host_nsm_notify(struct host_nsm *nsm)
{
	const struct host_nsm_place *notify = &nsm->places[VIRTIO_PCI_NOTIFY];
	uint64_t off;
	le16 queue = le16_put(0);
	int rc = host_nsm_get(nsm, VIRTIO_QUEUE_NOTIFY_OFF, 2, &off);

	if (rc < 0)
		return rc;
	atomic_thread_fence(memory_order_seq_cst);
	return host_write(nsm->fn, notify->bar,
			  notify->offset + off * nsm->notify_multiplier, &queue,
			  sizeof queue);
}

/* ---- starting, 3.1.1 ---- */

int host_nsm_negotiate(struct host_nsm *nsm, uint64_t accepted)
{
	uint64_t word;
	int rc = add_status(nsm, VIRTIO_STATUS_ACKNOWLEDGE);

	if (!rc)
		rc = add_status(nsm, VIRTIO_STATUS_DRIVER);
	nsm->features = 0;
	for (unsigned int i = 0; i < 2 && !rc; i++) {
		rc = host_nsm_set(nsm, VIRTIO_DEVICE_FEATURE_SELECT, 4, i);
		if (!rc)
			rc = host_nsm_get(nsm, VIRTIO_DEVICE_FEATURE, 4, &word);
		if (!rc)
			nsm->features |= word << 32 * i;
	}
	for (unsigned int i = 0; i < 2 && !rc; i++) {
		rc = host_nsm_set(nsm, VIRTIO_DRIVER_FEATURE_SELECT, 4, i);
		if (!rc)
			rc = host_nsm_set(nsm, VIRTIO_DRIVER_FEATURE, 4,
					  (uint32_t)(accepted >> 32 * i));
	}
	if (!rc)
		rc = add_status(nsm, VIRTIO_STATUS_FEATURES_OK);
	if (!rc)
		rc = host_nsm_status(nsm);
	if (rc >= 0 && !(rc & VIRTIO_STATUS_FEATURES_OK))
		return protest(nsm, "features %#llx are refused",
			       (unsigned long long)accepted);
	return rc < 0 ? rc : 0;
}

static int set_address(struct host_nsm *nsm, unsigned int field,
		       uint64_t offset)
{
	uint64_t iova = host_memory_iova(&nsm->memory, offset);
	int rc = host_nsm_set(nsm, field, 4, (uint32_t)iova);

	return rc ? rc : host_nsm_set(nsm, field + 4, 4, iova >> 32);
}

static int set_vectors(struct host_nsm *nsm)
{
	static const unsigned int fields[] = { VIRTIO_CONFIG_VECTOR,
					       VIRTIO_QUEUE_VECTOR };
	uint64_t took;
	int rc = 0;

	for (unsigned int i = 0; i < RT_COUNT(fields) && !rc; i++) {
		rc = host_nsm_set(nsm, fields[i], 2, i);
		if (!rc)
			rc = host_nsm_get(nsm, fields[i], 2, &took);
		if (!rc && took != i)
			return protest(nsm, "vector %u is refused", i);
	}
	return rc;
}

int host_nsm_set_up_queue(struct host_nsm *nsm)
{
	uint64_t offered;
	int rc = host_nsm_set(nsm, VIRTIO_QUEUE_SELECT, 2, 0);

	if (!rc)
		rc = host_nsm_get(nsm, VIRTIO_QUEUE_SIZE, 2, &offered);
	if (rc)
		return rc;
	nsm->entries =
		nsm->options.entries ? nsm->options.entries : (uint16_t)offered;
	if (!offered || offered > NSM_QUEUE_ENTRIES)
		return protest(nsm, "a queue of %u entries",
			       (unsigned int)offered);
	rc = host_nsm_set(nsm, VIRTIO_QUEUE_SIZE, 2, nsm->entries);
	if (!rc)
		rc = set_address(nsm, VIRTIO_QUEUE_DESC, HOST_NSM_DESC);
	if (!rc)
		rc = set_address(nsm, VIRTIO_QUEUE_DRIVER, HOST_NSM_AVAIL);
	if (!rc)
		rc = set_address(nsm, VIRTIO_QUEUE_DEVICE, HOST_NSM_USED);
	if (!rc && !nsm->options.uses_pin)
		rc = set_vectors(nsm);
	return rc ? rc : host_nsm_set(nsm, VIRTIO_QUEUE_ENABLE, 2, 1);
}

int host_nsm_begin(struct host_nsm *nsm)
{
	struct virtio_avail *avail =
		(void *)((char *)nsm->memory.bytes + HOST_NSM_AVAIL);
	int rc = host_nsm_negotiate(nsm, BIT(VIRTIO_F_VERSION_1));

	if (!rc)
		rc = host_nsm_set_up_queue(nsm);
	if (nsm->options.is_polling)
		avail->flags = le16_put(VIRTIO_AVAIL_NO_INTERRUPT);
	if (!rc && !nsm->options.is_early)
		rc = add_status(nsm, VIRTIO_STATUS_DRIVER_OK);
	return rc;
}

static int open_events(struct host_nsm *nsm)
{
	for (unsigned int i = 0; i < NSM_VECTORS; i++) {
		nsm->events[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (nsm->events[i] < 0)
			return -errno;
	}
	if (nsm->options.uses_pin)
		return host_irq_set(nsm->fn, IRQ_INTX, 0, nsm->events, 1);
	return host_msix_enable(nsm->fn, nsm->events, NSM_VECTORS);
}

static int attach(struct host_nsm *nsm)
{
	int rc = find_parts(nsm);

	if (!rc)
		rc = host_turn_on(nsm->fn);
	if (!rc)
		rc = host_memory_map(nsm->fn, HOST_NSM_IOVA, HOST_NSM_BYTES,
				     !nsm->options.is_by_message, &nsm->memory);
	if (!rc)
		rc = open_events(nsm);
	return rc ? rc : host_nsm_reset(nsm);
}

int host_nsm_attach(struct host_function *fn,
		    const struct host_nsm_options *options,
		    struct host_nsm **out)
{
	struct host_nsm *nsm = calloc(1, sizeof *nsm);
	int rc;

	if (!nsm)
		return -ENOMEM;
	nsm->fn = fn;
	if (options)
		nsm->options = *options;
	nsm->events[0] = nsm->events[1] = -1;
	nsm->memory.fd = -1;
	rc = attach(nsm);
	if (rc)
		host_nsm_close(&nsm);
	else
		*out = nsm;
	return rc;
}

int host_nsm_open(struct host_function *fn,
		  const struct host_nsm_options *options, struct host_nsm **out)
{
	struct host_nsm *nsm;
	int rc = host_nsm_attach(fn, options, &nsm);

	if (rc)
		return rc;
	rc = host_nsm_begin(nsm);
	if (rc)
		host_nsm_close(&nsm);
	else
		*out = nsm;
	return rc;
}

void host_nsm_close(struct host_nsm **nsm)
{
	struct host_nsm *n = *nsm;

	if (!n)
		return;
	*nsm = NULL;
	if (n->memory.bytes) {
		(void)host_nsm_reset(n);
		if (n->events[0] >= 0 && !n->options.uses_pin)
			(void)host_msix_disable(n->fn);
		(void)host_memory_unmap(n->fn, &n->memory);
	}
	for (unsigned int i = 0; i < NSM_VECTORS; i++)
		if (n->events[i] >= 0)
			close(n->events[i]);
	free(n);
}

/* ---- the queue ---- */

static void *at(const struct host_nsm *nsm, uint64_t offset)
{
	return (char *)nsm->memory.bytes + offset;
}

void host_nsm_put_desc(struct host_nsm *nsm, uint16_t n, uint64_t address,
		       uint32_t length, uint16_t flags, uint16_t next)
{
	struct virtio_desc *table = at(nsm, HOST_NSM_DESC);

	table[n] = (struct virtio_desc){ le64_put(address), le32_put(length),
					 le16_put(flags), le16_put(next) };
}

void host_nsm_offer(struct host_nsm *nsm, uint16_t head)
{
	struct virtio_avail *avail = at(nsm, HOST_NSM_AVAIL);
	le16 *ring = (le16 *)(avail + 1);

	ring[nsm->next_avail % nsm->entries] = le16_put(head);
	nsm->next_avail++;
	atomic_thread_fence(memory_order_release);
	__atomic_store_n(&avail->index.raw, le16_put(nsm->next_avail).raw,
			 __ATOMIC_RELEASE);
}

uint16_t host_nsm_shown(const struct host_nsm *nsm)
{
	const struct virtio_used *used = at(nsm, HOST_NSM_USED);
	le16 index = { __atomic_load_n(&used->index.raw, __ATOMIC_ACQUIRE) };

	return (uint16_t)(le16_get(index) - nsm->seen_used);
}

void host_nsm_take(struct host_nsm *nsm, uint32_t *id, uint32_t *length)
{
	const struct virtio_used *used = at(nsm, HOST_NSM_USED);
	const struct virtio_used_entry *ring = (const void *)(used + 1);
	struct virtio_used_entry e = ring[nsm->seen_used % nsm->entries];

	nsm->seen_used++;
	*id = le32_get(e.id);
	*length = le32_get(e.length);
}

int host_nsm_interrupted(struct host_nsm *nsm, unsigned int vector)
{
	unsigned int event = nsm->options.uses_pin ? 0 : vector;
	uint64_t count;
	int rc = host_poll(nsm->fn, 0);

	if (rc < 0)
		return rc;
	if (read(nsm->events[event], &count, sizeof count) !=
	    (ssize_t)sizeof count)
		return 0;
	if (!nsm->options.uses_pin)
		return (int)count;
	rc = host_nsm_read_isr(nsm);
	if (rc >= 0)
		(void)host_irq_unmask(nsm->fn, IRQ_INTX);
	return rc < 0 ? rc : !!(rc & (vector ? 1 : 2));
}

int host_nsm_await(struct host_nsm *nsm, uint16_t count)
{
	uint64_t deadline = deadline_of(nsm);
	int rc = 0;

	while (!rc && host_nsm_shown(nsm) < count)
		rc = wait_a_turn(nsm, deadline);
	return rc;
}

/* ---- requests ---- */

static int await_interrupt(struct host_nsm *nsm)
{
	uint64_t deadline = deadline_of(nsm);
	int rc;

	if (nsm->options.is_polling)
		return host_nsm_await(nsm, 2);
	do {
		rc = host_nsm_interrupted(nsm, 1);
		if (rc > 0)
			nsm->interrupts += (unsigned int)rc;
		if (rc)
			return rc < 0 ? rc : 0;
		rc = wait_a_turn(nsm, deadline);
	} while (!rc);
	return rc;
}

static int take_answer(struct host_nsm *nsm, void *answer, size_t *size)
{
	uint32_t id, length, room = (uint32_t)*size;

	if (host_nsm_shown(nsm) != 2)
		return protest(nsm, "%u used elements at the interrupt",
			       host_nsm_shown(nsm));
	host_nsm_take(nsm, &id, &length);
	if (id != 0 || length != 0)
		return protest(nsm, "request used as %u, %u bytes", id, length);
	host_nsm_take(nsm, &id, &length);
	if (id != 1 || length > NSM_RESPONSE_BYTES)
		return protest(nsm, "response used as %u, %u bytes", id,
			       length);
	*size = length;
	memcpy(answer, at(nsm, HOST_NSM_RESPONSE),
	       length < room ? length : room);
	return 0;
}

int host_nsm_call(struct host_nsm *nsm, const void *request,
		  size_t request_size, void *answer, size_t *size)
{
	int rc;

	if (request_size > NSM_REQUEST_BYTES)
		return -EMSGSIZE;
	memcpy(at(nsm, HOST_NSM_REQUEST), request, request_size);
	memset(at(nsm, HOST_NSM_RESPONSE), 0xee, NSM_RESPONSE_BYTES);
	host_nsm_put_desc(nsm, 0,
			  host_memory_iova(&nsm->memory, HOST_NSM_REQUEST),
			  (uint32_t)request_size, 0, 0);
	host_nsm_put_desc(nsm, 1,
			  host_memory_iova(&nsm->memory, HOST_NSM_RESPONSE),
			  NSM_RESPONSE_BYTES, VIRTIO_DESC_WRITE, 0);
	host_nsm_offer(nsm, 0);
	host_nsm_offer(nsm, 1);
	rc = host_nsm_notify(nsm);
	if (!rc)
		rc = await_interrupt(nsm);
	return rc ? rc : take_answer(nsm, answer, size);
}
