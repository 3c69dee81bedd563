/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules that hold for every function, with their clauses. */
#include "pcie-model/rules.h"

const struct rt_rule pcie_rules[PCIE_RULES] = {
#define RULE(name, clause, sentence) { "pcie." #name, clause, sentence },
#include "pcie-model/rules.def"
#undef RULE
};
