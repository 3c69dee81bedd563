/* SPDX-License-Identifier: BSD-3-Clause */
/* The volume's trace events: their descriptors. */
#include "ebs-nvme/trace.h"

#define RT_TRACE_ROOM ebs
#define RT_TRACE_DEF  "ebs-nvme/trace.def"
#include "firmware/rt/trace_define.h"
