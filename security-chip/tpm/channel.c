/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control channel's commands: one row each in a table that knows how long a
 * message is and in which state of the TPM it is allowed.
 *
 * States leave the card sealed and come back only so (PTM_STATE_FLAG_ENCRYPTED
 * says so to QEMU, which keeps the flag with the blob): a VMM's snapshot holds
 * no key of the TPM, and no other installation takes it.
 */
#include "security-chip/tpm/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "firmware/rt/scope.h"
#include "firmware/rt/secret.h"
#include "security-chip/tpm/engine.h"
#include "security-chip/tpm/rules.h"
#include "security-chip/tpm/trace.h"

/* GET_CAPABILITY: a bit for each request that there is. */
#define CAPABILITIES         0x17fffull
/* State flags; GET_CONFIG: the files are encrypted, and what is migrated. */
#define FLAG_ENCRYPTED       2u
#define CONFIG_FLAGS         3u
#define INIT_DELETE_VOLATILE 1u

enum needs { NOTHING, POWER_ON, POWER_OFF };

struct message {
	struct sec_tpm_channel *c;
	struct sec_tpm_reader in; /* what follows the command's code */
	struct sec_tpm_writer *out;
};

struct request {
	size_t fixed;    /* bytes after the code */
	bool has_length; /* the last four of them count the bytes behind */
	enum needs needs;
	bool is_free; /* it does not wait for the command that runs */
	/* Returns the result, which is the answer if it puts none. */
	uint32_t (*run)(struct message *m);
};

/* Returns the result. */
static uint32_t broke(const struct message *m, enum sec_tpm_rule rule,
		      uint64_t value, uint32_t result)
{
	rt_rule_broken(m->c->rules, rule, value);
	return result;
}

static void put_result(struct sec_tpm_writer *out, uint32_t result)
{
	sec_tpm_put_number(out, 4, result);
}

static uint32_t get_capability(struct message *m)
{
	sec_tpm_put_number(m->out, 8, CAPABILITIES);
	return SEC_TPM_SUCCESS;
}

static void switch_off(struct sec_tpm_channel *c)
{
	if (!sec_tpm_engine_is_on())
		return;
	sec_tpm_engine_off();
	c->powered(c->opaque, false);
}

static uint32_t init(struct message *m)
{
	uint32_t flags = (uint32_t)sec_tpm_get_number(&m->in, 4), result;

	switch_off(m->c);
	m->c->powered(m->c->opaque, true);
	result = sec_tpm_engine_on(flags & INIT_DELETE_VOLATILE);
	if (result)
		m->c->powered(m->c->opaque, false);
	m->c->locality = 0;
	return result;
}

/* Both STOP and SHUTDOWN: what was acknowledged is stored already. */
static uint32_t stop(struct message *m)
{
	switch_off(m->c);
	return SEC_TPM_SUCCESS;
}

static uint32_t get_established(struct message *m)
{
	bool is_established;
	uint32_t result = sec_tpm_engine_established(&is_established);

	if (result)
		return result;
	put_result(m->out, result);
	sec_tpm_put_number(m->out, 1, is_established);
	sec_tpm_put_number(m->out, 3, 0);
	return result;
}

static uint32_t set_locality(struct message *m)
{
	uint8_t locality = (uint8_t)sec_tpm_get_number(&m->in, 1);

	if (locality >= SEC_TPM_LOCALITIES)
		return broke(m, SEC_TPM_RULE_LOCALITY, locality,
			     SEC_TPM_BAD_LOCALITY);
	m->c->locality = locality;
	return SEC_TPM_SUCCESS;
}

static uint32_t hash_start(struct message *m)
{
	(void)m;
	return sec_tpm_engine_hash_start();
}

static uint32_t hash_data(struct message *m)
{
	size_t size = sec_tpm_get_number(&m->in, 4);

	return sec_tpm_engine_hash_data(sec_tpm_get(&m->in, size), size);
}

