/* SPDX-License-Identifier: BSD-3-Clause */
/* The ground floor's own events; trace.h is what all rooms share. */
#ifndef FIRMWARE_RT_TRACE_RT_H
#define FIRMWARE_RT_TRACE_RT_H

#define RT_TRACE_ROOM rt
#define RT_TRACE_DEF  "firmware/rt/trace.def"
#include "firmware/rt/trace_emit.h"

#endif
