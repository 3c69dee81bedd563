/* SPDX-License-Identifier: BSD-3-Clause */
/* The security module's trace events: their descriptors. */
#include "security-chip/nsm/trace.h"

#define RT_TRACE_ROOM nsm
#define RT_TRACE_DEF  "security-chip/nsm/trace.def"
#include "firmware/rt/trace_define.h"
