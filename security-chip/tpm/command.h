/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands of the TPM 2.0 library specification as bytes: put together and
 * taken apart.  Both stop at the end of their buffer and say so afterwards.
 */
#ifndef SECURITY_CHIP_TPM_COMMAND_H
#define SECURITY_CHIP_TPM_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Part 2, tables 12 (command codes), 16 (response codes), 19 (tags), 23
 * (properties), 27, 28.
 */
enum {
	TPM_HEADER_BYTES = 10,

	TPM_ST_NO_SESSIONS = 0x8001,
	TPM_ST_SESSIONS = 0x8002,

	TPM_CC_CHANGE_EPS = 0x124,
	TPM_CC_CREATE_PRIMARY = 0x131,
	TPM_CC_PCR_EVENT = 0x13c,
	TPM_CC_STARTUP = 0x144,
	TPM_CC_SHUTDOWN = 0x145,
	TPM_CC_NV_READ_LOCK = 0x14f,
	TPM_CC_QUOTE = 0x158,
	TPM_CC_FLUSH_CONTEXT = 0x165,
	TPM_CC_PCR_READ = 0x17e,
	TPM_CC_NSM_REQUEST = 0x20000001, /* NitroTPM's own */

	TPM_RC_SUCCESS = 0,
	TPM_RC_INITIALIZE = 0x100,
	TPM_RC_FAILURE = 0x101,
	TPM_RC_COMMAND_SIZE = 0x142,
	TPM_RC_NV_RANGE = 0x146,
	TPM_RC_NV_AUTHORIZATION = 0x149,

	TPM_HT_POLICY_SESSION = 0x03,

	TPMA_NV_AUTHWRITE = 1 << 2,
	TPMA_NV_POLICYWRITE = 1 << 3,
	TPMA_NV_AUTHREAD = 1 << 18,
	TPMA_NV_POLICYREAD = 1 << 19,

	TPM_PT_NV_INDEX_MAX = 0x117,
	TPM_PT_TOTAL_COMMANDS = 0x129,
	TPM_PT_VENDOR_COMMANDS = 0x12b,

	TPM_SU_CLEAR = 0,

	TPM_RS_PW = 0x40000009,
	TPM_RH_ENDORSEMENT = 0x4000000b,

	TPM_ALG_RSA = 0x0001,
	TPM_ALG_AES = 0x0006,
	TPM_ALG_SHA256 = 0x000b,
	TPM_ALG_SHA384 = 0x000c,
	TPM_ALG_NULL = 0x0010,
	TPM_ALG_ECC = 0x0023,
	TPM_ALG_CFB = 0x0043,

	TPM_ECC_NIST_P384 = 0x0004,
};

/* Integers are big-endian (part 1, 5.2). */
struct sec_tpm_writer {
	uint8_t *bytes;
	size_t used, room;
	bool is_full; /* something did not fit and was left out */
};

struct sec_tpm_reader {
	const uint8_t *bytes;
	size_t left;
	bool is_short; /* more was asked for than there was */
};

void sec_tpm_put(struct sec_tpm_writer *w, const void *bytes, size_t size);
void sec_tpm_put_number(struct sec_tpm_writer *w, unsigned int size,
			uint64_t value);
/* A TPM2B: its size in two bytes, and its bytes. */
void sec_tpm_put_sized(struct sec_tpm_writer *w, const void *bytes,
		       size_t size);

/* 0 and NULL when it is too short. */
uint64_t sec_tpm_get_number(struct sec_tpm_reader *r, unsigned int size);
const uint8_t *sec_tpm_get(struct sec_tpm_reader *r, size_t size);
/* A TPM2B. */
const uint8_t *sec_tpm_get_sized(struct sec_tpm_reader *r, size_t *size);

/* The header and, with TPM_ST_SESSIONS, one handle and an empty password. */
void sec_tpm_begin(struct sec_tpm_writer *w, uint16_t tag, uint32_t code,
		   uint32_t handle);
/* Writes the command's size into its header; false: it did not fit. */
bool sec_tpm_end(struct sec_tpm_writer *w);

/* What a header says; fewer than TPM_HEADER_BYTES: 0. */
uint32_t sec_tpm_size_of(const uint8_t *bytes, size_t size);
/* A command's code, or a response's. */
uint32_t sec_tpm_code_of(const uint8_t *bytes, size_t size);

#endif
