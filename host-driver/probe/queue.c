/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of queues: making and deleting them, and what stands in completion
 * entries.  NVM Express Base Specification 1.4, 4.1, 4.6, 5.3 to 5.6, 5.21.1.7.
 */
#include <errno.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "host-driver/probe/probe.h"

#define CONTIGUOUS  1u /* cdw11 */
#define FEW_0S      3u
#define NO_QID      0xfff0u
#define NO_VECTOR   0xfff0u
#define TURNS       11u
#define HELD        6u
#define MANY        8u
#define IO_DEPTH    16u
#define QUEUES_NONE 0xffffu

/* --- The number of queues ------------------------------------------------- */

static int ask_queues(struct probe *p, uint32_t sqs, uint32_t cqs,
		      uint32_t *granted)
{
	return host_nvme_set_feature(p->nvme, NVME_FID_QUEUES,
				     (cqs - 1) << 16 | (sqs - 1), granted);
}

enum probe_verdict probe_queue_count(struct probe *p)
{
	uint32_t set = 0, got = 0;
	int rc = ask_queues(p, 1, 1, &set);

	if (rc)
		return probe_failed(p, rc, "Set Features");
	rc = host_nvme_get_feature(p->nvme, NVME_FID_QUEUES, 0, &got);
	if (rc)
		return probe_failed(p, rc, "Get Features");
	return set == got ? PROBE_HOLDS
			  : probe_broken(p, "%08xh is set, %08xh is got", set,
					 got);
}

enum probe_verdict probe_queue_count_stays(struct probe *p)
{
	uint32_t first = 0, second = 0;
	int rc = ask_queues(p, 8, 8, &first);

	if (rc == 0)
		rc = host_nvme_disable(p->nvme);
	if (rc == 0)
		rc = host_nvme_enable(p->nvme);
	if (rc == 0)
		rc = ask_queues(p, 8, 8, &second);
	if (rc)
		return probe_failed(p, rc, "asking before and after a reset");
	return first == second
		       ? PROBE_HOLDS
		       : probe_broken(p, "%08xh, and %08xh after a reset",
				      first, second);
}

enum probe_verdict probe_queue_count_reserved(struct probe *p)
{
	int rc = host_nvme_set_feature(p->nvme, NVME_FID_QUEUES, QUEUES_NONE,
				       NULL);

	return probe_want(p, rc, PROBE_INVALID_FIELD);
}

enum probe_verdict probe_queue_count_late(struct probe *p)
{
	return probe_want(p, ask_queues(p, 1, 1, NULL), PROBE_SEQUENCE_ERROR);
}

/* --- Making --------------------------------------------------------------- */

static int create_cq(struct probe *p, uint32_t qid, uint32_t size_0s,
		     uint64_t base, uint32_t cdw11)
{
	return probe_admin(p,
			   (struct probe_cmd){ .opcode = NVME_ADMIN_CREATE_CQ,
					       .prp1 = base,
					       .cdw10 = size_0s << 16 | qid,
					       .cdw11 = cdw11 });
}

static int create_sq(struct probe *p, uint32_t qid, uint32_t size_0s,
		     uint64_t base, uint32_t cqid)
{
	return probe_admin(
		p, (struct probe_cmd){ .opcode = NVME_ADMIN_CREATE_SQ,
				       .prp1 = base,
				       .cdw10 = size_0s << 16 | qid,
				       .cdw11 = cqid << 16 | CONTIGUOUS });
}

static int delete_queue(struct probe *p, uint8_t opcode, uint32_t qid)
{
	return probe_admin(
		p, (struct probe_cmd){ .opcode = opcode, .cdw10 = qid });
}

enum probe_verdict probe_queue_create_cq_qid_zero(struct probe *p)
{
	return probe_want(p, create_cq(p, 0, FEW_0S, probe_page(p), CONTIGUOUS),
			  PROBE_INVALID_QID);
}

enum probe_verdict probe_queue_create_cq_qid_used(struct probe *p)
{
	int rc = create_cq(p, 1, FEW_0S, probe_page(p), CONTIGUOUS);

