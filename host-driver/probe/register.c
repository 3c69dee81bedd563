/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of the controller's registers and of the states that they lead it
 * through, NVM Express Base Specification 1.4, 3.1, 7.3 and 7.6.
 */
#include <errno.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "host-driver/probe/probe.h"

#define REG_NSSR        0x20u
#define REG_RESERVED    0x18u
#define CAP_RESERVED    (BITS(23, 19) | BITS(63, 58)) /* up to 1.4 */
#define CAP_RESERVED_2  (BITS(23, 19) | BITS(63, 62)) /* 2.0 */
#define AQA_RESERVED    (BITS(31, 28) | BITS(15, 12))
#define CSTS_STATE      (NVME_CSTS_RDY | NVME_CSTS_CFS | NVME_CSTS_SHST)
#define NSSR_NO_MAGIC   0x12345678u
#define SHN_NORMAL      1u
#define SHN_ABRUPT      2u
#define FOREVER_CYCLES  20u
#define TWO_ENTRY_TURNS 7u

enum probe_verdict probe_register_cap(struct probe *p)
{
	uint64_t cap = probe_get64(p, NVME_REG_CAP);
	uint64_t reserved =
		probe_has_version(p, 2, 0) ? CAP_RESERVED_2 : CAP_RESERVED;

	if (cap & reserved)
		return probe_broken(p, "reserved bits are set: %016llxh",
				    (unsigned long long)cap);
	if (bits_get(NVME_CAP_MQES, cap) == 0)
		return probe_broken(p, "MQES is 0: queues of one entry");
	if (bits_get(NVME_CAP_MPSMIN, cap) > bits_get(NVME_CAP_MPSMAX, cap))
		return probe_broken(p, "MPSMIN is above MPSMAX");
	if (bits_get(NVME_CAP_CSS, cap) == 0)
		return probe_broken(p, "CSS offers no command set");
	return PROBE_HOLDS;
}

enum probe_verdict probe_register_doorbells_in_bar(struct probe *p)
{
	uint64_t end = probe_doorbell(p, p->pairs, true) + 4;
	uint64_t size = probe_region_size(p, 0);

	return end <= size ? PROBE_HOLDS
			   : probe_broken(p,
					  "the doorbells of %u queues end at "
					  "%llxh, BAR 0 at %llxh",
					  p->pairs, (unsigned long long)end,
					  (unsigned long long)size);
}

enum probe_verdict probe_register_version(struct probe *p)
{
	uint32_t vs = probe_get32(p, NVME_REG_VS);
	uint32_t major = vs >> 16, minor = vs >> 8 & 0xff;

	if ((major == 1 && minor <= 4) || (major == 2 && minor <= 3))
		return PROBE_HOLDS;
	return probe_broken(p, "it is %08xh", vs);
}

enum probe_verdict probe_register_read_only(struct probe *p)
{
	uint64_t cap = probe_get64(p, NVME_REG_CAP);
	uint32_t vs = probe_get32(p, NVME_REG_VS);
	uint32_t csts = probe_get32(p, NVME_REG_CSTS);

	probe_set64(p, NVME_REG_CAP, ~cap);
	probe_set32(p, NVME_REG_VS, ~vs);
	/* NSSRO is cleared by a one. */
	probe_set32(p, NVME_REG_CSTS, CSTS_STATE);
	if (probe_get64(p, NVME_REG_CAP) != cap)
		return probe_broken(p, "CAP was changed");
	if (probe_get32(p, NVME_REG_VS) != vs)
		return probe_broken(p, "VS was changed");
	if ((probe_get32(p, NVME_REG_CSTS) ^ csts) & CSTS_STATE)
		return probe_broken(p, "CSTS was changed");
	return PROBE_HOLDS;
}

enum probe_verdict probe_register_reset_values(struct probe *p)
{
	static const struct {
		const char *name;
		uint64_t offset;
	} zeroes[] = { { "INTMS", NVME_REG_INTMS },
		       { "CC", NVME_REG_CC },
		       { "AQA", NVME_REG_AQA } };
	uint32_t value;

