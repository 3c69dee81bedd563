/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of admin commands as such, and of Identify: NVM Express Base
 * Specification 1.4, 4.2, 5 and 5.15.
 */
#include <ctype.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "host-driver/probe/probe.h"

#define FUSED_FIRST  0x01u /* flags */
#define PSDT_SGL     0x40u
#define NO_CNS       0xfeu
#define FAR_IOVA     UINT64_C(0x100000000000) /* nothing is there */
#define NQN_BYTES    223u
#define NQN_ROOM     256u
#define OACS_NS_MGMT BITS(3, 3)
#define NIDT_EUI64   1u
#define NIDT_CSI     4u
#define LIST_ENTRIES 1024u
#define TEXT_SPACE   ' '
#define STABLE_BYTES offsetof(struct nvme_id_ctrl, reserved102)

/* --- Any admin command ---------------------------------------------------- */

enum probe_verdict probe_admin_unknown_opcode(struct probe *p)
{
	static const uint8_t opcodes[] = { 0x03, 0x07, 0x0b, 0x0f };
	int rc;

	for (size_t i = 0; i < RT_COUNT(opcodes); i++) {
		rc = probe_admin(p, (struct probe_cmd){ .opcode = opcodes[i] });
		if (probe_want_unknown(p, rc, opcodes[i]) != PROBE_HOLDS)
			return PROBE_BROKEN;
	}
	return PROBE_HOLDS;
}

/* Commands that would do nothing even if they were obeyed. */
enum probe_verdict probe_admin_not_offered(struct probe *p)
{
	static const struct {
		unsigned int bit;
		uint8_t opcode;
	} commands[] = { { 0, 0x82 }, /* Security Receive */
			 { 4, 0x14 }, /* Device Self-test */
			 { 5, 0x1a }, /* Directive Receive */
			 { 6, 0x1e }, /* NVMe-MI Receive */
			 { 7, 0x1c }, /* Virtualization Management */
			 { 8, 0x7c }, /* Doorbell Buffer Config */
			 { 9, 0x86 } /* Get LBA Status */ };
	uint32_t oacs = le16_get(p->id.oacs);
	uint64_t page = probe_page(p);
	int rc;

	for (size_t i = 0; i < RT_COUNT(commands); i++) {
		if (oacs & BIT(commands[i].bit))
			continue;
		rc = probe_admin(p, (struct probe_cmd){
					    .opcode = commands[i].opcode,
					    .nsid = p->nsid,
					    .prp1 = page,
					    .prp2 = page,
				    });
		if (probe_want_unknown(p, rc, commands[i].opcode) !=
		    PROBE_HOLDS)
			return PROBE_BROKEN;
	}
	return PROBE_HOLDS;
}

static int identify_as(struct probe *p, uint8_t flags, uint64_t prp1)
{
	return probe_admin(p,
			   (struct probe_cmd){ .opcode = NVME_ADMIN_IDENTIFY,
					       .flags = flags,
					       .prp1 = prp1,
					       .cdw10 = NVME_CNS_CONTROLLER });
}

enum probe_verdict probe_admin_fused(struct probe *p)
{
	return probe_want(p, identify_as(p, FUSED_FIRST, probe_page(p)),
			  PROBE_INVALID_FIELD);
}

enum probe_verdict probe_admin_sgl(struct probe *p)
{
	return probe_want(p, identify_as(p, PSDT_SGL, probe_page(p)),
			  PROBE_INVALID_FIELD);
}

enum probe_verdict probe_admin_bad_pointer(struct probe *p)
{
	int rc = identify_as(p, 0, FAR_IOVA);

	if (rc <= 0)
		return probe_want_error(p, rc);
	rc = identify_as(p, 0, probe_page(p));
	return rc ? probe_failed(p, rc, "the next command") : PROBE_HOLDS;
}

/* --- Identify Controller -------------------------------------------------- */

static int identify_controller(struct probe *p, const struct nvme_id_ctrl **out)
{
	return probe_identify(p, NVME_CNS_CONTROLLER, 0, (const void **)out);
}

