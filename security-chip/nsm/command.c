/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commands of commands.def: NSM API, Request and Response.  An answer is
 * the command's name, or a map of it; an error is {"Error": its name}.  Maps
 * have their keys in the order of the API's structures, which clients print.
 */
#include <assert.h>
#include <string.h>
#include <sys/random.h>

#include "security-chip/nsm/answer.h"
#include "security-chip/nsm/nsm.h"
#include "security-chip/nsm/trace.h"

/* What Linux's driver takes for its pool at once. */
#define RANDOM_BYTES 256u

#define VERSION_MAJOR 1u
#define VERSION_MINOR 0u
#define VERSION_PATCH 0u

typedef enum nsm_error command_fn(struct nsm_call *call);

/* {"Name": {…, of that many pairs */
static void begin(struct nsm_call *call, size_t pairs)
{
	nsm_cbor_put_map(&call->out, 1);
	nsm_cbor_put_text(&call->out, nsm_command_names[call->request.command]);
	nsm_cbor_put_map(&call->out, pairs);
}

static void put_number(struct nsm_call *call, const char *name, uint64_t value)
{
	nsm_cbor_put_text(&call->out, name);
	nsm_cbor_put_uint(&call->out, value);
}

static void put_pcr(struct nsm_call *call, uint64_t index)
{
	nsm_cbor_put_text(&call->out, "data");
	nsm_cbor_put_bytes(&call->out, call->nsm->state->pcrs[index],
			   NSM_PCR_BYTES);
}

/* ---- registers ---- */

static enum nsm_error describe_pcr(struct nsm_call *call)
{
	uint64_t index = call->request.index;

	if (index >= NSM_PCRS)
		return NSM_INVALID_INDEX;
	begin(call, 2);
	nsm_cbor_put_text(&call->out, "lock");
	nsm_cbor_put_bool(&call->out, nsm_pcr_is_locked(call->nsm, index));
	put_pcr(call, index);
	return NSM_SUCCESS;
}

static enum nsm_error extend_pcr(struct nsm_call *call)
{
	const struct nsm_request *r = &call->request;

	if (r->index >= NSM_PCRS)
		return NSM_INVALID_INDEX;
	if (nsm_pcr_is_locked(call->nsm, r->index))
		return NSM_READ_ONLY_INDEX;
	if (nsm_pcr_extend(call->nsm, (unsigned int)r->index, r->data.bytes,
			   r->data.size))
		return NSM_INTERNAL_ERROR;
	begin(call, 1);
	put_pcr(call, r->index);
	return NSM_SUCCESS;
}

static void lock(struct nsm_call *call, unsigned int index)
{
	call->nsm->state->locked |= (uint32_t)BIT(index);
	trace_nsm_pcr(index, true);
}

static enum nsm_error lock_pcr(struct nsm_call *call)
{
	uint64_t index = call->request.index;

	if (index >= NSM_PCRS)
		return NSM_INVALID_INDEX;
	if (nsm_pcr_is_locked(call->nsm, index))
		return NSM_READ_ONLY_INDEX;
	lock(call, (unsigned int)index);
	nsm_cbor_put_text(&call->out, "LockPCR");
	return NSM_SUCCESS;
}

/* All below the range, and those of them that are locked stay so. */
static enum nsm_error lock_pcrs(struct nsm_call *call)
{
	uint64_t range = call->request.range;

	if (range > NSM_PCRS)
		return NSM_INVALID_INDEX;
	for (unsigned int i = 0; i < range; i++)
		lock(call, i);
	nsm_cbor_put_text(&call->out, "LockPCRs");
	return NSM_SUCCESS;
}

/* ---- the module ---- */

static enum nsm_error describe_nsm(struct nsm_call *call)
{
	uint32_t locked = call->nsm->state->locked;

	begin(call, 7);
	put_number(call, "version_major", VERSION_MAJOR);
	put_number(call, "version_minor", VERSION_MINOR);
	put_number(call, "version_patch", VERSION_PATCH);
	nsm_cbor_put_text(&call->out, "module_id");
	nsm_cbor_put_text(&call->out, call->nsm->module_id);
	put_number(call, "max_pcrs", NSM_PCRS);
	nsm_cbor_put_text(&call->out, "locked_pcrs");
	nsm_cbor_put_array(&call->out, (size_t)__builtin_popcount(locked));
	for (unsigned int i = 0; i < NSM_PCRS; i++)
		if (locked >> i & 1)
			nsm_cbor_put_uint(&call->out, i);
	nsm_cbor_put_text(&call->out, "digest");
	nsm_cbor_put_text(&call->out, "SHA384");
	return NSM_SUCCESS;
}

static void copy_pcrs(const struct nsm *nsm, struct sec_pcrs *out)
{
	static_assert(sizeof out->value == sizeof nsm->state->pcrs,
		      "all of them");
	memcpy(out->value, nsm->state->pcrs, sizeof out->value);
	out->locked = nsm->state->locked;
}

