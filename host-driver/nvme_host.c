/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The polling NVMe driver (NVM Express Base Specification 1.4; clauses at the
 * functions).  One thread.  Owns the memory that the controller works on and
 * hands it out page by page; a driver lives as long as a test, so nothing is
 * ever given back.
 */
#include "host-driver/nvme_host.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"
#include "host-driver/memory.h"

#define DEFAULT_IOVA       UINT64_C(0x40000000)
#define DEFAULT_BYTES      UINT64_C(0x4000000)
#define DEFAULT_TIMEOUT_MS 20000
#define ADMIN_ENTRIES      32
#define LIST_ENTRIES       (HOST_NVME_PAGE / 8)

static const struct rt_clock host_clock;

static uint64_t deadline_in(unsigned int ms)
{
	return rt_clock_now_ns(&host_clock) + ms * RT_NS_PER_MS;
}

static bool is_past(uint64_t deadline)
{
	return rt_clock_now_ns(&host_clock) > deadline;
}

/* --- Memory --------------------------------------------------------------- */

void *host_nvme_at(struct host_nvme *n, uint64_t iova)
{
	void *at = host_memory_at(&n->memory, iova);

	assert(at);
	return at;
}

/* Set a part of the memory aside, wherever its pages are for the device. */
static bool reserve(struct host_nvme *n, uint64_t size, uint64_t align,
		    uint64_t *offset)
{
	*offset = (n->memory_used + align - 1) / align * align;
	if (*offset > n->memory.size || size > n->memory.size - *offset)
		return false;
	n->memory_used = *offset + size;
	return true;
}

uint64_t host_nvme_alloc(struct host_nvme *n, uint64_t size, uint64_t align)
{
	return host_take_memory(&n->memory, &n->memory_used, size, align);
}

static bool take_pages(struct host_nvme *n, bool is_scattered,
		       struct host_nvme_data *data)
{
	uint64_t step = is_scattered ? 2 : 1, base;

	if (!reserve(n, data->page_count * step * HOST_NVME_PAGE,
		     HOST_NVME_PAGE, &base))
		return false;
	/* Scattered: backwards as well, so that nobody joins what does not
	 * touch. */
	for (uint64_t i = 0; i < data->page_count; i++) {
		uint64_t slot =
			is_scattered ? (data->page_count - 1 - i) * 2 : i;

		data->pages[i] = host_memory_iova(&n->memory,
						  base + slot * HOST_NVME_PAGE);
	}
	return true;
}

/*
 * 4.3: a list fills its page from where it starts; when it does not fit, the
 * last entry of the page points to the next list page.
 */
static uint64_t make_list(struct host_nvme *n,
			  const struct host_nvme_data *data, uint32_t offset)
{
	uint64_t page = host_nvme_alloc(n, HOST_NVME_PAGE, HOST_NVME_PAGE);
	uint64_t first = page + offset;
	uint32_t slot = offset / 8, left = data->page_count - 1;
	le64 *list;

	if (page == 0)
		return 0;
	list = host_nvme_at(n, page);
	for (uint32_t i = 1; i < data->page_count; i++, left--) {
		if (slot == LIST_ENTRIES - 1 && left > 1) {
			page = host_nvme_alloc(n, HOST_NVME_PAGE,
					       HOST_NVME_PAGE);
			if (page == 0)
				return 0;
			list[slot] = le64_put(page);
			list = host_nvme_at(n, page);
			slot = 0;
		}
		list[slot++] = le64_put(data->pages[i]);
	}
	return first;
}

int host_nvme_data_make(struct host_nvme *n, uint32_t size,
			struct host_nvme_shape shape,
			struct host_nvme_data *out)
{
	uint32_t end = shape.offset + size;

	memset(out, 0, sizeof *out);
	out->size = size;
	out->offset = shape.offset;
	out->page_count = (end + HOST_NVME_PAGE - 1) / HOST_NVME_PAGE;
	if (out->page_count == 0 || out->page_count > HOST_NVME_MAX_PAGES)
		return -EINVAL;
	if (!take_pages(n, shape.is_scattered, out))
		return -ENOMEM;
	out->prp1 = out->pages[0] + shape.offset;
	if (out->page_count == 2)
		out->prp2 = out->pages[1];
	else if (out->page_count > 2)
		out->prp2 = make_list(n, out, shape.list_offset);
	return out->page_count > 2 && out->prp2 == 0 ? -ENOMEM : 0;
}

