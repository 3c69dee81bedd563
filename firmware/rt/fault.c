/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fault points.  Whether question number n of a point goes wrong depends on the
 * rule's seed and on n alone, so a run can be repeated.  A set belongs to its
 * function's thread.
 */
#include "firmware/rt/fault.h"

#include <errno.h>
#include <string.h>

#include "firmware/rt/trace_rt.h"

#define PPM 1000000

/*
 * The splitmix64 step (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
 * Generators, 2014): a well-mixed function of seed and number.
 */
static uint64_t mix(uint64_t seed, uint64_t number)
{
	uint64_t z = seed + (number + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static bool decide(const struct rt_fault_rule *rule, uint64_t number)
{
	return mix(rule->seed, number) % PPM < rule->probability_ppm;
}

bool rt_fault(struct rt_fault_set *set, size_t point, uint64_t *value)
{
	struct rt_fault_slot *slot = &set->slots[point];
	const struct rt_fault_rule *rule = &slot->rule;
	uint64_t number;

	if (!rule->is_set)
		return false;
	number = slot->asked++;
	if (number < rule->skip || !decide(rule, number))
		return false;
	if (rule->limit && slot->made >= rule->limit)
		return false;
	slot->made++;
	*value = rule->value;
	trace_rt_fault_made((uint32_t)point, rule->value);
	return true;
}

static struct rt_fault_slot *find_slot(struct rt_fault_set *set,
				       const char *name)
{
	for (size_t i = 0; i < set->count; i++)
		if (!strcmp(set->points[i].name, name))
			return &set->slots[i];
	return NULL;
}

int rt_fault_set_rule(struct rt_fault_set *set, const char *name,
		      const struct rt_fault_rule *rule)
{
	struct rt_fault_slot *slot = find_slot(set, name);

	if (!slot)
		return -ENOENT;
	if (rule->probability_ppm > PPM)
		return -EINVAL;
	set->rule_count += !slot->rule.is_set;
	*slot = (struct rt_fault_slot){ .rule = *rule };
	slot->rule.is_set = true;
	return 0;
}

int rt_fault_clear(struct rt_fault_set *set, const char *name)
{
	struct rt_fault_slot *slot = find_slot(set, name);

	if (!slot)
		return -ENOENT;
	set->rule_count -= slot->rule.is_set;
	*slot = (struct rt_fault_slot){ 0 };
	return 0;
}
