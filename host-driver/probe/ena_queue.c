/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of a network adapter's queues and of transmission: ena_admin_defs.h,
 * ena_eth_io_defs.h; ena_eth_com.c and iPXE's ena.c for who relies on it.
 */
#include <errno.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "host-driver/probe/ena.h"

#define RAW_DEPTH 32u
#define PACKETS   70000u /* more than 16 bits count */
#define BATCH     64u
#define TX        ENA_ADMIN_SQ_DIRECTION_TX
#define RX        ENA_ADMIN_SQ_DIRECTION_RX
#define NO_MEMORY UINT64_C(0x7f0000000000)
#define NO_INDEX  0x7ff0u

/* --- Making --------------------------------------------------------------- */

static enum probe_verdict want_cq_refused(struct probe *p, uint32_t depth,
					  uint8_t words)
{
	struct host_ena_cq cq = { .iova = ena_page(p) };

	return ena_want_refusal(
		p, host_ena_create_cq(p->ena, depth, words, -1, &cq));
}

enum probe_verdict probe_ena_queue_depth_zero(struct probe *p)
{
	return want_cq_refused(p, 0, 2);
}

enum probe_verdict probe_ena_queue_depth_odd(struct probe *p)
{
	return want_cq_refused(p, 33, 2);
}

enum probe_verdict probe_ena_queue_entry_size(struct probe *p)
{
	return want_cq_refused(p, 64, 3);
}

