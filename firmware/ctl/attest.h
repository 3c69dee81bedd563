/* SPDX-License-Identifier: BSD-3-Clause */
/* nitroctl attest: what its verbs share. */
#ifndef FIRMWARE_CTL_ATTEST_H
#define FIRMWARE_CTL_ATTEST_H

#include "firmware/ctl/ctl.h"
#include "security-chip/verify/nitro-attest.h"

#define CTL_ATTEST_BYTES 65536u /* of a file; a document has 17 KiB at most */

/* What was asked for. */
struct ctl_attest {
	const char *verb, *file, *root;
	struct nitro_attest_expectation wanted;
	/* Which `wanted` points into. */
	uint8_t nonce[1024], user_data[1024], pcr[NITRO_ATTEST_PCRS][64];
};

/*
 * Read a file, "-" for standard input, into room bytes.  False: said why.
 */
bool ctl_attest_load(const char *path, uint8_t *room,
		     struct nitro_attest_bytes *out);

/* The running card's root as PEM, *out to be freed. */
enum ctl_exit ctl_attest_root(struct ctl *ctl, char **out);

enum ctl_exit ctl_attest_verify(struct ctl *ctl, struct ctl_attest *words);
enum ctl_exit ctl_attest_show(const struct ctl_attest *words);

#endif
