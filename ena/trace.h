/* SPDX-License-Identifier: BSD-3-Clause */
/* The network function's trace events: see trace.def and firmware/rt/trace.h.
 */
#ifndef ENA_TRACE_H
#define ENA_TRACE_H

#define RT_TRACE_ROOM ena
#define RT_TRACE_DEF  "ena/trace.def"
#include "firmware/rt/trace_emit.h"

#endif
