/* SPDX-License-Identifier: BSD-3-Clause */
/* What ebs-nvme/abi.h says. */
#include "ebs-nvme/abi.h"
#include "tests/abi/nvme_facts.h"

#include <assert.h>
#include <string.h>

size_t our_facts(struct nvme_fact facts[NVME_FACTS_MAX])
{
	const struct nvme_fact table[] = {
#define FIELD(ours, our_member, theirs, their_member)                          \
	{ #ours "." #our_member, offsetof(struct ours, our_member),            \
	  sizeof(struct ours) },
#define NUMBER(name, ours, theirs) { name, ours, 0 },
#include "tests/abi/nvme_facts.def"
	};

	static_assert(sizeof table <= NVME_FACTS_MAX * sizeof *table, "room");
	memcpy(facts, table, sizeof table);
	return sizeof table / sizeof *table;
}
