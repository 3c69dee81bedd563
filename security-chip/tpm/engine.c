/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libtpms behind engine.h.  What it calls us back for has no argument of ours,
 * so the engine is one variable.  It writes its permanent state at the end of
 * each command that changed it, before it returns the response: the store
 * syncs, so what was acknowledged is kept.  A write that fails puts the TPM
 * into failure mode, as its specification asks for (part 1, 12.4).
 */
#include "security-chip/tpm/engine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libtpms/tpm_error.h>
#include <libtpms/tpm_library.h>
#include <libtpms/tpm_memory.h>
#include <libtpms/tpm_nvfilename.h>
#include <libtpms/tpm_tis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/secret.h"
#include "security-chip/tpm/command.h"
#include "security-chip/tpm/hooks.h"
#include "security-chip/tpm/store.h"

/* Our numbers are theirs. */
static_assert(SEC_TPM_BAD_PARAMETER == TPM_BAD_PARAMETER &&
		      SEC_TPM_FAIL == TPM_FAIL &&
		      SEC_TPM_BAD_ORDINAL == TPM_BAD_ORDINAL &&
		      SEC_TPM_SIZE == TPM_SIZE &&
		      SEC_TPM_IOERROR == TPM_IOERROR &&
		      SEC_TPM_DECRYPT_ERROR == TPM_DECRYPT_ERROR &&
		      SEC_TPM_BAD_LOCALITY == TPM_BAD_LOCALITY,
	      "the channel's results are libtpms's");

/* A state that the next power-on begins with. */
struct set_state {
	uint8_t *data; /* NULL: none */
	size_t size;
};

static struct {
	const struct sec_tpm_store *store; /* NULL: not open */
	bool is_on;
	uint8_t locality; /* of the command that runs */
	struct sec_tpm_writes *writes;
	unsigned char *answer; /* libtpms's, kept for the next one */
	uint32_t answer_room;
	struct set_state set[2]; /* permanent, volatile */
	int silence; /* where its complaints go: they quote commands */
} engine;

static TPM_RESULT init_nothing(void)
{
	return TPM_SUCCESS;
}

static TPM_RESULT load_data(unsigned char **data, uint32_t *length,
			    uint32_t tpm_number, const char *name)
{
	RT_FREE uint8_t *found = NULL;
	size_t size;
	int status =
		sec_tpm_store_read(engine.store, name, &found, &size, NULL);

	(void)tpm_number;
	if (status == -ENOENT)
		return TPM_RETRY; /* what libtpms takes for "there is none" */
	if (status || TPM_Malloc(data, (uint32_t)size + 1) != TPM_SUCCESS)
		return TPM_FAIL;
	memcpy(*data, found, size);
	*length = (uint32_t)size;
	rt_erase(found, size);
	return TPM_SUCCESS;
}

static TPM_RESULT store_data(const unsigned char *data, uint32_t length,
			     uint32_t tpm_number, const char *name)
{
	int status = sec_tpm_store_write(engine.store, name, data, length);

	(void)tpm_number;
	rt_counter_add(&engine.writes->all, 1);
	if (!status)
		return TPM_SUCCESS;
	rt_counter_add(&engine.writes->failed, 1);
	rt_log_error("tpm",
		     "cannot write the TPM's state: %s; it fails from "
		     "now on",
		     strerror(-status));
	return TPM_FAIL;
}

static TPM_RESULT delete_name(uint32_t tpm_number, const char *name,
			      TPM_BOOL must_exist)
{
	(void)tpm_number;
	(void)must_exist;
	return sec_tpm_store_remove(engine.store, name) ? TPM_FAIL
							: TPM_SUCCESS;
}

static TPM_RESULT get_locality(TPM_MODIFIER_INDICATOR *locality,
			       uint32_t tpm_number)
{
	(void)tpm_number;
	*locality = engine.locality;
	return TPM_SUCCESS;
}

/* Nobody stands before a virtual machine (TPM 1.2 only). */
static TPM_RESULT get_physical_presence(TPM_BOOL *is_present,
					uint32_t tpm_number)
{
	(void)tpm_number;
	*is_present = false;
	return TPM_SUCCESS;
}

