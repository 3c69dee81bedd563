/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Measurements as certificates carry them: the extension tcg-dice-MultiTcbInfo
 * (TCG DICE Attestation Architecture 1.1), a DiceTcbInfo for each layer, the
 * first stage being layer 0.  Any thread.
 */
#ifndef SECURITY_CHIP_BOOT_TCB_INFO_H
#define SECURITY_CHIP_BOOT_TCB_INFO_H

#include "security-chip/boot/manifest.h"
#include "security-chip/measure.h"

#define SEC_TCB_INFO_OID   "2.23.133.5.4.5"
#define SEC_TCB_INFO_BYTES 512u

/* What was measured. */
struct sec_tcb {
	const char *version; /* of the firmware, with its security version */
	uint32_t svn;
	uint8_t registers[SEC_REGISTERS][SEC_DIGEST_BYTES];
};

/*
 * A layer is a register: its name is the model, its value the only fwid.  The
 * number of bytes; 0: the version is longer than a manifest's.
 */
size_t sec_tcb_info(const struct sec_tcb *tcb, uint8_t out[SEC_TCB_INFO_BYTES]);

#endif
