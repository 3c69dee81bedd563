/* SPDX-License-Identifier: BSD-3-Clause */
/* What a user is told about a configuration, to the letter. */
#include "firmware/card/config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/card/config_file.h"
#include "firmware/card/keys.h"
#include "tests/unit/card/fake.h"

static struct card_config *parse_as(const char *name, const char *text,
				    char **out_complaints)
{
	struct card_source source = { 0 };
	struct card_config *config = NULL;
	size_t size;
	FILE *out = open_memstream(out_complaints, &size);

	cr_assert_eq(card_source_copy(name, text, strlen(text), &source), 0);
	card_config_create(fake_types, &source, out, &config);
	fclose(out);
	return config;
}

static struct card_config *parse(const char *text, char **out_complaints)
{
	return parse_as("card.yaml", text, out_complaints);
}

struct row {
	const char *name, *text, *complaints;
};

#define FAKE "functions:\n  - fake:\n      volume: { memory: 1MiB }\n"

static const struct row rows[] = {
	{ "unknown key",
	  "functions:\n"
	  "  - fake:\n"
	  "      volume: { memory: 1MiB }\n"
	  "      qeue-entries: 64\n",
	  "card.yaml:4:7: error: unknown key 'qeue-entries', did you mean "
	  "'queue-entries'?\n"
	  "      qeue-entries: 64\n"
	  "      ^~~~~~~~~~~~\n" },
	{ "unknown key, nothing near", FAKE "      zzz: 1\n",
	  "card.yaml:4:7: error: unknown key 'zzz'\n"
	  "      zzz: 1\n"
	  "      ^~~\n" },
	{ "all at once",
	  "crad: {}\n"
	  "functions:\n"
	  "  - fake:\n"
	  "      queue-entries: many\n"
	  "      read-only: yes\n"
	  "      profile: fancyy\n"
	  "      volume: { memory: 1QiB }\n",
	  "card.yaml:1:1: error: unknown key 'crad', did you mean 'card'?\n"
	  "crad: {}\n"
	  "^~~~\n"
	  "card.yaml:4:22: error: 'queue-entries' must be a whole number, "
	  "such as 64\n"
	  "      queue-entries: many\n"
	  "                     ^~~~\n"
	  "card.yaml:5:18: error: 'read-only' must be true or false\n"
	  "      read-only: yes\n"
	  "                 ^~~\n"
	  "card.yaml:6:16: error: 'profile' must be one of plain, fancy, "
	  "frugal; did you mean 'fancy'?\n"
	  "      profile: fancyy\n"
	  "               ^~~~~~\n"
	  "card.yaml:7:25: error: 'memory' must be a size, such as 512MiB or "
	  "8GiB\n"
	  "      volume: { memory: 1QiB }\n"
	  "                        ^~~~\n" },
	{ "out of range",
	  "functions:\n"
	  "  - fake: { queue-entries: 1, volume: { memory: 2 TiB } }\n",
	  "card.yaml:2:28: error: 'queue-entries' must be at least 2\n"
	  "  - fake: { queue-entries: 1, volume: { memory: 2 TiB } }\n"
	  "                           ^\n"
	  "card.yaml:2:49: error: 'memory' must be at most 1 TiB\n"
	  "  - fake: { queue-entries: 1, volume: { memory: 2 TiB } }\n"
	  "                                                ^~~~~\n" },
	{ "a number in quotes", FAKE "      queue-entries: \"64\"\n",
	  "card.yaml:4:23: error: 'queue-entries' must be a whole number, such "
	  "as 64\n"
	  "      queue-entries: \"64\"\n"
	  "                      ^~\n" },
	{ "repeated key",
	  FAKE "      read-only: true\n      read-only: false\n",
	  "card.yaml:5:7: error: the key 'read-only' is already on line 4\n"
	  "      read-only: false\n"
	  "      ^~~~~~~~~\n" },
	{ "missing key", "functions:\n  - fake: { read-only: true }\n",
	  "card.yaml:2:5: error: the key 'volume' is missing here\n"
	  "  - fake: { read-only: true }\n"
	  "    ^~~~\n" },
	{ "wrong shape", "functions:\n  - fake: { volume: 3 }\n",
	  "card.yaml:2:21: error: 'volume' must be a mapping of keys to "
	  "values\n"
	  "  - fake: { volume: 3 }\n"
	  "                    ^\n" },
	{ "a list for a value", FAKE "      device-name: [a]\n",
	  "card.yaml:4:20: error: 'device-name' must be a single value\n"
	  "      device-name: [a]\n"
	  "                   ^~~\n" },
	{ "an empty value", FAKE "      device-name:\n",
	  "card.yaml:4:7: error: 'device-name' must be a string\n"
	  "      device-name:\n"
	  "      ^~~~~~~~~~~\n" },
	{ "unknown kind", "functions:\n  - fke: { volume: { memory: 512 } }\n",
	  "card.yaml:2:5: error: unknown kind of function 'fke', did you mean "
	  "'fake'?\n"
	  "  - fke: { volume: { memory: 512 } }\n"
	  "    ^~~\n" },
	{ "a kind without keys", "functions: [ fake ]\n",
	  "card.yaml:1:14: error: a function is its kind, a colon and its "
	  "keys\n"
	  "functions: [ fake ]\n"
	  "             ^~~~\n" },
	{ "no functions", "card: { name: x }\n",
	  "card.yaml:1:1: error: a card needs at least one function\n"
	  "card: { name: x }\n"
	  "^~~~~~~~~~~~~~~~~\n" },
	{ "empty list", "functions: []\n",
	  "card.yaml:1:1: error: a card needs at least one function\n"
	  "functions: []\n"
	  "^~~~~~~~~\n" },
	{ "two of one name",
	  FAKE "      name: a\n"
	       "  - fake: { volume: { memory: 1MiB }, name: a }\n",
	  "card.yaml:5:45: error: there is another function named 'a'\n"
	  "  - fake: { volume: { memory: 1MiB }, name: a }\n"
	  "                                            ^\n" },
	{ "a name that is a path", FAKE "      name: ../a\n",
	  "card.yaml:4:13: error: a name is up to 31 letters, digits, '.', "
	  "'_' and '-'\n"
	  "      name: ../a\n"
	  "            ^~~~\n" },
	{ "a name that is taken", FAKE "      name: control\n",
	  "card.yaml:4:13: error: 'control' is the name of the card's own "
	  "socket\n"
	  "      name: control\n"
	  "            ^~~~~~~\n" },
	{ "a fault's target",
	  FAKE "faults: [ { target: fake1, point: x, probability: 1.5 } ]\n",
	  "card.yaml:4:51: error: 'probability' must be a number from 0.0 to "
	  "1.0\n"
	  "faults: [ { target: fake1, point: x, probability: 1.5 } ]\n"
	  "                                                  ^~~\n"
	  "card.yaml:4:21: error: there is no function 'fake1', did you mean "
	  "'fake0'?\n"
	  "faults: [ { target: fake1, point: x, probability: 1.5 } ]\n"
	  "                    ^~~~~\n" },
	{ "syntax", "functions:\n  - fake: { volume\n",
	  "card.yaml:3:1: error: missing comma in flow mapping\n" },
	{ "aliases", "a: &x 1\nb: *x\n",
	  "card.yaml:1:7: error: anchors, aliases and tags are not supported\n"
	  "a: &x 1\n"
	  "      ^\n" },
	{ "nothing", "",
	  "card.yaml:1:1: error: there is nothing in this configuration\n" },
	{ "no mapping", "hello\n",
	  "card.yaml:1:1: error: a configuration is a mapping with the keys "
	  "card, tpm, functions and faults\n"
	  "hello\n"
	  "^~~~~\n" },
	{ "columns are characters, tabs stay",
	  "functions: [ { fake: { volume: { memory: 512 },\tdevice-name: "
	  "\"h\u00fc\u00df\", x-y: 1 } } ]\n",
	  "card.yaml:1:69: error: unknown key 'x-y'\n"
	  "functions: [ { fake: { volume: { memory: 512 },\tdevice-name: "
	  "\"h\u00fc\u00df\", x-y: 1 } } ]\n"
	  "                                               \t"
	  "                    ^~~\n" },
	{ "not UTF-8", "functions: \xff\n",
	  "card.yaml:1:12: error: this byte is not UTF-8 text\n" },
};

