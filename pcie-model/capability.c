/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capabilities: one row each in `capabilities`, laid out in that order at
 * multiples of 16 bytes from 0x40 and from 0x100.  A row builds its registers;
 * what writing one of them means is in `hooks`.
 *
 *   Power Management  PCI PM 1.2, 3.2; PCIe 3.0 7.6
 *   MSI, MSI-X        PCI 3.0 6.8
 *   Vendor-specific   PCI 3.0 6.7
 *   PCI Express       PCIe 3.0 7.8, version 2, endpoint
 *   Error Reporting   PCIe 3.0 7.10
 *   Serial Number     PCIe 3.0 7.12
 *
 * D1 and D2 do not exist, yet PME is said to come from them: so say the
 * functions seen in EC2.  The function's loop thread.
 */
#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "pcie-model/capability.h"
#include "pcie-model/function.h"

#define FIRST_OFFSET          0x40u
#define FIRST_EXTENDED_OFFSET 0x100u
#define ALIGNMENT             16u

#define MSI_64_MASKED_BYTES 24u
#define EXPRESS_BYTES       60u
#define MSIX_BYTES          12u
#define AER_BYTES           72u
#define SERIAL_BYTES        12u
#define VENDOR_HEADER_BYTES 3u

#define PM_VERSION      3u
#define PM_D3HOT        3u
#define EXPRESS_VERSION 2u

/* Errors that an endpoint can have, and those that are fatal at first. */
#define UNCORRECTABLE                                                          \
	(PCI_ERR_UNC_DLP | PCI_ERR_UNC_SURPDN | PCI_ERR_UNC_POISON_TLP |       \
	 PCI_ERR_UNC_FCP | PCI_ERR_UNC_COMP_TIME | PCI_ERR_UNC_COMP_ABORT |    \
	 PCI_ERR_UNC_UNX_COMP | PCI_ERR_UNC_RX_OVER | PCI_ERR_UNC_MALF_TLP |   \
	 PCI_ERR_UNC_ECRC | PCI_ERR_UNC_UNSUP)
#define FATAL_AT_FIRST                                                         \
	(PCI_ERR_UNC_DLP | PCI_ERR_UNC_SURPDN | PCI_ERR_UNC_FCP |              \
	 PCI_ERR_UNC_RX_OVER | PCI_ERR_UNC_MALF_TLP)
#define CORRECTABLE                                                            \
	(PCI_ERR_COR_RCVR | PCI_ERR_COR_BAD_TLP | PCI_ERR_COR_BAD_DLLP |       \
	 PCI_ERR_COR_REP_ROLL | PCI_ERR_COR_REP_TIMER | PCI_ERR_COR_ADV_NFAT)
#define ALL32 0xffffffffu

#define DEVICE_CONTROL_AT_FIRST                                                \
	(PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN |                 \
	 PCI_EXP_DEVCTL_READRQ_512B)
#define DEVICE_CONTROL_WRITABLE                                                \
	(PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE |    \
	 PCI_EXP_DEVCTL_URRE | PCI_EXP_DEVCTL_RELAX_EN |                       \
	 PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_EXT_TAG |                     \
	 PCI_EXP_DEVCTL_NOSNOOP_EN | PCI_EXP_DEVCTL_READRQ)
#define DEVICE_STATUS_W1C                                                      \
	(PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_NFED | PCI_EXP_DEVSTA_FED |       \
	 PCI_EXP_DEVSTA_URD)
#define LINK_CONTROL_WRITABLE                                                  \
	(PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_RCB | PCI_EXP_LNKCTL_CCC |      \
	 PCI_EXP_LNKCTL_ES)
#define LINK_CONTROL_2_WRITABLE                                                \
	(PCI_EXP_LNKCTL2_TLS | PCI_EXP_LNKCTL2_ENTER_COMP |                    \
	 PCI_EXP_LNKCTL2_HASD)
#define LINK_ASPM_OPTIONALITY 0x00400000u
#define LINK_WIDTH            BITS(9, 4)
#define LINK_EQUALIZED        0x1eu /* complete, phases 1 to 3 */
#define DEVICE_2_TIMEOUT_DIS  0x10u
#define MAX_PAYLOAD_256       1u

struct capability {
	uint16_t id;
	uint8_t version; /* 0: in the first 256 bytes */
	uint8_t size;
	size_t at; /* where the layout keeps its offset */
	bool (*is_offered)(const struct pcie_identity *id);
	void (*build)(struct pcie_function *fn, uint16_t base);
};

#define AT(member) offsetof(struct pcie_config_layout, member)

