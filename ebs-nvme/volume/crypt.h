/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A volume's cipher: XTS-AES-256 with a data unit of one logical block and its
 * address as the tweak (IEEE 1619).  It is locked until it is given a key; what
 * follows from the key is in rt_secret memory only (but for OpenSSL's method,
 * see xts.c), and erased when it is locked again.  Unlocked and locked while no
 * request is on its way; used by any thread, many at a time.
 */
#ifndef EBS_NVME_VOLUME_CRYPT_H
#define EBS_NVME_VOLUME_CRYPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define EBS_KEY_BYTES 64u /* two of 256 bits, which differ */

struct ebs_crypt;
struct ebs_volume;
struct ebs_volume_io;
struct rt_error;

int ebs_crypt_create(struct ebs_crypt **out, struct rt_error *error);
void ebs_crypt_destroy(struct ebs_crypt **crypt);

/* key stays the caller's, to be erased.  -EINVAL: its halves are the same. */
int ebs_crypt_unlock(struct ebs_crypt *crypt, const uint8_t key[EBS_KEY_BYTES]);
void ebs_crypt_lock(struct ebs_crypt *crypt);
bool ebs_crypt_is_open(const struct ebs_crypt *crypt);
const char *ebs_crypt_method(const struct ebs_crypt *crypt); /* "vaes" */

/*
 * Guest memory into a store, and out of one, as ebs_copy_in() and _out(): the
 * vector has whole blocks in all, cut anywhere.  offset: of the first byte in
 * the volume.  is_large: the store is aligned to 64 and far larger than the
 * caches; end a row of those with ebs_copy_fence().
 *
 * A block of zeros in the store was never written, or was deallocated: it comes
 * out as zeros.
 */
void ebs_crypt_in(const struct ebs_crypt *crypt, void *to, uint64_t offset,
		  const struct iovec *iov, unsigned int count, bool is_large);
void ebs_crypt_out(const struct ebs_crypt *crypt, const void *from,
		   uint64_t offset, const struct iovec *iov,
		   unsigned int count);

/*
 * ebs_volume_submit() for reads and writes of an encrypted volume: what the
 * engine cannot do in one pass goes through io->bounce, which has ciphertext
 * only.  -ENOKEY: it is locked.
 */
int ebs_crypt_submit(struct ebs_volume *volume, struct ebs_volume_io *io);

#endif
