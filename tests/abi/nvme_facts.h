/* SPDX-License-Identifier: BSD-3-Clause */
/* One row per line of nvme_facts.def, as one header has it. */
#ifndef TESTS_ABI_NVME_FACTS_H
#define TESTS_ABI_NVME_FACTS_H

#include <stddef.h>
#include <stdint.h>

struct nvme_fact {
	const char *name;
	uint64_t value; /* a number, or an offset */
	uint64_t size;  /* of the struct that has the field; 0 for a number */
};

#define NVME_FACTS_MAX 512

/* Fill the table; returns how many rows there are. */
size_t our_facts(struct nvme_fact facts[NVME_FACTS_MAX]);
size_t their_facts(struct nvme_fact facts[NVME_FACTS_MAX]);

#endif
