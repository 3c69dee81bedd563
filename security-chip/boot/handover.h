/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the first stage hands to the program it starts: one sealed memfd, whose
 * number is in --handover.  A first stage is never replaced and a card is, so
 * this layout only ever grows at its end: `size` says how far it goes, and a
 * card refuses what does not go as far as it needs.  Any other layout has
 * another magic.
 */
#ifndef SECURITY_CHIP_BOOT_HANDOVER_H
#define SECURITY_CHIP_BOOT_HANDOVER_H

#include <limits.h>

#include "security-chip/boot/identity.h"
#include "security-chip/boot/report.h"

#define SEC_HANDOVER_MAGIC  "NITHAND2"
#define SEC_HANDOVER_EVENTS 16u

struct sec_handover {
	char magic[8];
	uint32_t size;        /* of this struct */
	uint32_t event_count; /* at most SEC_HANDOVER_EVENTS */
	int32_t config;       /* sealed memfd; the configuration */
	int32_t network;      /* sealed memfd of nitro-user-net; -1: none */
	int32_t ready;        /* pipe: one byte says that all functions serve */
	uint32_t reserved;
	char config_name[PATH_MAX]; /* where it was; it cannot be read there */
	uint8_t cdi[SEC_CDI_BYTES];
	struct sec_report report;
	struct sec_event events[SEC_HANDOVER_EVENTS];
	struct sec_identity identity;
};

/*
 * NULL: its form, the order of its stages and the certificates that speak of
 * them are as a first stage makes them.  Otherwise what is wrong.  What its
 * descriptors are is not looked at.
 */
const char *sec_handover_fault(const struct sec_handover *handover);

/* What its log makes of the registers; *out borrows.  0, -EINVAL or -EIO. */
int sec_handover_tcb(const struct sec_handover *handover, struct sec_tcb *out);

/* Digest of the first event of that register and name; NULL: there is none. */
const uint8_t *sec_handover_digest(const struct sec_handover *handover,
				   enum sec_register n, const char *what);

#endif
