/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of the specifications that a guest or client can break.  A room lists
 * its rules in rules.def; a broken one is counted for the function, traced, and
 * told to driver authors with its clause (`nitroctl bugs`).
 */
#ifndef FIRMWARE_RT_RULE_H
#define FIRMWARE_RT_RULE_H

#include <stddef.h>
#include <stdint.h>

#include "firmware/rt/counter.h"
#include "firmware/rt/log.h"

struct rt_rule {
	const char *name;   /* "ebs.sq_doorbell_range" */
	const char *clause; /* "NVMe Base 1.4, 3.1.24" */
	const char
		*sentence; /* "A tail doorbell must be below the queue size." */
};

/* One per rule and function: how often, and the last offending value. */
struct rt_rule_record {
	struct rt_counter count;
	struct rt_counter last_value;
	struct rt_log_site log; /* each rule has its own limit */
};

struct rt_rule_book {
	const char *who; /* the function's name; borrowed */
	const struct rt_rule *rules;
	struct rt_rule_record *records; /* one for each rule; the owner's */
	size_t count;
};

/* Counts, traces (rt_rule_broken) and logs at notice level, rate-limited. */
void rt_rule_broken(struct rt_rule_book *book, size_t rule, uint64_t value);

#endif
