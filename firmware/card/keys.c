/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads what a user wrote by a table of options.  Types come from the table,
 * never from how the text looks, so `name: on` is a string and `1e3` is no
 * number.  Before the card runs, or on the main thread.
 */
#include "firmware/card/keys.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/scope.h"

/* A value on its way from a node to its place in the struct. */
struct reading {
	const struct rt_option *option;
	const struct card_node *node;
	const char *folder;
	struct card_report *report;
	void *value; /* in the struct */
};

struct unit {
	const char *name;
	uint64_t factor;
};

/* As QEMU and the kernel do, a bare letter is a power of two. */
static const struct unit units[] = {
	{ "", 1 },
	{ "B", 1 },
	{ "KiB", UINT64_C(1) << 10 },
	{ "MiB", UINT64_C(1) << 20 },
	{ "GiB", UINT64_C(1) << 30 },
	{ "TiB", UINT64_C(1) << 40 },
	{ "K", UINT64_C(1) << 10 },
	{ "M", UINT64_C(1) << 20 },
	{ "G", UINT64_C(1) << 30 },
	{ "T", UINT64_C(1) << 40 },
	{ "kB", UINT64_C(1000) },
	{ "KB", UINT64_C(1000) },
	{ "MB", UINT64_C(1000000) },
	{ "GB", UINT64_C(1000000000) },
	{ "TB", UINT64_C(1000000000000) },
};

static bool parse_digits(const char *text, int base, uint64_t *out, char **end)
{
	if (!strchr("0123456789", text[0]) || !text[0])
		return false;
	errno = 0;
	*out = strtoull(text, end, base);
	return !errno;
}

bool card_parse_number(const char *text, uint64_t *out)
{
	bool is_hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	char *end;

	/* strtoull() would take "08" for octal and "0x" for a zero. */
	if (is_hex && !text[2])
		return false;
	return parse_digits(text, is_hex ? 16 : 10, out, &end) && !*end;
}

bool card_parse_size(const char *text, uint64_t *out)
{
	uint64_t number;
	char *end;

	if (!parse_digits(text, 10, &number, &end))
		return false;
	end += strspn(end, " ");
	for (size_t i = 0; i < RT_COUNT(units); i++)
		if (!strcmp(end, units[i].name))
			return !__builtin_mul_overflow(number, units[i].factor,
						       out);
	return false;
}

/* A fraction of one in millionths; the locale is always C. */
static bool parse_chance(const char *text, uint32_t *out)
{
	char *end;
	double value;

	if (strspn(text, "0123456789.eE+-") != strlen(text) || !*text)
		return false;
	value = strtod(text, &end);
	if (*end || !(value >= 0.0 && value <= 1.0))
		return false;
	*out = (uint32_t)(value * 1e6 + 0.5);
	return true;
}

static bool wrong(const struct reading *reading, const char *what)
{
	card_complain(reading->report, reading->node, CARD_AT_VALUE,
		      "'%s' must be %s", reading->option->name, what);
	return false;
}

/* The largest unit that divides it, for messages. */
static void format_size(uint64_t size, char *text, size_t room)
{
	const struct unit *best = &units[1];

	for (size_t i = 2; i < 6; i++)
		if (size && size % units[i].factor == 0)
			best = &units[i];
	snprintf(text, room, "%" PRIu64 " %s", size / best->factor,
		 best->factor == 1 ? "bytes" : best->name);
}

static void format_bound(const struct rt_option *option, uint64_t value,
			 char *text, size_t room)
{
	if (option->kind == RT_OPTION_SIZE)
		format_size(value, text, room);
	else
		snprintf(text, room, "%" PRIu64, value);
}

static bool check_range(const struct reading *reading, uint64_t value)
{
	const struct rt_option *option = reading->option;
	char bound[40], text[80];

	if (value < option->min) {
		format_bound(option, option->min, bound, sizeof bound);
		snprintf(text, sizeof text, "at least %s", bound);
		return wrong(reading, text);
	}
	if (option->max && value > option->max) {
		format_bound(option, option->max, bound, sizeof bound);
		snprintf(text, sizeof text, "at most %s", bound);
		return wrong(reading, text);
	}
	return true;
}

static bool read_string(const struct reading *reading)
{
	const char *text = reading->node->text;

	if (!reading->node->is_quoted && (!*text || !strcmp(text, "null")))
		return wrong(reading, "a string");
	*(char **)reading->value = strdup(text);
	return *(char **)reading->value;
}

