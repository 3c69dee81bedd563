/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A card's attestation documents without a card, for tests and ./bench:
 *
 *   attest-document STATE-DIR [OPTION...] >document
 *
 * Registers 0 to 15 are locked, as at the start of an enclave; those that
 * --pcr names hold what it says, and are locked, too.
 */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "security-chip/attest/attest.h"
#include "security-chip/chip.h"

struct bytes {
	uint8_t data[2048];
	size_t size;
};

struct wanted {
	const char *state_dir;
	struct sec_attester_config config;
	struct sec_pcrs pcrs;
	struct bytes nonce, user_data, public_key;
	struct sec_attest_request request;
	double seconds; /* above 0: measure so long */
	bool is_root;
};

static struct argp_option options[] = {
	{ "fault", 'f', "NAME", 0, "Of faults.def; may be repeated", 0 },
	{ "module-id", 'm', "TEXT", 0, "In the documents", 0 },
	{ "region", 'r', "TEXT", 0, "In the certificates", 0 },
	{ "offset", 'o', "SECONDS", 0, "Of the tester's clock", 0 },
	{ "locked", 'l', "MASK", 0, "Registers that are locked (0xffff)", 0 },
	{ "pcr", 'p', "N=HEX", 0, "A locked register", 0 },
	{ "nonce", 'n', "HEX", 0, "In the document", 0 },
	{ "user-data", 'u', "HEX", 0, "In the document", 0 },
	{ "public-key", 'k', "FILE", 0, "In the document, as it is", 0 },
	{ "root", 'R', NULL, 0, "Print the root as PEM, and no document", 0 },
	{ "measure", 's', "SECONDS", 0,
	  "Print documents per second of processor time", 0 },
	{ 0 },
};

static void parse_hex(const char *hex, struct bytes *out,
		      const struct argp_state *state)
{
	int used;

	for (out->size = 0; *hex; hex += 2)
		if (out->size == sizeof out->data ||
		    sscanf(hex, "%2hhx%n", &out->data[out->size++], &used) !=
			    1 ||
		    used != 2)
			argp_error(state, "'%s' is not hexadecimal", hex);
}

static void read_file(const char *path, struct bytes *out,
		      const struct argp_state *state)
{
	FILE *file = fopen(path, "rb");

	if (!file)
		argp_error(state, "%s cannot be read", path);
	out->size = fread(out->data, 1, sizeof out->data, file);
	(void)fclose(file);
}

static void parse_pcr(struct wanted *wanted, const char *text,
		      const struct argp_state *state)
{
	struct bytes value;
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end != '=' || n >= SEC_PCR_COUNT)
		argp_error(state, "--pcr is N=HEX, N up to 31");
	parse_hex(end + 1, &value, state);
	if (value.size != SEC_PCR_BYTES)
		argp_error(state, "a register has 48 bytes");
	memcpy(wanted->pcrs.value[n], value.data, SEC_PCR_BYTES);
	wanted->pcrs.locked |= UINT32_C(1) << n;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct wanted *wanted = state->input;

	switch (key) {
	case 'f':
		if (!sec_attest_fault_find(arg))
			argp_error(state, "there is no fault '%s'", arg);
		wanted->config.faults |= sec_attest_fault_find(arg);
		return 0;
	case 'm':
		wanted->config.module_id = arg;
		return 0;
	case 'r':
		wanted->config.region = arg;
		return 0;
	case 'o':
		wanted->config.clock_offset_s = strtoll(arg, NULL, 10);
		return 0;
	case 'l':
		wanted->pcrs.locked = (uint32_t)strtoul(arg, NULL, 0);
		return 0;
	case 'p':
		parse_pcr(wanted, arg, state);
		return 0;
	case 'n':
		parse_hex(arg, &wanted->nonce, state);
		wanted->request.nonce = wanted->nonce.data;
		return 0;
	case 'u':
		parse_hex(arg, &wanted->user_data, state);
		wanted->request.user_data = wanted->user_data.data;
		return 0;
	case 'k':
		read_file(arg, &wanted->public_key, state);
		wanted->request.public_key = wanted->public_key.data;
		return 0;
	case 'R':
		wanted->is_root = true;
		return 0;
	case 's':
		wanted->seconds = strtod(arg, NULL);
		return 0;
	case ARGP_KEY_ARG:
		wanted->state_dir = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "give a state directory");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int fail(const char *what, int status)
{
	(void)fprintf(stderr, "attest-document: %s (%s)\n", what,
		      rt_errno_name(status));
	return EXIT_FAILURE;
}

/* Processor time, as `openssl speed` measures: others' work costs nothing. */
static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int make(struct sec_attester *a, const struct wanted *wanted)
{
	static uint8_t document[SEC_DOCUMENT_BYTES];
	double start = now_s();
	unsigned long count = 0;
	size_t size = 0;
	int status;

	do {
		status = sec_attest(a, &wanted->request, &wanted->pcrs,
				    document, sizeof document, &size);
		count++;
	} while (!status && now_s() - start < wanted->seconds);
	if (status)
		return fail("no document", status);
	if (wanted->seconds > 0)
		printf("%.1f\n", (double)count / (now_s() - start));
	else
		fwrite(document, 1, size, stdout);
	return EXIT_SUCCESS;
}

static int print_root(void)
{
	RT_FREE char *pem = NULL;
	struct rt_error error;

	if (sec_attest_root_pem(&pem, &error))
		return fail(error.text, error.code);
	fputs(pem, stdout);
	return EXIT_SUCCESS;
}

static int run(const struct wanted *wanted)
{
	struct sec_attester *a = NULL;
	struct rt_error error;
	int code;

	if (wanted->is_root)
		return print_root();
	if (sec_attester_create(&wanted->config, &a, &error))
		return fail(error.text, error.code);
	code = make(a, wanted);
	sec_attester_destroy(&a);
	return code;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "STATE-DIR",
		.doc = "An attestation document on standard output.",
	};
	static struct wanted wanted = { .pcrs.locked = 0xffff };
	struct rt_error error;
	int code;

	argp_parse(&argp, argc, argv, 0, NULL, &wanted);
	wanted.request.nonce_size = wanted.nonce.size;
	wanted.request.user_data_size = wanted.user_data.size;
	wanted.request.public_key_size = wanted.public_key.size;
	if (sec_chip_open(wanted.state_dir, &error))
		return fail(error.text, error.code);
	code = run(&wanted);
	sec_chip_close();
	return code;
}
