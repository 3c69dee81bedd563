/* SPDX-License-Identifier: BSD-3-Clause */
/* What libnvme's header says. */
#include <nvme/types.h>

#include "tests/abi/nvme_facts.h"

#include <assert.h>
#include <string.h>

size_t their_facts(struct nvme_fact facts[NVME_FACTS_MAX])
{
	const struct nvme_fact table[] = {
#define FIELD(ours, our_member, theirs, their_member)                          \
	{ #theirs "." #their_member, offsetof(struct theirs, their_member),    \
	  sizeof(struct theirs) },
#define NUMBER(name, ours, theirs) { name, theirs, 0 },
#include "tests/abi/nvme_facts.def"
	};

	static_assert(sizeof table <= NVME_FACTS_MAX * sizeof *table, "room");
	memcpy(facts, table, sizeof table);
	return sizeof table / sizeof *table;
}
