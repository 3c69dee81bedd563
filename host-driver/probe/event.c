/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of doorbells and of asynchronous events, which tell about bad ones:
 * NVM Express Base Specification 1.4, 3.1.24, 3.1.25 and 5.2.
 */
#include <errno.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "host-driver/probe/probe.h"

#define NONE           0xffffffffu
#define FAR_TOO_HOT_K  1u
#define AER_LIMIT_ROOM 20u

static int request_event(struct probe *p, uint16_t *cid)
{
	return probe_start(
		p, 0, (struct probe_cmd){ .opcode = NVME_ADMIN_ASYNC_EVENT },
		cid);
}

/* When a later command has ended, the controller has seen the request. */
static int request_event_now(struct probe *p, uint16_t *cid)
{
	const void *id;
	int rc = request_event(p, cid);

	return rc ? rc
		  : host_nvme_identify(p->nvme, NVME_CNS_CONTROLLER, 0, &id);
}

/* Wait for an event and return its type, information and page, or NONE. */
static int await_event(struct probe *p, uint16_t cid, uint32_t *dw0)
{
	struct nvme_cqe cqe;
	int rc = host_nvme_wait(p->nvme, 0, cid, &cqe);

	*dw0 = rc == 0 ? le32_get(cqe.dw0) : NONE;
	return rc;
}

/* Did the request end within the time that nothing should happen in? */
static bool has_event(struct probe *p, uint16_t cid)
{
	probe_pause_ms(p, PROBE_QUIET_MS);
	(void)host_nvme_reap(p->nvme, 0);
	return host_nvme_take(p->nvme, 0, cid, NULL);
}

static int read_log(struct probe *p, uint8_t lid, bool keeps_mask)
{
	return probe_admin(p, (struct probe_cmd){
				      .opcode = NVME_ADMIN_GET_LOG_PAGE,
				      .nsid = UINT32_MAX,
				      .prp1 = probe_page(p),
				      .cdw10 = 15u << 16 | lid |
					       (keeps_mask ? 1u << 15 : 0),
			      });
}

static enum probe_verdict want_event(struct probe *p, uint16_t cid,
				     unsigned int type, unsigned int info,
				     unsigned int log)
{
	uint32_t dw0;
	int rc = await_event(p, cid, &dw0);

	if (rc == -ETIMEDOUT)
		return probe_broken(p, "no event came");
	if (rc)
		return probe_failed(p, rc, "the event");
	if (bits_get(NVME_EVENT_TYPE, dw0) != type ||
	    bits_get(NVME_EVENT_INFO, dw0) != info ||
	    bits_get(NVME_EVENT_LOG, dw0) != log)
		return probe_broken(p, "the event is %08xh", dw0);
	return PROBE_HOLDS;
}

/* --- Doorbells ------------------------------------------------------------ */

static enum probe_verdict ring_badly(struct probe *p, uint64_t offset,
				     uint32_t value, unsigned int info)
{
	enum probe_verdict verdict;
	uint16_t cid;
	int rc = request_event_now(p, &cid);

	if (rc)
		return probe_failed(p, rc, "Asynchronous Event Request");
	probe_set32(p, offset, value);
	verdict = want_event(p, cid, NVME_EVENT_ERROR, info, NVME_LID_ERROR);
	if (verdict != PROBE_HOLDS)
		return verdict;
	rc = read_log(p, NVME_LID_ERROR, false);
	return rc ? probe_failed(p, rc, "the controller afterwards")
		  : PROBE_HOLDS;
}

enum probe_verdict probe_doorbell_unknown_queue(struct probe *p)
{
	return ring_badly(p, probe_doorbell(p, 1, false), 1,
			  NVME_EVENT_INVALID_DOORBELL);
}

enum probe_verdict probe_doorbell_unknown_cq(struct probe *p)
{
	return ring_badly(p, probe_doorbell(p, 1, true), 1,
			  NVME_EVENT_INVALID_DOORBELL);
}

enum probe_verdict probe_doorbell_tail_range(struct probe *p)
{
	return ring_badly(p, probe_doorbell(p, 1, false),
			  p->nvme->sqs[1].entries,
			  NVME_EVENT_INVALID_DOORBELL_VALUE);
}

enum probe_verdict probe_doorbell_head_range(struct probe *p)
{
	return ring_badly(p, probe_doorbell(p, 1, true),
			  p->nvme->cqs[1].entries,
			  NVME_EVENT_INVALID_DOORBELL_VALUE);
}

enum probe_verdict probe_doorbell_not_ready(struct probe *p)
{
	const void *id;
	int rc;

