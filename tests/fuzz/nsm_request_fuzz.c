/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a guest asks of the security module, as CBOR: whatever the bytes, what
 * is found lies within them, and what is refused has no command.
 */
#include <stdlib.h>

#include "security-chip/nsm/request.h"
#include "tests/fuzz/input.h"

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Reads each byte, so that a wrong length is found. */
static void look_at(const struct nsm_bytes *field, const uint8_t *data,
		    size_t size)
{
	volatile uint8_t sum = 0;

	if (!field->size)
		return;
	must(field->bytes >= data && field->bytes < data + size);
	must(field->size <= (size_t)(data + size - field->bytes));
	for (size_t i = 0; i < field->size; i++)
		sum = (uint8_t)(sum + field->bytes[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nsm_request request;
	enum nsm_error error = nsm_request_parse(data, size, &request);

	look_at(&request.data, data, size);
	look_at(&request.user_data, data, size);
	look_at(&request.nonce, data, size);
	look_at(&request.public_key, data, size);
	must(error == NSM_SUCCESS || error == NSM_INVALID_ARGUMENT ||
	     error == NSM_INVALID_OPERATION);
	must((request.command == NSM_COMMANDS) ==
	     (error == NSM_INVALID_OPERATION));
	return 0;
}
