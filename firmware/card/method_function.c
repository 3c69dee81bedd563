/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods about one function.  On its thread, but for the list of all. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "firmware/card/card.h"
#include "firmware/card/control.h"
#include "firmware/card/methods.h"
#include "firmware/rt/counter.h"
#include "pcie-model/config_space.h"
#include "pcie-model/function.h"
#include "pcie-model/regs.h"
#include "pcie-model/vfio-user/server.h"

#define DESCRIPTION_BYTES 8192

static json_t *identify(const struct card_function *function)
{
	const struct pcie_function_type *type = function->config->type;

	return json_pack("{s:s, s:s, s:s?, s:s}", "name",
			 function->config->name, "type", type->name, "summary",
			 type->summary, "socket", function->socket);
}

void card_method_function_list(struct card_call *call)
{
	const struct card *card = call->control->card;
	json_t *list = json_array();

	for (size_t i = 0; i < card->count; i++)
		json_array_append_new(list, identify(&card->functions[i]));
	call->result = json_pack("{s:o}", "functions", list);
	card_call_done(call);
}

static json_t *count(const struct rt_counter *counter)
{
	return json_integer((json_int_t)rt_counter_read(counter));
}

static uint64_t broken_rules(const struct pcie_function *fn)
{
	uint64_t sum = 0;

	for (size_t i = 0; fn->rules.records && i < fn->rules.count; i++)
		sum += rt_counter_read(&fn->rules.records[i].count);
	return sum;
}

/* The device's own members, which it writes without the braces. */
static json_t *describe(struct pcie_function *fn)
{
	char text[DESCRIPTION_BYTES + 2] = "{";
	json_t *details = NULL;
	size_t length;

	if (!fn->type->describe)
		return NULL;
	length = fn->type->describe(fn, text + 1, DESCRIPTION_BYTES);
	if (length < DESCRIPTION_BYTES) {
		strcat(text, "}");
		details = json_loads(text, 0, NULL);
	}
	return details;
}

static json_t *hex(const char *format, unsigned int value)
{
	char text[24];

	snprintf(text, sizeof text, format, value);
	return json_string(text);
}

void card_method_function_status(struct card_call *call)
{
	const struct card_function *function = call->function;
	const struct pcie_identity *identity = &function->fn->identity;
	bool is_connected =
		function->server && pcie_server_has_client(function->server);

	call->result = identify(function);
	json_object_set_new(call->result, "vendor",
			    hex("0x%04x", identity->vendor));
	json_object_set_new(call->result, "device",
			    hex("0x%04x", identity->device));
	json_object_set_new(call->result, "class",
			    hex("0x%06x", identity->class_code));
	json_object_set_new(call->result, "connected",
			    json_boolean(is_connected));
	if (function->stats) {
		json_object_set_new(call->result, "clients",
				    count(&function->stats->clients));
		json_object_set_new(call->result, "messages",
				    count(&function->stats->messages));
		json_object_set_new(call->result, "protocol_errors",
				    count(&function->stats->protocol_errors));
	}
	json_object_set_new(
		call->result, "broken_rules",
		json_integer((json_int_t)broken_rules(function->fn)));
	json_object_set_new(call->result, "details", describe(function->fn));
	card_call_done(call);
}

static void was_reset(struct pcie_function *fn, void *opaque)
{
	(void)fn;
	card_call_done(opaque);
}

void card_method_function_reset(struct card_call *call)
{
	pcie_function_reset(call->function->fn, PCIE_RESET_CONTROL, was_reset,
			    call);
}

static json_t *read_register(struct pcie_function *fn,
			     const struct pcie_reg *reg)
{
	uint64_t value = fn->type->bar_read(fn, 0, reg->offset, reg->size);
	char text[24];

	snprintf(text, sizeof text, "0x%0*" PRIx64, (int)reg->size * 2, value);
	return json_pack("{s:s, s:i, s:i, s:s}", "name", reg->name, "offset",
			 (int)reg->offset, "size", (int)reg->size, "value",
			 text);
}

static json_t *read_config(struct pcie_function *fn)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t bytes[PCIE_CONFIG_BYTES];
	char text[2 * PCIE_CONFIG_BYTES];

	pcie_function_hold(fn);
	pcie_config_read(fn, 0, bytes, sizeof bytes);
	pcie_function_let(fn);
	for (size_t i = 0; i < sizeof bytes; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	return json_stringn(text, sizeof text);
}

void card_method_registers_read(struct card_call *call)
{
	const struct card_registers_read_params *params = call->params;
	struct pcie_function *fn = call->function->fn;
	json_t *list = json_array();

	for (size_t i = 0; fn->type->bar_read && i < fn->type->reg_count; i++)
		json_array_append_new(list,
				      read_register(fn, &fn->type->regs[i]));
	call->result = json_pack("{s:o}", "registers", list);
	if (params->config)
		json_object_set_new(call->result, "config", read_config(fn));
	card_call_done(call);
}
