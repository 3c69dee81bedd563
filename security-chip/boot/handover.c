/* SPDX-License-Identifier: BSD-3-Clause */
#include "security-chip/boot/handover.h"

#include <string.h>

/* Of an owner's manifest, or ours: printable ASCII with an end. */
static bool is_text(const char *text, size_t room)
{
	for (size_t i = 0; i < room; i++) {
		if (!text[i])
			return true;
		if (text[i] < ' ' || text[i] > '~')
			return false;
	}
	return false;
}

static bool is_in_range(const struct sec_report *report)
{
	bool is_good =
		report->state == SEC_BOOT_RELEASED &&
		report->life_cycle == SEC_LIFE_PRODUCTION &&
		report->slot < SEC_SLOTS && report->reason < SEC_REASONS &&
		report->was_tried < 1u << SEC_SLOTS &&
		report->svn >= report->floor && report->history_count > 0 &&
		report->history_count <= SEC_HISTORY &&
		is_text(report->version, sizeof report->version);

	for (unsigned int i = 0; i < SEC_SLOTS; i++)
		is_good = is_good && report->slots[i] < SEC_REASONS;
	for (uint32_t i = 0; is_good && i < report->history_count; i++)
		is_good = report->history[i] <= SEC_BOOT_RELEASED;
	return is_good;
}

static bool is_log(const struct sec_handover *handover)
{
	bool is_good = true;

	for (uint32_t i = 0; i < handover->event_count && is_good; i++)
		is_good = handover->events[i].number < SEC_REGISTERS &&
			  is_text(handover->events[i].what, SEC_EVENT_WHAT);
	return is_good;
}

static const char *fault_of_form(const struct sec_handover *handover)
{
	if (memcmp(handover->magic, SEC_HANDOVER_MAGIC, 8) != 0 ||
	    handover->size < sizeof *handover ||
	    handover->event_count > SEC_HANDOVER_EVENTS)
		return "it is none";
	if (!is_in_range(&handover->report) ||
	    strnlen(handover->config_name, sizeof handover->config_name) ==
		    sizeof handover->config_name)
		return "its report is out of range";
	return is_log(handover) ? NULL : "its log is out of range";
}

/* The first stage measures itself, then the program, then what it shall do. */
static const char *fault_of_order(const struct sec_handover *handover)
{
	uint32_t stage = SEC_REGISTER_ROM;

	for (uint32_t i = 0; i < handover->event_count; i++) {
		if (handover->events[i].number < stage ||
		    handover->events[i].number > stage + 1)
			return "its stages are in the wrong order";
		stage = handover->events[i].number;
	}
	return stage != SEC_REGISTER_CONFIG ? "a stage is missing" : NULL;
}

int sec_handover_tcb(const struct sec_handover *handover, struct sec_tcb *out)
{
	out->version = handover->report.version;
	out->svn = handover->report.svn;
	return sec_event_replay(handover->events, handover->event_count,
				out->registers);
}

const char *sec_handover_fault(const struct sec_handover *handover)
{
	const char *fault = fault_of_form(handover);
	struct sec_tcb tcb;

	if (!fault)
		fault = fault_of_order(handover);
	if (!fault && sec_handover_tcb(handover, &tcb))
		fault = "its log cannot be replayed";
	return fault ? fault
		     : sec_identity_fault(&handover->identity, handover->cdi,
					  &tcb);
}

const uint8_t *sec_handover_digest(const struct sec_handover *handover,
				   enum sec_register n, const char *what)
{
	for (uint32_t i = 0; i < handover->event_count; i++)
		if (handover->events[i].number == n &&
		    !strcmp(handover->events[i].what, what))
			return handover->events[i].digest;
	return NULL;
}
