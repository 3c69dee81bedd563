/* SPDX-License-Identifier: BSD-3-Clause */
/* Our numbers of NVMe against those of libnvme, which others wrote. */
#include <criterion/criterion.h>
#include <inttypes.h>

#include "tests/abi/nvme_facts.h"

Test(abi_nvme, our_numbers_are_libnvmes)
{
	static struct nvme_fact our[NVME_FACTS_MAX], their[NVME_FACTS_MAX];
	size_t count = our_facts(our);

	cr_assert_eq(their_facts(their), count);
	for (size_t i = 0; i < count; i++) {
		const struct nvme_fact *ours = &our[i];
		const struct nvme_fact *theirs = &their[i];

		cr_expect_eq(ours->value, theirs->value,
			     "%s: we say %#" PRIx64 ", libnvme %#" PRIx64,
			     ours->name, ours->value, theirs->value);
		cr_expect_eq(ours->size, theirs->size,
			     "%s: we say %" PRIu64 " bytes, libnvme %" PRIu64,
			     ours->name, ours->size, theirs->size);
	}
}
