/* SPDX-License-Identifier: BSD-3-Clause */
/* A configuration's text, and the tree that YAML 1.2 or JSON makes of it. */
#ifndef FIRMWARE_CARD_CONFIG_FILE_H
#define FIRMWARE_CARD_CONFIG_FILE_H

#include "firmware/card/report.h"

#define CARD_CONFIG_BYTES (1u << 20) /* of a configuration, at most */

/* path "-" is standard input.  A negative errno, with *error filled, or 0. */
int card_source_read(const char *path, struct card_source *source,
		     struct rt_error *error);
/* text is copied. */
int card_source_copy(const char *name, const char *text, size_t size,
		     struct card_source *source);
void card_source_free(struct card_source *source);

/*
 * The root of report->source.  NULL: it is not one document of YAML, and the
 * report says why.
 */
struct card_node *card_source_parse(struct card_report *report);

#endif
