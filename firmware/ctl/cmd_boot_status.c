/* SPDX-License-Identifier: BSD-3-Clause */
/* nitroctl boot-status: what the first stage did, or why it did nothing. */
#include <string.h>

#include "firmware/ctl/ctl.h"

static void print_slots(const json_t *slots)
{
	const json_t *slot;
	size_t i;

	json_array_foreach(slots, i, slot)
		printf("slot %s: %s: %s\n", ctl_text(slot, "slot"),
		       ctl_text(slot, "reason"), ctl_text(slot, "text"));
}

static void print_registers(json_t *registers)
{
	const char *name;
	json_t *value;

	json_object_foreach(registers, name, value)
		printf("register %s: %s\n", name, json_string_value(value));
}

static void print_events(const json_t *events)
{
	static const char *const headings[] = { "REGISTER", "WHAT", "DIGEST" };
	struct ctl_table table;
	const json_t *event;
	size_t i;

	ctl_table_init(&table, 3);
	for (i = 0; i < 3; i++)
		ctl_table_add(&table, headings[i]);
	json_array_foreach(events, i, event)
	{
		ctl_table_add(&table, ctl_text(event, "register"));
		ctl_table_add(&table, ctl_text(event, "what"));
		ctl_table_add(&table, ctl_text(event, "digest"));
	}
	ctl_table_print(&table);
}

static void print_status(const json_t *status)
{
	const json_t *reason = json_object_get(status, "reason");

	printf("state: %s, life-cycle %s, %s\n", ctl_text(status, "state"),
	       ctl_text(status, "life_cycle"),
	       json_is_true(json_object_get(status, "verified"))
		       ? "verified"
		       : "not verified");
	if (reason)
		printf("reason: %s: %s\n", ctl_text(reason, "name"),
		       ctl_text(reason, "text"));
	printf("slot: %s, version %s, security version "
	       "%" JSON_INTEGER_FORMAT ", floor %" JSON_INTEGER_FORMAT
	       ", writes denied %" JSON_INTEGER_FORMAT "\n",
	       ctl_text(status, "slot"), ctl_text(status, "version"),
	       ctl_number(status, "svn"), ctl_number(status, "floor"),
	       ctl_number(status, "denied"));
	if (ctl_text(status, "identity")[0])
		printf("device: %s\nidentity: %s\n", ctl_text(status, "device"),
		       ctl_text(status, "identity"));
	print_slots(json_object_get(status, "slots"));
	print_registers(json_object_get(status, "registers"));
	print_events(json_object_get(status, "events"));
}

enum ctl_exit ctl_boot_status(struct ctl *ctl, int argc, char **argv)
{
	enum ctl_exit status;
	json_t *answer;

	ctl_parse_word(ctl, argc, argv, NULL, true,
		       "Show how the card came to run: its state, slot, "
		       "versions, registers and event log.  Exits with 1 when "
		       "it is held in reset.");
	status = ctl_call(ctl, "boot.status", NULL, &answer);
	if (status != CTL_DONE)
		return status;
	if (ctl->is_json)
		status = ctl_print_json(answer);
	else
		print_status(answer);
	if (strcmp(ctl_text(answer, "state"), "RELEASED") != 0)
		status = CTL_REFUSED;
	json_decref(answer);
	return status;
}
