/* SPDX-License-Identifier: BSD-3-Clause */
/* A request to the module, as its CBOR says.  No state; any thread. */
#ifndef SECURITY_CHIP_NSM_REQUEST_H
#define SECURITY_CHIP_NSM_REQUEST_H

#include <stddef.h>
#include <stdint.h>

enum nsm_command {
#define COMMAND(name, run, arguments) NSM_COMMAND_##name,
#include "security-chip/nsm/commands.def"
#undef COMMAND
	NSM_COMMANDS
};

/* In the NSM API's order; their names are what is answered. */
enum nsm_error {
	NSM_SUCCESS,
	NSM_INVALID_ARGUMENT,
	NSM_INVALID_INDEX,
	NSM_INVALID_RESPONSE,
	NSM_READ_ONLY_INDEX,
	NSM_INVALID_OPERATION,
	NSM_BUFFER_TOO_SMALL,
	NSM_INPUT_TOO_LARGE,
	NSM_INTERNAL_ERROR,
	NSM_ERRORS
};

extern const char *const nsm_command_names[NSM_COMMANDS];
extern const char *const nsm_error_names[NSM_ERRORS];

/* Arguments, as a set. */
#define NSM_ARGUMENT_INDEX      0x01u
#define NSM_ARGUMENT_RANGE      0x02u
#define NSM_ARGUMENT_DATA       0x04u
#define NSM_ARGUMENT_USER_DATA  0x08u
#define NSM_ARGUMENT_NONCE      0x10u
#define NSM_ARGUMENT_PUBLIC_KEY 0x20u

/* bytes NULL: the argument is absent or null. */
struct nsm_bytes {
	const uint8_t *bytes;
	size_t size;
};

struct nsm_request {
	enum nsm_command command;
	unsigned int arguments; /* those that are there and not null */
	uint64_t index, range;
	struct nsm_bytes data, user_data, nonce, public_key;
};

/*
 * The request in `size` bytes, which it points into.  NSM_INVALID_OPERATION: it
 * is not one item of CBOR of the right shape (out->command is NSM_COMMANDS and
 * out->arguments 0), or no command of that name (… and 1).
 * NSM_INVALID_ARGUMENT: an argument is missing,
 * comes twice, or is of the wrong kind.  Arguments that the command has no use
 * for, and unknown ones, are let pass, if they have no items of their own.
 */
enum nsm_error nsm_request_parse(const uint8_t *bytes, size_t size,
				 struct nsm_request *out);
/* The same, whatever there is behind it: a buffer is longer than a request. */
enum nsm_error nsm_request_parse_first(const uint8_t *bytes, size_t size,
				       struct nsm_request *out);

#endif
