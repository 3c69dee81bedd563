/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables of options (firmware/rt/option.h) put to work: reading a mapping into
 * a struct, writing the struct as JSON, and describing it as JSON Schema.
 */
#ifndef FIRMWARE_CARD_KEYS_H
#define FIRMWARE_CARD_KEYS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "firmware/card/node.h"
#include "firmware/card/report.h"
#include "firmware/rt/option.h"

/* Some of a mapping's keys, and the struct that they fill. */
struct card_section {
	const struct rt_option *options; /* NULL: none */
	void *values;                    /* zeroed */
};

/*
 * Read a mapping whose keys are those of all the sections.  Absent keys get
 * their fallbacks.  folder (NULL or "": none) is put before relative paths.
 * False: complaints were made; the structs may be filled in part and want
 * card_keys_free() either way.
 */
bool card_keys_read(const struct card_node *mapping,
		    const struct card_section *sections, size_t count,
		    const char *folder, struct card_report *report);

/* Complain about unknown and repeated keys only. */
void card_keys_check(const struct card_node *mapping,
		     const struct card_section *sections, size_t count,
		     struct card_report *report);

/* What a mapping without keys gives. */
void card_keys_fallbacks(const struct rt_option *options, void *values);

/* The strings; options may be NULL. */
void card_keys_free(const struct rt_option *options, void *values);

/* New keys in object; what is absent is left out. */
void card_keys_to_json(const struct rt_option *options, const void *values,
		       json_t *object);

/* A schema of type object for the keys of all the tables. */
json_t *card_keys_schema(const struct rt_option *const *tables, size_t count);

/* "8GiB", "512MB", "4096"; false: it is no size, or above 2^64. */
bool card_parse_size(const char *text, uint64_t *out);
/* "64", "0x40"; false: it is no number. */
bool card_parse_number(const char *text, uint64_t *out);

#endif
