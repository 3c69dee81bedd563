/* SPDX-License-Identifier: BSD-3-Clause */
/* The TPM's platform configuration registers, read and bound to the card's. */
#ifndef SECURITY_CHIP_TPM_PCR_H
#define SECURITY_CHIP_TPM_PCR_H

#include <stddef.h>
#include <stdint.h>

#include "security-chip/measure.h"

#define SEC_TPM_PCRS     24u
/*
 * The PCR in which the card says what it is.  Only locality 2 extends it and
 * only localities 2 and 4 reset it (PC Client Platform TPM Profile, 4.6.2); a
 * guest has locality 0.
 */
#define SEC_TPM_CARD_PCR 22u

/*
 * The SHA-384 bank.  -EAGAIN: the TPM is off, or nobody has started it; -EIO:
 * it does not answer, or has no such bank.  With the engine's lock held, as are
 * the others.
 */
int sec_tpm_pcrs_read(uint8_t out[SEC_TPM_PCRS][SEC_DIGEST_BYTES]);

/*
 * Extend all banks of SEC_TPM_CARD_PCR by the card's registers before GUEST,
 * one event each, in their order.  -EIO.
 */
int sec_tpm_pcr_bind(void);

#endif
