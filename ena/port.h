/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The seam between a NIC and a network.  A switch has ports; a NIC is at one of
 * them, and what reaches out of the card (a tap, a user-mode network, a capture
 * that is replayed) is at others.  A switch and all that is at its ports live
 * on one loop, so nothing here locks.
 *
 *   NIC ── port ── switch ── port ── tap, user, replay, another NIC
 *
 * A frame is never kept: whoever gets one copies what it needs before it
 * returns.  Between two NICs that is the one copy from guest to guest.
 */
#ifndef ENA_PORT_H
#define ENA_PORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "ena/frame.h"
#include "firmware/rt/counter.h"
#include "firmware/rt/option.h"

struct ena_capture;
struct ena_port;
struct ena_switch;
struct rt_error;
struct rt_loop;

/* What stands behind a port. */
struct ena_port_type {
	const char *name; /* "tap" */
	/*
	 * Frames that leave the switch here.  Returns how many of them, from
	 * the first, were dealt with (sent, or dropped and counted); the others
	 * are offered again after ena_port_resume().
	 */
	unsigned int (*deliver)(struct ena_port *port,
				const struct ena_frame *frames,
				unsigned int count);
	/*
	 * ena_port_send() did not take all of this port's frames, and would
	 * now.  May be NULL for who drops what is not taken.
	 */
	void (*resume)(struct ena_port *port);
	/*
	 * Whoever is behind it would only drop now what is delivered.  NULL:
	 * never.
	 */
	bool (*is_deaf)(struct ena_port *port);
	/* The last use of the port; may be NULL. */
	void (*close)(struct ena_port *port);
};

/*
 * Frames and bytes as on a wire, counted by the switch.  A drop is counted on
 * the side where it happened: in_drops are frames that lead nowhere; out_drops
 * are those that who is behind the port did not take of a flood, and what they
 * took and dropped, which they count themselves (it is in out_frames too).
 */
struct ena_port_counters {
	struct rt_counter in_frames, in_bytes;   /* sent by who is behind it */
	struct rt_counter out_frames, out_bytes; /* delivered to them */
	struct rt_counter in_drops, out_drops;
};

/* Embedded in what is behind it, which owns it. */
struct ena_port {
	const struct ena_port_type *type;
	char name[32];  /* of the NIC, or "lan.tap"; of captures' interfaces */
	bool is_uplink; /* frames to addresses that nobody has come here */
	bool is_hub; /* what it sends to addresses that nobody has is for all */
	struct ena_port_counters counters;
	/* The switch's. */
	struct ena_switch *lan;
	struct ena_capture *capture; /* NULL: none */
	uint32_t capture_id;         /* its interface in there */
	uint64_t capture_missing;    /* frames that should be in it */
	uint16_t number;
	bool is_waiting;     /* for ena_port_resume() of another */
	bool is_stuck;       /* it has kept others waiting for too long */
	uint64_t refused_ns; /* when it began to; 0: it has taken all */
	TAILQ_ENTRY(ena_port) entry;
};

/* ---- The switch ---- */

/*
 * The switch of that name on that loop, made when it is not there.  Each get
 * needs its put; the last one ends it.  -ENOMEM, -ENAMETOOLONG.
 */
int ena_switch_get(struct rt_loop *loop, const char *name,
		   struct ena_switch **out);
void ena_switch_put(struct ena_switch **lan);
const char *ena_switch_name(const struct ena_switch *lan);
/* Addresses that it knows, those of NICs included. */
unsigned int ena_switch_address_count(const struct ena_switch *lan);
/* To go through its ports: the one after it, NULL: the first; NULL at the end.
 */
struct ena_port *ena_switch_next_port(const struct ena_switch *lan,
				      const struct ena_port *port);

/*
 * The type, the name and is_uplink are set; the port is borrowed until it is
 * unplugged, which also ends its capture.  -ENOSPC: no port is left.
 */
int ena_port_plug(struct ena_port *port, struct ena_switch *lan);
void ena_port_unplug(struct ena_port *port);