	if (rc)
		return probe_failed(p, rc, "the first");
	return probe_want(p, create_cq(p, 1, FEW_0S, probe_page(p), CONTIGUOUS),
			  PROBE_INVALID_QID);
}

enum probe_verdict probe_queue_create_cq_qid_range(struct probe *p)
{
	return probe_want(
		p, create_cq(p, NO_QID, FEW_0S, probe_page(p), CONTIGUOUS),
		PROBE_INVALID_QID);
}

enum probe_verdict probe_queue_create_cq_size_zero(struct probe *p)
{
	return probe_want(p, create_cq(p, 1, 0, probe_page(p), CONTIGUOUS),
			  PROBE_INVALID_SIZE);
}

enum probe_verdict probe_queue_create_cq_size_over(struct probe *p)
{
	uint32_t entries = probe_queue_entries(p);

	if (entries > 0xffff)
		return probe_skip(p, "every size is offered");
	return probe_want(p,
			  create_cq(p, 1, entries, probe_page(p), CONTIGUOUS),
			  PROBE_INVALID_SIZE);
}

enum probe_verdict probe_queue_create_cq_scattered(struct probe *p)
{
	if (!bits_get(NVME_CAP_CQR, p->nvme->cap))
		return probe_skip(p, "CAP.CQR is 0");
	return probe_want(p, create_cq(p, 1, FEW_0S, probe_page(p), 0),
			  PROBE_INVALID_FIELD);
}

enum probe_verdict probe_queue_create_cq_vector(struct probe *p)
{
	return probe_want(p,
			  create_cq(p, 1, FEW_0S, probe_page(p),
				    NO_VECTOR << 16 | 2 | CONTIGUOUS),
			  PROBE_INVALID_VECTOR);
}

enum probe_verdict probe_queue_create_cq_offset(struct probe *p)
{
	return probe_want(
		p, create_cq(p, 1, FEW_0S, probe_page(p) + 64, CONTIGUOUS),
		PROBE_INVALID_PRP, PROBE_INVALID_FIELD);
}

/* A completion queue 1 to attach to. */
static int make_cq(struct probe *p)
{
	return host_nvme_create_cq(p->nvme, 1, FEW_0S + 1, -1);
}

enum probe_verdict probe_queue_create_sq_no_cq(struct probe *p)
{
	return probe_want(p, create_sq(p, 1, FEW_0S, probe_page(p), 1),
			  PROBE_INVALID_CQ);
}

enum probe_verdict probe_queue_create_sq_admin_cq(struct probe *p)
{
	return probe_want(p, create_sq(p, 1, FEW_0S, probe_page(p), 0),
			  PROBE_INVALID_QID, PROBE_INVALID_CQ);
}

enum probe_verdict probe_queue_create_sq_cq_range(struct probe *p)
{
	return probe_want(p, create_sq(p, 1, FEW_0S, probe_page(p), NO_QID),
			  PROBE_INVALID_QID, PROBE_INVALID_CQ);
}

enum probe_verdict probe_queue_create_sq_qid_zero(struct probe *p)
{
	int rc = make_cq(p);

	if (rc)
		return probe_failed(p, rc, "Create I/O Completion Queue");
	return probe_want(p, create_sq(p, 0, FEW_0S, probe_page(p), 1),
			  PROBE_INVALID_QID);
}

enum probe_verdict probe_queue_create_sq_qid_used(struct probe *p)
{
	return probe_want(p, create_sq(p, 1, FEW_0S, probe_page(p), 1),
			  PROBE_INVALID_QID);
}

enum probe_verdict probe_queue_create_sq_qid_range(struct probe *p)
{
	int rc = make_cq(p);

	if (rc)
		return probe_failed(p, rc, "Create I/O Completion Queue");
	return probe_want(p, create_sq(p, NO_QID, FEW_0S, probe_page(p), 1),
			  PROBE_INVALID_QID);
}

enum probe_verdict probe_queue_create_sq_size_zero(struct probe *p)
{
	int rc = make_cq(p);

	if (rc)
		return probe_failed(p, rc, "Create I/O Completion Queue");
	return probe_want(p, create_sq(p, 1, 0, probe_page(p), 1),
			  PROBE_INVALID_SIZE);
}

