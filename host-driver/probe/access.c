/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What rules are made of: verdicts, registers, commands, data.  The place where
 * a bus error is turned into a broken rule.  Owns nothing.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "host-driver/probe/probe.h"

/* --- Verdicts ------------------------------------------------------------- */

static void say(struct probe *p, const char *format, va_list args)
{
	vsnprintf(p->text, sizeof p->text, format, args);
}

enum probe_verdict probe_broken(struct probe *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(p, format, args);
	va_end(args);
	return PROBE_BROKEN;
}

enum probe_verdict probe_skip(struct probe *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(p, format, args);
	va_end(args);
	return PROBE_SKIPPED;
}

/* A status or an errno, in words. */
static const char *outcome(const struct probe *p, int rc, char text[64])
{
	if (rc == -ETIMEDOUT)
		snprintf(text, 64, "no answer within %u ms",
			 p->options.timeout_ms);
	else if (rc == -ECONNRESET)
		snprintf(text, 64, "the server hung up");
	else if (rc == -EPROTO && p->ena && host_ena_why(p->ena)[0])
		snprintf(text, 64, "%s", host_ena_why(p->ena));
	else if (rc == -EPROTO && p->nsm && host_nsm_why(p->nsm)[0])
		snprintf(text, 64, "%s", host_nsm_why(p->nsm));
	else if (rc < 0)
		snprintf(text, 64, "%s", rt_errno_name(rc));
	else if (p->ena)
		snprintf(text, 64, "status %d (%s)", rc,
			 host_ena_status_text(rc));
	else
		snprintf(text, 64, "status %x/%02xh", rc >> 8 & 7, rc & 0xff);
	return text;
}

enum probe_verdict probe_failed(struct probe *p, int rc, const char *step)
{
	char text[64];

	return probe_broken(p, "%s: %s", step, outcome(p, rc, text));
}

enum probe_verdict probe_want_any(struct probe *p, int rc, const int *statuses)
{
	char wanted[64] = "", text[64];
	size_t length = 0;

	for (; *statuses >= 0; statuses++) {
		if (rc == *statuses)
			return PROBE_HOLDS;
		length += (size_t)snprintf(
			wanted + length, sizeof wanted - length, "%s%x/%02xh",
			length ? " or " : "", *statuses >> 8, *statuses & 0xff);
	}
	return probe_broken(p, "%s, where %s should be", outcome(p, rc, text),
			    wanted);
}

enum probe_verdict probe_want_unknown(struct probe *p, int rc, uint8_t opcode)
{
	char text[64];

	if (rc == PROBE_INVALID_OPCODE)
		return PROBE_HOLDS;
	return probe_broken(p, "opcode %02xh: %s, where 0/01h should be",
			    opcode, outcome(p, rc, text));
}

enum probe_verdict probe_want_error(struct probe *p, int rc)
{
	if (rc > 0)
		return PROBE_HOLDS;
	return rc < 0 ? probe_failed(p, rc, "the command")
		      : probe_broken(p, "it was done instead of refused");
}

enum probe_verdict probe_want_refusal(struct probe *p, int rc)
{
	uint32_t ids;
	int after;

	if (rc == 0)
		return probe_broken(p, "the server took it");
	if (rc == -ETIMEDOUT || rc == -ECONNRESET || rc == -EPROTO)
		return probe_failed(p, rc, "no error reply");
	after = host_read32(p->fn, HOST_CONFIG, 0, &ids);
	return after < 0 ? probe_failed(p, after, "reading afterwards")
			 : PROBE_HOLDS;
}

/* --- Registers ------------------------------------------------------------ */

static void note(struct probe *p, int rc)
{
	if (rc < 0 && !p->bus_error)
		p->bus_error = rc;
}

static uint64_t get(struct probe *p, unsigned int region, uint64_t offset,
		    unsigned int size)
{
	uint8_t bytes[8];
	int rc = host_read(p->fn, region, offset, bytes, size);

	if (rc < 0)
		memset(bytes, 0xff, sizeof bytes);
	note(p, rc);
	return le_load(bytes, size);
}

