/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rules in turn.  Before each, the function is brought to the state that
 * the rule needs, by the mildest way that works: disabling the controller, a
 * reset of the function, a new connection.  When none does, the rest of the
 * rules is not tried: a time-out for each would take long and say nothing.
 */
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "host-driver/probe/ena.h"
#include "host-driver/probe/nsm.h"
#include "host-driver/probe/probe.h"

#define MEMORY_IOVA  UINT64_C(0x40000000)
#define MEMORY_BYTES UINT64_C(0x2000000)
#define IO_ENTRIES   32u
#define PAIRS_WANTED 64u
#define NVME_CLASS   0x010802u
#define PATIENCE     3u
#define QUEUES_0S    (PAIRS_WANTED - 1)

const struct probe_rule probe_rules[] = {
#define RULE(class, name, need, flags, clause, sentence)                       \
	{                                                                      \
		#class,                                                        \
		#name,                                                         \
		clause,                                                        \
		sentence,                                                      \
		need,                                                          \
		flags,                                                         \
		probe_##class##_##name                                         \
	},
#include "host-driver/probe/rules.def"
#undef RULE
};
const size_t probe_rule_count = RT_COUNT(probe_rules);

void probe_rule_name(const struct probe_rule *rule, char name[PROBE_NAME_BYTES])
{
	snprintf(name, PROBE_NAME_BYTES, "%s.%s", rule->class, rule->name);
	for (char *c = name; *c; c++)
		if (*c == '_')
			*c = '-';
}

bool probe_is_chosen(const struct probe *p, const struct probe_rule *rule)
{
	char name[PROBE_NAME_BYTES];

	probe_rule_name(rule, name);
	for (size_t i = 0; i < p->options.pattern_count; i++)
		if (fnmatch(p->options.patterns[i], name, 0) == 0)
			return true;
	return p->options.pattern_count == 0;
}

bool probe_is_about(const struct probe *p, const struct probe_rule *rule)
{
	unsigned int kinds = rule->flags & (PROBE_ENA | PROBE_NSM);
	unsigned int kind = p->ena ? PROBE_ENA : p->is_nsm ? PROBE_NSM : 0;

	if (rule->flags & PROBE_ANY || kinds == kind)
		return true;
	return !kinds && rule->need == PROBE_BUS;
}

/* --- Preparation ---------------------------------------------------------- */

/* What rules had allocated is free again, and zero; the device has let go. */
static void rewind_memory(struct probe *p)
{
	struct host_nvme *n = p->nvme;

	memset((uint8_t *)n->memory.bytes + p->memory_mark, 0,
	       n->memory_used - p->memory_mark);
	n->memory_used = p->memory_mark;
}

void probe_calm_interrupts(struct probe *p)
{
	unsigned int msix = probe_capability(p, PCI_CAP_ID_MSIX);

	if (msix)
		probe_config_set(p, msix + PCI_MSIX_FLAGS, 2, 0);
	/* Refusing to take away what is not there is no offence. */
	for (unsigned int i = VFIO_PCI_INTX_IRQ_INDEX;
	     i <= VFIO_PCI_MSIX_IRQ_INDEX; i++)
		(void)host_irq_disable(p->fn, i);
}

static int switch_off(struct probe *p)
{
	int rc;

	p->bus_error = 0;
	probe_config_set(p, PCI_COMMAND, 2,
			 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
				 PCI_COMMAND_INTX_DISABLE);
	probe_calm_interrupts(p);
	if (p->bus_error)
		return p->bus_error;
	rc = host_nvme_disable(p->nvme);
	/* A fatal status is left behind by the reset, too. */
	return rc == 0 && probe_get32(p, NVME_REG_CSTS) & NVME_CSTS_CFS ? -EIO
									: rc;
}

static int get_ready(struct probe *p, enum probe_need need)
{
	uint32_t entries = probe_queue_entries(p);
	int rc = host_nvme_enable(p->nvme);

	if (rc == 0 && need >= PROBE_IO)
		rc = probe_make_pair(
			p, 1, entries < IO_ENTRIES ? entries : IO_ENTRIES);
	return rc;
}

static int bring_up(struct probe *p, enum probe_need need)
{
	int rc = switch_off(p);

	if (rc == 0)
		rewind_memory(p);
	if (rc == 0 && need >= PROBE_ADMIN)
		rc = get_ready(p, need);
	return rc;
}

