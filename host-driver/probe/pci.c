/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of PCI and PCI Express: the header, capabilities, BARs, MSI-X, resets,
 * bus mastering.  Through the kernel's VFIO a part of configuration space is
 * the kernel's, and so is the answer.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"
#include "host-driver/probe/probe.h"

#define BARS          6u
#define BAR_BITS      0xfffffff0u
#define BAR_TYPE_BITS 0xfu
#define COMMAND_BITS                                                           \
	(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE)
#define COMMAND_ON       (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)
#define CAPABILITIES_END 256u
#define MAX_LINKS        48
#define MSIX_ENTRY       16u
#define FLR_MS           1000u

enum probe_verdict probe_pci_vendor_id(struct probe *p)
{
	uint32_t ids = probe_config_get(p, PCI_VENDOR_ID, 4);

	if ((ids & 0xffff) == 0 || (ids & 0xffff) == 0xffff)
		return probe_broken(p, "the vendor is %04xh", ids & 0xffff);
	if (ids != le_load(p->config, 4))
		return probe_broken(p, "it was %04xh:%04xh before",
				    p->scan.vendor, p->scan.device);
	return PROBE_HOLDS;
}

enum probe_verdict probe_pci_header_type(struct probe *p)
{
	uint32_t type = probe_config_get(p, PCI_HEADER_TYPE, 1);

	return (type & 0x7f) == PCI_HEADER_TYPE_NORMAL
		       ? PROBE_HOLDS
		       : probe_broken(p, "the type is %02xh", type);
}

enum probe_verdict probe_pci_identity_read_only(struct probe *p)
{
	static const struct {
		unsigned int offset;
		const char *name;
	} fields[] = {
		{ PCI_VENDOR_ID, "vendor and device" },
		{ PCI_CLASS_REVISION, "class and revision" },
		{ PCI_SUBSYSTEM_VENDOR_ID, "subsystem" },
	};
	uint32_t before, after;