	if (host_reset(p->fn))
		return probe_broken(p, "the function could not be reset");
	probe_config_set(p, 4, 2, 6);
	for (size_t i = 0; i < RT_COUNT(zeroes); i++) {
		value = probe_get32(p, zeroes[i].offset);
		if (value != 0)
			return probe_broken(p, "%s is %08xh", zeroes[i].name,
					    value);
	}
	value = probe_get32(p, NVME_REG_CSTS);
	return value & CSTS_STATE ? probe_broken(p, "CSTS is %08xh", value)
				  : PROBE_HOLDS;
}

enum probe_verdict probe_register_reserved(struct probe *p)
{
	uint32_t value;

	probe_set32(p, REG_RESERVED, UINT32_MAX);
	value = probe_get32(p, REG_RESERVED);
	return value == 0 ? PROBE_HOLDS
			  : probe_broken(p, "18h reads %08xh", value);
}

enum probe_verdict probe_register_halves(struct probe *p)
{
	uint64_t cap = probe_get64(p, NVME_REG_CAP), low, high;

	high = probe_get32(p, NVME_REG_CAP + 4);
	low = probe_get32(p, NVME_REG_CAP);
	if (cap != (high << 32 | low))
		return probe_broken(
			p, "CAP is %016llxh, or %08llxh and %08llxh",
			(unsigned long long)cap, (unsigned long long)high,
			(unsigned long long)low);
	probe_set32(p, NVME_REG_ASQ + 4, 0x12);
	probe_set32(p, NVME_REG_ASQ, 0x34567000);
	probe_set32(p, NVME_REG_ACQ, 0x9abcd000);
	probe_set32(p, NVME_REG_ACQ + 4, 0x78);
	if (probe_get64(p, NVME_REG_ASQ) != UINT64_C(0x1234567000))
		return probe_broken(p, "ASQ, upper half first, is not kept");
	if (probe_get64(p, NVME_REG_ACQ) != UINT64_C(0x789abcd000))
		return probe_broken(p, "ACQ, lower half first, is not kept");
	return PROBE_HOLDS;
}

enum probe_verdict probe_register_admin_queue(struct probe *p)
{
	uint32_t aqa;
	uint64_t asq;

	probe_set32(p, NVME_REG_AQA, UINT32_MAX);
	aqa = probe_get32(p, NVME_REG_AQA);
	if (aqa & AQA_RESERVED)
		return probe_broken(p, "reserved bits of AQA: %08xh", aqa);
	probe_set32(p, NVME_REG_AQA, 0x001f000f);
	aqa = probe_get32(p, NVME_REG_AQA);
	if (aqa != 0x001f000f)
		return probe_broken(p, "AQA reads %08xh", aqa);
	probe_set64(p, NVME_REG_ASQ, UINT64_C(0x123456789000));
	asq = probe_get64(p, NVME_REG_ASQ);
	if (asq != UINT64_C(0x123456789000))
		return probe_broken(p, "ASQ reads %016llxh",
				    (unsigned long long)asq);
	return PROBE_HOLDS;
}

enum probe_verdict probe_register_interrupt_mask(struct probe *p)
{
	uint32_t set, cleared;

	if (probe_config_get(p, 0x3d, 1) == 0)
		return probe_skip(p, "no interrupt pin");
	probe_set32(p, NVME_REG_INTMS, 5);
	set = probe_get32(p, NVME_REG_INTMS);
	probe_set32(p, NVME_REG_INTMC, 1);
	cleared = probe_get32(p, NVME_REG_INTMC);
	probe_set32(p, NVME_REG_INTMC, UINT32_MAX);
	if (set != 5)
		return probe_broken(p, "INTMS reads %08xh after 5", set);
	if (cleared != 4)
		return probe_broken(p, "INTMC reads %08xh after 1", cleared);
	return PROBE_HOLDS;
}

/* --- Enabling ------------------------------------------------------------- */

enum probe_verdict probe_register_enable(struct probe *p)
{
	int rc = host_nvme_enable(p->nvme);

	if (rc == -ETIMEDOUT)
		return probe_broken(p, "CSTS.RDY stays 0");
	if (rc < 0)
		return probe_failed(p, rc, "enabling");
	rc = host_nvme_disable(p->nvme);
	if (rc == -ETIMEDOUT)
		return probe_broken(p, "CSTS.RDY stays 1");
	return rc < 0 ? probe_failed(p, rc, "disabling") : PROBE_HOLDS;
}

