/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transmit queues of the network adapter at the speed of memory: see ena_io.h.
 *
 * Theory.  Descriptors and completions are two words of 64 bits each, and are
 * stored and loaded so.  Indexes run free, in 16 bits as the doorbells do.  A
 * packet in the queue has an identifier, under which stand its cookie and how
 * many slots it took: completions may come in any order.  Doorbells are rung
 * after a batch.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <emmintrin.h>
#endif

#include "firmware/rt/bits.h"
#include "host-driver/ena_private.h"
#include "host-driver/ena_ring.h"

#define LLQ_BYTES 256u /* of an entry, at most */

/* The first word of a transmit descriptor has its two control words. */
#define META(field) ((uint64_t)(field) << 32)

/* --- Open and close ------------------------------------------------------- */

struct sending {
	uint64_t cookie;
	uint16_t slots; /* 0: the identifier is free */
};

struct host_ena_tx {
	/* What every packet touches. */
	uint64_t *ring; /* host placement */
	uint32_t mask;
	uint16_t tail, room; /* slots; room: free ones that may be used */
	unsigned int depth_shift;
	struct sending *sending;
	uint16_t *ids; /* free ones, a stack */
	uint32_t id_count;
	struct host_completions done;
	struct host_door door;

	/* The last metadata that the device has been told. */
	uint64_t meta[2];
	bool is_meta_always;

	struct host_ena_llq llq;
	volatile uint8_t *llq_ring; /* NULL: host placement */
	uint32_t header_bytes;      /* that fit into an entry */
	uint32_t burst, burst_left; /* entries before a doorbell; 0: any */

	struct host_ena *ena;
	struct host_pair pair;
	uint32_t depth;
	uint64_t reserved; /* bits of a completion's first word that are 0 */
	bool has_timestamps;
};

static bool wants_llq(const struct host_ena *e,
		      const struct host_ena_tx_options *o)
{
	if (o->placement == HOST_ENA_PLACE_AUTO)
		return e->llq.entry_bytes != 0;
	return o->placement == HOST_ENA_PLACE_LLQ;
}

static int open_llq(struct host_ena_tx *q)
{
	const struct host_ena *e = q->ena;
	uint64_t bytes = (uint64_t)q->depth * e->llq.entry_bytes;

	q->llq = e->llq;
	if (q->pair.sq.llq_offset > e->llq_bytes ||
	    bytes > e->llq_bytes - q->pair.sq.llq_offset)
		return host_protest(q->ena,
				    "an LLQ at %#x does not fit into BAR 2",
				    q->pair.sq.llq_offset);
	q->llq_ring = e->llq_memory + q->pair.sq.llq_offset;
	q->header_bytes = q->llq.entry_bytes - q->llq.descs_before_header * 16u;
	q->is_meta_always = q->llq.keeps_no_meta;
	q->burst = q->llq.burst_bytes / q->llq.entry_bytes;
	q->burst_left = q->burst;
	return 0;
}

static int open_tx_queues(struct host_ena_tx *q,
			  const struct host_ena_tx_options *o)
{
	struct host_ena *e = q->ena;
	const struct host_pair_options options = {
		.depth = o->depth,
		.direction = ENA_ADMIN_SQ_DIRECTION_TX,
		.words = o->has_timestamps ? 4 : 2,
		.vector = o->has_interrupt ? o->vector : -1,
		.is_llq = wants_llq(e, o),
	};
	int rc = options.is_llq && !e->llq.entry_bytes ? -EOPNOTSUPP : 0;

	if (rc == 0)
		rc = host_pair_open(e, &options, &q->pair, &q->done);
	if (rc == 0 && options.is_llq)
		rc = open_llq(q);
	else if (rc == 0)
		q->ring = host_ena_at(e, q->pair.sq.iova);
	return rc ? rc
		  : host_door_open(q->door.doors, q->pair.sq.doorbell_offset,
				   &q->door);
}

