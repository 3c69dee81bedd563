/* SPDX-License-Identifier: BSD-3-Clause */
/* What an operator can see of a NIC and ask of it. */
#ifndef ENA_STATUS_H
#define ENA_STATUS_H

#include "pcie-model/function.h"

#define ENA_VERBS 5u
extern const struct pcie_verb ena_verbs[ENA_VERBS];

/* The slot describe. */
size_t ena_describe(struct pcie_function *fn, char *text, size_t size);

#endif
