/* SPDX-License-Identifier: BSD-3-Clause */
/* The ground floor's own events. */
#include "firmware/rt/trace_rt.h"

#define RT_TRACE_ROOM rt
#define RT_TRACE_DEF  "firmware/rt/trace.def"
#include "firmware/rt/trace_define.h"
