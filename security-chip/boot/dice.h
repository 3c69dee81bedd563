/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Identity by measurement (TCG DICE Layering Architecture 1.0, 6): who has the
 * unique device secret gives the next stage a secret of its own, the compound
 * device identifier, and from that come keys which change with what was
 * measured.  Any thread.
 */
#ifndef SECURITY_CHIP_BOOT_DICE_H
#define SECURITY_CHIP_BOOT_DICE_H

#include "security-chip/boot/manifest.h"
#include "security-chip/measure.h"

#define SEC_CDI_BYTES 48u

/* CDI = HMAC-SHA384(UDS, SHA-384 of the registers rom, firmware, config). */
int sec_dice_cdi(const uint8_t uds[48],
		 uint8_t registers[SEC_REGISTERS][SEC_DIGEST_BYTES],
		 uint8_t out[SEC_CDI_BYTES]);

/* The public key, on P-384, whose private one is derived from the CDI. */
int sec_dice_identity(const uint8_t cdi[SEC_CDI_BYTES],
		      uint8_t out[SEC_POINT_BYTES]);

#endif
