/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NitroTPM: a TPM 2.0 for a guest, behind the channel of QEMU's TPM emulator.
 * It has two threads of its own, because its commands take long: one talks to
 * the VMM, the other does the guest's commands.  There is one in a process.
 */
#ifndef SECURITY_CHIP_TPM_TPM_H
#define SECURITY_CHIP_TPM_TPM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "firmware/rt/counter.h"
#include "firmware/rt/error.h"
#include "firmware/rt/rule.h"
#include "security-chip/tpm/ek.h"
#include "security-chip/tpm/pcr.h"
#include "security-chip/tpm/store.h"

struct sec_tpm;

struct sec_tpm_config {
	const char *name;     /* in logs and traces; kept by the caller */
	const char *instance; /* whose TPM it is */
	const char *socket; /* where to listen; NULL: only look at the state */
	int dir;            /* private directory; borrowed during create */
	uint8_t key[SEC_TPM_KEY_BYTES]; /* of this installation and instance */
};

/*
 * Check the state, listen, and start the threads.  The first start of an
 * instance makes its TPM, on the TPM's thread: the first client waits for it.
 * -EBUSY: another process has the instance's TPM, or this one has a TPM;
 * -EBADMSG: the state is not what this installation has written.
 */
int sec_tpm_create(const struct sec_tpm_config *config, struct sec_tpm **out,
		   struct rt_error *error);

/*
 * Hang up, cancel what runs, do the jobs that were posted, and end.  The socket
 * goes with it.  False: a thread did not end in time, and *tpm is lost.
 */
bool sec_tpm_destroy(struct sec_tpm **tpm, unsigned int ms);

/*
 * Something to do on the TPM's thread while no command runs.  The caller keeps
 * the job in place until run().
 */
struct sec_tpm_job {
	void (*run)(struct sec_tpm_job *job, struct sec_tpm *tpm);
	STAILQ_ENTRY(sec_tpm_job) entry;
};
void sec_tpm_post(struct sec_tpm *tpm,
		  struct sec_tpm_job *job); /* any thread */

struct sec_tpm_status {
	bool is_connected; /* a VMM is there */
	bool is_on;        /* it has switched the TPM on */
	bool is_started;   /* TPM2_Startup was done */
	bool has_pcrs;     /* else the guest has no bank for SHA-384 */
	uint8_t pcrs[SEC_TPM_PCRS][SEC_DIGEST_BYTES];
	uint64_t boots;             /* how often it was switched on */
	uint64_t commands;          /* of guests */
	uint64_t failures;          /* those whose response code was not 0 */
	uint64_t messages, refused; /* of the control channel */
	uint64_t stores, failed_stores;
};

/* Both in a job only. */
void sec_tpm_read_status(struct sec_tpm *tpm, struct sec_tpm_status *out);
/* size 0: not known, see sec_tpm_ek_make(). */
const struct sec_tpm_ek *sec_tpm_read_ek(struct sec_tpm *tpm,
					 enum sec_tpm_ek_kind kind);

/* ---- what any thread may read while there is a TPM ---- */

#define SEC_TPM_COUNTERS 9u
extern const struct rt_counter_name sec_tpm_counter_names[SEC_TPM_COUNTERS];
uint64_t sec_tpm_counter(const struct sec_tpm *tpm,
			 const struct rt_counter_name *name);
/* Broken by VMMs, and by guests. */
const struct rt_rule_book *sec_tpm_rules(const struct sec_tpm *tpm);

#endif
