/* SPDX-License-Identifier: BSD-3-Clause */
/* A hand-over as nitro-rom makes it, to be spoilt. */
#ifndef TESTS_UNIT_SECURITY_CHIP_HANDOVER_RIG_H
#define TESTS_UNIT_SECURITY_CHIP_HANDOVER_RIG_H

#include "security-chip/boot/handover.h"

/* Of a device: a secret, and what the parts of its firmware are. */
struct handover_rig {
	uint8_t uds[SEC_UDS_BYTES];
	uint8_t program[SEC_DIGEST_BYTES], config[SEC_DIGEST_BYTES],
		network[SEC_DIGEST_BYTES];
};

/* Without descriptors: all are -1. */
void handover_make(const struct handover_rig *rig, struct sec_handover *out);
/* Secret and certificates anew, of what the hand-over says now. */
void handover_certify(const struct handover_rig *rig, struct sec_handover *out);

#endif
