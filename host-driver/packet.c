/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets and their judge: RFC 791, 768, 793, 1071, 8200.  No state. */
#include "host-driver/packet.h"

#include <stdio.h>
#include <string.h>

#define ETHER_BYTES 14u
#define VLAN_BYTES  4u
#define IPV4_BYTES  20u
#define IPV6_BYTES  40u
#define TCP_BYTES   20u
#define UDP_BYTES   8u
#define ACK         0x10u
#define HOPS        64u

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

static uint32_t get16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

/* RFC 1071, unhurried: word by word, folded at once. */
static uint32_t sum(const uint8_t *bytes, size_t size, uint32_t start)
{
	for (size_t i = 0; i < size; i += 2) {
		start += (uint32_t)bytes[i] << 8;
		start += i + 1 < size ? bytes[i + 1] : 0;
		start = (start & 0xffff) + (start >> 16);
	}
	return start;
}

uint8_t host_packet_byte(uint64_t seed, uint32_t n)
{
	return (uint8_t)((seed + n) * 167 + (n >> 8) * 13 + (seed >> 8));
}

/* --- Reading headers ------------------------------------------------------ */

/* What a frame says of itself; l4 0: no header that we know. */
struct view {
	const uint8_t *frame;
	uint32_t l3, l4, length; /* length: as IP has it, from l4 on */
	bool is_ipv6;
	uint8_t proto;
};

static bool look(const uint8_t *frame, uint32_t length, struct view *v)
{
	uint32_t type = get16(frame + 12), l3 = ETHER_BYTES;

	*v = (struct view){ .frame = frame };
	if (type == 0x8100) {
		type = get16(frame + 16);
		l3 += VLAN_BYTES;
	}
	if (type != 0x0800 && type != 0x86dd)
		return false;
	v->l3 = l3;
	v->is_ipv6 = type == 0x86dd;
	if (length < l3 + (v->is_ipv6 ? IPV6_BYTES : IPV4_BYTES))
		return false;
	v->proto = frame[l3 + (v->is_ipv6 ? 6 : 9)];
	v->l4 = l3 + (v->is_ipv6 ? IPV6_BYTES : (frame[l3] & 15u) * 4);
	v->length = v->is_ipv6 ? get16(frame + l3 + 4)
			       : get16(frame + l3 + 2) - (v->l4 - l3);
	return true;
}

static uint32_t pseudo_sum(const struct view *v)
{
	uint8_t tail[4] = { 0, v->proto };
	uint32_t s;

	put16(tail + 2, v->length);
	s = sum(v->frame + v->l3 + (v->is_ipv6 ? 8 : 12), v->is_ipv6 ? 32 : 8,
		0);
	return sum(tail, sizeof tail, s);
}

static uint32_t csum_offset(const struct view *v)
{
	return v->l4 + (v->proto == HOST_PACKET_TCP ? 16 : 6);
}

/* --- Writing -------------------------------------------------------------- */

static uint32_t write_ether(const struct host_packet *p, uint8_t *frame)
{
	uint32_t at = 12, type = p->is_ipv6 ? 0x86dd : 0x0800;

	memcpy(frame, p->to, 6);
	memcpy(frame + 6, p->from, 6);
	if (p->vlan) {
		put16(frame + at, 0x8100);
		put16(frame + at + 2, p->vlan);
		at += VLAN_BYTES;
	}
	put16(frame + at, p->proto ? type : HOST_PACKET_ETHERTYPE);
	return at + 2;
}

static uint32_t write_ip(const struct host_packet *p, uint8_t *ip,
			 uint32_t payload)
{
	if (p->is_ipv6) {
		memset(ip, 0, IPV6_BYTES);
		ip[0] = 0x60;
		put16(ip + 4, payload);
		ip[6] = p->proto;
		ip[7] = HOPS;
		ip[8] = ip[24] = 0xfd;
		put32(ip + 20, p->from_ip);
		put32(ip + 36, p->to_ip);
		return IPV6_BYTES;
	}
	memset(ip, 0, IPV4_BYTES);
	ip[0] = 0x45;
	put16(ip + 2, payload + IPV4_BYTES);
	put16(ip + 4, (uint32_t)p->seed & 0xffff);
	ip[6] = 0x40; /* do not fragment */
	ip[8] = HOPS;
	ip[9] = p->proto;
	put32(ip + 12, p->from_ip);
	put32(ip + 16, p->to_ip);
	put16(ip + 10, ~sum(ip, IPV4_BYTES, 0) & 0xffff);
	return IPV4_BYTES;
}

static uint32_t l4_bytes(const struct host_packet *p)
{
	if (p->proto == HOST_PACKET_TCP)
		return TCP_BYTES;
	return p->proto == HOST_PACKET_UDP ? UDP_BYTES : 0;
}

static void write_l4(const struct host_packet *p, uint8_t *at)
{
	memset(at, 0, l4_bytes(p));
	put16(at, p->from_port);
	put16(at + 2, p->to_port);
	if (p->proto == HOST_PACKET_UDP) {
		put16(at + 4, UDP_BYTES + p->payload);
		return;
	}
	put32(at + 4, p->sequence);
	at[12] = TCP_BYTES / 4 << 4;
	at[13] = (uint8_t)(ACK | p->tcp_flags);
	put16(at + 14, 0xffff);
}

