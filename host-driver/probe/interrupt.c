/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of interrupts, of what a reset leaves alone, and of shadow doorbells:
 * NVM Express Base Specification 1.4, 5.7, 7.3, 7.5 and 7.13.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"
#include "host-driver/probe/probe.h"

#define VECTORS       32u
#define ENTRIES       8u
#define STATUS_INT    0x08u
#define ADMIN_DBBUF   0x7c
#define OACS_DBBUF    BITS(8, 8)
#define BUSY_COMMANDS 24u
#define DBBUF_TURNS   300u

/* --- Interrupts ----------------------------------------------------------- */

/* eventfds for the first vectors of an index; -1 where there is none. */
struct bells {
	int fds[VECTORS];
	unsigned int count;
};

static void bells_free(struct bells *bells)
{
	for (unsigned int i = 0; i < bells->count; i++)
		close(bells->fds[i]);
}
#define BELLS __attribute__((cleanup(bells_free)))

static int bells_make(struct probe *p, unsigned int index, struct bells *bells)
{
	unsigned int count = probe_irq_count(p, index);

	for (unsigned int i = 0; i < count && i < VECTORS; i++) {
		bells->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (bells->fds[i] < 0)
			return -errno;
		bells->count++;
	}
	return host_irq_set(p->fn, index, 0, bells->fds, bells->count);
}

static bool has_rung(const struct bells *bells, unsigned int i)
{
	uint64_t count = 0;

	return read(bells->fds[i], &count, sizeof count) == sizeof count;
}

/* Wait for it, and serve the device meanwhile. */
static bool rings(struct probe *p, const struct bells *bells, unsigned int i)
{
	const struct rt_clock clock = { 0 };
	uint64_t end =
		rt_clock_now_ns(&clock) + p->options.timeout_ms * RT_NS_PER_MS;

	while (!has_rung(bells, i)) {
		if (rt_clock_now_ns(&clock) > end)
			return false;
		probe_pause_ms(p, 1);
	}
	return true;
}

static bool any_rings(struct probe *p, const struct bells *bells)
{
	bool any = false;

	/* What has been posted is signalled before a later read is answered. */
	(void)probe_get32(p, NVME_REG_CSTS);
	probe_pause_ms(p, PROBE_QUIET_MS);
	for (unsigned int i = 0; i < bells->count; i++)
		any |= has_rung(bells, i);
	return any;
}

static int start_flush(struct probe *p, uint16_t *cid)
{
	return probe_start(
		p, 1,
		(struct probe_cmd){ .opcode = NVME_NVM_FLUSH, .nsid = p->nsid },
		cid);
}

static int msix_on(struct probe *p, struct bells *bells)
{
	unsigned int at = probe_capability(p, PCI_CAP_ID_MSIX);
	int rc;

	if (!at)
		return -EOPNOTSUPP;
	rc = bells_make(p, VFIO_PCI_MSIX_IRQ_INDEX, bells);
	if (rc == 0)
		probe_config_set(p, at + PCI_MSIX_FLAGS, 2,
				 PCI_MSIX_FLAGS_ENABLE);
	return rc;
}

/* A queue pair with a vector, in place of the one there is. */
static int pair_with_vector(struct probe *p, int vector)
{
	int rc = host_nvme_delete_sq(p->nvme, 1);

	if (rc == 0)
		rc = host_nvme_delete_cq(p->nvme, 1);
	return rc ? rc : host_nvme_create_pair(p->nvme, 1, ENTRIES, vector);
}

static enum probe_verdict flush_rings(struct probe *p, struct bells *bells,
				      unsigned int vector)
{
	uint16_t cid;
	int rc;

	(void)any_rings(p, bells); /* of the admin queue */
	rc = start_flush(p, &cid);
	if (rc)
		return probe_failed(p, rc, "Flush");
	if (!rings(p, bells, vector))
		return probe_broken(p, "vector %u was not signalled", vector);
	rc = host_nvme_wait(p->nvme, 1, cid, NULL);
	if (rc)
		return probe_failed(p, rc, "Flush");
	return any_rings(p, bells)
		       ? probe_broken(p, "another vector was signalled")
		       : PROBE_HOLDS;
}

