/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fault points: places that ask "shall this go wrong now?".  A point is named
 * in its room's fault.def; a rule that a user sets on it decides.  Decisions
 * come from the rule's seed and the number of the question, so that a run can
 * be repeated.  A set belongs to one function and to its thread.
 */
#ifndef FIRMWARE_RT_FAULT_H
#define FIRMWARE_RT_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rt_fault_point {
	const char *name;     /* "io_delay" */
	const char *sentence; /* what goes wrong */
	const char *value;    /* what the rule's value means; NULL: nothing */
};

struct rt_fault_rule {
	bool is_set;
	uint32_t probability_ppm; /* of each question, 0 to 1,000,000 */
	uint64_t skip;            /* questions to let pass first */
	uint64_t limit;           /* faults to make at most; 0: no limit */
	uint64_t value; /* as the point says: a status, microseconds */
	uint64_t seed;
};

struct rt_fault_slot {
	struct rt_fault_rule rule;
	uint64_t asked, made;
};

struct rt_fault_set {
	const struct rt_fault_point *points;
	struct rt_fault_slot *slots; /* one for each point, the set's owner's */
	size_t count;
	size_t rule_count; /* points that have a rule: 0 asks for no look */
};

/* Asks point number `point`.  True: it shall go wrong; *value is the rule's. */
bool rt_fault(struct rt_fault_set *set, size_t point, uint64_t *value);

/* -ENOENT: no point of that name; -EINVAL: a probability above one. */
int rt_fault_set_rule(struct rt_fault_set *set, const char *name,
		      const struct rt_fault_rule *rule);
int rt_fault_clear(struct rt_fault_set *set, const char *name);

#endif