static int open_ids(struct host_ena_tx *q)
{
	q->sending = calloc(q->depth, sizeof *q->sending);
	q->ids = calloc(q->depth, sizeof *q->ids);
	if (!q->sending || !q->ids)
		return -ENOMEM;
	for (uint32_t i = 0; i < q->depth; i++)
		q->ids[i] = (uint16_t)(q->depth - 1 - i);
	q->id_count = q->depth;
	return 0;
}

int host_ena_tx_open(struct host_ena_doors *doors,
		     const struct host_ena_tx_options *options,
		     struct host_ena_tx **out)
{
	struct host_ena_tx *q;
	int rc;

	if (!host_is_depth(options->depth))
		return -EINVAL;
	q = calloc(1, sizeof *q);
	if (!q)
		return -ENOMEM;
	q->ena = doors->ena;
	q->door.doors = doors;
	q->depth = options->depth;
	q->mask = q->depth - 1;
	q->depth_shift = (unsigned int)__builtin_ctz(q->depth);
	q->room = (uint16_t)(q->depth - !options->is_filled);
	q->has_timestamps = options->has_timestamps;
	if (host_ena_can(q->ena, ENA_ADMIN_CDESC_MBZ))
		q->reserved = ENA_ETH_IO_TX_CDESC_MBZ << 24;
	rc = open_ids(q);
	if (rc == 0)
		rc = open_tx_queues(q, options);
	if (rc != 0) {
		(void)host_ena_tx_close(&q);
		return rc;
	}
	*out = q;
	return 0;
}

void host_ena_tx_forget(struct host_ena_tx **q)
{
	if (!*q)
		return;
	free((*q)->sending);
	free((*q)->ids);
	free(*q);
	*q = NULL;
}

int host_ena_tx_close(struct host_ena_tx **q)
{
	int rc = *q ? host_pair_close(&(*q)->pair, &(*q)->done) : 0;

	host_ena_tx_forget(q);
	return rc;
}

bool host_ena_tx_is_llq(const struct host_ena_tx *q)
{
	return q->llq_ring;
}

unsigned int host_ena_tx_in_flight(const struct host_ena_tx *q)
{
	return q->depth - q->id_count;
}

uint64_t host_ena_tx_trapped(const struct host_ena_tx *q)
{
	return q->door.trapped;
}

uint64_t host_ena_tx_rings(const struct host_ena_tx *q)
{
	return q->door.rings;
}

const struct host_ena_cq *host_ena_tx_cq(const struct host_ena_tx *q)
{
	return &q->done.queue;
}

const struct host_ena_sq *host_ena_tx_sq(const struct host_ena_tx *q)
{
	return &q->pair.sq;
}

/* --- Descriptors -------------------------------------------- */

/* The words of a packet's descriptors, metadata first, without phase. */
struct words {
	uint64_t desc[HOST_ENA_MAX_BUFFERS + 2][2];
	unsigned int count;
};

static inline uint64_t phase_of(const struct host_ena_tx *q)
{
	return q->tail >> q->depth_shift & 1 ? 0 : ENA_ETH_IO_TX_DESC_PHASE;
}

static uint64_t offload_bits(const struct host_ena_packet *p)
{
	uint16_t o = p->offload;
	uint64_t bits = ENA_ETH_IO_TX_DESC_DF;

	bits = bits_put(ENA_ETH_IO_TX_DESC_L3_PROTO_IDX, bits,
			o & HOST_ENA_IPV4   ? ENA_ETH_IO_L3_PROTO_IPV4
			: o & HOST_ENA_IPV6 ? ENA_ETH_IO_L3_PROTO_IPV6
					    : 0);
	bits = bits_put(ENA_ETH_IO_TX_DESC_L4_PROTO_IDX, bits,
			o & HOST_ENA_TCP   ? ENA_ETH_IO_L4_PROTO_TCP
			: o & HOST_ENA_UDP ? ENA_ETH_IO_L4_PROTO_UDP
					   : 0);
	if (o & HOST_ENA_L3_CSUM)
		bits |= ENA_ETH_IO_TX_DESC_L3_CSUM_EN;
	if (o & (HOST_ENA_L4_CSUM | HOST_ENA_L4_PARTIAL))
		bits |= ENA_ETH_IO_TX_DESC_L4_CSUM_EN;
	if (o & HOST_ENA_L4_PARTIAL)
		bits |= ENA_ETH_IO_TX_DESC_L4_CSUM_PARTIAL;
	if (o & HOST_ENA_TSO)
		bits |= ENA_ETH_IO_TX_DESC_TSO_EN;
	return META(bits);
}

