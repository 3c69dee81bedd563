/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The modelled flash of a card: a directory, mode 0700.
 *
 *   fuses   hash of the owner's key and the unique device secret; written once
 *   state   boot flags and anti-rollback floor, with a MAC whose key comes from
 *           the unique device secret
 *   a b     the slots: nitro-card, card.yaml, nitro-user-net, manifest
 *
 * Only nitro-rom reads and writes it.  One thread; programs take turns by
 * sec_flash_lock().
 */
#ifndef SECURITY_CHIP_BOOT_FLASH_H
#define SECURITY_CHIP_BOOT_FLASH_H

#include <stdbool.h>
#include <stdint.h>

#include "security-chip/boot/dice.h"
#include "security-chip/boot/reason.h"
#include "security-chip/measure.h"

struct rt_error;

#define SEC_SLOTS      2u
#define SEC_SLOT_NONE  SEC_SLOTS
#define SEC_SLOT_NAMES "ab-" /* by slot; '-': none */

/* As in the file; this machine's byte order. */
struct sec_flash_state {
	char magic[8];
	uint32_t floor;      /* lower security versions do not start */
	uint32_t active;     /* slot that last was ready, or SEC_SLOT_NONE */
	uint32_t trial;      /* slot that was written since, or SEC_SLOT_NONE */
	uint32_t trial_left; /* starts that it still has */
	uint32_t generation; /* changes with each write of a slot */
	uint32_t failed[SEC_SLOTS]; /* enum sec_reason of a trial; 0: none */
	uint32_t reserved;
	uint64_t denied, written; /* of the gate */
	uint8_t mac[SEC_DIGEST_BYTES];
};

struct sec_flash {
	int dir; /* -1: closed */
	uint8_t owner[SEC_DIGEST_BYTES];
	struct sec_flash_state state;
};

/*
 * Make a new flash with empty slots, the floor at 0, and a unique device secret
 * of its own.  -EEXIST: there is one; fuses are burnt once.
 */
int sec_flash_init(const char *path, const uint8_t owner[SEC_DIGEST_BYTES],
		   struct rt_error *error);

/* SEC_REASON_GOOD, or why it cannot be used; it is then closed. */
enum sec_reason sec_flash_open(const char *path, struct sec_flash *flash);
void sec_flash_close(struct sec_flash *flash);

/* Wait for the others, and read the state again.  SEC_REASON_GOOD, or why not;
 * it is locked in any case. */
enum sec_reason sec_flash_lock(struct sec_flash *flash);
void sec_flash_unlock(struct sec_flash *flash);

/* Write the state, whole or not at all.  Locked. */
int sec_flash_save(struct sec_flash *flash);

/* A slot's directory, the caller's; -1: there is none. */
int sec_flash_slot(const struct sec_flash *flash, unsigned int slot);

/* The unique device secret; the caller erases it. */
int sec_flash_uds(const struct sec_flash *flash, uint8_t out[SEC_UDS_BYTES]);

#endif
