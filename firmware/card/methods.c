/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of methods and of their parameters, and rpc.describe itself. */
#include "firmware/card/methods.h"

#include "firmware/card/keys.h"
#include "firmware/rt/scope.h"

#define FUNCTION_KEY(key, type, member)                                        \
	{                                                                      \
		.name = key, .kind = RT_OPTION_STRING,                         \
		.offset = offsetof(struct type, member),                       \
		.sentence = "A function's name.", .is_required = true          \
	}
#define END_OF_KEYS                                                            \
	{                                                                      \
		.name = NULL                                                   \
	}

static const struct rt_option none_keys[] = { END_OF_KEYS };

static const struct rt_option of_function_keys[] = {
	FUNCTION_KEY("function", card_of_function_params, function),
	END_OF_KEYS,
};

static const struct rt_option bugs_list_keys[] = {
	{ .name = "function",
	  .kind = RT_OPTION_STRING,
	  .offset = offsetof(struct card_bugs_list_params, function),
	  .sentence = "A function's name, or the TPM's; absent: all of them." },
	{ .name = "all",
	  .kind = RT_OPTION_BOOL,
	  .offset = offsetof(struct card_bugs_list_params, all),
	  .sentence = "The rules that nobody has broken, too.",
	  .fallback = "false" },
	END_OF_KEYS,
};

static const struct rt_option fault_clear_keys[] = {
	FUNCTION_KEY("target", card_fault_clear_params, target),
	{ .name = "point",
	  .kind = RT_OPTION_STRING,
	  .offset = offsetof(struct card_fault_clear_params, point),
	  .sentence = "The fault point; absent: all of them." },
	END_OF_KEYS,
};

static const struct rt_option function_do_keys[] = {
	FUNCTION_KEY("function", card_function_do_params, function),
	{ .name = "verb",
	  .kind = RT_OPTION_STRING,
	  .offset = offsetof(struct card_function_do_params, verb),
	  .sentence = "One of function.verbs.",
	  .is_required = true },
	{ .name = "argument",
	  .kind = RT_OPTION_STRING,
	  .offset = offsetof(struct card_function_do_params, argument),
	  .sentence = "What it is given, if anything." },
	END_OF_KEYS,
};

static const struct rt_option registers_read_keys[] = {
	FUNCTION_KEY("function", card_registers_read_params, function),
	{ .name = "config",
	  .kind = RT_OPTION_BOOL,
	  .offset = offsetof(struct card_registers_read_params, config),
	  .sentence = "The configuration space, too.",
	  .fallback = "false" },
	END_OF_KEYS,
};

/* As enum sec_tpm_ek_kind has them. */
const char *const card_tpm_ek_types[] = { "rsa-2048", "ecc-sec-p384", NULL };
const char *const card_tpm_ek_formats[] = { "der", "tpmt", NULL };

static const struct rt_option tpm_ek_keys[] = {
	{ .name = "key",
	  .kind = RT_OPTION_CHOICE,
	  .offset = offsetof(struct card_tpm_ek_params, key),
	  .sentence = "Which of the endorsement keys.",
	  .fallback = "rsa-2048",
	  .choices = card_tpm_ek_types },
	{ .name = "format",
	  .kind = RT_OPTION_CHOICE,
	  .offset = offsetof(struct card_tpm_ek_params, format),
	  .sentence = "A SubjectPublicKeyInfo, or a TPMT_PUBLIC.",
	  .fallback = "der",
	  .choices = card_tpm_ek_formats },
	END_OF_KEYS,
};

static const struct rt_option trace_pattern_keys[] = {
	{ .name = "pattern",
	  .kind = RT_OPTION_STRING,
	  .offset = offsetof(struct card_trace_pattern_params, pattern),
	  .sentence = "A shell pattern of events' names: ebs_*.",
	  .is_required = true },
	END_OF_KEYS,
};

static const struct rt_option trace_read_keys[] = {
	{ .name = "count",
	  .kind = RT_OPTION_NUMBER,
	  .offset = offsetof(struct card_trace_read_params, count),
	  .sentence = "How many records at most.",
	  .fallback = "256",
	  .min = 1,
	  .max = 256 },
	{ .name = "skip",
	  .kind = RT_OPTION_BOOL,
	  .offset = offsetof(struct card_trace_read_params, skip),
	  .sentence = "Leave out what was recorded before this call.",
	  .fallback = "false" },
	END_OF_KEYS,
};

#define fault_set_keys card_fault_keys

#define HERE(function)  .run = card_method_##function
#define THERE(function) .run_there = card_method_##function

const struct card_method card_methods[] = {
#define METHOD(name_, where, function, params_, result_, sentence_)            \
	{ .name = name_,                                                       \
	  where(function),                                                     \
	  .params = params_##_keys,                                            \
	  .params_size = sizeof(struct card_##params_##_params),               \
	  .result = result_,                                                   \
	  .sentence = sentence_ },
#include "firmware/card/methods.def"
#undef METHOD
};
const size_t card_method_count = RT_COUNT(card_methods);

static json_t *describe(const struct card_method *method)
{
	return json_pack("{s:s, s:s, s:o, s:s}", "name", method->name,
			 "summary", method->sentence, "params",
			 card_keys_schema(&method->params, 1), "result",
			 method->result);
}

void card_method_rpc_describe(struct card_call *call)
{
	json_t *methods = json_array();

	for (size_t i = 0; i < card_method_count; i++)
		json_array_append_new(methods, describe(&card_methods[i]));
	call->result = json_pack("{s:s, s:o}", "version", CARD_RPC_VERSION,
				 "methods", methods);
	card_call_done(call);
}