static uint16_t offset_of(const struct pcie_function *fn, size_t at)
{
	const char *layout = (const char *)&fn->config_layout;

	return *(const uint16_t *)(const void *)(layout + at);
}

static void put_all(struct pcie_function *fn, uint16_t base,
		    const struct pcie_config_field *fields, size_t count)
{
	for (size_t i = 0; i < count; i++)
		pcie_config_put(fn, base, &fields[i]);
}

static bool offers_pm(const struct pcie_identity *id)
{
	return id->has_pm;
}

static void build_pm(struct pcie_function *fn, uint16_t base)
{
	static const struct pcie_config_field fields[] = {
		/* offset size initial writable w1c sticky */
		{ PCI_PM_PMC, 2, PM_VERSION | PCI_PM_CAP_PME_MASK, 0, 0, 0 },
		{ PCI_PM_CTRL, 2, 0,
		  PCI_PM_CTRL_STATE_MASK | PCI_PM_CTRL_PME_ENABLE,
		  PCI_PM_CTRL_PME_STATUS,
		  PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS },
	};

	put_all(fn, base, fields, RT_COUNT(fields));
}

static bool offers_msi(const struct pcie_identity *id)
{
	return id->msi_vectors > 0;
}

static unsigned int log2_of(unsigned int power_of_two)
{
	return (unsigned int)__builtin_ctz(power_of_two);
}

static void build_msi(struct pcie_function *fn, uint16_t base)
{
	unsigned int count = fn->identity.msi_vectors;
	uint64_t flags = PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT |
			 log2_of(count) << 1;
	const struct pcie_config_field fields[] = {
		{ PCI_MSI_FLAGS, 2, flags,
		  PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE, 0, 0 },
		{ PCI_MSI_ADDRESS_LO, 4, 0, ALL32 & ~3u, 0, 0 },
		{ PCI_MSI_ADDRESS_HI, 4, 0, ALL32, 0, 0 },
		{ PCI_MSI_DATA_64, 2, 0, 0xffff, 0, 0 },
		{ PCI_MSI_MASK_64, 4, 0, BITS(count - 1, 0), 0, 0 },
	};

	put_all(fn, base, fields, RT_COUNT(fields));
}

static bool always(const struct pcie_identity *id)
{
	(void)id;
	return true;
}

/* Bits that an FLR keeps by name: PCIe 3.0, 6.6.2. */
static void build_device(struct pcie_function *fn, uint16_t base)
{
	static const struct pcie_config_field fields[] = {
		{ PCI_EXP_FLAGS, 2, EXPRESS_VERSION, 0, 0, 0 },
		{ PCI_EXP_DEVCAP, 4,
		  MAX_PAYLOAD_256 | PCI_EXP_DEVCAP_EXT_TAG |
			  PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_FLR,
		  0, 0, 0 },
		{ PCI_EXP_DEVCTL, 2, DEVICE_CONTROL_AT_FIRST,
		  DEVICE_CONTROL_WRITABLE, 0, PCI_EXP_DEVCTL_PAYLOAD },
		{ PCI_EXP_DEVSTA, 2, 0, 0, DEVICE_STATUS_W1C, 0 },
		{ PCI_EXP_DEVCAP2, 4, DEVICE_2_TIMEOUT_DIS, 0, 0, 0 },
		{ PCI_EXP_DEVCTL2, 2, 0, PCI_EXP_DEVCTL2_COMP_TMOUT_DIS, 0, 0 },
	};

	put_all(fn, base, fields, RT_COUNT(fields));
}

static void build_link(struct pcie_function *fn, uint16_t base)
{
	unsigned int speed = fn->identity.link_speed;
	uint64_t link = bits_put(LINK_WIDTH, speed, fn->identity.link_width);
	const struct pcie_config_field fields[] = {
		{ PCI_EXP_LNKCAP, 4, link | LINK_ASPM_OPTIONALITY, 0, 0, 0 },
		{ PCI_EXP_LNKCTL, 2, 0, LINK_CONTROL_WRITABLE, 0,
		  LINK_CONTROL_WRITABLE },
		{ PCI_EXP_LNKSTA, 2, link | PCI_EXP_LNKSTA_SLC, 0, 0, 0 },
		{ PCI_EXP_LNKCAP2, 4, BITS(speed, 1), 0, 0, 0 },
		{ PCI_EXP_LNKCTL2, 2, speed, LINK_CONTROL_2_WRITABLE, 0,
		  LINK_CONTROL_2_WRITABLE },
		{ PCI_EXP_LNKSTA2, 2,
		  speed >= PCI_EXP_LNKCAP_SLS_8_0GB ? LINK_EQUALIZED : 0, 0, 0,
		  0 },
	};

	put_all(fn, base, fields, RT_COUNT(fields));
}

