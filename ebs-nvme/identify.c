/* SPDX-License-Identifier: BSD-3-Clause */
/* The Identify command, NVMe Base 1.4, 5.15, and Amazon's parts of its data. */
#include <string.h>

#include "ebs-nvme/controller.h"
#include "pcie-model/function.h"

/* ASCII fields are padded with spaces and have no end, 1.5. */
static void put_text(char *field, size_t size, const char *text)
{
	size_t length = strnlen(text, size);

	memset(field, ' ', size);
	memcpy(field, text, length);
}

static void put_commands(const struct ebs_controller *c,
			 struct nvme_id_ctrl *id)
{
	const struct ebs_profile *p = c->profile;

	id->oaes = le32_put(p->oaes);
	id->oacs = le16_put(p->has_shadow_doorbells ? NVME_OACS_DBBUF : 0);
	id->acl = p->acl;
	id->aerl = p->aerl;
	id->frmw = p->frmw;
	id->lpa = p->lpa;
	id->elpe = p->elpe;
	id->avscc = p->avscc;
	id->sqes = 0x66;
	id->cqes = 0x44;
	id->nn = le32_put(1);
	id->oncs = le16_put(p->oncs);
	id->vwc = p->has_write_cache ? NVME_VWC_PRESENT : 0;
}

static void put_power(const struct ebs_controller *c, struct nvme_id_ctrl *id)
{
	const struct ebs_profile *p = c->profile;

	id->npss = p->npss;
	id->psd[0].max_power = le16_put(p->max_power_cw);
	id->psd[0].entry_latency_us = le32_put(p->power_latency_us);
	id->psd[0].exit_latency_us = le32_put(p->power_latency_us);
}

void ebs_identify_controller(const struct ebs_controller *c,
			     struct nvme_id_ctrl *id)
{
	const struct ebs_profile *p = c->profile;

	memset(id, 0, sizeof *id);
	id->vid = le16_put(EBS_PCI_VENDOR);
	id->ssvid = le16_put(p->ssvid);
	put_text(id->sn, sizeof id->sn, c->identity.serial);
	put_text(id->mn, sizeof id->mn, p->model);
	put_text(id->fr, sizeof id->fr, p->firmware);
	id->rab = p->rab;
	memcpy(id->ieee, p->ieee, sizeof id->ieee);
	id->mdts = p->mdts;
	id->ver = le32_put(p->ver);
	if (p->ver >= NVME_VERSION(1, 4))
		id->cntrltype = 1; /* an I/O controller */
	memcpy(id->subnqn, c->identity.subnqn, sizeof id->subnqn);
	put_commands(c, id);
	put_power(c, id);
	if (p->has_vendor_area || c->identity.device_name[0])
		put_text(id->device_name, sizeof id->device_name,
			 c->identity.device_name);
}

static void put_atomicity(const struct ebs_profile *p, struct nvme_id_ns *id)
{
	id->nsfeat = p->nsfeat;
	id->nawun = le16_put(p->nawupf_0s);
	id->nawupf = le16_put(p->nawupf_0s);
	id->npwg = le16_put(p->npwg_0s);
	id->nows = le16_put(p->nows_0s);
	id->torn_write_unit_0s = le16_put(p->torn_write_unit_0s);
	id->torn_write_granularity_0s = le16_put(p->torn_write_granularity_0s);
	id->torn_write_boundary_0s = le32_put(p->torn_write_boundary_0s);
}

void ebs_identify_namespace(const struct ebs_controller *c,
			    struct nvme_id_ns *id)
{
	uint64_t blocks = c->volume->size >> NVME_LBA_SHIFT;

	memset(id, 0, sizeof *id);
	id->nsze = le64_put(blocks);
	id->ncap = le64_put(blocks);
	id->nuse = le64_put(blocks);
	id->lbaf[0].data_shift = NVME_LBA_SHIFT;
	put_atomicity(c->profile, id);
	if (c->volume->is_read_only)
		id->nsattr = NVME_NSATTR_WRITE_PROTECTED;
	memcpy(id->nguid, c->identity.nguid, sizeof id->nguid);
	if (!c->profile->has_vendor_area)
		return;
	put_text(id->device_name, sizeof id->device_name,
		 c->identity.device_name);
	put_text(id->volume_id, sizeof id->volume_id, c->identity.serial);
}

static size_t put_descriptor(uint8_t *data, uint8_t type, const uint8_t *id)
{
	struct nvme_ns_descriptor head = { .type = type, .length = 16 };

	memcpy(data, &head, sizeof head);
	memcpy(data + sizeof head, id, 16);
	return sizeof head + 16;
}

size_t ebs_identify_descriptors(const struct ebs_controller *c, uint8_t *data)
{
	switch (c->profile->namespace_id) {
	case EBS_ID_UUID:
		return put_descriptor(data, NVME_NIDT_UUID, c->identity.uuid);
	case EBS_ID_NGUID:
		return put_descriptor(data, NVME_NIDT_NGUID, c->identity.nguid);
	case EBS_ID_NONE:
		break;
	}
	return 0;
}

static nvme_status bad_namespace(struct ebs_request *r)
{
	return ebs_guest_error(r, EBS_RULE_NAMESPACE, NVME_INVALID_NAMESPACE,
			       EBS_BYTE_NSID, 0);
}

static nvme_status namespace(struct ebs_request *r)
{
	if (le32_get(r->cmd.nsid) != 1)
		return bad_namespace(r);
	ebs_identify_namespace(r->c, (struct nvme_id_ns *)r->data);
	return NVME_SUCCESS;
}

static nvme_status controller(struct ebs_request *r)
{
	ebs_identify_controller(r->c, (struct nvme_id_ctrl *)r->data);
	return NVME_SUCCESS;
}

/* Active namespaces above NSID, 5.15.2.3: there is one, number 1. */
static nvme_status active_list(struct ebs_request *r)
{
	uint32_t nsid = le32_get(r->cmd.nsid);

	if (nsid >= NVME_NSID_ALL - 1)
		return bad_namespace(r);
	if (!nsid)
		le_store(r->data, 4, 1);
	return NVME_SUCCESS;
}

static nvme_status descriptors(struct ebs_request *r)
{
	if (r->c->profile->version < NVME_VERSION(1, 3))
		return ebs_not_offered(r, NVME_INVALID_FIELD, EBS_BYTE_CDW10);
	if (le32_get(r->cmd.nsid) != 1)
		return bad_namespace(r);
	ebs_identify_descriptors(r->c, r->data);
	return NVME_SUCCESS;
}

static nvme_status (*const structures[])(struct ebs_request *r) = {
	[NVME_CNS_NAMESPACE] = namespace,
	[NVME_CNS_CONTROLLER] = controller,
	[NVME_CNS_ACTIVE_LIST] = active_list,
	[NVME_CNS_DESCRIPTORS] = descriptors,
};

nvme_status ebs_admin_identify(struct ebs_request *r)
{
	uint64_t cns = bits_get(NVME_IDENTIFY_CNS, le32_get(r->cmd.cdw10));
	nvme_status status;

	if (cns >= sizeof structures / sizeof *structures)
		return ebs_not_offered(r, NVME_INVALID_FIELD, EBS_BYTE_CDW10);
	memset(r->data, 0, NVME_IDENTIFY_BYTES);
	status = structures[cns](r);
	if (NVME_IS_ERROR(status))
		return status;
	return ebs_admin_reply(r, NVME_IDENTIFY_BYTES);
}
