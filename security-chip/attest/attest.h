/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attestation documents: COSE_Sign1 with ES384 (RFC 9052), in the shape of a
 * real card's, under the installation's own simulated root.
 *
 * An attester belongs to one thread at a time; the chip (security-chip/chip.h)
 * must be open while there is one.
 */
#ifndef SECURITY_CHIP_ATTEST_ATTEST_H
#define SECURITY_CHIP_ATTEST_ATTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "security-chip/attest/abi.h"
#include "security-chip/measure.h"

struct rt_error;
struct sec_attester;

/* What is made wrong on purpose, in any combination. */
enum sec_attest_fault {
#define ATTEST_FAULT(bit, NAME, name, what) SEC_ATTEST_##NAME = 1 << (bit),
#include "security-chip/attest/faults.def"
#undef ATTEST_FAULT
};

/* The registers of a Nitro Secure Module, or of a NitroTPM. */
struct sec_pcrs {
	uint32_t locked; /* bit n: register n is locked, and so documented */
	bool is_tpm;     /* documented as nitrotpm_pcrs, not as pcrs */
	uint8_t value[SEC_PCR_COUNT][SEC_DIGEST_BYTES];
};

/* What a document is to carry; NULL: null in the document. */
struct sec_attest_request {
	const uint8_t *user_data, *nonce, *public_key;
	size_t user_data_size, nonce_size, public_key_size; /* bytes */
};

struct sec_attester_config {
	const char *module_id;  /* NULL: i-…-enc…, the installation's own */
	const char *region;     /* NULL: SEC_ATTEST_REGION */
	int64_t clock_offset_s; /* added to the host's clock */
	unsigned int faults;    /* of enum sec_attest_fault */
};

#define SEC_ATTEST_REGION   "us-east-1"
/* How far a tester may turn the clock, either way: about 50 years. */
#define SEC_ATTEST_OFFSET_S INT64_C(1577880000)

/*
 * Copies the configuration, and makes the root if there is none yet.  Returns
 * 0 or a negative errno with *error: no chip is open, its directory cannot be
 * written, a name does not fit into a certificate (RFC 5280 A.1: 64 bytes).
 */
int sec_attester_create(const struct sec_attester_config *config,
			struct sec_attester **out, struct rt_error *error);
void sec_attester_destroy(struct sec_attester **a);

/* From the next document on; an offset that is too large is ignored. */
void sec_attester_set_faults(struct sec_attester *a, unsigned int faults);
void sec_attester_set_clock(struct sec_attester *a, int64_t offset_s);
/* As it stands in the documents; lives as long as the attester. */
const char *sec_attester_module_id(const struct sec_attester *a);

/*
 * A document of the locked registers, into room bytes at out;
 * SEC_DOCUMENT_BYTES are enough for any.  Certificates that end soon are
 * renewed first, which takes some milliseconds.  Returns 0 with *size, or
 * -EMSGSIZE (no room), -E2BIG (a field is longer than abi.h allows), -EINVAL
 * (no register is locked), -EIO (the library failed).
 */
int sec_attest(struct sec_attester *a, const struct sec_attest_request *request,
	       const struct sec_pcrs *pcrs, uint8_t *out, size_t room,
	       size_t *size);

/*
 * The installation's root certificate as PEM, made if there is none yet; ends
 * with a NUL byte.  *out is the caller's to free().  Any thread.
 */
int sec_attest_root_pem(char **out, struct rt_error *error);

/* Bit of a fault by its name in faults.def; 0: there is none of that name. */
unsigned int sec_attest_fault_find(const char *name);

#endif
