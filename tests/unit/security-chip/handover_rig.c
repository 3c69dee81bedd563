/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/security-chip/handover_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct sec_handover *out, enum sec_register n, const char *what,
		const uint8_t digest[SEC_DIGEST_BYTES])
{
	struct sec_event *event = &out->events[out->event_count++];

	event->number = n;
	snprintf(event->what, sizeof event->what, "%s", what);
	memcpy(event->digest, digest, SEC_DIGEST_BYTES);
}

static void add_text(struct sec_handover *out, enum sec_register n,
		     const char *what)
{
	uint8_t digest[SEC_DIGEST_BYTES];

	if (sec_digest(what, strlen(what), digest))
		abort();
	add(out, n, what, digest);
}

static void measure(const struct handover_rig *rig, struct sec_handover *out)
{
	static const char life[] = "life-cycle production";

	add_text(out, SEC_REGISTER_ROM, life);
	add_text(out, SEC_REGISTER_ROM, "nitro-rom");
	add_text(out, SEC_REGISTER_ROM, "owner key");
	add_text(out, SEC_REGISTER_FIRMWARE, life);
	add_text(out, SEC_REGISTER_FIRMWARE, "manifest");
	add(out, SEC_REGISTER_FIRMWARE, "nitro-card", rig->program);
	add(out, SEC_REGISTER_FIRMWARE, "nitro-user-net", rig->network);
	add_text(out, SEC_REGISTER_CONFIG, life);
	add(out, SEC_REGISTER_CONFIG, "card.yaml", rig->config);
}

void handover_certify(const struct handover_rig *rig, struct sec_handover *out)
{
	struct sec_tcb tcb;

	if (out->event_count > SEC_HANDOVER_EVENTS ||
	    memchr(out->report.version, 0, sizeof out->report.version) ==
		    NULL ||
	    sec_handover_tcb(out, &tcb))
		return; /* there is nothing to certify */
	if (sec_dice_cdi(rig->uds, tcb.registers, out->cdi) ||
	    sec_identity_make(rig->uds, out->cdi, &tcb, &out->identity))
		abort();
}

void handover_make(const struct handover_rig *rig, struct sec_handover *out)
{
	memset(out, 0, sizeof *out);
	memcpy(out->magic, SEC_HANDOVER_MAGIC, sizeof out->magic);
	out->size = sizeof *out;
	out->config = out->network = out->ready = -1;
	snprintf(out->config_name, sizeof out->config_name,
		 "/flash/a/card.yaml");
	out->report = (struct sec_report){
		.state = SEC_BOOT_RELEASED,
		.life_cycle = SEC_LIFE_PRODUCTION,
		.was_tried = 2,
		.slots = { [1] = SEC_REASON_PROGRAM_DIGEST },
		.reason = SEC_REASON_PROGRAM_DIGEST,
		.svn = 3,
		.floor = 2,
		.history = { SEC_BOOT_HELD, SEC_BOOT_VERIFY, SEC_BOOT_MEASURE,
			     SEC_BOOT_RELEASED },
		.history_count = 4,
		.version = "1.2.3",
	};
	measure(rig, out);
	handover_certify(rig, out);
}
