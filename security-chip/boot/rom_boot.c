/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order of a boot: a slot on trial, the active one, the other one.  Each is
 * verified, then measured, then released, and only when its program has said
 * that it is ready do the floor and the active slot follow it.
 */
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "security-chip/audit.h"
#include "security-chip/boot/rom.h"

#define WHO "rom"

/* ---- Measuring ---- */

static int measure(struct rom *rom, enum sec_register n, const char *what,
		   const uint8_t digest[SEC_DIGEST_BYTES])
{
	struct sec_event *event = &rom->events[rom->event_count];

	if (rom->event_count == SEC_HANDOVER_EVENTS)
		return -1;
	*event = (struct sec_event){ .number = n };
	snprintf(event->what, sizeof event->what, "%s", what);
	memcpy(event->digest, digest, SEC_DIGEST_BYTES);
	rom->event_count++;
	return 0;
}

/* So that what was verified never has the value of what was not. */
static int measure_life(struct rom *rom, enum sec_register n)
{
	static const char life[] = "life-cycle production";
	uint8_t digest[SEC_DIGEST_BYTES];

	return sec_digest(life, strlen(life), digest) ||
	       measure(rom, n, life, digest);
}

static int measure_self(struct rom *rom)
{
	RT_FD int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uint8_t digest[SEC_DIGEST_BYTES];

	rom->event_count = 0;
	return fd < 0 || sec_sealed_digest(fd, digest, NULL) ||
	       measure_life(rom, SEC_REGISTER_ROM) ||
	       measure(rom, SEC_REGISTER_ROM, "nitro-rom", digest) ||
	       measure(rom, SEC_REGISTER_ROM, "owner key", rom->flash.owner);
}

static int measure_stage(struct rom *rom, const struct sec_stage *stage)
{
	const struct sec_manifest *m = &stage->manifest;
	int failed = measure_self(rom);

	failed |= measure_life(rom, SEC_REGISTER_FIRMWARE);
	failed |= measure(rom, SEC_REGISTER_FIRMWARE, "manifest",
			  m->payload_digest);
	failed |= measure(rom, SEC_REGISTER_FIRMWARE, "nitro-card",
			  m->parts[SEC_PART_PROGRAM].digest);
	if (stage->parts[SEC_PART_NETWORK] >= 0)
		failed |= measure(rom, SEC_REGISTER_FIRMWARE, "nitro-user-net",
				  m->parts[SEC_PART_NETWORK].digest);
	failed |= measure_life(rom, SEC_REGISTER_CONFIG);
	failed |= measure(rom, SEC_REGISTER_CONFIG, "card.yaml",
			  m->parts[SEC_PART_CONFIG].digest);
	return failed;
}

/* ---- States ---- */

static int advance(struct rom *rom, enum sec_boot_state to)
{
	int status = sec_report_advance(&rom->report, to);

	rt_log_info(WHO, "%s slot %c", sec_boot_state_name(rom->report.state),
		    SEC_SLOT_NAMES[rom->report.slot]);
	return status;
}

static void refuse(struct rom *rom, unsigned int slot, enum sec_reason reason)
{
	sec_report_slot(&rom->report, slot, reason);
	advance(rom, SEC_BOOT_HELD);
	rom->report.slot = SEC_SLOT_NONE;
	rt_log_error(WHO, "slot %c is not started: %s: %s",
		     SEC_SLOT_NAMES[slot], sec_reason_name(reason),
		     sec_reason_sentence(reason));
	sec_audit("boot.refused", "slot %c: %s", SEC_SLOT_NAMES[slot],
		  sec_reason_name(reason));
}

/* What it is on trial for is known now: it failed. */
static void end_trial(struct rom *rom, unsigned int slot,
		      enum sec_reason reason, uint32_t generation)
{
	struct sec_flash_state *state = &rom->flash.state;

	if (sec_flash_lock(&rom->flash) == SEC_REASON_GOOD &&
	    state->trial == slot && state->generation == generation) {
		state->trial = SEC_SLOT_NONE;
		state->failed[slot] = reason;
		sec_flash_save(&rom->flash);
	}
	sec_flash_unlock(&rom->flash);
}

/* Who told us to end before it was known has not let it fail. */
static void give_back(struct rom *rom, unsigned int slot, uint32_t generation)
{
	struct sec_flash_state *state = &rom->flash.state;

	if (sec_flash_lock(&rom->flash) == SEC_REASON_GOOD &&
	    state->trial == slot && state->generation == generation) {
		state->trial_left = 1;
		sec_flash_save(&rom->flash);
	}
	sec_flash_unlock(&rom->flash);
}

/* It runs: nothing older than it starts here again. */
static void commit(struct rom *rom, unsigned int slot, uint32_t generation)
{
	struct sec_flash_state *state = &rom->flash.state;

	if (sec_flash_lock(&rom->flash) == SEC_REASON_GOOD &&
	    state->generation == generation) {
		state->active = slot;
		if (state->trial == slot)
			state->trial = SEC_SLOT_NONE;
		if (state->floor < rom->report.svn)
			state->floor = rom->report.svn;
		if (sec_flash_save(&rom->flash))
			rt_log_error(WHO, "the flash cannot be written");
	}
	sec_flash_unlock(&rom->flash);
	sec_audit("boot.released", "slot %c: version %s, security %u",
		  SEC_SLOT_NAMES[slot], rom->report.version, rom->report.svn);
}

