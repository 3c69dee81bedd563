/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Get Features and Set Features, NVMe Base 1.4, 5.13 and 5.21.  Nothing can be
 * saved: every reset brings the defaults back.
 */
#include "ebs-nvme/controller.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

#define NEVER_TOO_HOT 0xffffu

struct feature {
	const char *name;
	uint8_t id;
	bool is_per_namespace;
	size_t offset;     /* of its uint32_t in struct ebs_feature_values */
	uint32_t writable; /* bits that a driver sets; others read as 0 */
	uint32_t fallback;
	bool (*is_offered)(const struct ebs_controller *c); /* NULL: always */
	/* Where a value is more than bits to keep; NULL: it is not. */
	uint32_t (*get)(struct ebs_request *r, bool is_default);
	nvme_status (*check)(struct ebs_request *r, uint32_t value);
	nvme_status (*set)(struct ebs_request *r, uint32_t value);
};

static bool has_write_cache(const struct ebs_controller *c)
{
	return c->profile->has_write_cache;
}

bool ebs_write_cache_is_on(const struct ebs_controller *c)
{
	return has_write_cache(c) &&
	       bits_get(NVME_WRITE_CACHE_WCE, c->state->features.write_cache);
}

static nvme_status check_power(struct ebs_request *r, uint32_t value)
{
	if (bits_get(NVME_POWER_PS, value) > r->c->profile->npss)
		return ebs_invalid_field(r, EBS_BYTE_CDW11, 0);
	return NVME_SUCCESS;
}

/* Deallocated blocks can be read without error only: NSFEAT bit 2 is 0. */
static nvme_status check_error_recovery(struct ebs_request *r, uint32_t value)
{
	if (bits_get(NVME_ERROR_DULBE, value))
		return ebs_invalid_field(r, EBS_BYTE_CDW11 + 2, 0);
	return NVME_SUCCESS;
}

/* The composite temperature (0) or all sensors (15) over or under, 5.21.1.4. */
static nvme_status check_temperature(struct ebs_request *r, uint32_t value)
{
	uint64_t sensor = bits_get(NVME_TEMPERATURE_TMPSEL, value);

	if (sensor && sensor != 15)
		return ebs_invalid_field(r, EBS_BYTE_CDW11 + 2, 0);
	if (bits_get(NVME_TEMPERATURE_THSEL, value) > 1)
		return ebs_invalid_field(r, EBS_BYTE_CDW11 + 2, 4);
	return NVME_SUCCESS;
}

static uint32_t *threshold(struct ebs_request *r, uint32_t value)
{
	struct ebs_feature_values *f = &r->c->state->features;

	return bits_get(NVME_TEMPERATURE_THSEL, value) ? &f->under_k
						       : &f->over_k;
}

static uint32_t get_temperature(struct ebs_request *r, bool is_default)
{
	uint32_t which = le32_get(r->cmd.cdw11);

	if (is_default)
		return bits_get(NVME_TEMPERATURE_THSEL, which) ? 0
							       : NEVER_TOO_HOT;
	return *threshold(r, which);
}

static nvme_status set_temperature(struct ebs_request *r, uint32_t value)
{
	*threshold(r, value) =
		(uint32_t)bits_get(NVME_TEMPERATURE_TMPTH, value);
	ebs_event_check_temperature(r->c);
	return NVME_SUCCESS;
}

static void cache_flushed(struct ebs_volume_io *io, int status)
{
	struct ebs_request *r = rt_container_of(io, struct ebs_request, io);

	if (ebs_request_goes_on(r))
		ebs_request_complete(r,
				     status ? NVME_WRITE_FAULT : NVME_SUCCESS);
}

/* From now on writes are durable; what was cached has to be, too. */
static nvme_status set_write_cache(struct ebs_request *r, uint32_t value)
{
	struct ebs_controller *c = r->c;
	bool was_on = ebs_write_cache_is_on(c);

	c->state->features.write_cache = value;
	if (!was_on || ebs_write_cache_is_on(c) || c->volume->is_read_only)
		return NVME_SUCCESS;
	r->io = (struct ebs_volume_io){ .loop = c->fn->loop,
					.op = EBS_VOLUME_FLUSH,
					.done = cache_flushed };
	ebs_volume_run(c->volume, &r->io);
	return EBS_PENDING;
}

static uint32_t get_queues(struct ebs_request *r, bool is_default)
{
	uint64_t value = bits_put(NVME_QUEUES_NSQ_0S, 0, r->c->granted - 1u);

	(void)is_default;
	return (uint32_t)bits_put(NVME_QUEUES_NCQ_0S, value,
				  r->c->granted - 1u);
}