static void build_express(struct pcie_function *fn, uint16_t base)
{
	build_device(fn, base);
	if (fn->identity.link_speed)
		build_link(fn, base);
}

static bool offers_msix(const struct pcie_identity *id)
{
	return id->msix_vectors > 0;
}

static void build_msix(struct pcie_function *fn, uint16_t base)
{
	const struct pcie_identity *id = &fn->identity;
	const struct pcie_config_field fields[] = {
		{ PCI_MSIX_FLAGS, 2, id->msix_vectors - 1u,
		  PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 0, 0 },
		{ PCI_MSIX_TABLE, 4, id->msix_table_offset | id->msix_bar, 0, 0,
		  0 },
		{ PCI_MSIX_PBA, 4, id->msix_pba_offset | id->msix_bar, 0, 0,
		  0 },
	};

	put_all(fn, base, fields, RT_COUNT(fields));
}

static bool offers_aer(const struct pcie_identity *id)
{
	return id->has_aer;
}

/* All but the capabilities is sticky. */
static void build_aer(struct pcie_function *fn, uint16_t base)
{
	static const struct pcie_config_field fields[] = {
		{ PCI_ERR_UNCOR_STATUS, 4, 0, 0, UNCORRECTABLE, UNCORRECTABLE },
		{ PCI_ERR_UNCOR_MASK, 4, 0, UNCORRECTABLE, 0, UNCORRECTABLE },
		{ PCI_ERR_UNCOR_SEVER, 4, FATAL_AT_FIRST, UNCORRECTABLE, 0,
		  UNCORRECTABLE },
		{ PCI_ERR_COR_STATUS, 4, 0, 0, CORRECTABLE, CORRECTABLE },
		{ PCI_ERR_COR_MASK, 4, PCI_ERR_COR_ADV_NFAT, CORRECTABLE, 0,
		  CORRECTABLE },
		{ PCI_ERR_CAP, 4, 0, 0, 0, PCI_ERR_CAP_FEP(ALL32) },
		{ PCI_ERR_HEADER_LOG, 8, 0, 0, 0, UINT64_MAX },
		{ PCI_ERR_HEADER_LOG + 8, 8, 0, 0, 0, UINT64_MAX },
	};

	put_all(fn, base, fields, RT_COUNT(fields));
}

static bool offers_serial(const struct pcie_identity *id)
{
	return id->serial != 0;
}

static void build_serial(struct pcie_function *fn, uint16_t base)
{
	struct pcie_config_field field = { 4, 8, fn->identity.serial, 0, 0, 0 };

	pcie_config_put(fn, base, &field);
}

static const struct capability capabilities[] = {
	{ PCI_CAP_ID_PM, 0, PCI_PM_SIZEOF, AT(pm), offers_pm, build_pm },
	{ PCI_CAP_ID_MSI, 0, MSI_64_MASKED_BYTES, AT(msi), offers_msi,
	  build_msi },
	{ PCI_CAP_ID_EXP, 0, EXPRESS_BYTES, AT(express), always,
	  build_express },
	{ PCI_CAP_ID_MSIX, 0, MSIX_BYTES, AT(msix), offers_msix, build_msix },
	{ PCI_EXT_CAP_ID_ERR, 2, AER_BYTES, AT(aer), offers_aer, build_aer },
	{ PCI_EXT_CAP_ID_DSN, 1, SERIAL_BYTES, AT(serial), offers_serial,
	  build_serial },
};

/* The link of the list that the next capability goes into. */
struct chain {
	uint16_t next, link;
};

static void place(struct pcie_function *fn, const struct capability *c,
		  struct chain *chain)
{
	struct pcie_config_field header = { 0, 2, c->id, 0, 0, 0 };
	uint16_t base = chain->next;

	pcie_config_put(fn, base, &header);
	le_store(fn->config_layout.initial + chain->link, 1, base);
	chain->link = (uint16_t)(base + 1);
	chain->next =
		(uint16_t)((base + c->size + ALIGNMENT - 1) & ~(ALIGNMENT - 1));
}

/* An extended header has the version below the link in its upper half. */
static void place_extended(struct pcie_function *fn, const struct capability *c,
			   struct chain *chain)
{
	uint8_t *initial = fn->config_layout.initial;
	uint16_t base = chain->next;

