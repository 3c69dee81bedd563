/* SPDX-License-Identifier: BSD-3-Clause */
#include "security-chip/boot/report.h"

#include <errno.h>
#include <stdio.h>

#include "firmware/rt/scope.h"

const char *sec_boot_state_name(uint32_t state)
{
	static const char *const names[] = { "HELD", "VERIFY", "MEASURE",
					     "RELEASED" };

	return state < RT_COUNT(names) ? names[state] : "?";
}

const char *sec_life_cycle_name(uint32_t life_cycle)
{
	static const char *const names[] = { "unprovisioned", "production" };

	return life_cycle < RT_COUNT(names) ? names[life_cycle] : "?";
}

/* Each state has one that may follow; and all may go back to HELD. */
int sec_report_advance(struct sec_report *report, enum sec_boot_state to)
{
	bool is_good =
		to == SEC_BOOT_HELD || (unsigned int)to == report->state + 1;

	if (!is_good) {
		report->reason = SEC_REASON_WRONG_ORDER;
		to = SEC_BOOT_HELD;
	}
	report->state = to;
	if (report->history_count < SEC_HISTORY)
		report->history[report->history_count++] = (uint8_t)to;
	return is_good ? 0 : -EPROTO;
}

void sec_report_slot(struct sec_report *report, unsigned int slot,
		     enum sec_reason reason)
{
	report->slots[slot] = reason;
	report->was_tried |= 1u << slot;
	/* The first that tells more than that there was nothing. */
	if (report->reason == SEC_REASON_GOOD ||
	    report->reason == SEC_REASON_SLOT_EMPTY)
		report->reason = reason;
}

json_t *sec_report_hex(const uint8_t *bytes, size_t size)
{
	char text[2 * SEC_POINT_BYTES + 1];

	for (size_t i = 0; i < size; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return json_stringn(text, 2 * size);
}

static json_t *tell_slots(const struct sec_report *report)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < SEC_SLOTS; i++) {
		if (!(report->was_tried & 1u << i))
			continue;
		json_array_append_new(
			list,
			json_pack("{s:s%, s:s, s:s}", "slot",
				  &SEC_SLOT_NAMES[i], (size_t)1, "reason",
				  sec_reason_name(report->slots[i]), "text",
				  sec_reason_sentence(report->slots[i])));
	}
	return list;
}

static json_t *tell_registers(const struct sec_event *events, size_t count)
{
	uint8_t registers[SEC_REGISTERS][SEC_DIGEST_BYTES];
	json_t *object = json_object();

	if (sec_event_replay(events, count, registers))
		return object;
	for (unsigned int i = 0; i < SEC_REGISTERS; i++)
		json_object_set_new(
			object, sec_register_name(i),
			sec_report_hex(registers[i], SEC_DIGEST_BYTES));
	return object;
}

static json_t *tell_events(const struct sec_event *events, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:o}", "register",
					sec_register_name(events[i].number),
					"what", events[i].what, "digest",
					sec_report_hex(events[i].digest,
						       SEC_DIGEST_BYTES)));
	return list;
}

static json_t *tell_history(const struct sec_report *report)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < report->history_count && i < SEC_HISTORY; i++)
		json_array_append_new(list, json_string(sec_boot_state_name(
						    report->history[i])));
	return list;
}

json_t *sec_report_json(const struct sec_report *report,
			const struct sec_event *events, size_t count)
{
	bool is_held = report->state == SEC_BOOT_HELD;
	bool is_verified = report->life_cycle == SEC_LIFE_PRODUCTION &&
			   report->state == SEC_BOOT_RELEASED;
	json_t *json = json_pack(
		"{s:s, s:s, s:b, s:s%, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o}",
		"state", sec_boot_state_name(report->state), "life_cycle",
		sec_life_cycle_name(report->life_cycle), "verified",
		is_verified, "slot", &SEC_SLOT_NAMES[report->slot], (size_t)1,
		"version", report->version, "svn", (json_int_t)report->svn,
		"floor", (json_int_t)report->floor, "denied",
		(json_int_t)report->denied, "history", tell_history(report),
		"slots", tell_slots(report), "registers",
		tell_registers(events, count), "events",
		tell_events(events, count));

	if (is_held)
		json_object_set_new(
			json, "reason",
			json_pack("{s:s, s:s}", "name",
				  sec_reason_name(report->reason), "text",
				  sec_reason_sentence(report->reason)));
	return json;
}