enum probe_verdict probe_ena_queue_entry_sizes(struct probe *p)
{
	for (uint8_t words = 2; words <= 8; words *= 2) {
		struct host_ena_cq cq = { 0 };
		int rc = host_ena_create_cq(p->ena, 64, words, -1, &cq);

		if (rc)
			return probe_failed(p, rc, "entries of 2, 4, 8 words");
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_ena_queue_no_cq(struct probe *p)
{
	struct host_ena_sq sq = { .iova = ena_page(p) };

	return ena_want_refusal(p,
				host_ena_create_sq(p->ena, RX, false, RAW_DEPTH,
						   NO_INDEX, &sq));
}

enum probe_verdict probe_ena_queue_cq_bound(struct probe *p)
{
	struct host_ena_sq second = { 0 };
	struct ena_raw raw;
	int rc = ena_raw_open(p, RX, RAW_DEPTH, -1, &raw);

	if (rc)
		return ena_no_queue(p, rc);
	return ena_want_refusal(p,
				host_ena_create_sq(p->ena, RX, false, RAW_DEPTH,
						   raw.cq.index, &second));
}

enum probe_verdict probe_ena_queue_destroy_unknown(struct probe *p)
{
	const struct host_ena_cq cq = { .index = NO_INDEX };
	const struct host_ena_sq sq = { .index = NO_INDEX, .direction = RX };
	int rc = host_ena_destroy_sq(p->ena, &sq);

	if (rc <= 0)
		return ena_want_refusal(p, rc);
	return ena_want_refusal(p, host_ena_destroy_cq(p->ena, &cq));
}

enum probe_verdict probe_ena_queue_index(struct probe *p)
{
	struct ena_raw first, second;
	int rc = ena_raw_open(p, RX, RAW_DEPTH, -1, &first);

	if (rc == 0)
		rc = ena_raw_open(p, RX, RAW_DEPTH, -1, &second);
	if (rc)
		return ena_no_queue(p, rc);
	if (first.sq.index == second.sq.index)
		return probe_broken(p, "two queues are number %u",
				    first.sq.index);
	return first.sq.index == first.cq.index
		       ? PROBE_HOLDS
		       : probe_broken(p,
				      "queue %u completes in %u, which drivers "
				      "take for the same in the RSS table",
				      first.sq.index, first.cq.index);
}

static bool is_place(uint64_t bar, uint32_t offset)
{
	return offset >= ENA_REGS_PHC_DB && offset % 4 == 0 &&
	       offset <= bar - 4;
}

enum probe_verdict probe_ena_queue_registers(struct probe *p)
{
	uint64_t bar = probe_region_size(p, ENA_REGS_BAR);
	struct ena_raw raw;
	int rc = ena_raw_open(p, RX, RAW_DEPTH, -1, &raw);

	if (rc)
		return ena_no_queue(p, rc);
	if (!is_place(bar, raw.sq.doorbell_offset))
		return probe_broken(p, "a doorbell at %xh",
				    raw.sq.doorbell_offset);
	if (!is_place(bar, raw.cq.unmask_offset))
		return probe_broken(p, "an unmask register at %xh",
				    raw.cq.unmask_offset);
	if (raw.cq.unmask_offset == raw.sq.doorbell_offset)
		return probe_broken(p, "two registers at one place");
	return raw.cq.head_offset == 0
		       ? PROBE_HOLDS
		       : probe_broken(p, "a completion head at %xh",
				      raw.cq.head_offset);
}

/* As many as it says, both ways; then one more. */
enum probe_verdict probe_ena_queue_all(struct probe *p)
{
	const struct ena_admin_max_queues_ext *q = &p->ena->facts.queues;
	uint32_t count = le32_get(q->max_rx_sq_num);
	struct ena_raw raw;
	int rc = 0;

	for (uint32_t i = 0; i < count && rc == 0; i++)
		rc = ena_raw_open(p, RX, RAW_DEPTH, -1, &raw);
	if (rc)
		return ena_no_queue(p, rc);
	return ena_want_refusal(p, ena_raw_open(p, RX, RAW_DEPTH, -1, &raw));
}

enum probe_verdict probe_ena_queue_deepest(struct probe *p)
{
	uint32_t depth = le32_get(p->ena->facts.queues.max_rx_sq_depth);
	struct ena_raw raw;
	int rc = ena_raw_open(p, RX, depth, -1, &raw);

	if (rc)
		return probe_failed(p, rc, "a queue as deep as it says");
	return ena_want_refusal(p, ena_raw_open(p, RX, depth * 2, -1, &raw));
}

enum probe_verdict probe_ena_queue_again(struct probe *p)
{
	struct ena_raw raw = { 0 };

	for (int i = 0; i < 200; i++) {
		uint64_t used = p->ena->memory_used;
		int rc = ena_raw_open(p, RX, RAW_DEPTH, -1, &raw);

		if (rc == 0)
			rc = ena_raw_close(p, &raw);
		if (rc)
			return probe_failed(p, rc, "making it once more");
		p->ena->memory_used = used;
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_ena_queue_vector(struct probe *p)
{
	struct host_ena_cq cq = { 0 };

	return ena_want_refusal(p,
				host_ena_create_cq(p->ena, 64, 2, 0x7ff0, &cq));
}

/* --- Transmission --------------------------------------------------------- */

static uint64_t make_frame(struct probe *p)
{
	uint64_t page = ena_page(p);
	uint8_t *frame = host_ena_at(p->ena, page);

	memset(frame, 0xff, 6);
	memcpy(frame + 6, p->ena_facts.attr.mac_addr, 6);
	frame[12] = 0x88;
	frame[13] = 0xb5;
	return page;
}

/* iPXE's are id << 2, whatever the depth. */
enum probe_verdict probe_ena_tx_identifier(struct probe *p)
{
	static const uint16_t ids[] = { 0, 124, 0x3ff, 0x400, 0x5abc, 0xffff };
	uint64_t page = make_frame(p), words[2];
	struct ena_raw raw;
	int rc = ena_raw_open(p, TX, RAW_DEPTH, -1, &raw);

	if (rc)
		return ena_no_queue(p, rc);
	for (size_t i = 0; i < RT_COUNT(ids) && rc == 0; i++) {
		ena_raw_put_packet(p, &raw, ids[i], page, 60);
		rc = ena_raw_ring(p, &raw);
		if (rc == 0)
			rc = ena_raw_take(p, &raw, words);
		if (rc == 0 && (uint16_t)words[0] != ids[i])
			return probe_broken(p, "%04xh comes back as %04xh",
					    ids[i], (uint16_t)words[0]);
	}
	return rc ? probe_failed(p, rc, "a completion") : PROBE_HOLDS;
}

enum probe_verdict probe_ena_tx_once(struct probe *p)
{
	uint64_t page = make_frame(p), words[2];
	struct ena_raw raw;
	int rc = ena_raw_open(p, TX, RAW_DEPTH, -1, &raw);

	if (rc)
		return ena_no_queue(p, rc);
	/* Three buffers, one packet. */
	ena_raw_put(p, &raw,
		    20 | ENA_ETH_IO_TX_DESC_FIRST | ENA_ETH_IO_TX_DESC_COMP_REQ,
		    page);
	ena_raw_put(p, &raw, 20, page + 20);
	ena_raw_put(p, &raw, 20 | ENA_ETH_IO_TX_DESC_LAST, page + 40);
	rc = ena_raw_ring(p, &raw);
	if (rc == 0)
		rc = ena_raw_take(p, &raw, words);
	if (rc)
		return probe_failed(p, rc, "a packet of three buffers");
	return ena_raw_stays_quiet(p, &raw)
		       ? probe_broken(p, "it is completed more than once")
		       : PROBE_HOLDS;
}

enum probe_verdict probe_ena_tx_doorbell(struct probe *p)
{
	uint64_t page = make_frame(p), words[2];
	struct ena_raw raw;
	int rc = ena_raw_open(p, TX, RAW_DEPTH, -1, &raw);

	if (rc)
		return ena_no_queue(p, rc);
	ena_raw_put_packet(p, &raw, 0, page, 60);
	rc = ena_raw_ring(p, &raw);
	if (rc == 0)
		rc = ena_raw_take(p, &raw, words);
	ena_raw_put_packet(p, &raw, 1, page, 60);
	if (rc == 0 && ena_raw_stays_quiet(p, &raw) != 0)
		return probe_broken(p, "it is sent before the doorbell");
	if (rc == 0)
		rc = ena_raw_ring(p, &raw);
	if (rc == 0)
		rc = ena_raw_take(p, &raw, words);
	return rc ? probe_failed(p, rc, "after the doorbell") : PROBE_HOLDS;
}

enum probe_verdict probe_ena_tx_full(struct probe *p)
{
	uint64_t page = make_frame(p), words[2], seen = 0;
	struct ena_raw raw;
	int rc = ena_raw_open(p, TX, RAW_DEPTH, -1, &raw);

	if (rc)
		return ena_no_queue(p, rc);
	for (uint32_t i = 0; i < 4 * RAW_DEPTH && rc == 0; i++) {
		ena_raw_put_packet(p, &raw, i % RAW_DEPTH, page, 60);
		if (i % RAW_DEPTH != RAW_DEPTH - 1)
			continue;
		rc = ena_raw_ring(p, &raw);
		for (uint32_t k = 0; k < RAW_DEPTH && rc == 0; k++) {
			rc = ena_raw_take(p, &raw, words);
			seen ^= BIT(words[0] & 31);
		}
		if (rc == 0 && seen != (i / RAW_DEPTH % 2 ? 0 : UINT32_MAX))
			return probe_broken(p, "not each once: %08lxh", seen);
	}
	return rc ? probe_failed(p, rc, "a ring filled to the last entry")
		  : PROBE_HOLDS;
}

static int send_many(struct probe *p, uint64_t page, uint32_t count)
{
	struct host_ena_packet packets[BATCH];
	struct host_ena_sent sent[BATCH];
	uint32_t put = 0, done = 0;
	int rc = 0;

	for (unsigned int i = 0; i < BATCH; i++)
		packets[i] = (struct host_ena_packet){
			.bytes = host_ena_at(p->ena, page),
			.iova = page,
			.length = 60,
		};
	for (uint32_t idle = 0; done < count && rc >= 0; idle++) {
		put += host_ena_tx_put(p->tx, packets, BATCH);
		rc = host_ena_tx_ring(p->tx);
		if (rc == 0)
			rc = host_ena_tx_poll(p->tx, sent, BATCH);
		if (rc == 0)
			probe_pause_ms(p, 0);
		if (rc > 0)
			idle = 0;
		done += rc > 0 ? (uint32_t)rc : 0;
		if (idle > 2000000)
			return -ETIMEDOUT;
	}
	return rc < 0 ? rc : 0;
}

enum probe_verdict probe_ena_tx_wrap(struct probe *p)
{
	int rc = send_many(p, make_frame(p), PACKETS);

	return rc ? ena_say_why(p, rc, "many packets") : PROBE_HOLDS;
}

/* What cannot be sent is completed all the same. */
static enum probe_verdict want_completed(struct probe *p, uint64_t iova,
					 uint32_t length, const char *what)
{
	uint64_t page = make_frame(p), words[2];
	struct ena_raw raw;
	int rc = ena_raw_open(p, TX, RAW_DEPTH, -1, &raw);

	if (rc)
		return ena_no_queue(p, rc);
	ena_raw_put_packet(p, &raw, 1, iova, length);
	ena_raw_put_packet(p, &raw, 2, page, 60);
	rc = ena_raw_ring(p, &raw);
	for (int i = 0; i < 2 && rc == 0; i++)
		rc = ena_raw_take(p, &raw, words);
	return rc ? probe_failed(p, rc, what) : PROBE_HOLDS;
}

enum probe_verdict probe_ena_tx_too_long(struct probe *p)
{
	return want_completed(p, make_frame(p), 0xffff, "a packet too long");
}

enum probe_verdict probe_ena_tx_too_short(struct probe *p)
{
	return want_completed(p, make_frame(p), 1, "a packet of one byte");
}

enum probe_verdict probe_ena_tx_address(struct probe *p)
{
	return want_completed(p, NO_MEMORY, 60, "an address that is not ours");
}

/* iPXE's metadata says nothing, and must change nothing. */
enum probe_verdict probe_ena_tx_empty_meta(struct probe *p)
{
	uint64_t page = make_frame(p), words[2];
	struct ena_raw raw;
	int rc = ena_raw_open(p, TX, RAW_DEPTH, -1, &raw);

	if (rc)
		return ena_no_queue(p, rc);
	ena_raw_put(p, &raw,
		    ENA_ETH_IO_TX_DESC_META_DESC | ENA_ETH_IO_TX_DESC_FIRST, 0);
	ena_raw_put(p, &raw,
		    60 | ENA_ETH_IO_TX_DESC_LAST | ENA_ETH_IO_TX_DESC_COMP_REQ |
			    UINT64_C(9) << 54,
		    page);
	rc = ena_raw_ring(p, &raw);
	if (rc == 0)
		rc = ena_raw_take(p, &raw, words);
	if (rc)
		return probe_failed(p, rc, "metadata without content");
	return (uint16_t)words[0] == 9
		       ? PROBE_HOLDS
		       : probe_broken(p, "packet 9 is completed as %u",
				      (uint16_t)words[0]);
}

enum probe_verdict probe_ena_tx_reserved(struct probe *p)
{
	uint64_t page = make_frame(p), words[2];
	struct ena_raw raw;
	int rc;

	if (!host_ena_can(p->ena, ENA_ADMIN_CDESC_MBZ))
		return probe_skip(p, "it does not promise it");
	rc = ena_raw_open(p, TX, RAW_DEPTH, -1, &raw);
	if (rc)
		return ena_no_queue(p, rc);
	ena_raw_put_packet(p, &raw, 0, page, 60);
	rc = ena_raw_ring(p, &raw);
	if (rc == 0)
		rc = ena_raw_take(p, &raw, words);
	if (rc)
		return probe_failed(p, rc, "a packet");
	return words[0] >> 24 & ENA_ETH_IO_TX_CDESC_MBZ
		       ? probe_broken(p, "flags are %02lxh",
				      words[0] >> 24 & 0xff)
		       : PROBE_HOLDS;
}

enum probe_verdict probe_ena_tx_destroy_busy(struct probe *p)
{
	uint64_t page = make_frame(p);
	struct ena_raw raw;
	int rc = ena_raw_open(p, TX, RAW_DEPTH, -1, &raw);

	if (rc)
		return ena_no_queue(p, rc);
	for (uint32_t i = 0; i < RAW_DEPTH; i++)
		ena_raw_put_packet(p, &raw, (uint16_t)i, page, 60);
	rc = ena_raw_ring(p, &raw);
	if (rc == 0)
		rc = ena_raw_close(p, &raw);
	if (rc)
		return probe_failed(p, rc, "destroying it with work to do");
	/* Its memory is ours again. */
	ena_fill(p, raw.cq.iova);
	probe_pause_ms(p, PROBE_QUIET_MS);
	return ena_is_filled(p, raw.cq.iova, 0, 512)
		       ? PROBE_HOLDS
		       : probe_broken(p, "it wrote completions afterwards");
}

/* --- LLQ ------------------------------------------------------------------ */

static enum probe_verdict not_llq(struct probe *p)
{
	return probe_skip(p, "no LLQ, or it cannot be mapped");
}

enum probe_verdict probe_ena_llq_place(struct probe *p)
{
	const struct host_ena_tx_options options = {
		.depth = ENA_DEPTH, .placement = HOST_ENA_PLACE_LLQ
	};
	struct host_ena_tx *second = NULL;
	uint32_t a, b, bytes;
	int rc;

	if (!host_ena_tx_is_llq(p->tx))
		return not_llq(p);
	bytes = ENA_DEPTH * p->ena->llq.entry_bytes;
	rc = host_ena_tx_open(&p->ena_doors, &options, &second);
	if (rc)
		return probe_failed(p, rc, "a second queue");
	a = host_ena_tx_sq(p->tx)->llq_offset;
	b = host_ena_tx_sq(second)->llq_offset;
	host_ena_tx_forget(&second);
	if (a % 64 || b % 64)
		return probe_broken(p, "queues at %xh and %xh", a, b);
	return a + bytes <= b || b + bytes <= a
		       ? PROBE_HOLDS
		       : probe_broken(p, "queues at %xh and %xh overlap", a, b);
}

enum probe_verdict probe_ena_llq_sizes(struct probe *p)
{
	static const uint16_t lengths[] = { 60, 96, 97, 224, 225, 1514 };
	uint16_t sizes = le16_get(p->ena->facts.llq.entry_size_supported);
	uint64_t page = make_frame(p);

	if (!host_ena_tx_is_llq(p->tx))
		return not_llq(p);
	for (unsigned int i = 0; i < 3; i++) {
		const struct host_ena_tx_options options = {
			.depth = ENA_DEPTH, .placement = HOST_ENA_PLACE_LLQ
		};
		int rc = host_ena_tx_close(&p->tx);

		if (!(sizes >> i & 1) && p->tx == NULL)
			continue;
		if (rc == 0)
			rc = host_ena_set_llq(p->ena, (uint16_t)(128 + 64 * i));
		if (rc == 0)
			rc = host_ena_tx_open(&p->ena_doors, &options, &p->tx);
		for (size_t k = 0; k < RT_COUNT(lengths) && rc == 0; k++)
			rc = ena_send(
				p, &(struct host_ena_packet){
					   .bytes = host_ena_at(p->ena, page),
					   .iova = page,
					   .length = lengths[k] });
		if (rc)
			return probe_broken(p, "entries of %u bytes: %s",
					    128 + 64 * i,
					    host_ena_status_text(rc));
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_ena_llq_zeroed(struct probe *p)
{
	const volatile uint8_t *at;
	uint32_t bytes;

	if (!host_ena_tx_is_llq(p->tx))
		return not_llq(p);
	at = p->ena->llq_memory + host_ena_tx_sq(p->tx)->llq_offset;
	bytes = ENA_DEPTH * p->ena->llq.entry_bytes;
	for (uint32_t i = 0; i < bytes; i++)
		if (at[i])
			return probe_broken(
				p, "byte %u of a new queue is %02xh", i, at[i]);
	return PROBE_HOLDS;
}

enum probe_verdict probe_ena_llq_before_set(struct probe *p)
{
	struct host_ena_cq cq = { 0 };
	struct host_ena_sq sq = { 0 };
	int rc = host_ena_reset(p->ena, ENA_REGS_RESET_NORMAL);

	if (le32_get(p->ena_facts.llq.max_llq_num) == 0)
		return not_llq(p);
	if (rc == 0)
		rc = host_ena_admin_init(p->ena);
	if (rc == 0)
		rc = host_ena_create_cq(p->ena, ENA_DEPTH, 2, -1, &cq);
	if (rc)
		return probe_failed(p, rc, "a completion queue");
	return ena_want_refusal(
		p,
		host_ena_create_sq(p->ena, TX, true, ENA_DEPTH, cq.index, &sq));
}