enum probe_verdict probe_identify_controller(struct probe *p)
{
	const struct nvme_id_ctrl *id;
	int rc = identify_controller(p, &id);

	if (rc)
		return probe_failed(p, rc, "Identify");
	if (le16_get(id->vid) != p->scan.vendor)
		return probe_broken(p,
				    "the vendor is %04xh, and on the bus "
				    "%04xh",
				    le16_get(id->vid), p->scan.vendor);
	if (le32_get(id->nn) == 0)
		return probe_broken(p, "NN is 0");
	return PROBE_HOLDS;
}

static int identify_bytes(struct probe *p, const uint8_t **out)
{
	return probe_identify(p, NVME_CNS_CONTROLLER, 0, (const void **)out);
}

enum probe_verdict probe_identify_whole_page(struct probe *p)
{
	const uint8_t *first, *second;
	uint8_t copy[NVME_IDENTIFY_BYTES];
	int rc = identify_bytes(p, &first);

	if (rc)
		return probe_failed(p, rc, "Identify");
	memcpy(copy, first, sizeof copy);
	/* Reserved: zero, whatever was in memory. */
	for (size_t i = 1280; i < 1792; i++)
		if (copy[i] == PROBE_FILL)
			return probe_broken(p, "byte %zu was not written", i);
	rc = identify_bytes(p, &second);
	if (rc)
		return probe_failed(p, rc, "Identify");
	for (size_t i = 0; i < sizeof copy; i++)
		if (copy[i] != second[i])
			return probe_broken(p, "byte %zu is another now", i);
	return PROBE_HOLDS;
}

enum probe_verdict probe_identify_version(struct probe *p)
{
	uint32_t ver = le32_get(p->id.ver);

	/* VER came with 1.2. */
	if (!probe_has_version(p, 1, 2) && ver == 0)
		return PROBE_HOLDS;
	return ver == p->version ? PROBE_HOLDS
				 : probe_broken(p, "VS is %08xh, VER %08xh",
						p->version, ver);
}

static bool is_text(const char *field, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!isprint((unsigned char)field[i]))
			return false;
	return true;
}

enum probe_verdict probe_identify_text(struct probe *p)
{
	const struct nvme_id_ctrl *id = &p->id;

	if (!is_text(id->sn, sizeof id->sn))
		return probe_broken(p, "the serial number is not ASCII");
	if (!is_text(id->mn, sizeof id->mn))
		return probe_broken(p, "the model number is not ASCII");
	if (!is_text(id->fr, sizeof id->fr))
		return probe_broken(p, "the firmware revision is not ASCII");
	if (id->sn[0] == TEXT_SPACE || id->mn[0] == TEXT_SPACE ||
	    id->fr[0] == TEXT_SPACE)
		return probe_broken(p, "a text is empty or not at the left");
	return PROBE_HOLDS;
}

enum probe_verdict probe_identify_entry_sizes(struct probe *p)
{
	uint8_t sqes = p->id.sqes, cqes = p->id.cqes;

	if ((sqes & 15) != 6 || sqes >> 4 < 6)
		return probe_broken(p, "SQES is %02xh", sqes);
	if ((cqes & 15) != 4 || cqes >> 4 < 4)
		return probe_broken(p, "CQES is %02xh", cqes);
	return PROBE_HOLDS;
}

enum probe_verdict probe_identify_type(struct probe *p)
{
	if (!probe_has_version(p, 1, 4))
		return probe_skip(p, "before 1.4");
	return p->id.cntrltype >= 1 && p->id.cntrltype <= 3
		       ? PROBE_HOLDS
		       : probe_broken(p, "CNTRLTYPE is %u", p->id.cntrltype);
}

enum probe_verdict probe_identify_subsystem(struct probe *p)
{
	size_t length = strnlen(p->id.subnqn, NQN_ROOM);