enum probe_verdict probe_queue_create_sq_size_over(struct probe *p)
{
	uint32_t entries = probe_queue_entries(p);
	int rc = make_cq(p);

	if (entries > 0xffff)
		return probe_skip(p, "every size is offered");
	if (rc)
		return probe_failed(p, rc, "Create I/O Completion Queue");
	return probe_want(p, create_sq(p, 1, entries, probe_page(p), 1),
			  PROBE_INVALID_SIZE);
}

enum probe_verdict probe_queue_create_sq_scattered(struct probe *p)
{
	struct probe_cmd cmd = { .opcode = NVME_ADMIN_CREATE_SQ,
				 .prp1 = probe_page(p),
				 .cdw10 = FEW_0S << 16 | 1,
				 .cdw11 = 1u << 16 };
	int rc = make_cq(p);

	if (!bits_get(NVME_CAP_CQR, p->nvme->cap))
		return probe_skip(p, "CAP.CQR is 0");
	if (rc)
		return probe_failed(p, rc, "Create I/O Completion Queue");
	return probe_want(p, probe_admin(p, cmd), PROBE_INVALID_FIELD);
}

enum probe_verdict probe_queue_create_sq_offset(struct probe *p)
{
	int rc = make_cq(p);

	if (rc)
		return probe_failed(p, rc, "Create I/O Completion Queue");
	return probe_want(p, create_sq(p, 1, FEW_0S, probe_page(p) + 64, 1),
			  PROBE_INVALID_PRP, PROBE_INVALID_FIELD);
}

/* --- Deleting ------------------------------------------------------------- */

enum probe_verdict probe_queue_delete_admin_sq(struct probe *p)
{
	return probe_want(p, delete_queue(p, NVME_ADMIN_DELETE_SQ, 0),
			  PROBE_INVALID_QID);
}

enum probe_verdict probe_queue_delete_admin_cq(struct probe *p)
{
	return probe_want(p, delete_queue(p, NVME_ADMIN_DELETE_CQ, 0),
			  PROBE_INVALID_QID);
}

enum probe_verdict probe_queue_delete_unknown(struct probe *p)
{
	int rc = delete_queue(p, NVME_ADMIN_DELETE_SQ, 1);

	if (rc != PROBE_INVALID_QID)
		return probe_want(p, rc, PROBE_INVALID_QID);
	return probe_want(p, delete_queue(p, NVME_ADMIN_DELETE_CQ, NO_QID),
			  PROBE_INVALID_QID);
}

enum probe_verdict probe_queue_delete_sq_twice(struct probe *p)
{
	int rc = delete_queue(p, NVME_ADMIN_DELETE_SQ, 1);

	if (rc)
		return probe_failed(p, rc, "the first time");
	return probe_want(p, delete_queue(p, NVME_ADMIN_DELETE_SQ, 1),
			  PROBE_INVALID_QID);
}

enum probe_verdict probe_queue_delete_cq_in_use(struct probe *p)
{
	return probe_want(p, delete_queue(p, NVME_ADMIN_DELETE_CQ, 1),
			  PROBE_INVALID_DELETION);
}

static int one_flush(struct probe *p, uint16_t sq)
{
	return probe_call(
		p, sq,
		(struct probe_cmd){ .opcode = NVME_NVM_FLUSH, .nsid = p->nsid },
		NULL);
}

enum probe_verdict probe_queue_make_again(struct probe *p)
{
	int rc = one_flush(p, 1);

	for (int i = 0; i < 3 && rc == 0; i++) {
		rc = host_nvme_delete_sq(p->nvme, 1);
		if (rc == 0)
			rc = host_nvme_delete_cq(p->nvme, 1);
		if (rc == 0)
			rc = probe_make_pair(p, 1, 5);
		for (int turn = 0; turn < 7 && rc == 0; turn++)
			rc = one_flush(p, 1);
	}
	return rc ? probe_failed(p, rc, "deleting and making it again")
		  : PROBE_HOLDS;
}

