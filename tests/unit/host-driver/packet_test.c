/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets for trying things out, and their judge. */
#include <criterion/criterion.h>
#include <string.h>

#include "host-driver/packet.h"

static const uint8_t key[40] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
	0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
	0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
	0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

Test(host_packet, published_hashes_come_out)
{
	/* 66.9.149.187:2794 to 161.142.100.80:1766 */
	struct host_packet p = {
		.proto = HOST_PACKET_TCP,
		.from_ip = 0x420995bb,
		.to_ip = 0xa18e6450,
		.from_port = 2794,
		.to_port = 1766,
	};

	cr_expect_eq(host_packet_hash(key, &p), 0x51ccc178);
	p.proto = 1;
	cr_expect_eq(host_packet_hash(key, &p), 0x323e8fc2);
}

Test(host_packet, what_is_written_is_right_and_what_is_spoilt_is_not)
{
	uint8_t frame[2000];
	char text[64];

	for (unsigned int i = 0; i < 16; i++) {
		struct host_packet p = {
			.is_ipv6 = i & 1,
			.proto = i & 2 ? HOST_PACKET_TCP : HOST_PACKET_UDP,
			.vlan = i & 4 ? 5 : 0,
			.payload = i & 8 ? 999 : 0,
			.from_ip = 0x0a000001,
			.to_ip = 0x0a000002,
			.seed = i,
		};
		struct host_packet_layout l;

		host_packet_write(&p, frame, &l);
		cr_expect(host_packet_is_right(frame, l.length, text,
					       sizeof text),
			  "%u: %s", i, text);
		host_packet_spoil_l4(frame, &l);
		cr_expect_not(host_packet_is_right(frame, l.length, text,
						   sizeof text));
	}
}

Test(host_packet, a_known_udp_checksum_comes_out)
{
	/* 10.0.0.1:1 to 10.0.0.2:2, "\x00\x0d": by hand. */
	struct host_packet p = { .proto = HOST_PACKET_UDP,
				 .from_ip = 0x0a000001,
				 .to_ip = 0x0a000002,
				 .from_port = 1,
				 .to_port = 2 };
	struct host_packet_layout l;
	uint8_t frame[64];

	host_packet_write(&p, frame, &l);
	/* 0a00+0001+0a00+0002+0011+0008+0001+0002+0008 = 1427 */
	cr_expect_eq(frame[40], 0xeb);
	cr_expect_eq(frame[41], 0xd8);
}
