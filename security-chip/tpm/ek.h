/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The TPM's endorsement keys, as EC2's GetInstanceTpmEkPub gives them: both are
 * made from the endorsement seed with the templates of the TCG's EK Credential
 * Profile 2.5, so that a guest which makes them gets the same ones.
 */
#ifndef SECURITY_CHIP_TPM_EK_H
#define SECURITY_CHIP_TPM_EK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sec_tpm_ek_kind {
	SEC_TPM_EK_RSA_2048, /* template L-1 (B.3.3) */
	SEC_TPM_EK_ECC_P384, /* template H-3 (B.4.5) */
	SEC_TPM_EKS
};

#define SEC_TPM_EK_TEXT  700u /* in base64 with its NUL */
#define SEC_TPM_EK_BYTES 512u /* of a public area, at most, or of its DER */

struct sec_tpm_ek {
	uint32_t size;                  /* 0: not known */
	uint8_t tpmt[SEC_TPM_EK_BYTES]; /* TPMT_PUBLIC */
};

/*
 * Make the keys' public areas.  The TPM's power is on and it was started; only
 * its own commands may have been run.  -EIO: it would not; they have size 0.
 */
int sec_tpm_ek_make(struct sec_tpm_ek eks[SEC_TPM_EKS]);

/*
 * A public area as a DER SubjectPublicKeyInfo (RFC 5280).  Its size, or
 * -EINVAL: it is of no kind above, -EIO.
 */
int sec_tpm_ek_to_der(const struct sec_tpm_ek *ek,
		      uint8_t out[SEC_TPM_EK_BYTES]);

/* Either of them in base64.  0, -EINVAL or -EIO. */
int sec_tpm_ek_to_base64(const struct sec_tpm_ek *ek, bool as_der,
			 char out[SEC_TPM_EK_TEXT]);

#endif
