/* SPDX-License-Identifier: BSD-3-Clause */
/* nitro-rom --status: what the flash holds, and whose device it is. */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "firmware/rt/scope.h"
#include "security-chip/boot/rom.h"

static json_t *tell_slot(const struct sec_flash *flash, unsigned int slot)
{
	RT_FD int dir = sec_flash_slot(flash, slot);
	struct sec_stage stage = { .parts = { -1, -1, -1 } };
	enum sec_reason reason =
		dir < 0 ? SEC_REASON_SLOT_EMPTY
			: sec_stage_verify(dir, flash->owner,
					   flash->state.floor, &stage);
	enum sec_reason trial = flash->state.failed[slot];
	json_t *json = json_pack(
		"{s:s%, s:b, s:b, s:s, s:s, s:s, s:I}", "slot",
		&SEC_SLOT_NAMES[slot], (size_t)1, "active",
		flash->state.active == slot, "trial",
		flash->state.trial == slot, "reason", sec_reason_name(reason),
		"text", sec_reason_sentence(reason), "version",
		stage.manifest.version, "svn", (json_int_t)stage.manifest.svn);

	if (trial != SEC_REASON_GOOD)
		json_object_set_new(json, "trial_failed",
				    json_string(sec_reason_name(trial)));
	sec_stage_close(&stage);
	return json;
}

/* Its public key and certificate: who the device is, whatever it runs. */
static void tell_device(const struct sec_flash *flash, json_t *json)
{
	uint8_t uds[SEC_UDS_BYTES];
	struct sec_identity device;

	if (!sec_flash_uds(flash, uds) &&
	    !sec_identity_make(uds, NULL, NULL, &device))
		sec_identity_tell(&device, json);
	OPENSSL_cleanse(uds, sizeof uds);
}

int rom_status(const char *path)
{
	struct sec_flash flash;
	enum sec_reason reason = sec_flash_open(path, &flash);
	json_t *json;

	if (reason != SEC_REASON_GOOD)
		return rom_complain(path, reason);
	json = json_pack("{s:s, s:I, s:I, s:I, s:[o, o]}", "flash", path,
			 "floor", (json_int_t)flash.state.floor, "written",
			 (json_int_t)flash.state.written, "denied",
			 (json_int_t)flash.state.denied, "slots",
			 tell_slot(&flash, 0), tell_slot(&flash, 1));
	tell_device(&flash, json);
	json_dumpf(json, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(json);
	sec_flash_close(&flash);
	return EXIT_SUCCESS;
}
