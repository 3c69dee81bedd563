/* SPDX-License-Identifier: BSD-3-Clause */
/* The bus's events, for the program to switch on and off. */
#include "pcie-model/trace.h"

#define RT_TRACE_ROOM pcie
#define RT_TRACE_DEF  "pcie-model/trace.def"
#include "firmware/rt/trace_define.h"
