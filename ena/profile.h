/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The generations of Amazon's network adapters, as data.  Whatever differs
 * between them is a field here; code asks the field, never the name.
 */
#ifndef ENA_PROFILE_H
#define ENA_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "ena/abi.h"

enum ena_profile_number {
	ENA_PROFILE_NITRO_V3,
	ENA_PROFILE_NITRO_V4,
	ENA_PROFILE_NITRO_V5,
	ENA_PROFILE_XEN,
	ENA_PROFILE_MINIMAL,
	ENA_PROFILES,
};

struct ena_profile {
	const char *name;      /* the word in the card's configuration */
	uint32_t features;     /* bit n: enum ena_admin_feature */
	uint32_t capabilities; /* bit n: enum ena_admin_capability */
	uint32_t aenq_groups;  /* bit n: enum ena_admin_aenq */
	uint32_t max_mtu;
	/* Queues. */
	uint16_t pairs; /* at most */
	uint32_t tx_depth, rx_depth;
	uint16_t packet_descs; /* of one packet, both ways */
	uint16_t max_header_bytes;
	/* Offloads. */
	uint32_t tx_offloads, rx_offloads;
	/* LLQ: as feature 4 has them; all 0: there is none. */
	uint32_t llq_bytes; /* of BAR 2 */
	uint16_t llq_depth, llq_wide_depth;
	uint16_t llq_sizes, llq_descs, llq_strides, llq_accel;
	uint8_t llq_recommended;
	bool must_llq; /* transmit queues in host memory are refused */
	/* RSS. */
	bool has_fixed_key; /* it cannot be set */
	/* Flow steering. */
	uint16_t flows;
	/* PHC. */
	uint32_t phc_expire_us, phc_block_us;
};

extern const struct ena_profile ena_profiles[ENA_PROFILES];
/* Their names, NULL-terminated: the choices of the option. */
extern const char *const ena_profile_names[ENA_PROFILES + 1];

static inline bool ena_profile_has(const struct ena_profile *profile,
				   unsigned int feature)
{
	return feature < ENA_ADMIN_FEATURES &&
	       bits_get(BIT(feature), profile->features);
}

#endif