	probe_set32(p, probe_doorbell(p, 0, false), 3);
	probe_set32(p, probe_doorbell(p, 1, false), 1);
	rc = host_nvme_enable(p->nvme);
	if (rc == 0)
		rc = host_nvme_identify(p->nvme, NVME_CNS_CONTROLLER, 0, &id);
	return rc ? probe_failed(p, rc, "the controller, enabled afterwards")
		  : PROBE_HOLDS;
}

enum probe_verdict probe_doorbell_same_value(struct probe *p)
{
	PROBE_SNAPSHOT struct probe_snapshot before = { 0 };

	if (probe_snapshot_take(p, &before) < 0)
		return probe_skip(p, "no memory");
	probe_set32(p, probe_doorbell(p, 1, false), p->nvme->sqs[1].tail);
	probe_set32(p, probe_doorbell(p, 1, true), p->nvme->cqs[1].head);
	probe_pause_ms(p, PROBE_QUIET_MS);
	return probe_snapshot_holds(p, &before)
		       ? PROBE_HOLDS
		       : probe_broken(p, "it did something");
}

/* --- Events --------------------------------------------------------------- */

enum probe_verdict probe_event_limit(struct probe *p)
{
	unsigned int limit = p->id.aerl + 1u;
	uint16_t cid;
	int rc = 0;

	if (limit > AER_LIMIT_ROOM)
		return probe_skip(p, "it takes %u requests", limit);
	for (unsigned int i = 0; i < limit && rc == 0; i++)
		rc = request_event(p, &cid);
	if (rc == 0 && has_event(p, cid))
		return probe_broken(p, "request %u ended by itself", limit);
	if (rc == 0)
		rc = request_event(p, &cid);
	if (rc == 0)
		rc = host_nvme_wait(p->nvme, 0, cid, NULL);
	return probe_want(p, rc, PROBE_AER_LIMIT);
}

/* Two events of a type: the second is held back until the page is read. */
static enum probe_verdict second_event(struct probe *p, bool keeps_mask)
{
	uint64_t bad = probe_doorbell(p, 1, false);
	uint32_t dw0;
	uint16_t cid;
	int rc = request_event_now(p, &cid);

	probe_set32(p, bad, 1);
	if (rc == 0)
		rc = await_event(p, cid, &dw0);
	if (rc)
		return probe_skip(p, "no event comes for a bad doorbell");
	rc = request_event_now(p, &cid);
	probe_set32(p, bad, 1);
	if (rc == 0 && has_event(p, cid))
		return probe_broken(p, "it came before the page was read");
	rc = read_log(p, NVME_LID_ERROR, keeps_mask);
	if (rc)
		return probe_failed(p, rc, "Get Log Page");
	if (keeps_mask)
		return has_event(p, cid)
			       ? probe_broken(p, "it came in spite of RAE")
			       : PROBE_HOLDS;
	/* The one that waited may have gone with what the page told. */
	probe_set32(p, bad, 1);
	rc = await_event(p, cid, &dw0);
	return rc ? probe_failed(p, rc, "the event after the page was read")
		  : PROBE_HOLDS;
}

enum probe_verdict probe_event_masked(struct probe *p)
{
	return second_event(p, false);
}

enum probe_verdict probe_event_retained(struct probe *p)
{
	return second_event(p, true);
}

enum probe_verdict probe_event_reset_drops(struct probe *p)
{
	PROBE_SNAPSHOT struct probe_snapshot before = { 0 };
	uint16_t cid;
	int rc = request_event_now(p, &cid);

	if (rc || probe_snapshot_take(p, &before) < 0)
		return probe_failed(p, rc, "Asynchronous Event Request");
	rc = host_nvme_disable(p->nvme);
	if (rc < 0)
		return probe_failed(p, rc, "disabling");
	probe_pause_ms(p, PROBE_QUIET_MS);
	return probe_snapshot_holds(p, &before)
		       ? PROBE_HOLDS
		       : probe_broken(p, "it was completed after the reset");
}

static int set_temperature(struct probe *p, uint32_t kelvin)
{
	return host_nvme_set_feature(p->nvme, NVME_FID_TEMPERATURE, kelvin,
				     NULL);
}

enum probe_verdict probe_event_temperature(struct probe *p)
{
	enum probe_verdict verdict;
	uint32_t before = 0, config = 0;
	uint16_t cid;