enum probe_verdict probe_interrupt_message(struct probe *p)
{
	BELLS struct bells bells = { 0 };
	unsigned int vector;
	int rc = msix_on(p, &bells);

	if (rc == -EOPNOTSUPP)
		return probe_skip(p, "no MSI-X");
	vector = bells.count > 1 ? 1 : 0;
	if (rc == 0)
		rc = pair_with_vector(p, (int)vector);
	return rc ? probe_failed(p, rc, "setting it up")
		  : flush_rings(p, &bells, vector);
}

enum probe_verdict probe_interrupt_admin_message(struct probe *p)
{
	BELLS struct bells bells = { 0 };
	const void *id;
	int rc = msix_on(p, &bells);

	if (rc == -EOPNOTSUPP)
		return probe_skip(p, "no MSI-X");
	if (rc == 0)
		rc = host_nvme_identify(p->nvme, NVME_CNS_CONTROLLER, 0, &id);
	if (rc)
		return probe_failed(p, rc, "setting it up");
	return rings(p, &bells, 0)
		       ? PROBE_HOLDS
		       : probe_broken(p, "vector 0 was not signalled");
}

enum probe_verdict probe_interrupt_disabled(struct probe *p)
{
	BELLS struct bells bells = { 0 };
	uint16_t cid;
	int rc = msix_on(p, &bells);

	if (rc == -EOPNOTSUPP)
		return probe_skip(p, "no MSI-X");
	if (rc == 0)
		rc = pair_with_vector(p, -1);
	(void)any_rings(p, &bells);
	if (rc == 0)
		rc = start_flush(p, &cid);
	if (rc == 0)
		rc = host_nvme_wait(p->nvme, 1, cid, NULL);
	if (rc)
		return probe_failed(p, rc, "setting it up");
	return any_rings(p, &bells) ? probe_broken(p, "a vector was signalled")
				    : PROBE_HOLDS;
}

/*
 * Unmask the pin until it does not fire at once: a head doorbell in mapped
 * memory may be seen a moment after it was written.  -ETIMEDOUT: it goes on.
 */
static int let_pin_fall(struct probe *p, const struct bells *bells)
{
	const struct rt_clock clock = { 0 };
	uint64_t end =
		rt_clock_now_ns(&clock) + p->options.timeout_ms * RT_NS_PER_MS;
	int rc;

	do {
		(void)has_rung(bells, 0);
		rc = host_irq_unmask(p->fn, VFIO_PCI_INTX_IRQ_INDEX);
		if (rc < 0 || !any_rings(p, bells))
			return rc;
	} while (rt_clock_now_ns(&clock) < end);
	return -ETIMEDOUT;
}

