/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control channel of QEMU's TPM emulator (-tpmdev emulator), as messages in
 * memory.  All integers are big-endian; a message begins with its command, an
 * answer with a result.  An error's answer is the result alone.
 */
#ifndef SECURITY_CHIP_TPM_CHANNEL_H
#define SECURITY_CHIP_TPM_CHANNEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "firmware/rt/counter.h"
#include "firmware/rt/rule.h"
#include "security-chip/tpm/command.h"
#include "security-chip/tpm/store.h"

/* A message with the largest state there is, and an answer with one. */
#define SEC_TPM_CHANNEL_BYTES (SEC_TPM_STATE_BYTES + 128u)

struct sec_tpm_channel {
	const struct sec_tpm_store *store; /* borrowed */
	pthread_mutex_t *lock;             /* the engine's; borrowed */
	struct rt_rule_book *rules;        /* of rules.h; borrowed */
	/* The power goes on or has gone off; with the lock held. */
	void (*powered)(void *opaque, bool is_on);
	void *opaque;
	_Atomic uint8_t locality; /* of the data channel's commands */
	int came_fd;              /* with the bytes; owned; -1: none */
	int data_fd;              /* for the owner to take; -1: none */
	bool has_data;            /* a data channel was set */
	uint8_t *blob;            /* sealed, of the last GET_STATEBLOB */
	size_t blob_size;
	struct rt_counter messages, refused;
};

/* Those with no client yet; the members that are borrowed are the caller's. */
void sec_tpm_channel_init(struct sec_tpm_channel *c);
/* The client has gone: forget what was its own. */
void sec_tpm_channel_reset(struct sec_tpm_channel *c);

/* A descriptor that came along; taken.  Only the last one counts. */
void sec_tpm_channel_give_fd(struct sec_tpm_channel *c, int fd);

/*
 * Take one message from the beginning of in.  Returns how many bytes it had,
 * with its answer put into out (an empty buffer of SEC_TPM_CHANNEL_BYTES); 0:
 * it is not all there; -EPROTO: hang up, after the answer.  Takes the lock but
 * for CANCEL_TPM_CMD, which is for a command that runs.
 */
ssize_t sec_tpm_channel_take(struct sec_tpm_channel *c, const uint8_t *in,
			     size_t size, struct sec_tpm_writer *out);

#endif
