/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a configuration: they are refused with complaints, or what they
 * say can be written out and read back as the same.
 */
#include <stdio.h>
#include <stdlib.h>

#include "firmware/card/config.h"
#include "firmware/card/config_file.h"
#include "tests/fuzz/input.h"
#include "tests/unit/card/fake.h"

/* libfyaml 0.7.12 loses a buffer after some errors in quotes; we end there. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libfyaml.so";
}

static struct card_config *read_config(const char *text, size_t size,
				       char **out_complaints)
{
	struct card_source source = { 0 };
	struct card_config *config = NULL;
	size_t length;
	FILE *out = open_memstream(out_complaints, &length);

	if (!out || card_source_copy("card.yaml", text, size, &source))
		abort();
	/* A refusal without a word helps nobody. */
	if (card_config_create(fake_types, &source, out, &config) &&
	    (fflush(out) || !length))
		abort();
	(void)fclose(out);
	return config;
}

static void read_back(const struct card_config *config)
{
	json_t *before = card_config_to_json(config), *after;
	char *text = json_dumps(before, JSON_REAL_PRECISION(9)), *complaints;
	struct card_config *second;

	if (!text)
		abort();
	second = read_config(text, strlen(text), &complaints);
	if (!second) {
		(void)fprintf(stderr, "%s\n%s", text, complaints);
		abort();
	}
	after = card_config_to_json(second);
	if (!json_equal(before, after))
		abort();
	json_decref(before);
	json_decref(after);
	free(text);
	free(complaints);
	card_config_destroy(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *complaints;
	struct card_config *config =
		read_config((const char *)data, size, &complaints);

	if (config)
		read_back(config);
	card_config_destroy(&config);
	free(complaints);
	return 0;
}