static bool read_path(const struct reading *reading)
{
	const char *text = reading->node->text, *folder = reading->folder;

	if (!*text || (!reading->node->is_quoted && !strcmp(text, "null")))
		return wrong(reading, "the path of a file");
	if (text[0] == '/' || !folder || !folder[0])
		return read_string(reading);
	if (asprintf((char **)reading->value, "%s/%s", folder, text) < 0)
		*(char **)reading->value = NULL;
	return *(char **)reading->value;
}

static bool read_bool(const struct reading *reading)
{
	const char *text = reading->node->text;
	bool is_true = !strcmp(text, "true");

	if (reading->node->is_quoted || (!is_true && strcmp(text, "false")))
		return wrong(reading, "true or false");
	*(bool *)reading->value = is_true;
	return true;
}

static bool read_number(const struct reading *reading)
{
	/* JSON has no hexadecimal numbers but in quotes. */
	bool may_be = !reading->node->is_quoted ||
		      !strncmp(reading->node->text, "0x", 2);
	uint64_t value;

	if (!may_be || !card_parse_number(reading->node->text, &value))
		return wrong(reading, "a whole number, such as 64");
	*(uint64_t *)reading->value = value;
	return check_range(reading, value);
}

static bool read_size(const struct reading *reading)
{
	uint64_t value;

	if (!card_parse_size(reading->node->text, &value))
		return wrong(reading, "a size, such as 512MiB or 8GiB");
	*(uint64_t *)reading->value = value;
	return check_range(reading, value);
}

static bool read_chance(const struct reading *reading)
{
	if (reading->node->is_quoted ||
	    !parse_chance(reading->node->text, reading->value))
		return wrong(reading, "a number from 0.0 to 1.0");
	return true;
}

static size_t count_choices(const struct rt_option *option)
{
	size_t count = 0;

	while (option->choices[count])
		count++;
	return count;
}

static bool wrong_choice(const struct reading *reading)
{
	const char *const *choices = reading->option->choices;
	size_t count = count_choices(reading->option), used;
	const char *meant = card_suggest(reading->node->text, choices, count);
	char text[256] = "one of";

	for (size_t i = 0; i < count; i++) {
		used = strlen(text);
		snprintf(text + used, sizeof text - used, "%s %s", i ? "," : "",
			 choices[i]);
	}
	used = strlen(text);
	if (meant)
		snprintf(text + used, sizeof text - used,
			 "; did you mean '%s'?", meant);
	return wrong(reading, text);
}

static bool read_choice(const struct reading *reading)
{
	const char *const *choices = reading->option->choices;

	for (unsigned int i = 0; choices[i]; i++) {
		if (strcmp(choices[i], reading->node->text))
			continue;
		*(unsigned int *)reading->value = i;
		return true;
	}
	return wrong_choice(reading);
}

static bool read_object(const struct reading *reading)
{
	struct card_section section = { reading->option->fields,
					reading->value };

	return card_keys_read(reading->node, &section, 1, reading->folder,
			      reading->report);
}

struct kind {
	bool (*read)(const struct reading *reading);
	enum card_node_kind node;
};

static const struct kind kinds[] = {
	[RT_OPTION_STRING] = { read_string, CARD_NODE_SCALAR },
	[RT_OPTION_PATH] = { read_path, CARD_NODE_SCALAR },
	[RT_OPTION_BOOL] = { read_bool, CARD_NODE_SCALAR },
	[RT_OPTION_NUMBER] = { read_number, CARD_NODE_SCALAR },
	[RT_OPTION_SIZE] = { read_size, CARD_NODE_SCALAR },
	[RT_OPTION_CHOICE] = { read_choice, CARD_NODE_SCALAR },
	[RT_OPTION_CHANCE] = { read_chance, CARD_NODE_SCALAR },
	[RT_OPTION_OBJECT] = { read_object, CARD_NODE_MAPPING },
};

static void *place_of(const struct rt_option *option, void *values)
{
	return (char *)values + option->offset;
}

/* The fallback is our own text, so it cannot be wrong. */
static void take_fallback(const struct rt_option *option, void *values)
{
	struct card_node node = { .text = (char *)(uintptr_t)option->fallback };
	struct card_report report = { 0 };
	struct reading reading = { option, &node, NULL, &report,
				   place_of(option, values) };

	if (option->kind == RT_OPTION_OBJECT)
		card_keys_fallbacks(option->fields, reading.value);
	else if (option->fallback)
		kinds[option->kind].read(&reading);
}