static void copy_data(struct host_nvme *n, const struct host_nvme_data *data,
		      uint8_t *bytes, bool is_put)
{
	uint32_t done = 0;

	for (uint32_t i = 0; done < data->size; i++) {
		uint32_t offset = i == 0 ? data->offset : 0;
		uint32_t part = HOST_NVME_PAGE - offset;
		uint8_t *page = host_nvme_at(n, data->pages[i]);

		if (part > data->size - done)
			part = data->size - done;
		if (is_put)
			memcpy(page + offset, bytes + done, part);
		else
			memcpy(bytes + done, page + offset, part);
		done += part;
	}
}

void host_nvme_data_put(struct host_nvme *n, const struct host_nvme_data *data,
			const void *bytes)
{
	copy_data(n, data, (uint8_t *)(uintptr_t)bytes, true);
}

void host_nvme_data_get(struct host_nvme *n, const struct host_nvme_data *data,
			void *bytes)
{
	copy_data(n, data, bytes, false);
}

/* --- Open and close ------------------------------------------------------- */

/* Stores to a mapped doorbell cost no call; not every device offers it. */
static void find_doorbells(struct host_nvme *n)
{
	n->doorbells = NULL;
	if (host_region_map(n->fn, 0, NVME_REG_DOORBELLS, HOST_NVME_PAGE,
			    &n->doorbells) < 0)
		n->doorbells = NULL;
}

static int start(struct host_nvme *n, const struct host_nvme_options *options)
{
	uint64_t iova = options->size ? options->iova : DEFAULT_IOVA;
	uint64_t size = options->size ? options->size : DEFAULT_BYTES;
	int rc;

	rc = host_memory_map(n->fn, iova, size, !options->is_by_message,
			     &n->memory);
	if (rc == 0)
		rc = host_turn_on(n->fn);
	if (rc == 0)
		rc = host_read64(n->fn, 0, NVME_REG_CAP, &n->cap);
	if (rc < 0)
		return rc;
	find_doorbells(n);
	/* Leave address zero of the memory unused: 0 means "no more". */
	n->memory_used = HOST_NVME_PAGE;
	n->scratch = host_nvme_alloc(n, HOST_NVME_PAGE, HOST_NVME_PAGE);
	return 0;
}

int host_nvme_open(struct host_function *fn,
		   const struct host_nvme_options *options,
		   struct host_nvme **out)
{
	static const struct host_nvme_options usual;
	struct host_nvme *n = calloc(1, sizeof *n);
	int rc;

	if (!n)
		return -ENOMEM;
	if (!options)
		options = &usual;
	n->fn = fn;
	n->memory.fd = -1;
	n->admin_entries =
		options->admin_entries ? options->admin_entries : ADMIN_ENTRIES;
	n->timeout_ms =
		options->timeout_ms ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
	rc = start(n, options);
	if (rc < 0) {
		host_nvme_close(&n);
		return rc;
	}
	*out = n;
	return 0;
}

void host_nvme_close(struct host_nvme **n)
{
	if (!*n)
		return;
	if ((*n)->fn && (*n)->memory.bytes)
		(void)host_memory_unmap((*n)->fn, &(*n)->memory);
	host_memory_free(&(*n)->memory);
	free(*n);
	*n = NULL;
}

int host_nvme_move(struct host_nvme *n, struct host_function *fn)
{
	n->fn = fn;
	find_doorbells(n);
	return host_memory_attach(fn, &n->memory);
}

/* --- Registers ------------------------------------------------------------ */

/* CAP.TO: 3.1.1, in units of 500 ms. */
static unsigned int ready_timeout_ms(const struct host_nvme *n)
{
	unsigned int units = (unsigned int)bits_get(NVME_CAP_TO, n->cap);

	return (units ? units : 1) * 500;
}

