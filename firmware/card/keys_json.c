/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables of options as JSON: the values of a struct, in the words that a
 * configuration would use, and JSON Schema (draft 2020-12) for editors and
 * clients.  Running out of memory shows as null members.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "firmware/card/keys.h"
#include "firmware/rt/scope.h"

/* Integers above 2^63 do not fit jansson's; as text they are read back. */
static json_t *number_to_json(uint64_t number)
{
	if (number > INT64_MAX)
		return json_sprintf("%#" PRIx64, number);
	return json_integer((json_int_t)number);
}

/* NULL: the key is absent.  A zero that nobody chose is. */
static json_t *value_to_json(const struct rt_option *option, const void *value)
{
	const char *text;
	uint64_t number;
	json_t *object;

	switch (option->kind) {
	case RT_OPTION_STRING:
	case RT_OPTION_PATH:
		text = *(char *const *)value;
		return text ? json_string(text) : NULL;
	case RT_OPTION_BOOL:
		return json_boolean(*(const bool *)value);
	case RT_OPTION_NUMBER:
	case RT_OPTION_SIZE:
		number = *(const uint64_t *)value;
		return number || option->fallback ? number_to_json(number)
						  : NULL;
	case RT_OPTION_CHOICE:
		return json_string(
			option->choices[*(const unsigned int *)value]);
	case RT_OPTION_CHANCE:
		return json_real(*(const uint32_t *)value / 1e6);
	case RT_OPTION_OBJECT:
		object = json_object();
		card_keys_to_json(option->fields, value, object);
		return object;
	}
	return NULL;
}

void card_keys_to_json(const struct rt_option *options, const void *values,
		       json_t *object)
{
	json_t *json;

	for (; options && options->name; options++) {
		json = value_to_json(options,
				     (const char *)values + options->offset);
		if (json)
			json_object_set_new(object, options->name, json);
	}
}

static json_t *schema_of_integer(const struct rt_option *option)
{
	json_t *schema = json_pack("{s:s, s:o}", "type", "integer", "minimum",
				   number_to_json(option->min));

	if (option->max && option->max <= INT64_MAX)
		json_object_set_new(schema, "maximum",
				    number_to_json(option->max));
	return schema;
}

static json_t *schema_of_number(const struct rt_option *option)
{
	return json_pack("{s:[o, {s:s, s:s}]}", "anyOf",
			 schema_of_integer(option), "type", "string", "pattern",
			 "^0x[0-9a-fA-F]{1,16}$");
}

static json_t *schema_of_size(const struct rt_option *option)
{
	return json_pack("{s:[o, {s:s, s:s}]}", "anyOf",
			 schema_of_integer(option), "type", "string", "pattern",
			 "^[0-9]+ *([KMGT]i?B?|kB|B)?$");
}

/* A choice that looks like a number, or a boolean, may be written as one. */
static json_t *schema_of_choice(const struct rt_option *option)
{
	json_t *choices = json_array();
	uint64_t number;

	for (size_t i = 0; option->choices[i]; i++) {
		json_array_append_new(choices, json_string(option->choices[i]));
		if (card_parse_number(option->choices[i], &number))
			json_array_append_new(choices, number_to_json(number));
		if (!strcmp(option->choices[i], "true"))
			json_array_append_new(choices, json_true());
		if (!strcmp(option->choices[i], "false"))
			json_array_append_new(choices, json_false());
	}
	return json_pack("{s:o}", "enum", choices);
}

static json_t *schema_of_string(const struct rt_option *option)
{
	(void)option;
	return json_pack("{s:s}", "type", "string");
}

static json_t *schema_of_path(const struct rt_option *option)
{
	(void)option;
	return json_pack("{s:s, s:i}", "type", "string", "minLength", 1);
}

static json_t *schema_of_bool(const struct rt_option *option)
{
	(void)option;
	return json_pack("{s:s}", "type", "boolean");
}

static json_t *schema_of_chance(const struct rt_option *option)
{
	(void)option;
	return json_pack("{s:s, s:i, s:i}", "type", "number", "minimum", 0,
			 "maximum", 1);
}

static json_t *schema_of_object(const struct rt_option *option)
{
	return card_keys_schema(&option->fields, 1);
}

static json_t *(*const schemas[])(const struct rt_option *option) = {
	[RT_OPTION_STRING] = schema_of_string,
	[RT_OPTION_PATH] = schema_of_path,
	[RT_OPTION_BOOL] = schema_of_bool,
	[RT_OPTION_NUMBER] = schema_of_number,
	[RT_OPTION_SIZE] = schema_of_size,
	[RT_OPTION_CHOICE] = schema_of_choice,
	[RT_OPTION_CHANCE] = schema_of_chance,
	[RT_OPTION_OBJECT] = schema_of_object,
};

/* The default as JSON would write it: through the struct's own reading. */
static json_t *fallback_to_json(const struct rt_option *option)
{
	uint64_t value[2] = { 0 };
	struct rt_option rows[2] = { *option };
	json_t *json;

	rows[0].offset = 0;
	card_keys_fallbacks(rows, value);
	json = value_to_json(&rows[0], value);
	card_keys_free(rows, value);
	return json;
}

static json_t *schema_of(const struct rt_option *option)
{
	json_t *schema = schemas[option->kind](option);

	if (option->sentence)
		json_object_set_new(schema, "description",
				    json_string(option->sentence));
	if (option->fallback && option->kind != RT_OPTION_OBJECT)
		json_object_set_new(schema, "default",
				    fallback_to_json(option));
	return schema;
}

json_t *card_keys_schema(const struct rt_option *const *tables, size_t count)
{
	json_t *properties = json_object(), *required = json_array();
	const struct rt_option *option;

	for (size_t i = 0; i < count; i++) {
		for (option = tables[i]; option && option->name; option++) {
			json_object_set_new(properties, option->name,
					    schema_of(option));
			if (option->is_required)
				json_array_append_new(
					required, json_string(option->name));
		}
	}
	return json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties",
			 properties, "required", required,
			 "additionalProperties", 0);
}
