/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules that a VMM or the guest behind it can break.  Those of the control
 * channel are the control thread's, those of commands the data thread's.
 */
#ifndef SECURITY_CHIP_TPM_RULES_H
#define SECURITY_CHIP_TPM_RULES_H

#include "firmware/rt/rule.h"

enum sec_tpm_rule {
#define RULE(name, clause, sentence) SEC_TPM_RULE_##name,
#include "security-chip/tpm/rules.def"
#undef RULE
	SEC_TPM_RULES
};

extern const struct rt_rule sec_tpm_rule_texts[SEC_TPM_RULES];

#endif
