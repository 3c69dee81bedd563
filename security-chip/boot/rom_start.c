/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starting the next stage: exactly the bytes that were verified, from sealed
 * memory, with an environment from which nothing can be loaded into it, and
 * with a secret of its own.  It says by a byte in a pipe that it is ready.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/rt/clock.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "security-chip/boot/rom.h"

#define WHO    "rom"
#define END_MS 3000
#define WORDS  8

/* In the pipe: by the card (sec_boot_ready()), or by us in its place. */
#define READY       'R'
#define NOT_STARTED 'X'

extern char **environ;

/* ---- The hand-over ---- */

static int derive(struct rom *rom, struct sec_handover *handover)
{
	uint8_t uds[SEC_UDS_BYTES];
	struct sec_tcb tcb;
	int status = sec_flash_uds(&rom->flash, uds);

	if (!status)
		status = sec_handover_tcb(handover, &tcb);
	if (!status)
		status = sec_dice_cdi(uds, tcb.registers, handover->cdi);
	if (!status)
		status = sec_identity_make(uds, handover->cdi, &tcb,
					   &handover->identity);
	OPENSSL_cleanse(uds, sizeof uds);
	return status;
}

static void fill(const struct rom *rom, const struct sec_stage *stage,
		 int ready, struct sec_handover *handover)
{
	memcpy(handover->magic, SEC_HANDOVER_MAGIC, 8);
	handover->size = sizeof *handover;
	handover->config = stage->parts[SEC_PART_CONFIG];
	handover->network = stage->parts[SEC_PART_NETWORK];
	handover->ready = ready;
	snprintf(handover->config_name, sizeof handover->config_name,
		 "%s/%c/%s", rom->options->flash,
		 SEC_SLOT_NAMES[rom->report.slot],
		 sec_part_rules[SEC_PART_CONFIG].name);
	handover->report = rom->report;
	memcpy(handover->events, rom->events, sizeof handover->events);
	handover->event_count = rom->event_count;
}

/* The number of a sealed memfd, or a negative errno. */
static int make_handover(struct rom *rom, const struct sec_stage *stage,
			 int ready)
{
	struct sec_handover *handover = calloc(1, sizeof *handover);
	int fd;

	if (!handover)
		return -ENOMEM;
	fill(rom, stage, ready, handover);
	fd = derive(rom, handover);
	if (!fd)
		fd = sec_sealed_bytes("handover", handover, sizeof *handover);
	OPENSSL_cleanse(handover, sizeof *handover);
	free(handover);
	return fd;
}

/* ---- The child ---- */

/*
 * Loaders and libraries take orders from more names than anybody knows, some
 * of them to load something (LD_PRELOAD, OPENSSL_CONF, GCONV_PATH); so what
 * the card itself asks for reaches it, and nothing else.
 */
static bool is_asked_for(const char *variable)
{
	static const char *const names[] = {
		"HOME=",
		"NOTIFY_SOCKET=",
		"STATE_DIRECTORY=",
		"XDG_RUNTIME_DIR=",
		"XDG_STATE_HOME=",
	};

	for (size_t i = 0; i < RT_COUNT(names); i++)
		if (!strncmp(variable, names[i], strlen(names[i])))
			return true;
	return false;
}

static void clean_environment(void)
{
	char **out = environ;

	for (char **in = environ; *in; in++)
		if (is_asked_for(*in))
			*out++ = *in;
	*out = NULL;
}

static void keep(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, 0);
}

__attribute__((noreturn)) static void become(struct rom *rom,
					     const struct sec_stage *stage,
					     int handover, int ready,
					     pid_t parent)
{
	char number[16];
	char *words[WORDS] = { (char *)(uintptr_t) "nitro-card",
			       (char *)(uintptr_t) "--handover", number,
			       (char *)(uintptr_t) "--socket-dir",
			       (char *)(uintptr_t)rom->options->socket_dir };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) || getppid() != parent)
		_exit(127);
	if (rom->options->log_level) {
		words[5] = (char *)(uintptr_t) "--log-level";
		words[6] = (char *)(uintptr_t)rom->options->log_level;
	}
	snprintf(number, sizeof number, "%d", handover);
	keep(handover);
	keep(ready);
	keep(stage->parts[SEC_PART_CONFIG]);
	keep(stage->parts[SEC_PART_NETWORK]);
	clean_environment();
	fexecve(stage->parts[SEC_PART_PROGRAM], words, environ);
	fprintf(stderr, "nitro-rom: cannot start the program: %s\n",
		strerror(errno));
	_exit(write(ready, &(char){ NOT_STARTED }, 1) == 1 ? 127 : 126);
}

