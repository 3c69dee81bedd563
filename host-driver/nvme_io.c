/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * I/O queues at the speed of memory (NVM Express Base Specification 1.4; 4.1
 * for the rings, 7.13 for shadow doorbells).
 *
 * Each queue on its own thread.  Owns the slots: the PRP entries of a slot are
 * made once, since its buffer stays where it is, and so are those fields of
 * submission entries that are the same in all.  What is left for a command is
 * five stores, and one look at the phase for its completion.
 */
#include "host-driver/nvme_io.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"

#define DOORS (HOST_NVME_PAGE / 4) /* of a page, in words */
#define PHASE (UINT32_C(1) << 16)  /* in the last word of a completion */

struct slot {
	uint64_t prp1;
	uint64_t prp2[3]; /* of one page, of two, of more */
	uint8_t *buffer;
	bool is_busy;
};

struct host_nvme_io {
	/* What every command touches. */
	struct nvme_cmd *sq;
	struct slot *slots;
	uint32_t entries;
	uint32_t tail, rung;
	unsigned int block_shift;
	uint16_t slot_count;
	/* What every completion touches. */
	struct nvme_cqe *cq;
	uint32_t cq_entries;
	uint32_t head, told; /* told: the head that the controller knows */
	uint32_t tell_after; /* completions */
	uint32_t phase;      /* in its bit of the last word */

	struct host_nvme_doors *doors;
	uint32_t slot_bytes;
	uint16_t qid;
	uint64_t trapped;
};

/* --- Doorbells ------------------------------------------------------------ */

/* 7.13: both pages are told at once, and hold zeroes when they are. */
static int set_shadow(struct host_nvme *n, struct host_nvme_doors *doors)
{
	uint64_t shadow = host_nvme_alloc(n, HOST_NVME_PAGE, HOST_NVME_PAGE);
	uint64_t events = host_nvme_alloc(n, HOST_NVME_PAGE, HOST_NVME_PAGE);
	struct nvme_cmd cmd = {
		.opcode = NVME_ADMIN_DBBUF_CONFIG,
		.prp1 = le64_put(shadow),
		.prp2 = le64_put(events),
	};
	int rc;

	if (!shadow || !events)
		return -ENOMEM;
	doors->shadow = host_nvme_at(n, shadow);
	doors->events = host_nvme_at(n, events);
	rc = host_nvme_call(n, 0, &cmd, NULL);
	return rc > 0 ? -EIO : rc;
}

static int open_shadow(struct host_nvme *n, struct host_nvme_doors *doors)
{
	const struct nvme_id_ctrl *id;
	const void *page;
	int rc = host_nvme_identify(n, NVME_CNS_CONTROLLER, 0, &page);

	if (rc != 0)
		return rc < 0 ? rc : -EIO;
	id = page;
	if (!(le16_get(id->oacs) & NVME_OACS_DBBUF))
		return -EOPNOTSUPP;
	return set_shadow(n, doors);
}

static int open_kind(struct host_nvme *n, enum host_nvme_doors_kind kind,
		     struct host_nvme_doors *doors)
{
	doors->kind = kind;
	doors->mapped = kind == HOST_NVME_DOORS_TRAPPED ? NULL : n->doorbells;
	if (kind == HOST_NVME_DOORS_MAPPED && !doors->mapped)
		return -EOPNOTSUPP;
	return kind == HOST_NVME_DOORS_SHADOW ? open_shadow(n, doors) : 0;
}

int host_nvme_doors_open(struct host_nvme *n, enum host_nvme_doors_kind kind,
			 struct host_nvme_doors *out)
{
	int rc = -EOPNOTSUPP;

	*out = (struct host_nvme_doors){ .nvme = n };
	out->stride = 1u << bits_get(NVME_CAP_DSTRD, n->cap);
	pthread_mutex_init(&out->lock, NULL);
	if (kind != HOST_NVME_DOORS_AUTO)
		rc = open_kind(n, kind, out);
	else
		for (unsigned int k = HOST_NVME_DOORS_MAPPED;
		     k <= HOST_NVME_DOORS_TRAPPED && rc == -EOPNOTSUPP; k++)
			rc = open_kind(n, k, out);
	if (rc < 0)
		host_nvme_doors_close(out);
	return rc;
}

void host_nvme_doors_close(struct host_nvme_doors *doors)
{
	pthread_mutex_destroy(&doors->lock);
}

const char *host_nvme_doors_name(enum host_nvme_doors_kind kind)
{
	static const char *const names[] = {
		[HOST_NVME_DOORS_AUTO] = "auto",
		[HOST_NVME_DOORS_MAPPED] = "mapped",
		[HOST_NVME_DOORS_SHADOW] = "shadow",
		[HOST_NVME_DOORS_TRAPPED] = "trapped",
	};

	return names[kind];
}