	le_store(initial + base, 4, c->id | (uint32_t)c->version << 16);
	if (chain->link)
		le_store(initial + chain->link, 2,
			 le_load(initial + chain->link, 2) | (uint64_t)base
								     << 4);
	chain->link = (uint16_t)(base + 2);
	chain->next =
		(uint16_t)((base + c->size + ALIGNMENT - 1) & ~(ALIGNMENT - 1));
}

/* ---- vendor-specific, PCI 3.0 6.7 ---- */

static_assert(RT_COUNT(((struct pcie_config_layout *)0)->vendor) ==
		      PCIE_VENDOR_CAPABILITIES,
	      "a place for each");

static void build_vendor(struct pcie_function *fn,
			 const struct pcie_vendor_capability *cap,
			 uint16_t base)
{
	for (uint16_t i = VENDOR_HEADER_BYTES; i < cap->size; i++) {
		struct pcie_config_field field = {
			.offset = i,
			.size = 1,
			.initial = cap->bytes[i],
			.writable = cap->writable ? cap->writable[i] : 0,
		};

		pcie_config_put(fn, base, &field);
	}
	fn->config_layout.initial[base + 2] = cap->size;
}

static void place_vendors(struct pcie_function *fn, struct chain *chain)
{
	for (unsigned int i = 0; i < PCIE_VENDOR_CAPABILITIES; i++) {
		const struct pcie_vendor_capability *cap =
			&fn->identity.vendor_caps[i];
		const struct capability row = { .id = PCI_CAP_ID_VNDR,
						.size = cap->size };
		uint16_t base = chain->next;

		if (!cap->size || base + cap->size > FIRST_EXTENDED_OFFSET)
			return;
		place(fn, &row, chain);
		fn->config_layout.vendor[i] = base;
		build_vendor(fn, cap, base);
	}
}

typedef void vendor_fn(struct pcie_function *fn, unsigned int which,
		       uint8_t *bytes, unsigned int first, unsigned int size);

static void tell_vendors(struct pcie_function *fn, vendor_fn *tell,
			 uint64_t offset, size_t size)
{
	uint64_t end = size < PCIE_CONFIG_BYTES ? offset + size
						: offset + PCIE_CONFIG_BYTES;

	if (!tell || offset >= FIRST_EXTENDED_OFFSET)
		return;
	for (unsigned int i = 0; i < PCIE_VENDOR_CAPABILITIES; i++) {
		uint16_t base = fn->config_layout.vendor[i];
		uint64_t limit = base + fn->identity.vendor_caps[i].size;
		uint64_t from = offset > base ? offset : base;
		uint64_t to = end < limit ? end : limit;

		if (base && from < to)
			tell(fn, i, fn->state.config.bytes + base,
			     (unsigned int)(from - base),
			     (unsigned int)(to - from));
	}
}

void pcie_vendor_will_read(struct pcie_function *fn, uint64_t offset,
			   size_t size)
{
	tell_vendors(fn, fn->type->vendor_read, offset, size);
}

void pcie_vendor_wrote(struct pcie_function *fn, uint64_t offset, size_t size)
{
	tell_vendors(fn, fn->type->vendor_wrote, offset, size);
}

int pcie_capabilities_build(struct pcie_function *fn)
{
	struct chain first = { FIRST_OFFSET, PCI_CAPABILITY_LIST };
	struct chain extended = { FIRST_EXTENDED_OFFSET, 0 };
	char *layout = (char *)&fn->config_layout;

	for (size_t i = 0; i < RT_COUNT(capabilities); i++) {
		const struct capability *c = &capabilities[i];
		struct chain *chain = c->version ? &extended : &first;
		uint16_t base = chain->next;

		if (!c->is_offered(&fn->identity))
			continue;
		(c->version ? place_extended : place)(fn, c, chain);
		*(uint16_t *)(void *)(layout + c->at) = base;
		c->build(fn, base);
	}
	place_vendors(fn, &first);
	return first.next <= FIRST_EXTENDED_OFFSET ? 0 : -EINVAL;
}

/*
 * A state that does not exist leaves things as they are (PCI PM 1.2, 3.2.4).
 * Waking up from D3hot without No_Soft_Reset is a reset (5.4.1).
 */