void card_keys_fallbacks(const struct rt_option *options, void *values)
{
	for (; options && options->name; options++)
		take_fallback(options, values);
}

static bool read_value(const struct rt_option *option,
		       const struct card_node *node, void *values,
		       const char *folder, struct card_report *report)
{
	struct reading reading = { option, node, folder, report,
				   place_of(option, values) };

	if (node->kind != kinds[option->kind].node)
		return wrong(&reading,
			     kinds[option->kind].node == CARD_NODE_MAPPING
				     ? "a mapping of keys to values"
				     : "a single value");
	return kinds[option->kind].read(&reading);
}

#define MOST_KEYS 64 /* that are offered as suggestions */

static size_t list_keys(const struct card_section *sections, size_t count,
			const char **words)
{
	const struct rt_option *option;
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		for (option = sections[i].options; option && option->name;
		     option++)
			if (found < MOST_KEYS)
				words[found++] = option->name;
	return found;
}

static const struct rt_option *find_option(const char *key,
					   const struct card_section *sections,
					   size_t count, void **out_values)
{
	const struct rt_option *option;

	for (size_t i = 0; i < count; i++) {
		*out_values = sections[i].values;
		for (option = sections[i].options; option && option->name;
		     option++)
			if (!strcmp(option->name, key))
				return option;
	}
	return NULL;
}

static void complain_unknown(const struct card_node *node,
			     const struct card_section *sections, size_t count,
			     struct card_report *report)
{
	const char *words[MOST_KEYS];
	const char *meant = card_suggest(node->key, words,
					 list_keys(sections, count, words));

	if (meant)
		card_complain(report, node, CARD_AT_KEY,
			      "unknown key '%s', did you mean '%s'?", node->key,
			      meant);
	else
		card_complain(report, node, CARD_AT_KEY, "unknown key '%s'",
			      node->key);
}

/* NULL: there is nothing to read there, and it was complained about. */
static const struct rt_option *
check_key(const struct card_node *node, const struct card_section *sections,
	  size_t count, struct card_report *report, void **out_values)
{
	const struct rt_option *option =
		find_option(node->key, sections, count, out_values);
	const struct card_node *same = node;

	/* JSON without repeated keys comes without a source. */
	if (option && report->source)
		same = card_node_find(node->parent, node->key);

	if (!option)
		complain_unknown(node, sections, count, report);
	else if (same != node)
		card_complain(
			report, node, CARD_AT_KEY,
			"the key '%s' is already on line %zu", node->key,
			card_source_line(report->source, same->key_span.start));
	return same == node ? option : NULL;
}

void card_keys_check(const struct card_node *mapping,
		     const struct card_section *sections, size_t count,
		     struct card_report *report)
{
	const struct card_node *node;
	void *values;

	for (node = mapping->first; node; node = node->next)
		check_key(node, sections, count, report, &values);
}

static bool take_fallbacks(const struct card_node *mapping,
			   const struct card_section *section,
			   struct card_report *report)
{
	const struct rt_option *option = section->options;
	bool is_good = true;

	for (; option && option->name; option++) {
		if (card_node_find(mapping, option->name))
			continue;
		take_fallback(option, section->values);
		if (!option->is_required)
			continue;
		card_complain(report, mapping, CARD_AT_KEY,
			      "the key '%s' is missing here", option->name);
		is_good = false;
	}
	return is_good;
}

bool card_keys_read(const struct card_node *mapping,
		    const struct card_section *sections, size_t count,
		    const char *folder, struct card_report *report)
{
	const struct rt_option *option;
	const struct card_node *node;
	bool is_good = true;
	void *values;

	/* In the order of the text, so that complaints are too. */
	for (node = mapping->first; node; node = node->next) {
		/* A client is told of its first mistake, and pays for no more.
		 */
		if (!report->source && report->count)
			return false;
		option = check_key(node, sections, count, report, &values);
		is_good &= option &&
			   read_value(option, node, values, folder, report);
	}
	for (size_t i = 0; i < count; i++)
		is_good &= take_fallbacks(mapping, &sections[i], report);
	return is_good;
}

void card_keys_free(const struct rt_option *options, void *values)
{
	char **text;

	for (; options && options->name; options++) {
		text = place_of(options, values);
		if (options->kind == RT_OPTION_OBJECT) {
			card_keys_free(options->fields, text);
		} else if (options->kind == RT_OPTION_STRING ||
			   options->kind == RT_OPTION_PATH) {
			free(*text);
			*text = NULL;
		}
	}
}
