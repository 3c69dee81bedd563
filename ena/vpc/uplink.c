/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What reaches out of the card: the words for it in the configuration, the
 * choice among its kinds, and what they share.  The simplest of them, null, is
 * here too.
 */
#include "ena/vpc/uplink.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ena/wire.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"

/* ---- What a user can say ---- */

#define UPLINK(member) offsetof(struct ena_uplink_config, member)

static const char *const pace_choices[] = { "recorded", "full", NULL };

const struct rt_option ena_uplink_options[] = {
	{ .name = "tap",
	  .kind = RT_OPTION_STRING,
	  .offset = UPLINK(tap),
	  .sentence =
		  "Name of a tap interface of the host; made, and gone with "
		  "the card, if it is not there." },
	{ .name = "user",
	  .kind = RT_OPTION_BOOL,
	  .of_program = true,
	  .offset = UPLINK(is_user),
	  .fallback = "false",
	  .sentence = "Whether to reach the host's network in user mode: DHCP, "
		      "DNS and NAT that need no privileges." },
	{ .name = "replay",
	  .kind = RT_OPTION_PATH,
	  .offset = UPLINK(replay),
	  .sentence = "A pcap or pcapng file whose frames come in." },
	{ .name = "null",
	  .kind = RT_OPTION_BOOL,
	  .offset = UPLINK(is_null),
	  .fallback = "false",
	  .sentence = "Whether to take all frames and give none." },
	{ .name = "generate",
	  .kind = RT_OPTION_NUMBER,
	  .offset = UPLINK(generate),
	  .min = ENA_GENERATE_MIN,
	  .max = ENA_GENERATE_MAX,
	  .sentence = "Bytes of the frames that come in as fast as the NIC "
		      "takes them: UDP of 256 flows." },
	{ .name = "mtu",
	  .kind = RT_OPTION_NUMBER,
	  .offset = UPLINK(mtu),
	  .min = 1280,
	  .max = 9216,
	  .sentence = "MTU of the tap or user-mode network; the default is "
		      "1500, or what a tap that is there has." },
	{ .name = "tftp",
	  .kind = RT_OPTION_PATH,
	  .of_program = true,
	  .offset = UPLINK(tftp),
	  .sentence = "Folder that the user-mode network serves by TFTP." },
	{ .name = "bootfile",
	  .kind = RT_OPTION_STRING,
	  .offset = UPLINK(bootfile),
	  .sentence = "File to boot, as the user-mode network's DHCP tells." },
	{ .name = "replay-pace",
	  .kind = RT_OPTION_CHOICE,
	  .offset = UPLINK(replay_pace),
	  .choices = pace_choices,
	  .fallback = "recorded",
	  .sentence = "How fast a file is replayed: as its time stamps say "
		      "(recorded), or as fast as it is taken (full)." },
	{ .name = "replay-repeat",
	  .kind = RT_OPTION_BOOL,
	  .offset = UPLINK(is_replay_repeated),
	  .fallback = "false",
	  .sentence = "Whether to begin the file anew at its end." },
	{ 0 },
};

/* ---- What kinds share ---- */

struct ena_frame *ena_inbox_add(struct ena_inbox *inbox, const uint8_t *bytes,
				uint32_t size)
{
	unsigned int n = inbox->count++;
	struct ena_frame *frame = &inbox->frames[n];
	uint32_t front =
		size < ENA_FRAME_HEADER_BYTES ? size : ENA_FRAME_HEADER_BYTES;

	/* Nothing writes through it. */
	inbox->rest[n] = (struct iovec){ (void *)(uintptr_t)(bytes + front),
					 size - front };
	*frame = (struct ena_frame){ .header = bytes,
				     .header_length = (uint16_t)front,
				     .part_count = size > front,
				     .length = size,
				     .parts = &inbox->rest[n] };
	return frame;
}

bool ena_inbox_send(struct ena_inbox *inbox, struct ena_port *port)
{
	inbox->next += ena_port_send(port, &inbox->frames[inbox->next],
				     inbox->count - inbox->next);
	if (inbox->next < inbox->count)
		return false;
	inbox->next = 0;
	inbox->count = 0;
	return true;
}

static void store16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

uint32_t ena_l4_csum_offset(const struct ena_frame *frame)
{
	bool is_tcp =
		frame->flags & ENA_FRAME_TSO || frame->l4_proto == IPPROTO_TCP;

	return is_tcp ? ENA_TCP_CSUM : ENA_UDP_CSUM;
}

/* What IP says about its length must be right for the whole super-packet. */
static bool store_length(uint8_t *ip, uint32_t length)
{
	bool is_v6 = ip[0] >> 4 == 6;

	if (is_v6)
		length -= ENA_IPV6_BYTES;
	if (length > UINT16_MAX)
		return false;
	store16(ip + (is_v6 ? ENA_IPV6_LENGTH : ENA_IPV4_LENGTH), length);
	return true;
}

static void finish_l3(uint8_t *ip, size_t size)
{
	store16(ip + ENA_IPV4_CSUM, 0);
	store16(ip + ENA_IPV4_CSUM,
		(uint16_t)~ena_sum_fold(ena_sum(ip, size, 0)));
}

