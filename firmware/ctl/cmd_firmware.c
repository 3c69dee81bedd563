/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nitroctl firmware: the owner's side.  Signing is done here; what touches the
 * flash is done by nitro-rom, which alone may.
 */
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/ctl/argv.h"
#include "firmware/ctl/child.h"
#include "firmware/ctl/ctl.h"
#include "firmware/rt/error.h"
#include "firmware/rt/run_dir.h"
#include "firmware/rt/scope.h"
#include "security-chip/boot/sign.h"

extern char **environ;

enum key {
	KEY_FLASH = 'f',
	KEY_KEY = 'k',
	KEY_PROGRAM = 'p',
	KEY_CONFIG = 'c',
	KEY_OUTPUT = 'o',
	KEY_SVN = 'n',
	KEY_NETWORK = 0x100,
	KEY_VERSION,
	KEY_SLOT,
};

struct firmware {
	const char *action, *image;
	const char *flash, *slot; /* NULL: nitro-rom's choice */
	bool is_json;
	struct sec_sign_request sign;
	char program[PATH_MAX], network[PATH_MAX], key[PATH_MAX];
};

static const struct argp_option options[] = {
	{ "flash", KEY_FLASH, "DIR", 0,
	  "The flash (default: flash in the state directory)", 0 },
	{ "key", KEY_KEY, "FILE", 0,
	  "The owner's private key (default: owner.pem in the state directory)",
	  0 },
	{ "slot", KEY_SLOT, "a|b", 0,
	  "install: that slot (default: the inactive one)", 0 },
	{ "program", KEY_PROGRAM, "FILE", 0,
	  "sign: the card's program (default: the nitro-card beside this one)",
	  0 },
	{ "network", KEY_NETWORK, "FILE", 0,
	  "sign: the user-mode network (default: the nitro-user-net beside "
	  "this one; none: leave it out)",
	  0 },
	{ "config", KEY_CONFIG, "FILE", 0, "sign: the card's configuration",
	  0 },
	{ "security-version", KEY_SVN, "N", 0,
	  "sign: lower ones do not start any more once it has (default: 0)",
	  0 },
	{ "firmware-version", KEY_VERSION, "TEXT", 0,
	  "sign: what people call it (default: " NITRO_VERSION ")", 0 },
	{ "output", KEY_OUTPUT, "DIR", 0, "sign: the image", 0 },
	{ 0 },
};

static uint32_t parse_svn(const char *word, const struct argp_state *state)
{
	char *end;
	unsigned long long value = strtoull(word, &end, 10);

	if (*word < '0' || *word > '9' || *end || value > UINT32_MAX)
		argp_error(state, "a security version is 0 to 4294967295");
	return (uint32_t)value;
}

static const char *parse_version(const char *word,
				 const struct argp_state *state)
{
	size_t length = strlen(word);

	for (size_t i = 0; i < length; i++)
		if (word[i] < ' ' || word[i] > '~')
			length = 0;
	if (!length || length >= SEC_VERSION_TEXT)
		argp_error(state, "a version is 1 to %u characters of ASCII",
			   SEC_VERSION_TEXT - 1);
	return word;
}

static void take_word(struct firmware *firmware, char *word,
		      const struct argp_state *state)
{
	if (!firmware->action)
		firmware->action = word;
	else if (!firmware->image && !strcmp(firmware->action, "install"))
		firmware->image = word;
	else
		argp_error(state, "'%s' is one word too many", word);
}

