/* SPDX-License-Identifier: BSD-3-Clause */
/* The card's TPM (security-chip/tpm): from its configuration to its end. */
#ifndef FIRMWARE_CARD_TPM_H
#define FIRMWARE_CARD_TPM_H

#include <stdbool.h>

#include "firmware/card/card.h"

/*
 * Start the TPM that the configuration asks for, if any; the chip is open.
 * False: it has been complained about.  Main thread, as the others.
 */
bool card_tpm_start(struct card *card, enum card_mode mode);

/* False: it did not end within ms, and the process should. */
bool card_tpm_stop(struct card *card, unsigned int ms);

#endif
