/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of the split virtqueue (virtio 1.2, 2.7) as Linux's nsm driver uses it,
 * and of its interrupts: a request and the room for its answer are two chains,
 * and both are used when the one interrupt comes.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "host-driver/probe/nsm.h"

#define EXCHANGES     33000u /* more chains than an index has values */
#define PIECES        7u
#define ODD           0x1003u /* into the spare memory, and not aligned */
#define AVAIL_PENDING 2u

/* --- One exchange --------------------------------------------------------- */

enum probe_verdict probe_virtio_queue_pair(struct probe *p)
{
	struct cbor body;

	for (unsigned int i = 1; i <= 20; i++) {
		/* The driver says what is not as it should be. */
		NSM_TRY(nsm_want_body(p, nsm_ask_bare(p, "DescribeNSM"),
				      "DescribeNSM", &body));
		if (p->nsm->interrupts != i)
			return probe_broken(p, "%u interrupts for %u answers",
					    p->nsm->interrupts, i);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_virtio_queue_early(struct probe *p)
{
	const struct host_nsm_options options = { .is_early = true };
	struct cbor body;
	int rc = nsm_again(p, &options, true);

	if (rc)
		return probe_failed(p, rc, "setting it up");
	return nsm_want_body(p, nsm_ask_bare(p, "GetRandom"), "GetRandom",
			     &body);
}

enum probe_verdict probe_virtio_queue_request_alone(struct probe *p)
{
	int rc;

	nsm_put_pair(p);
	host_nsm_offer(p->nsm, 0);
	rc = host_nsm_notify(p->nsm);
	probe_pause_ms(p, PROBE_QUIET_MS);
	if (!rc && host_nsm_shown(p->nsm))
		return probe_broken(p, "it was used without room");
	host_nsm_offer(p->nsm, 1);
	if (!rc)
		rc = host_nsm_notify(p->nsm);
	if (!rc)
		rc = host_nsm_await(p->nsm, AVAIL_PENDING);
	return rc ? probe_failed(p, rc, "with room") : PROBE_HOLDS;
}

/* Both chains are used, under these heads; the answer's length. */
static enum probe_verdict take_pair(struct probe *p, uint32_t request,
				    uint32_t answer, uint32_t *length)
{
	uint32_t id, none;
	int rc = host_nsm_await(p->nsm, AVAIL_PENDING);

	if (rc)
		return probe_failed(p, rc, "an answer");
	host_nsm_take(p->nsm, &id, &none);
	if (id != request || none)
		return probe_broken(p, "the request was used as %u, %u bytes",
				    id, none);
	host_nsm_take(p->nsm, &id, length);
	return id == answer && *length <= NSM_RESPONSE_BYTES
		       ? PROBE_HOLDS
		       : probe_broken(p, "the answer was used as %u, %u bytes",
				      id, *length);
}

/* An answer in `size` bytes at that place of the driver's memory. */
static void keep_answer(struct probe *p, unsigned int offset, uint32_t size)
{
	memcpy(p->nsm_answer, nsm_at(p, offset), size);
	p->nsm_size = size;
}

/* The request a byte at a time, and room that is as odd. */
static void put_pieces(struct probe *p)
{
	uint64_t request, room;
	uint16_t n;

	nsm_put_pair(p);
	request = nsm_iova(p, HOST_NSM_REQUEST);
	room = nsm_iova(p, HOST_NSM_RESPONSE);
	for (n = 0; n < PIECES; n++)
		host_nsm_put_desc(p->nsm, n, request + n,
				  n < PIECES - 1 ? 1 : 12 - n,
				  n < PIECES - 1 ? VIRTIO_DESC_NEXT : 0,
				  (uint16_t)(n + 1));
	for (n = 0; n < PIECES; n++)
		host_nsm_put_desc(
			p->nsm, (uint16_t)(PIECES + n), room + 5 * n,
			n < PIECES - 1 ? 5 : NSM_RESPONSE_BYTES - 5 * n,
			n < PIECES - 1 ? VIRTIO_DESC_WRITE | VIRTIO_DESC_NEXT
				       : VIRTIO_DESC_WRITE,
			(uint16_t)(PIECES + n + 1));
}

enum probe_verdict probe_virtio_queue_pieces(struct probe *p)
{
	struct cbor body;
	uint32_t length;
	int rc;

	if (p->nsm->entries < 2 * PIECES)
		return probe_skip(p, "it has %u entries", p->nsm->entries);
	put_pieces(p);
	host_nsm_offer(p->nsm, 0);
	host_nsm_offer(p->nsm, PIECES);
	rc = host_nsm_notify(p->nsm);
	if (rc)
		return probe_failed(p, rc, "notifying");
	NSM_TRY(take_pair(p, 0, PIECES, &length));
	keep_answer(p, HOST_NSM_RESPONSE, length);
	return nsm_want_body(p, 0, "DescribeNSM", &body);
}

static bool is_filled(struct probe *p, unsigned int from, unsigned int to)
{
	const uint8_t *bytes = nsm_at(p, 0);

	while (from < to)
		if (bytes[from++] != PROBE_FILL)
			return false;
	return true;
}

enum probe_verdict probe_virtio_queue_guard(struct probe *p)
{
	const unsigned int at = HOST_NSM_SPARE + ODD, room = 2000;
	struct cbor body;
	uint32_t length;
	int rc;

	nsm_put_pair(p);
	memset(nsm_at(p, HOST_NSM_SPARE), PROBE_FILL,
	       HOST_NSM_BYTES - HOST_NSM_SPARE);
	host_nsm_put_desc(p->nsm, 1, nsm_iova(p, at), room, VIRTIO_DESC_WRITE,
			  0);
	host_nsm_offer(p->nsm, 0);
	host_nsm_offer(p->nsm, 1);
	rc = host_nsm_notify(p->nsm);
	if (rc)
		return probe_failed(p, rc, "notifying");
	NSM_TRY(take_pair(p, 0, 1, &length));
	if (length > room)
		return probe_broken(p, "%u bytes are used of %u", length, room);
	if (!is_filled(p, HOST_NSM_SPARE, at) ||
	    !is_filled(p, at + room, HOST_NSM_BYTES))
		return probe_broken(p, "memory around it was written");
	keep_answer(p, at, length);
	return nsm_want_body(p, 0, "DescribeNSM", &body);
}

/* --- Many exchanges ------------------------------------------------------- */

/* As many as there is room for, with one notification. */
static enum probe_verdict exchange_many(struct probe *p, unsigned int pairs)
{
	uint32_t length;
	int rc;

	for (unsigned int i = 0; i < pairs; i++) {
		host_nsm_offer(p->nsm, 0);
		host_nsm_offer(p->nsm, 1);
	}
	rc = host_nsm_notify(p->nsm);
	if (rc)
		return probe_failed(p, rc, "notifying");
	for (unsigned int i = 0; i < pairs; i++)
		NSM_TRY(take_pair(p, 0, 1, &length));
	return PROBE_HOLDS;
}

enum probe_verdict probe_virtio_queue_batch(struct probe *p)
{
	struct cbor body;

	nsm_put_pair(p);
	NSM_TRY(exchange_many(p, p->nsm->entries / 2));
	/* Its interrupts are not those of what comes now. */
	(void)host_nsm_interrupted(p->nsm, 1);
	return nsm_want_body(p, nsm_ask_bare(p, "DescribeNSM"), "DescribeNSM",
			     &body);
}

enum probe_verdict probe_virtio_queue_wrap(struct probe *p)
{
	unsigned int pairs = p->nsm->entries / 2;

	nsm_put_pair(p);
	for (unsigned int done = 0; done < EXCHANGES; done += pairs)
		NSM_TRY(exchange_many(p, pairs));
	return nsm_recovers(p);
}

enum probe_verdict probe_virtio_queue_small(struct probe *p)
{
	const struct host_nsm_options options = { .entries = 2 };
	struct cbor body;
	int rc = nsm_again(p, &options, true);

	if (rc)
		return probe_failed(p, rc, "setting it up");
	for (unsigned int i = 0; i < 10; i++)
		NSM_TRY(nsm_want_body(p, nsm_ask_bare(p, "DescribeNSM"),
				      "DescribeNSM", &body));
	return PROBE_HOLDS;
}

/* --- What is wrong with a chain ------------------------------------------- */

static enum probe_verdict harms_nobody(struct probe *p)
{
	int rc;

	host_nsm_offer(p->nsm, 0);
	host_nsm_offer(p->nsm, 1);
	rc = host_nsm_notify(p->nsm);
	if (rc)
		return probe_failed(p, rc, "notifying");
	probe_pause_ms(p, PROBE_QUIET_MS);
	return nsm_recovers(p);
}

enum probe_verdict probe_virtio_queue_loop(struct probe *p)
{
	nsm_put_pair(p);
	host_nsm_put_desc(p->nsm, 0, nsm_iova(p, HOST_NSM_REQUEST), 12,
			  VIRTIO_DESC_NEXT, 0);
	return harms_nobody(p);
}

enum probe_verdict probe_virtio_queue_address(struct probe *p)
{
	nsm_put_pair(p);
	host_nsm_put_desc(p->nsm, 1, UINT64_MAX - 100, NSM_RESPONSE_BYTES,
			  VIRTIO_DESC_WRITE, 0);
	return harms_nobody(p);
}

/* --- Interrupts ----------------------------------------------------------- */

enum probe_verdict probe_virtio_interrupt_message(struct probe *p)
{
	struct cbor body;

	NSM_TRY(nsm_want_body(p, nsm_ask_bare(p, "DescribeNSM"), "DescribeNSM",
			      &body));
	probe_pause_ms(p, PROBE_QUIET_MS);
	if (host_nsm_interrupted(p->nsm, 0))
		return probe_broken(p, "the configuration's vector, too");
	return host_nsm_interrupted(p->nsm, 1)
		       ? probe_broken(p, "the queue's vector twice")
		       : PROBE_HOLDS;
}

/* An answer is there, and nothing has told about it. */
static enum probe_verdict comes_silently(struct probe *p)
{
	struct cbor body;

	p->nsm->options.is_polling = true;
	NSM_TRY(nsm_want_body(p, nsm_ask_bare(p, "DescribeNSM"), "DescribeNSM",
			      &body));
	probe_pause_ms(p, PROBE_QUIET_MS);
	return host_nsm_interrupted(p->nsm, 0) ||
			       host_nsm_interrupted(p->nsm, 1)
		       ? probe_broken(p, "there was an interrupt")
		       : PROBE_HOLDS;
}

enum probe_verdict probe_virtio_interrupt_unwanted(struct probe *p)
{
	const struct host_nsm_options options = { .is_polling = true };
	int rc = nsm_again(p, &options, true);

	return rc ? probe_failed(p, rc, "setting it up") : comes_silently(p);
}

enum probe_verdict probe_virtio_interrupt_no_vector(struct probe *p)
{
	nsm_set(p, VIRTIO_QUEUE_VECTOR, 2, VIRTIO_NO_VECTOR);
	return comes_silently(p);
}

enum probe_verdict probe_virtio_interrupt_pin(struct probe *p)
{
	const struct host_nsm_options options = { .uses_pin = true };
	struct cbor body;
	int rc;

	if (!probe_irq_count(p, VFIO_PCI_INTX_IRQ_INDEX))
		return probe_skip(p, "no interrupt pin");
	rc = nsm_again(p, &options, true);
	if (rc)
		return probe_failed(p, rc, "setting it up");
	/* The driver reads the interrupt status, as it must, each time. */
	for (unsigned int i = 0; i < 5; i++)
		NSM_TRY(nsm_want_body(p, nsm_ask_bare(p, "DescribeNSM"),
				      "DescribeNSM", &body));
	rc = host_nsm_read_isr(p->nsm);
	return rc ? probe_broken(p,
				 "the interrupt status is %02xh after it "
				 "was read",
				 (unsigned int)rc)
		  : PROBE_HOLDS;
}
