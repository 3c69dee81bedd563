/* SPDX-License-Identifier: BSD-3-Clause */
/* The volume's trace events: see trace.def and firmware/rt/trace.h. */
#ifndef EBS_NVME_TRACE_H
#define EBS_NVME_TRACE_H

#define RT_TRACE_ROOM ebs
#define RT_TRACE_DEF  "ebs-nvme/trace.def"
#include "firmware/rt/trace_emit.h"

#endif
