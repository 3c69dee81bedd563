/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nitro-rom: the first stage of a card, which is never replaced.  It checks
 * what is in the flash and starts it, or keeps the card in reset and says why;
 * and it is the only program that writes the flash. Exit status: that of the
 * card; 1 it was held, or denied a write; 2 usage.
 */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "firmware/rt/run_dir.h"
#include "firmware/rt/scope.h"
#include "security-chip/audit.h"
#include "security-chip/boot/gate.h"
#include "security-chip/boot/rom.h"
#include "security-chip/chip.h"

#define EXIT_USAGE 2

enum key { KEY_INIT = 0x100, KEY_INSTALL, KEY_SLOT, KEY_STATUS, KEY_WATCHDOG };

struct words {
	struct rom_options rom;
	const char *owner, *image; /* NULL: not asked for */
	unsigned int slot;
	bool is_status;
};

static const struct argp_option table[] = {
	{ NULL, 0, NULL, 0, "Start a card:", 1 },
	{ "flash", 'f', "DIR", 0,
	  "The flash (default: flash in the state directory)", 1 },
	{ "socket-dir", 's', "DIR", 0,
	  "Where the card's sockets are (default: /run/nitro-card for root, "
	  "$XDG_RUNTIME_DIR/nitro-card for others)",
	  1 },
	{ "log-level", 'l', "LEVEL", 0,
	  "error, warn, notice, info or debug (default: as configured)", 1 },
	{ "watchdog", KEY_WATCHDOG, "SECONDS", 0,
	  "How long a program may take to be ready (default: 120)", 1 },
	{ NULL, 0, NULL, 0, "Instead of starting it:", 2 },
	{ "init", KEY_INIT, "HASH", 0,
	  "Make a flash whose owner's key has this SHA-384", 2 },
	{ "install", KEY_INSTALL, "IMAGE", 0,
	  "Check an image and write it into the inactive slot", 2 },
	{ "slot", KEY_SLOT, "a|b", 0, "Write that slot", 2 },
	{ "status", KEY_STATUS, NULL, 0, "Print what the flash holds, as JSON",
	  2 },
	{ 0 },
};

static unsigned int parse_slot(const char *word, const struct argp_state *state)
{
	if (strlen(word) != 1 || (word[0] != 'a' && word[0] != 'b'))
		argp_error(state, "--slot is a or b, not '%s'", word);
	return (unsigned int)(word[0] - 'a');
}

static unsigned int parse_seconds(const char *word,
				  const struct argp_state *state)
{
	char *end;
	unsigned long value = strtoul(word, &end, 10);

	if (!*word || *end || !value || value > 86400)
		argp_error(state, "--watchdog is 1 to 86400 seconds");
	return (unsigned int)value;
}

