/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON-RPC 2.0 (www.jsonrpc.org): one line in, a call; a call done, one answer.
 * Batches are refused, since lines can simply follow each other.  Parameters
 * are read by the method's table of options, as a configuration is, so unknown
 * and mistyped ones are refused in the same words.  Main thread, but for
 * run_there() and the card_call_done() that ends it.
 */
#include "firmware/card/rpc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/card/card.h"
#include "firmware/card/config.h"
#include "firmware/card/control.h"
#include "firmware/card/keys.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/trace.h"

struct code_of_errno {
	int status;
	enum card_rpc_code code;
};

static const struct code_of_errno codes[] = {
	{ -ENOENT, CARD_RPC_NO_OBJECT },   { -EINVAL, CARD_RPC_INVALID_PARAMS },
	{ -EBUSY, CARD_RPC_REFUSED },      { -EAGAIN, CARD_RPC_REFUSED },
	{ -ECANCELED, CARD_RPC_REFUSED },  { -EALREADY, CARD_RPC_REFUSED },
	{ -EOPNOTSUPP, CARD_RPC_REFUSED }, { -EOVERFLOW, CARD_RPC_REFUSED },
};

enum card_rpc_code card_rpc_code_of(int status)
{
	for (size_t i = 0; i < RT_COUNT(codes); i++)
		if (codes[i].status == status)
			return codes[i].code;
	return CARD_RPC_HOST_ERROR;
}

void card_call_fail(struct card_call *call, enum card_rpc_code code,
		    const char *format, ...)
{
	char text[sizeof call->error.text];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	call->code = code;
	rt_error_set(&call->error, 0, "%s", text);
}

/* Text that came from outside may be cut inside a character. */
static json_t *safe_string(const char *text)
{
	json_t *string = json_string(text);

	return string ? string : json_string("(not UTF-8)");
}

static json_t *error_data(const struct rt_error *error)
{
	json_t *data = json_object();

	if (error->place[0])
		json_object_set_new(data, "path", safe_string(error->place));
	if (error->code)
		json_object_set_new(data, "errno",
				    json_string(rt_errno_name(error->code)));
	if (error->hint[0])
		json_object_set_new(data, "hint", safe_string(error->hint));
	return data;
}

static json_t *error_reply(json_t *id, enum card_rpc_code code,
			   const struct rt_error *error)
{
	return json_pack("{s:s, s:O?, s:{s:i, s:o, s:o}}", "jsonrpc", "2.0",
			 "id", id ? id : json_null(), "error", "code",
			 (int)code, "message", safe_string(error->text), "data",
			 error_data(error));
}

json_t *card_call_reply(const struct card_call *call)
{
	if (!call->id)
		return NULL;
	if (call->code)
		return error_reply(call->id, call->code, &call->error);
	return json_pack("{s:s, s:O, s:O}", "jsonrpc", "2.0", "id", call->id,
			 "result", call->result ? call->result : json_null());
}

static json_t *refuse(json_t *id, enum card_rpc_code code, const char *text)
{
	struct rt_error error;

	rt_error_set(&error, 0, "%s", text);
	return error_reply(id, code, &error);
}

static const struct card_method *find_method(const char *name)
{
	for (size_t i = 0; i < card_method_count; i++)
		if (!strcmp(card_methods[i].name, name))
			return &card_methods[i];
	return NULL;
}

static bool read_params(struct card_call *call, const json_t *params,
			struct card_report *report)
{
	struct card_section section = { call->method->params, call->params };
	struct card_node *node = card_node_from_json(params);
	bool is_good;

	if (!node) {
		rt_error_set(&report->first, -EINVAL,
			     "the parameters are nested too deeply");
		return false;
	}
	is_good = card_keys_read(node, &section, 1, NULL, report);
	card_node_destroy(node);
	return is_good;
}

static void take_params(struct card_call *call, json_t *params)
{
	struct card_report report = { 0 };
	json_t *given = params ? json_incref(params) : json_object();

	if (call->method->params)
		call->params = calloc(1, call->method->params_size);
	if (call->method->params && !call->params) {
		card_call_fail(call, CARD_RPC_INTERNAL, "out of memory");
	} else if (!read_params(call, given, &report)) {
		call->code = CARD_RPC_INVALID_PARAMS;
		call->error = report.first;
		/* What was not said was for lack of memory. */
		if (!call->error.text[0])
			rt_error_set(&call->error, -ENOMEM, "out of memory");
	}
	json_decref(given);
}

