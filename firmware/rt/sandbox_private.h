/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the files of the sandbox. */
#ifndef FIRMWARE_RT_SANDBOX_PRIVATE_H
#define FIRMWARE_RT_SANDBOX_PRIVATE_H

#include <signal.h>

struct rt_sandbox_refusal;

/* SYS_SECCOMP of <asm-generic/siginfo.h>, which libc's header leaves out. */
#define RT_SIGSYS_BY_FILTER 1

/* In the handler of SIGSYS: report the call, and make it fail. */
void rt_sandbox_call_refused(const siginfo_t *info, void *context);

/* To whoever reads refusals.  Any thread, also in a handler. */
void rt_sandbox_report(const struct rt_sandbox_refusal *refusal);

#endif
