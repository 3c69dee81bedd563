/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of features and log pages: NVM Express Base Specification 1.4, 5.13,
 * 5.14, 5.21 and 7.8.
 */
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "host-driver/probe/probe.h"

#define ONCS_SAVE        BITS(4, 4)
#define ONCS_TIMESTAMP   BITS(6, 6)
#define LPA_EFFECTS      BITS(1, 1)
#define CTRATT_HOST_ID   BITS(0, 0)
#define FID_APST         0x0cu
#define FID_HMB          0x0du
#define FID_TIMESTAMP    0x0eu
#define FID_KEEP_ALIVE   0x0fu
#define FID_HCTM         0x10u
#define FID_RESERVED     0x77u
#define LID_EFFECTS      0x05u
#define LID_RESERVED     0x6fu
#define SEL_RESERVED     5u
#define SV               (1u << 31)
#define SMART_DWORDS     (512u / 4)
#define EFFECT_SUPPORTED BITS(0, 0)
#define FAR_OFFSET       UINT64_C(0x10000000)
#define COALESCING       0x00000305u /* 300 us, 6 entries */
#define FEW_READS        5u
#define CELSIUS_0_K      273u
#define CELSIUS_150_K    423u

/* --- Features ------------------------------------------------------------- */

static int get_feature(struct probe *p, uint8_t fid, uint32_t select,
		       uint32_t nsid, uint32_t *out)
{
	struct nvme_cqe cqe = { 0 };
	int rc = probe_call(
		p, 0,
		(struct probe_cmd){ .opcode = NVME_ADMIN_GET_FEATURES,
				    .nsid = nsid,
				    .prp1 = probe_page(p),
				    .cdw10 = select << 8 | fid },
		&cqe);

	if (out)
		*out = le32_get(cqe.dw0);
	return rc;
}

static int set_feature(struct probe *p, uint32_t fid, uint32_t nsid,
		       uint32_t value)
{
	return probe_admin(
		p, (struct probe_cmd){ .opcode = NVME_ADMIN_SET_FEATURES,
				       .nsid = nsid,
				       .prp1 = probe_page(p),
				       .cdw10 = fid,
				       .cdw11 = value });
}

enum probe_verdict probe_feature_mandatory(struct probe *p)
{
	static const uint8_t fids[] = {
		NVME_FID_ARBITRATION,  NVME_FID_POWER,
		NVME_FID_TEMPERATURE,  NVME_FID_ERROR_RECOVERY,
		NVME_FID_QUEUES,       NVME_FID_COALESCING,
		NVME_FID_VECTOR,       NVME_FID_ATOMICITY,
		NVME_FID_ASYNC_EVENTS,
	};
	char step[32] = "feature 00h";
	uint32_t nsid;
	int rc;