static int ring_register(struct host_nvme_io *q, bool is_cq, uint32_t value)
{
	struct host_nvme_doors *doors = q->doors;
	uint32_t at = (2u * q->qid + is_cq) * doors->stride;
	int rc;

	if (doors->mapped) {
		/* The entries are in memory before the doorbell says so. */
		__atomic_store_n(&doors->mapped[at], htole32(value),
				 __ATOMIC_RELEASE);
		return 0;
	}
	q->trapped++;
	pthread_mutex_lock(&doors->lock);
	rc = host_write32(doors->nvme->fn, 0, NVME_REG_DOORBELLS + at * 4,
			  value);
	pthread_mutex_unlock(&doors->lock);
	return rc;
}

/* 7.13: has the new value passed the event index since the old one? */
static bool is_awaited(uint32_t event, uint32_t old, uint32_t new)
{
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

static int ring_shadow(struct host_nvme_io *q, bool is_cq, uint32_t old,
		       uint32_t new)
{
	uint32_t at = (2u * q->qid + is_cq) * q->doors->stride;
	uint32_t event;

	/*
	 * The controller writes its event index and then looks at the shadow
	 * once more; we do it the other way round, so one of us sees it.  An
	 * exchange is also a full barrier.
	 */
	(void)__atomic_exchange_n(&q->doors->shadow[at], htole32(new),
				  __ATOMIC_SEQ_CST);
	event = __atomic_load_n(&q->doors->events[at], __ATOMIC_SEQ_CST);
	return is_awaited(le32toh(event), old, new)
		       ? ring_register(q, is_cq, new)
		       : 0;
}

static int ring(struct host_nvme_io *q, bool is_cq, uint32_t old, uint32_t new)
{
	if (q->doors->shadow)
		return ring_shadow(q, is_cq, old, new);
	return ring_register(q, is_cq, new);
}

/* --- Open and close ------------------------------------------------------- */

static int make_slot(struct host_nvme_io *q, struct slot *slot,
		     struct host_nvme_data *data)
{
	int rc = host_nvme_data_make(q->doors->nvme, q->slot_bytes,
				     (struct host_nvme_shape){ 0 }, data);

	if (rc < 0)
		return rc;
	slot->buffer = host_nvme_at(q->doors->nvme, data->pages[0]);
	slot->prp1 = data->prp1;
	if (data->page_count > 1)
		slot->prp2[1] = data->pages[1];
	if (data->page_count > 2)
		slot->prp2[2] = data->prp2;
	/* The pages come now, and not while somebody takes the time. */
	memset(slot->buffer, 0, q->slot_bytes);
	return 0;
}

static int make_slots(struct host_nvme_io *q)
{
	RT_FREE struct host_nvme_data *data = malloc(sizeof *data);
	int rc = 0;

	q->slots = calloc(q->slot_count, sizeof *q->slots);
	if (!data || !q->slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < q->slot_count && rc == 0; i++)
		rc = make_slot(q, &q->slots[i], data);
	return rc;
}

static void take_rings(struct host_nvme_io *q, uint32_t nsid)
{
	struct host_nvme *n = q->doors->nvme;
	const struct host_nvme_sq *sq = &n->sqs[q->qid];
	const struct host_nvme_cq *cq = &n->cqs[q->qid];

	q->sq = host_nvme_at(n, sq->iova);
	q->entries = sq->entries;
	q->tail = q->rung = sq->tail;
	q->cq = host_nvme_at(n, cq->iova);
	q->cq_entries = cq->entries;
	q->head = q->told = cq->head;
	q->phase = cq->phase ? PHASE : 0;
	for (uint32_t i = 0; i < q->entries; i++)
		q->sq[i] = (struct nvme_cmd){ .nsid = le32_put(nsid) };
}

static bool is_possible(const struct host_nvme_io *q,
			const struct host_nvme_io_options *options)
{
	uint32_t block = options->block_bytes;

	return q->slot_count > 0 && q->slot_count < q->entries &&
	       q->slot_count < q->cq_entries && block > 0 &&
	       (block & (block - 1)) == 0 && options->slot_bytes > 0 &&
	       (2u * q->qid + 1) * q->doors->stride < DOORS;
}

int host_nvme_io_open(struct host_nvme_doors *doors, uint16_t qid,
		      const struct host_nvme_io_options *options,
		      struct host_nvme_io **out)
{
	struct host_nvme_io *q = calloc(1, sizeof *q);
	int rc;

	if (!q)
		return -ENOMEM;
	q->doors = doors;
	q->qid = qid;
	q->slot_count = options->slots;
	q->slot_bytes = (options->slot_bytes + HOST_NVME_PAGE - 1) /
			HOST_NVME_PAGE * HOST_NVME_PAGE;
	take_rings(q, options->nsid);
	q->tell_after = options->has_interrupt ? 1 : q->cq_entries / 2;
	rc = is_possible(q, options) ? make_slots(q) : -EINVAL;
	if (rc < 0) {
		host_nvme_io_close(&q);
		return rc;
	}
	q->block_shift = (unsigned int)__builtin_ctz(options->block_bytes);
	*out = q;
	return 0;
}

void host_nvme_io_close(struct host_nvme_io **q)
{
	if (!*q)
		return;
	free((*q)->slots);
	free(*q);
	*q = NULL;
}

void *host_nvme_io_buffer(const struct host_nvme_io *q, uint16_t slot)
{
	assert(slot < q->slot_count);
	return q->slots[slot].buffer;
}

uint64_t host_nvme_io_trapped(const struct host_nvme_io *q)
{
	return q->trapped;
}

/* --- Commands ------------------------------------------------------------- */

/*
 * The words of an entry that differ from command to command.  One store each:
 * the line is in the controller's cache, and on its way here.
 */
struct words {
	le32 head; /* opcode, flags, identifier */
	le32 same[5];
	le64 prp1, prp2;
	le64 lba;
	le32 cdw12;
};
static_assert(offsetof(struct words, prp1) == offsetof(struct nvme_cmd, prp1) &&
		      offsetof(struct words, cdw12) ==
			      offsetof(struct nvme_cmd, cdw12),
	      "4.2");

static inline struct words *next_entry(struct host_nvme_io *q, uint16_t slot)
{
	uint32_t tail = q->tail;

	assert(slot < q->slot_count && !q->slots[slot].is_busy);
	q->slots[slot].is_busy = true;
	q->tail = tail + 1 == q->entries ? 0 : tail + 1;
	return (void *)&q->sq[tail];
}

void host_nvme_io_put(struct host_nvme_io *q, uint8_t opcode, uint16_t slot,
		      uint64_t lba, uint32_t blocks)
{
	struct words *words = next_entry(q, slot);
	const struct slot *s = &q->slots[slot];
	uint64_t bytes = (uint64_t)blocks << q->block_shift;
	const uint64_t *prp2 = s->prp2;

	assert(bytes - 1 < q->slot_bytes); /* and so blocks is not 0 */
	prp2 += bytes > HOST_NVME_PAGE;
	prp2 += bytes > 2 * HOST_NVME_PAGE;
	words->head = le32_put((uint32_t)slot << 16 | opcode);
	words->prp1 = le64_put(s->prp1);
	words->prp2 = le64_put(*prp2);
	words->lba = le64_put(lba);
	words->cdw12 = le32_put(blocks - 1);
}

void host_nvme_io_put_flush(struct host_nvme_io *q, uint16_t slot)
{
	struct words *words = next_entry(q, slot);

	words->head = le32_put((uint32_t)slot << 16 | NVME_NVM_FLUSH);
	words->prp1 = words->prp2 = words->lba = le64_put(0);
	words->cdw12 = le32_put(0);
}

int host_nvme_io_ring(struct host_nvme_io *q)
{
	uint32_t old = q->rung;

	if (old == q->tail)
		return 0;
	q->rung = q->tail;
	return ring(q, false, old, q->tail);
}

static int tell_head(struct host_nvme_io *q)
{
	uint32_t old = q->told;
	uint32_t news =
		q->head >= old ? q->head - old : q->head + q->cq_entries - old;

	/*
	 * A head told late costs nothing as long as the queue has room, and
	 * spares the controller a doorbell for each batch.  If it has no room,
	 * more than half of the queue is new to us, and we get here.
	 */
	if (news < q->tell_after)
		return 0;
	q->told = q->head;
	return ring(q, true, old, q->head);
}

/* The last word of an entry: its identifier, phase and status. */
static inline uint32_t load_last(const struct nvme_cqe *cqe)
{
	const uint32_t *words = (const void *)cqe;

	/* Nothing of the entry or its data is read before its phase. */
	return le32toh(__atomic_load_n(&words[3], __ATOMIC_ACQUIRE));
}

static inline bool give_back(struct host_nvme_io *q, uint32_t slot)
{
	bool is_right = slot < q->slot_count && q->slots[slot].is_busy;

	if (is_right)
		q->slots[slot].is_busy = false;
	return is_right;
}

int host_nvme_io_poll(struct host_nvme_io *q, struct host_nvme_io_done *done,
		      unsigned int max)
{
	uint32_t head = q->head, phase = q->phase, last;
	unsigned int count;
	int rc;

	for (count = 0; count < max; count++) {
		last = load_last(&q->cq[head]);
		if ((last ^ phase) & PHASE)
			break;
		if (!give_back(q, last & 0xffff))
			return -EPROTO;
		done[count].slot = (uint16_t)last;
		done[count].status = (uint16_t)(last >> 17 & 0x7ff);
		if (++head == q->cq_entries) {
			head = 0;
			phase ^= PHASE;
		}
	}
	if (count == 0)
		return 0;
	q->head = head;
	q->phase = phase;
	rc = tell_head(q);
	return rc < 0 ? rc : (int)count;
}