static uint32_t hash_end(struct message *m)
{
	(void)m;
	return sec_tpm_engine_hash_end();
}

static uint32_t cancel(struct message *m)
{
	(void)m;
	sec_tpm_engine_cancel();
	return SEC_TPM_SUCCESS;
}

static uint32_t store_volatile(struct message *m)
{
	(void)m;
	return sec_tpm_engine_store_volatile();
}

static uint32_t reset_established(struct message *m)
{
	uint8_t locality = (uint8_t)sec_tpm_get_number(&m->in, 1);

	if (locality >= SEC_TPM_LOCALITIES)
		return broke(m, SEC_TPM_RULE_LOCALITY, locality,
			     SEC_TPM_BAD_LOCALITY);
	return sec_tpm_engine_reset_established(locality);
}

static const char *name_of(uint32_t kind)
{
	return kind == SEC_TPM_PERMANENT ? "blob-permanent" : "blob-volatile";
}

static void forget_blob(struct sec_tpm_channel *c)
{
	free(c->blob);
	c->blob = NULL;
	c->blob_size = 0;
}

static bool is_kind(const struct message *m, uint32_t kind)
{
	if (kind >= SEC_TPM_PERMANENT && kind <= SEC_TPM_SAVED)
		return true;
	rt_rule_broken(m->c->rules, SEC_TPM_RULE_STATE_KIND, kind);
	return false;
}

static uint32_t make_blob(struct message *m, uint32_t kind)
{
	struct sec_tpm_channel *c = m->c;
	RT_FREE uint8_t *state = NULL;
	size_t size;
	uint32_t result;

	forget_blob(c);
	if (!is_kind(m, kind))
		return SEC_TPM_BAD_PARAMETER;
	result = sec_tpm_engine_get((enum sec_tpm_state)kind, &state, &size);
	if (!result && size &&
	    sec_tpm_seal(c->store, name_of(kind), state, size, &c->blob,
			 &c->blob_size))
		result = SEC_TPM_FAIL;
	rt_erase(state, size);
	return result;
}

/* A read that goes on gets the rest of the blob that it began. */
static uint32_t get_state(struct message *m)
{
	uint32_t result = SEC_TPM_SUCCESS;
	uint32_t kind, offset;
	struct sec_tpm_channel *c = m->c;

	sec_tpm_get_number(&m->in, 4);
	kind = (uint32_t)sec_tpm_get_number(&m->in, 4);
	offset = (uint32_t)sec_tpm_get_number(&m->in, 4);
	if (!offset)
		result = make_blob(m, kind);
	if (offset > c->blob_size)
		result = broke(m, SEC_TPM_RULE_STATE_OFFSET, offset,
			       SEC_TPM_BAD_PARAMETER);
	if (result)
		offset = (uint32_t)c->blob_size;
	put_result(m->out, result);
	sec_tpm_put_number(m->out, 4, c->blob_size ? FLAG_ENCRYPTED : 0);
	sec_tpm_put_number(m->out, 4, result ? 0 : c->blob_size);
	sec_tpm_put_number(m->out, 4, c->blob_size - offset);
	sec_tpm_put(m->out, c->blob ? c->blob + offset : NULL,
		    c->blob_size - offset);
	return result;
}

static uint32_t set_state(struct message *m)
{
	uint32_t flags = (uint32_t)sec_tpm_get_number(&m->in, 4);
	uint32_t kind = (uint32_t)sec_tpm_get_number(&m->in, 4), result;
	RT_FREE uint8_t *state = NULL;
	const uint8_t *sealed;
	size_t size, plain;

	size = sec_tpm_get_number(&m->in, 4);
	sealed = sec_tpm_get(&m->in, size);
	if (!is_kind(m, kind))
		return SEC_TPM_BAD_PARAMETER;
	if (!size)
		return SEC_TPM_SUCCESS;
	if (!(flags & FLAG_ENCRYPTED) ||
	    sec_tpm_unseal(m->c->store, name_of(kind), sealed, size, &state,
			   &plain))
		return broke(m, SEC_TPM_RULE_STATE_FOREIGN, kind,
			     SEC_TPM_DECRYPT_ERROR);
	result = sec_tpm_engine_set((enum sec_tpm_state)kind, state, plain);
	rt_erase(state, plain);
	return result;
}