/* What has been fetched ends, what has not is forgotten; nothing comes after
 * the answer. */
enum probe_verdict probe_queue_delete_busy_sq(struct probe *p)
{
	struct host_nvme_data data;
	int rc = probe_data(p, p->block_bytes, (struct host_nvme_shape){ 0 },
			    &data);
	uint16_t cid;

	for (unsigned int i = 0; i < MANY && rc == 0; i++)
		rc = probe_start(p, 1, probe_read(p, 0, 1, &data), &cid);
	if (rc == 0)
		rc = host_nvme_delete_sq(p->nvme, 1);
	if (rc)
		return probe_failed(p, rc, "deleting it");
	(void)host_nvme_reap(p->nvme, 1);
	probe_pause_ms(p, PROBE_QUIET_MS);
	return host_nvme_has_new(p->nvme, 1)
		       ? probe_broken(p, "a command ended after its queue")
		       : PROBE_HOLDS;
}

/* --- Sizes and numbers ---------------------------------------------------- */

static enum probe_verdict run_pair(struct probe *p, uint32_t entries)
{
	int rc = probe_make_pair(p, 2 <= p->pairs ? 2 : 1, entries);
	uint16_t qid = 2 <= p->pairs ? 2 : 1;

	for (uint32_t i = 0; i < entries + TURNS && rc == 0; i++)
		rc = one_flush(p, qid);
	return rc ? probe_failed(p, rc, "a command") : PROBE_HOLDS;
}

enum probe_verdict probe_queue_two_entries(struct probe *p)
{
	return run_pair(p, 2);
}

enum probe_verdict probe_queue_most_entries(struct probe *p)
{
	uint32_t entries = probe_queue_entries(p);

	if (entries * UINT64_C(64) > p->nvme->memory.page_bytes)
		return probe_skip(p, "memory is not contiguous enough");
	return run_pair(p, entries);
}

enum probe_verdict probe_queue_all_pairs(struct probe *p)
{
	uint32_t pairs = p->pairs, granted;
	int rc = ask_queues(p, pairs, pairs, &granted);

	for (uint16_t qid = 1; qid <= pairs && rc == 0; qid++)
		rc = probe_make_pair(p, qid, FEW_0S + 1);
	for (uint16_t qid = 1; qid <= pairs && rc == 0 && p->nsid; qid++)
		rc = one_flush(p, qid);
	return rc ? probe_failed(p, rc, "a queue") : PROBE_HOLDS;
}

enum probe_verdict probe_queue_shared_cq(struct probe *p)
{
	int rc;

	if (p->pairs < 2)
		return probe_skip(p, "there is one I/O queue pair");
	rc = host_nvme_create_sq(p->nvme, 2, 4, 1);
	for (unsigned int i = 0; i < TURNS && rc == 0; i++) {
		rc = one_flush(p, 1);
		if (rc == 0)
			rc = one_flush(p, 2);
	}
	if (rc == 0)
		rc = host_nvme_delete_sq(p->nvme, 2);
	if (rc == 0)
		rc = one_flush(p, 1);
	return rc ? probe_failed(p, rc, "two queues with one completion queue")
		  : PROBE_HOLDS;
}

/* A queue of its own, so that the entries are where we know; 0: its pair. */
static int remake_pair(struct probe *p, uint32_t sq_entries,
		       uint32_t cq_entries)
{
	int rc = host_nvme_delete_sq(p->nvme, 1);

	if (rc == 0)
		rc = host_nvme_delete_cq(p->nvme, 1);
	if (rc == 0)
		rc = host_nvme_create_cq(p->nvme, 1, cq_entries, -1);
	return rc ? rc : host_nvme_create_sq(p->nvme, 1, sq_entries, 1);
}

static int start_flush(struct probe *p, uint16_t *cid)
{
	return probe_start(
		p, 1,
		(struct probe_cmd){ .opcode = NVME_NVM_FLUSH, .nsid = p->nsid },
		cid);
}

/* A queue of two entries holds one: the others wait for its head. */
enum probe_verdict probe_queue_full_cq(struct probe *p)
{
	static const struct nvme_cqe nothing;
	const struct nvme_cqe *entries;
	uint16_t cids[HELD];
	int rc = remake_pair(p, IO_DEPTH, 2);

