/* SPDX-License-Identifier: BSD-3-Clause */
/* nitroctl tpm: the card's TPM, and its public endorsement keys. */
#include <stdlib.h>
#include <string.h>

#include "firmware/ctl/ctl.h"

struct tpm_words {
	const char *verb, *key, *format;
};

static const struct argp_option options[] = {
	{ "key", 'k', "TYPE", 0,
	  "With ek: rsa-2048 or ecc-sec-p384 (default: rsa-2048)", 0 },
	{ "format", 'f', "FORMAT", 0, "With ek: der or tpmt (default: der)",
	  0 },
	{ 0 },
};

static bool is_verb(const char *word)
{
	return !strcmp(word, "status") || !strcmp(word, "ek");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct tpm_words *words = state->input;

	switch (key) {
	case 'k':
		words->key = arg;
		return 0;
	case 'f':
		words->format = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (words->verb || !is_verb(arg))
			argp_usage(state);
		words->verb = arg;
		return 0;
	case ARGP_KEY_END:
		if ((words->key || words->format) &&
		    (!words->verb || strcmp(words->verb, "ek") != 0))
			argp_error(state, "--key and --format are of `ek`");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[status | ek]",
	.doc = "Show the card's TPM: whether a guest has started it, how much "
	       "it has done, and its PCRs of SHA-384; or print a public "
	       "endorsement key in base64, as EC2's GetInstanceTpmEkPub does.",
};

static void print_pcrs(const json_t *pcrs)
{
	const json_t *value;
	size_t i;

	json_array_foreach(pcrs, i, value) printf(
		"%s%zu: %s\n", i < 10 ? " " : "", i, json_string_value(value));
}

static const char *state_of(const json_t *status)
{
	return json_is_true(json_object_get(status, "started")) ? "started"
	       : json_is_true(json_object_get(status, "power"))
		       ? "on, not yet started"
	       : json_is_true(json_object_get(status, "connected"))
		       ? "connected, off"
		       : "waiting";
}

static void print_status(const json_t *status)
{
	printf("%s: TPM 2.0 of %s, %s, socket %s\n", ctl_text(status, "name"),
	       ctl_text(status, "instance"), state_of(status),
	       ctl_text(status, "socket"));
	printf("boots %" JSON_INTEGER_FORMAT ", commands %" JSON_INTEGER_FORMAT
	       " (%" JSON_INTEGER_FORMAT
	       " with an error), state written %" JSON_INTEGER_FORMAT
	       " times (%" JSON_INTEGER_FORMAT " failed)\n",
	       ctl_number(status, "boots"), ctl_number(status, "commands"),
	       ctl_number(status, "failures"), ctl_number(status, "stores"),
	       ctl_number(status, "failed_stores"));
	print_pcrs(json_object_get(status, "pcrs_sha384"));
}

static enum ctl_exit show_ek(struct ctl *ctl, const struct tpm_words *words)
{
	json_t *params = json_object(), *result;
	enum ctl_exit status;

	if (words->key)
		json_object_set_new(params, "key", json_string(words->key));
	if (words->format)
		json_object_set_new(params, "format",
				    json_string(words->format));
	status = ctl_call(ctl, "tpm.ek", params, &result);
	if (status == CTL_DONE && ctl->is_json)
		status = ctl_print_json(result);
	else if (status == CTL_DONE)
		puts(ctl_text(result, "key_value"));
	json_decref(result);
	return status;
}

enum ctl_exit ctl_tpm(struct ctl *ctl, int argc, char **argv)
{
	struct tpm_words words = { 0 };
	enum ctl_exit status;
	json_t *result;

	ctl_parse(ctl, &argp, argc, argv, &words);
	if (words.verb && !strcmp(words.verb, "ek"))
		return show_ek(ctl, &words);
	status = ctl_call(ctl, "tpm.status", NULL, &result);
	if (status == CTL_DONE && ctl->is_json)
		status = ctl_print_json(result);
	else if (status == CTL_DONE)
		print_status(result);
	json_decref(result);
	return status;
}