/* Metadata only when it differs from what the device keeps, if it keeps it. */
static void add_meta(struct host_ena_tx *q, const struct host_ena_packet *p,
		     struct words *w)
{
	uint64_t ctrl = ENA_ETH_IO_TX_META_EXT_VALID | ENA_ETH_IO_TX_META_TYPE |
			ENA_ETH_IO_TX_META_STORE | ENA_ETH_IO_TX_DESC_META_DESC;
	uint64_t word2;

	if (!p->offload && !q->is_meta_always)
		return;
	ctrl = bits_put(ENA_ETH_IO_TX_META_MSS_HI, ctrl, p->mss >> 10);
	word2 = bits_put(ENA_ETH_IO_TX_META_L3_HDR_LEN, 0, p->l3_bytes);
	word2 = bits_put(ENA_ETH_IO_TX_META_L3_HDR_OFF, word2, p->l3_offset);
	word2 = bits_put(ENA_ETH_IO_TX_META_L4_HDR_LEN, word2, p->l4_words);
	word2 = bits_put(ENA_ETH_IO_TX_META_MSS_LO, word2, p->mss & 0x3ff);
	if (!q->is_meta_always && q->meta[0] == ctrl && q->meta[1] == word2)
		return;
	q->meta[0] = ctrl;
	q->meta[1] = word2;
	w->desc[0][0] = ctrl;
	w->desc[0][1] = word2;
	w->count = 1;
}

static void add_part(struct words *w, uint64_t iova, uint32_t length)
{
	w->desc[w->count][0] = length;
	w->desc[w->count++][1] = iova;
}

/* All of them; pushed bytes of the packet are in the entry already. */
static void describe(struct host_ena_tx *q, const struct host_ena_packet *p,
		     uint16_t id, uint32_t pushed, struct words *w)
{
	unsigned int data;

	w->count = 0;
	add_meta(q, p, w);
	data = w->count;
	if (p->length > pushed || p->part_count == 0)
		add_part(w, p->iova + pushed, p->length - pushed);
	for (unsigned int i = 0; i < p->part_count; i++)
		add_part(w, p->parts[i].iova, p->parts[i].length);
	w->desc[data][0] |= ENA_ETH_IO_TX_DESC_COMP_REQ | offload_bits(p) |
			    (uint64_t)(id >> 10) << 16 |
			    META((uint64_t)(id & 0x3ff) << 22);
	w->desc[data][1] |= (uint64_t)pushed << 56;
	w->desc[0][0] |= ENA_ETH_IO_TX_DESC_FIRST;
	w->desc[w->count - 1][0] |= ENA_ETH_IO_TX_DESC_LAST;
}

static inline void store_desc(struct host_ena_tx *q, uint64_t first,
			      uint64_t second)
{
	uint64_t *at = q->ring + 2 * (q->tail & q->mask);

	at[0] = htole64(first | phase_of(q));
	at[1] = htole64(second);
	q->tail++;
}

static inline void begin(struct host_ena_tx *q, uint16_t id, uint64_t cookie,
			 uint16_t slots)
{
	q->sending[id] = (struct sending){ .cookie = cookie, .slots = slots };
	q->id_count--;
	q->room = (uint16_t)(q->room - slots);
}

/* One part, nothing to be done to it: one descriptor. */
static inline bool put_plain(struct host_ena_tx *q,
			     const struct host_ena_packet *p)
{
	uint16_t id;

	if (q->room == 0)
		return false;
	id = q->ids[q->id_count - 1];
	begin(q, id, p->cookie, 1);
	store_desc(q,
		   p->length | (uint64_t)(id >> 10) << 16 |
			   ENA_ETH_IO_TX_DESC_FIRST | ENA_ETH_IO_TX_DESC_LAST |
			   ENA_ETH_IO_TX_DESC_COMP_REQ |
			   META((uint64_t)(id & 0x3ff) << 22 |
				ENA_ETH_IO_TX_DESC_DF),
		   p->iova);
	return true;
}