int host_nvme_wait_csts(struct host_nvme *n, uint32_t mask, uint32_t value)
{
	uint64_t deadline = deadline_in(ready_timeout_ms(n));
	uint32_t csts;
	int rc;

	for (;;) {
		rc = host_read32(n->fn, 0, NVME_REG_CSTS, &csts);
		if (rc < 0)
			return rc;
		if ((csts & mask) == value)
			return 0;
		if (csts & NVME_CSTS_CFS)
			return -EIO;
		if (is_past(deadline))
			return -ETIMEDOUT;
		rc = host_poll(n->fn, 0);
		if (rc < 0)
			return rc;
	}
}

uint32_t host_nvme_usual_cc(void)
{
	uint32_t cc = 0;

	cc = (uint32_t)bits_put(BITS(19, 16), cc, 6);     /* IOSQES: 64 bytes */
	return (uint32_t)bits_put(NVME_CC_IOCQES, cc, 4); /* IOCQES: 16 bytes */
}

/* 7.6.2: after CC.EN is cleared the queues are gone. */
int host_nvme_disable(struct host_nvme *n)
{
	uint32_t cc;
	int rc = host_read32(n->fn, 0, NVME_REG_CC, &cc);

	if (rc == 0)
		rc = host_write32(n->fn, 0, NVME_REG_CC, cc & ~1u);
	if (rc == 0)
		rc = host_nvme_wait_csts(n, NVME_CSTS_RDY, 0);
	memset(n->sqs, 0, sizeof n->sqs);
	memset(n->cqs, 0, sizeof n->cqs);
	memset(n->parcels, 0, sizeof n->parcels);
	return rc;
}

/* Queues are contiguous (CDW11.PC): some memory has no room for long ones. */
static int explain_no_queue(const struct host_nvme *n, uint32_t bytes)
{
	return bytes > n->memory.page_bytes ? -E2BIG : -ENOMEM;
}

uint32_t host_nvme_max_entries(const struct host_nvme *n)
{
	uint64_t device = bits_get(NVME_CAP_MQES, n->cap) + 1;
	uint64_t memory = n->memory.page_bytes / sizeof(struct nvme_cmd);

	return (uint32_t)(device < memory ? device : memory);
}

static int make_sq(struct host_nvme *n, uint16_t qid, uint32_t entries,
		   uint16_t cq)
{
	n->sqs[qid] = (struct host_nvme_sq){
		.iova = host_nvme_alloc(n, entries * 64u, HOST_NVME_PAGE),
		.entries = entries,
		.cq = cq,
	};
	return n->sqs[qid].iova ? 0 : explain_no_queue(n, entries * 64u);
}

static int make_cq(struct host_nvme *n, uint16_t qid, uint32_t entries)
{
	n->cqs[qid] = (struct host_nvme_cq){
		.iova = host_nvme_alloc(n, entries * 16u, HOST_NVME_PAGE),
		.entries = entries,
		.phase = 1,
	};
	return n->cqs[qid].iova ? 0 : explain_no_queue(n, entries * 16u);
}

int host_nvme_enable_as(struct host_nvme *n, uint32_t cc)
{
	int rc = host_write32(n->fn, 0, NVME_REG_CC, cc | 1);

	return rc < 0 ? rc
		      : host_nvme_wait_csts(n, NVME_CSTS_RDY, NVME_CSTS_RDY);
}

/* 7.6.1, Initialization. */
int host_nvme_enable(struct host_nvme *n)
{
	uint32_t last = n->admin_entries - 1;
	int rc = make_sq(n, 0, n->admin_entries, 0);

	if (rc == 0)
		rc = make_cq(n, 0, n->admin_entries);
	if (rc == 0)
		rc = host_write32(n->fn, 0, NVME_REG_AQA, last << 16 | last);
	if (rc == 0)
		rc = host_write64(n->fn, 0, NVME_REG_ASQ, n->sqs[0].iova);
	if (rc == 0)
		rc = host_write64(n->fn, 0, NVME_REG_ACQ, n->cqs[0].iova);
	return rc < 0 ? rc : host_nvme_enable_as(n, host_nvme_usual_cc());
}

