/* SPDX-License-Identifier: BSD-3-Clause */
/* What is known of a boot, and how it is told: by the first stage while it
 * holds the card in reset, and by the card after that. */
#ifndef SECURITY_CHIP_BOOT_REPORT_H
#define SECURITY_CHIP_BOOT_REPORT_H

#include <jansson.h>
#include <stdint.h>

#include "security-chip/boot/flash.h"
#include "security-chip/boot/manifest.h"

enum sec_boot_state {
	SEC_BOOT_HELD,    /* no program runs */
	SEC_BOOT_VERIFY,  /* a slot is checked */
	SEC_BOOT_MEASURE, /* it goes into registers and log */
	SEC_BOOT_RELEASED /* its program was started */
};

enum sec_life_cycle {
	SEC_LIFE_UNPROVISIONED, /* no fuses: nothing was verified */
	SEC_LIFE_PRODUCTION,    /* fuses with an owner's key */
};

#define SEC_HISTORY 16u

/* Flat, and part of the hand-over. */
struct sec_report {
	uint32_t state;            /* enum sec_boot_state */
	uint32_t life_cycle;       /* enum sec_life_cycle */
	uint32_t slot;             /* SEC_SLOT_NONE: none */
	uint32_t reason;           /* enum sec_reason of HELD */
	uint32_t slots[SEC_SLOTS]; /* enum sec_reason of each, as tried */
	uint32_t was_tried;        /* bit n: slot n */
	uint32_t svn, floor;       /* the floor that it was checked against */
	uint32_t history_count;
	uint64_t denied;
	char version[SEC_VERSION_TEXT];
	uint8_t history[SEC_HISTORY]; /* enum sec_boot_state, from the first */
};

/*
 * Go to the next state.  -EPROTO: that state may not follow; it is then HELD,
 * for a wrong order.
 */
int sec_report_advance(struct sec_report *report, enum sec_boot_state to);

/*
 * Note what became of a slot.  The card is held for the first reason that is
 * more than an empty slot.
 */
void sec_report_slot(struct sec_report *report, unsigned int slot,
		     enum sec_reason reason);

const char *sec_boot_state_name(uint32_t state);
const char *sec_life_cycle_name(uint32_t life_cycle);

/* Bytes (at most SEC_POINT_BYTES) in hexadecimal. */
json_t *sec_report_hex(const uint8_t *bytes, size_t size);

/* The result of boot.status, but for who the card is; count events from zero
 * registers. */
json_t *sec_report_json(const struct sec_report *report,
			const struct sec_event *events, size_t count);

#endif