Test(card_config, complaints_have_place_line_and_caret)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *complaints;
		struct card_config *config = parse(rows[i].text, &complaints);
		const char *shown = strcmp(rows[i].name, "not UTF-8") != 0
					    ? rows[i].complaints
					    : NULL;

		cr_expect_null(config, "row %s", rows[i].name);
		if (shown)
			cr_expect_str_eq(complaints, shown, "row %s:\n%s",
					 rows[i].name, complaints);
		else
			cr_expect_eq(strncmp(complaints, rows[i].complaints,
					     strlen(rows[i].complaints)),
				     0, "row %s:\n%s", rows[i].name,
				     complaints);
		card_config_destroy(&config);
		free(complaints);
	}
}

Test(card_config, keys_fill_the_struct_and_the_rest_has_defaults)
{
	char *complaints;
	struct card_config *config =
		parse_as("dir/card.yaml",
			 "card: { name: demo, log-level: debug }\n"
			 "functions:\n"
			 "  - fake:\n"
			 "      queue-entries: 0x100\n"
			 "      volume: { file: root.img }\n"
			 "  - fake: { name: fake0, volume: { memory: 8GiB } }\n"
			 "  - fake: { volume: { file: /root.img } }\n"
			 "faults: [ { target: fake2, point: io_delay, value: 7,"
			 " probability: 0.01 } ]\n",
			 &complaints);
	const struct fake_config *first;

	cr_assert(config, "%s", complaints);
	cr_expect_str_eq(config->card.name, "demo");
	cr_expect_eq(config->card.log_level, 4);
	cr_assert_eq(config->function_count, 3);
	first = config->functions[0].values;
	cr_expect_eq(first->queue_entries, 0x100);
	cr_expect_eq(first->profile, 1);
	cr_expect_eq(first->chance_ppm, 250000);
	cr_expect_null(first->device_name);
	cr_expect_str_eq(first->volume.file, "dir/root.img");
	cr_expect_str_eq(
		((const struct fake_config *)config->functions[2].values)
			->volume.file,
		"/root.img");
	cr_expect_str_eq(config->functions[0].name, "fake1");
	cr_expect_str_eq(config->functions[1].name, "fake0");
	cr_expect_str_eq(config->functions[2].name, "fake2");
	cr_assert_eq(config->fault_count, 1);
	cr_expect_eq(config->faults[0].probability_ppm, 10000);
	card_config_destroy(&config);
	free(complaints);
}