enum probe_verdict probe_register_enable_again(struct probe *p)
{
	const void *id;
	int rc = 0;

	for (unsigned int i = 0; i < FOREVER_CYCLES && rc == 0; i++) {
		rc = host_nvme_disable(p->nvme);
		if (rc == 0)
			rc = host_nvme_enable(p->nvme);
		if (rc == 0)
			rc = host_nvme_identify(p->nvme, NVME_CNS_CONTROLLER, 0,
						&id);
	}
	return rc ? probe_failed(p, rc, "enabling it again and again")
		  : PROBE_HOLDS;
}

enum probe_verdict probe_register_reset_keeps_queues(struct probe *p)
{
	uint32_t aqa = probe_get32(p, NVME_REG_AQA);
	uint64_t asq = probe_get64(p, NVME_REG_ASQ);
	uint64_t acq = probe_get64(p, NVME_REG_ACQ);
	int rc = host_nvme_disable(p->nvme);

	if (rc < 0)
		return probe_failed(p, rc, "disabling");
	if (probe_get32(p, NVME_REG_AQA) != aqa)
		return probe_broken(p, "AQA is another");
	if (probe_get64(p, NVME_REG_ASQ) != asq ||
	    probe_get64(p, NVME_REG_ACQ) != acq)
		return probe_broken(p, "ASQ or ACQ is another");
	return PROBE_HOLDS;
}

/* A server may also refuse the write. */
static enum probe_verdict enable_badly(struct probe *p, uint32_t cc)
{
	int rc;

	rc = host_write32(p->fn, 0, NVME_REG_CC, cc | 1);
	if (rc < 0)
		return rc == -ECONNRESET || rc == -ETIMEDOUT
			       ? probe_failed(p, rc, "writing CC")
			       : PROBE_HOLDS;
	probe_pause_ms(p, PROBE_QUIET_MS);
	if (probe_get32(p, NVME_REG_CSTS) & NVME_CSTS_RDY &&
	    !(probe_get32(p, NVME_REG_CSTS) & NVME_CSTS_CFS))
		return probe_broken(p, "it is ready with CC = %08xh", cc | 1);
	return PROBE_HOLDS;
}

static void set_admin_queues(struct probe *p, uint32_t aqa)
{
	probe_set32(p, NVME_REG_AQA, aqa);
	probe_set64(p, NVME_REG_ASQ, probe_page(p));
	probe_set64(p, NVME_REG_ACQ, probe_page(p));
}

enum probe_verdict probe_register_enable_page_size(struct probe *p)
{
	uint64_t max = bits_get(NVME_CAP_MPSMAX, p->nvme->cap);

	if (max == 15)
		return probe_skip(p, "every page size is offered");
	set_admin_queues(p, 0x000f000f);
	return enable_badly(
		p,
		(uint32_t)bits_put(NVME_CC_MPS, host_nvme_usual_cc(), max + 1));
}

enum probe_verdict probe_register_enable_command_set(struct probe *p)
{
	set_admin_queues(p, 0x000f000f);
	/* 010b to 101b are reserved in every version. */
	return enable_badly(
		p, (uint32_t)bits_put(NVME_CC_CSS, host_nvme_usual_cc(), 3));
}

enum probe_verdict probe_register_enable_arbitration(struct probe *p)
{
	set_admin_queues(p, 0x000f000f);
	/* 010b is reserved. */
	return enable_badly(
		p, (uint32_t)bits_put(NVME_CC_AMS, host_nvme_usual_cc(), 2));
}

enum probe_verdict probe_register_enable_one_entry(struct probe *p)
{
	set_admin_queues(p, 0);
	return enable_badly(p, host_nvme_usual_cc());
}

