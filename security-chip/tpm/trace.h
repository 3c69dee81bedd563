/* SPDX-License-Identifier: BSD-3-Clause */
/* The TPM's trace events: see trace.def and firmware/rt/trace.h. */
#ifndef SECURITY_CHIP_TPM_TRACE_H
#define SECURITY_CHIP_TPM_TRACE_H

#define RT_TRACE_ROOM tpm
#define RT_TRACE_DEF  "security-chip/tpm/trace.def"
#include "firmware/rt/trace_emit.h"

#endif
