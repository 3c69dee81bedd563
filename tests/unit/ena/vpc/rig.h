/* SPDX-License-Identifier: BSD-3-Clause */
/* A switch with ports that remember what they are given. */
#ifndef TESTS_ENA_VPC_RIG_H
#define TESTS_ENA_VPC_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ena/port.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/loop.h"

#define RIG_FRAMES 4096u

/* A port whose other side is the test. */
struct end {
	struct ena_port port;
	unsigned int calls, count; /* of deliver(), of frames */
	unsigned int room;         /* frames that it still takes */
	unsigned int resumed;
	bool is_deaf;
	uint8_t flags[RIG_FRAMES], tag[RIG_FRAMES]; /* tag: the last byte */
	uint32_t length[RIG_FRAMES];
	uint8_t *last; /* the bytes of the last one, on a wire */
	uint32_t last_length;
};

extern struct rt_loop *loop;
extern struct ena_switch *lan;

void rig_make(void);         /* the loop on the host's clock, and lan */
void rig_make_virtual(void); /* on one that stands at 1000 s */
void rig_drop(void);
void rig_pass(uint64_t seconds); /* virtual time */

/* A NIC's: with an own address that ends in id. */
void end_plug(struct end *end, const char *name, uint8_t id);
void end_plug_uplink(struct end *end, const char *name);

/* A frame of that many bytes from and to addresses that end in these. */
#define ALL 0xff
struct ena_frame make_frame(uint8_t from, uint8_t to, uint32_t length,
			    uint8_t tag);
/* TCP over IPv4 with mss and the rest left to do; payload bytes count up. */
struct ena_frame make_tso(uint8_t from, uint8_t to, uint32_t payload,
			  uint16_t mss);
unsigned int send_one(struct end *end, uint8_t from, uint8_t to, uint8_t tag);

/* Turn the loop until the claim holds; false: not within 5 s. */
#define until(claim)                                                           \
	({                                                                     \
		int turns_ = 0;                                                \
		while (!(claim) && turns_++ < 500)                             \
			rt_loop_step(loop, 10 * RT_NS_PER_MS);                 \
		(claim);                                                       \
	})

#endif
