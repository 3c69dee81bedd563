/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ena/wire.h"
#include "firmware/rt/scope.h"

struct rt_loop *loop;
struct ena_switch *lan;
static struct rt_clock fake;

/* What tests make lives as long as they do. */
static void *memory[1 << 17];
static unsigned int memory_count;

static void *keep(size_t size)
{
	cr_assert_lt(memory_count, RT_COUNT(memory));
	memory[memory_count] = calloc(1, size);
	return memory[memory_count++];
}

static void make(const struct rt_clock *clock)
{
	cr_assert_eq(rt_loop_create(clock, &loop), 0);
	cr_assert_eq(ena_switch_get(loop, "lan", &lan), 0);
}

void rig_make(void)
{
	make(NULL);
}

void rig_make_virtual(void)
{
	rt_clock_make_virtual(&fake, 1000 * RT_NS_PER_S);
	make(&fake);
}

void rig_drop(void)
{
	ena_switch_put(&lan);
	cr_expect_null(lan);
	rt_loop_destroy(&loop);
	while (memory_count)
		free(memory[--memory_count]);
}

void rig_pass(uint64_t seconds)
{
	rt_clock_advance(&fake, seconds * RT_NS_PER_S);
}

static unsigned int end_deliver(struct ena_port *port,
				const struct ena_frame *frames,
				unsigned int count)
{
	struct end *end = rt_container_of(port, struct end, port);
	unsigned int taken = count < end->room ? count : end->room;

	end->calls++;
	end->room -= taken;
	for (unsigned int i = 0; i < taken; i++) {
		const struct ena_frame *f = &frames[i];
		unsigned int n = end->count++ % RIG_FRAMES;
		struct iovec piece;

		end->flags[n] = f->flags;
		end->length[n] = f->length;
		ena_frame_copy(f, f->length - 1, &end->tag[n], 1);
		end->last_length = ena_frame_wire_length(f, 0);
		end->last = keep(end->last_length);
		piece = (struct iovec){ end->last, end->last_length };
		ena_frame_put_wire(f, 0, &(struct ena_frame_room){ &piece, 1 });
	}
	return taken;
}

static void end_resume(struct ena_port *port)
{
	rt_container_of(port, struct end, port)->resumed++;
}

static bool end_is_deaf(struct ena_port *port)
{
	return rt_container_of(port, struct end, port)->is_deaf;
}

static const struct ena_port_type end_type = {
	.name = "end",
	.deliver = end_deliver,
	.is_deaf = end_is_deaf,
	.resume = end_resume,
};

static void plug(struct end *end, const char *name)
{
	memset(end, 0, sizeof *end);
	end->room = UINT32_MAX;
	end->port.type = &end_type;
	snprintf(end->port.name, sizeof end->port.name, "%s", name);
}

static void fill_address(uint8_t *address, uint8_t id)
{
	memset(address, id == ALL ? 0xff : 0, 6);
	address[5] = id;
	if (id != ALL)
		address[0] = 2;
}

void end_plug(struct end *end, const char *name, uint8_t id)
{
	uint8_t address[6];

	plug(end, name);
	fill_address(address, id);
	cr_assert_eq(ena_port_plug(&end->port, lan), 0);
	cr_assert_eq(ena_port_own_address(&end->port, address), 0);
}

void end_plug_uplink(struct end *end, const char *name)
{
	plug(end, name);
	end->port.is_uplink = true;
	cr_assert_eq(ena_port_plug(&end->port, lan), 0);
}

/* Each frame has memory of its own, of exactly its size. */
static struct ena_frame as_frame(uint8_t *bytes, uint32_t length)
{
	uint32_t front = length < ENA_FRAME_HEADER_BYTES
				 ? length
				 : ENA_FRAME_HEADER_BYTES;
	struct iovec *rest = keep(sizeof *rest);

	*rest = (struct iovec){ bytes + front, length - front };
	return (struct ena_frame){ .header = bytes,
				   .header_length = (uint16_t)front,
				   .part_count = length > front,
				   .length = length,
				   .parts = rest };
}

struct ena_frame make_frame(uint8_t from, uint8_t to, uint32_t length,
			    uint8_t tag)
{
	uint8_t *bytes = keep(length < 14 ? 14 : length);

	fill_address(bytes, to);
	fill_address(bytes + 6, from);
	bytes[12] = 0x88; /* for experiments, IEEE 802 */
	bytes[13] = 0xb5;
	bytes[length - 1] = tag;
	return as_frame(bytes, length);
}

struct ena_frame make_tso(uint8_t from, uint8_t to, uint32_t payload,
			  uint16_t mss)
{
	static const uint8_t ip[] = { 0x45, 0, 0,  0, 0, 1, 0x40, 0, 64, 6,
				      0,    0, 10, 0, 0, 1, 10,   0, 0,  2 };
	static const uint8_t tcp[] = { 0x13, 0x88, 0x13, 0x89, 0, 0,    1,
				       0,    0,    0,    1,    0, 0x50, 0x18,
				       0xff, 0xff, 0,    0,    0, 0 };
	uint32_t length = 54 + payload;
	uint8_t *bytes = keep(length);
	struct ena_frame frame;

	fill_address(bytes, to);
	fill_address(bytes + 6, from);
	bytes[12] = 0x08;
	memcpy(bytes + 14, ip, sizeof ip);
	memcpy(bytes + 34, tcp, sizeof tcp);
	for (uint32_t i = 0; i < payload; i++)
		bytes[54 + i] = (uint8_t)i;
	frame = as_frame(bytes, length);
	frame.flags = ENA_FRAME_TSO;
	frame.l4_proto = IPPROTO_TCP;
	frame.l3_offset = 14;
	frame.l4_offset = 34;
	frame.l4_length = 20;
	frame.mss = mss;
	return frame;
}

unsigned int send_one(struct end *end, uint8_t from, uint8_t to, uint8_t tag)
{
	struct ena_frame frame = make_frame(from, to, 60, tag);

	return ena_port_send(&end->port, &frame, 1);
}
