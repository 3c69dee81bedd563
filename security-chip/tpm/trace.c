/* SPDX-License-Identifier: BSD-3-Clause */
/* The TPM's trace events: their descriptors. */
#include "security-chip/tpm/trace.h"

#define RT_TRACE_ROOM tpm
#define RT_TRACE_DEF  "security-chip/tpm/trace.def"
#include "firmware/rt/trace_define.h"
