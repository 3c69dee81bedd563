/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The TPM itself: libtpms, which is one to a process, powered on and off, with
 * its state in a store.  All functions but sec_tpm_engine_cancel() are called
 * by one thread at a time (tpm.c has a lock); results are those of the control
 * channel, which are libtpms's TPM_RESULT: 0 is success.
 */
#ifndef SECURITY_CHIP_TPM_ENGINE_H
#define SECURITY_CHIP_TPM_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/rt/counter.h"
#include "firmware/rt/error.h"

struct sec_tpm_store;

/* Writes of the permanent state. */
struct sec_tpm_writes {
	struct rt_counter all, failed;
};

/* libtpms/tpm_error.h, as far as the channel names them. */
enum sec_tpm_result {
	SEC_TPM_SUCCESS = 0,
	SEC_TPM_BAD_PARAMETER = 0x03,
	SEC_TPM_FAIL = 0x09,
	SEC_TPM_BAD_ORDINAL = 0x0a,
	SEC_TPM_SIZE = 0x17,
	SEC_TPM_IOERROR = 0x1f,
	SEC_TPM_DECRYPT_ERROR = 0x21,
	SEC_TPM_BAD_LOCALITY = 0x3d,
};

enum sec_tpm_state { /* as the channel numbers its blobs */
		     SEC_TPM_PERMANENT = 1,
		     SEC_TPM_VOLATILE = 2,
		     SEC_TPM_SAVED = 3,
};

#define SEC_TPM_LOCALITIES    5u    /* 0 to 4 */
#define SEC_TPM_MESSAGE_BYTES 4096u /* of a command or response, at most */
#define SEC_TPM_INFO_BYTES    3072u

/*
 * Take libtpms; its state is in store, which is borrowed until close, as writes
 * is, where they are counted.  The power is off.  -EBUSY: this process has a
 * TPM already.
 */
int sec_tpm_engine_open(const struct sec_tpm_store *store,
			struct sec_tpm_writes *writes, struct rt_error *error);
bool sec_tpm_engine_is_open(void);
/* Off, and libtpms is free again. */
void sec_tpm_engine_close(void);

/*
 * Power on: a TPM without state is made first.  A volatile state that was set
 * or stored is gone on with; drop_volatile: once.
 */
uint32_t sec_tpm_engine_on(bool drop_volatile);
void sec_tpm_engine_off(void);
bool sec_tpm_engine_is_on(void);

/*
 * One command at a locality; *answer is the caller's buffer of
 * SEC_TPM_MESSAGE_BYTES, and the response's size comes back, which is never 0.
 * With the power off the response is TPM_RC_INITIALIZE.
 */
size_t sec_tpm_engine_run(uint8_t locality, const uint8_t *command, size_t size,
			  uint8_t *answer);
/* End the command that runs, soon, if it is one that looks.  Any thread. */
void sec_tpm_engine_cancel(void);

/* The channel's other requests; see channel.c. */
uint32_t sec_tpm_engine_established(bool *out);
uint32_t sec_tpm_engine_reset_established(uint8_t locality);
uint32_t sec_tpm_engine_hash_start(void);
uint32_t sec_tpm_engine_hash_data(const uint8_t *data, size_t size);
uint32_t sec_tpm_engine_hash_end(void);
uint32_t sec_tpm_engine_store_volatile(void);
/* wanted 0: none; what is in use comes back. */
uint32_t sec_tpm_engine_buffer(uint32_t wanted, uint32_t *min, uint32_t *max);
/* *out is the caller's; an empty state has size 0 and may be NULL. */
uint32_t sec_tpm_engine_get(enum sec_tpm_state kind, uint8_t **out,
			    size_t *size);
/* With the power off; the next sec_tpm_engine_on() begins with a copy. */
uint32_t sec_tpm_engine_set(enum sec_tpm_state kind, const uint8_t *data,
			    size_t size);
/* Or not. */
void sec_tpm_engine_forget(void);
/* A JSON text, cut at size with its NUL; its length comes back. */
size_t sec_tpm_engine_info(uint64_t flags, char *text, size_t size);

#endif
