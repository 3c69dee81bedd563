/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A load: UDP frames of one size from 256 source ports to the NIC whose uplink
 * this is, as fast as it takes them.  They are made once, headers each for
 * itself and one payload for all, with right checksums; nothing is written to
 * them later.
 *
 * While nobody would take them, there is a look from time to time and no more.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "ena/vpc/uplink.h"
#include "ena/wire.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/error.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"

#define FLOWS         256u
#define BURST         32u
#define REST_NS       (10 * RT_NS_PER_MS)
#define HEADERS       42u
#define L4            (ENA_ETHER_HEADER_BYTES + ENA_IPV4_BYTES)
#define FIRST_PORT    1024u
#define DISCARD_PORT  9u
#define PAYLOAD_BYTES (ENA_GENERATE_MAX - ENA_FRAME_HEADER_BYTES)

struct generator {
	struct ena_port port;
	struct rt_loop *loop;
	struct rt_poller poller;
	uint8_t to[ENA_ETHER_ADDR_BYTES];
	bool is_blocked;   /* the switch has not taken all */
	unsigned int next; /* frame to send */
	struct iovec rest; /* of each of them */
	struct ena_frame frames[FLOWS];
	struct ena_frame_info infos[FLOWS];
	uint8_t payload[PAYLOAD_BYTES];
	uint8_t headers[]; /* as close as they go, to stay in the cache */
};

static struct generator *generator_of(struct ena_port *port)
{
	return rt_container_of(port, struct generator, port);
}

/* ---- Frames ---- */

static void store16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void write_ethernet(uint8_t *at, const uint8_t *to)
{
	/* An address of our own: locally administered. */
	static const uint8_t from[] = { 0x0e, 0x67, 0x65, 0x6e, 0, 0 };

	memcpy(at, to, ENA_ETHER_ADDR_BYTES);
	memcpy(at + ENA_ETHER_ADDR_BYTES, from, sizeof from);
	store16(at + ENA_ETHER_HEADER_BYTES - 2, ENA_TYPE_IPV4);
}

/* From 198.18.0.1 to .2, which RFC 2544 sets aside for benchmarks. */
static void write_ip(uint8_t *at, uint32_t length)
{
	static const uint8_t addresses[] = { 198, 18, 0, 1, 198, 18, 0, 2 };

	at[0] = 0x45;
	store16(at + ENA_IPV4_LENGTH, length);
	at[8] = 64; /* hops */
	at[ENA_IPV4_PROTOCOL] = IPPROTO_UDP;
	memcpy(at + ENA_IPV4_ADDRESSES, addresses, sizeof addresses);
	store16(at + ENA_IPV4_CSUM,
		(uint16_t)~ena_sum_fold(ena_sum(at, ENA_IPV4_BYTES, 0)));
}

static void finish_udp(const struct ena_frame *frame, uint8_t *header)
{
	uint32_t length = frame->length - L4;
	uint32_t sum = ena_sum_pseudo(header + ENA_ETHER_HEADER_BYTES,
				      IPPROTO_UDP, length);
	uint16_t csum = (uint16_t)~ena_sum_fold(
		ena_frame_copy_sum(frame, L4, NULL, length, sum));

	store16(header + L4 + ENA_UDP_CSUM, csum ? csum : 0xffff);
}

static void make_frame(struct generator *generator, unsigned int i,
		       uint8_t *header, uint32_t front, uint32_t size)
{
	struct ena_frame *frame = &generator->frames[i];
	uint8_t *udp = header + L4;

	*frame = (struct ena_frame){ .header = header,
				     .header_length = (uint16_t)front,
				     .part_count = size > front,
				     .flags = ENA_FRAME_L3_CSUM_GOOD |
					      ENA_FRAME_L4_CSUM_GOOD,
				     .length = size,
				     .parts = &generator->rest };
	write_ethernet(header, generator->to);
	write_ip(header + ENA_ETHER_HEADER_BYTES,
		 size - ENA_ETHER_HEADER_BYTES);
	store16(udp, FIRST_PORT + i);
	store16(udp + 2, DISCARD_PORT);
	store16(udp + ENA_UDP_LENGTH, size - L4);
	for (uint32_t at = HEADERS; at < front; at++)
		header[at] = (uint8_t)at;
	finish_udp(frame, header);
	ena_frame_parse(frame, &generator->infos[i]);
	frame->info = &generator->infos[i];
}

/* Of a frame of that size, in its sender's memory. */
static uint32_t front_of(uint32_t size)
{
	return size < ENA_FRAME_HEADER_BYTES ? size : ENA_FRAME_HEADER_BYTES;
}

static uint32_t stride_of(uint32_t size)
{
	return (front_of(size) + 63) / 64 * 64;
}

static void make_frames(struct generator *generator, uint32_t size)
{
	uint32_t front = front_of(size);

	for (unsigned int i = 0; i < PAYLOAD_BYTES; i++)
		generator->payload[i] = (uint8_t)(ENA_FRAME_HEADER_BYTES + i);
	generator->rest = (struct iovec){ generator->payload, size - front };
	for (unsigned int i = 0; i < FLOWS; i++)
		make_frame(generator, i,
			   generator->headers + (size_t)i * stride_of(size),
			   front, size);
}

/* ---- Sending ---- */

static void send_burst(struct generator *generator)
{
	unsigned int left = FLOWS - generator->next;
	unsigned int count = left < BURST ? left : BURST;
	unsigned int sent = ena_port_send(
		&generator->port, &generator->frames[generator->next], count);

	generator->next = (generator->next + sent) % FLOWS;
	generator->is_blocked = sent < count;
}

static uint64_t generate_poll(struct rt_poller *poller, uint64_t now_ns)
{
	struct generator *generator =
		rt_container_of(poller, struct generator, poller);

	(void)now_ns;
	if (generator->is_blocked)
		return UINT64_MAX;
	if (!ena_port_reaches(&generator->port, generator->to))
		return REST_NS;
	send_burst(generator);
	return generator->is_blocked ? UINT64_MAX : 0;
}

static void generate_resume(struct ena_port *port)
{
	struct generator *generator = generator_of(port);

	generator->is_blocked = false;
	rt_poller_wake(generator->loop, &generator->poller);
}

static unsigned int generate_deliver(struct ena_port *port,
				     const struct ena_frame *frames,
				     unsigned int count)
{
	(void)port; /* nobody listens */
	(void)frames;
	return count;
}

static void generate_start(struct ena_port *port)
{
	struct generator *generator = generator_of(port);

	rt_poller_start(generator->loop, &generator->poller);
}

static void generate_close(struct ena_port *port)
{
	struct generator *generator = generator_of(port);

	rt_poller_stop(generator->loop, &generator->poller);
	free(generator);
}

static const struct ena_uplink_type generate_type = {
	.port = { .name = "generate",
		  .deliver = generate_deliver,
		  .resume = generate_resume,
		  .close = generate_close },
	.start = generate_start,
};

int ena_generate_make(struct rt_loop *loop,
		      const struct ena_uplink_config *config,
		      struct ena_port **out, struct rt_error *error)
{
	uint32_t size = (uint32_t)config->generate;
	struct generator *generator =
		calloc(1, sizeof *generator + (size_t)FLOWS * stride_of(size));

	if (!generator)
		return rt_error_set(error, -ENOMEM, "no memory is left");
	generator->loop = loop;
	memcpy(generator->to, config->address, sizeof generator->to);
	make_frames(generator, size);
	generator->poller.poll = generate_poll;
	generator->port.type = &generate_type.port;
	*out = &generator->port;
	return 0;
}
