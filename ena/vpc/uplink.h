/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files behind ena/port.h share with each other. */
#ifndef ENA_VPC_UPLINK_H
#define ENA_VPC_UPLINK_H

#include <stdbool.h>
#include <stdint.h>

#include "ena/frame.h"
#include "ena/port.h"

struct rt_error;
struct rt_loop;

/*
 * The kinds of uplink: each makes a port with its type and name, not plugged
 * in, and frees it at type->close().  -ENOMEM, or of what it opens with *error.
 */
typedef int ena_uplink_maker(struct rt_loop *loop,
			     const struct ena_uplink_config *config,
			     struct ena_port **out, struct rt_error *error);
ena_uplink_maker ena_tap_make, ena_user_make, ena_replay_make, ena_null_make;
ena_uplink_maker ena_generate_make;

/* It is plugged in: it may send now. */
struct ena_uplink_type {
	struct ena_port_type port; /* first, so that one is the other */
	void (*start)(struct ena_port *port);
};

/*
 * Frames that came in from outside and are on their way into the switch, in
 * order.  Those that it does not take yet stay; nothing more is fetched then.
 */
#define ENA_INBOX_FRAMES 32u
struct ena_inbox {
	unsigned int next, count;
	struct ena_frame frames[ENA_INBOX_FRAMES];
	struct iovec rest[ENA_INBOX_FRAMES]; /* behind the headers */
};
/* size bytes at bytes, which stay, with nothing left to do.  It has room. */
struct ena_frame *ena_inbox_add(struct ena_inbox *inbox, const uint8_t *bytes,
				uint32_t size);
/* True: it is empty again.  False: call again from resume(). */
bool ena_inbox_send(struct ena_inbox *inbox, struct ena_port *port);

/*
 * A copy of the frame's headers in which everything is right that depends on
 * headers only: IPv4 length and checksum, and in the L4 checksum the sum of
 * the pseudo-header, so that only the L4 checksum is left to do (and to cut,
 * for TSO).  The frame has something left to do that can be done.  False: it
 * is too long for its IP header.
 */
bool ena_header_finish(const struct ena_frame *frame,
		       uint8_t header[ENA_FRAME_HEADER_BYTES]);

struct rt_loop *ena_switch_loop(const struct ena_switch *lan);

/* From the L4 header, of who has a checksum left to do. */
uint32_t ena_l4_csum_offset(const struct ena_frame *frame);

/* capture.c: what passed; the switch calls it for ports that have a capture. */
void ena_capture_write(struct ena_port *port, const struct ena_frame *frames,
		       unsigned int count, bool is_sent);

#endif
