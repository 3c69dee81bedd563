/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Methods about traces.  Main thread.  Events are switched for the whole card;
 * each connection reads at its own pace.
 */
#include "firmware/card/client.h"
#include "firmware/card/methods.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/trace.h"

#define RECORD_BYTES 1024 /* of one as JSON, at most */

void card_method_trace_list(struct card_call *call)
{
	const struct rt_trace_event *event;
	json_t *list = json_array();

	for (size_t i = 0; (event = rt_trace_event_at(i)); i++)
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:b}", "name",
					event->name, "args", event->arg_names,
					"format", event->format, "enabled",
					(int)atomic_load(&event->is_on)));
	call->result = json_pack("{s:o}", "events", list);
	card_call_done(call);
}

static void switch_events(struct card_call *call, bool is_on)
{
	const struct card_trace_pattern_params *params = call->params;
	size_t count = rt_trace_enable(params->pattern, is_on);

	if (!count) {
		card_call_fail(call, CARD_RPC_NO_OBJECT,
			       "no event matches '%.64s'", params->pattern);
		rt_error_hint(&call->error, "trace.list names the events");
	}
	call->result = json_pack("{s:I}", "events", (json_int_t)count);
	card_call_done(call);
}

void card_method_trace_enable(struct card_call *call)
{
	switch_events(call, true);
}

void card_method_trace_disable(struct card_call *call)
{
	switch_events(call, false);
}

static json_t *record_to_json(const struct rt_trace_record *record)
{
	char text[RECORD_BYTES];

	rt_trace_format_json(record, text, sizeof text);
	return json_loads(text, 0, NULL);
}

void card_method_trace_read(struct card_call *call)
{
	const struct card_trace_read_params *params = call->params;
	struct rt_trace_cursor *cursor =
		call->client ? &call->client->cursor : NULL;
	struct rt_trace_record records[256];
	json_t *list = json_array();
	size_t count = 0;

	if (cursor && params->skip)
		rt_trace_seek_end(cursor);
	if (cursor)
		count = rt_trace_read(cursor, records, params->count);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, record_to_json(&records[i]));
	call->result = json_pack("{s:o, s:I}", "records", list, "lost",
				 cursor ? (json_int_t)cursor->lost : 0);
	card_call_done(call);
}