static nvme_status set_queues(struct ebs_request *r, uint32_t value)
{
	if (r->c->state->has_made_queue)
		return ebs_guest_error(r, EBS_RULE_QUEUES_FEATURE_LATE,
				       NVME_SEQUENCE_ERROR, EBS_BYTE_CDW10, 0);
	if (bits_get(NVME_QUEUES_NSQ_0S, value) == 0xffff)
		return ebs_invalid_field(r, EBS_BYTE_CDW11, 0);
	if (bits_get(NVME_QUEUES_NCQ_0S, value) == 0xffff)
		return ebs_invalid_field(r, EBS_BYTE_CDW11 + 2, 0);
	r->dw0 = get_queues(r, false);
	return NVME_SUCCESS;
}

static nvme_status check_vector(struct ebs_request *r, uint32_t value)
{
	if (bits_get(NVME_VECTOR_IV, value) >= r->c->profile->msix_vectors)
		return ebs_invalid_field(r, EBS_BYTE_CDW11, 0);
	return NVME_SUCCESS;
}

static uint32_t get_vector(struct ebs_request *r, bool is_default)
{
	uint64_t vector = bits_get(NVME_VECTOR_IV, le32_get(r->cmd.cdw11));
	bool is_uncoalesced =
		!is_default && r->c->state->features.is_uncoalesced[vector];

	return (uint32_t)bits_put(NVME_VECTOR_CD, vector, is_uncoalesced);
}

static nvme_status set_vector(struct ebs_request *r, uint32_t value)
{
	uint64_t vector = bits_get(NVME_VECTOR_IV, value);

	r->c->state->features.is_uncoalesced[vector] =
		bits_get(NVME_VECTOR_CD, value);
	return NVME_SUCCESS;
}

static nvme_status set_coalescing(struct ebs_request *r, uint32_t value)
{
	r->c->state->features.coalescing = value;
	ebs_interrupt_flush(r->c);
	return NVME_SUCCESS;
}

/* Notices that the controller never sends are accepted and not kept. */
static nvme_status set_async_events(struct ebs_request *r, uint32_t value)
{
	r->c->state->features.async_events =
		value & (0xffu | r->c->profile->oaes);
	ebs_event_check_temperature(r->c);
	return NVME_SUCCESS;
}

#define VALUE(member) offsetof(struct ebs_feature_values, member)

static const struct feature features[] = {
	{ .name = "arbitration",
	  .id = NVME_FID_ARBITRATION,
	  .offset = VALUE(arbitration),
	  .writable = 0xffffff07,
	  .fallback = 3 },
	{ .name = "power management",
	  .id = NVME_FID_POWER,
	  .offset = VALUE(power),
	  .writable = 0xff,
	  .check = check_power },
	{ .name = "temperature threshold",
	  .id = NVME_FID_TEMPERATURE,
	  .writable = 0x3fffff,
	  .get = get_temperature,
	  .check = check_temperature,
	  .set = set_temperature },
	{ .name = "error recovery",
	  .id = NVME_FID_ERROR_RECOVERY,
	  .is_per_namespace = true,
	  .offset = VALUE(error_recovery),
	  .writable = 0x1ffff,
	  .check = check_error_recovery },
	{ .name = "volatile write cache",
	  .id = NVME_FID_WRITE_CACHE,
	  .offset = VALUE(write_cache),
	  .writable = 1,
	  .fallback = 1,
	  .is_offered = has_write_cache,
	  .set = set_write_cache },
	{ .name = "number of queues",
	  .id = NVME_FID_QUEUES,
	  .writable = UINT32_MAX,
	  .get = get_queues,
	  .set = set_queues },
	{ .name = "interrupt coalescing",
	  .id = NVME_FID_COALESCING,
	  .offset = VALUE(coalescing),
	  .writable = 0xffff,
	  .set = set_coalescing },
	{ .name = "interrupt vector configuration",
	  .id = NVME_FID_VECTOR,
	  .writable = 0x1ffff,
	  .get = get_vector,
	  .check = check_vector,
	  .set = set_vector },
	{ .name = "write atomicity",
	  .id = NVME_FID_ATOMICITY,
	  .offset = VALUE(atomicity),
	  .writable = 1 },
	{ .name = "asynchronous event configuration",
	  .id = NVME_FID_ASYNC_EVENTS,
	  .offset = VALUE(async_events),
	  .writable = 0xffff,
	  .set = set_async_events },
};