static void finish_l4(const struct view *v, uint8_t *frame)
{
	uint32_t s;

	put16(frame + csum_offset(v), 0);
	s = ~sum(frame + v->l4, v->length, pseudo_sum(v)) & 0xffff;
	if (s == 0 && v->proto == HOST_PACKET_UDP)
		s = 0xffff;
	put16(frame + csum_offset(v), s);
}

void host_packet_write(const struct host_packet *p, uint8_t *frame,
		       struct host_packet_layout *out)
{
	struct view v;
	uint32_t at = write_ether(p, frame);

	*out = (struct host_packet_layout){ .l3_offset = (uint8_t)at };
	if (p->proto) {
		out->l3_bytes = (uint8_t)write_ip(p, frame + at,
						  l4_bytes(p) + p->payload);
		at += out->l3_bytes;
	}
	out->l4_offset = (uint16_t)at;
	out->l4_words = (uint8_t)(l4_bytes(p) / 4);
	if (l4_bytes(p))
		write_l4(p, frame + at);
	at += l4_bytes(p);
	out->payload_offset = (uint16_t)at;
	out->length = at + p->payload;
	for (uint32_t i = 0; i < p->payload; i++)
		frame[at + i] = host_packet_byte(p->seed, i);
	if (l4_bytes(p) && look(frame, out->length, &v)) {
		v.length = out->length - v.l4;
		finish_l4(&v, frame);
	}
}

void host_packet_spoil_l3(uint8_t *frame, const struct host_packet_layout *l)
{
	put16(frame + l->l3_offset + 10, 0xabcd);
}

static void set_l4(uint8_t *frame, const struct host_packet_layout *l,
		   bool is_pseudo)
{
	struct view v;

	if (!look(frame, l->length, &v))
		return;
	put16(frame + csum_offset(&v), is_pseudo ? pseudo_sum(&v) : 0xdcba);
}

void host_packet_spoil_l4(uint8_t *frame, const struct host_packet_layout *l)
{
	set_l4(frame, l, false);
}

void host_packet_prepare_l4(uint8_t *frame, const struct host_packet_layout *l)
{
	set_l4(frame, l, true);
}

/* --- Judging -------------------------------------------------------------- */

static bool is_l4_right(const struct view *v, char *text, size_t room)
{
	uint32_t s = sum(v->frame + v->l4, v->length, pseudo_sum(v));

	if (v->proto != HOST_PACKET_TCP && v->proto != HOST_PACKET_UDP)
		return true;
	if (v->proto == HOST_PACKET_UDP &&
	    get16(v->frame + csum_offset(v)) == 0) {
		snprintf(text, room, "the UDP checksum is missing");
		return false;
	}
	if (s != 0xffff)
		snprintf(text, room, "the %s checksum is wrong (%04x)",
			 v->proto == HOST_PACKET_TCP ? "TCP" : "UDP",
			 get16(v->frame + csum_offset(v)));
	return s == 0xffff;
}

bool host_packet_is_right(const uint8_t *frame, uint32_t length, char *text,
			  size_t room)
{
	struct view v;

	if (length < ETHER_BYTES || !look(frame, length, &v))
		return true;
	if (v.l4 + v.length > length) {
		snprintf(text, room, "IP says %u bytes, the frame has %u",
			 v.l4 + v.length, length);
		return false;
	}
	if (!v.is_ipv6 && sum(frame + v.l3, v.l4 - v.l3, 0) != 0xffff) {
		snprintf(text, room, "the IPv4 header checksum is wrong");
		return false;
	}
	return is_l4_right(&v, text, room);
}

/* --- RSS ------------------------------------------------------------------ */

uint32_t host_packet_toeplitz(const uint8_t key[40], const uint8_t *input,
			      size_t size)
{
	uint32_t window = (uint32_t)key[0] << 24 | (uint32_t)key[1] << 16 |
			  (uint32_t)key[2] << 8 | key[3];
	uint32_t hash = 0;

	for (size_t bit = 0; bit < size * 8; bit++) {
		size_t next = bit + 32;

		if (input[bit / 8] >> (7 - bit % 8) & 1)
			hash ^= window;
		window <<= 1;
		if (next < 320)
			window |= key[next / 8] >> (7 - next % 8) & 1u;
	}
	return hash;
}

uint32_t host_packet_hash(const uint8_t key[40], const struct host_packet *p)
{
	uint8_t ip[IPV6_BYTES], input[36];
	size_t size = p->is_ipv6 ? 32 : 8;

	write_ip(p, ip, 0);
	memcpy(input, ip + (p->is_ipv6 ? 8 : 12), size);
	put16(input + size, p->from_port);
	put16(input + size + 2, p->to_port);
	return host_packet_toeplitz(key, input, size + (l4_bytes(p) ? 4 : 0));
}