Test(card_config, json_is_accepted_and_what_is_printed_can_be_fed_back)
{
	static const char text[] =
		"{\"functions\":[{\"fake\":{\"volume\":{\"memory\":1048576},"
		"\"read-only\":true,\"device-name\":\"null\"}}],"
		"\"faults\":[{\"target\":\"fake0\",\"point\":\"p\","
		"\"probability\":0.000001,\"seed\":\"0xffffffffffffffff\"}]}";
	char *complaints, *again;
	struct card_config *config = parse(text, &complaints), *second;
	json_t *before, *after;
	char *printed;

	cr_assert(config, "%s", complaints);
	before = card_config_to_json(config);
	printed = json_dumps(before, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
	second = parse(printed, &again);
	cr_assert(second, "%s\n%s", again, printed);
	after = card_config_to_json(second);
	cr_expect(json_equal(before, after), "%s", printed);
	json_decref(before);
	json_decref(after);
	free(printed);
	card_config_destroy(&config);
	card_config_destroy(&second);
	free(complaints);
	free(again);
}

Test(card_config, the_schema_names_every_key_with_its_default)
{
	json_t *schema = card_config_schema(fake_types);
	const json_t *keys;
	const char *draft;

	cr_assert_not_null(schema);
	draft = json_string_value(json_object_get(schema, "$schema"));
	cr_expect_str_eq(draft, "https://json-schema.org/draft/2020-12/schema");
	keys = json_object_get(schema, "properties");
	keys = json_object_get(json_object_get(keys, "functions"), "items");
	keys = json_array_get(json_object_get(keys, "oneOf"), 0);
	keys = json_object_get(json_object_get(keys, "properties"), "fake");
	keys = json_object_get(keys, "properties");
	cr_assert_not_null(json_object_get(keys, "name"));
	cr_assert_not_null(json_object_get(keys, "volume"));
	keys = json_object_get(keys, "queue-entries");
	cr_expect_eq(json_integer_value(json_object_get(keys, "default")), 64);
	json_decref(schema);
}

struct size_row {
	const char *text;
	bool is_size;
	uint64_t size;
};

static const struct size_row sizes[] = {
	{ "0", true, 0 },
	{ "4096", true, 4096 },
	{ "4096B", true, 4096 },
	{ "1KiB", true, 1024 },
	{ "1kB", true, 1000 },
	{ "1K", true, 1024 },
	{ "512MB", true, 512000000 },
	{ "512 MiB", true, UINT64_C(512) << 20 },
	{ "8GiB", true, UINT64_C(8) << 30 },
	{ "16777215TiB", true, UINT64_C(16777215) << 40 },
	{ "16777216TiB", false, 0 },
	{ "18446744073709551616", false, 0 },
	{ "-1", false, 0 },
	{ "+1", false, 0 },
	{ "1.5GiB", false, 0 },
	{ "GiB", false, 0 },
	{ "", false, 0 },
	{ " 1", false, 0 },
	{ "1GiBs", false, 0 },
	{ "0x10", false, 0 },
};

Test(card_keys, sizes_are_read_with_their_units)
{
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		uint64_t size = 0;

		cr_expect_eq(card_parse_size(sizes[i].text, &size),
			     sizes[i].is_size, "row %s", sizes[i].text);
		if (sizes[i].is_size)
			cr_expect_eq(size, sizes[i].size, "row %s",
				     sizes[i].text);
	}
}

struct word_row {
	const char *word, *meant;
};

static const struct word_row words[] = {
	{ "queue-entries", "queue-entries" },
	{ "qeue-entries", "queue-entries" },
	{ "queue_entries", "queue-entries" },
	{ "volmue", "volume" },
	{ "nmae", "name" },
	{ "elephant", NULL },
	{ "", NULL },
};

Test(card_report, a_mistyped_word_is_recognised)
{
	static const char *const known[] = { "queue-entries", "volume", NULL,
					     "name" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		const char *meant = card_suggest(words[i].word, known, 4);

		if (words[i].meant)
			cr_expect_str_eq(meant ? meant : "(none)",
					 words[i].meant, "row %s",
					 words[i].word);
		else
			cr_expect_null(meant, "row %s", words[i].word);
	}
}