static __attribute__((noinline)) bool put_many(struct host_ena_tx *q,
					       const struct host_ena_packet *p)
{
	uint16_t id;
	struct words w;

	if (q->room < p->part_count + 2u)
		return false;
	assert(p->part_count <= HOST_ENA_MAX_BUFFERS);
	id = q->ids[q->id_count - 1];
	describe(q, p, id, 0, &w);
	begin(q, id, p->cookie, (uint16_t)w.count);
	for (unsigned int i = 0; i < w.count; i++)
		store_desc(q, w.desc[i][0], w.desc[i][1]);
	return true;
}

/* --- LLQ ---------------------------------------------------- */

static unsigned int entries_for(const struct host_ena_tx *q, unsigned int descs)
{
	unsigned int before = q->llq.descs_before_header;
	unsigned int more = q->llq.is_single ? 1 : q->llq.entry_bytes / 16u;

	return descs <= before ? 1 : 1 + (descs - before + more - 1) / more;
}

/*
 * Stores that need not own a line first: the device has read it since we wrote
 * it.  So it is with memory that combines writes.
 */
#ifdef __x86_64__
static inline void stream(void *to, const void *from, size_t bytes)
{
	if ((uintptr_t)to % sizeof(__m128i) != 0) {
		memcpy(to, from, bytes); /* a device of odd ideas */
		return;
	}
	for (size_t i = 0; i < bytes / sizeof(__m128i); i++)
		_mm_stream_si128((__m128i *)to + i,
				 _mm_loadu_si128((const __m128i *)from + i));
}

/* They are in no order among others. */
static inline void end_stream(void)
{
	_mm_sfence();
}
#else
static inline void stream(void *to, const void *from, size_t bytes)
{
	memcpy(to, from, bytes);
}

static inline void end_stream(void)
{
}
#endif

static inline void store_entry(struct host_ena_tx *q, const uint64_t *bounce)
{
	uint32_t at = (q->tail & q->mask) * q->llq.entry_bytes;

	stream((void *)(uintptr_t)(q->llq_ring + at), bounce,
	       q->llq.entry_bytes);
	q->tail++;
}

static inline void clear_entry(const struct host_ena_tx *q, uint64_t *bounce)
{
	memset(bounce, 0, 128);
	if (q->llq.entry_bytes > 128)
		memset(bounce + 16, 0, LLQ_BYTES - 128);
}

static unsigned int fill_entry(const struct host_ena_tx *q, uint64_t *bounce,
			       const struct words *w, unsigned int from,
			       unsigned int room)
{
	uint64_t phase = phase_of(q);
	unsigned int i;

	for (i = 0; i < room && from + i < w->count; i++) {
		bounce[2 * i] = htole64(w->desc[from + i][0] | phase);
		bounce[2 * i + 1] = htole64(w->desc[from + i][1]);
	}
	return from + i;
}

static bool put_llq(struct host_ena_tx *q, const struct host_ena_packet *p)
{
	uint32_t pushed =
		p->length < q->header_bytes ? p->length : q->header_bytes;
	uint64_t bounce[LLQ_BYTES / 8];
	unsigned int entries, at;
	struct words w;
	uint16_t id;

	entries = entries_for(q, p->part_count + 2u);
	if (q->room < entries)
		return false;
	if (q->burst && q->burst_left < entries &&
	    (q->burst < entries || host_ena_tx_ring(q) < 0))
		return false;
	id = q->ids[q->id_count - 1];
	describe(q, p, id, pushed, &w);
	entries = entries_for(q, w.count);
	begin(q, id, p->cookie, (uint16_t)entries);
	q->burst_left -= entries;
	clear_entry(q, bounce);
	at = fill_entry(q, bounce, &w, 0, q->llq.descs_before_header);
	memcpy((uint8_t *)bounce + q->llq.descs_before_header * 16u, p->bytes,
	       pushed);
	store_entry(q, bounce);
	while (at < w.count) {
		clear_entry(q, bounce);
		at = fill_entry(q, bounce, &w, at,
				q->llq.is_single ? 1
						 : q->llq.entry_bytes / 16u);
		store_entry(q, bounce);
	}
	return true;
}