static void set(struct probe *p, unsigned int region, uint64_t offset,
		unsigned int size, uint64_t value)
{
	uint8_t bytes[8];

	le_store(bytes, sizeof bytes, value);
	note(p, host_write(p->fn, region, offset, bytes, size));
}

uint32_t probe_config_get(struct probe *p, unsigned int offset,
			  unsigned int size)
{
	return (uint32_t)get(p, HOST_CONFIG, offset, size);
}

void probe_config_set(struct probe *p, unsigned int offset, unsigned int size,
		      uint32_t value)
{
	set(p, HOST_CONFIG, offset, size, value);
}

uint32_t probe_get32(struct probe *p, uint64_t offset)
{
	return (uint32_t)get(p, 0, offset, 4);
}

uint64_t probe_get64(struct probe *p, uint64_t offset)
{
	return get(p, 0, offset, 8);
}

void probe_set32(struct probe *p, uint64_t offset, uint32_t value)
{
	set(p, 0, offset, 4, value);
}

void probe_set64(struct probe *p, uint64_t offset, uint64_t value)
{
	set(p, 0, offset, 8, value);
}

uint64_t probe_doorbell(const struct probe *p, uint32_t qid, bool is_cq)
{
	uint64_t stride = UINT64_C(4) << bits_get(NVME_CAP_DSTRD, p->nvme->cap);

	return NVME_REG_DOORBELLS + (UINT64_C(2) * qid + is_cq) * stride;
}

unsigned int probe_capability(struct probe *p, uint8_t id)
{
	return host_capability(p->fn, id);
}

uint64_t probe_region_size(struct probe *p, unsigned int region)
{
	uint64_t size = 0;

	note(p, host_region_size(p->fn, region, &size));
	return size;
}

unsigned int probe_irq_count(struct probe *p, unsigned int index)
{
	unsigned int count = 0;

	note(p, host_irq_count(p->fn, index, &count));
	return count;
}

void probe_pause_ms(struct probe *p, unsigned int ms)
{
	const struct rt_clock clock = { 0 };
	uint64_t end = rt_clock_now_ns(&clock) + ms * RT_NS_PER_MS;
	int rc = 0;

	while (rc >= 0 && rt_clock_now_ns(&clock) < end)
		rc = host_poll(p->fn, 1);
	note(p, rc);
}

/* --- Commands ------------------------------------------------------------- */

struct nvme_cmd probe_entry(struct probe_cmd cmd)
{
	return (struct nvme_cmd){
		.opcode = cmd.opcode,
		.flags = cmd.flags,
		.nsid = le32_put(cmd.nsid),
		.prp1 = le64_put(cmd.prp1),
		.prp2 = le64_put(cmd.prp2),
		.cdw10 = le32_put(cmd.cdw10),
		.cdw11 = le32_put(cmd.cdw11),
		.cdw12 = le32_put(cmd.cdw12),
		.cdw13 = le32_put(cmd.cdw13),
	};
}

int probe_start(struct probe *p, uint16_t sq, struct probe_cmd cmd,
		uint16_t *cid)
{
	struct nvme_cmd entry = probe_entry(cmd);

	/* A rule goes on and puts data back after its queue went wrong. */
	if (!p->nvme->sqs[sq].iova)
		return -ENOENT;
	return host_nvme_submit(p->nvme, sq, &entry, cid);
}

int probe_call(struct probe *p, uint16_t sq, struct probe_cmd cmd,
	       struct nvme_cqe *cqe)
{
	uint16_t cid;
	int rc = probe_start(p, sq, cmd, &cid);

	return rc < 0 ? rc : host_nvme_wait(p->nvme, sq, cid, cqe);
}

int probe_admin(struct probe *p, struct probe_cmd cmd)
{
	return probe_call(p, 0, cmd, NULL);
}

int probe_nvm(struct probe *p, struct probe_cmd cmd)
{
	return probe_call(p, 1, cmd, NULL);
}

struct probe_cmd probe_read(const struct probe *p, uint64_t lba,
			    uint32_t blocks, const struct host_nvme_data *data)
{
	return (struct probe_cmd){
		.opcode = NVME_NVM_READ,
		.nsid = p->nsid,
		.prp1 = data->prp1,
		.prp2 = data->prp2,
		.cdw10 = (uint32_t)lba,
		.cdw11 = (uint32_t)(lba >> 32),
		.cdw12 = blocks - 1,
	};
}

