/* SPDX-License-Identifier: BSD-3-Clause */
/* Why something was not started or not written. */
#ifndef SECURITY_CHIP_BOOT_REASON_H
#define SECURITY_CHIP_BOOT_REASON_H

enum sec_reason {
#define REASON(symbol, name, sentence) SEC_REASON_##symbol,
#include "security-chip/boot/reason.def"
#undef REASON
	SEC_REASONS
};

/* "svn-below-floor"; "?" for what is none. */
const char *sec_reason_name(enum sec_reason reason);
const char *sec_reason_sentence(enum sec_reason reason);

#endif
