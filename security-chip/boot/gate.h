/* SPDX-License-Identifier: BSD-3-Clause */
/* The write gate of the flash: the only way to write a slot. */
#ifndef SECURITY_CHIP_BOOT_GATE_H
#define SECURITY_CHIP_BOOT_GATE_H

#include "security-chip/boot/flash.h"

/*
 * Check the image (a directory as sec_sign_image() makes it) and write it into
 * the inactive slot, which then has one trial.  slot: SEC_SLOT_NONE for that
 * one; the active slot is denied.  What is denied is counted and audited, and
 * changes nothing else.  SEC_REASON_GOOD: *out_slot has been written.
 */
enum sec_reason sec_gate_install(struct sec_flash *flash, const char *image,
				 unsigned int slot, unsigned int *out_slot);

#endif
