/* SPDX-License-Identifier: BSD-3-Clause */
/* What functions of one type can be asked besides.  On the function's thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/card/card.h"
#include "firmware/card/config.h"
#include "firmware/card/control.h"
#include "firmware/card/methods.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

#define ANSWER_BYTES 131072u

void card_method_function_verbs(struct card_call *call)
{
	const struct pcie_function_type *type = call->function->config->type;
	json_t *list = json_array();

	for (size_t i = 0; i < type->verb_count; i++)
		json_array_append_new(
			list, json_pack("{s:s, s:s?, s:s}", "name",
					type->verbs[i].name, "argument",
					type->verbs[i].argument, "summary",
					type->verbs[i].sentence));
	call->result = json_pack("{s:o}", "verbs", list);
	card_call_done(call);
}

static const struct pcie_verb *find_verb(const struct pcie_function_type *type,
					 const char *name)
{
	for (size_t i = 0; i < type->verb_count; i++)
		if (!strcmp(type->verbs[i].name, name))
			return &type->verbs[i];
	return NULL;
}

/* text has room for the braces around what the verb writes. */
static int run_verb(struct card_call *call, const struct pcie_verb *verb,
		    char *text)
{
	const struct card_function_do_params *params = call->params;
	struct pcie_answer answer = { text + 1, ANSWER_BYTES - 2, 0 };
	struct pcie_function *fn = call->function->fn;
	int status;

	pcie_function_hold(fn);
	status = verb->run(fn, params->argument, &answer, &call->error);
	pcie_function_let(fn);
	if (status)
		return status;
	if (answer.length >= answer.size)
		return -E2BIG;
	text[0] = '{';
	strcpy(text + 1 + answer.length, "}");
	call->result = json_loads(text, 0, NULL);
	return call->result ? 0 : -EBADMSG;
}

static void refuse(struct card_call *call, int status)
{
	/* The verb has said why, or has not. */
	struct rt_error error = call->error;

	card_call_fail(call, card_rpc_code_of(status), "%s",
		       error.text[0] ? error.text : strerror(-status));
	if (error.hint[0])
		rt_error_hint(&call->error, "%s", error.hint);
}

void card_method_function_do(struct card_call *call)
{
	const struct card_function_do_params *params = call->params;
	const struct pcie_verb *verb =
		find_verb(call->function->config->type, params->verb);
	RT_FREE char *text = malloc(ANSWER_BYTES);
	int status = -ENOMEM;

	if (!verb) {
		card_call_fail(call, CARD_RPC_NO_OBJECT,
			       "%s knows no '%.64s': it is of type %s",
			       call->function->config->name, params->verb,
			       call->function->config->type->name);
		card_call_done(call);
		return;
	}
	if (text)
		status = run_verb(call, verb, text);
	if (status)
		refuse(call, status);
	card_call_done(call);
}
