/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any hand-over: a good one, with other bytes at some places of it, and on
 * request certified as what it then says.  What is taken can be told and
 * replayed; what is not is refused at the door, too.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "security-chip/boot/boot.h"
#include "security-chip/boot/stage.h"
#include "tests/fuzz/input.h"
#include "tests/unit/security-chip/handover_rig.h"

#define PATCHES 16

static const struct handover_rig rig = { .uds = { 1 } };

/* Place, number of bytes, bytes; and so on. */
static void patch(struct input *in, struct sec_handover *handover)
{
	uint8_t *bytes = (uint8_t *)handover;
	size_t at, size;

	for (int i = 0; i < PATCHES && !input_is_empty(in); i++) {
		at = input_u16(in) % sizeof *handover;
		size = input_u8(in);
		if (size > sizeof *handover - at)
			size = sizeof *handover - at;
		input_bytes(in, bytes + at, size);
	}
}

static void check_taken(const struct sec_handover *handover)
{
	const struct sec_report *report = &handover->report;
	struct sec_tcb tcb;
	json_t *json = sec_report_json(report, handover->events,
				       handover->event_count);
	char *text;

	if (!json || sec_handover_tcb(handover, &tcb))
		abort();
	sec_identity_tell(&handover->identity, json);
	text = json_dumps(json, 0);
	if (!text || !json_object_get(json, "identity"))
		abort();
	free(text);
	json_decref(json);
	sec_handover_digest(handover, SEC_REGISTER_CONFIG, "card.yaml");
}

static void check_refused(const struct sec_handover *handover)
{
	struct sec_boot_config config;
	struct rt_error error = { 0 };
	int fd = sec_sealed_bytes("handover", handover, sizeof *handover);

	if (fd >= 0 && !sec_boot_adopt(fd, &config, &error))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sec_handover good;
	struct input in = { data, size };
	/* On the heap, where reading past the end is seen. */
	struct sec_handover *handover = malloc(sizeof *handover);
	bool is_certified;

	if (!handover)
		return 0;
	if (!good.size)
		handover_make(&rig, &good);
	*handover = good;
	is_certified = input_u8(&in) & 1;
	patch(&in, handover);
	if (is_certified)
		handover_certify(&rig, handover);
	if (sec_handover_fault(handover))
		check_refused(handover);
	else
		check_taken(handover);
	free(handover);
	return 0;
}
