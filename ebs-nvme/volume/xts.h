/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * XTS-AES-256 of whole units of 512 bytes, IEEE 1619-2018, with what this
 * processor has.  The tweak is the unit's number: the logical block address.
 * No secret decides about a branch or an address.  Any thread, many at a time.
 */
#ifndef EBS_NVME_VOLUME_XTS_H
#define EBS_NVME_VOLUME_XTS_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EBS_XTS_KEY_BYTES 64u /* Key1 and Key2 after each other, 5.1 */
#define EBS_XTS_UNIT      512u
#define EBS_XTS_ROUNDS    14u

/* Each round key four times: as wide as the widest instruction wants it. */
struct ebs_xts_schedule {
	alignas(64) uint8_t encrypt[EBS_XTS_ROUNDS + 1][64];
	alignas(64) uint8_t decrypt[EBS_XTS_ROUNDS + 1][64];
	alignas(64) uint8_t tweak[EBS_XTS_ROUNDS + 1][64];
	void *library; /* the library's, where the method is that */
};

/* `to` and `from` do not overlap, or are the same. */
typedef void ebs_xts(const struct ebs_xts_schedule *s, void *to,
		     const void *from, size_t units, uint64_t number);

/* A row of the table: the best that the processor has comes first. */
struct ebs_xts_method {
	const char *name;
	bool (*is_there)(void); /* on this processor */
	/* -ENOMEM.  End each schedule, which zeros it. */
	int (*begin)(struct ebs_xts_schedule *s,
		     const uint8_t key[EBS_XTS_KEY_BYTES]);
	void (*end)(struct ebs_xts_schedule *s);
	ebs_xts *encrypt;
	/* Past the caches: `to` is aligned to 64; see ebs_copy_fence(). */
	ebs_xts *encrypt_to_store;
	/* A unit of zeros becomes a unit of zeros; see crypt.c. */
	ebs_xts *decrypt;
	/* No register of this thread has a piece of a key any more. */
	void (*wipe)(void);
};
extern const struct ebs_xts_method ebs_xts_methods[];
extern const size_t ebs_xts_method_count;

const struct ebs_xts_method *ebs_xts_choose(void);

/* xts_x86.c: the rows that need such a processor. */
bool ebs_xts_has_vaes(void);
bool ebs_xts_has_aesni(void);
int ebs_xts_aesni_begin(struct ebs_xts_schedule *s,
			const uint8_t key[EBS_XTS_KEY_BYTES]);
void ebs_xts_aesni_end(struct ebs_xts_schedule *s);
ebs_xts ebs_xts_vaes_encrypt, ebs_xts_vaes_encrypt_to_store;
ebs_xts ebs_xts_vaes_decrypt;
ebs_xts ebs_xts_aesni_encrypt, ebs_xts_aesni_decrypt;
void ebs_xts_vaes_wipe(void);
void ebs_xts_aesni_wipe(void);

/* Nothing but zeros in the unit; it is no secret. */
static inline bool ebs_xts_is_blank(const uint8_t *unit)
{
	return !unit[0] && !memcmp(unit, unit + 1, EBS_XTS_UNIT - 1);
}

#endif
