/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the volumes, which want keys, and the security chip, which keeps
 * them: neither knows the other.
 */
#include "firmware/card/custody.h"

#include <assert.h>

#include "ebs-nvme/volume.h"
#include "ebs-nvme/volume/crypt.h"
#include "security-chip/keys.h"

static_assert(EBS_KEY_BYTES == SEC_KEY_BYTES, "both mean XTS-AES-256");

static int find(const char *volume_id, const char *kms_key_id, const char *file,
		bool may_make, void **out, struct rt_error *error)
{
	struct sec_key *key;
	int status = sec_key_find(volume_id, kms_key_id, file, may_make, &key,
				  error);

	if (!status)
		*out = key;
	return status;
}

static const char *wrapping(const void *key)
{
	return sec_key_wrapping(key);
}

static int unwrap(const void *key, uint8_t *out, struct rt_error *error)
{
	return sec_key_unwrap(key, out, error);
}

static void forget(void **key)
{
	struct sec_key *k = *key;

	sec_key_forget(&k);
	*key = NULL;
}

static const struct ebs_key_keeper chip = {
	.find = find,
	.wrapping = wrapping,
	.unwrap = unwrap,
	.forget = forget,
};

void card_custody_begin(void)
{
	ebs_key_keeper_set(&chip);
}