static const char *parse_level(const char *word, const struct argp_state *state)
{
	enum rt_log_level level;

	if (rt_log_level_parse(word, &level))
		argp_error(state,
			   "--log-level '%s' is none of error, warn, "
			   "notice, info and debug",
			   word);
	else
		rt_log_set_level(level);
	return word;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct words *words = state->input;

	switch (key) {
	case 'f':
		words->rom.flash = arg;
		return 0;
	case 's':
		words->rom.socket_dir = arg;
		return 0;
	case 'l':
		words->rom.log_level = parse_level(arg, state);
		return 0;
	case KEY_WATCHDOG:
		words->rom.watchdog_s = parse_seconds(arg, state);
		return 0;
	case KEY_INIT:
		words->owner = arg;
		return 0;
	case KEY_INSTALL:
		words->image = arg;
		return 0;
	case KEY_SLOT:
		words->slot = parse_slot(arg, state);
		return 0;
	case KEY_STATUS:
		words->is_status = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is one word too many", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = table,
	.parser = parse,
	.doc = "nitro-rom verifies and measures the firmware in a flash, and "
	       "starts it.  When nothing there is as its owner signed it, the "
	       "card stays in reset, and `nitroctl boot-status` says why."
	       "\vSee also: nitroctl firmware --help; man nitro-rom",
};

/* ---- Instead of starting ---- */

static bool parse_hash(const char *text, uint8_t out[SEC_DIGEST_BYTES])
{
	unsigned int byte;

	if (strlen(text) != (size_t)2 * SEC_DIGEST_BYTES ||
	    strspn(text, "0123456789abcdef") != strlen(text))
		return false;
	for (size_t i = 0; i < SEC_DIGEST_BYTES; i++) {
		sscanf(text + 2 * i, "%2x", &byte);
		out[i] = (uint8_t)byte;
	}
	return true;
}

static int init(const struct words *words)
{
	uint8_t owner[SEC_DIGEST_BYTES];
	struct rt_error error = { 0 };

	if (!parse_hash(words->owner, owner)) {
		fprintf(stderr, "nitro-rom: --init takes 96 digits of "
				"lower-case hexadecimal\n");
		return EXIT_USAGE;
	}
	if (!sec_flash_init(words->rom.flash, owner, &error))
		return EXIT_SUCCESS;
	fprintf(stderr, "nitro-rom: %s\n", error.text);
	if (error.hint[0])
		fprintf(stderr, "nitro-rom: %s\n", error.hint);
	return EXIT_FAILURE;
}

int rom_complain(const char *flash, enum sec_reason reason)
{
	fprintf(stderr, "nitro-rom: the flash at %s: %s: %s\n", flash,
		sec_reason_name(reason), sec_reason_sentence(reason));
	return EXIT_FAILURE;
}

static int install(const struct words *words)
{
	struct sec_flash flash;
	enum sec_reason reason = sec_flash_open(words->rom.flash, &flash);
	unsigned int slot;

	if (reason != SEC_REASON_GOOD) {
		sec_audit("gate.denied", "the flash: %s",
			  sec_reason_name(reason));
		return rom_complain(words->rom.flash, reason);
	}
	reason = sec_gate_install(&flash, words->image, words->slot, &slot);
	sec_flash_close(&flash);
	if (reason == SEC_REASON_GOOD) {
		printf("slot %c is written; it is tried at the next start\n",
		       SEC_SLOT_NAMES[slot]);
		return EXIT_SUCCESS;
	}
	fprintf(stderr, "nitro-rom: denied: slot %c: %s: %s\n",
		SEC_SLOT_NAMES[slot], sec_reason_name(reason),
		sec_reason_sentence(reason));
	return EXIT_FAILURE;
}

/* ---- Starting ---- */

static int take_signals(void)
{
	sigset_t signals;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int boot(const struct words *words)
{
	struct rom rom = { .options = &words->rom,
			   .flash.dir = -1,
			   .signals = take_signals() };
	int status;

	if (rom.signals < 0) {
		fprintf(stderr, "nitro-rom: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	status = rom_boot(&rom);
	sec_flash_close(&rom.flash);
	close(rom.signals);
	return status;
}

static int act(const struct words *words)
{
	return words->is_status ? rom_status(words->rom.flash)
	       : words->image   ? install(words)
				: boot(words);
}

/* The flash has an audit log of its own; without a flash there is none. */
static void open_audit(const char *flash)
{
	struct rt_error error = { 0 };

	if (!access(flash, F_OK) && sec_chip_open(flash, &error))
		rt_log_error("rom", "there will be no audit: %s", error.text);
}

int main(int argc, char **argv)
{
	struct words words = { .rom.watchdog_s = 120, .slot = SEC_SLOT_NONE };
	char flash[PATH_MAX], state[PATH_MAX - 8] = ".", sockets[108];
	int status;

	/* What verifies takes no orders from a file that a variable names. */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	rt_state_dir(state, sizeof state);
	snprintf(flash, sizeof flash, "%s/flash", state);
	if (!rt_run_dir(sockets, sizeof sockets))
		words.rom.socket_dir = sockets;
	words.rom.flash = flash;
	argp_err_exit_status = EXIT_USAGE;
	argp_program_version = "nitro-rom " NITRO_VERSION;
	argp_parse(&argp, argc, argv, 0, NULL, &words);
	if (words.owner)
		return init(&words);
	open_audit(words.rom.flash);
	status = act(&words);
	sec_chip_close();
	return status;
}
