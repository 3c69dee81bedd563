/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues on several threads do what queues on one do, whatever a host and an
 * operator do meanwhile: reset, stop, delete, abort, map, pause, cause faults.
 */
#include <criterion/criterion.h>

#include "tests/race/lanes.h"

#define FEW .rounds = 5, .steps = 20

Test(function_lanes, mapped_doorbells_lead_to_each_queues_thread)
{
	const struct lanes_options options = { .doors = HOST_NVME_DOORS_MAPPED,
					       .has_interrupts = true,
					       FEW };

	cr_expect_eq(lanes_run(&options), 0);
}

Test(function_lanes, doorbells_by_message_do)
{
	const struct lanes_options options = { .doors = HOST_NVME_DOORS_TRAPPED,
					       .volume = LANES_SHARED_FILE,
					       .has_interrupts = true,
					       FEW };

	cr_expect_eq(lanes_run(&options), 0);
}

Test(function_lanes, shadow_doorbells_do)
{
	const struct lanes_options options = { .doors = HOST_NVME_DOORS_SHADOW,
					       .volume = LANES_FILE,
					       .has_interrupts = true,
					       FEW };

	cr_expect_eq(lanes_run(&options), 0);
}

Test(function_lanes, a_message_wakes_the_thread_of_its_queue)
{
	const struct lanes_options options = { .doors = HOST_NVME_DOORS_TRAPPED,
					       .has_interrupts = true,
					       .is_sleepy = true,
					       FEW };

	cr_expect_eq(lanes_run(&options), 0);
}

Test(function_lanes, shadow_doorbells_wake_it_too)
{
	const struct lanes_options options = { .doors = HOST_NVME_DOORS_SHADOW,
					       .has_interrupts = true,
					       .is_sleepy = true,
					       FEW };

	cr_expect_eq(lanes_run(&options), 0);
}

Test(function_lanes, queues_without_interrupts_are_spread_as_well)
{
	const struct lanes_options options = { .doors = HOST_NVME_DOORS_MAPPED,
					       .volume = LANES_FILE,
					       FEW };

	cr_expect_eq(lanes_run(&options), 0);
}

Test(function_lanes, a_user_can_keep_all_queues_on_one_thread)
{
	const struct lanes_options options = { .doors = HOST_NVME_DOORS_MAPPED,
					       .volume = LANES_FILE,
					       .has_interrupts = true,
					       .is_at_home = true,
					       FEW };

	cr_expect_eq(lanes_run(&options), 0);
}
