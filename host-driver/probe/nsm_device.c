/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of a virtio device over PCI (virtio 1.2, 2.1, 2.2, 4.1): where its
 * parts are, the common configuration, the status, features, resets.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "host-driver/probe/nsm.h"

#define BARS            6u
#define FLR_WAIT_MS     100u
#define MAX_LINKS       48
#define MIN_SUBSYSTEM   0x40u
#define MAX_VECTORS     0x800u
#define KNOWN_STATUS    (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER)
#define MANY_RESETS     100u
#define STRANGE_FEATURE 31u /* reserved for whom it may concern: 6 */

/* --- Where its parts are -------------------------------------------------- */

static const struct {
	enum virtio_pci_cfg_type type;
	const char *name;
	uint8_t bytes;            /* of the capability */
	uint32_t length, aligned; /* of what it is about */
} parts[] = {
	{ VIRTIO_PCI_COMMON, "common configuration", VIRTIO_CAP_BYTES,
	  VIRTIO_COMMON_BYTES, 4 },
	{ VIRTIO_PCI_NOTIFY, "notifications", VIRTIO_CAP_LONGER_BYTES, 2, 2 },
	{ VIRTIO_PCI_ISR, "interrupt status", VIRTIO_CAP_BYTES, 1, 1 },
	{ VIRTIO_PCI_WINDOW, "the window", VIRTIO_CAP_LONGER_BYTES, 0, 1 },
};

/* The first capability of the type; NULL: there is none. */
static const uint8_t *find_part(const struct probe *p, unsigned int type)
{
	unsigned int at = p->config[PCI_CAPABILITY_LIST];

	for (int left = MAX_LINKS; left > 0 && at >= 0x40; left--) {
		const uint8_t *cap = p->config + (at & 0xfc);

		if (cap[0] == PCI_CAP_ID_VNDR &&
		    cap[VIRTIO_CAP_CFG_TYPE] == type)
			return cap;
		at = cap[1];
	}
	return NULL;
}

enum probe_verdict probe_virtio_pci_identity(struct probe *p)
{
	if (p->scan.revision < 1)
		return probe_broken(p, "the revision is %u", p->scan.revision);
	return p->scan.subsystem >= MIN_SUBSYSTEM
		       ? PROBE_HOLDS
		       : probe_broken(p, "the subsystem is %04xh",
				      p->scan.subsystem);
}

