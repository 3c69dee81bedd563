/* SPDX-License-Identifier: BSD-3-Clause */
/* The security module's trace events: see trace.def and firmware/rt/trace.h. */
#ifndef SECURITY_CHIP_NSM_TRACE_H
#define SECURITY_CHIP_NSM_TRACE_H

#define RT_TRACE_ROOM nsm
#define RT_TRACE_DEF  "security-chip/nsm/trace.def"
#include "firmware/rt/trace_emit.h"

#endif