int host_nvme_shutdown(struct host_nvme *n, unsigned int shn)
{
	uint32_t cc;
	int rc = host_read32(n->fn, 0, NVME_REG_CC, &cc);

	cc = (uint32_t)bits_put(NVME_CC_SHN, cc, shn);
	if (rc == 0)
		rc = host_write32(n->fn, 0, NVME_REG_CC, cc);
	return rc < 0 ? rc
		      : host_nvme_wait_csts(n, NVME_CSTS_SHST,
					    NVME_SHST_COMPLETE << 2);
}

/* 3.1.24, 3.1.25. */
static uint64_t doorbell(const struct host_nvme *n, uint16_t qid, bool is_cq)
{
	uint64_t stride = UINT64_C(4) << bits_get(NVME_CAP_DSTRD, n->cap);

	return NVME_REG_DOORBELLS + (2u * qid + is_cq) * stride;
}

static int ring(struct host_nvme *n, uint64_t offset, uint32_t value)
{
	uint64_t inside = offset - NVME_REG_DOORBELLS;
	volatile uint8_t *at = n->doorbells;

	if (!at || inside > HOST_NVME_PAGE - sizeof(le32))
		return host_write32(n->fn, 0, offset, value);
	/* What the doorbell announces is in memory before it. */
	__atomic_store_n((volatile uint32_t *)(volatile void *)(at + inside),
			 htole32(value), __ATOMIC_RELEASE);
	return 0;
}

int host_nvme_ring_sq(struct host_nvme *n, uint16_t qid, uint32_t tail)
{
	return ring(n, doorbell(n, qid, false), tail);
}

int host_nvme_ring_cq(struct host_nvme *n, uint16_t qid, uint32_t head)
{
	return ring(n, doorbell(n, qid, true), head);
}

/* --- Commands ------------------------------------------------------------- */

void host_nvme_put(struct host_nvme *n, uint16_t sq, const struct nvme_cmd *cmd)
{
	struct host_nvme_sq *q = &n->sqs[sq];

	memcpy(host_nvme_at(n, q->iova + q->tail * 64u), cmd, sizeof *cmd);
	q->tail = (q->tail + 1) % q->entries;
}

int host_nvme_submit(struct host_nvme *n, uint16_t sq, struct nvme_cmd *cmd,
		     uint16_t *cid)
{
	cmd->cid = le16_put(n->next_cid++);
	if (cid)
		*cid = le16_get(cmd->cid);
	host_nvme_put(n, sq, cmd);
	return host_nvme_ring_sq(n, sq, n->sqs[sq].tail);
}

static uint16_t new_status(struct host_nvme *n, const struct host_nvme_cq *q)
{
	struct nvme_cqe *cqe = host_nvme_at(n, q->iova + q->head * 16u);
	uint32_t last;

	/* The phase is in the last word: nothing may be read before it. */
	last = __atomic_load_n((uint32_t *)(void *)cqe + 3, __ATOMIC_ACQUIRE);
	return (uint16_t)(le32toh(last) >> 16);
}

bool host_nvme_has_new(struct host_nvme *n, uint16_t cq)
{
	const struct host_nvme_cq *q = &n->cqs[cq];

	return q->iova && (new_status(n, q) & 1) == q->phase;
}

static void keep(struct host_nvme *n, const struct nvme_cqe *cqe)
{
	uint16_t sq = le16_get(cqe->sqid);

	if (sq < HOST_NVME_QUEUES)
		n->sqs[sq].head = le16_get(cqe->sq_head);
	for (size_t i = 0; i < HOST_NVME_PARCELS; i++) {
		if (n->parcels[i].is_used)
			continue;
		n->parcels[i] = (struct host_nvme_parcel){ true, *cqe };
		return;
	}
}

int host_nvme_reap(struct host_nvme *n, uint16_t cq)
{
	struct host_nvme_cq *q = &n->cqs[cq];
	int found = 0, rc;

	while (host_nvme_has_new(n, cq)) {
		keep(n, host_nvme_at(n, q->iova + q->head * 16u));
		if (++q->head == q->entries) {
			q->head = 0;
			q->phase ^= 1;
		}
		found++;
	}
	if (found == 0)
		return 0;
	rc = host_nvme_ring_cq(n, cq, q->head);
	return rc < 0 ? rc : found;
}