	for (size_t i = 0; i < RT_COUNT(fields); i++) {
		before = probe_config_get(p, fields[i].offset, 4);
		/* It may be refused as well as ignored. */
		(void)host_write32(p->fn, HOST_CONFIG, fields[i].offset,
				   ~before);
		after = probe_config_get(p, fields[i].offset, 4);
		if (after != before)
			return probe_broken(p, "%s: %08xh became %08xh",
					    fields[i].name, before, after);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_pci_command_bits(struct probe *p)
{
	uint32_t on, off;

	probe_config_set(p, PCI_COMMAND, 2, COMMAND_BITS);
	on = probe_config_get(p, PCI_COMMAND, 2);
	probe_config_set(p, PCI_COMMAND, 2, 0);
	off = probe_config_get(p, PCI_COMMAND, 2);
	probe_config_set(p, PCI_COMMAND, 2, COMMAND_ON);
	if ((on & COMMAND_BITS) != COMMAND_BITS)
		return probe_broken(p, "%04xh was written and %04xh read",
				    (unsigned int)COMMAND_BITS, on);
	if (off & COMMAND_BITS)
		return probe_broken(p, "0 was written and %04xh read", off);
	return PROBE_HOLDS;
}

enum probe_verdict probe_pci_access_sizes(struct probe *p)
{
	for (unsigned int at = 0; at < 64; at += 4) {
		uint32_t whole = probe_config_get(p, at, 4), parts = 0;
		uint32_t halves = probe_config_get(p, at, 2) |
				  probe_config_get(p, at + 2, 2) << 16;

		for (unsigned int i = 0; i < 4; i++)
			parts |= probe_config_get(p, at + i, 1) << (8 * i);
		if (whole != parts || whole != halves)
			return probe_broken(p,
					    "%02xh is %08xh as one, %08xh as "
					    "words, %08xh as bytes",
					    at, whole, halves, parts);
	}
	return PROBE_HOLDS;
}

/* --- Capabilities --------------------------------------------------------- */

/* Bytes of a capability whose length follows from its id; 2: a header. */
static unsigned int capability_bytes(struct probe *p, unsigned int at)
{
	uint32_t head = probe_config_get(p, at, 4);

	switch (head & 0xff) {
	case PCI_CAP_ID_PM:
		return PCI_PM_SIZEOF;
	case PCI_CAP_ID_MSIX:
		return 12;
	case PCI_CAP_ID_EXP:
		return (head >> 16 & PCI_EXP_FLAGS_VERS) >= 2 ? 60 : 20;
	case PCI_CAP_ID_VNDR:
		return head >> 16 & 0xff;
	default:
		return 2;
	}
}

/* The next offset, or 0 and a sentence when the list is broken. */
static bool link_is_good(struct probe *p, unsigned int at, const uint8_t *seen)
{
	if (at >= 0x40 && at < CAPABILITIES_END && at % 4 == 0 && !seen[at])
		return true;
	probe_broken(p,
		     at < CAPABILITIES_END && seen[at]
			     ? "the list comes back to %02xh"
			     : "the list leads to %02xh",
		     at);
	return false;
}

enum probe_verdict probe_pci_capability_list(struct probe *p)
{
	uint8_t seen[CAPABILITIES_END] = { 0 };
	uint32_t status = probe_config_get(p, PCI_STATUS, 2);
	unsigned int at = probe_config_get(p, PCI_CAPABILITY_LIST, 1);
	unsigned int size;

	if (!(status & PCI_STATUS_CAP_LIST))
		return at ? probe_broken(p, "Status says that there is none")
			  : PROBE_HOLDS;
	for (; at; at = probe_config_get(p, at + 1, 1)) {
		if (!link_is_good(p, at, seen))
			return PROBE_BROKEN;
		size = capability_bytes(p, at);
		for (unsigned int i = 0; i < size; i++) {
			if (at + i >= CAPABILITIES_END || seen[at + i])
				return probe_broken(p, "%02xh does not fit",
						    at);
			seen[at + i] = 1;
		}
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_pci_capability_ids(struct probe *p)
{
	uint8_t seen[256] = { 0 };
	unsigned int at = probe_config_get(p, PCI_CAPABILITY_LIST, 1);

	for (int left = MAX_LINKS; at >= 0x40 && left > 0; left--) {
		uint32_t id = probe_config_get(p, at, 1);

		if (id == 0 || id == 0xff)
			return probe_broken(p, "%02xh has id %02xh", at, id);
		if (seen[id] && id != PCI_CAP_ID_VNDR && id != PCI_CAP_ID_EA &&
		    id != PCI_CAP_ID_HT)
			return probe_broken(p, "id %02xh is there twice", id);
		seen[id] = 1;
		at = probe_config_get(p, at + 1, 1) & 0xfc;
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_pci_extended_list(struct probe *p)
{
	unsigned int at = CAPABILITIES_END;
	uint32_t header;

	if (probe_region_size(p, HOST_CONFIG) < 4096)
		return probe_skip(p, "configuration space has 256 bytes");
	for (int left = 960; left > 0; left--) {
		header = probe_config_get(p, at, 4);
		if (header == 0 || header == UINT32_MAX)
			return PROBE_HOLDS;
		at = header >> 20;
		if (at == 0)
			return PROBE_HOLDS;
		if (at < CAPABILITIES_END || at % 4)
			return probe_broken(p, "the list leads to %03xh", at);
	}
	return probe_broken(p, "the list has no end");
}

enum probe_verdict probe_pci_express(struct probe *p)
{
	unsigned int at = probe_capability(p, PCI_CAP_ID_EXP);
	uint32_t flags, type;

	if (!at)
		return probe_broken(p, "there is no PCI Express capability");
	flags = probe_config_get(p, at + PCI_EXP_FLAGS, 2);
	type = (flags & PCI_EXP_FLAGS_TYPE) >> 4;
	if ((flags & PCI_EXP_FLAGS_VERS) == 0)
		return probe_broken(p, "its version is 0");
	if (type != PCI_EXP_TYPE_ENDPOINT && type != PCI_EXP_TYPE_LEG_END &&
	    type != PCI_EXP_TYPE_RC_END)
		return probe_broken(p, "its type is %x, not an endpoint", type);
	return PROBE_HOLDS;
}

/* --- BARs ----------------------------------------------------------------- */

static uint64_t bar_get(struct probe *p, unsigned int i, bool is_wide)
{
	unsigned int at = PCI_BASE_ADDRESS_0 + 4 * i;
	uint64_t value = probe_config_get(p, at, 4);

	if (is_wide)
		value |= (uint64_t)probe_config_get(p, at + 4, 4) << 32;
	return value;
}

static void bar_set(struct probe *p, unsigned int i, bool is_wide,
		    uint64_t value)
{
	unsigned int at = PCI_BASE_ADDRESS_0 + 4 * i;

	probe_config_set(p, at, 4, (uint32_t)value);
	if (is_wide)
		probe_config_set(p, at + 4, 4, (uint32_t)(value >> 32));
}

static bool bar_is_wide(struct probe *p, unsigned int i)
{
	uint32_t low = probe_config_get(p, PCI_BASE_ADDRESS_0 + 4 * i, 4);

	return i + 1 < BARS && !(low & PCI_BASE_ADDRESS_SPACE_IO) &&
	       (low & PCI_BASE_ADDRESS_MEM_TYPE_MASK) ==
		       PCI_BASE_ADDRESS_MEM_TYPE_64;
}

/* What a host learns by writing ones, PCI 3.0, 6.2.5.1; 0: no BAR. */
static uint64_t bar_size(struct probe *p, unsigned int i, bool is_wide)
{
	uint64_t before = bar_get(p, i, is_wide), ones;

	bar_set(p, i, is_wide, UINT64_MAX);
	ones = bar_get(p, i, is_wide);
	bar_set(p, i, is_wide, before);
	if (!is_wide && (uint32_t)ones)
		ones |= UINT64_C(0xffffffff) << 32;
	return ones ? ~(ones & ~UINT64_C(0xf)) + 1 : 0;
}

enum probe_verdict probe_pci_bar_sizing(struct probe *p)
{
	uint64_t said, found;
	bool is_wide;

	probe_config_set(p, PCI_COMMAND, 2, 0);
	for (unsigned int i = 0; i < BARS; i += 1u + is_wide) {
		is_wide = bar_is_wide(p, i);
		if (bar_get(p, i, false) & PCI_BASE_ADDRESS_SPACE_IO)
			continue;
		said = probe_region_size(p, i);
		found = bar_size(p, i, is_wide);
		if (found != said || (found & (found - 1)))
			return probe_broken(p,
					    "BAR %u is of %llxh bytes, and "
					    "its region of %llxh",
					    i, (unsigned long long)found,
					    (unsigned long long)said);
	}
	probe_config_set(p, PCI_COMMAND, 2, COMMAND_ON);
	return PROBE_HOLDS;
}

enum probe_verdict probe_pci_bar_address(struct probe *p)
{
	uint64_t before, size, want, got;
	bool is_wide;

	probe_config_set(p, PCI_COMMAND, 2, 0);
	for (unsigned int i = 0; i < BARS; i += 1u + is_wide) {
		is_wide = bar_is_wide(p, i);
		size = probe_region_size(p, i);
		before = bar_get(p, i, is_wide);
		if (size == 0 || size > 0x1000000 ||
		    (before & PCI_BASE_ADDRESS_SPACE_IO))
			continue;
		want = UINT64_C(0xfd000000) | (before & BAR_TYPE_BITS);
		bar_set(p, i, is_wide, want | (size / 2 & BAR_BITS));
		got = bar_get(p, i, is_wide);
		bar_set(p, i, is_wide, before);
		if (got != want)
			return probe_broken(p,
					    "BAR %u reads %llxh where %llxh "
					    "should be",
					    i, (unsigned long long)got,
					    (unsigned long long)want);
	}
	probe_config_set(p, PCI_COMMAND, 2, COMMAND_ON);
	return PROBE_HOLDS;
}

/* --- Interrupts ----------------------------------------------------------- */

enum probe_verdict probe_pci_interrupt_pin(struct probe *p)
{
	uint32_t pin = probe_config_get(p, PCI_INTERRUPT_PIN, 1);
	unsigned int count = probe_irq_count(p, VFIO_PCI_INTX_IRQ_INDEX);

	if (pin > 4)
		return probe_broken(p, "the pin is %u", pin);
	if (count != (pin != 0))
		return probe_broken(p, "the pin is %u, and there are %u INTx",
				    pin, count);
	return PROBE_HOLDS;
}

enum probe_verdict probe_pci_msi_count(struct probe *p)
{
	unsigned int at = probe_capability(p, PCI_CAP_ID_MSI);
	unsigned int count = probe_irq_count(p, VFIO_PCI_MSI_IRQ_INDEX);
	unsigned int said = 0;

	if (at)
		said = 1u << ((probe_config_get(p, at + PCI_MSI_FLAGS, 2) &
			       PCI_MSI_FLAGS_QMASK) >>
			      1);
	return count == said ? PROBE_HOLDS
			     : probe_broken(p, "%u messages, and %u interrupts",
					    said, count);
}

struct msix {
	unsigned int at, count;
	unsigned int table_bar, pba_bar;
	uint64_t table, pba, table_size, pba_size;
};

/* A server may leave the table to its client, and refuse every access. */
static bool has_table(struct probe *p, const struct msix *m)
{
	uint32_t word;

	return host_read32(p->fn, m->table_bar, m->table, &word) == 0;
}

static bool find_msix(struct probe *p, struct msix *out)
{
	uint32_t table, pba;

	*out = (struct msix){ .at = probe_capability(p, PCI_CAP_ID_MSIX) };
	if (!out->at)
		return false;
	table = probe_config_get(p, out->at + PCI_MSIX_TABLE, 4);
	pba = probe_config_get(p, out->at + PCI_MSIX_PBA, 4);
	out->count = (probe_config_get(p, out->at + PCI_MSIX_FLAGS, 2) &
		      PCI_MSIX_FLAGS_QSIZE) +
		     1;
	out->table_bar = table & PCI_MSIX_TABLE_BIR;
	out->pba_bar = pba & PCI_MSIX_PBA_BIR;
	out->table = table & PCI_MSIX_TABLE_OFFSET;
	out->pba = pba & PCI_MSIX_PBA_OFFSET;
	out->table_size = UINT64_C(16) * out->count;
	out->pba_size = (UINT64_C(63) + out->count) / 64 * 8;
	return true;
}

static bool fits(struct probe *p, unsigned int bar, uint64_t offset,
		 uint64_t size)
{
	uint64_t room = bar < BARS ? probe_region_size(p, bar) : 0;

	return offset <= room && size <= room - offset;
}

enum probe_verdict probe_pci_msix_layout(struct probe *p)
{
	struct msix m;

	if (!find_msix(p, &m))
		return probe_skip(p, "no MSI-X");
	if (!fits(p, m.table_bar, m.table, m.table_size))
		return probe_broken(p, "the table is not inside BAR %u",
				    m.table_bar);
	if (!fits(p, m.pba_bar, m.pba, m.pba_size))
		return probe_broken(p, "the pending bits are not inside BAR %u",
				    m.pba_bar);
	if (m.table_bar == m.pba_bar && m.table < m.pba + m.pba_size &&
	    m.pba < m.table + m.table_size)
		return probe_broken(p, "table and pending bits overlap");
	return PROBE_HOLDS;
}

enum probe_verdict probe_pci_msix_count(struct probe *p)
{
	unsigned int count = probe_irq_count(p, VFIO_PCI_MSIX_IRQ_INDEX);
	struct msix m = { 0 };

	find_msix(p, &m);
	return m.count == count
		       ? PROBE_HOLDS
		       : probe_broken(p, "%u entries, and %u interrupts",
				      m.count, count);
}

enum probe_verdict probe_pci_msix_table(struct probe *p)
{
	uint8_t entry[MSIX_ENTRY] = { 0 };
	struct msix m;
	uint64_t at;

	if (!find_msix(p, &m))
		return probe_skip(p, "no MSI-X");
	if (!has_table(p, &m))
		return probe_skip(p, "the table is left to the client");
	for (unsigned int i = 0; i < m.count; i++) {
		at = m.table + (uint64_t)MSIX_ENTRY * i;
		le_store(entry, 8, UINT64_C(0xfee00000) + 0x1000u * i);
		le_store(entry + 8, 4, 0x4000u + i);
		le_store(entry + 12, 4, PCI_MSIX_ENTRY_CTRL_MASKBIT);
		for (unsigned int word = 0; word < MSIX_ENTRY; word += 4)
			if (host_write(p->fn, m.table_bar, at + word,
				       entry + word, 4))
				return probe_broken(p, "it cannot be written");
	}
	for (unsigned int i = 0; i < m.count; i++) {
		at = m.table + (uint64_t)MSIX_ENTRY * i;
		if (host_read(p->fn, m.table_bar, at, entry, sizeof entry))
			return probe_broken(p, "it cannot be read");
		if (le_load(entry, 8) != UINT64_C(0xfee00000) + 0x1000u * i ||
		    le_load(entry + 8, 4) != 0x4000u + i)
			return probe_broken(p, "entry %u is another", i);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_pci_msix_reset(struct probe *p)
{
	struct msix m;
	uint32_t control;

	if (!find_msix(p, &m))
		return probe_skip(p, "no MSI-X");
	if (host_reset(p->fn))
		return probe_broken(p, "the function could not be reset");
	if (probe_config_get(p, m.at + PCI_MSIX_FLAGS, 2) &
	    (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL))
		return probe_broken(p, "MSI-X is on after a reset");
	probe_config_set(p, PCI_COMMAND, 2, COMMAND_ON);
	for (unsigned int i = 0; has_table(p, &m) && i < m.count; i++) {
		if (host_read32(p->fn, m.table_bar,
				m.table + (uint64_t)MSIX_ENTRY * i + 12,
				&control))
			return probe_broken(p, "the table cannot be read");
		if (!(control & PCI_MSIX_ENTRY_CTRL_MASKBIT))
			return probe_broken(p, "entry %u is not masked", i);
	}
	return PROBE_HOLDS;
}

/* --- Resets and power ----------------------------------------------------- */

static enum probe_verdict is_reset(struct probe *p)
{
	uint32_t cc, csts;

	probe_config_set(p, PCI_COMMAND, 2, COMMAND_ON);
	cc = probe_get32(p, NVME_REG_CC);
	csts = probe_get32(p, NVME_REG_CSTS);
	if (cc & 1)
		return probe_broken(p, "CC is %08xh afterwards", cc);
	if (csts & (NVME_CSTS_RDY | NVME_CSTS_CFS | NVME_CSTS_SHST))
		return probe_broken(p, "CSTS is %08xh afterwards", csts);
	return PROBE_HOLDS;
}

/* 100 ms by the specification; ones meanwhile, or refusals. */
static bool wait_for_flr(struct probe *p)
{
	const struct rt_clock clock = { 0 };
	uint64_t end = rt_clock_now_ns(&clock) + FLR_MS * RT_NS_PER_MS;
	uint32_t ids = UINT32_MAX;

	while (rt_clock_now_ns(&clock) < end) {
		if (host_read32(p->fn, HOST_CONFIG, 0, &ids) == 0 &&
		    ids != UINT32_MAX)
			return true;
		probe_pause_ms(p, 1);
	}
	return false;
}

enum probe_verdict probe_pci_flr(struct probe *p)
{
	unsigned int at = probe_capability(p, PCI_CAP_ID_EXP);
	uint32_t control, command;

	if (!at ||
	    !(probe_config_get(p, at + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR))
		return probe_skip(p, "no function level reset");
	control = probe_config_get(p, at + PCI_EXP_DEVCTL, 2);
	probe_config_set(p, at + PCI_EXP_DEVCTL, 2,
			 control | PCI_EXP_DEVCTL_BCR_FLR);
	if (!wait_for_flr(p))
		return probe_broken(p, "it is silent for %u ms", FLR_MS);
	command = probe_config_get(p, PCI_COMMAND, 2);
	/* The kernel restores what it has saved. */
	if (p->is_socket && (command & COMMAND_BITS))
		return probe_broken(p, "Command is %04xh afterwards", command);
	return is_reset(p);
}

enum probe_verdict probe_pci_function_reset(struct probe *p)
{
	int rc = host_reset(p->fn);

	return rc < 0 ? probe_failed(p, rc, "the reset") : is_reset(p);
}

enum probe_verdict probe_pci_power_state(struct probe *p)
{
	unsigned int at = probe_capability(p, PCI_CAP_ID_PM);
	uint32_t control;

	if (!at)
		return probe_skip(p, "no power management");
	control = probe_config_get(p, at + PCI_PM_CTRL, 2);
	probe_config_set(p, at + PCI_PM_CTRL, 2, control | 3);
	if ((probe_config_get(p, at + PCI_PM_CTRL, 2) & 3) != 3)
		return probe_broken(p, "it does not go to D3hot");
	probe_config_set(p, at + PCI_PM_CTRL, 2, control & ~3u);
	if (!wait_for_flr(p))
		return probe_broken(p, "it is silent for %u ms", FLR_MS);
	if (probe_config_get(p, at + PCI_PM_CTRL, 2) & 3)
		return probe_broken(p, "it does not come back to D0");
	if (control & PCI_PM_CTRL_NO_SOFT_RESET)
		return PROBE_HOLDS;
	return is_reset(p);
}

enum probe_verdict probe_pci_bus_master_off(struct probe *p)
{
	PROBE_SNAPSHOT struct probe_snapshot before = { 0 };
	struct probe_cmd cmd = { .opcode = NVME_ADMIN_IDENTIFY,
				 .prp1 = probe_page(p),
				 .cdw10 = NVME_CNS_CONTROLLER };
	struct nvme_cmd entry = probe_entry(cmd);

	host_nvme_put(p->nvme, 0, &entry);
	if (probe_snapshot_take(p, &before) < 0)
		return probe_skip(p, "no memory");
	probe_config_set(p, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	(void)host_nvme_ring_sq(p->nvme, 0, p->nvme->sqs[0].tail);
	probe_pause_ms(p, PROBE_QUIET_MS);
	return probe_snapshot_holds(p, &before)
		       ? PROBE_HOLDS
		       : probe_broken(p, "it wrote to memory all the same");
}