/* Metadata that says nothing, for an adapter that wants some in any case. */
#define NO_META                                                                \
	(ENA_ETH_IO_TX_META_EXT_VALID | ENA_ETH_IO_TX_META_TYPE |              \
	 ENA_ETH_IO_TX_META_STORE | ENA_ETH_IO_TX_DESC_META_DESC |             \
	 ENA_ETH_IO_TX_DESC_FIRST)

static inline bool is_small(const struct host_ena_tx *q,
			    const struct host_ena_packet *p)
{
	return !p->offload && p->part_count == 0 &&
	       p->length <= q->header_bytes && !q->burst &&
	       q->llq.descs_before_header >= 2;
}

/* All of it fits into the entry, and nothing is to be done to it. */
static bool put_small(struct host_ena_tx *q, const struct host_ena_packet *p)
{
	unsigned int at = q->llq.descs_before_header * 2u, desc = 0;
	uint64_t phase = phase_of(q), bounce[LLQ_BYTES / 8];
	uint16_t id;

	if (q->room == 0)
		return false;
	id = q->ids[q->id_count - 1];
	begin(q, id, p->cookie, 1);
	clear_entry(q, bounce);
	if (q->is_meta_always) {
		bounce[0] = htole64(NO_META | phase);
		desc = 2;
	}
	bounce[desc] = htole64(
		(uint64_t)(id >> 10) << 16 |
		(desc ? 0 : ENA_ETH_IO_TX_DESC_FIRST) |
		ENA_ETH_IO_TX_DESC_LAST | ENA_ETH_IO_TX_DESC_COMP_REQ | phase |
		META((uint64_t)(id & 0x3ff) << 22 | ENA_ETH_IO_TX_DESC_DF));
	bounce[desc + 1] = htole64((uint64_t)p->length << 56);
	memcpy(bounce + at, p->bytes, p->length);
	store_entry(q, bounce);
	return true;
}

static inline bool put(struct host_ena_tx *q, const struct host_ena_packet *p)
{
	if (q->llq_ring)
		return is_small(q, p) ? put_small(q, p) : put_llq(q, p);
	return p->offload || p->part_count ? put_many(q, p) : put_plain(q, p);
}

unsigned int host_ena_tx_put(struct host_ena_tx *q,
			     const struct host_ena_packet *packets,
			     unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (q->id_count == 0 || !put(q, &packets[i]))
			break;
	return i;
}

int host_ena_tx_ring(struct host_ena_tx *q)
{
	q->burst_left = q->burst;
	if (q->llq_ring)
		end_stream();
	return host_door_ring(&q->door, q->tail);
}

/* --- Completions -------------------------------------------- */

static int complain_tx(struct host_ena_tx *q, uint64_t entry)
{
	uint32_t id = entry & 0xffff;

	if (entry & q->reserved)
		return host_protest(
			q->ena, "a transmit completion has reserved bits set");
	return host_protest(q->ena, "packet %u is completed and not in flight",
			    id);
}

static inline bool end(struct host_ena_tx *q, uint32_t id, uint64_t *cookie)
{
	struct sending *s = &q->sending[id & q->mask];

	if (id >= q->depth || s->slots == 0)
		return false;
	*cookie = s->cookie;
	q->room = (uint16_t)(q->room + s->slots);
	s->slots = 0;
	q->ids[q->id_count++] = (uint16_t)id;
	return true;
}

int host_ena_tx_poll(struct host_ena_tx *q, struct host_ena_sent *sent,
		     unsigned int max)
{
	const uint64_t *at;
	unsigned int n;
	uint64_t first;

	for (n = 0; n < max; n++) {
		at = host_ena_next(&q->done, &first);
		if (!at)
			break;
		if (first & q->reserved ||
		    !end(q, first & 0xffff, &sent[n].cookie))
			return complain_tx(q, first);
		if (q->has_timestamps)
			sent[n].ns = le64toh(at[1]);
		q->done.head++;
	}
	return (int)n;
}