	for (size_t i = 0; i < RT_COUNT(fids); i++) {
		nsid = fids[i] == NVME_FID_ERROR_RECOVERY ? p->nsid : 0;
		rc = get_feature(p, fids[i], 0, nsid, NULL);
		step[9] = "0123456789abcdef"[fids[i] & 15];
		if (rc)
			return probe_failed(p, rc, step);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_feature_optional(struct probe *p)
{
	const struct {
		uint8_t fid;
		bool is_offered;
		const char *name;
	} features[] = {
		{ NVME_FID_WRITE_CACHE, p->id.vwc & NVME_VWC_PRESENT,
		  "volatile write cache" },
		{ FID_APST, p->id.apsta & 1, "autonomous power states" },
		{ FID_HMB, le32_get(p->id.hmpre) != 0, "host memory buffer" },
		{ FID_TIMESTAMP, le16_get(p->id.oncs) & ONCS_TIMESTAMP,
		  "timestamp" },
		{ FID_HCTM, le16_get(p->id.hctma) & 1,
		  "host controlled thermal management" },
	};
	int rc;

	for (size_t i = 0; i < RT_COUNT(features); i++) {
		rc = get_feature(p, features[i].fid, 0, 0, NULL);
		if (features[i].is_offered && rc)
			return probe_failed(p, rc, features[i].name);
		if (!features[i].is_offered && rc != PROBE_INVALID_FIELD)
			return probe_broken(p,
					    "%s is not offered, and the answer "
					    "not 0/02h but %x/%02xh",
					    features[i].name, rc >> 8,
					    rc & 0xff);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_feature_unknown_get(struct probe *p)
{
	int rc = get_feature(p, 0, 0, 0, NULL);

	if (rc != PROBE_INVALID_FIELD)
		return probe_want(p, rc, PROBE_INVALID_FIELD);
	return probe_want(p, get_feature(p, FID_RESERVED, 0, 0, NULL),
			  PROBE_INVALID_FIELD);
}

enum probe_verdict probe_feature_unknown_set(struct probe *p)
{
	return probe_want(p, set_feature(p, FID_RESERVED, 0, 0),
			  PROBE_INVALID_FIELD);
}

enum probe_verdict probe_feature_reserved_select(struct probe *p)
{
	if (!(le16_get(p->id.oncs) & ONCS_SAVE))
		return probe_skip(p, "ONCS: Select is not offered");
	return probe_want(
		p, get_feature(p, NVME_FID_ARBITRATION, SEL_RESERVED, 0, NULL),
		PROBE_INVALID_FIELD);
}

/* Set a value, read it, and put the old one back. */
static enum probe_verdict keeps(struct probe *p, uint8_t fid, uint32_t value,
				uint32_t mask)
{
	uint32_t before = 0, after = 0;
	int rc = get_feature(p, fid, 0, 0, &before);

	if (rc == 0)
		rc = set_feature(p, fid, 0, value);
	if (rc == PROBE_NOT_CHANGEABLE)
		return probe_skip(p, "it cannot be changed");
	if (rc == 0)
		rc = get_feature(p, fid, 0, 0, &after);
	if (rc)
		return probe_failed(p, rc, "setting and getting");
	(void)set_feature(p, fid, 0, before);
	return ((after ^ value) & mask) == 0
		       ? PROBE_HOLDS
		       : probe_broken(p, "%08xh was set, %08xh is got", value,
				      after);
}

enum probe_verdict probe_feature_coalescing(struct probe *p)
{
	return keeps(p, NVME_FID_COALESCING, COALESCING, 0xffff);
}

enum probe_verdict probe_feature_arbitration(struct probe *p)
{
	return keeps(p, NVME_FID_ARBITRATION, 2, NVME_ARBITRATION_AB);
}

enum probe_verdict probe_feature_write_cache(struct probe *p)
{
	enum probe_verdict verdict;

	if (!(p->id.vwc & NVME_VWC_PRESENT))
		return probe_skip(p, "no volatile write cache");
	verdict = keeps(p, NVME_FID_WRITE_CACHE, 0, 1);
	return verdict == PROBE_HOLDS ? keeps(p, NVME_FID_WRITE_CACHE, 1, 1)
				      : verdict;
}

enum probe_verdict probe_feature_reset(struct probe *p)
{
	uint32_t before = 0, after = 0;
	int rc = get_feature(p, NVME_FID_COALESCING, 0, 0, &before);

	if (rc == 0)
		rc = set_feature(p, NVME_FID_COALESCING, 0,
				 before ^ COALESCING);
	if (rc == PROBE_NOT_CHANGEABLE)
		return probe_skip(p, "it cannot be changed");
	if (rc == 0)
		rc = host_nvme_disable(p->nvme);
	if (rc == 0)
		rc = host_nvme_enable(p->nvme);
	if (rc == 0)
		rc = get_feature(p, NVME_FID_COALESCING, 0, 0, &after);
	if (rc)
		return probe_failed(p, rc, "setting, resetting and getting");
	return (before & 0xffff) == (after & 0xffff)
		       ? PROBE_HOLDS
		       : probe_broken(p, "%08xh has become %08xh", before,
				      after);
}

enum probe_verdict probe_feature_not_saveable(struct probe *p)
{
	uint32_t value = 0;
	int rc = get_feature(p, NVME_FID_ARBITRATION, 0, 0, &value);

	if (le16_get(p->id.oncs) & ONCS_SAVE)
		return probe_skip(p, "ONCS: features can be saved");
	if (rc)
		return probe_failed(p, rc, "Get Features");
	return probe_want(p,
			  set_feature(p, SV | NVME_FID_ARBITRATION, 0, value),
			  PROBE_NOT_SAVEABLE, PROBE_INVALID_FIELD);
}

enum probe_verdict probe_feature_not_changeable(struct probe *p)
{
	uint32_t capabilities, value, nsid;

	if (!(le16_get(p->id.oncs) & ONCS_SAVE))
		return probe_skip(p, "ONCS: Select is not offered");
	for (uint8_t fid = NVME_FID_ARBITRATION; fid <= NVME_FID_ASYNC_EVENTS;
	     fid++) {
		if (get_feature(p, fid, NVME_SEL_CAPABILITIES, p->nsid,
				&capabilities) ||
		    capabilities & NVME_FEATURE_IS_CHANGEABLE)
			continue;
		nsid = capabilities & NVME_FEATURE_IS_PER_NS ? p->nsid : 0;
		if (get_feature(p, fid, 0, nsid, &value))
			continue;
		return probe_want(p, set_feature(p, fid, nsid, value),
				  PROBE_NOT_CHANGEABLE);
	}
	return probe_skip(p, "all of them can be changed");
}

enum probe_verdict probe_feature_not_per_namespace(struct probe *p)
{
	uint32_t value = 0;
	int rc = get_feature(p, NVME_FID_ARBITRATION, 0, 0, &value);

	if (p->nsid == 0)
		return probe_skip(p, "no active namespace");
	if (rc)
		return probe_failed(p, rc, "Get Features");
	return probe_want(p,
			  set_feature(p, NVME_FID_ARBITRATION, p->nsid, value),
			  PROBE_NOT_PER_NS);
}

enum probe_verdict probe_feature_namespace(struct probe *p)
{
	return probe_want(p,
			  get_feature(p, NVME_FID_ERROR_RECOVERY, 0,
				      le32_get(p->id.nn) + 1, NULL),
			  PROBE_INVALID_NAMESPACE);
}

enum probe_verdict probe_feature_power_range(struct probe *p)
{
	if (p->id.npss >= 31)
		return probe_skip(p, "every power state is there");
	return probe_want(p, set_feature(p, NVME_FID_POWER, 0, p->id.npss + 1u),
			  PROBE_INVALID_FIELD, PROBE_NOT_CHANGEABLE);
}

enum probe_verdict probe_feature_temperature_select(struct probe *p)
{
	/* 10b of THSEL is reserved. */
	return probe_want(
		p, set_feature(p, NVME_FID_TEMPERATURE, 0, 2u << 20 | 0x170),
		PROBE_INVALID_FIELD);
}

enum probe_verdict probe_feature_vector_range(struct probe *p)
{
	return probe_want(p, set_feature(p, NVME_FID_VECTOR, 0, 0xfff0),
			  PROBE_INVALID_FIELD, PROBE_INVALID_VECTOR,
			  PROBE_NOT_CHANGEABLE);
}

/* --- Log pages ------------------------------------------------------------ */

static int get_log(struct probe *p, uint32_t lid, uint64_t offset,
		   uint32_t dwords, uint64_t prp1)
{
	return probe_admin(
		p, (struct probe_cmd){ .opcode = NVME_ADMIN_GET_LOG_PAGE,
				       .nsid = UINT32_MAX,
				       .prp1 = prp1,
				       .cdw10 = (dwords - 1) << 16 | lid,
				       .cdw12 = (uint32_t)offset,
				       .cdw13 = (uint32_t)(offset >> 32) });
}

static int get_page(struct probe *p, uint8_t lid, uint32_t bytes,
		    const void **out)
{
	uint64_t page = probe_page(p);

	*out = probe_at(p, page);
	memset(probe_at(p, page), PROBE_FILL, HOST_NVME_PAGE);
	return get_log(p, lid, 0, bytes / 4, page);
}

enum probe_verdict probe_log_mandatory(struct probe *p)
{
	static const struct {
		uint8_t lid;
		uint32_t bytes;
		const char *name;
	} pages[] = { { NVME_LID_ERROR, 64, "Error Information" },
		      { NVME_LID_SMART, 512, "SMART" },
		      { NVME_LID_FIRMWARE, 512, "Firmware Slot" } };
	const void *data;
	int rc;

	for (size_t i = 0; i < RT_COUNT(pages); i++) {
		rc = get_page(p, pages[i].lid, pages[i].bytes, &data);
		if (rc)
			return probe_failed(p, rc, pages[i].name);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_log_unknown(struct probe *p)
{
	return probe_want(p, get_log(p, LID_RESERVED, 0, 16, probe_page(p)),
			  PROBE_INVALID_LOG, PROBE_INVALID_FIELD);
}

enum probe_verdict probe_log_within_request(struct probe *p)
{
	struct host_nvme_data data;
	int rc = probe_data(p, 64, (struct host_nvme_shape){ .offset = 64 },
			    &data);

	if (rc == 0)
		rc = get_log(p, NVME_LID_SMART, 0, 16, data.prp1);
	if (rc)
		return probe_failed(p, rc, "Get Log Page");
	return probe_guards_hold(p, &data)
		       ? PROBE_HOLDS
		       : probe_broken(p, "more than 64 bytes were written");
}

/* More than the page has, and pointers for one page of memory only. */
enum probe_verdict probe_log_longer_than_page(struct probe *p)
{
	uint64_t page = probe_page(p), next = probe_page(p);
	uint8_t *bytes = probe_at(p, next);
	int rc;

	memset(bytes, PROBE_FILL, HOST_NVME_PAGE);
	rc = get_log(p, NVME_LID_FIRMWARE, 0, 1024, page);
	if (rc < 0)
		return probe_failed(p, rc, "Get Log Page");
	for (size_t i = 0; i < HOST_NVME_PAGE; i++)
		if (bytes[i] != PROBE_FILL)
			return probe_broken(p, "it wrote outside the pointers");
	return PROBE_HOLDS;
}

enum probe_verdict probe_log_offset(struct probe *p)
{
	const uint8_t *whole;
	uint64_t half;
	int rc;

	if (!(p->id.lpa & NVME_LPA_EXTENDED))
		return probe_skip(p, "LPA: no offsets");
	rc = get_page(p, NVME_LID_FIRMWARE, 512, (const void **)&whole);
	half = probe_page(p);
	if (rc == 0)
		rc = get_log(p, NVME_LID_FIRMWARE, 8, 32, half);
	if (rc)
		return probe_failed(p, rc, "Get Log Page");
	return memcmp(whole + 8, probe_at(p, half), 128) == 0
		       ? PROBE_HOLDS
		       : probe_broken(p, "from byte 8 on it is another page");
}

enum probe_verdict probe_log_offset_range(struct probe *p)
{
	if (!(p->id.lpa & NVME_LPA_EXTENDED))
		return probe_skip(p, "LPA: no offsets");
	return probe_want(
		p, get_log(p, NVME_LID_SMART, FAR_OFFSET, 16, probe_page(p)),
		PROBE_INVALID_FIELD);
}

enum probe_verdict probe_log_offset_unaligned(struct probe *p)
{
	if (!(p->id.lpa & NVME_LPA_EXTENDED))
		return probe_skip(p, "LPA: no offsets");
	return probe_want(p, get_log(p, NVME_LID_SMART, 2, 16, probe_page(p)),
			  PROBE_INVALID_FIELD);
}

enum probe_verdict probe_log_smart(struct probe *p)
{
	const struct nvme_smart_log *log;
	int rc = get_page(p, NVME_LID_SMART, sizeof *log, (const void **)&log);
	uint64_t kelvin;

	if (rc)
		return probe_failed(p, rc, "Get Log Page");
	kelvin = le_load(log->temperature_k, 2);
	if (kelvin && (kelvin < CELSIUS_0_K || kelvin > CELSIUS_150_K))
		return probe_broken(p, "the temperature is %llu K",
				    (unsigned long long)kelvin);
	if (log->spare_percent > 100 || log->spare_threshold > 100)
		return probe_broken(p, "more than 100 %% spare");
	if (log->critical_warning & 0xc0)
		return probe_broken(p, "reserved warnings: %02xh",
				    log->critical_warning);
	for (size_t i = 0; i < sizeof log->reserved232; i++)
		if (log->reserved232[i])
			return probe_broken(p, "byte %zu is not zero", 232 + i);
	return PROBE_HOLDS;
}

static int host_reads(struct probe *p, uint64_t *out)
{
	const struct nvme_smart_log *log;
	int rc = get_page(p, NVME_LID_SMART, sizeof *log, (const void **)&log);

	*out = le_load(log->host_reads, 8);
	return rc;
}

enum probe_verdict probe_log_smart_counts(struct probe *p)
{
	struct host_nvme_data data;
	uint64_t before = 0, after = 0;
	int rc = host_reads(p, &before);

	if (rc == 0)
		rc = probe_data(p, p->block_bytes,
				(struct host_nvme_shape){ 0 }, &data);
	for (unsigned int i = 0; i < FEW_READS && rc == 0; i++)
		rc = probe_nvm(p, probe_read(p, 0, 1, &data));
	if (rc == 0)
		rc = host_reads(p, &after);
	if (rc)
		return probe_failed(p, rc, "reading");
	return after == before + FEW_READS
		       ? PROBE_HOLDS
		       : probe_broken(p, "%u reads more are %llu", FEW_READS,
				      (unsigned long long)(after - before));
}

enum probe_verdict probe_log_firmware(struct probe *p)
{
	const struct nvme_firmware_log *log;
	int rc = get_page(p, NVME_LID_FIRMWARE, sizeof *log,
			  (const void **)&log);
	unsigned int slot = log->afi & 7;

	if (rc)
		return probe_failed(p, rc, "Get Log Page");
	if (slot == 0)
		return probe_broken(p, "slot 0 is active");
	return memcmp(log->frs[slot - 1], p->id.fr, sizeof p->id.fr) == 0
		       ? PROBE_HOLDS
		       : probe_broken(p, "slot %u is another than FR", slot);
}

/* An entry about the newest error: what More promises, 4.6.1. */
enum probe_verdict probe_log_error_entry(struct probe *p)
{
	const struct nvme_error_entry *entry;
	struct nvme_cqe cqe = { 0 };
	int rc = probe_call(p, 0, (struct probe_cmd){ .opcode = 0x03 }, &cqe);

	if (rc < 0)
		return probe_failed(p, rc, "a bad command");
	if (!(le16_get(cqe.status) & NVME_CQE_MORE))
		return probe_skip(p, "the command's status says no More");
	rc = get_page(p, NVME_LID_ERROR, sizeof *entry, (const void **)&entry);
	if (rc)
		return probe_failed(p, rc, "Get Log Page");
	if (le64_get(entry->error_count) == 0)
		return probe_broken(p, "the log is empty");
	if (le16_get(entry->sqid) != 0 ||
	    le16_get(entry->cid) != le16_get(cqe.cid))
		return probe_broken(p, "it is about command %u of queue %u",
				    le16_get(entry->cid),
				    le16_get(entry->sqid));
	if ((le16_get(entry->status) ^ le16_get(cqe.status)) & 0xfffe)
		return probe_broken(p, "the status is %04xh, and was %04xh",
				    le16_get(entry->status),
				    le16_get(cqe.status));
	return PROBE_HOLDS;
}

enum probe_verdict probe_log_changed_namespaces(struct probe *p)
{
	const le32 *list;
	int rc;

	if (!(le32_get(p->id.oaes) & NVME_OAES_NAMESPACE))
		return probe_skip(p, "OAES: no such notice");
	rc = get_page(p, NVME_LID_CHANGED_NS, 4096, (const void **)&list);
	if (rc == 0)
		rc = get_page(p, NVME_LID_CHANGED_NS, 4096,
			      (const void **)&list);
	if (rc)
		return probe_failed(p, rc, "Get Log Page");
	return le32_get(list[0]) == 0
		       ? PROBE_HOLDS
		       : probe_broken(p, "it was not cleared by reading");
}

enum probe_verdict probe_log_effects(struct probe *p)
{
	static const uint8_t admin[] = { 0x00, 0x01, 0x02, 0x04, 0x05,
					 0x06, 0x08, 0x09, 0x0a, 0x0c };
	static const uint8_t nvm[] = { 0x00, 0x01, 0x02 };
	const le32 *log;
	int rc;

	if (!(p->id.lpa & LPA_EFFECTS))
		return probe_skip(p, "LPA: no effects log");
	rc = get_page(p, LID_EFFECTS, 4096, (const void **)&log);
	if (rc)
		return probe_failed(p, rc, "Get Log Page");
	for (size_t i = 0; i < RT_COUNT(admin); i++)
		if (!(le32_get(log[admin[i]]) & EFFECT_SUPPORTED))
			return probe_broken(p, "admin command %02xh is missing",
					    admin[i]);
	for (size_t i = 0; i < RT_COUNT(nvm); i++)
		if (!(le32_get(log[256 + nvm[i]]) & EFFECT_SUPPORTED))
			return probe_broken(p, "NVM command %02xh is missing",
					    nvm[i]);
	return PROBE_HOLDS;
}
