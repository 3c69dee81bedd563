/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the TPM share: it, and its threads' halves of it. */
#ifndef SECURITY_CHIP_TPM_PRIVATE_H
#define SECURITY_CHIP_TPM_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "firmware/rt/counter.h"
#include "security-chip/tpm/channel.h"
#include "security-chip/tpm/engine.h"
#include "security-chip/tpm/nsm.h"
#include "security-chip/tpm/rules.h"
#include "security-chip/tpm/tpm.h"

/* The guest's side: guest.c.  With the lock. */
struct sec_tpm_guest {
	const char *instance;
	const struct sec_tpm_store *store;
	bool has_quoted; /* since the power went on */
	struct sec_tpm_ek eks[SEC_TPM_EKS];
	bool has_new_eks; /* the ones above are no longer the TPM's */
	struct sec_tpm_nsm nsm;
	struct rt_counter boots, commands, failures, command_us;
};

/* The data thread's: data.c. */
struct sec_tpm_data {
	int fd; /* -1: none */
	uint8_t in[SEC_TPM_MESSAGE_BYTES];
	size_t used;
};

struct sec_tpm {
	const char *name; /* borrowed */
	char *socket;
	struct sec_tpm_store store;
	struct rt_rule_book rules;
	struct rt_rule_record rule_records[SEC_TPM_RULES];
	struct sec_tpm_writes writes;
	pthread_mutex_t lock; /* for the engine and what is marked so */
	struct sec_tpm_guest guest;
	/* The control thread's. */
	pthread_t control;
	int listener, client, end; /* end: an eventfd that tells it to end */
	struct sec_tpm_channel channel;
	uint8_t *in, *out;
	size_t used;
	/* The data thread's. */
	pthread_t worker;
	int wake; /* an eventfd: look at what follows */
	struct sec_tpm_data data;
	/* Between the threads. */
	pthread_mutex_t post_lock;
	STAILQ_HEAD(, sec_tpm_job) jobs;
	int offered; /* a data channel for it; -1: none any more */
	bool has_offer;
	_Atomic bool is_connected, is_ending;
};

/* guest.c; with the lock. */
void sec_tpm_guest_powered(struct sec_tpm_guest *guest, bool is_on);
/* A guest's command and what follows from it; the response's size. */
size_t sec_tpm_guest_run(struct sec_tpm_guest *guest, uint8_t locality,
			 const uint8_t *command, size_t size, uint8_t *answer);

/* eks.c: the keys from the store, or made and stored.  0, -EIO, -EBADMSG. */
int sec_tpm_eks_load(struct sec_tpm_guest *guest,
		     const struct sec_tpm_store *store, struct rt_error *error);
int sec_tpm_eks_make(struct sec_tpm_guest *guest,
		     const struct sec_tpm_store *store);
/* They are no longer the TPM's; the card's next start makes new ones. */
void sec_tpm_eks_forget(struct sec_tpm_guest *guest);

/* data.c: the worker's thread. */
void *sec_tpm_data_run(void *opaque);
/* Give it a data channel, or -1: none; taken.  Any thread. */
void sec_tpm_data_offer(struct sec_tpm *tpm, int fd);

/* control.c: the control thread, which starts and ends the other. */
void *sec_tpm_control_run(void *opaque);

/* wire.c: all of it within some seconds, or until end is readable. */
bool sec_tpm_send(int fd, int end, const uint8_t *bytes, size_t size);

#endif