/* IP's word for where it ends; the frame may be padded. */
static uint32_t l4_length(const struct ena_frame *frame, const uint8_t *ip)
{
	uint32_t most = frame->length - frame->l4_offset;
	uint32_t end =
		ip[0] >> 4 == 6
			? ENA_IPV6_BYTES + ena_wire16(ip + ENA_IPV6_LENGTH)
			: ena_wire16(ip + ENA_IPV4_LENGTH);
	uint32_t headers = (uint32_t)frame->l4_offset - frame->l3_offset;

	return end > headers && end - headers < most ? end - headers : most;
}

bool ena_header_finish(const struct ena_frame *frame,
		       uint8_t header[ENA_FRAME_HEADER_BYTES])
{
	bool is_tso = frame->flags & ENA_FRAME_TSO;
	uint8_t *ip = header + frame->l3_offset;
	uint32_t sum;

	memcpy(header, frame->header, frame->header_length);
	if (is_tso && !store_length(ip, frame->length - frame->l3_offset))
		return false;
	if ((is_tso || frame->flags & ENA_FRAME_L3_CSUM) && ip[0] >> 4 == 4)
		finish_l3(ip, (size_t)(frame->l4_offset - frame->l3_offset));
	if (!is_tso && !(frame->flags & ENA_FRAME_L4_CSUM_FULL))
		return true;
	sum = ena_sum_pseudo(ip, is_tso ? IPPROTO_TCP : frame->l4_proto,
			     l4_length(frame, ip));
	store16(header + frame->l4_offset + ena_l4_csum_offset(frame),
		ena_sum_fold(sum));
	return true;
}

/* ---- null ---- */

static unsigned int null_deliver(struct ena_port *port,
				 const struct ena_frame *frames,
				 unsigned int count)
{
	(void)port;
	(void)frames;
	return count;
}

static void null_close(struct ena_port *port)
{
	free(port);
}

static const struct ena_uplink_type null_type = {
	.port = { .name = "null",
		  .deliver = null_deliver,
		  .close = null_close },
};

int ena_null_make(struct rt_loop *loop, const struct ena_uplink_config *config,
		  struct ena_port **out, struct rt_error *error)
{
	struct ena_port *port = calloc(1, sizeof *port);

	(void)loop;
	(void)config;
	if (!port)
		return rt_error_set(error, -ENOMEM, "no memory is left");
	port->type = &null_type.port;
	*out = port;
	return 0;
}

/* ---- The choice ---- */

static int choose(const struct ena_uplink_config *config,
		  ena_uplink_maker **out, const char **out_word,
		  struct rt_error *error)
{
	const struct {
		bool is_chosen;
		const char *word;
		ena_uplink_maker *make;
	} kinds[] = {
		{ config->tap, config->tap, ena_tap_make },
		{ config->is_user, "user", ena_user_make },
		{ config->replay, "replay", ena_replay_make },
		{ config->is_null, "null", ena_null_make },
		{ config->generate, "generate", ena_generate_make },
	};

	*out = NULL;
	for (size_t i = 0; i < RT_COUNT(kinds); i++) {
		if (!kinds[i].is_chosen)
			continue;
		if (*out)
			return rt_error_set(error, -EINVAL,
					    "an uplink is one of tap, user, "
					    "replay, null and generate");
		*out = kinds[i].make;
		*out_word = kinds[i].word;
	}
	return 0;
}

static int check(const struct ena_uplink_config *config, struct rt_error *error)
{
	if ((config->tftp || config->bootfile) && !config->is_user)
		return rt_error_set(error, -EINVAL,
				    "tftp and bootfile are for user: true");
	if (config->mtu && !config->tap && !config->is_user)
		return rt_error_set(error, -EINVAL,
				    "mtu is for a tap or user: true");
	return 0;
}

static const struct ena_uplink_type *type_of(const struct ena_port *port)
{
	return (const void *)port->type;
}

/*
 * "lan.tap0", as captures and counters show it.  The name of a switch that is a
 * NIC's own begins with a colon, which is no use there.
 */
static void name_port(struct ena_port *port, const struct ena_switch *lan,
		      const char *word)
{
	const char *name = ena_switch_name(lan);

	snprintf(port->name, sizeof port->name, "%.15s.%.15s",
		 *name == ':' ? name + 1 : name, word);
}

int ena_uplink_open(struct rt_loop *loop, struct ena_switch *lan,
		    const struct ena_uplink_config *config,
		    struct ena_port **out, struct rt_error *error)
{
	ena_uplink_maker *make;
	struct ena_port *port;
	const char *word = "";
	int err = check(config, error);

	*out = NULL;
	if (!err)
		err = choose(config, &make, &word, error);
	if (err || !make)
		return err;
	err = make(loop, config, &port, error);
	if (err)
		return err;
	name_port(port, lan, word);
	port->is_uplink = true;
	err = ena_port_plug(port, lan);
	if (err) {
		port->type->close(port);
		return rt_error_set(error, err,
				    "the switch %s has no port left",
				    ena_switch_name(lan));
	}
	if (type_of(port)->start)
		type_of(port)->start(port);
	*out = port;
	return 0;
}

void ena_uplink_close(struct ena_port **port)
{
	struct ena_port *last = *port;

	*port = NULL;
	if (!last)
		return;
	ena_port_unplug(last);
	last->type->close(last);
}
