/* SPDX-License-Identifier: BSD-3-Clause */
/* Four queues of one volume on three threads, and all that may disturb them. */
#include <stdio.h>

#include "firmware/rt/scope.h"
#include "tests/race/lanes.h"

static const struct lanes_options cases[] = {
	{ .name = "mapped",
	  .doors = HOST_NVME_DOORS_MAPPED,
	  .has_interrupts = true,
	  .rounds = 10,
	  .steps = 30 },
	{ .name = "trapped",
	  .doors = HOST_NVME_DOORS_TRAPPED,
	  .volume = LANES_SHARED_FILE,
	  .has_interrupts = true,
	  .rounds = 5,
	  .steps = 30 },
	{ .name = "shadow",
	  .doors = HOST_NVME_DOORS_SHADOW,
	  .has_interrupts = true,
	  .rounds = 5,
	  .steps = 30 },
	{ .name = "sleepy",
	  .doors = HOST_NVME_DOORS_TRAPPED,
	  .has_interrupts = true,
	  .is_sleepy = true,
	  .rounds = 5,
	  .steps = 30 },
	{ .name = "sleepy shadow",
	  .doors = HOST_NVME_DOORS_SHADOW,
	  .has_interrupts = true,
	  .is_sleepy = true,
	  .rounds = 5,
	  .steps = 30 },
	{ .name = "file",
	  .doors = HOST_NVME_DOORS_MAPPED,
	  .volume = LANES_FILE,
	  .has_interrupts = true,
	  .rounds = 10,
	  .steps = 30 },
	{ .name = "encrypted",
	  .doors = HOST_NVME_DOORS_MAPPED,
	  .has_interrupts = true,
	  .is_encrypted = true,
	  .rounds = 5,
	  .steps = 30 },
	{ .name = "encrypted file",
	  .doors = HOST_NVME_DOORS_MAPPED,
	  .volume = LANES_FILE,
	  .has_interrupts = true,
	  .is_encrypted = true,
	  .rounds = 5,
	  .steps = 30 },
	{ .name = "silent",
	  .doors = HOST_NVME_DOORS_MAPPED,
	  .volume = LANES_FILE,
	  .rounds = 5,
	  .steps = 30 },
};

int main(void)
{
	unsigned int wrong = 0, count;

	for (size_t i = 0; i < RT_COUNT(cases); i++) {
		count = lanes_run(&cases[i]);
		if (count)
			fprintf(stderr, "%s: %u wrong\n", cases[i].name, count);
		wrong += count;
	}
	return wrong != 0;
}