/*
 * Frames that enter the switch here.  Each goes to the port that its
 * destination was last seen at, or to the uplinks, or for a group address to
 * all others; nothing goes from one uplink to another, for both may lead to the
 * same network.  Who sends with the address of another's NIC is not heard.
 * Whatever a frame claims is left to do can be done when it is delivered
 * (ena_frame_wire_count() is not 0).
 *
 * Returns how many were dealt with, in order; the rest may be sent again after
 * type->resume().  Where there is no resume(), the rest is dropped here.  A
 * port that keeps others waiting for 100 ms is stuck: what it does not take is
 * dropped from then on, until it takes all or calls ena_port_resume().
 */
unsigned int ena_port_send(struct ena_port *port,
			   const struct ena_frame *frames, unsigned int count);

/*
 * Does that address lead anywhere from that port, to somebody who is not deaf?
 * For those who would send in vain.
 */
bool ena_port_reaches(const struct ena_port *port,
		      const uint8_t address[ENA_ETHER_ADDR_BYTES]);

/* deliver() would take frames again. */
void ena_port_resume(struct ena_port *port);

/*
 * This address is behind the port: a NIC's own; it is not forgotten until the
 * port is unplugged.  -EADDRINUSE: another's; -EINVAL: a group's; -ENOSPC.
 */
int ena_port_own_address(struct ena_port *port,
			 const uint8_t address[ENA_ETHER_ADDR_BYTES]);

/* ---- Captures ---- */

/*
 * Write what passes the port, both ways, to a pcapng file: as on a wire, with
 * everything done that was left to do, nanosecond stamps, the port's name and
 * the direction, which is that of who is behind the port: outbound is what
 * they sent.  One capture may be shared by ports: the same path on the same
 * loop is the same file.  -EBUSY: the port has one, or another loop or program
 * writes that file; -EINVAL: it is no file; else of open(2).
 *
 * The file is written by a thread of its own.  What it cannot keep up with is
 * missing in the file, counted there and told at the end; where it cannot
 * write, the capture ends with a line in the log, and the traffic goes on.
 */
int ena_port_capture(struct ena_port *port, const char *path,
		     struct rt_error *error);
void ena_port_capture_end(struct ena_port *port);

/* ---- What can be behind a port, besides a NIC ---- */

/* In the order of the words for `replay-pace`. */
enum ena_replay_pace {
	ENA_REPLAY_RECORDED, /* as the time stamps say */
	ENA_REPLAY_FULL,     /* as fast as the receivers take it */
};

#define ENA_GENERATE_MIN 60u
#define ENA_GENERATE_MAX 9214u

/* Filled by the options of ena/vpc/uplink.c; strings are the owner's. */
struct ena_uplink_config {
	char *tap;    /* name of a tap interface, made if it is not there */
	char *replay; /* a pcap or pcapng file, sent into the switch */
	bool is_user; /* user-mode network: DHCP, DNS, NAT, no privileges */
	bool is_null; /* takes all and gives nothing */
	/* Of the tap and the user-mode network; 0: as it is, or 1500. */
	uint64_t mtu;
	/* Of the user-mode network. */
	char *tftp;     /* folder that it serves by TFTP; NULL: none */
	char *bootfile; /* name that its DHCP tells; NULL: none */
	/* Of replay. */
	unsigned int replay_pace;
	bool is_replay_repeated;
	/* Bytes of a frame that comes in all the time; 0: none do. */
	uint64_t generate;
	/* Of the NIC that has the uplink; no word of the configuration. */
	uint8_t address[ENA_ETHER_ADDR_BYTES];
};
extern const struct rt_option ena_uplink_options[];

/*
 * Make what the config says and plug it in; NULL in *out: it says nothing.
 * More than one: -EINVAL.
 */
int ena_uplink_open(struct rt_loop *loop, struct ena_switch *lan,
		    const struct ena_uplink_config *config,
		    struct ena_port **out, struct rt_error *error);
void ena_uplink_close(struct ena_port **port);

#endif
