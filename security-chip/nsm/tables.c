/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the module tells others about itself: the configuration's keys, its
 * counters, its fault points and the rules that it watches.
 */
#include "security-chip/nsm/nsm.h"

#define CONFIG(member) offsetof(struct nsm_config, member)

const struct rt_option nsm_options[] = {
	{ .name = "name",
	  .kind = RT_OPTION_STRING,
	  .offset = CONFIG(name),
	  .sentence = "The function's name on this card." },
	{ .name = "instance-id",
	  .kind = RT_OPTION_STRING,
	  .offset = CONFIG(instance_id),
	  .sentence = "The instance's id, which PCR 4 is made of; the default "
		      "follows from the name." },
	{ .name = "module-id",
	  .kind = RT_OPTION_STRING,
	  .offset = CONFIG(module_id),
	  .sentence = "The module's id; the default follows from the "
		      "instance's." },
	{ .name = "role-arn",
	  .kind = RT_OPTION_STRING,
	  .offset = CONFIG(role_arn),
	  .sentence = "ARN of the instance's role, which PCR 3 is made of; "
		      "without one it is zero." },
	{ .name = "region",
	  .kind = RT_OPTION_STRING,
	  .offset = CONFIG(region),
	  .sentence = "The region that certificates name; the default is "
		      "us-east-1." },
	{ .name = "clock-offset",
	  .kind = RT_OPTION_STRING,
	  .offset = CONFIG(clock_offset),
	  .sentence = "Seconds that the clock of documents is ahead of the "
		      "host's; it may be negative." },
	{ 0 },
};

const struct rt_fault_point nsm_fault_points[NSM_FAULTS] = {
#define FAULT(room, name, sentence, value) { #name, sentence, value },
#include "security-chip/nsm/fault.def"
#undef FAULT
};

const struct rt_rule nsm_rules[NSM_RULES] = {
#define RULE(name, clause, sentence) { "nsm." #name, clause, sentence },
#include "security-chip/nsm/rules.def"
#undef RULE
};

#define COUNTER(member) offsetof(struct nsm, member)

const struct rt_counter_name nsm_counter_names[NSM_COUNTERS] = {
	{ "requests", "Requests that were carried out or refused.",
	  COUNTER(counters.requests) },
	{ "errors", "Those of them that were refused.",
	  COUNTER(counters.errors) },
	{ "documents", "Attestation documents that were signed.",
	  COUNTER(counters.documents) },
	{ "random_bytes", "Random bytes that were handed out.",
	  COUNTER(counters.random_bytes) },
	{ "notifications", "Notifications by the driver.",
	  COUNTER(virtio.counters.notifications) },
	{ "interrupts", "Interrupts sent.",
	  COUNTER(virtio.counters.interrupts) },
	{ "resets", "Times the driver reset the device.",
	  COUNTER(virtio.counters.resets) },
};
