/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers of the rules in rules.def, for rt_rule_broken(&fn->bus_rules, …). */
#ifndef PCIE_MODEL_RULES_H
#define PCIE_MODEL_RULES_H

#include "firmware/rt/rule.h"

enum {
#define RULE(name, clause, sentence) PCIE_RULE_##name,
#include "pcie-model/rules.def"
#undef RULE
	PCIE_RULES
};

extern const struct rt_rule pcie_rules[PCIE_RULES];

#endif
