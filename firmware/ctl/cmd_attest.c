/* SPDX-License-Identifier: BSD-3-Clause */
/* nitroctl attest: the root that documents are under, and documents. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "firmware/ctl/attest.h"
#include "firmware/rt/scope.h"

enum key {
	KEY_ROOT = 'r',
	KEY_NONCE = 'n',
	KEY_USER_DATA = 'u',
	KEY_PCR = 'p',
	KEY_AT = 't',
	KEY_TPM = 'T',
};

static const struct argp_option options[] = {
	{ "root", KEY_ROOT, "FILE", 0,
	  "Of `verify`: the root that is trusted, as PEM or DER (default: the "
	  "running card's)",
	  0 },
	{ "nonce", KEY_NONCE, "HEX", 0,
	  "Of `verify`: the nonce that the document is to carry", 0 },
	{ "user-data", KEY_USER_DATA, "HEX", 0,
	  "Of `verify`: the user_data that it is to carry", 0 },
	{ "pcr", KEY_PCR, "N=HEX", 0,
	  "Of `verify`: what PCR N is to be; may be repeated", 0 },
	{ "nitrotpm", KEY_TPM, NULL, 0,
	  "Of `verify`: the PCRs are those of a NitroTPM, not of an enclave",
	  0 },
	{ "at", KEY_AT, "TIME", 0,
	  "Of `verify`: as if it were 2026-05-04T03:02:01Z, or @SECONDS since "
	  "1970 (default: now)",
	  0 },
	{ 0 },
};

static int digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *found = c ? strchr(digits, c | 0x20) : NULL;

	return found ? (int)(found - digits) : -1;
}

/* False: not hexadecimal, or longer than room. */
static bool parse_hex(const char *hex, uint8_t *room, size_t size,
		      struct nitro_attest_bytes *out)
{
	size_t used = 0;

	for (; hex[0]; hex += 2) {
		if (digit(hex[0]) < 0 || digit(hex[1]) < 0 || used == size)
			return false;
		room[used++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
	}
	*out = (struct nitro_attest_bytes){ room, used };
	return true;
}

static void set_pcr(struct ctl_attest *words, const char *text,
		    const struct argp_state *state)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || *end != '=' || n >= NITRO_ATTEST_PCRS)
		argp_error(state,
			   "--pcr is N=HEX with N from 0 to 31, not "
			   "'%s'",
			   text);
	if (words->wanted.pcr[n].data)
		argp_error(state, "PCR %lu has two values, and can have one",
			   n);
	if (!parse_hex(end + 1, words->pcr[n], sizeof words->pcr[n],
		       &words->wanted.pcr[n]) ||
	    (words->wanted.pcr[n].size != 32 &&
	     words->wanted.pcr[n].size != 48 &&
	     words->wanted.pcr[n].size != 64))
		argp_error(state, "PCR %lu is 96 hexadecimal digits, not '%s'",
			   n, end + 1);
}

static void set_time(struct ctl_attest *words, const char *text,
		     const struct argp_state *state)
{
	struct tm tm = { 0 };
	char *end;

	if (text[0] == '@') {
		words->wanted.time_s = strtoll(text + 1, &end, 10);
	} else {
		end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
		words->wanted.time_s = timegm(&tm);
	}
	if (!end || *end || words->wanted.time_s <= 0)
		argp_error(state,
			   "--at is like 2026-05-04T03:02:01Z or @1777863721, "
			   "not '%s'",
			   text);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct ctl_attest *words = state->input;

	switch (key) {
	case KEY_ROOT:
		words->root = arg;
		return 0;
	case KEY_NONCE:
		if (!parse_hex(arg, words->nonce, sizeof words->nonce,
			       &words->wanted.nonce))
			argp_error(state, "--nonce is hexadecimal, up to 1024 "
					  "bytes");
		return 0;
	case KEY_USER_DATA:
		if (!parse_hex(arg, words->user_data, sizeof words->user_data,
			       &words->wanted.user_data))
			argp_error(state, "--user-data is hexadecimal, up to "
					  "1024 bytes");
		return 0;
	case KEY_PCR:
		set_pcr(words, arg, state);
		return 0;
	case KEY_TPM:
		words->wanted.is_tpm = true;
		return 0;
	case KEY_AT:
		set_time(words, arg, state);
		return 0;
	case ARGP_KEY_ARG:
		if (words->file)
			argp_usage(state);
		*(words->verb ? &words->file : &words->verb) = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "say root, verify or show");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "root\nverify FILE\nshow FILE",
	.doc = "`root` prints the simulated root that the running card's "
	       "documents are under.  `verify` does what a relying party does "
	       "with a document in FILE (- is standard input), a line for each "
	       "check, and ends with 0 only if all hold.  `show` prints what "
	       "is in a document as JSON, and believes none of it.",
};

bool ctl_attest_load(const char *path, uint8_t *room,
		     struct nitro_attest_bytes *out)
{
	bool is_stdin = !strcmp(path, "-");
	FILE *file = is_stdin ? stdin : fopen(path, "rbe");

	if (!file) {
		ctl_complain("%s: %s", path, strerror(errno));
		return false;
	}
	out->data = room;
	out->size = fread(room, 1, CTL_ATTEST_BYTES, file);
	if (ferror(file))
		ctl_complain("%s: %s", path, strerror(errno));
	else if (out->size == CTL_ATTEST_BYTES)
		ctl_complain("%s has %u bytes or more, and so is no document",
			     path, CTL_ATTEST_BYTES);
	else if (!out->size)
		ctl_complain("%s is empty", path);
	else
		room = NULL; /* good */
	if (!is_stdin)
		fclose(file);
	return !room;
}

enum ctl_exit ctl_attest_root(struct ctl *ctl, char **out)
{
	json_t *result;
	enum ctl_exit status = ctl_call(ctl, "attest.root", NULL, &result);

	if (status != CTL_DONE)
		return status;
	*out = strdup(ctl_text(result, "pem"));
	json_decref(result);
	return *out ? CTL_DONE : CTL_REFUSED;
}

static enum ctl_exit print_root(struct ctl *ctl)
{
	RT_FREE char *pem = NULL;
	enum ctl_exit status = ctl_attest_root(ctl, &pem);
	json_t *json;

	if (status != CTL_DONE)
		return status;
	if (!ctl->is_json) {
		fputs(pem, stdout);
		return CTL_DONE;
	}
	json = json_pack("{s:s}", "pem", pem);
	status = ctl_print_json(json);
	json_decref(json);
	return status;
}

enum ctl_exit ctl_attest(struct ctl *ctl, int argc, char **argv)
{
	static struct ctl_attest words;
	bool needs_file;

	ctl_parse(ctl, &argp, argc, argv, &words);
	if (!strcmp(words.verb, "root") && !words.file)
		return print_root(ctl);
	needs_file =
		!strcmp(words.verb, "verify") || !strcmp(words.verb, "show");
	if (needs_file && words.file)
		return words.verb[0] == 'v' ? ctl_attest_verify(ctl, &words)
					    : ctl_attest_show(&words);
	if (needs_file)
		ctl_complain("attest %s: the FILE of a document is missing; - "
			     "is standard input",
			     words.verb);
	else
		ctl_complain("attest: '%s' is none of root, verify FILE and "
			     "show FILE",
			     words.verb);
	return CTL_USAGE;
}