/* Signed later: see nsm_command_signed(). */
static enum nsm_error attestation(struct nsm_call *call)
{
	const struct nsm_request *r = &call->request;
	struct nsm *nsm = call->nsm;
	struct nsm_document_request document = {
		.fields = { r->user_data.bytes, r->nonce.bytes,
			    r->public_key.bytes, r->user_data.size,
			    r->nonce.size, r->public_key.size },
		.message = nsm->message,
		.message_bytes = sizeof nsm->message,
	};
	uint64_t faults;

	/* A key of no bytes is none: AWS, public_key. */
	if (r->public_key.bytes && !r->public_key.size)
		return NSM_INVALID_ARGUMENT;
	if (rt_fault(&nsm->fn->faults, nsm_fault_document, &faults))
		document.faults = (unsigned int)faults;
	copy_pcrs(nsm, &document.pcrs);
	nsm_signer_start(nsm->signer, &document);
	call->is_signed_later = true;
	return NSM_SUCCESS;
}

static enum nsm_error get_random(struct nsm_call *call)
{
	uint8_t random[RANDOM_BYTES];

	if (getrandom(random, sizeof random, 0) != sizeof random)
		return NSM_INTERNAL_ERROR;
	begin(call, 1);
	nsm_cbor_put_text(&call->out, "random");
	nsm_cbor_put_bytes(&call->out, random, sizeof random);
	explicit_bzero(random, sizeof random);
	rt_counter_add(&call->nsm->counters.random_bytes, RANDOM_BYTES);
	return NSM_SUCCESS;
}

/* ---- all of them ---- */

static command_fn *const commands[NSM_COMMANDS] = {
#define COMMAND(name, run, arguments) run,
#include "security-chip/nsm/commands.def"
#undef COMMAND
};

static void report(struct nsm *nsm, const struct nsm_request *request,
		   enum nsm_error error, uint64_t size)
{
	if (error == NSM_INVALID_ARGUMENT)
		virtio_broke(&nsm->virtio, NSM_RULE_REQUEST_ARGUMENT,
			     request->command);
	else if (request->arguments)
		virtio_broke(&nsm->virtio, NSM_RULE_REQUEST_COMMAND, size);
	else
		virtio_broke(&nsm->virtio, NSM_RULE_REQUEST_SYNTAX, size);
}

static enum nsm_error judge(struct nsm_call *call, const uint8_t *request,
			    uint64_t size)
{
	struct nsm *nsm = call->nsm;
	enum nsm_error error;
	uint64_t code;

	if (rt_fault(&nsm->fn->faults, nsm_fault_error_code, &code))
		return code && code < NSM_ERRORS ? (enum nsm_error)code
						 : NSM_INTERNAL_ERROR;
	if (size > NSM_REQUEST_BYTES) {
		virtio_broke(&nsm->virtio, NSM_RULE_REQUEST_SIZE, size);
		return NSM_INPUT_TOO_LARGE;
	}
	error = nsm_request_parse(request, size, &call->request);
	if (error)
		report(nsm, &call->request, error, size);
	return error;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct nsm_call begin_call(struct nsm *nsm)
{
	struct nsm_state *state = nsm->state;
	struct nsm_call call = {
		.nsm = nsm,
		.request = { .command = NSM_COMMANDS },
		.out = { .at = state->response,
			 .room = least(nsm->room, sizeof state->response) },
	};
	uint64_t ignored;

	call.out.has_long_lengths =
		rt_fault(&nsm->fn->faults, nsm_fault_long_lengths, &ignored);
	return call;
}

static void end_call(struct nsm_call *call, enum nsm_error error)
{
	struct nsm *nsm = call->nsm;
	struct nsm_state *state = nsm->state;

	if (!error && call->out.is_full)
		error = NSM_BUFFER_TOO_SMALL;
	trace_nsm_command(call->request.command, error);
	rt_counter_add(&nsm->counters.requests, 1);
	if (error) {
		rt_counter_add(&nsm->counters.errors, 1);
		nsm_answer_error(&call->out, error);
	}
	state->response_bytes =
		call->out.is_full ? 0 : (uint32_t)call->out.size;
	state->is_answered = true;
}

bool nsm_command_run(struct nsm *nsm, uint64_t size)
{
	struct nsm_call call = begin_call(nsm);
	enum nsm_error error = judge(&call, nsm->message, size);

	if (!error)
		error = commands[call.request.command](&call);
	if (call.is_signed_later)
		return false;
	end_call(&call, error);
	return true;
}

void nsm_command_signed(void *opaque, int status, const uint8_t *document,
			size_t size)
{
	struct nsm *nsm = opaque;
	struct nsm_call call = begin_call(nsm);

	call.request.command = NSM_COMMAND_Attestation;
	if (!status) {
		nsm_answer_document(&call.out, document, size);
		rt_counter_add(&nsm->counters.documents, 1);
	}
	end_call(&call, nsm_error_of_attest(status));
	nsm_answer(nsm);
}