/* ---- Waiting ---- */

/* True: the child has ended, and *out_status says how. */
static bool has_ended(struct rom *rom, int *out_status)
{
	if (!rom->card || waitpid(rom->card, out_status, WNOHANG) != rom->card)
		return !rom->card;
	rom->card = 0;
	return true;
}

void rom_take_signal(struct rom *rom)
{
	struct signalfd_siginfo info;

	if (read(rom->signals, &info, sizeof info) != sizeof info ||
	    info.ssi_signo == SIGCHLD)
		return;
	rom->must_end = true;
	if (rom->card)
		kill(rom->card, SIGTERM);
}

uint64_t rom_now_ms(void)
{
	return rt_clock_now_ns(&(struct rt_clock){ 0 }) / RT_NS_PER_MS;
}

static void end_card(struct rom *rom)
{
	uint64_t end = rom_now_ms() + END_MS;
	int status;

	if (rom->card)
		kill(rom->card, SIGTERM);
	while (!has_ended(rom, &status) && rom_now_ms() < end)
		poll(NULL, 0, 10);
	if (!rom->card)
		return;
	kill(rom->card, SIGKILL);
	waitpid(rom->card, &status, 0);
	rom->card = 0;
}

/* What the child has to say: one byte, or its end. */
static enum sec_reason hear(int ready)
{
	char byte;

	if (read(ready, &byte, 1) != 1)
		return SEC_REASON_SELF_TEST_FAILED;
	return byte == READY         ? SEC_REASON_GOOD
	       : byte == NOT_STARTED ? SEC_REASON_START_FAILED
				     : SEC_REASON_SELF_TEST_FAILED;
}

static enum sec_reason wait_until_ready(struct rom *rom, int ready)
{
	uint64_t end = rom_now_ms() + rom->options->watchdog_s * UINT64_C(1000);
	struct pollfd fds[] = { { .fd = ready, .events = POLLIN },
				{ .fd = rom->signals, .events = POLLIN } };
	uint64_t now;

	while ((now = rom_now_ms()) < end && !rom->must_end) {
		if (poll(fds, 2, (int)(end - now)) <= 0)
			continue;
		if (fds[1].revents)
			rom_take_signal(rom);
		if (fds[0].revents)
			return hear(ready);
	}
	return SEC_REASON_SELF_TEST_SILENT;
}

enum sec_reason rom_start(struct rom *rom, const struct sec_stage *stage)
{
	enum sec_reason reason = SEC_REASON_START_FAILED;
	pid_t self = getpid();
	int ends[2], handover;

	if (pipe2(ends, O_CLOEXEC))
		return reason;
	handover = make_handover(rom, stage, ends[1]);
	rom->card = handover < 0 ? -1 : fork();
	if (!rom->card)
		become(rom, stage, handover, ends[1], self);
	close(ends[1]);
	if (handover >= 0)
		close(handover);
	if (rom->card > 0)
		reason = wait_until_ready(rom, ends[0]);
	else
		rom->card = 0;
	close(ends[0]);
	if (reason != SEC_REASON_GOOD)
		end_card(rom);
	return reason;
}

int rom_wait(struct rom *rom)
{
	struct pollfd fd = { .fd = rom->signals, .events = POLLIN };
	int status = 0;

	while (!has_ended(rom, &status))
		if (poll(&fd, 1, -1) > 0)
			rom_take_signal(rom);
	if (WIFSIGNALED(status)) {
		rt_log_error(WHO, "the card was ended by SIG%s",
			     sigabbrev_np(WTERMSIG(status)));
		return EXIT_FAILURE;
	}
	return WEXITSTATUS(status);
}
