/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A configuration as JSON that can be fed back, and the schema of all that can
 * be configured, both from the tables of keys.
 */
#include "firmware/card/config.h"
#include "firmware/card/keys.h"
#include "pcie-model/function.h"

static json_t *function_to_json(const struct card_function_config *function)
{
	json_t *keys = json_object();

	card_keys_to_json(card_name_keys, function, keys);
	card_keys_to_json(function->type->options, function->values, keys);
	return json_pack("{s:o}", function->type->name, keys);
}

/* NULL: there is none. */
static json_t *tpm_to_json(const struct card_config *config)
{
	json_t *keys = config->tpm.node ? json_object() : NULL;

	if (keys)
		card_keys_to_json(card_tpm_keys, &config->tpm, keys);
	return keys;
}

json_t *card_config_to_json(const struct card_config *config)
{
	json_t *card = json_object(), *functions = json_array();
	json_t *faults = json_array(), *fault;

	card_keys_to_json(card_settings_keys, &config->card, card);
	for (size_t i = 0; i < config->function_count; i++)
		json_array_append_new(functions,
				      function_to_json(&config->functions[i]));
	for (size_t i = 0; i < config->fault_count; i++) {
		fault = json_object();
		card_keys_to_json(card_fault_keys, &config->faults[i], fault);
		json_array_append_new(faults, fault);
	}
	return json_pack("{s:o, s:o*, s:o, s:o}", "card", card, "tpm",
			 tpm_to_json(config), "functions", functions, "faults",
			 faults);
}

static json_t *schema_of_type(const struct pcie_function_type *type)
{
	const struct rt_option *tables[] = { card_name_keys, type->options };
	json_t *keys = card_keys_schema(tables, 2);

	json_object_set_new(keys, "description", json_string(type->summary));
	return json_pack("{s:s, s:{s:o}, s:[s], s:b}", "type", "object",
			 "properties", type->name, keys, "required", type->name,
			 "additionalProperties", 0);
}

json_t *card_config_schema(const struct pcie_function_type *const *types)
{
	const struct rt_option *card = card_settings_keys;
	const struct rt_option *fault = card_fault_keys;
	const struct rt_option *tpm = card_tpm_keys;
	json_t *kinds = json_array();

	for (size_t i = 0; types[i]; i++)
		json_array_append_new(kinds, schema_of_type(types[i]));
	return json_pack(
		"{s:s, s:s, s:s, s:{s:o, s:o, s:{s:s, s:i, s:{s:o}}, "
		"s:{s:s, s:o}},"
		" s:[s], s:b}",
		"$schema", "https://json-schema.org/draft/2020-12/schema",
		"title", "nitro-card configuration", "type", "object",
		"properties", "card", card_keys_schema(&card, 1), "tpm",
		card_keys_schema(&tpm, 1), "functions", "type", "array",
		"minItems", 1, "items", "oneOf", kinds, "faults", "type",
		"array", "items", card_keys_schema(&fault, 1), "required",
		"functions", "additionalProperties", 0);
}
