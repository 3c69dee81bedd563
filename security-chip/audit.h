/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The audit log: security-chip/audit.log in the state directory, a line for
 * each event that an auditor must be able to rely on.  It is only appended to,
 * by all cards of the installation.  A line is
 *
 *   MAC NUMBER TIME EVENT TEXT
 *
 * with MAC = HMAC-SHA384(key, MAC of the line before || NUMBER … TEXT) in
 * hexadecimal; the key is the chip's.  audit.head holds the last MAC and
 * number, so that lines missing at the end are noticed too.
 */
#ifndef SECURITY_CHIP_AUDIT_H
#define SECURITY_CHIP_AUDIT_H

#include <stdint.h>

struct rt_error;

/*
 * Append a record.  event: one word, such as "gate.denied"; text is cut at 400
 * bytes, and what is not printable ASCII becomes '?'.  Without an open chip it
 * goes to the operator's log only.  At most 1000 records in 10 seconds are
 * written; the next one says how many were held back.  Any thread.
 */
void sec_audit(const char *event, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Check the chain of the open chip's log.  0: it is whole, and *out_records is
 * its length.  -EBADMSG: it is not, *error says where, and *out_records is the
 * number of good records before that place.  -ENODEV: no chip is open; or
 * another negative errno.  Any thread.
 */
int sec_audit_check(uint64_t *out_records, struct rt_error *error);

/* The chip's: open and close the log in its directory. */
int sec_audit_open(int dir, struct rt_error *error);
void sec_audit_close(void);

#endif
