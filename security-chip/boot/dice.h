/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Identity by measurement (TCG DICE Layering Architecture 1.0, 6): who has the
 * unique device secret gives the next stage a secret of its own, the compound
 * device identifier, and from that come keys which change with what was
 * measured.  Any thread.
 */
#ifndef SECURITY_CHIP_BOOT_DICE_H
#define SECURITY_CHIP_BOOT_DICE_H

#include "security-chip/derive.h"
#include "security-chip/measure.h"

#define SEC_UDS_BYTES 48u
#define SEC_CDI_BYTES 48u

/* CDI = HMAC-SHA384(UDS, SHA-384 of the registers rom, firmware, config). */
int sec_dice_cdi(const uint8_t uds[SEC_UDS_BYTES],
		 uint8_t registers[SEC_REGISTERS][SEC_DIGEST_BYTES],
		 uint8_t out[SEC_CDI_BYTES]);

/*
 * Key pairs on P-384, the caller's: the device's, which nothing changes, and
 * the alias, which is another one for each CDI.  0 or -EIO.
 */
int sec_dice_device_key(const uint8_t uds[SEC_UDS_BYTES],
			struct evp_pkey_st **out);
int sec_dice_alias_key(const uint8_t cdi[SEC_CDI_BYTES],
		       struct evp_pkey_st **out);

#endif