	for (unsigned int i = 0; i < HELD && rc == 0; i++)
		rc = start_flush(p, &cids[i]);
	if (rc)
		return probe_failed(p, rc, "the queues");
	probe_pause_ms(p, PROBE_QUIET_MS);
	entries = probe_at(p, p->nvme->cqs[1].iova);
	if (memcmp(&entries[1], &nothing, sizeof nothing) != 0)
		return probe_broken(p, "it posted into a full queue");
	for (unsigned int i = 0; i < HELD && rc == 0; i++)
		rc = host_nvme_wait(p->nvme, 1, cids[i], NULL);
	return rc ? probe_failed(p, rc, "a command that had to wait")
		  : PROBE_HOLDS;
}

/* --- Completion entries --------------------------------------------------- */

/* The entry that answers a command, as it lies in the queue. */
static int flush_into_slot(struct probe *p, uint32_t slot, uint16_t *cid,
			   struct nvme_cqe *out)
{
	const struct nvme_cqe *entries = probe_at(p, p->nvme->cqs[1].iova);
	int rc = start_flush(p, cid);

	if (rc == 0)
		rc = host_nvme_wait(p->nvme, 1, *cid, NULL);
	*out = entries[slot];
	return rc;
}

enum probe_verdict probe_completion_phase(struct probe *p)
{
	struct nvme_cqe cqe;
	uint16_t cid;
	int rc = remake_pair(p, 4, 4);

	for (unsigned int i = 0; i < TURNS && rc == 0; i++) {
		rc = flush_into_slot(p, i % 4, &cid, &cqe);
		if (rc == 0 && (le16_get(cqe.status) & 1) == (i / 4) % 2)
			return probe_broken(p, "entry %u has the wrong phase",
					    i);
	}
	return rc ? probe_failed(p, rc, "a command") : PROBE_HOLDS;
}

enum probe_verdict probe_completion_identifiers(struct probe *p)
{
	struct nvme_cqe cqe;
	uint16_t cid;
	int rc = remake_pair(p, 5, 8);

	for (unsigned int i = 0; i < TURNS && rc == 0; i++) {
		rc = flush_into_slot(p, i % 8, &cid, &cqe);
		if (rc == 0 && le16_get(cqe.cid) != cid)
			return probe_broken(p, "command %u is called %u", cid,
					    le16_get(cqe.cid));
		if (rc == 0 && le16_get(cqe.sqid) != 1)
			return probe_broken(p, "queue 1 is called %u",
					    le16_get(cqe.sqid));
	}
	return rc ? probe_failed(p, rc, "a command") : PROBE_HOLDS;
}

enum probe_verdict probe_completion_sq_head(struct probe *p)
{
	struct nvme_cqe cqe;
	uint16_t cid;
	int rc = remake_pair(p, 5, 8);

	for (unsigned int i = 0; i < TURNS && rc == 0; i++) {
		rc = flush_into_slot(p, i % 8, &cid, &cqe);
		if (rc == 0 && le16_get(cqe.sq_head) != p->nvme->sqs[1].tail)
			return probe_broken(p, "the head is %u, the tail %u",
					    le16_get(cqe.sq_head),
					    p->nvme->sqs[1].tail);
	}
	return rc ? probe_failed(p, rc, "a command") : PROBE_HOLDS;
}

enum probe_verdict probe_completion_once(struct probe *p)
{
	uint16_t cids[MANY];
	int rc = 0;

	for (unsigned int i = 0; i < MANY && rc == 0; i++)
		rc = start_flush(p, &cids[i]);
	for (unsigned int i = 0; i < MANY && rc == 0; i++)
		rc = host_nvme_wait(p->nvme, 1, cids[i], NULL);
	if (rc)
		return probe_failed(p, rc, "a command");
	probe_pause_ms(p, PROBE_QUIET_MS);
	return probe_has_stray(p, 1)
		       ? probe_broken(p, "there is one completion too many")
		       : PROBE_HOLDS;
}