int sec_tpm_engine_open(const struct sec_tpm_store *store,
			struct sec_tpm_writes *writes, struct rt_error *error)
{
	static struct libtpms_callbacks callbacks = {
		.sizeOfStruct = sizeof callbacks,
		.tpm_nvram_init = init_nothing,
		.tpm_nvram_loaddata = load_data,
		.tpm_nvram_storedata = store_data,
		.tpm_nvram_deletename = delete_name,
		.tpm_io_init = init_nothing,
		.tpm_io_getlocality = get_locality,
		.tpm_io_getphysicalpresence = get_physical_presence,
	};

	if (engine.store)
		return rt_error_set(error, -EBUSY,
				    "a card has one TPM, and this one has it");
	if (TPMLIB_RegisterCallbacks(&callbacks) ||
	    TPMLIB_ChooseTPMVersion(TPMLIB_TPM_VERSION_2))
		return rt_error_set(error, -EIO, "libtpms cannot do TPM 2.0");
	engine.silence = open("/dev/null", O_WRONLY | O_CLOEXEC);
	TPMLIB_SetDebugFD(engine.silence);
	engine.store = store;
	engine.writes = writes;
	return 0;
}

bool sec_tpm_engine_is_open(void)
{
	return engine.store;
}

void sec_tpm_engine_forget(void)
{
	for (size_t i = 0; i < RT_COUNT(engine.set); i++) {
		rt_erase(engine.set[i].data, engine.set[i].size);
		free(engine.set[i].data);
		engine.set[i] = (struct set_state){ 0 };
	}
}

void sec_tpm_engine_close(void)
{
	if (!engine.store)
		return;
	sec_tpm_engine_off();
	sec_tpm_engine_forget();
	TPMLIB_SetDebugFD(-1);
	if (engine.silence >= 0)
		close(engine.silence);
	free(engine.answer);
	engine.answer = NULL;
	engine.answer_room = 0;
	engine.store = NULL;
}

/*
 * libtpms keeps a state that it was given until it is powered on, and cannot
 * be made to forget it: so it gets it only now.
 */
static TPM_RESULT hand_over(void)
{
	static const enum TPMLIB_StateType types[] = { TPMLIB_STATE_PERMANENT,
						       TPMLIB_STATE_VOLATILE };
	TPM_RESULT result = TPM_SUCCESS;

	for (size_t i = 0; i < RT_COUNT(types) && !result; i++)
		if (engine.set[i].data)
			result = TPMLIB_SetState(types[i], engine.set[i].data,
						 (uint32_t)engine.set[i].size);
	sec_tpm_engine_forget();
	return result;
}

uint32_t sec_tpm_engine_on(bool drop_volatile)
{
	TPM_RESULT result;

	sec_tpm_engine_off();
	result = hand_over();
	if (result)
		return result;
	result = TPMLIB_MainInit();
	engine.is_on = result == TPM_SUCCESS;
	if (result)
		TPMLIB_Terminate();
	else if (drop_volatile)
		sec_tpm_store_remove(engine.store, TPM_VOLATILESTATE_NAME);
	return result;
}

void sec_tpm_engine_off(void)
{
	if (engine.is_on)
		TPMLIB_Terminate();
	engine.is_on = false;
}

bool sec_tpm_engine_is_on(void)
{
	return engine.is_on;
}

/* Commands bring passwords, and responses what was sealed. */
static size_t process(uint8_t *command, size_t size, uint8_t *answer)
{
	uint32_t answered = 0;
	bool is_good;

	sec_tpm_hooks_begin(command, size);
	is_good =
		!TPMLIB_Process(&engine.answer, &answered, &engine.answer_room,
				command, (uint32_t)size) &&
		answered >= TPM_HEADER_BYTES &&
		answered <= SEC_TPM_MESSAGE_BYTES;
	if (is_good)
		memcpy(answer, engine.answer, answered);
	rt_erase(engine.answer, engine.answer_room);
	rt_erase(command, size);
	return is_good ? answered : 0;
}

static size_t answer_code(uint8_t *answer, uint32_t code)
{
	struct sec_tpm_writer w = { .bytes = answer,
				    .room = SEC_TPM_MESSAGE_BYTES };

	sec_tpm_begin(&w, TPM_ST_NO_SESSIONS, code, 0);
	sec_tpm_end(&w);
	return w.used;
}