static void check_words(const struct firmware *firmware,
			const struct argp_state *state)
{
	static const char *const actions[] = { "init", "install", "sign",
					       "status" };
	bool is_one = false;

	for (size_t i = 0; firmware->action && i < RT_COUNT(actions); i++)
		is_one |= !strcmp(firmware->action, actions[i]);
	if (!is_one)
		argp_error(state, "say init, sign, install or status%s%s",
			   firmware->action ? ", not " : "",
			   firmware->action ? firmware->action : "");
	else if (!strcmp(firmware->action, "install") && !firmware->image)
		argp_error(state, "install which image?");
	else if (!strcmp(firmware->action, "sign") &&
		 (!firmware->sign.parts[SEC_PART_CONFIG] ||
		  !firmware->sign.image))
		argp_error(state, "sign needs --config FILE and --output DIR");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct firmware *firmware = state->input;

	switch (key) {
	case KEY_FLASH:
		firmware->flash = arg;
		return 0;
	case KEY_KEY:
		firmware->sign.key = arg;
		return 0;
	case KEY_SLOT:
		firmware->slot = arg;
		return 0;
	case KEY_PROGRAM:
		firmware->sign.parts[SEC_PART_PROGRAM] = arg;
		return 0;
	case KEY_NETWORK:
		firmware->sign.parts[SEC_PART_NETWORK] =
			strcmp(arg, "none") ? arg : NULL;
		return 0;
	case KEY_CONFIG:
		firmware->sign.parts[SEC_PART_CONFIG] = arg;
		return 0;
	case KEY_OUTPUT:
		firmware->sign.image = arg;
		return 0;
	case KEY_SVN:
		firmware->sign.svn = parse_svn(arg, state);
		return 0;
	case KEY_VERSION:
		firmware->sign.version = parse_version(arg, state);
		return 0;
	case ARGP_KEY_ARG:
		take_word(firmware, arg, state);
		return 0;
	case ARGP_KEY_END:
		check_words(firmware, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "init|sign|install IMAGE|status",
	.doc = "Make a card's flash, sign firmware for it, write it there, and "
	       "see what is there.  nitro-rom starts it."
	       "\vnitroctl firmware init && nitroctl firmware sign --config "
	       "card.yaml --output image && nitroctl firmware install image && "
	       "nitro-rom",
};

static enum ctl_exit complain(const struct rt_error *error)
{
	ctl_complain("%s", error->text);
	if (error->hint[0])
		ctl_complain("%s", error->hint);
	return CTL_REFUSED;
}

/* ---- nitro-rom ---- */

static bool spawn_rom(char *const *words, int output, pid_t *out)
{
	posix_spawn_file_actions_t actions;
	int err = posix_spawn_file_actions_init(&actions);

	if (!err && output >= 0)
		err = posix_spawn_file_actions_adddup2(&actions, output,
						       STDOUT_FILENO);
	if (!err)
		err = posix_spawnp(out, words[0], &actions, NULL, words,
				   environ);
	posix_spawn_file_actions_destroy(&actions);
	if (err)
		ctl_complain("cannot start %s: %s", words[0], strerror(err));
	return !err;
}

/* output -1: ours. */
static enum ctl_exit run_rom(const struct firmware *firmware,
			     const char *option, const char *value, int output)
{
	struct ctl_argv argv = { 0 };
	char program[PATH_MAX];
	int status = -1;
	pid_t pid;

	ctl_find_program("nitro-rom", program, sizeof program);
	ctl_argv_add(&argv, "%s", program);
	if (firmware->flash)
		ctl_argv_add(&argv, "--flash=%s", firmware->flash);
	if (firmware->slot)
		ctl_argv_add(&argv, "--slot=%s", firmware->slot);
	ctl_argv_add(&argv, "%s", option);
	if (value)
		ctl_argv_add(&argv, "%s", value);
	if (spawn_rom(argv.words, output, &pid))
		waitpid(pid, &status, 0);
	ctl_argv_free(&argv);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
		return CTL_USAGE;
	return status ? CTL_REFUSED : CTL_DONE;
}

/* ---- Actions ---- */

static enum ctl_exit init(const struct firmware *firmware)
{
	char hex[2 * SEC_DIGEST_BYTES + 1];
	uint8_t digest[SEC_DIGEST_BYTES];
	struct rt_error error = { 0 };
	int status = rt_make_dirs(firmware->sign.key);

	if (status)
		rt_error_set(&error, status, "%s: %s", firmware->sign.key,
			     strerror(-status));
	else if (access(firmware->sign.key, F_OK))
		status = sec_sign_new_key(firmware->sign.key, &error);
	if (!status)
		status =
			sec_sign_key_digest(firmware->sign.key, digest, &error);
	if (status)
		return complain(&error);
	for (size_t i = 0; i < SEC_DIGEST_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	return run_rom(firmware, "--init", hex, -1);
}

static enum ctl_exit sign(const struct firmware *firmware)
{
	struct rt_error error = { 0 };

	return sec_sign_image(&firmware->sign, &error) ? complain(&error)
						       : CTL_DONE;
}

static const char *yes_or(const json_t *slot, const char *key, const char *yes)
{
	return json_is_true(json_object_get(slot, key)) ? yes : "";
}

static void print_flash(const json_t *flash)
{
	const json_t *slot;
	size_t i;

	printf("flash: %s, floor %" JSON_INTEGER_FORMAT
	       ", writes %" JSON_INTEGER_FORMAT ", denied %" JSON_INTEGER_FORMAT
	       "\n",
	       ctl_text(flash, "flash"), ctl_number(flash, "floor"),
	       ctl_number(flash, "written"), ctl_number(flash, "denied"));
	printf("device: %s\n", ctl_text(flash, "device"));
	json_array_foreach(json_object_get(flash, "slots"), i, slot)
	{
		const char *failed = ctl_text(slot, "trial_failed");

		printf("slot %s: %s: %s%s%s", ctl_text(slot, "slot"),
		       ctl_text(slot, "reason"), ctl_text(slot, "text"),
		       yes_or(slot, "active", ", active"),
		       yes_or(slot, "trial", ", on trial"));
		if (failed[0])
			printf(", its trial failed: %s", failed);
		if (ctl_text(slot, "version")[0])
			printf("; version %s, security version "
			       "%" JSON_INTEGER_FORMAT,
			       ctl_text(slot, "version"),
			       ctl_number(slot, "svn"));
		putchar('\n');
	}
}

static enum ctl_exit not_told(void)
{
	ctl_complain("nitro-rom --status does not answer in JSON; is it as new "
		     "as this nitroctl?");
	return CTL_REFUSED;
}

static enum ctl_exit show(const struct firmware *firmware)
{
	enum ctl_exit status = CTL_REFUSED;
	FILE *text = tmpfile();
	json_t *flash;

	if (!text) {
		ctl_complain("no temporary file: %s", strerror(errno));
		return status;
	}
	status = run_rom(firmware, "--status", NULL, fileno(text));
	rewind(text);
	flash = status == CTL_DONE ? json_loadf(text, 0, NULL) : NULL;
	fclose(text);
	if (flash && firmware->is_json)
		status = ctl_print_json(flash);
	else if (flash)
		print_flash(flash);
	else if (status == CTL_DONE)
		status = not_told();
	json_decref(flash);
	return status;
}

static void set_defaults(struct firmware *firmware)
{
	char state[PATH_MAX - 16] = ".";

	rt_state_dir(state, sizeof state);
	snprintf(firmware->key, sizeof firmware->key, "%s/owner.pem", state);
	ctl_find_program("nitro-card", firmware->program,
			 sizeof firmware->program);
	ctl_find_program("nitro-user-net", firmware->network,
			 sizeof firmware->network);
	firmware->sign = (struct sec_sign_request){
		.key = firmware->key,
		.version = NITRO_VERSION,
		.parts = { firmware->program, NULL, firmware->network },
	};
}

enum ctl_exit ctl_firmware(struct ctl *ctl, int argc, char **argv)
{
	struct firmware firmware = { 0 };

	set_defaults(&firmware);
	ctl_parse(ctl, &argp, argc, argv, &firmware);
	firmware.is_json = ctl->is_json;
	if (!strcmp(firmware.action, "init"))
		return init(&firmware);
	if (!strcmp(firmware.action, "sign"))
		return sign(&firmware);
	if (!strcmp(firmware.action, "install"))
		return run_rom(&firmware, "--install", firmware.image, -1);
	return show(&firmware);
}
