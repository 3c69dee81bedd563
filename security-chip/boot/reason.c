/* SPDX-License-Identifier: BSD-3-Clause */
#include "security-chip/boot/reason.h"

static const struct {
	const char *name, *sentence;
} reasons[] = {
#define REASON(symbol, name, sentence) { name, sentence },
#include "security-chip/boot/reason.def"
#undef REASON
};

const char *sec_reason_name(enum sec_reason reason)
{
	return (unsigned int)reason < SEC_REASONS ? reasons[reason].name : "?";
}

const char *sec_reason_sentence(enum sec_reason reason)
{
	return (unsigned int)reason < SEC_REASONS ? reasons[reason].sentence
						  : "?";
}