bool host_nvme_take(struct host_nvme *n, uint16_t sq, uint16_t cid,
		    struct nvme_cqe *out)
{
	for (size_t i = 0; i < HOST_NVME_PARCELS; i++) {
		struct host_nvme_parcel *p = &n->parcels[i];

		if (!p->is_used || le16_get(p->cqe.sqid) != sq ||
		    le16_get(p->cqe.cid) != cid)
			continue;
		p->is_used = false;
		if (out)
			*out = p->cqe;
		return true;
	}
	return false;
}

int host_nvme_status_of(const struct nvme_cqe *cqe)
{
	uint16_t status = le16_get(cqe->status);

	return HOST_NVME_STATUS(status >> 9 & 7, status >> 1 & 0xff);
}

int host_nvme_wait(struct host_nvme *n, uint16_t sq, uint16_t cid,
		   struct nvme_cqe *cqe)
{
	uint64_t deadline = deadline_in(n->timeout_ms);
	struct nvme_cqe own;
	int rc;

	if (!cqe)
		cqe = &own;
	for (;;) {
		rc = host_nvme_reap(n, n->sqs[sq].cq);
		if (host_nvme_take(n, sq, cid, cqe))
			return host_nvme_status_of(cqe);
		if (rc == 0)
			rc = host_poll(n->fn, 0);
		if (rc < 0)
			return rc;
		if (is_past(deadline))
			return -ETIMEDOUT;
		sched_yield();
	}
}

int host_nvme_call(struct host_nvme *n, uint16_t sq, struct nvme_cmd *cmd,
		   struct nvme_cqe *cqe)
{
	uint16_t cid;
	int rc = host_nvme_submit(n, sq, cmd, &cid);

	return rc < 0 ? rc : host_nvme_wait(n, sq, cid, cqe);
}

int host_nvme_idle(struct host_nvme *n, unsigned int ms)
{
	uint64_t deadline = deadline_in(ms);
	int rc = 0;

	while (rc >= 0 && !is_past(deadline))
		rc = host_poll(n->fn, 1);
	return rc < 0 ? rc : 0;
}

/* 5.3, Create I/O Completion Queue. */
int host_nvme_create_cq(struct host_nvme *n, uint16_t qid, uint32_t entries,
			int vector)
{
	uint32_t interrupt = vector < 0 ? 0 : (uint32_t)vector << 16 | 2;
	struct nvme_cmd cmd = {
		.opcode = NVME_ADMIN_CREATE_CQ,
		.cdw10 = le32_put((entries - 1) << 16 | qid),
		.cdw11 = le32_put(interrupt | 1),
	};
	int rc = make_cq(n, qid, entries);

	if (rc < 0)
		return rc;
	cmd.prp1 = le64_put(n->cqs[qid].iova);
	return host_nvme_call(n, 0, &cmd, NULL);
}

/* 5.4, Create I/O Submission Queue. */
int host_nvme_create_sq(struct host_nvme *n, uint16_t qid, uint32_t entries,
			uint16_t cq)
{
	struct nvme_cmd cmd = {
		.opcode = NVME_ADMIN_CREATE_SQ,
		.cdw10 = le32_put((entries - 1) << 16 | qid),
		.cdw11 = le32_put((uint32_t)cq << 16 | 1),
	};
	int rc = make_sq(n, qid, entries, cq);

	if (rc < 0)
		return rc;
	cmd.prp1 = le64_put(n->sqs[qid].iova);
	return host_nvme_call(n, 0, &cmd, NULL);
}

int host_nvme_create_pair(struct host_nvme *n, uint16_t qid, uint32_t entries,
			  int vector)
{
	int rc = host_nvme_create_cq(n, qid, entries, vector);

	return rc ? rc : host_nvme_create_sq(n, qid, entries, qid);
}

static int delete_queue(struct host_nvme *n, uint8_t opcode, uint16_t qid)
{
	struct nvme_cmd cmd = { .opcode = opcode, .cdw10 = le32_put(qid) };

	return host_nvme_call(n, 0, &cmd, NULL);
}