static uint32_t get_config(struct message *m)
{
	put_result(m->out, SEC_TPM_SUCCESS);
	sec_tpm_put_number(m->out, 4, CONFIG_FLAGS);
	return SEC_TPM_SUCCESS;
}

/* Once in a connection: a guest's commands come from one place. */
static uint32_t set_data(struct message *m)
{
	struct sec_tpm_channel *c = m->c;

	if (c->has_data)
		return broke(m, SEC_TPM_RULE_DATA_CHANNEL, 2, SEC_TPM_IOERROR);
	if (c->came_fd < 0)
		return broke(m, SEC_TPM_RULE_DATA_CHANNEL, 0,
			     SEC_TPM_BAD_PARAMETER);
	c->data_fd = rt_take_fd(&c->came_fd);
	c->has_data = true;
	return SEC_TPM_SUCCESS;
}

static uint32_t set_buffer(struct message *m)
{
	uint32_t wanted = (uint32_t)sec_tpm_get_number(&m->in, 4);
	uint32_t min, max;

	if (wanted && sec_tpm_engine_is_on())
		return broke(m, SEC_TPM_RULE_REQUEST_LATE, wanted,
			     SEC_TPM_BAD_ORDINAL);
	wanted = sec_tpm_engine_buffer(wanted, &min, &max);
	put_result(m->out, SEC_TPM_SUCCESS);
	sec_tpm_put_number(m->out, 4, wanted);
	sec_tpm_put_number(m->out, 4, min);
	sec_tpm_put_number(m->out, 4, max);
	return SEC_TPM_SUCCESS;
}

static uint32_t get_info(struct message *m)
{
	uint64_t flags = sec_tpm_get_number(&m->in, 8);
	size_t offset = sec_tpm_get_number(&m->in, 4), length;
	char text[SEC_TPM_INFO_BYTES];

	length = sec_tpm_engine_info(flags, text, sizeof text);
	if (offset > length)
		return broke(m, SEC_TPM_RULE_INFO_OFFSET, offset,
			     SEC_TPM_BAD_PARAMETER);
	put_result(m->out, SEC_TPM_SUCCESS);
	sec_tpm_put_number(m->out, 4, length);
	sec_tpm_put_number(m->out, 4, length - offset);
	sec_tpm_put(m->out, text + offset, length - offset);
	return SEC_TPM_SUCCESS;
}

/* No other process has the files: see store.c. */
static uint32_t lock_storage(struct message *m)
{
	(void)m;
	return SEC_TPM_SUCCESS;
}

/* By command: bytes, has length, needs, is free, run. */
static const struct request requests[] = {
	[0x01] = { 0, false, NOTHING, true, get_capability },
	[0x02] = { 4, false, NOTHING, false, init },
	[0x03] = { 0, false, NOTHING, false, stop },
	[0x04] = { 0, false, POWER_ON, false, get_established },
	[0x05] = { 4, false, NOTHING, true, set_locality },
	[0x06] = { 0, false, POWER_ON, false, hash_start },
	[0x07] = { 4, true, POWER_ON, false, hash_data },
	[0x08] = { 0, false, POWER_ON, false, hash_end },
	[0x09] = { 0, false, NOTHING, true, cancel },
	[0x0a] = { 0, false, POWER_ON, false, store_volatile },
	[0x0b] = { 4, false, POWER_ON, false, reset_established },
	[0x0c] = { 12, false, NOTHING, false, get_state },
	[0x0d] = { 12, true, POWER_OFF, false, set_state },
	[0x0e] = { 0, false, NOTHING, false, stop },
	[0x0f] = { 0, false, NOTHING, true, get_config },
	[0x10] = { 0, false, NOTHING, true, set_data },
	[0x11] = { 4, false, NOTHING, false, set_buffer },
	[0x12] = { 16, false, NOTHING, false, get_info },
	[0x13] = { 4, false, NOTHING, true, lock_storage },
};

