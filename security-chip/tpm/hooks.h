/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NitroTPM's own: what libtpms 0.9 does not have, added between its parts when
 * the program is linked (see hooks.c).
 *
 * - The vendor command 0x20000001: TPM_ST_SESSIONS, an authorisation handle, an
 *   NV index, no parameters.  The index's content is a request of the NSM API
 *   and becomes its response, padded with zeros.  libtpms checks the
 *   authorisation; what authorises it may both read and write the index.
 * - NV indices of up to SEC_TPM_NV_BYTES, which a response needs.
 *
 * With the engine's lock held, as all of engine.h.
 */
#ifndef SECURITY_CHIP_TPM_HOOKS_H
#define SECURITY_CHIP_TPM_HOOKS_H

#include <stddef.h>
#include <stdint.h>

#define SEC_TPM_NV_BYTES 8192u

/*
 * A response of at most room bytes to what stands at the beginning of the
 * request's; its size.  Called in the middle of the command: no other can run.
 */
typedef size_t sec_tpm_nsm_fn(void *opaque, const uint8_t *request, size_t size,
			      uint8_t *response, size_t room);

/* From now on; NULL: there is no such command. */
void sec_tpm_hooks_set(sec_tpm_nsm_fn *answer, void *opaque);
/* This command is about to be run. */
void sec_tpm_hooks_begin(const uint8_t *command, size_t size);

#endif