	if (p->temperature_k == 0)
		return probe_skip(p, "it does not know its temperature");
	if (host_nvme_get_feature(p->nvme, NVME_FID_TEMPERATURE, 0, &before))
		return probe_skip(p, "no temperature threshold");
	if (host_nvme_set_feature(p->nvme, NVME_FID_ASYNC_EVENTS,
				  NVME_SMART_TEMPERATURE, NULL) ||
	    host_nvme_get_feature(p->nvme, NVME_FID_ASYNC_EVENTS, 0, &config) ||
	    !(config & NVME_SMART_TEMPERATURE))
		return probe_skip(p, "no event for it");
	if (request_event(p, &cid) || set_temperature(p, FAR_TOO_HOT_K))
		return probe_broken(p, "the threshold cannot be set");
	verdict = want_event(p, cid, NVME_EVENT_SMART, NVME_EVENT_TEMPERATURE,
			     NVME_LID_SMART);
	(void)set_temperature(p, before & 0xffff);
	return verdict;
}

enum probe_verdict probe_event_config(struct probe *p)
{
	uint32_t value = 0;
	int rc = host_nvme_set_feature(p->nvme, NVME_FID_ASYNC_EVENTS, 0, NULL);

	if (rc)
		return probe_failed(p, rc, "Set Features");
	rc = host_nvme_get_feature(p->nvme, NVME_FID_ASYNC_EVENTS, 0, &value);
	if (rc)
		return probe_failed(p, rc, "Get Features");
	return value == 0 ? PROBE_HOLDS
			  : probe_broken(p, "it reads %08xh after 0", value);
}

/* --- Abort ---------------------------------------------------------------- */

static int abort_command(struct probe *p, uint16_t sqid, uint16_t cid,
			 uint32_t *dw0)
{
	struct nvme_cqe cqe = { 0 };
	int rc = probe_call(
		p, 0,
		(struct probe_cmd){ .opcode = NVME_ADMIN_ABORT,
				    .cdw10 = (uint32_t)cid << 16 | sqid },
		&cqe);

	*dw0 = le32_get(cqe.dw0);
	return rc;
}

enum probe_verdict probe_abort_unknown_command(struct probe *p)
{
	uint32_t dw0;
	int rc = abort_command(p, 1, 0xfffe, &dw0);

	if (rc)
		return probe_want(p, rc, 0);
	return dw0 & 1 ? PROBE_HOLDS
		       : probe_broken(p, "it says that it aborted a command");
}

/* Successful and without effect, or a field error. */
enum probe_verdict probe_abort_unknown_queue(struct probe *p)
{
	uint32_t dw0;
	int rc = abort_command(p, 0xfffe, 1, &dw0);

	if (rc)
		return probe_want(p, rc, 0, PROBE_INVALID_FIELD);
	return dw0 & 1 ? PROBE_HOLDS
		       : probe_broken(p, "it says that it aborted a command");
}

/* Aborted and told so, or not aborted and still waiting. */
enum probe_verdict probe_abort_event_request(struct probe *p)
{
	uint32_t dw0;
	uint16_t cid;
	int rc = request_event(p, &cid);

	if (rc == 0)
		rc = abort_command(p, 0, cid, &dw0);
	if (rc)
		return probe_failed(p, rc, "Abort");
	if (dw0 & 1)
		return has_event(p, cid) ? probe_broken(p, "it ended without "
							   "being aborted")
					 : PROBE_HOLDS;
	return probe_want(p, host_nvme_wait(p->nvme, 0, cid, NULL),
			  PROBE_ABORTED);
}

/* However the race goes, each command and each Abort ends exactly once. */
enum probe_verdict probe_abort_racing(struct probe *p)
{
	struct host_nvme_data data;
	uint16_t reads[8], aborts[8];
	int rc = probe_data(p, p->block_bytes, (struct host_nvme_shape){ 0 },
			    &data);

	for (unsigned int i = 0; i < 8 && rc == 0; i++) {
		rc = probe_start(p, 1, probe_read(p, 0, 1, &data), &reads[i]);
		if (rc == 0)
			rc = probe_start(
				p, 0,
				(struct probe_cmd){
					.opcode = NVME_ADMIN_ABORT,
					.cdw10 = (uint32_t)reads[i] << 16 | 1 },
				&aborts[i]);
	}
	for (unsigned int i = 0; i < 8 && rc >= 0; i++) {
		rc = host_nvme_wait(p->nvme, 0, aborts[i], NULL);
		if (rc && rc != PROBE_ABORT_LIMIT)
			return probe_failed(p, rc, "Abort");
		rc = host_nvme_wait(p->nvme, 1, reads[i], NULL);
		if (rc && rc != PROBE_ABORTED)
			return probe_failed(p, rc, "the read");
	}
	if (rc < 0)
		return probe_failed(p, rc, "a command");
	probe_pause_ms(p, 1);
	return probe_has_stray(p, 1) ? probe_broken(p, "a command ended twice")
				     : PROBE_HOLDS;
}
