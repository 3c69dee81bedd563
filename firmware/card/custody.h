/* SPDX-License-Identifier: BSD-3-Clause */
/* The security chip keeps the keys of encrypted volumes. */
#ifndef FIRMWARE_CARD_CUSTODY_H
#define FIRMWARE_CARD_CUSTODY_H

/* Before the first function is made. */
void card_custody_begin(void);

#endif