int probe_identify(struct probe *p, uint8_t cns, uint32_t nsid,
		   const void **out)
{
	uint64_t page = probe_page(p);

	*out = probe_at(p, page);
	memset(probe_at(p, page), PROBE_FILL, HOST_NVME_PAGE);
	return probe_admin(p, (struct probe_cmd){ .opcode = NVME_ADMIN_IDENTIFY,
						  .nsid = nsid,
						  .prp1 = page,
						  .cdw10 = cns });
}

uint64_t probe_page(struct probe *p)
{
	uint64_t page =
		host_nvme_alloc(p->nvme, HOST_NVME_PAGE, HOST_NVME_PAGE);

	if (page == 0) {
		/* No rule needs a part of what there is: not reached. */
		fprintf(stderr, "nitro-probe: out of memory for DMA\n");
		exit(2);
	}
	return page;
}

void *probe_at(struct probe *p, uint64_t iova)
{
	return host_nvme_at(p->nvme, iova);
}

int probe_data(struct probe *p, uint32_t bytes, struct host_nvme_shape shape,
	       struct host_nvme_data *out)
{
	int rc = host_nvme_data_make(p->nvme, bytes, shape, out);

	for (uint32_t i = 0; rc == 0 && i < out->page_count; i++)
		memset(probe_at(p, out->pages[i]), PROBE_FILL, HOST_NVME_PAGE);
	return rc;
}

static bool is_filled(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != PROBE_FILL)
			return false;
	return true;
}

bool probe_guards_hold(struct probe *p, const struct host_nvme_data *data)
{
	uint32_t last = data->page_count - 1;
	uint32_t end = (data->offset + data->size - 1) % HOST_NVME_PAGE + 1;

	return is_filled(probe_at(p, data->pages[0]), data->offset) &&
	       is_filled((uint8_t *)probe_at(p, data->pages[last]) + end,
			 HOST_NVME_PAGE - end);
}

bool probe_is_untouched(struct probe *p, const struct host_nvme_data *data)
{
	for (uint32_t i = 0; i < data->page_count; i++)
		if (!is_filled(probe_at(p, data->pages[i]), HOST_NVME_PAGE))
			return false;
	return true;
}

int probe_snapshot_take(struct probe *p, struct probe_snapshot *out)
{
	out->size = p->nvme->memory_used;
	out->bytes = malloc(out->size);
	if (!out->bytes)
		return -ENOMEM;
	memcpy(out->bytes, p->nvme->memory.bytes, out->size);
	return 0;
}

bool probe_snapshot_holds(struct probe *p, const struct probe_snapshot *s)
{
	return memcmp(s->bytes, p->nvme->memory.bytes, s->size) == 0;
}

void probe_snapshot_free(struct probe_snapshot *s)
{
	free(s->bytes);
}

bool probe_has_stray(struct probe *p, uint16_t sq)
{
	const struct host_nvme_parcel *parcels = p->nvme->parcels;

	(void)host_nvme_reap(p->nvme, p->nvme->sqs[sq].cq);
	for (size_t i = 0; i < HOST_NVME_PARCELS; i++)
		if (parcels[i].is_used && le16_get(parcels[i].cqe.sqid) == sq)
			return true;
	return false;
}

int probe_make_pair(struct probe *p, uint16_t qid, uint32_t entries)
{
	return host_nvme_create_pair(p->nvme, qid, entries, -1);
}

bool probe_has_version(const struct probe *p, unsigned int major,
		       unsigned int minor)
{
	return p->version >= NVME_VERSION(major, minor);
}

uint32_t probe_max_transfer(const struct probe *p)
{
	unsigned int shift =
		12u + (unsigned int)bits_get(NVME_CAP_MPSMIN, p->nvme->cap);

	if (p->id.mdts == 0 || p->id.mdts + shift > 31)
		return 0;
	return UINT32_C(1) << (p->id.mdts + shift);
}

uint32_t probe_queue_entries(const struct probe *p)
{
	return (uint32_t)bits_get(NVME_CAP_MQES, p->nvme->cap) + 1;
}