int host_nvme_delete_sq(struct host_nvme *n, uint16_t qid)
{
	return delete_queue(n, NVME_ADMIN_DELETE_SQ, qid);
}

int host_nvme_delete_cq(struct host_nvme *n, uint16_t qid)
{
	return delete_queue(n, NVME_ADMIN_DELETE_CQ, qid);
}

int host_nvme_identify(struct host_nvme *n, uint8_t cns, uint32_t nsid,
		       const void **out)
{
	struct nvme_cmd cmd = { .opcode = NVME_ADMIN_IDENTIFY,
				.nsid = le32_put(nsid),
				.prp1 = le64_put(n->scratch),
				.cdw10 = le32_put(cns) };

	/* Not zero, so that a test sees what was written. */
	memset(host_nvme_at(n, n->scratch), 0xa5, HOST_NVME_PAGE);
	*out = host_nvme_at(n, n->scratch);
	return host_nvme_call(n, 0, &cmd, NULL);
}

/* 5.14, Get Log Page; the event stays masked only if its page is not read. */
int host_nvme_get_log(struct host_nvme *n, uint8_t lid, uint64_t offset,
		      uint32_t size, const void **out)
{
	uint32_t dwords_0s = size / 4 - 1;
	struct nvme_cmd cmd = {
		.opcode = NVME_ADMIN_GET_LOG_PAGE,
		.nsid = le32_put(UINT32_MAX),
		.prp1 = le64_put(n->scratch),
		.cdw10 = le32_put(dwords_0s << 16 | lid),
		.cdw11 = le32_put(dwords_0s >> 16),
		.cdw12 = le32_put((uint32_t)offset),
		.cdw13 = le32_put((uint32_t)(offset >> 32)),
	};

	memset(host_nvme_at(n, n->scratch), 0xa5, HOST_NVME_PAGE);
	*out = host_nvme_at(n, n->scratch);
	return host_nvme_call(n, 0, &cmd, NULL);
}

static int call_for_dword(struct host_nvme *n, struct nvme_cmd *cmd,
			  uint32_t *out)
{
	struct nvme_cqe cqe = { 0 };
	int rc = host_nvme_call(n, 0, cmd, &cqe);

	if (out)
		*out = le32_get(cqe.dw0);
	return rc;
}

int host_nvme_get_feature(struct host_nvme *n, uint8_t fid, unsigned int sel,
			  uint32_t *out)
{
	struct nvme_cmd cmd = { .opcode = NVME_ADMIN_GET_FEATURES,
				.prp1 = le64_put(n->scratch),
				.cdw10 = le32_put(sel << 8 | fid) };

	return call_for_dword(n, &cmd, out);
}

int host_nvme_set_feature(struct host_nvme *n, uint8_t fid, uint32_t value,
			  uint32_t *out)
{
	struct nvme_cmd cmd = { .opcode = NVME_ADMIN_SET_FEATURES,
				.prp1 = le64_put(n->scratch),
				.cdw10 = le32_put(fid),
				.cdw11 = le32_put(value) };

	return call_for_dword(n, &cmd, out);
}

int host_nvme_rw(struct host_nvme *n, uint16_t sq, uint8_t opcode, uint64_t lba,
		 uint32_t block_count, const struct host_nvme_data *data)
{
	struct nvme_cmd cmd = {
		.opcode = opcode,
		.nsid = le32_put(1),
		.prp1 = le64_put(data->prp1),
		.prp2 = le64_put(data->prp2),
		.cdw10 = le32_put((uint32_t)lba),
		.cdw11 = le32_put((uint32_t)(lba >> 32)),
		.cdw12 = le32_put(block_count - 1),
	};

	return host_nvme_call(n, sq, &cmd, NULL);
}

int host_nvme_flush(struct host_nvme *n, uint16_t sq)
{
	struct nvme_cmd cmd = { .opcode = NVME_NVM_FLUSH, .nsid = le32_put(1) };

	return host_nvme_call(n, sq, &cmd, NULL);
}
