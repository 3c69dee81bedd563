/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Measured boot: registers that can only be extended, and the log of what they
 * were extended with, in the manner of TPM 2.0 PCRs (TCG PC Client PFP 10.2):
 * register = SHA-384(register || digest), from zero.  One set in a process. All
 * functions: any thread.
 */
#ifndef SECURITY_CHIP_MEASURE_H
#define SECURITY_CHIP_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#define SEC_DIGEST_BYTES 48u   /* SHA-384 */
#define SEC_EVENT_WHAT   64u   /* bytes of an event's name, with its end */
#define SEC_EVENTS       1024u /* a log has no more */

enum sec_register {
	SEC_REGISTER_ROM,      /* who started it, and in which life-cycle */
	SEC_REGISTER_FIRMWARE, /* the card's program */
	SEC_REGISTER_CONFIG,   /* its configuration */
	SEC_REGISTER_POLICY,   /* what the card forbids itself */
	SEC_REGISTER_GUEST,    /* what guests report */
	SEC_REGISTERS
};

struct sec_event {
	uint32_t number; /* enum sec_register */
	char what[SEC_EVENT_WHAT];
	uint8_t digest[SEC_DIGEST_BYTES];
};

/* "rom", "firmware", "config", "policy", "guest". */
const char *sec_register_name(enum sec_register n);

/*
 * Extend a register and log it.  what is cut to what an event has room for.
 * -EINVAL: there is no such register; -ENOSPC: the log is full, and nothing was
 * extended.  Guests may fill half of the log at most.
 */
int sec_measure(enum sec_register n, const char *what,
		const uint8_t digest[SEC_DIGEST_BYTES]);

/* The same, of bytes that are hashed first.  -EIO: hashing failed. */
int sec_measure_bytes(enum sec_register n, const char *what, const void *bytes,
		      size_t size);
int sec_digest(const void *bytes, size_t size, uint8_t out[SEC_DIGEST_BYTES]);

void sec_register_read(enum sec_register n, uint8_t out[SEC_DIGEST_BYTES]);

/* Copy up to room events, oldest first; the number that there are. */
size_t sec_event_log(struct sec_event *out, size_t room);

/* What registers hold after these events, from zero.  -EINVAL, -EIO. */
int sec_event_replay(const struct sec_event *events, size_t count,
		     uint8_t out[SEC_REGISTERS][SEC_DIGEST_BYTES]);

#endif