/* Set up the pin; -EOPNOTSUPP: there is none. */
static int pin_on(struct probe *p, struct bells *bells)
{
	int rc;

	if (probe_irq_count(p, VFIO_PCI_INTX_IRQ_INDEX) == 0)
		return -EOPNOTSUPP;
	rc = bells_make(p, VFIO_PCI_INTX_IRQ_INDEX, bells);
	probe_config_set(p, PCI_COMMAND, 2,
			 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	if (rc == 0)
		rc = pair_with_vector(p, 0);
	/* What the admin queue had to say has been taken. */
	return rc ? rc : let_pin_fall(p, bells);
}

/* An entry that nobody takes holds the pin: it fires after each unmasking. */
static enum probe_verdict pin_follows(struct probe *p, struct bells *bells)
{
	uint16_t cid;
	int rc = start_flush(p, &cid);

	if (rc)
		return probe_failed(p, rc, "Flush");
	if (!rings(p, bells, 0))
		return probe_broken(p, "the pin was not raised");
	rc = host_irq_unmask(p->fn, VFIO_PCI_INTX_IRQ_INDEX);
	if (rc < 0)
		return probe_failed(p, rc, "unmasking");
	if (!rings(p, bells, 0))
		return probe_broken(p, "it fell before the entry was taken");
	rc = host_nvme_wait(p->nvme, 1, cid, NULL);
	if (rc)
		return probe_failed(p, rc, "Flush");
	rc = let_pin_fall(p, bells);
	return rc == -ETIMEDOUT
		       ? probe_broken(p,
				      "it stays up after the entry was taken")
	       : rc ? probe_failed(p, rc, "unmasking")
		    : PROBE_HOLDS;
}

enum probe_verdict probe_interrupt_pin(struct probe *p)
{
	BELLS struct bells bells = { 0 };
	int rc = pin_on(p, &bells);

	if (rc == -EOPNOTSUPP)
		return probe_skip(p, "no interrupt pin");
	if (rc == -ETIMEDOUT)
		return probe_broken(p, "it is up though all has been taken");
	return rc ? probe_failed(p, rc, "setting it up")
		  : pin_follows(p, &bells);
}

enum probe_verdict probe_interrupt_pin_masked(struct probe *p)
{
	BELLS struct bells bells = { 0 };
	uint16_t cid;
	int rc = pin_on(p, &bells);

	if (rc == -EOPNOTSUPP)
		return probe_skip(p, "no interrupt pin");
	if (rc)
		return probe_failed(p, rc, "setting it up");
	probe_set32(p, NVME_REG_INTMS, 1);
	rc = start_flush(p, &cid);
	if (rc)
		return probe_failed(p, rc, "Flush");
	if (any_rings(p, &bells))
		return probe_broken(p, "it was raised in spite of INTMS");
	probe_set32(p, NVME_REG_INTMC, 1);
	return rings(p, &bells, 0)
		       ? PROBE_HOLDS
		       : probe_broken(p, "it was not raised after INTMC");
}

/* --- Resets --------------------------------------------------------------- */

/* Reads in flight; the data of all is in memory that a snapshot has. */
static int keep_busy(struct probe *p)
{
	uint32_t limit = probe_max_transfer(p), bytes = 8 * HOST_NVME_PAGE;
	uint64_t room = le64_get(p->ns.nsze) * p->block_bytes;
	struct host_nvme_data data;
	uint16_t cid;
	int rc = 0;

	if (limit && limit < bytes)
		bytes = limit;
	if (room < bytes)
		bytes = p->block_bytes;
	for (unsigned int i = 0; i < BUSY_COMMANDS && rc == 0; i++) {
		rc = probe_data(
			p, bytes,
			(struct host_nvme_shape){ .is_scattered = true },
			&data);
		if (rc == 0 && i < p->nvme->sqs[1].entries - 1)
			rc = probe_start(
				p, 1,
				probe_read(p, 0, bytes / p->block_bytes, &data),
				&cid);
	}
	return rc;
}

static enum probe_verdict stays_quiet(struct probe *p)
{
	PROBE_SNAPSHOT struct probe_snapshot after = { 0 };

	if (probe_snapshot_take(p, &after) < 0)
		return probe_skip(p, "no memory");
	probe_pause_ms(p, PROBE_QUIET_MS);
	return probe_snapshot_holds(p, &after)
		       ? PROBE_HOLDS
		       : probe_broken(p, "memory was written after the reset");
}

enum probe_verdict probe_reset_quiet(struct probe *p)
{
	int rc = keep_busy(p);

	if (rc == 0)
		rc = host_nvme_disable(p->nvme);
	return rc ? probe_failed(p, rc, "resetting under load")
		  : stays_quiet(p);
}

enum probe_verdict probe_reset_function_quiet(struct probe *p)
{
	int rc = keep_busy(p);

	if (rc == 0)
		rc = host_reset(p->fn);
	return rc ? probe_failed(p, rc, "resetting under load")
		  : stays_quiet(p);
}

/* Writes what it likes to memory that the reset took away from it. */
enum probe_verdict probe_reset_forgets_queues(struct probe *p)
{
	PROBE_SNAPSHOT struct probe_snapshot before = { 0 };
	uint64_t bell = probe_doorbell(p, 1, false);
	int rc = host_nvme_disable(p->nvme);

	if (rc == 0)
		rc = host_nvme_enable(p->nvme);
	if (rc)
		return probe_failed(p, rc, "resetting");
	if (probe_snapshot_take(p, &before) < 0)
		return probe_skip(p, "no memory");
	probe_set32(p, bell, 3);
	probe_pause_ms(p, PROBE_QUIET_MS);
	if (!probe_snapshot_holds(p, &before))
		return probe_broken(p, "the old queue still works");
	rc = probe_make_pair(p, 1, ENTRIES);
	return rc ? probe_failed(p, rc, "making it anew") : PROBE_HOLDS;
}

/* A completion queue without a submission queue is easily forgotten. */
enum probe_verdict probe_reset_forgets_cq(struct probe *p)
{
	int rc = host_nvme_create_cq(p->nvme, 1, ENTRIES, -1);

	if (rc)
		return probe_failed(p, rc, "making it");
	rc = host_nvme_disable(p->nvme);
	if (rc == 0)
		rc = host_nvme_enable(p->nvme);
	if (rc)
		return probe_failed(p, rc, "resetting");
	rc = host_nvme_create_cq(p->nvme, 1, ENTRIES, -1);
	return rc ? probe_failed(p, rc, "making it anew") : PROBE_HOLDS;
}

enum probe_verdict probe_reset_under_load(struct probe *p)
{
	int rc = 0;

	for (int i = 0; i < 8 && rc == 0; i++) {
		rc = keep_busy(p);
		if (rc == 0)
			rc = host_nvme_disable(p->nvme);
		if (rc == 0)
			rc = host_nvme_enable(p->nvme);
		if (rc == 0)
			rc = probe_make_pair(p, 1, 32);
	}
	return rc ? probe_failed(p, rc, "resetting again and again")
		  : PROBE_HOLDS;
}

/* --- Shadow doorbells ----------------------------------------------------- */

struct shadow {
	uint64_t values, events; /* the two pages */
};

static int shadow_on(struct probe *p, struct shadow *out)
{
	out->values = probe_page(p);
	out->events = probe_page(p);
	return probe_admin(p, (struct probe_cmd){ .opcode = ADMIN_DBBUF,
						  .prp1 = out->values,
						  .prp2 = out->events });
}

static uint32_t *shadow_slot(struct probe *p, uint64_t page, uint32_t qid,
			     bool is_cq)
{
	uint64_t at = probe_doorbell(p, qid, is_cq) - NVME_REG_DOORBELLS;

	return (uint32_t *)(void *)((uint8_t *)probe_at(p, page) + at);
}

/* Was the index that the controller waits for passed? */
static bool must_ring(uint32_t event, uint32_t now, uint32_t before)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

/* One doorbell by the protocol: the shadow first, then look, then ring. */
static int ring_shadow(struct probe *p, const struct shadow *shadow, bool is_cq,
		       uint32_t value)
{
	uint32_t *slot = shadow_slot(p, shadow->values, 1, is_cq);
	const uint32_t *event = shadow_slot(p, shadow->events, 1, is_cq);
	uint32_t before = *slot;

	__atomic_store_n(slot, value, __ATOMIC_SEQ_CST);
	if (!must_ring(__atomic_load_n(event, __ATOMIC_SEQ_CST), value, before))
		return 0;
	return host_write32(p->fn, 0, probe_doorbell(p, 1, is_cq), value);
}

static int flush_by_shadow(struct probe *p, const struct shadow *shadow)
{
	const struct rt_clock clock = { 0 };
	uint64_t end =
		rt_clock_now_ns(&clock) + p->options.timeout_ms * RT_NS_PER_MS;
	struct host_nvme_cq *cq = &p->nvme->cqs[1];
	struct nvme_cmd cmd = probe_entry((struct probe_cmd){
		.opcode = NVME_NVM_FLUSH, .nsid = p->nsid });
	int rc;

	host_nvme_put(p->nvme, 1, &cmd);
	rc = ring_shadow(p, shadow, false, p->nvme->sqs[1].tail);
	while (rc >= 0 && !host_nvme_has_new(p->nvme, 1)) {
		rc = host_poll(p->fn, 0);
		if (rt_clock_now_ns(&clock) > end)
			return -ETIMEDOUT;
	}
	if (rc < 0)
		return rc;
	if (++cq->head == cq->entries) {
		cq->head = 0;
		cq->phase ^= 1;
	}
	return ring_shadow(p, shadow, true, cq->head);
}

static bool offers_shadow(const struct probe *p)
{
	return le16_get(p->id.oacs) & OACS_DBBUF;
}

enum probe_verdict probe_shadow_commands(struct probe *p)
{
	struct shadow shadow;
	int rc;

	if (!offers_shadow(p))
		return probe_skip(p, "OACS: no shadow doorbells");
	rc = shadow_on(p, &shadow);
	if (rc)
		return probe_failed(p, rc, "Doorbell Buffer Config");
	*shadow_slot(p, shadow.values, 1, false) = p->nvme->sqs[1].tail;
	*shadow_slot(p, shadow.values, 1, true) = p->nvme->cqs[1].head;
	for (unsigned int i = 0; i < DBBUF_TURNS && rc == 0; i++) {
		/* Long enough for it to fall asleep, now and then. */
		if (i % 50 == 49)
			probe_pause_ms(p, 5);
		rc = flush_by_shadow(p, &shadow);
	}
	return rc ? probe_failed(p, rc, "a command") : PROBE_HOLDS;
}

enum probe_verdict probe_shadow_admin_queue(struct probe *p)
{
	struct shadow shadow;
	const void *id;
	int rc;

	if (!offers_shadow(p))
		return probe_skip(p, "OACS: no shadow doorbells");
	rc = shadow_on(p, &shadow);
	/* The shadow of the admin queue says nothing, and must not count. */
	for (unsigned int i = 0; i < ENTRIES && rc == 0; i++)
		rc = host_nvme_identify(p->nvme, NVME_CNS_CONTROLLER, 0, &id);
	return rc ? probe_failed(p, rc, "an admin command") : PROBE_HOLDS;
}

enum probe_verdict probe_shadow_offset(struct probe *p)
{
	if (!offers_shadow(p))
		return probe_skip(p, "OACS: no shadow doorbells");
	return probe_want(
		p,
		probe_admin(p, (struct probe_cmd){ .opcode = ADMIN_DBBUF,
						   .prp1 = probe_page(p) + 64,
						   .prp2 = probe_page(p) }),
		PROBE_INVALID_PRP, PROBE_INVALID_FIELD);
}

enum probe_verdict probe_shadow_reset(struct probe *p)
{
	struct shadow shadow;
	uint16_t cid;
	int rc;

	if (!offers_shadow(p))
		return probe_skip(p, "OACS: no shadow doorbells");
	rc = shadow_on(p, &shadow);
	if (rc == 0)
		rc = host_nvme_disable(p->nvme);
	if (rc == 0)
		rc = host_nvme_enable(p->nvme);
	if (rc == 0)
		rc = probe_make_pair(p, 1, ENTRIES);
	for (unsigned int i = 0; i < ENTRIES && rc == 0; i++) {
		rc = start_flush(p, &cid);
		if (rc == 0)
			rc = host_nvme_wait(p->nvme, 1, cid, NULL);
	}
	return rc ? probe_failed(p, rc, "a command, without shadows")
		  : PROBE_HOLDS;
}