	if (p->version < 0x00010201 ||
	    (length == 0 && !probe_has_version(p, 1, 3)))
		return probe_skip(p, "before 1.2.1");
	if (length == 0 || length > NQN_BYTES)
		return probe_broken(p, "SUBNQN has %zu bytes", length);
	for (size_t i = length; i < NQN_ROOM; i++)
		if (p->id.subnqn[i])
			return probe_broken(p, "SUBNQN goes on behind its end");
	return PROBE_HOLDS;
}

enum probe_verdict probe_identify_power_states(struct probe *p)
{
	if (p->id.npss > 31)
		return probe_broken(p, "NPSS is %u", p->id.npss);
	for (size_t i = p->id.npss + 1u; i < RT_COUNT(p->id.psd); i++)
		for (size_t byte = 0; byte < sizeof p->id.psd[i]; byte++)
			if (((const uint8_t *)&p->id.psd[i])[byte])
				return probe_broken(p,
						    "state %zu is described, "
						    "and NPSS is %u",
						    i, p->id.npss);
	return PROBE_HOLDS;
}

enum probe_verdict probe_identify_reserved_cns(struct probe *p)
{
	const void *data;

	return probe_want(p, probe_identify(p, NO_CNS, 0, &data),
			  PROBE_INVALID_FIELD);
}

enum probe_verdict probe_identify_stable(struct probe *p)
{
	const struct nvme_id_ctrl *id, *before;
	int rc = identify_controller(p, &before);

	if (rc == 0)
		rc = host_nvme_disable(p->nvme);
	if (rc == 0 && host_reset(p->fn) == 0) {
		probe_config_set(p, 4, 2, 6);
		rc = host_nvme_disable(p->nvme);
	}
	if (rc == 0)
		rc = host_nvme_enable(p->nvme);
	if (rc == 0)
		rc = identify_controller(p, &id);
	if (rc)
		return probe_failed(p, rc, "Identify after a reset");
	if (memcmp(id, before, STABLE_BYTES))
		return probe_broken(p, "the first %u bytes are others",
				    (unsigned int)STABLE_BYTES);
	if (le32_get(id->nn) != le32_get(before->nn) ||
	    le16_get(id->oncs) != le16_get(before->oncs) ||
	    le16_get(id->oacs) != le16_get(before->oacs) ||
	    le16_get(id->awupf) != le16_get(before->awupf))
		return probe_broken(p, "NN, ONCS, OACS or AWUPF changed");
	return PROBE_HOLDS;
}

/* --- Identify Namespace --------------------------------------------------- */

enum probe_verdict probe_identify_namespace(struct probe *p)
{
	const struct nvme_id_ns *ns = &p->ns;
	uint64_t size = le64_get(ns->nsze), capacity = le64_get(ns->ncap);
	unsigned int format = ns->flbas & 15, shift;

	if (p->nsid == 0)
		return probe_skip(p, "no active namespace");
	if (capacity > size || le64_get(ns->nuse) > capacity)
		return probe_broken(p, "not NSZE >= NCAP >= NUSE");
	if (format > ns->nlbaf)
		return probe_broken(p, "format %u of %u", format,
				    ns->nlbaf + 1u);
	shift = ns->lbaf[format].data_shift;
	return shift >= 9 && shift <= 16
		       ? PROBE_HOLDS
		       : probe_broken(p, "LBADS is %u", shift);
}

enum probe_verdict probe_identify_namespace_range(struct probe *p)
{
	const void *data;
	int rc = probe_identify(p, NVME_CNS_NAMESPACE, 0, &data);

	if (rc != PROBE_INVALID_NAMESPACE)
		return probe_want(p, rc, PROBE_INVALID_NAMESPACE);
	rc = probe_identify(p, NVME_CNS_NAMESPACE, le32_get(p->id.nn) + 1,
			    &data);
	return probe_want(p, rc, PROBE_INVALID_NAMESPACE);
}

enum probe_verdict probe_identify_namespace_all(struct probe *p)
{
	const void *data;
	int rc = probe_identify(p, NVME_CNS_NAMESPACE, NVME_NSID_ALL, &data);

