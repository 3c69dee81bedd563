/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All of the module that a guest could notice, flat: a successor goes on from a
 * copy of it.
 */
#ifndef SECURITY_CHIP_NSM_STATE_H
#define SECURITY_CHIP_NSM_STATE_H

#include <stdint.h>

#include "security-chip/nsm/virtio.h"

struct nsm_state {
	struct virtio_state virtio;

	/* They end with the instance: see nsm_pcrs_start(). */
	uint32_t locked; /* bit n: PCR n */
	uint8_t pcrs[NSM_PCRS][NSM_PCR_BYTES];

	/*
	 * The answer to the request under way, once it was carried out: it is
	 * not carried out again when its delivery begins again.
	 */
	uint8_t is_answered; /* 0 or 1 */
	uint32_t response_bytes;
	uint8_t response[NSM_RESPONSE_BYTES];
};

#endif
