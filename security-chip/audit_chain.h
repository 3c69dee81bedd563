/* SPDX-License-Identifier: BSD-3-Clause */
/* How records of the audit log hang together.  The caller holds its lock. */
#ifndef SECURITY_CHIP_AUDIT_CHAIN_H
#define SECURITY_CHIP_AUDIT_CHAIN_H

#include <stdint.h>

#include "security-chip/measure.h"

/* Bytes of a record without its MAC, with its end. */
#define SEC_AUDIT_BODY 600

struct rt_error;

/* audit.head, as it is in the file: the last record. */
struct sec_audit_head {
	uint64_t count; /* records so far; the file is this machine's own */
	uint64_t size;  /* bytes of the log, up to the end of the last one */
	uint8_t mac[SEC_DIGEST_BYTES];  /* of the last one; zero: none yet */
	uint8_t seal[SEC_DIGEST_BYTES]; /* over the others */
};

/*
 * An empty file is a log without records.  -EBADMSG: it was changed.  A card
 * may have died after it had written a record and before the head: such records
 * at the end of the log are counted in.
 */
int sec_audit_head_read(int log, int fd, struct sec_audit_head *out);

/* Append a line with this body after *head, and make that the new head. */
int sec_audit_append(int log, int head_fd, struct sec_audit_head *head,
		     const char *body);

/* As sec_audit_check(). */
int sec_audit_chain_check(int log, int head, uint64_t *out_records,
			  struct rt_error *error);

#endif