static uint32_t *value_of(struct ebs_controller *c, const struct feature *f)
{
	return (uint32_t *)((char *)&c->state->features + f->offset);
}

void ebs_features_reset(struct ebs_controller *c)
{
	c->state->features = (struct ebs_feature_values){
		.over_k = NEVER_TOO_HOT,
	};
	for (size_t i = 0; i < RT_COUNT(features); i++)
		if (!features[i].get && features[i].fallback)
			*value_of(c, &features[i]) = features[i].fallback;
}

static const struct feature *find(const struct ebs_request *r)
{
	uint64_t id = bits_get(NVME_FEATURE_FID, le32_get(r->cmd.cdw10));

	for (size_t i = 0; i < RT_COUNT(features); i++)
		if (features[i].id == id &&
		    (!features[i].is_offered || features[i].is_offered(r->c)))
			return &features[i];
	return NULL;
}

static nvme_status bad_namespace(struct ebs_request *r)
{
	return ebs_guest_error(r, EBS_RULE_NAMESPACE, NVME_INVALID_NAMESPACE,
			       EBS_BYTE_NSID, 0);
}

static uint32_t capabilities(const struct feature *f)
{
	uint64_t value = bits_put(NVME_FEATURE_IS_CHANGEABLE, 0, 1);

	return (uint32_t)bits_put(NVME_FEATURE_IS_PER_NS, value,
				  f->is_per_namespace);
}

static uint32_t get_value(struct ebs_request *r, const struct feature *f,
			  bool is_default)
{
	if (f->get)
		return f->get(r, is_default);
	return is_default ? f->fallback : *value_of(r->c, f);
}

nvme_status ebs_admin_get_features(struct ebs_request *r)
{
	const struct feature *f = find(r);
	uint64_t select = bits_get(NVME_FEATURE_SEL, le32_get(r->cmd.cdw10));
	nvme_status status = NVME_SUCCESS;

	if (!f)
		return ebs_not_offered(r, NVME_INVALID_FIELD, EBS_BYTE_CDW10);
	if (select > NVME_SEL_CAPABILITIES)
		return ebs_invalid_field(r, EBS_BYTE_CDW10 + 1, 0);
	if (select == NVME_SEL_CAPABILITIES) {
		r->dw0 = capabilities(f);
		return NVME_SUCCESS;
	}
	/* Without a namespace it is about the only one: hosts ask so. */
	if (f->is_per_namespace && le32_get(r->cmd.nsid) > 1)
		return bad_namespace(r);
	if (f->get && f->check) /* cdw11 says which value */
		status = f->check(r, le32_get(r->cmd.cdw11));
	if (!NVME_IS_ERROR(status))
		r->dw0 = get_value(r, f, select != NVME_SEL_CURRENT);
	return status;
}

/* A value of one namespace, of all, or of none, 5.21 and 7.8. */
static nvme_status check_namespace(struct ebs_request *r,
				   const struct feature *f)
{
	uint32_t nsid = le32_get(r->cmd.nsid);

	if (nsid == NVME_NSID_ALL || (!nsid && !f->is_per_namespace))
		return NVME_SUCCESS;
	if (nsid != 1)
		return bad_namespace(r);
	if (!f->is_per_namespace)
		return ebs_guest_error(r, EBS_RULE_NAMESPACE,
				       NVME_FEATURE_NOT_PER_NS, EBS_BYTE_NSID,
				       0);
	return NVME_SUCCESS;
}

nvme_status ebs_admin_set_features(struct ebs_request *r)
{
	const struct feature *f = find(r);
	uint32_t value;
	nvme_status status;

	if (!f)
		return ebs_not_offered(r, NVME_INVALID_FIELD, EBS_BYTE_CDW10);
	if (bits_get(NVME_FEATURE_SV, le32_get(r->cmd.cdw10)))
		return ebs_guest_error(r, EBS_RULE_RESERVED_FIELD,
				       NVME_FEATURE_NOT_SAVEABLE,
				       EBS_BYTE_CDW10 + 3, 7);
	value = le32_get(r->cmd.cdw11) & f->writable;
	status = check_namespace(r, f);
	if (!NVME_IS_ERROR(status) && f->check)
		status = f->check(r, value);
	if (NVME_IS_ERROR(status))
		return status;
	if (f->set)
		return f->set(r, value);
	*value_of(r->c, f) = value;
	return NVME_SUCCESS;
}