static int prepare_nvme(struct probe *p, enum probe_need need)
{
	int rc = p->keeps_queues ? -EAGAIN : bring_up(p, need);

	if (rc != 0 && !p->keeps_queues && host_reset(p->fn) == 0)
		rc = bring_up(p, need);
	if (rc != 0 && probe_reopen(p) == 0)
		rc = bring_up(p, need);
	return rc;
}

static int prepare(struct probe *p, enum probe_need need)
{
	uint32_t ids;

	if (host_read32(p->fn, HOST_CONFIG, 0, &ids) < 0) {
		int rc = probe_reopen(p);

		if (rc < 0)
			return rc;
	}
	if (p->ena)
		return probe_ena_prepare(p, need);
	if (p->is_nsm)
		return probe_nsm_prepare(p, need);
	return p->nvme ? prepare_nvme(p, need) : 0;
}

/* --- Running -------------------------------------------------------------- */

static const char *not_for(const struct probe *p, const struct probe_rule *rule)
{
	if (p->is_hopeless)
		return "the controller cannot be made ready any more";
	if (!p->nvme && !p->ena && !p->is_nsm && rule->need > PROBE_BUS)
		return "not an NVMe controller";
	if ((rule->flags & PROBE_SOCKET) && !p->is_socket)
		return "not reached through a vfio-user socket";
	if ((rule->flags & PROBE_CONFINED) && !p->is_confined)
		return "without an IOMMU it may harm this machine";
	if ((rule->flags & PROBE_WRITES) && !p->options.may_write)
		return "it changes data: --write";
	if (rule->need == PROBE_IO && p->nvme && p->nsid == 0)
		return "no active namespace";
	return NULL;
}

static enum probe_verdict check(struct probe *p, const struct probe_rule *rule)
{
	enum probe_verdict verdict;

	p->bus_error = 0;
	p->text[0] = '\0';
	verdict = rule->check(p);
	if (p->bus_error && verdict != PROBE_BROKEN)
		return probe_failed(p, p->bus_error, "an access");
	return verdict;
}

enum probe_verdict probe_run(struct probe *p, const struct probe_rule *rule)
{
	const char *why = not_for(p, rule);
	int rc;

	if (why)
		return probe_skip(p, "%s", why);
	rc = prepare(p, rule->need);
	if (rc == 0) {
		p->unready_count = 0;
		return check(p, rule);
	}
	/* Once more, from the beginning, before giving up for good. */
	if (probe_reopen(p) < 0 || prepare(p, PROBE_BUS) < 0 ||
	    ++p->unready_count == PATIENCE)
		p->is_hopeless = true;
	return probe_failed(p, rc, "making the controller ready for it");
}

/* --- Start and end -------------------------------------------------------- */

static int read_config(struct probe *p, struct rt_error *error)
{
	uint64_t size = 0;
	int rc = host_region_size(p->fn, HOST_CONFIG, &size);

	if (rc < 0 || size < 256)
		return rt_error_set(error, rc < 0 ? rc : -EPROTO,
				    "no configuration space");
	size = size >= sizeof p->config ? sizeof p->config : 256;
	for (uint64_t at = 0; at < size && rc == 0; at += 256)
		rc = host_read(p->fn, HOST_CONFIG, at, p->config + at, 256);
	if (rc < 0)
		return rt_error_set(error, rc,
				    "cannot read configuration space");
	return host_scan_config(p->config, size, &p->scan, error);
}

/* No patience beyond --timeout, whatever CAP.TO says. */
static void limit_ready_time(struct probe *p)
{
	uint64_t units = (p->options.timeout_ms + 499) / 500;

	if (bits_get(NVME_CAP_TO, p->nvme->cap) > units)
		p->nvme->cap = bits_put(NVME_CAP_TO, p->nvme->cap, units);
}

static int open_nvme(struct probe *p, struct rt_error *error)
{
	struct host_nvme_options options = {
		.iova = MEMORY_IOVA,
		.size = MEMORY_BYTES,
		.timeout_ms = p->options.timeout_ms,
	};
	int rc = host_nvme_open(p->fn, &options, &p->nvme);

	if (rc < 0)
		return rt_error_set(error, rc, "no memory for DMA (%s)",
				    rt_errno_name(rc));
	p->memory_mark = p->nvme->memory_used;
	limit_ready_time(p);
	return 0;
}