size_t sec_tpm_engine_run(uint8_t locality, const uint8_t *command, size_t size,
			  uint8_t *answer)
{
	uint8_t copy[SEC_TPM_MESSAGE_BYTES];
	size_t answered;

	if (!engine.is_on)
		return answer_code(answer, TPM_RC_INITIALIZE);
	if (size > sizeof copy)
		return answer_code(answer, TPM_RC_COMMAND_SIZE);
	/* libtpms decrypts parameters in place. */
	memcpy(copy, command, size);
	engine.locality = locality;
	answered = process(copy, size, answer);
	return answered ? answered : answer_code(answer, TPM_RC_FAILURE);
}

void sec_tpm_engine_cancel(void)
{
	TPMLIB_CancelCommand();
}

uint32_t sec_tpm_engine_established(bool *out)
{
	TPM_BOOL is_established = false;
	TPM_RESULT result = TPM_IO_TpmEstablished_Get(&is_established);

	*out = is_established;
	return result;
}

uint32_t sec_tpm_engine_reset_established(uint8_t locality)
{
	engine.locality = locality;
	return TPM_IO_TpmEstablished_Reset();
}

/* The D-RTM's hash is the platform's, at locality 4 (PC Client, 3.3). */
uint32_t sec_tpm_engine_hash_start(void)
{
	engine.locality = 4;
	return TPM_IO_Hash_Start();
}

uint32_t sec_tpm_engine_hash_data(const uint8_t *data, size_t size)
{
	return TPM_IO_Hash_Data(data, (uint32_t)size);
}

uint32_t sec_tpm_engine_hash_end(void)
{
	return TPM_IO_Hash_End();
}

uint32_t sec_tpm_engine_store_volatile(void)
{
	unsigned char *state = NULL;
	uint32_t size = 0;
	TPM_RESULT result = TPMLIB_VolatileAll_Store(&state, &size);

	if (!result)
		result = store_data(state, size, 0, TPM_VOLATILESTATE_NAME);
	rt_erase(state, size);
	free(state);
	return result;
}

uint32_t sec_tpm_engine_buffer(uint32_t wanted, uint32_t *min, uint32_t *max)
{
	return TPMLIB_SetBufferSize(wanted, min, max);
}

static enum TPMLIB_StateType type_of(enum sec_tpm_state kind)
{
	return kind == SEC_TPM_PERMANENT  ? TPMLIB_STATE_PERMANENT
	       : kind == SEC_TPM_VOLATILE ? TPMLIB_STATE_VOLATILE
					  : TPMLIB_STATE_SAVE_STATE;
}

uint32_t sec_tpm_engine_get(enum sec_tpm_state kind, uint8_t **out,
			    size_t *size)
{
	uint32_t length = 0;
	TPM_RESULT result;

	*out = NULL;
	*size = 0;
	/* TPM 2.0 has none. */
	if (kind == SEC_TPM_SAVED)
		return SEC_TPM_SUCCESS;
	result = TPMLIB_GetState(type_of(kind), out, &length);
	*size = length;
	return result == TPM_RETRY ? SEC_TPM_SUCCESS : result;
}

uint32_t sec_tpm_engine_set(enum sec_tpm_state kind, const uint8_t *data,
			    size_t size)
{
	struct set_state *set = &engine.set[kind == SEC_TPM_VOLATILE];

	if (kind == SEC_TPM_SAVED || !size)
		return size ? SEC_TPM_BAD_PARAMETER : SEC_TPM_SUCCESS;
	rt_erase(set->data, set->size);
	free(set->data);
	*set = (struct set_state){ malloc(size), size };
	if (!set->data) {
		set->size = 0;
		return SEC_TPM_SIZE;
	}
	memcpy(set->data, data, size);
	return SEC_TPM_SUCCESS;
}

size_t sec_tpm_engine_info(uint64_t flags, char *text, size_t size)
{
	RT_FREE char *info = TPMLIB_GetInfo((enum TPMLIB_InfoFlags)(flags & 7));

	int length = snprintf(text, size, "%s", info ? info : "{}");

	return (size_t)length < size ? (size_t)length : size - 1;
}
