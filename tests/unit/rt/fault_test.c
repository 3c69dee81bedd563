/* SPDX-License-Identifier: BSD-3-Clause */
/* Fault points and the rules set on them. */
#include <criterion/criterion.h>
#include <errno.h>

#include "firmware/rt/fault.h"

enum { DELAY, STATUS, POINTS };

static const struct rt_fault_point points[POINTS] = {
	[DELAY] = { "delay", "hold a completion", "microseconds" },
	[STATUS] = { "status", "complete with an error", "status" },
};

struct fixture {
	struct rt_fault_slot slots[POINTS];
	struct rt_fault_set set;
};

static struct fixture make(void)
{
	return (struct fixture){ .set = { .points = points, .count = POINTS } };
}

static unsigned int count_faults(struct fixture *f, unsigned int questions)
{
	unsigned int made = 0;
	uint64_t value;

	f->set.slots = f->slots;
	for (unsigned int i = 0; i < questions; i++)
		made += rt_fault(&f->set, DELAY, &value);
	return made;
}

static void set_rule(struct fixture *f, struct rt_fault_rule rule)
{
	f->set.slots = f->slots;
	cr_assert_eq(rt_fault_set_rule(&f->set, "delay", &rule), 0);
}

Test(rt_fault, nothing_goes_wrong_without_a_rule)
{
	struct fixture f = make();

	cr_expect_eq(count_faults(&f, 100), 0);
	cr_expect_eq(f.slots[DELAY].asked, 0);
}

Test(rt_fault, a_sure_rule_always_makes_a_fault_with_its_value)
{
	struct fixture f = make();
	uint64_t value = 0;

	set_rule(&f, (struct rt_fault_rule){ .probability_ppm = 1000000,
					     .value = 77 });
	cr_expect(rt_fault(&f.set, DELAY, &value));
	cr_expect_eq(value, 77);
	cr_expect_not(rt_fault(&f.set, STATUS, &value));
	cr_expect_eq(count_faults(&f, 99), 99);
	cr_expect_eq(f.slots[DELAY].made, 100);
}

Test(rt_fault, skip_and_limit_bound_the_faults)
{
	struct fixture f = make();

	set_rule(&f, (struct rt_fault_rule){ .probability_ppm = 1000000,
					     .skip = 3,
					     .limit = 2 });
	cr_expect_eq(count_faults(&f, 3), 0);
	cr_expect_eq(count_faults(&f, 100), 2);
	cr_expect_eq(f.slots[DELAY].asked, 103);
}

Test(rt_fault, a_chance_is_met_roughly)
{
	struct fixture f = make();
	unsigned int made;

	set_rule(&f, (struct rt_fault_rule){ .probability_ppm = 250000 });
	made = count_faults(&f, 100000);
	cr_expect(made > 24000 && made < 26000, "%u of 100000", made);
}

Test(rt_fault, a_chance_of_zero_never_comes)
{
	struct fixture f = make();

	set_rule(&f, (struct rt_fault_rule){ .probability_ppm = 0 });
	cr_expect_eq(count_faults(&f, 10000), 0);
}

Test(rt_fault, the_same_seed_repeats_the_run_and_another_does_not)
{
	struct fixture f = make();
	uint64_t runs[3] = { 0 }, value;

	for (unsigned int run = 0; run < 3; run++) {
		set_rule(&f, (struct rt_fault_rule){ .probability_ppm = 500000,
						     .seed = run / 2 });
		for (unsigned int i = 0; i < 64; i++)
			runs[run] = runs[run] << 1 |
				    rt_fault(&f.set, DELAY, &value);
	}
	cr_expect_eq(runs[0], runs[1]);
	cr_expect_neq(runs[0], runs[2]);
}

Test(rt_fault, a_cleared_rule_is_forgotten)
{
	struct fixture f = make();

	set_rule(&f, (struct rt_fault_rule){ .probability_ppm = 1000000 });
	cr_expect_eq(count_faults(&f, 1), 1);
	cr_expect_eq(rt_fault_clear(&f.set, "delay"), 0);
	cr_expect_eq(count_faults(&f, 1), 0);
	cr_expect_eq(f.slots[DELAY].made, 0);
}

Test(rt_fault, bad_names_and_chances_are_refused)
{
	struct fixture f = make();
	struct rt_fault_rule rule = { .probability_ppm = 1000001 };

	f.set.slots = f.slots;
	cr_expect_eq(rt_fault_set_rule(&f.set, "delay", &rule), -EINVAL);
	cr_expect_eq(rt_fault_set_rule(&f.set, "dela", &rule), -ENOENT);
	cr_expect_eq(rt_fault_clear(&f.set, ""), -ENOENT);
	cr_expect_not(f.slots[DELAY].rule.is_set);
}
