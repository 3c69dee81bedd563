/* SPDX-License-Identifier: BSD-3-Clause */
/* trace_pcie_<event>(): the events of trace.def. */
#ifndef PCIE_MODEL_TRACE_H
#define PCIE_MODEL_TRACE_H

#define RT_TRACE_ROOM pcie
#define RT_TRACE_DEF  "pcie-model/trace.def"
#include "firmware/rt/trace_emit.h"

#endif
