/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An Ethernet frame on its way between a NIC and a network, with what is still
 * to be done to it: the offloads that a guest or the host's kernel left to us.
 * A frame with nothing left to do is one that may stand on a wire.
 */
#ifndef ENA_FRAME_H
#define ENA_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define ENA_ETHER_ADDR_BYTES   6u
#define ENA_ETHER_HEADER_BYTES 14u
/* Room for Ethernet, VLAN tags, IP with options or extensions, and TCP. */
#define ENA_FRAME_HEADER_BYTES 256u
/* Of a TSO super-packet: 64 KiB of IP and the Ethernet header with two tags. */
#define ENA_FRAME_MAX_BYTES    (65535u + 22u)
#define ENA_FRAME_MAX_PARTS    32u

/* What is to be done before the frame may stand on a wire. */
#define ENA_FRAME_L3_CSUM         0x01u /* fill in the IPv4 header checksum */
/*
 * Fill in the L4 checksum: its field holds the sum of the pseudo-header, which
 * goes into it, not inverted.  (What virtio calls NEEDS_CSUM.)
 */
#define ENA_FRAME_L4_CSUM_PARTIAL 0x02u
#define ENA_FRAME_L4_CSUM_FULL    0x04u /* the same, whatever the field holds */
#define ENA_FRAME_TSO             0x08u /* cut into segments; implies all */
#define ENA_FRAME_LEFT_TO_DO      0x0fu
/* The L4 checksum is right, or will be when what is left to do is done. */
#define ENA_FRAME_L4_CSUM_GOOD    0x10u
#define ENA_FRAME_L3_CSUM_GOOD    0x20u /* likewise of the IPv4 header */

/* What is read off a frame; in host byte order. */
struct ena_frame_info {
	uint8_t l3_proto; /* ENA_ETH_IO_L3_PROTO_* */
	uint8_t l4_proto; /* ENA_ETH_IO_L4_PROTO_*; UNKNOWN for fragments */
	uint8_t vlan_count;
	bool is_fragment;    /* any, the first included */
	bool has_extensions; /* IPv6 ones before the L4 header */
	bool is_whole;       /* the lengths in it fit the frame */
	uint16_t l3_offset, l4_offset;
	uint16_t payload_offset; /* behind the L4 header; 0: unknown */
	uint32_t l3_length; /* IP's own idea of header and payload together */
};

/*
 * The first bytes are in header, which is the sender's own memory, so that
 * what was checked is what is used; the rest are in parts, which may be guest
 * memory and may change at any time.  All is borrowed for the call, and
 * constant for the receiver.
 *
 * header has all protocol headers that we parse (up to ENA_FRAME_HEADER_BYTES)
 * or the whole frame, whichever is less.  The l… fields are the sender's word
 * where something is left to do: they are inside the header then.
 */
struct ena_frame {
	const uint8_t *header;
	const struct ena_frame_info *info; /* NULL: its sender did not look */
	uint16_t header_length;
	uint8_t part_count;
	uint8_t flags;      /* ENA_FRAME_* */
	uint32_t length;    /* bytes, header and parts together; without FCS */
	uint8_t l4_proto;   /* IPPROTO_TCP or _UDP; 0: it does not matter */
	uint8_t l3_offset;  /* bytes from the start of the frame */
	uint16_t l4_offset; /* likewise; where the sums begin */
	uint16_t l4_length; /* of the TCP header, for TSO */
	uint16_t mss;       /* of TSO: payload bytes of a segment */
	const struct iovec *parts;
};

/* Look at the headers; never outside header_length. */
void ena_frame_parse(const struct ena_frame *frame,
		     struct ena_frame_info *info);

/* Copy size bytes from offset; both are inside the frame. */
void ena_frame_copy(const struct ena_frame *frame, uint32_t offset, void *to,
		    size_t size);

/*
 * The same, and returns sum plus the ones' complement sum of those bytes as
 * 16-bit big-endian words, unfolded; an odd last byte is the high one.
 */
uint32_t ena_frame_copy_sum(const struct ena_frame *frame, uint32_t offset,
			    void *to, size_t size, uint32_t sum);
uint32_t ena_sum(const void *bytes, size_t size, uint32_t sum);
uint16_t ena_sum_fold(uint32_t sum); /* to 16 bits; not inverted */

/* Both checksums of a frame with nothing left to do. */
bool ena_frame_l3_csum_is_good(const struct ena_frame *frame,
			       const struct ena_frame_info *info);
bool ena_frame_l4_csum_is_good(const struct ena_frame *frame,
			       const struct ena_frame_info *info);

/*
 * How many frames it is on a wire: 1, or the segments of a TSO; 0: what is left
 * to do cannot be done, because it contradicts the frame.
 */
unsigned int ena_frame_wire_count(const struct ena_frame *frame);

/* Bytes of wire frame number n, which is below ena_frame_wire_count(). */
uint32_t ena_frame_wire_length(const struct ena_frame *frame, unsigned int n);

/*
 * Where the bytes of a wire frame go, in order.  Of ena_frame_wire_length()
 * bytes at least in all.
 */
struct ena_frame_room {
	const struct iovec *pieces;
	unsigned int count;
};

/*
 * Write wire frame number n with everything done, reading each byte of the
 * parts once.  TSO: IPv4 id + n, sequence number, FIN and PSH on the last, CWR
 * on the first only.
 */
void ena_frame_put_wire(const struct ena_frame *frame, unsigned int n,
			const struct ena_frame_room *room);
/* The same for a frame with nothing left to do, to one place. */
void ena_frame_put(const struct ena_frame *frame, uint8_t *to);

#endif