static void wrote_pm_control(struct pcie_function *fn, uint32_t before,
			     uint32_t written)
{
	unsigned int at = fn->config_layout.pm + PCI_PM_CTRL;
	uint32_t was = before & PCI_PM_CTRL_STATE_MASK;
	uint32_t state = written & PCI_PM_CTRL_STATE_MASK;
	uint32_t now = pcie_config_get(fn, at, 2);

	if (state != 0 && state != PM_D3HOT) {
		rt_rule_broken(&fn->bus_rules, PCIE_RULE_PM_STATE, state);
		pcie_config_set(fn, at, 2,
				(now & ~PCI_PM_CTRL_STATE_MASK) | was);
		return;
	}
	if (was == PM_D3HOT && state == 0)
		pcie_function_reset(fn, PCIE_RESET_POWER, NULL, NULL);
}

static void wrote_device_control(struct pcie_function *fn, uint32_t before,
				 uint32_t written)
{
	(void)before;
	if (written & PCI_EXP_DEVCTL_BCR_FLR)
		pcie_function_reset(fn, PCIE_RESET_FLR, NULL, NULL);
}

unsigned int pcie_msi_allocated(const struct pcie_function *fn)
{
	unsigned int at = fn->config_layout.msi + PCI_MSI_FLAGS;
	uint32_t flags = pcie_config_get(fn, at, 2);

	return 1u << ((flags & PCI_MSI_FLAGS_QSIZE) >> 4);
}

/* More messages than offered: as many as offered. */
static void clamp_msi_messages(struct pcie_function *fn)
{
	unsigned int at = fn->config_layout.msi + PCI_MSI_FLAGS;
	uint32_t flags = pcie_config_get(fn, at, 2);
	uint32_t offered = (flags & PCI_MSI_FLAGS_QMASK) << 3;

	if ((flags & PCI_MSI_FLAGS_QSIZE) <= offered)
		return;
	rt_rule_broken(&fn->bus_rules, PCIE_RULE_MSI_COUNT, flags);
	pcie_config_set(fn, at, 2, (flags & ~PCI_MSI_FLAGS_QSIZE) | offered);
}

static void wrote_msi_control(struct pcie_function *fn, uint32_t before,
			      uint32_t written)
{
	clamp_msi_messages(fn);
	if (before & ~written & PCI_MSI_FLAGS_ENABLE)
		pcie_interrupt_forget(fn, PCIE_MSI);
	pcie_interrupt_update(fn);
}

static void wrote_msi_mask(struct pcie_function *fn, uint32_t before,
			   uint32_t written)
{
	(void)before;
	(void)written;
	pcie_interrupt_update(fn);
}

static void wrote_msix_control(struct pcie_function *fn, uint32_t before,
			       uint32_t written)
{
	if (before & ~written & PCI_MSIX_FLAGS_ENABLE)
		pcie_interrupt_forget(fn, PCIE_MSIX);
	pcie_interrupt_update(fn);
}

/* A register of a capability whose writing means something. */
static const struct {
	size_t at;
	struct pcie_config_hook hook;
} hooks[] = {
	{ AT(pm), { PCI_PM_CTRL, 2, wrote_pm_control } },
	{ AT(msi), { PCI_MSI_FLAGS, 2, wrote_msi_control } },
	{ AT(msi), { PCI_MSI_MASK_64, 4, wrote_msi_mask } },
	{ AT(msix), { PCI_MSIX_FLAGS, 2, wrote_msix_control } },
	{ AT(express), { PCI_EXP_DEVCTL, 2, wrote_device_control } },
};

bool pcie_capability_hook(const struct pcie_function *fn, size_t i,
			  struct pcie_config_hook *out)
{
	if (i >= RT_COUNT(hooks))
		return false;
	*out = hooks[i].hook;
	out->offset = (uint16_t)(out->offset + offset_of(fn, hooks[i].at));
	/* An absent capability: a register that no access reaches. */
	if (offset_of(fn, hooks[i].at) == 0)
		out->size = 0;
	return true;
}

/* Requests of ours whose completions are not here yet. */
static bool has_transactions_pending(const struct pcie_function *fn)
{
	return fn->is_quiescing || pcie_dma_is_held(fn) ||
	       !TAILQ_EMPTY(&fn->dma.waiting);
}

void pcie_capability_live(const struct pcie_function *fn,
			  struct pcie_config_live live[PCIE_CAPABILITY_LIVE])
{
	const struct pcie_config_layout *l = &fn->config_layout;

	live[0].offset = l->express + PCI_EXP_DEVCTL;
	if (has_transactions_pending(fn))
		live[0].bits = (uint32_t)PCI_EXP_DEVSTA_TRPND << 16;
	live[1].offset = l->msi + PCI_MSI_PENDING_64;
	if (l->msi)
		live[1].bits = fn->state.interrupts.msi_pending;
}