static int open_function(struct probe *p, struct rt_error *error)
{
	struct host_options options = { .timeout_ms = p->options.timeout_ms };
	int rc = host_open(p->options.address, &options, &p->fn, error);

	if (rc < 0)
		return rc;
	p->is_socket = strcmp(host_bus_name(p->fn), "vfio-user") == 0;
	p->is_confined = strcmp(host_bus_name(p->fn), "vfio no-IOMMU") != 0;
	rc = read_config(p, error);
	if (rc == 0 &&
	    le_load(p->config + PCI_CLASS_REVISION, 4) >> 8 == NVME_CLASS)
		rc = open_nvme(p, error);
	if (rc == 0 && probe_is_ena(p))
		rc = probe_ena_open(p, error);
	p->is_nsm = probe_is_nsm(p);
	return rc;
}

void probe_close(struct probe *p)
{
	probe_ena_close(p);
	host_nsm_close(&p->nsm);
	host_nvme_close(&p->nvme);
	host_close(&p->fn);
}

int probe_reopen(struct probe *p)
{
	struct rt_error error;
	int rc;

	probe_close(p);
	rc = open_function(p, &error);
	if (rc < 0)
		probe_close(p);
	return rc;
}

/* --- Survey --------------------------------------------------------------- */

static void survey_namespace(struct probe *p)
{
	const le32 *list;
	const struct nvme_id_ns *ns;

	p->nsid = 1;
	if (probe_has_version(p, 1, 1) &&
	    probe_identify(p, NVME_CNS_ACTIVE_LIST, 0, (const void **)&list) ==
		    0)
		p->nsid = le32_get(list[0]);
	if (p->nsid == 0 || probe_identify(p, NVME_CNS_NAMESPACE, p->nsid,
					   (const void **)&ns) != 0) {
		p->nsid = 0;
		return;
	}
	p->ns = *ns;
	p->block_bytes = UINT32_C(1)
			 << (ns->lbaf[ns->flbas & 15].data_shift & 31);
	if (p->block_bytes < 512 || p->block_bytes > HOST_NVME_PAGE ||
	    le64_get(ns->nsze) == 0)
		p->nsid = 0;
}

/*
 * A controller that remembers a completion queue through a reset would break
 * most rules about queues: it gets a new connection for each of them, and
 * breaks the one rule that is about this.
 */
static void survey_reset(struct probe *p)
{
	int rc = host_nvme_create_cq(p->nvme, 1, 4, -1);

	if (rc == 0)
		rc = host_nvme_disable(p->nvme);
	if (rc == 0)
		rc = host_nvme_enable(p->nvme);
	if (rc == 0)
		p->keeps_queues = host_nvme_create_cq(p->nvme, 1, 4, -1) != 0;
}

/* What is missing here is found missing by the rules. */
static void survey(struct probe *p)
{
	const struct nvme_id_ctrl *id;
	const struct nvme_smart_log *smart;
	uint32_t granted = 0;

	p->version = probe_get32(p, NVME_REG_VS);
	if (prepare_nvme(p, PROBE_ADMIN) < 0)
		return;
	if (probe_identify(p, NVME_CNS_CONTROLLER, 0, (const void **)&id) == 0)
		p->id = *id;
	if (host_nvme_set_feature(p->nvme, NVME_FID_QUEUES,
				  QUEUES_0S << 16 | QUEUES_0S, &granted) == 0)
		p->pairs = (granted & 0xffff) < granted >> 16
				   ? (granted & 0xffff) + 1
				   : (granted >> 16) + 1;
	if (p->pairs > PAIRS_WANTED)
		p->pairs = PAIRS_WANTED;
	if (host_nvme_get_log(p->nvme, NVME_LID_SMART, 0, sizeof *smart,
			      (const void **)&smart) == 0)
		p->temperature_k = (uint32_t)le_load(smart->temperature_k, 2);
	survey_namespace(p);
	survey_reset(p);
}

int probe_open(struct probe *p, struct rt_error *error)
{
	int rc = open_function(p, error);

	if (rc == 0 && p->nvme)
		survey(p);
	if (rc == 0 && p->ena)
		probe_ena_survey(p);
	if (rc == 0 && p->is_nsm)
		probe_nsm_survey(p);
	if (rc == 0 && !p->fn)
		return rt_error_set(error, -ECONNRESET,
				    "%s has gone while it was asked",
				    p->options.address);
	return rc;
}
