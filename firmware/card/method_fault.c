/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults made to order, and the guests' own.  See each for its thread. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "firmware/card/card.h"
#include "firmware/card/control.h"
#include "firmware/card/methods.h"
#include "firmware/rt/fault.h"
#include "firmware/rt/rule.h"
#include "pcie-model/function.h"
#include "security-chip/tpm/tpm.h"

static json_t *rule_to_json(const struct rt_fault_rule *rule)
{
	return json_pack(
		"{s:f, s:I, s:I, s:I, s:I}", "probability",
		rule->probability_ppm / 1e6, "value", (json_int_t)rule->value,
		"skip", (json_int_t)rule->skip, "limit",
		(json_int_t)rule->limit, "seed", (json_int_t)rule->seed);
}

static json_t *point_to_json(const struct rt_fault_point *point,
			     const struct rt_fault_slot *slot)
{
	json_t *rule =
		slot->rule.is_set ? rule_to_json(&slot->rule) : json_null();

	return json_pack("{s:s, s:s, s:s?, s:I, s:I, s:o}", "point",
			 point->name, "sentence", point->sentence,
			 "value_means", point->value, "asked",
			 (json_int_t)slot->asked, "made",
			 (json_int_t)slot->made, "rule", rule);
}

/* On the function's thread, as all of fault.*. */
void card_method_fault_list(struct card_call *call)
{
	const struct rt_fault_set *set = &call->function->fn->faults;
	json_t *list = json_array();

	for (size_t i = 0; i < set->count; i++)
		json_array_append_new(
			list, point_to_json(&set->points[i], &set->slots[i]));
	call->result = json_pack("{s:o}", "faults", list);
	card_call_done(call);
}

static void answer_point(struct card_call *call, int status, const char *point)
{
	if (status) {
		card_call_fail(call, card_rpc_code_of(status),
			       status == -ENOENT ? "%s has no fault point '%s'"
						 : "%s: cannot set '%s'",
			       call->function->config->name, point);
		rt_error_hint(&call->error, "fault.list names the points");
	}
	card_call_done(call);
}

void card_method_fault_set(struct card_call *call)
{
	const struct card_fault_config *params = call->params;
	struct rt_fault_rule rule = {
		.is_set = true,
		.probability_ppm = params->probability_ppm,
		.skip = params->skip,
		.limit = params->limit,
		.value = params->value,
		.seed = params->seed,
	};
	struct pcie_function *fn = call->function->fn;
	int status;

	pcie_function_hold(fn);
	status = rt_fault_set_rule(&fn->faults, params->point, &rule);
	pcie_function_let(fn);
	answer_point(call, status, params->point);
}

void card_method_fault_clear(struct card_call *call)
{
	const struct card_fault_clear_params *params = call->params;
	struct pcie_function *fn = call->function->fn;
	struct rt_fault_set *set = &fn->faults;
	int status = 0;

	pcie_function_hold(fn);
	if (params->point)
		status = rt_fault_clear(set, params->point);
	for (size_t i = 0; !params->point && i < set->count; i++)
		rt_fault_clear(set, set->points[i].name);
	pcie_function_let(fn);
	answer_point(call, status, params->point);
}

static json_t *bug_to_json(const char *who, const struct rt_rule *rule,
			   const struct rt_rule_record *record)
{
	char value[24];

	snprintf(value, sizeof value, "0x%" PRIx64,
		 rt_counter_read(&record->last_value));
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:s}", "function", who,
			 "rule", rule->name, "clause", rule->clause, "sentence",
			 rule->sentence, "count",
			 (json_int_t)rt_counter_read(&record->count),
			 "last_value", value);
}

static void list_bugs(const struct rt_rule_book *book, bool all, json_t *list)
{
	for (size_t i = 0; book->records && i < book->count; i++)
		if (all || rt_counter_read(&book->records[i].count))
			json_array_append_new(
				list, bug_to_json(book->who, &book->rules[i],
						  &book->records[i]));
}

/* The TPM is none of the functions, but a guest sees it beside them. */
static bool is_the_tpm(const struct card *card, const char *name)
{
	return card->tpm && !strcmp(name, card->config->tpm.name);
}

/* On the main thread: the books are counters, which any thread may read. */
void card_method_bugs_list(struct card_call *call)
{
	const struct card_bugs_list_params *params = call->params;
	const struct card *card = call->control->card;
	const char *wanted = params->function;
	json_t *list = json_array();

	call->result = json_pack("{s:o}", "bugs", list);
	if (wanted && !card_find(call->control->card, wanted) &&
	    !is_the_tpm(card, wanted))
		card_call_fail(call, CARD_RPC_NO_OBJECT,
			       "there is no function '%.64s'", wanted);
	for (size_t i = 0; !call->code && i < card->count; i++)
		if (!wanted || !strcmp(wanted, card->functions[i].config->name))
			list_bugs(&card->functions[i].fn->rules, params->all,
				  list);
	if (!call->code && card->tpm && (!wanted || is_the_tpm(card, wanted)))
		list_bugs(sec_tpm_rules(card->tpm), params->all, list);
	card_call_done(call);
}