	if (le16_get(p->id.oacs) & OACS_NS_MGMT)
		return probe_want(p, rc, 0);
	return probe_want(p, rc, PROBE_INVALID_NAMESPACE);
}

enum probe_verdict probe_identify_active_list(struct probe *p)
{
	const le32 *list;
	uint32_t before = 0, nsid;
	bool has_ended = false;
	int rc;

	if (!probe_has_version(p, 1, 1))
		return probe_skip(p, "before 1.1");
	rc = probe_identify(p, NVME_CNS_ACTIVE_LIST, 0, (const void **)&list);
	if (rc)
		return probe_failed(p, rc, "Identify");
	for (size_t i = 0; i < LIST_ENTRIES; i++) {
		nsid = le32_get(list[i]);
		if ((nsid && has_ended) || nsid > le32_get(p->id.nn))
			return probe_broken(p, "entry %zu is %08xh", i, nsid);
		if (nsid && nsid <= before)
			return probe_broken(p, "entry %zu is out of order", i);
		has_ended |= nsid == 0;
		before = nsid;
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_identify_active_list_after(struct probe *p)
{
	const le32 *list;
	int rc;

	if (!probe_has_version(p, 1, 1) || p->nsid == 0)
		return probe_skip(p, "before 1.1, or no active namespace");
	rc = probe_identify(p, NVME_CNS_ACTIVE_LIST, p->nsid,
			    (const void **)&list);
	if (rc)
		return probe_failed(p, rc, "Identify");
	if (le32_get(list[0]) && le32_get(list[0]) <= p->nsid)
		return probe_broken(p, "%u is not after %u", le32_get(list[0]),
				    p->nsid);
	rc = probe_identify(p, NVME_CNS_ACTIVE_LIST, NVME_NSID_ALL - 1,
			    (const void **)&list);
	return probe_want(p, rc, PROBE_INVALID_NAMESPACE);
}

static unsigned int descriptor_bytes(unsigned int type)
{
	switch (type) {
	case NIDT_EUI64:
		return 8;
	case NVME_NIDT_NGUID:
	case NVME_NIDT_UUID:
		return 16;
	case NIDT_CSI:
		return 1;
	default:
		return 0;
	}
}

static enum probe_verdict check_descriptors(struct probe *p,
					    const uint8_t *data)
{
	unsigned int type, length, at = 0;

	while (at + 4 <= NVME_IDENTIFY_BYTES && data[at]) {
		type = data[at];
		length = data[at + 1];
		if (length == 0 || length != descriptor_bytes(type))
			return probe_broken(p, "type %u has %u bytes", type,
					    length);
		if (type == NVME_NIDT_NGUID &&
		    memcmp(data + at + 4, p->ns.nguid, sizeof p->ns.nguid))
			return probe_broken(p, "the NGUID is another");
		at += 4 + length;
	}
	for (; at < NVME_IDENTIFY_BYTES; at++)
		if (data[at])
			return probe_broken(p, "byte %u is not zero", at);
	return PROBE_HOLDS;
}

enum probe_verdict probe_identify_descriptors(struct probe *p)
{
	const uint8_t *data;
	int rc;

	if (!probe_has_version(p, 1, 3) || p->nsid == 0)
		return probe_skip(p, "before 1.3, or no active namespace");
	rc = probe_identify(p, NVME_CNS_DESCRIPTORS, p->nsid,
			    (const void **)&data);
	return rc ? probe_failed(p, rc, "Identify")
		  : check_descriptors(p, data);
}

enum probe_verdict probe_identify_descriptors_range(struct probe *p)
{
	const void *data;

	if (!probe_has_version(p, 1, 3))
		return probe_skip(p, "before 1.3");
	return probe_want(p,
			  probe_identify(p, NVME_CNS_DESCRIPTORS,
					 le32_get(p->id.nn) + 1, &data),
			  PROBE_INVALID_NAMESPACE);
}
