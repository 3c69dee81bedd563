/* SPDX-License-Identifier: BSD-3-Clause */
/* nitro-rom: what its files share.  One thread. */
#ifndef SECURITY_CHIP_BOOT_ROM_H
#define SECURITY_CHIP_BOOT_ROM_H

#include <stdbool.h>
#include <stdint.h>

#include "security-chip/boot/handover.h"
#include "security-chip/boot/stage.h"

struct rom_options {
	const char *flash;      /* directory */
	const char *socket_dir; /* of the card */
	const char *log_level;  /* NULL: as configured */
	unsigned int watchdog_s;
};

struct rom {
	const struct rom_options *options;
	struct sec_flash flash;
	struct sec_report report;
	struct sec_event events[SEC_HANDOVER_EVENTS];
	uint32_t event_count;
	int signals; /* signalfd */
	pid_t card;  /* 0: none runs */
	bool must_end;
};

/*
 * Bring the card out of reset.  Returns when it has ended, or was held and then
 * told to end; the exit status of this program.
 */
int rom_boot(struct rom *rom);

/* rom.c: say why a flash is of no use; the exit status. */
int rom_complain(const char *flash, enum sec_reason reason);
/* rom_status.c: print what the flash at path holds; the exit status. */
int rom_status(const char *path);

/* rom_start.c: run a verified stage until it is ready or has failed. */
enum sec_reason rom_start(struct rom *rom, const struct sec_stage *stage);
/* Wait for its end; its exit status.  Signals that ask us to end go to it. */
int rom_wait(struct rom *rom);

/*
 * Take a signal from rom->signals: those that ask us to end set must_end, and
 * go on to the card.
 */
void rom_take_signal(struct rom *rom);
uint64_t rom_now_ms(void);

/* rom_held.c: answer on the control socket until told to end. */
int rom_held(struct rom *rom);

#endif
