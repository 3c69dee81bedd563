/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Nitro Secure Module, and what the files here offer each other.  On the
 * function's loop.
 */
#ifndef SECURITY_CHIP_NSM_NSM_H
#define SECURITY_CHIP_NSM_NSM_H

#include "firmware/rt/option.h"
#include "firmware/rt/scope.h"
#include "security-chip/nsm/cbor.h"
#include "security-chip/nsm/function.h"
#include "security-chip/nsm/request.h"
#include "security-chip/nsm/sign.h"
#include "security-chip/nsm/state.h"

enum nsm_fault_number {
#define FAULT(room, name, sentence, value) nsm_fault_##name,
#include "security-chip/nsm/fault.def"
#undef FAULT
	NSM_FAULTS
};

#define NSM_NAME_BYTES 64u

struct nsm_counters {
	struct rt_counter requests, errors, documents, random_bytes;
};

#define NSM_COUNTERS 7u

struct nsm {
	struct pcie_function *fn;
	struct nsm_state *state;
	struct virtio_device virtio;

	/* What it is. */
	char instance_id[NSM_NAME_BYTES], module_id[NSM_NAME_BYTES];
	char *role_arn; /* NULL: none */

	/* The request under way. */
	uint8_t message[NSM_REQUEST_BYTES];
	struct virtio_mishap mishap;
	uint64_t room; /* for its answer */
	struct rt_timer late;
	struct nsm_signer *signer;

	struct nsm_counters counters;
	struct rt_fault_slot fault_slots[NSM_FAULTS];
	struct rt_rule_record rule_records[NSM_RULES];
};

static inline struct nsm *nsm_of(const struct pcie_function *fn)
{
	return fn->device;
}

extern const struct rt_option nsm_options[];
extern const struct rt_fault_point nsm_fault_points[NSM_FAULTS];
extern const struct rt_rule nsm_rules[NSM_RULES];
extern const struct rt_counter_name nsm_counter_names[NSM_COUNTERS];

/* ---- pcr.c ---- */

/* As they are when an instance starts: measured, and the boot's locked. */
void nsm_pcrs_start(struct nsm *nsm);
static inline bool nsm_pcr_is_locked(const struct nsm *nsm, uint64_t index)
{
	return nsm->state->locked >> index & 1;
}
/* SHA384(old, data) is the new value; index is below NSM_PCRS.  -EIO. */
int nsm_pcr_extend(struct nsm *nsm, unsigned int index, const void *data,
		   size_t size);

/* ---- command.c ---- */

/* What a command writes its answer with. */
struct nsm_call {
	struct nsm *nsm;
	struct nsm_request request;
	struct nsm_cbor_writer out;
	bool is_signed_later;
};

/*
 * Carry out the request of `size` bytes in nsm->message, and write its answer
 * into state->response, of at most nsm->room bytes; sets state->response_bytes
 * and is_answered.  False: it is being signed, and nsm_answer() comes later.
 */
bool nsm_command_run(struct nsm *nsm, uint64_t size);
/* The signer's answer, of nsm_signed_fn. */
void nsm_command_signed(void *opaque, int status, const uint8_t *document,
			size_t size);

/* ---- serve.c ---- */

extern const struct virtio_ops nsm_virtio_ops;
void nsm_serve_init(struct nsm *nsm);
/* The answer is in the state: deliver it. */
void nsm_answer(struct nsm *nsm);
/* Waits for nothing any more. */
void nsm_serve_stop(struct nsm *nsm);

/* ---- status.c ---- */

size_t nsm_describe(struct pcie_function *fn, char *text, size_t size);

#endif
