/* SPDX-License-Identifier: BSD-3-Clause */
/* How keys grow from secrets, always in the same way.  Any thread. */
#ifndef SECURITY_CHIP_DERIVE_H
#define SECURITY_CHIP_DERIVE_H

#include <stddef.h>
#include <stdint.h>

struct evp_pkey_st; /* OpenSSL's EVP_PKEY */

/* 64 bits more than the order of P-384 has, so that no key is likelier than
 * another (FIPS 186-5 A.2.1). */
#define SEC_KEY_SEED_BYTES 56u
#define SEC_POINT_BYTES    97u /* P-384, uncompressed (SEC 1 2.3.3) */

/*
 * out_size bytes (at most 12240: 255 hashes) that are others for each label:
 * HKDF-SHA384 (RFC 5869) of the secret, with the label as info.  0 or -EIO.
 */
int sec_derive(const void *secret, size_t size, const char *label, void *out,
	       size_t out_size);

/*
 * The key pair on P-384 whose private half is (seed mod (n - 1)) + 1.  *out is
 * the caller's.  0 or -EIO.
 */
int sec_key_of_seed(const uint8_t seed[SEC_KEY_SEED_BYTES],
		    struct evp_pkey_st **out);

/* The key pair of the seed that sec_derive() makes.  0 or -EIO. */
int sec_derive_key(const void *secret, size_t size, const char *label,
		   struct evp_pkey_st **out);

/* The public half of a key on P-384.  0 or -EIO. */
int sec_key_point(struct evp_pkey_st *key, uint8_t out[SEC_POINT_BYTES]);

#endif