void sec_tpm_channel_init(struct sec_tpm_channel *c)
{
	c->came_fd = c->data_fd = -1;
}

void sec_tpm_channel_reset(struct sec_tpm_channel *c)
{
	sec_tpm_channel_give_fd(c, -1);
	if (c->data_fd >= 0)
		close(c->data_fd);
	c->data_fd = -1;
	c->has_data = false;
	c->locality = 0;
	forget_blob(c);
}

void sec_tpm_channel_give_fd(struct sec_tpm_channel *c, int fd)
{
	if (c->came_fd >= 0)
		close(c->came_fd);
	c->came_fd = fd;
}

/* SIZE_MAX: more than a message may have; 0: it cannot be told yet. */
static size_t length_of(const struct request *request, const uint8_t *in,
			size_t size)
{
	size_t length = 4 + request->fixed;
	struct sec_tpm_reader r = { .left = 4 };

	if (size < length)
		return 0;
	if (!request->has_length)
		return length;
	r.bytes = in + length - 4;
	length += sec_tpm_get_number(&r, 4);
	return length > SEC_TPM_CHANNEL_BYTES ? SIZE_MAX : length;
}

static uint32_t run_allowed(const struct request *request, struct message *m)
{
	bool is_on = sec_tpm_engine_is_on();

	uint64_t code = (uint64_t)(request - requests);

	if (request->needs == POWER_ON && !is_on)
		return broke(m, SEC_TPM_RULE_REQUEST_EARLY, code,
			     SEC_TPM_BAD_ORDINAL);
	if (request->needs == POWER_OFF && is_on)
		return broke(m, SEC_TPM_RULE_REQUEST_LATE, code,
			     SEC_TPM_BAD_ORDINAL);
	return request->run(m);
}

static uint32_t run(const struct request *request, struct message *m)
{
	uint32_t result;

	if (request->is_free)
		return request->run(m);
	pthread_mutex_lock(m->c->lock);
	result = run_allowed(request, m);
	pthread_mutex_unlock(m->c->lock);
	return result;
}

static void refuse(struct message *m, enum sec_tpm_rule rule, uint32_t code,
		   uint32_t result)
{
	struct sec_tpm_channel *c = m->c;

	rt_rule_broken(c->rules, rule, code);
	rt_counter_add(&c->messages, 1);
	rt_counter_add(&c->refused, 1);
	trace_tpm_control(code, result);
	put_result(m->out, result);
}

ssize_t sec_tpm_channel_take(struct sec_tpm_channel *c, const uint8_t *in,
			     size_t size, struct sec_tpm_writer *out)
{
	struct message m = { c, { in, size, false }, out };
	uint32_t code = (uint32_t)sec_tpm_get_number(&m.in, 4), result;
	const struct request *request = &requests[0];
	size_t length;

	if (m.in.is_short)
		return 0;
	if (code < RT_COUNT(requests))
		request = &requests[code];
	if (!request->run) {
		/* How long it is only its sender knows: all that came. */
		refuse(&m, SEC_TPM_RULE_REQUEST_UNKNOWN, code,
		       SEC_TPM_BAD_ORDINAL);
		return (ssize_t)size;
	}
	length = length_of(request, in, size);
	if (length == SIZE_MAX) {
		refuse(&m, SEC_TPM_RULE_REQUEST_SIZE, code,
		       SEC_TPM_BAD_PARAMETER);
		return -EPROTO;
	}
	if (!length || size < length)
		return 0;
	rt_counter_add(&c->messages, 1);
	result = run(request, &m);
	trace_tpm_control(code, result);
	if (result)
		rt_counter_add(&c->refused, 1);
	if (!out->used)
		put_result(out, result);
	return (ssize_t)length;
}
