/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The attester: keeps a chain of certificates and signs documents with its
 * leaf's key.  One thread at a time.
 */
#include "security-chip/attest/attest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/clock.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "security-chip/attest/chain.h"
#include "security-chip/attest/document.h"
#include "security-chip/chip.h"

struct sec_attester {
	struct sec_chain chain;
	int64_t clock_offset_s;
	unsigned int faults;
	uint8_t payload[SEC_PAYLOAD_BYTES];
};

/* i-0123456789abcdef0-enc0123456789abcdef: the same at each start. */
static int own_module_id(char *out, size_t room)
{
	uint64_t number[2];
	uint8_t digit;
	uint8_t bytes[sizeof number + sizeof digit];
	int status =
		sec_chip_secret("attestation module id", bytes, sizeof bytes);

	if (status)
		return status;
	memcpy(number, bytes, sizeof number);
	digit = bytes[sizeof number];
	snprintf(out, room, "i-%016" PRIx64 "%x-enc%016" PRIx64, number[0],
		 digit & 0xfu, number[1]);
	return 0;
}

int sec_attester_create(const struct sec_attester_config *config,
			struct sec_attester **out, struct rt_error *error)
{
	const char *region =
		config->region ? config->region : SEC_ATTEST_REGION;
	struct sec_attester *a;
	char own[64];
	int status;

	if (llabs(config->clock_offset_s) > SEC_ATTEST_OFFSET_S)
		return rt_error_set(error, -ERANGE,
				    "a clock %jd seconds off is more than the "
				    "root's certificate allows for",
				    (intmax_t)config->clock_offset_s);
	if (!config->module_id && own_module_id(own, sizeof own))
		return rt_error_set(error, -ENXIO,
				    "no security chip is open, so attestation "
				    "documents have no module id");
	a = calloc(1, sizeof *a);
	if (!a)
		return rt_error_set(error, -ENOMEM,
				    "no memory for an attester");
	a->clock_offset_s = config->clock_offset_s;
	a->faults = config->faults;
	status = sec_chain_init(&a->chain,
				config->module_id ? config->module_id : own,
				region, error);
	if (status) {
		sec_attester_destroy(&a);
		return status;
	}
	*out = a;
	return 0;
}

void sec_attester_destroy(struct sec_attester **a)
{
	if (!*a)
		return;
	sec_chain_deinit(&(*a)->chain);
	free(*a);
	*a = NULL;
}

void sec_attester_set_faults(struct sec_attester *a, unsigned int faults)
{
	a->faults = faults;
}

void sec_attester_set_clock(struct sec_attester *a, int64_t offset_s)
{
	if (llabs(offset_s) <= SEC_ATTEST_OFFSET_S)
		a->clock_offset_s = offset_s;
}

const char *sec_attester_module_id(const struct sec_attester *a)
{
	return a->chain.module_id;
}

static int check_request(const struct sec_attest_request *request,
			 const struct sec_pcrs *pcrs)
{
	if (!pcrs->locked)
		return -EINVAL;
	if (request->user_data_size > SEC_USER_DATA_BYTES ||
	    request->nonce_size > SEC_NONCE_BYTES ||
	    request->public_key_size > SEC_PUBLIC_KEY_BYTES)
		return -E2BIG;
	return 0;
}

static int write_payload(struct sec_attester *a,
			 const struct sec_attest_request *request,
			 const struct sec_pcrs *pcrs, int64_t now_ms,
			 size_t *size)
{
	return sec_payload_write(&a->chain, request, pcrs, (uint64_t)now_ms,
				 a->faults, a->payload, sizeof a->payload,
				 size);
}

/* The same again, but for a bit of the first register. */
static int alter_payload(struct sec_attester *a,
			 const struct sec_attest_request *request,
			 const struct sec_pcrs *pcrs, int64_t now_ms,
			 size_t *size)
{
	struct sec_pcrs altered = *pcrs;

	altered.value[__builtin_ctz(pcrs->locked)][SEC_PCR_BYTES - 1] ^= 1;
	return write_payload(a, request, &altered, now_ms, size);
}

static int sign_payload(struct sec_attester *a, size_t size,
			uint8_t out[SEC_ES384_BYTES])
{
	enum sec_level signer = a->faults & SEC_ATTEST_LEAF_KEY
					? SEC_LEVEL_INSTANCE
					: SEC_LEVEL_LEAF;

	return sec_signature_make(a->chain.level[signer].key, a->payload, size,
				  a->faults, out);
}

int sec_attest(struct sec_attester *a, const struct sec_attest_request *request,
	       const struct sec_pcrs *pcrs, uint8_t *out, size_t room,
	       size_t *size)
{
	int64_t now_ms = (int64_t)rt_wall_clock_ms() + a->clock_offset_s * 1000;
	uint8_t signature[SEC_ES384_BYTES];
	size_t payload_size;
	int status = check_request(request, pcrs);

	if (!status)
		status = sec_chain_keep(&a->chain, now_ms / 1000, a->faults);
	if (!status)
		status = write_payload(a, request, pcrs, now_ms, &payload_size);
	if (!status)
		status = sign_payload(a, payload_size, signature);
	if (!status && (a->faults & SEC_ATTEST_ALTERED_PAYLOAD))
		status = alter_payload(a, request, pcrs, now_ms, &payload_size);
	return status ? status
		      : sec_envelope_write(a->payload, payload_size, signature,
					   a->faults, out, room, size);
}

unsigned int sec_attest_fault_find(const char *name)
{
	static const struct {
		const char *name;
		unsigned int bit;
	} faults[] = {
#define ATTEST_FAULT(bit, NAME, name, what) { #name, SEC_ATTEST_##NAME },
#include "security-chip/attest/faults.def"
#undef ATTEST_FAULT
	};

	for (size_t i = 0; i < RT_COUNT(faults); i++)
		if (!strcmp(faults[i].name, name))
			return faults[i].bit;
	return 0;
}