enum probe_verdict probe_virtio_pci_parts(struct probe *p)
{
	for (size_t i = 0; i < RT_COUNT(parts); i++) {
		const uint8_t *cap = find_part(p, parts[i].type);

		if (!cap)
			return probe_broken(p, "no capability for %s",
					    parts[i].name);
		if (cap[2] < parts[i].bytes)
			return probe_broken(p, "that of %s is of %u bytes",
					    parts[i].name, cap[2]);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_virtio_pci_places(struct probe *p)
{
	for (size_t i = 0; i < RT_COUNT(parts); i++) {
		const uint8_t *cap = find_part(p, parts[i].type);
		uint64_t first, length, room;

		if (!cap || parts[i].type == VIRTIO_PCI_WINDOW)
			continue;
		first = le_load(cap + VIRTIO_CAP_OFFSET, 4);
		length = le_load(cap + VIRTIO_CAP_LENGTH, 4);
		if (cap[VIRTIO_CAP_BAR] >= BARS)
			return probe_broken(p, "%s: BAR %u", parts[i].name,
					    cap[VIRTIO_CAP_BAR]);
		room = probe_region_size(p, cap[VIRTIO_CAP_BAR]);
		if (first + length > room || length < parts[i].length)
			return probe_broken(p, "%s: %u bytes at %xh",
					    parts[i].name, (unsigned int)length,
					    (unsigned int)first);
		if (first % parts[i].aligned)
			return probe_broken(p, "%s is not aligned",
					    parts[i].name);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_virtio_pci_notify_place(struct probe *p)
{
	uint32_t step = p->nsm->notify_multiplier;
	uint64_t at = nsm_get(p, VIRTIO_QUEUE_NOTIFY_OFF, 2) * step;

	if (step & (step - 1) || step == 1)
		return probe_broken(p, "the multiplier is %u", step);
	return at + 2 <= p->nsm->places[VIRTIO_PCI_NOTIFY].length
		       ? PROBE_HOLDS
		       : probe_broken(p, "queue 0 is notified outside, at %xh",
				      (unsigned int)at);
}

enum probe_verdict probe_virtio_pci_vectors(struct probe *p)
{
	unsigned int count = probe_irq_count(p, VFIO_PCI_MSIX_IRQ_INDEX);

	if (!probe_capability(p, PCI_CAP_ID_MSIX))
		return probe_skip(p, "no MSI-X");
	return count >= 2 && count <= MAX_VECTORS
		       ? PROBE_HOLDS
		       : probe_broken(p, "there are %u vectors", count);
}

static void aim_window(struct probe *p, unsigned int field, unsigned int size)
{
	unsigned int cap = p->nsm->places[VIRTIO_PCI_WINDOW].cap;
	const struct host_nsm_place *common =
		&p->nsm->places[VIRTIO_PCI_COMMON];

	probe_config_set(p, cap + VIRTIO_CAP_BAR, 1, common->bar);
	probe_config_set(p, cap + VIRTIO_CAP_OFFSET, 4, common->offset + field);
	probe_config_set(p, cap + VIRTIO_CAP_LENGTH, 4, size);
}

enum probe_verdict probe_virtio_pci_window(struct probe *p)
{
	unsigned int cap = p->nsm->places[VIRTIO_PCI_WINDOW].cap;
	uint32_t seen;

	if (!cap)
		return probe_broken(p, "there is no window");
	aim_window(p, VIRTIO_NUM_QUEUES, 2);
	seen = probe_config_get(p, cap + VIRTIO_CAP_WINDOW_DATA, 2);
	if (seen != nsm_get(p, VIRTIO_NUM_QUEUES, 2))
		return probe_broken(p, "num_queues is %04xh through it", seen);
	aim_window(p, VIRTIO_DEVICE_STATUS, 1);
	probe_config_set(p, cap + VIRTIO_CAP_WINDOW_DATA, 1,
			 VIRTIO_STATUS_ACKNOWLEDGE);
	seen = (uint32_t)nsm_get(p, VIRTIO_DEVICE_STATUS, 1);
	return seen == VIRTIO_STATUS_ACKNOWLEDGE
		       ? PROBE_HOLDS
		       : probe_broken(p,
				      "1 was written to the status, and it "
				      "is %02xh",
				      seen);
}

/* --- Resets of the function ----------------------------------------------- */

static enum probe_verdict is_reset(struct probe *p)
{
	uint64_t status, enabled;
	int rc = host_turn_on(p->fn);

	if (rc)
		return probe_failed(p, rc, "turning it on");
	status = nsm_get(p, VIRTIO_DEVICE_STATUS, 1);
	nsm_set(p, VIRTIO_QUEUE_SELECT, 2, 0);
	enabled = nsm_get(p, VIRTIO_QUEUE_ENABLE, 2);
	if (status)
		return probe_broken(p, "the status is %02xh afterwards",
				    (unsigned int)status);
	return enabled ? probe_broken(p, "queue 0 is enabled afterwards")
		       : PROBE_HOLDS;
}

enum probe_verdict probe_virtio_pci_function_reset(struct probe *p)
{
	int rc = host_reset(p->fn);

	return rc ? probe_failed(p, rc, "the reset") : is_reset(p);
}

int nsm_flr(struct probe *p)
{
	unsigned int at = probe_capability(p, PCI_CAP_ID_EXP);

	if (!at ||
	    !(probe_config_get(p, at + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR))
		return -EOPNOTSUPP;
	probe_config_set(p, at + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	probe_pause_ms(p, FLR_WAIT_MS);
	return p->bus_error;
}

enum probe_verdict probe_virtio_pci_flr(struct probe *p)
{
	int rc = nsm_flr(p);

	if (rc == -EOPNOTSUPP)
		return probe_skip(p, "no function level reset");
	return rc ? probe_failed(p, rc, "the reset") : is_reset(p);
}

static uint8_t before[HOST_NSM_BYTES];

/* The driver's memory as it is now, and whether it is that a while later. */
static void remember(struct probe *p)
{
	memcpy(before, p->nsm->memory.bytes, sizeof before);
}

static enum probe_verdict is_unchanged(struct probe *p, const char *otherwise)
{
	probe_pause_ms(p, PROBE_QUIET_MS);
	return memcmp(before, p->nsm->memory.bytes, sizeof before) == 0
		       ? PROBE_HOLDS
		       : probe_broken(p, "%s", otherwise);
}

enum probe_verdict probe_virtio_pci_bus_master_off(struct probe *p)
{
	int rc = host_turn_off(p->fn);

	nsm_offer_pair(p);
	remember(p);
	if (!rc)
		rc = host_nsm_notify(p->nsm);
	return rc ? probe_failed(p, rc, "a request")
		  : is_unchanged(p, "it wrote to memory all the same");
}

/* --- The common configuration --------------------------------------------- */

enum probe_verdict probe_virtio_register_read_only(struct probe *p)
{
	static const struct {
		unsigned int field, size;
		const char *name;
	} fields[] = {
		{ VIRTIO_DEVICE_FEATURE, 4, "device_feature" },
		{ VIRTIO_NUM_QUEUES, 2, "num_queues" },
		{ VIRTIO_CONFIG_GENERATION, 1, "config_generation" },
		{ VIRTIO_QUEUE_NOTIFY_OFF, 2, "queue_notify_off" },
	};

	for (size_t i = 0; i < RT_COUNT(fields); i++) {
		uint64_t was = nsm_get(p, fields[i].field, fields[i].size);

		nsm_set(p, fields[i].field, fields[i].size, ~was);
		if (nsm_get(p, fields[i].field, fields[i].size) != was)
			return probe_broken(p, "%s changes", fields[i].name);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_virtio_register_queue_absent(struct probe *p)
{
	uint64_t count = nsm_get(p, VIRTIO_NUM_QUEUES, 2), size;

	nsm_set(p, VIRTIO_QUEUE_SELECT, 2, count);
	size = nsm_get(p, VIRTIO_QUEUE_SIZE, 2);
	nsm_set(p, VIRTIO_QUEUE_SELECT, 2, 0);
	return size ? probe_broken(p, "queue %u has %u entries",
				   (unsigned int)count, (unsigned int)size)
		    : PROBE_HOLDS;
}

enum probe_verdict probe_virtio_register_queue_size(struct probe *p)
{
	uint64_t most = nsm_get(p, VIRTIO_QUEUE_SIZE, 2), now;

	if (most < 2 || most > 32768 || (most & (most - 1)))
		return probe_broken(p, "queue 0 has %u entries",
				    (unsigned int)most);
	for (uint64_t size = most; size >= 2; size /= 2) {
		nsm_set(p, VIRTIO_QUEUE_SIZE, 2, size);
		now = nsm_get(p, VIRTIO_QUEUE_SIZE, 2);
		if (now != size)
			return probe_broken(p, "%u was written and %u read",
					    (unsigned int)size,
					    (unsigned int)now);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_virtio_register_addresses(struct probe *p)
{
	for (unsigned int field = VIRTIO_QUEUE_DESC;
	     field < VIRTIO_COMMON_BYTES; field += 4)
		nsm_set(p, field, 4, 0x10000u * field);
	for (unsigned int field = VIRTIO_QUEUE_DESC;
	     field < VIRTIO_COMMON_BYTES; field += 4)
		if (nsm_get(p, field, 4) != 0x10000u * field)
			return probe_broken(p, "%02xh does not keep a value",
					    field);
	return PROBE_HOLDS;
}

enum probe_verdict probe_virtio_register_vectors(struct probe *p)
{
	static const unsigned int fields[] = { VIRTIO_CONFIG_VECTOR,
					       VIRTIO_QUEUE_VECTOR };
	unsigned int count = probe_irq_count(p, VFIO_PCI_MSIX_IRQ_INDEX);
	uint16_t values[] = { 0, (uint16_t)(count - 1), VIRTIO_NO_VECTOR,
			      (uint16_t)count };

	if (!count)
		return probe_skip(p, "no MSI-X");
	for (size_t i = 0; i < RT_COUNT(fields) * RT_COUNT(values); i++) {
		unsigned int field = fields[i / RT_COUNT(values)];
		uint16_t value = values[i % RT_COUNT(values)];
		uint16_t wanted = value < count ? value : VIRTIO_NO_VECTOR;

		nsm_set(p, field, 2, value);
		if (nsm_get(p, field, 2) != wanted)
			return probe_broken(p,
					    "%02xh: %04xh was written and "
					    "%04xh read",
					    field, value,
					    (unsigned int)nsm_get(p, field, 2));
	}
	return PROBE_HOLDS;
}

/* --- Status --------------------------------------------------------------- */

enum probe_verdict probe_virtio_status_bits(struct probe *p)
{
	static const uint8_t steps[] = { VIRTIO_STATUS_ACKNOWLEDGE,
					 KNOWN_STATUS,
					 KNOWN_STATUS | VIRTIO_STATUS_FAILED };

	for (size_t i = 0; i < RT_COUNT(steps); i++) {
		nsm_set(p, VIRTIO_DEVICE_STATUS, 1, steps[i]);
		if (nsm_get(p, VIRTIO_DEVICE_STATUS, 1) != steps[i])
			return probe_broken(
				p, "%02xh was written and %02xh read", steps[i],
				(unsigned int)nsm_get(p, VIRTIO_DEVICE_STATUS,
						      1));
	}
	return PROBE_HOLDS;
}

/* A queue that cannot be: heads beyond its end. */
static int break_queue(struct probe *p)
{
	host_nsm_offer(p->nsm, p->nsm->entries);
	host_nsm_offer(p->nsm, p->nsm->entries);
	return host_nsm_notify(p->nsm);
}

enum probe_verdict probe_virtio_status_needs_reset(struct probe *p)
{
	int rc = break_queue(p), isr;

	if (rc)
		return probe_failed(p, rc, "notifying");
	probe_pause_ms(p, PROBE_QUIET_MS);
	if (!(nsm_get(p, VIRTIO_DEVICE_STATUS, 1) & VIRTIO_STATUS_NEEDS_RESET))
		return probe_skip(p, "it does not say that it needs a reset");
	if (host_nsm_interrupted(p->nsm, 0) <= 0)
		return probe_broken(p, "the driver was not told");
	isr = host_nsm_read_isr(p->nsm);
	return isr >= 0 && isr & VIRTIO_ISR_CONFIG
		       ? PROBE_HOLDS
		       : probe_broken(p, "the interrupt status is %02xh", isr);
}

/* --- Features ------------------------------------------------------------- */

enum probe_verdict probe_virtio_feature_version_1(struct probe *p)
{
	int rc = host_nsm_negotiate(p->nsm, BIT(VIRTIO_F_VERSION_1));

	if (!(p->nsm->features & BIT(VIRTIO_F_VERSION_1)))
		return probe_broken(p, "features are %llxh",
				    (unsigned long long)p->nsm->features);
	return rc ? probe_failed(p, rc, "accepting it") : PROBE_HOLDS;
}

enum probe_verdict probe_virtio_feature_all(struct probe *p)
{
	/* What is offered is known once it was asked for. */
	int rc = host_nsm_negotiate(p->nsm, BIT(VIRTIO_F_VERSION_1));
	uint64_t offered = p->nsm->features;

	if (!rc)
		rc = host_nsm_reset(p->nsm);
	if (!rc)
		rc = host_nsm_negotiate(p->nsm, offered);
	return rc ? probe_failed(p, rc, "accepting all") : PROBE_HOLDS;
}

enum probe_verdict probe_virtio_feature_unknown(struct probe *p)
{
	uint64_t wanted = BIT(VIRTIO_F_VERSION_1) | BIT(STRANGE_FEATURE);
	int rc = host_nsm_negotiate(p->nsm, wanted);

	if (p->nsm->features & BIT(STRANGE_FEATURE))
		return probe_skip(p, "it offers what nobody knows");
	return rc == -EPROTO ? PROBE_HOLDS
	       : rc          ? probe_failed(p, rc, "negotiating")
			     : probe_broken(p, "FEATURES_OK is set");
}

enum probe_verdict probe_virtio_feature_words(struct probe *p)
{
	uint64_t word;

	for (unsigned int select = 2; select < 34; select += 31) {
		nsm_set(p, VIRTIO_DEVICE_FEATURE_SELECT, 4, select);
		word = nsm_get(p, VIRTIO_DEVICE_FEATURE, 4);
		if (word)
			return probe_broken(p, "word %u is %08xh", select,
					    (unsigned int)word);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_virtio_feature_read_back(struct probe *p)
{
	static const uint32_t words[] = { 0, BIT(VIRTIO_F_VERSION_1) >> 32 };

	for (unsigned int i = 0; i < 2; i++) {
		nsm_set(p, VIRTIO_DRIVER_FEATURE_SELECT, 4, i);
		nsm_set(p, VIRTIO_DRIVER_FEATURE, 4, words[i]);
	}
	for (unsigned int i = 0; i < 2; i++) {
		nsm_set(p, VIRTIO_DRIVER_FEATURE_SELECT, 4, i);
		if (nsm_get(p, VIRTIO_DRIVER_FEATURE, 4) != words[i])
			return probe_broken(p, "word %u is not kept", i);
	}
	return PROBE_HOLDS;
}

/* --- Resets --------------------------------------------------------------- */

enum probe_verdict probe_virtio_reset_registers(struct probe *p)
{
	int rc = host_nsm_reset(p->nsm);

	return rc ? probe_failed(p, rc, "the reset") : is_reset(p);
}

enum probe_verdict probe_virtio_reset_forgets_queue(struct probe *p)
{
	int rc = host_nsm_reset(p->nsm);

	nsm_offer_pair(p);
	remember(p);
	if (!rc)
		rc = host_nsm_notify(p->nsm);
	return rc ? probe_failed(p, rc, "resetting")
		  : is_unchanged(p, "the old queue still works");
}

enum probe_verdict probe_virtio_reset_quiet(struct probe *p)
{
	static const char request[] = "\x6b"
				      "Attestation";
	int rc;

	nsm_put_pair(p);
	memcpy(nsm_at(p, HOST_NSM_REQUEST), request, sizeof request - 1);
	host_nsm_offer(p->nsm, 0);
	host_nsm_offer(p->nsm, 1);
	rc = host_nsm_notify(p->nsm);
	if (!rc)
		rc = host_nsm_reset(p->nsm);
	if (rc)
		return probe_failed(p, rc, "resetting under load");
	remember(p);
	NSM_TRY(is_unchanged(p, "memory was written after the reset"));
	return nsm_recovers(p);
}

enum probe_verdict probe_virtio_reset_many(struct probe *p)
{
	for (unsigned int i = 0; i < MANY_RESETS; i++) {
		int rc = host_nsm_reset(p->nsm);

		if (!rc)
			rc = host_nsm_begin(p->nsm);
		if (rc)
			return probe_failed(p, rc, "again and again");
	}
	return nsm_recovers(p);
}

enum probe_verdict probe_virtio_reset_broken(struct probe *p)
{
	int rc = break_queue(p);

	if (rc)
		return probe_failed(p, rc, "notifying");
	probe_pause_ms(p, PROBE_QUIET_MS);
	return nsm_recovers(p);
}