static int make_ready_without_sizes(struct probe *p)
{
	int rc = host_nvme_enable(p->nvme);
	struct host_nvme_sq sq = p->nvme->sqs[0];
	struct host_nvme_cq cq = p->nvme->cqs[0];

	if (rc == 0)
		rc = host_nvme_disable(p->nvme);
	if (rc < 0)
		return rc;
	/* The same memory; what the first life wrote there is gone. */
	memset(probe_at(p, cq.iova), 0, cq.entries * sizeof(struct nvme_cqe));
	p->nvme->sqs[0] = sq;
	p->nvme->cqs[0] = cq;
	return host_nvme_enable_as(p->nvme, 0);
}

/* Refused by the enabling, or by the command that needs the sizes. */
enum probe_verdict probe_register_entry_sizes(struct probe *p)
{
	int rc = make_ready_without_sizes(p);

	if (rc == -EIO || rc == -EINVAL)
		return PROBE_HOLDS;
	if (rc < 0)
		return probe_failed(p, rc, "enabling");
	rc = host_nvme_create_cq(p->nvme, 1, 4, -1);
	return rc ? probe_want_error(p, rc)
		  : probe_broken(p, "a queue of 1-byte entries was made");
}

enum probe_verdict probe_register_two_entries(struct probe *p)
{
	uint32_t usual = p->nvme->admin_entries;
	const struct nvme_id_ctrl *id;
	int rc;

	p->nvme->admin_entries = 2;
	rc = host_nvme_enable(p->nvme);
	for (unsigned int i = 0; i < TWO_ENTRY_TURNS && rc == 0; i++)
		rc = host_nvme_identify(p->nvme, NVME_CNS_CONTROLLER, 0,
					(const void **)&id);
	p->nvme->admin_entries = usual;
	return rc ? probe_failed(p, rc, "with two entries") : PROBE_HOLDS;
}

/* --- Shutdown ------------------------------------------------------------- */

static enum probe_verdict shut_down(struct probe *p, unsigned int shn)
{
	int rc = host_nvme_shutdown(p->nvme, shn);
	uint32_t csts;

	if (rc == -ETIMEDOUT)
		return probe_broken(p, "CSTS.SHST does not become 10b");
	if (rc < 0)
		return probe_failed(p, rc, "the shutdown");
	rc = host_nvme_disable(p->nvme);
	if (rc < 0)
		return probe_failed(p, rc, "disabling it afterwards");
	csts = probe_get32(p, NVME_REG_CSTS);
	if (csts & NVME_CSTS_SHST)
		return probe_broken(p, "CSTS is %08xh after the reset", csts);
	rc = host_nvme_enable(p->nvme);
	return rc < 0 ? probe_failed(p, rc, "enabling it afterwards")
		      : PROBE_HOLDS;
}

enum probe_verdict probe_register_shutdown_normal(struct probe *p)
{
	return shut_down(p, SHN_NORMAL);
}

enum probe_verdict probe_register_shutdown_abrupt(struct probe *p)
{
	return shut_down(p, SHN_ABRUPT);
}

enum probe_verdict probe_register_shutdown_stays(struct probe *p)
{
	int rc = host_nvme_shutdown(p->nvme, SHN_NORMAL);
	uint32_t cc, csts;

	if (rc < 0)
		return probe_failed(p, rc, "the shutdown");
	cc = probe_get32(p, NVME_REG_CC);
	probe_set32(p, NVME_REG_CC, cc & ~(uint32_t)NVME_CC_SHN);
	probe_pause_ms(p, 1);
	csts = probe_get32(p, NVME_REG_CSTS);
	return bits_get(NVME_CSTS_SHST, csts) == NVME_SHST_COMPLETE
		       ? PROBE_HOLDS
		       : probe_broken(p, "CSTS is %08xh without a reset", csts);
}

enum probe_verdict probe_register_subsystem_reset(struct probe *p)
{
	uint64_t cap = probe_get64(p, NVME_REG_CAP);
	uint32_t csts;

	/* Without the magic number it is no reset, offered or not. */
	probe_set32(p, REG_NSSR, NSSR_NO_MAGIC);
	if (!bits_get(NVME_CAP_NSSRS, cap))
		probe_set32(p, REG_NSSR, 0x4e564d65);
	csts = probe_get32(p, NVME_REG_CSTS);
	return csts & NVME_CSTS_RDY
		       ? PROBE_HOLDS
		       : probe_broken(p, "CSTS is %08xh afterwards", csts);
}