static const char *suggest_method(const char *name)
{
	const char *names[64];
	size_t count = 0;

	for (; count < card_method_count && count < RT_COUNT(names); count++)
		names[count] = card_methods[count].name;
	return card_suggest(name, names, count);
}

static json_t *no_method(json_t *id, const char *name)
{
	const char *meant = suggest_method(name);
	struct rt_error error;

	rt_error_set(&error, 0, "there is no method '%.64s'", name);
	if (meant)
		rt_error_hint(&error, "did you mean '%s'?", meant);
	else
		rt_error_hint(&error, "rpc.describe lists all methods");
	return error_reply(id, CARD_RPC_NO_METHOD, &error);
}

/* What the standard asks of a request; NULL: it is one. */
static const char *fault_of(const json_t *request)
{
	const json_t *id = json_object_get(request, "id");
	const json_t *version = json_object_get(request, "jsonrpc");
	const json_t *params = json_object_get(request, "params");

	if (!json_is_object(request))
		return "a request is an object, and one to a line";
	if (!json_is_string(version) ||
	    strcmp(json_string_value(version), "2.0") != 0)
		return "\"jsonrpc\" must be \"2.0\"";
	if (id && !json_is_string(id) && !json_is_number(id) &&
	    !json_is_null(id))
		return "\"id\" must be a string or a number";
	if (!json_is_string(json_object_get(request, "method")))
		return "\"method\" must be a string";
	if (params && !json_is_object(params))
		return "\"params\" must be an object";
	return NULL;
}

static struct card_call *create(struct card_control *control, json_t *request,
				json_t **out_reply)
{
	json_t *id = json_object_get(request, "id");
	const char *wrong = fault_of(request);
	const char *name =
		json_string_value(json_object_get(request, "method"));
	const struct card_method *method = wrong ? NULL : find_method(name);
	struct card_call *call;

	if (wrong || !method) {
		/* An id that is none cannot be repeated. */
		if (json_is_object(id) || json_is_array(id) ||
		    json_is_boolean(id))
			id = NULL;
		*out_reply = wrong ? refuse(id, CARD_RPC_INVALID_REQUEST, wrong)
				   : no_method(id, name);
		return NULL;
	}
	call = calloc(1, sizeof *call);
	if (!call)
		return NULL;
	call->control = control;
	call->method = method;
	call->id = json_incref(id);
	take_params(call, json_object_get(request, "params"));
	return call;
}

struct card_call *card_call_create(struct card_control *control,
				   const char *line, size_t size,
				   json_t **out_reply)
{
	json_error_t error;
	json_t *request = json_loadb(
		line, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	struct card_call *call;

	*out_reply = NULL;
	if (!request) {
		*out_reply = refuse(NULL, CARD_RPC_PARSE_ERROR, error.text);
		return NULL;
	}
	call = create(control, request, out_reply);
	json_decref(request);
	return call;
}

void card_call_destroy(struct card_call *call)
{
	if (call->params)
		card_keys_free(call->method->params, call->params);
	free(call->params);
	json_decref(call->id);
	json_decref(call->result);
	free(call);
}

static void arrive_there(struct rt_task *task)
{
	struct card_call *call = rt_container_of(task, struct card_call, task);

	rt_trace_use(rt_trace_source(call->function->config->name));
	call->method->run_there(call);
}

static void come_back(struct rt_task *task)
{
	card_control_answer(rt_container_of(task, struct card_call, task));
}

void card_call_done(struct card_call *call)
{
	call->task.run = come_back;
	rt_loop_post(call->control->loop, &call->task);
}

static void run_there(struct card_call *call)
{
	/* The name is the first member of the parameters. */
	const char *name = *(char **)call->params;

	call->function = card_find(call->control->card, name);
	if (!call->function) {
		card_call_fail(call, CARD_RPC_NO_OBJECT,
			       "there is no function '%.64s'", name);
		card_call_done(call);
		return;
	}
	call->task.run = arrive_there;
	rt_loop_post(call->function->loop, &call->task);
}

void card_call_run(struct card_call *call)
{
	if (call->code)
		card_call_done(call);
	else if (call->method->run_there)
		run_there(call);
	else
		call->method->run(call);
}

json_t *card_rpc_greeting(void)
{
	return json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:s}}", "jsonrpc", "2.0",
			 "method", "event", "params", "event", "hello",
			 "program", "nitro-card", "version", NITRO_VERSION,
			 "rpc", CARD_RPC_VERSION);
}
