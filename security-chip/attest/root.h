/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The installation's simulated root.  Its key is derived from the chip's
 * secret and is in no file; its certificate is in the chip's directory, so
 * that it is the same at each start.
 */
#ifndef SECURITY_CHIP_ATTEST_ROOT_H
#define SECURITY_CHIP_ATTEST_ROOT_H

#include "security-chip/attest/certificate.h"

struct rt_error;

/* What stands where a real card has "aws"; no name here says Amazon. */
#define SEC_ROOT_DOMAIN "simulated.nitro-enclaves"
#define SEC_ROOT_FILE   "attestation-root.der"

/*
 * Key and certificate into *out, which is zeroed or cleared.  Returns 0, or a
 * negative errno with *error: no chip is open, or the file cannot be written.
 */
int sec_root_open(struct sec_certificate *out, struct rt_error *error);
/* Another root of the same name, with a key of its own.  Returns 0 or -EIO. */
int sec_root_forge(struct sec_certificate *out);

#endif
