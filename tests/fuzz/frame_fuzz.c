/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames with whatever left to do, as a guest may send them: through the
 * switch, onto a wire and into the headers for a tap.  Nothing is read or
 * written outside them, and what comes out is as long as was said.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ena/port.h"
#include "ena/vpc/uplink.h"
#include "firmware/rt/loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_on_wire(const struct ena_frame *frame)
{
	unsigned int count = ena_frame_wire_count(frame);

	assert(count);
	for (unsigned int n = 0; n < count; n++) {
		uint32_t length = ena_frame_wire_length(frame, n);
		/* In two pieces, wherever that is. */
		uint8_t *bytes = malloc(length);
		struct iovec pieces[] = { { bytes, length / 3 },
					  { bytes + length / 3,
					    length - length / 3 } };
		struct ena_frame wire = { .header = bytes, .length = length };
		struct ena_frame_info info;

		ena_frame_put_wire(frame, n,
				   &(struct ena_frame_room){ pieces, 2 });
		wire.header_length = length < ENA_FRAME_HEADER_BYTES
					     ? (uint16_t)length
					     : ENA_FRAME_HEADER_BYTES;
		wire.parts = &(struct iovec){ bytes + wire.header_length,
					      length - wire.header_length };
		wire.part_count = 1;
		ena_frame_parse(&wire, &info);
		ena_frame_l3_csum_is_good(&wire, &info);
		ena_frame_l4_csum_is_good(&wire, &info);
		free(bytes);
	}
}

static unsigned int deliver(struct ena_port *port,
			    const struct ena_frame *frames, unsigned int count)
{
	(void)port;
	for (unsigned int i = 0; i < count; i++) {
		uint8_t header[ENA_FRAME_HEADER_BYTES];

		put_on_wire(&frames[i]);
		if (frames[i].flags & ENA_FRAME_LEFT_TO_DO)
			ena_header_finish(&frames[i], header);
	}
	return count;
}

static const struct ena_port_type type = { .name = "fuzz", .deliver = deliver };
static struct ena_port from = { .type = &type, .is_hub = true };
static struct ena_port to = { .type = &type };

static void make_switch(void)
{
	struct ena_switch *lan;
	struct rt_loop *loop;

	if (rt_loop_create(NULL, &loop) || ena_switch_get(loop, "lan", &lan) ||
	    ena_port_plug(&from, lan) || ena_port_plug(&to, lan))
		abort();
}

/* What a sender says about it, then its bytes. */
struct said {
	uint8_t flags, l4_proto, l3_offset, header_cut;
	uint16_t l4_offset, l4_length, mss, more;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ena_frame frame = { 0 };
	uint8_t *header, *rest;
	struct iovec part;
	struct said said;
	size_t front;

	if (!from.lan)
		make_switch();
	if (size < sizeof said + 1)
		return 0;
	memcpy(&said, data, sizeof said);
	data += sizeof said;
	size -= sizeof said;
	front = size < ENA_FRAME_HEADER_BYTES ? size : ENA_FRAME_HEADER_BYTES;
	header = malloc(front);
	memcpy(header, data, front);
	rest = calloc(1, size - front + said.more);
	memcpy(rest, data + front, size - front);
	part = (struct iovec){ rest, size - front + said.more };
	frame = (struct ena_frame){ .header = header,
				    .header_length = (uint16_t)front,
				    .parts = &part,
				    .part_count = 1,
				    .flags = said.flags,
				    .length = (uint32_t)(size + said.more),
				    .l4_proto = said.l4_proto,
				    .l3_offset = said.l3_offset,
				    .l4_offset = said.l4_offset,
				    .l4_length = said.l4_length,
				    .mss = said.mss };
	/* No longer than a frame may be. */
	if (frame.length <= ENA_FRAME_MAX_BYTES)
		ena_port_send(&from, &frame, 1);
	free(header);
	free(rest);
	return 0;
}
