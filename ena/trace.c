/* SPDX-License-Identifier: BSD-3-Clause */
/* The network function's trace events: their descriptors. */
#include "ena/trace.h"

#define RT_TRACE_ROOM ena
#define RT_TRACE_DEF  "ena/trace.def"
#include "firmware/rt/trace_define.h"
