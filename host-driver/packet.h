/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets for trying out a network adapter: made whole, and judged by whoever
 * gets them.  Written from the RFCs, and shared with no device.
 */
#ifndef HOST_DRIVER_PACKET_H
#define HOST_DRIVER_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOST_PACKET_TCP       6u
#define HOST_PACKET_UDP       17u
#define HOST_PACKET_MAX_BYTES 65600u
#define HOST_PACKET_ETHERTYPE 0x88b5u /* of those that are not IP */

struct host_packet {
	uint8_t to[6], from[6];
	bool is_ipv6;
	uint8_t proto;           /* of IP; 0: no IP at all */
	uint8_t tcp_flags;       /* besides ACK */
	uint16_t vlan;           /* 0: untagged */
	uint32_t from_ip, to_ip; /* IPv6: the last four bytes, after fd00:: */
	uint16_t from_port, to_port;
	uint32_t sequence; /* of TCP */
	uint32_t payload;  /* bytes behind all headers */
	uint64_t seed;     /* of them */
};

/* Where its headers are, for offloads. */
struct host_packet_layout {
	uint8_t l3_offset, l3_bytes, l4_words;
	uint16_t l4_offset, payload_offset;
	uint32_t length; /* of the whole */
};

/* Write it with every checksum right. */
void host_packet_write(const struct host_packet *p, uint8_t *frame,
		       struct host_packet_layout *out);
/* Then leave work for a device: what these fields hold when it is asked to. */
void host_packet_spoil_l3(uint8_t *frame, const struct host_packet_layout *l);
void host_packet_spoil_l4(uint8_t *frame, const struct host_packet_layout *l);
/* The sum of the pseudo-header in the checksum's place. */
void host_packet_prepare_l4(uint8_t *frame, const struct host_packet_layout *l);

/*
 * Do lengths and checksums of a frame fit?  If not, why is printed into text.
 * What is not IP is right.
 */
bool host_packet_is_right(const uint8_t *frame, uint32_t length, char *text,
			  size_t room);

/* Byte n of a payload. */
uint8_t host_packet_byte(uint64_t seed, uint32_t n);

/* RSS as published: the hash of addresses and ports; ports 0: not of ports. */
uint32_t host_packet_toeplitz(const uint8_t key[40], const uint8_t *input,
			      size_t size);
uint32_t host_packet_hash(const uint8_t key[40], const struct host_packet *p);

#endif