/* ---- A slot ---- */

static enum sec_reason verify(struct rom *rom, unsigned int slot,
			      struct sec_stage *stage)
{
	RT_FD int dir = sec_flash_slot(&rom->flash, slot);
	enum sec_reason reason;

	rom->report.slot = slot;
	if (advance(rom, SEC_BOOT_VERIFY))
		return SEC_REASON_WRONG_ORDER;
	if (dir < 0)
		return SEC_REASON_SLOT_EMPTY;
	reason = sec_stage_verify(dir, rom->flash.owner, rom->flash.state.floor,
				  stage);
	rom->report.svn = stage->manifest.svn;
	memcpy(rom->report.version, stage->manifest.version, SEC_VERSION_TEXT);
	return reason;
}

static enum sec_reason release(struct rom *rom, struct sec_stage *stage)
{
	if (advance(rom, SEC_BOOT_MEASURE))
		return SEC_REASON_WRONG_ORDER;
	if (measure_stage(rom, stage))
		return SEC_REASON_MACHINE;
	if (advance(rom, SEC_BOOT_RELEASED))
		return SEC_REASON_WRONG_ORDER;
	return rom_start(rom, stage);
}

/* True: its program runs. */
static bool try_slot(struct rom *rom, unsigned int slot, uint32_t generation)
{
	struct sec_stage stage = { .parts = { -1, -1, -1 } };
	enum sec_reason reason = verify(rom, slot, &stage);

	if (reason == SEC_REASON_GOOD)
		reason = release(rom, &stage);
	sec_stage_close(&stage);
	if (reason == SEC_REASON_GOOD) {
		commit(rom, slot, generation);
		return true;
	}
	if (rom->must_end) {
		give_back(rom, slot, generation);
		return false;
	}
	refuse(rom, slot, reason);
	end_trial(rom, slot, reason, generation);
	return false;
}

/* One start fewer, before it: a crash of this machine counts as a failure. */
static bool use_trial(struct rom *rom, unsigned int slot)
{
	struct sec_flash_state *state = &rom->flash.state;
	bool has_one = false;

	if (sec_flash_lock(&rom->flash) == SEC_REASON_GOOD &&
	    state->trial == slot && state->trial_left) {
		state->trial_left--;
		has_one = !sec_flash_save(&rom->flash);
	}
	sec_flash_unlock(&rom->flash);
	return has_one;
}

static bool try_trial(struct rom *rom, unsigned int slot)
{
	uint32_t generation = rom->flash.state.generation;

	if (use_trial(rom, slot))
		return try_slot(rom, slot, generation);
	refuse(rom, slot, SEC_REASON_TRIAL_SPENT);
	end_trial(rom, slot, SEC_REASON_TRIAL_SPENT, generation);
	return false;
}

static bool try_other(struct rom *rom, unsigned int slot)
{
	enum sec_reason failed = rom->flash.state.failed[slot];

	if (rom->must_end || rom->report.was_tried & 1u << slot)
		return false;
	if (failed == SEC_REASON_GOOD)
		return try_slot(rom, slot, rom->flash.state.generation);
	/* Its trial is over, until it is written again. */
	refuse(rom, slot, failed);
	return false;
}

static bool try_all(struct rom *rom)
{
	const struct sec_flash_state now = rom->flash.state;
	unsigned int first = now.active < SEC_SLOTS ? now.active : 0;

	return (now.trial < SEC_SLOTS && try_trial(rom, now.trial)) ||
	       try_other(rom, first) || try_other(rom, 1 - first);
}

int rom_boot(struct rom *rom)
{
	enum sec_reason reason =
		sec_flash_open(rom->options->flash, &rom->flash);
	bool runs = false;

	rom->report.life_cycle = SEC_LIFE_PRODUCTION;
	rom->report.slot = SEC_SLOT_NONE;
	rom->report.reason = reason;
	sec_report_advance(&rom->report, SEC_BOOT_HELD);
	if (reason == SEC_REASON_GOOD) {
		rom->report.floor = rom->flash.state.floor;
		rom->report.denied = rom->flash.state.denied;
		if (measure_self(rom))
			rom->report.reason = SEC_REASON_MACHINE;
		else
			runs = try_all(rom);
	} else {
		rom->report.life_cycle = SEC_LIFE_UNPROVISIONED;
	}
	if (runs)
		return rom_wait(rom);
	if (rom->must_end)
		return EXIT_SUCCESS;
	/* What a refused slot was is no matter of the card's registers. */
	measure_self(rom);
	memset(rom->report.version, 0, sizeof rom->report.version);
	rom->report.svn = 0;
	return rom_held(rom);
}
