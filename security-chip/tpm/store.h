/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a TPM's state lies: one sealed file for each kind of state in a private
 * directory.  A sealed blob is AES-256-GCM under the key of this installation
 * and this instance, bound to its kind:
 *
 *   bytes  0  8  "NITROTPM"
 *          8  4  version, 1 (big-endian)
 *         12 12  nonce
 *         24  n  ciphertext
 *       24+n 16  tag; the first 24 bytes, the kind and the instance are
 *                authenticated with it
 *
 * One thread at a time.
 */
#ifndef SECURITY_CHIP_TPM_STORE_H
#define SECURITY_CHIP_TPM_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "firmware/rt/error.h"

#define SEC_TPM_KEY_BYTES      32u
#define SEC_TPM_INSTANCE_BYTES 64u /* of the instance's name with its NUL */
#define SEC_TPM_STATE_BYTES    (512u << 10) /* of a state, at most */
#define SEC_TPM_SEAL_BYTES     40u          /* that sealing adds */

struct sec_tpm_store {
	int dir, lock; /* owned; -1: not open */
	char instance[SEC_TPM_INSTANCE_BYTES];
	uint8_t *key; /* of SEC_TPM_KEY_BYTES, in locked memory */
};

/*
 * The instance's state in the folder "tpm" of the private directory dir, which
 * is borrowed.  The folder is made when it is missing.  -EINVAL: instance is no
 * name of 1 to 63 letters, digits, '.', '_' and '-'; -EBUSY: another process
 * has this instance's TPM.
 */
int sec_tpm_store_open(struct sec_tpm_store *store, int dir,
		       const char *instance,
		       const uint8_t key[SEC_TPM_KEY_BYTES],
		       struct rt_error *error);
/* Erases the key.  Closing what is not open does nothing if dir is -1. */
void sec_tpm_store_close(struct sec_tpm_store *store);

/*
 * The state of that kind; *out is the caller's to free().  -ENOENT: there is
 * none; -EBADMSG: it was altered, or is of another installation or instance.
 */
int sec_tpm_store_read(const struct sec_tpm_store *store, const char *kind,
		       uint8_t **out, size_t *size, struct rt_error *error);
/*
 * Replace it, wholly or not at all, whenever the machine fails.  It is on the
 * medium when this returns 0.  -EFBIG: more than SEC_TPM_STATE_BYTES.
 */
int sec_tpm_store_write(const struct sec_tpm_store *store, const char *kind,
			const uint8_t *data, size_t size);
/* 0 also when there is none. */
int sec_tpm_store_remove(const struct sec_tpm_store *store, const char *kind);

/*
 * The same sealing for what leaves the card.  *out is the caller's.  Unsealing
 * says -EBADMSG for what this store did not seal as that kind.
 */
int sec_tpm_seal(const struct sec_tpm_store *store, const char *kind,
		 const uint8_t *data, size_t size, uint8_t **out,
		 size_t *out_size);
int sec_tpm_unseal(const struct sec_tpm_store *store, const char *kind,
		   const uint8_t *sealed, size_t size, uint8_t **out,
		   size_t *out_size);

#endif
