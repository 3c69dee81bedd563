/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the NIC tells others about itself: the configuration's keys, its
 * counters, its fault points and the rules that it watches.
 */
#include "ena/function.h"
#include "ena/nic.h"
#include "firmware/rt/option.h"

/* ---- what a user can say ---- */

/* As enum ena_doorbells and enum ena_polling have them. */
static const char *const doorbells_choices[] = { "auto", "mapped", "trapped",
						 NULL };
static const char *const polling_choices[] = { "auto", "always", "never",
					       NULL };

#define CONFIG(member) offsetof(struct ena_config, member)
#define HINT(key, member, text)                                                \
	{                                                                      \
		.name = key, .kind = RT_OPTION_NUMBER,                         \
		.offset = offsetof(struct ena_hints_config, member),           \
		.fallback = "0", .max = UINT16_MAX, .sentence = text           \
	}

static const struct rt_option hints_options[] = {
	HINT("mmio-read", mmio_read,
	     "Milliseconds that a driver waits for a register read."),
	HINT("keep-alive", keep_alive,
	     "Milliseconds without a sign of life before it resets the NIC."),
	HINT("missing-tx", missing_tx,
	     "Milliseconds that a packet may take to be sent."),
	HINT("missing-tx-count", missing_tx_count,
	     "So many late packets before it resets the NIC."),
	HINT("admin", admin, "Milliseconds that an admin command may take."),
	HINT("netdev", netdev,
	     "Milliseconds that a transmit queue may stand still."),
	{ 0 },
};

const struct rt_option ena_options[] = {
	{ .name = "name",
	  .kind = RT_OPTION_STRING,
	  .offset = CONFIG(name),
	  .sentence = "The function's name on this card." },
	{ .name = "mac",
	  .kind = RT_OPTION_STRING,
	  .offset = CONFIG(mac),
	  .sentence = "MAC address, as 02:00:00:00:00:01; the default follows "
		      "from the name." },
	{ .name = "profile",
	  .kind = RT_OPTION_CHOICE,
	  .offset = CONFIG(profile),
	  .choices = ena_profile_names,
	  .fallback = "nitro-v4",
	  .sentence = "Generation of the adapter to be." },
	{ .name = "switch",
	  .kind = RT_OPTION_STRING,
	  .offset = CONFIG(lan),
	  .sentence = "Name of the switch that it is plugged into, shared with "
		      "all who name it; the default is one of its own." },
	{ .name = "uplink",
	  .kind = RT_OPTION_OBJECT,
	  .offset = CONFIG(uplink),
	  .fields = ena_uplink_options,
	  .sentence = "What connects its switch to the world: one of tap, "
		      "user, replay, null and generate." },
	{ .name = "capture",
	  .kind = RT_OPTION_PATH,
	  .use = RT_SANDBOX_CREATE,
	  .offset = CONFIG(capture),
	  .sentence = "File of all packets of this NIC, as pcapng." },
	{ .name = "pairs",
	  .kind = RT_OPTION_NUMBER,
	  .offset = CONFIG(pairs),
	  .fallback = "8",
	  .min = 1,
	  .max = ENA_MAX_PAIRS,
	  .sentence = "Queue pairs that the guest may use; the profile may "
		      "allow less." },
	{ .name = "speed",
	  .kind = RT_OPTION_NUMBER,
	  .offset = CONFIG(speed),
	  .fallback = "25000",
	  .min = 1,
	  .max = 400000,
	  .sentence = "Speed in Mb/s that the guest is told." },
	{ .name = "mtu",
	  .kind = RT_OPTION_NUMBER,
	  .offset = CONFIG(mtu),
	  .fallback = "9216",
	  .min = 128,
	  .max = 9216,
	  .sentence = "The largest MTU that the guest may choose." },
	{ .name = "llq",
	  .kind = RT_OPTION_BOOL,
	  .offset = CONFIG(has_llq),
	  .fallback = "true",
	  .sentence = "Whether to offer transmit queues in the NIC's memory." },
	{ .name = "doorbells",
	  .kind = RT_OPTION_CHOICE,
	  .offset = CONFIG(doorbells),
	  .choices = doorbells_choices,
	  .fallback = "auto",
	  .sentence = "How doorbells reach the card: in memory that the guest "
		      "writes (mapped), or by messages (trapped)." },
	{ .name = "polling",
	  .kind = RT_OPTION_CHOICE,
	  .offset = CONFIG(polling),
	  .choices = polling_choices,
	  .fallback = "auto",
	  .sentence = "Whether to look for work without a pause: a while after "
		      "the last work (auto), always or never." },
	{ .name = "hints",
	  .kind = RT_OPTION_OBJECT,
	  .offset = CONFIG(hints),
	  .fields = hints_options,
	  .sentence = "Time-outs that the guest's driver is told to use; "
		      "0: its own, 65535: none." },
	{ .name = "limit-clock",
	  .kind = RT_OPTION_BOOL,
	  .offset = CONFIG(limits_phc),
	  .fallback = "false",
	  .sentence = "Whether to answer no more than 125 clock reads a "
		      "second, as EC2 does." },
	{ 0 },
};

/* ---- tables for others ---- */

const struct rt_fault_point ena_fault_points[ENA_FAULTS] = {
#define FAULT(room, name, sentence, value) { #name, sentence, value },
#include "ena/fault.def"
#undef FAULT
};

const struct rt_rule ena_rules[ENA_RULES] = {
#define RULE(name, clause, sentence) { "ena." #name, clause, sentence },
#include "ena/rules.def"
#undef RULE
};

#define COUNTER(member) offsetof(struct ena_nic, counters.member)

const struct rt_counter_name ena_counter_names[ENA_COUNTERS] = {
	{ "tx_packets", "Packets that the guest sent.", COUNTER(tx_packets) },
	{ "tx_bytes", "Bytes that the guest sent.", COUNTER(tx_bytes) },
	{ "rx_packets", "Packets that the guest was given.",
	  COUNTER(rx_packets) },
	{ "rx_bytes", "Bytes that the guest was given.", COUNTER(rx_bytes) },
	{ "tx_drops", "Packets of the guest that could not be sent.",
	  COUNTER(tx_drops) },
	{ "rx_drops", "Packets for the guest that were dropped.",
	  COUNTER(rx_drops) },
	{ "rx_overruns", "Those of them that found no receive buffer.",
	  COUNTER(rx_overruns) },
	{ "tso_packets", "Packets of the guest that were cut into segments.",
	  COUNTER(tso_packets) },
	{ "rx_csum_errors", "Packets for the guest with a wrong checksum.",
	  COUNTER(rx_csum_errors) },
	{ "admin_commands", "Admin commands begun.", COUNTER(admin_commands) },
	{ "failed_commands", "Admin commands that ended with an error.",
	  COUNTER(failed_commands) },
	{ "events", "Events that the guest was sent.", COUNTER(events) },
	{ "interrupts", "Interrupt messages sent.", COUNTER(interrupts) },
	{ "doorbells", "Doorbells that were rung.", COUNTER(doorbells) },
	{ "resets", "Times the guest reset the device.", COUNTER(resets) },
	{ "busy_ns",
	  "Time that the card's thread spent on this function's work.",
	  COUNTER(busy_ns) },
};
