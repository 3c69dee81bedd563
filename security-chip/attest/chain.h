/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The five certificates of a document, from the root to the leaf.  Those under
 * the root live as long as a real card's and are renewed before they end.
 */
#ifndef SECURITY_CHIP_ATTEST_CHAIN_H
#define SECURITY_CHIP_ATTEST_CHAIN_H

#include "security-chip/attest/certificate.h"

struct rt_error;

enum sec_level {
	SEC_LEVEL_ROOT,
	SEC_LEVEL_REGIONAL,
	SEC_LEVEL_ZONAL,
	SEC_LEVEL_INSTANCE,
	SEC_LEVEL_LEAF,
	SEC_LEVELS,
};

struct sec_chain {
	char module_id[64], region[15], instance[21]; /* fixed */
	struct sec_certificate level[SEC_LEVELS];
	unsigned int faults; /* those that it was made with */
};

/*
 * Checks that names fit into certificates, and opens the root.  *chain is
 * zeroed before.  Returns 0 or a negative errno with *error.
 */
int sec_chain_init(struct sec_chain *chain, const char *module_id,
		   const char *region, struct rt_error *error);
void sec_chain_deinit(struct sec_chain *chain);

/* Renew what ends soon, or is of other faults.  Returns 0 or -EIO. */
int sec_chain_keep(struct sec_chain *chain, int64_t now_s, unsigned int faults);

#endif
