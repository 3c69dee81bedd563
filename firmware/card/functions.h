/* SPDX-License-Identifier: BSD-3-Clause */
/* What this program is made of: the lists of functions and of rooms. */
#ifndef FIRMWARE_CARD_FUNCTIONS_H
#define FIRMWARE_CARD_FUNCTIONS_H

struct pcie_function_type;
struct rt_trace_table;

/* Both end with NULL. */
extern const struct pcie_function_type *const card_functions[];
extern const struct rt_trace_table *const card_traces[];

#endif
