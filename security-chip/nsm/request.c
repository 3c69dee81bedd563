/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a request says: a bare text "Name", or a map of one pair whose value is
 * a map of arguments.  Integers of any width, arguments in any order, text
 * where bytes belong (as other implementations take it), and null where one may
 * be left out.
 */
#include "security-chip/nsm/request.h"

#include <string.h>

#include "firmware/rt/scope.h"
#include "security-chip/nsm/cbor.h"

const char *const nsm_command_names[NSM_COMMANDS] = {
#define COMMAND(name, run, arguments) #name,
#include "security-chip/nsm/commands.def"
#undef COMMAND
};

static const unsigned int needed[NSM_COMMANDS] = {
#define COMMAND(name, run, arguments) arguments,
#include "security-chip/nsm/commands.def"
#undef COMMAND
};

const char *const nsm_error_names[NSM_ERRORS] = {
	"Success",         "InvalidArgument", "InvalidIndex",
	"InvalidResponse", "ReadOnlyIndex",   "InvalidOperation",
	"BufferTooSmall",  "InputTooLarge",   "InternalError",
};

#define ARGUMENT(name, bit, member, is_number)                                 \
	{                                                                      \
		name, bit, offsetof(struct nsm_request, member), is_number     \
	}

static const struct argument {
	const char *name;
	unsigned int bit;
	size_t at; /* of its uint64_t or struct nsm_bytes */
	bool is_number;
} arguments[] = {
	ARGUMENT("index", NSM_ARGUMENT_INDEX, index, true),
	ARGUMENT("range", NSM_ARGUMENT_RANGE, range, true),
	ARGUMENT("data", NSM_ARGUMENT_DATA, data, false),
	ARGUMENT("user_data", NSM_ARGUMENT_USER_DATA, user_data, false),
	ARGUMENT("nonce", NSM_ARGUMENT_NONCE, nonce, false),
	ARGUMENT("public_key", NSM_ARGUMENT_PUBLIC_KEY, public_key, false),
};

static const struct argument *find_argument(const struct nsm_cbor_item *name)
{
	for (size_t i = 0; i < RT_COUNT(arguments); i++)
		if (nsm_cbor_is_text(name, arguments[i].name))
			return &arguments[i];
	return NULL;
}

static bool is_string(const struct nsm_cbor_item *item)
{
	return item->kind == NSM_CBOR_BYTES || item->kind == NSM_CBOR_TEXT;
}

/* Items that come after it are its own. */
static bool opens_a_nest(const struct nsm_cbor_item *item)
{
	return item->kind == NSM_CBOR_MAP || item->kind == NSM_CBOR_NEST;
}

static enum nsm_error take_argument(struct nsm_request *out,
				    const struct argument *argument,
				    const struct nsm_cbor_item *value)
{
	char *at = (char *)out + argument->at;

	if (value->kind == NSM_CBOR_NULL)
		return NSM_SUCCESS;
	if (out->arguments & argument->bit)
		return NSM_INVALID_ARGUMENT;
	if (argument->is_number && value->kind == NSM_CBOR_UINT)
		*(uint64_t *)(void *)at = value->value;
	else if (!argument->is_number && is_string(value))
		*(struct nsm_bytes *)(void *)at =
			(struct nsm_bytes){ value->bytes, value->value };
	else
		return NSM_INVALID_ARGUMENT;
	out->arguments |= argument->bit;
	return NSM_SUCCESS;
}

/* One pair of a map whose pairs_left is not 0; *is_over: it ends here. */
static bool next_name(struct nsm_cbor_reader *reader, uint64_t *pairs_left,
		      struct nsm_cbor_item *name, bool *is_over)
{
	*is_over = false;
	if (!nsm_cbor_next(reader, name))
		return false;
	if (name->kind == NSM_CBOR_BREAK) {
		*is_over = *pairs_left == NSM_CBOR_UNTIL_BREAK;
		return *is_over;
	}
	if (*pairs_left != NSM_CBOR_UNTIL_BREAK)
		--*pairs_left;
	return name->kind == NSM_CBOR_TEXT;
}

/* The syntax is judged before what the arguments are: *error keeps the first.
 */
static bool take_arguments(struct nsm_cbor_reader *reader, uint64_t pairs,
			   struct nsm_request *out, enum nsm_error *error)
{
	struct nsm_cbor_item name, value;
	const struct argument *argument;
	bool is_over;

	while (pairs) {
		if (!next_name(reader, &pairs, &name, &is_over))
			return false;
		if (is_over)
			break;
		/* A value of items of its own is none that we take. */
		if (!nsm_cbor_next(reader, &value) || opens_a_nest(&value) ||
		    value.kind == NSM_CBOR_BREAK)
			return false;
		argument = find_argument(&name);
		if (argument && !*error)
			*error = take_argument(out, argument, &value);
	}
	return true;
}

static enum nsm_command find_command(const struct nsm_cbor_item *name)
{
	unsigned int i = 0;

	while (i < NSM_COMMANDS &&
	       !nsm_cbor_is_text(name, nsm_command_names[i]))
		i++;
	return (enum nsm_command)i;
}

/* {name: arguments}; null and {} are the same. */
static bool parse_map(struct nsm_cbor_reader *reader, uint64_t pairs,
		      struct nsm_request *out, enum nsm_error *error)
{
	struct nsm_cbor_item name, value;

	if (pairs != 1 && pairs != NSM_CBOR_UNTIL_BREAK)
		return false;
	if (!nsm_cbor_next(reader, &name) || name.kind != NSM_CBOR_TEXT ||
	    !nsm_cbor_next(reader, &value))
		return false;
	out->command = find_command(&name);
	if (value.kind == NSM_CBOR_MAP) {
		if (!take_arguments(reader, value.value, out, error))
			return false;
	} else if (value.kind != NSM_CBOR_NULL) {
		return false;
	}
	return pairs == 1 ||
	       (nsm_cbor_next(reader, &value) && value.kind == NSM_CBOR_BREAK);
}

static enum nsm_error parse(struct nsm_cbor_reader *reader, bool may_be_more,
			    struct nsm_request *out)
{
	enum nsm_error error = NSM_SUCCESS;
	struct nsm_cbor_item item;
	bool is_sound;

	*out = (struct nsm_request){ .command = NSM_COMMANDS };
	is_sound = nsm_cbor_next(reader, &item);
	if (is_sound && item.kind == NSM_CBOR_TEXT)
		out->command = find_command(&item);
	else if (is_sound)
		is_sound = item.kind == NSM_CBOR_MAP &&
			   parse_map(reader, item.value, out, &error);
	if (!is_sound || (reader->left && !may_be_more)) {
		*out = (struct nsm_request){ .command = NSM_COMMANDS };
		return NSM_INVALID_OPERATION;
	}
	if (out->command == NSM_COMMANDS) {
		out->arguments = 1;
		return NSM_INVALID_OPERATION;
	}
	if (!error && (needed[out->command] & ~out->arguments))
		error = NSM_INVALID_ARGUMENT;
	return error;
}

enum nsm_error nsm_request_parse(const uint8_t *bytes, size_t size,
				 struct nsm_request *out)
{
	struct nsm_cbor_reader reader = { bytes, size };

	return parse(&reader, false, out);
}

enum nsm_error nsm_request_parse_first(const uint8_t *bytes, size_t size,
				       struct nsm_request *out)
{
	struct nsm_cbor_reader reader = { bytes, size };

	return parse(&reader, true, out);
}
